"""To a runner of another node, by calls of its actor: milliseconds there and back.

Bytes go in calls of `push`, in order; what gathers while several are on their way goes with the
next. Bytes come back in a stream, which ends with the connection or with the runner. A runner is
dead when Ray says so of its actor: it never restarts one.

A process that is stopped on another node is not seen from here. Where calls are not answered for a
while, a task on that node asks its kernel, and ends the process if it is stopped: silence alone is
no death, since C code may keep an interpreter from answering.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final
from uuid import uuid4

import ray
from ray import exceptions
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from heliostat.actors import names
from heliostat.actors.runner.called import PING_S

from .frozen import kill_stopped
from .transport import Heard

_log = logging.getLogger(__name__)

PUSHES_MAX: Final = 4
"""Calls on their way at once; as many keep a runner busy as fit into a round trip."""

UNANSWERED_S: Final = 5.0
"""A call that is not answered for this long has the node's kernel asked about the process."""

LOOK_AGAIN_S: Final = 30.0
"""Between two such looks: each is a Ray task."""

DIE_S: Final = 10.0
"""How long Ray may take to tell of an actor that was killed; then it is taken for dead."""

TITLE: Final = "runneractor"
"""In the title that Ray gives to a runner's process."""


class RayTransport:
    """One stream at a time of one actor."""

    is_remote = True

    def __init__(self, name: str) -> None:
        self._name = name
        self.pid: int | None = None
        self.node_died = False
        self._node = ""
        self._loop = asyncio.get_running_loop()
        self._heard: Heard | None = None
        self._actor: Any = None
        self._id = ""
        self._reading: asyncio.Task[None] | None = None
        self._pinging: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._unwritten = bytearray()
        self._on_their_way = 0
        self._count = 0  # of calls on this connection: Ray does not promise their order
        self._oldest_at = 0.0  # since when the oldest call without an answer is on its way
        self._dead = self._closed = False

    @property
    def is_open(self) -> bool:
        return self._reading is not None

    async def open(self, heard: Heard) -> None:
        actor = await asyncio.to_thread(_find, self._name)
        if actor is None:
            self._dead = True
            raise ConnectionRefusedError(f"there is no actor {self._name!r}")
        self._heard, self._actor = heard, actor
        self._id = uuid4().hex
        self._unwritten.clear()
        self._on_their_way = self._count = 0
        stream = actor.frames.options(concurrency_group="frames").remote(self._id)
        self._reading = self._loop.create_task(self._read(stream))
        if self._pinging is None:
            self._pinging = self._loop.create_task(self._ping())

    def disconnect(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def close(self) -> None:
        self._closed = True
        actor = self._actor
        if self._reading is not None and actor is not None and not self._dead:
            actor.part.remote(self._id)  # else it would find out after its time of silence
        self.disconnect()
        if self._pinging is not None:
            self._pinging.cancel()
        for task in self._tasks:
            task.cancel()

    # to the runner

    def write(self, data: bytes) -> None:
        if self._reading is None:
            return
        self._unwritten += data
        self._push()

    def _push(self) -> None:
        if self._unwritten and self._on_their_way < PUSHES_MAX:
            piece = bytes(self._unwritten)
            self._unwritten.clear()
            self._spawn(self._call(piece))

    async def _call(self, piece: bytes) -> None:
        id = self._id
        if not id:
            return  # the connection ended meanwhile
        if self._on_their_way == 0:
            self._oldest_at = self._loop.time()
        self._on_their_way += 1
        try:
            self._count += 1
            push = self._actor.push.options(concurrency_group="push")
            goes_on = await push.remote(id, self._count, piece)
        except exceptions.ActorDiedError:
            return  # its stream tells
        except exceptions.RayError:
            goes_on = False  # what was lost leaves a gap: begin anew
        finally:
            if id == self._id:
                self._on_their_way -= 1
                self._oldest_at = self._loop.time()
        if id == self._id and not self._closed:
            if goes_on:
                self._push()
            else:
                self._break()

    async def _ping(self) -> None:
        """Say something now and then; look what is the matter when there is no answer."""
        looked_at = 0.0
        while True:
            await asyncio.sleep(PING_S)
            now = self._loop.time()
            if self._on_their_way == 0 and self._reading is not None:
                self._spawn(self._call(b""))
            elif (
                self._on_their_way
                and now - self._oldest_at > UNANSWERED_S
                and now - looked_at > LOOK_AGAIN_S
            ):
                looked_at = now
                self._spawn(self._end_stopped())

    # from the runner

    async def _read(self, stream: Any) -> None:
        heard = self._heard
        assert heard is not None
        try:
            async for ref in stream:
                if not heard.heard(await ref):
                    break
        except exceptions.ActorUnavailableError as error:
            _log.warning("runner %s cannot be reached: %s", self._name, _first_line(error))
        except exceptions.RayError as error:
            if not isinstance(error, exceptions.ActorDiedError):
                _log.warning("runner %s: %s", self._name, _first_line(error))
            else:
                self.node_died = "node has died" in str(
                    error
                )  # Ray's words, and nothing else of it
                self._exit()
                return
        self._break()

    def _break(self) -> None:
        """The connection is over. Called at most once for each."""
        if self._reading is None or self._closed:
            return
        if self._reading is not asyncio.current_task():
            self._reading.cancel()  # else its end would be taken for that of the next connection
        self._reading = None
        self._id = ""
        assert self._heard is not None
        self._heard.broken()

    # its process

    def learn(self, pid: int, node: str) -> None:
        """Where it runs, as its greeting said."""
        self.pid, self._node = pid, node

    def kill(self) -> None:
        if not self._dead:
            self._spawn(self._kill())

    async def _kill(self) -> None:
        # A stopped process does not hear Ray's request to end: its kernel is asked first.
        await self._end_stopped()
        if self._actor is not None:
            await asyncio.to_thread(_kill, self._actor)
        await asyncio.sleep(DIE_S)
        self._exit()

    async def _end_stopped(self) -> None:
        if self.pid is None or not self._node:
            return
        try:
            async with asyncio.timeout(DIE_S):
                ended = await _on_node(self._node).remote(self.pid, TITLE)
        except (exceptions.RayError, TimeoutError) as error:
            _log.warning("cannot look at runner %s: %s", self._name, _first_line(error))
            return
        if ended:
            _log.warning("runner %s was stopped (SIGSTOP), its process is ended", self._name)

    def _exit(self) -> None:
        if self._dead or self._closed:
            return
        self._dead = True
        self._reading = None
        assert self._heard is not None
        self._heard.exited()

    @property
    def is_dead(self) -> bool:
        return self._dead

    @property
    def is_frozen(self) -> bool:
        return False  # looked at, and ended, where it is: see `_ping`

    def _spawn(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _find(name: str) -> Any | None:
    try:
        return ray.get_actor(name, namespace=names.NAMESPACE)
    except ValueError:  # Ray's word for: no such actor
        return None


def _kill(actor: Any) -> None:
    ray.kill(actor, no_restart=True)


def _on_node(node: str) -> Any:
    return ray.remote(kill_stopped).options(
        num_cpus=0,
        max_retries=0,
        scheduling_strategy=NodeAffinitySchedulingStrategy(node, soft=False),
    )


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).partition("\n")[0][:300]
