"""`SchedulerPlacement`: a host's side of the deployment's scheduler.

One call after another carries all that the host wants and holds. While nothing changes here, one
call waits at the scheduler for news; when something does, a second one says so at once and ends the
first. So no more than two are open, and whatever changes while one is under way goes with the next.

A scheduler that dies takes nothing along: what is held stays held, and the next one is told. One
that does not answer is looked for again, with growing pauses; on this machine one that somebody
stopped (SIGSTOP) is ended, so that Ray begins another. Where there is none, it is made.
"""

from __future__ import annotations

import asyncio
import logging
import platform
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Protocol

from heliostat.actors.calls import pack, unpack
from heliostat.engine.scheduling.protocol import Grants, SlotLease, Waiting, Want

from .frozen import kill_stopped
from .placement import Asker
from .placement_book import PlacementBook

_log = logging.getLogger(__name__)

WAIT_MS: Final = 1_000
"""Of a call for news while wants wait: as old as a reason in a status may be."""

WAIT_IDLE_MS: Final = 5_000
"""The same while none does. Well below the time after which a silent host loses its leases."""

ANSWER_S: Final = 4.0
"""For a call's answer beyond the wait that it asks for; a restart of the scheduler takes less."""

RETRY_S: Final = 0.1
RETRY_MAX_S: Final = 2.0
"""First and longest pause after a failure, jittered; a queue that stands still is felt."""

MISSING_S: Final = 5.0
"""A scheduler that is missing for this long is made by this host, if the supervisor has not."""


class Remote(Protocol):
    """The scheduler, as it is reached from here."""

    async def exchange(self, body: bytes) -> bytes:
        """Hand over a demand; raises whatever says that it did not answer."""
        ...


class SchedulerPlacement:
    """A `Placement` that asks the scheduler. Bound to the event loop it is made on."""

    def __init__(
        self,
        *,
        holder: str,
        name: str,
        node: str,
        find: Callable[[], Awaitable[Remote | None]],
        create: Callable[[], Awaitable[object]],
        end_stopped: Callable[[int, str], bool] = kill_stopped,
    ) -> None:
        """Args:
        holder: the host's incarnation. name: the host's, for people. node: Ray's id of its node.
        """
        self._loop = asyncio.get_running_loop()
        self._book = PlacementBook(holder=holder, name=name, node=node, now_ms=self._now_ms)
        self._find, self._create, self._end_stopped = find, create, end_stopped
        self._remote: Remote | None = None
        self._pid = 0  # of the scheduler, where it is on this machine
        self._changed = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._call: asyncio.Future[bytes] | None = None  # the one that waits for news
        self._silent_since: float | None = None
        self._missing_since: float | None = None

    def begin(self) -> None:
        if self._task is None:
            self._silent_since = self._loop.time()
            self._task = self._loop.create_task(self._run())

    def want(self, wants: Sequence[Want], asker: Asker) -> None:
        if self._book.want(wants, asker):
            self._changed.set()

    def hold(self, leases: Sequence[SlotLease], asker: Asker) -> None:
        if self._book.hold(leases, asker):
            self._changed.set()

    def serve(self, shard: str, epoch: int) -> None:
        if self._book.serve(shard, epoch):
            self._changed.set()

    def release(self, ids: Sequence[str]) -> None:
        if self._book.release(ids):
            self._changed.set()

    def dispatched(self, count: int) -> None:
        self._book.dispatched(count)

    def reasons(self) -> Mapping[str, Waiting]:
        return self._book.reasons()

    @property
    def draining(self) -> frozenset[str]:
        return self._book.draining

    @property
    def silent_ms(self) -> int:
        since = self._silent_since
        return 0 if since is None else int((self._loop.time() - since) * 1_000)

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop_call()

    # the exchange

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                if self._remote is None:
                    self._remote = await self._reach()
                if self._changed.is_set():
                    self._changed.clear()
                    await self._say()
                else:
                    await self._listen()
                failures = 0
                self._silent_since = None
            except Exception as error:  # noqa: BLE001 – Ray's many, and timeouts: asked again
                failures += 1
                if self._silent_since is None:
                    self._silent_since = self._loop.time()
                if failures in (1, 10):
                    _log.warning(
                        "the scheduler does not answer: %s: %s", type(error).__name__, error
                    )
                if self._pid and self._end_stopped(self._pid, "scheduler"):
                    _log.warning("the scheduler was stopped (SIGSTOP), its process is ended")
                    self._pid = 0
                self._drop_call()
                self._remote = None
                self._changed.set()  # whatever was said may have been lost
                pause_s = min(RETRY_S * 2 ** min(failures - 1, 10), RETRY_MAX_S)
                await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))

    async def _reach(self) -> Remote:
        remote = await self._find()
        if remote is not None:
            self._missing_since = None
            return remote
        now = self._loop.time()
        if self._missing_since is None:
            self._missing_since = now
        if now - self._missing_since >= MISSING_S:
            _log.warning("the scheduler is missing and is created again")
            await self._create()
            self._missing_since = None
        raise LookupError("there is no scheduler now")

    async def _say(self) -> None:
        """Tell what changed, and hear what is to be told at once. Ends the call that waits."""
        self._drop_call()  # it is answered by nothing, as this one says more
        self._take(await asyncio.wait_for(self._exchange(wait_ms=0), ANSWER_S))

    async def _listen(self) -> None:
        """Wait for news, or until something changes here."""
        wants = self._book.waits
        wait_ms = WAIT_MS if wants else WAIT_IDLE_MS
        if self._call is None:  # says, too, which answer was taken in
            self._call = asyncio.ensure_future(
                asyncio.wait_for(self._exchange(wait_ms=wait_ms), wait_ms / 1_000 + ANSWER_S)
            )
        changed = asyncio.ensure_future(self._changed.wait())
        either: set[asyncio.Future[Any]] = {self._call, changed}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            changed.cancel()
        if self._call.done():
            call, self._call = self._call, None
            self._take(call.result())

    async def _exchange(self, *, wait_ms: int) -> bytes:
        assert self._remote is not None
        return await self._remote.exchange(pack(self._book.demand(wait_ms)))

    def _take(self, answer: bytes) -> None:
        if not answer:
            return  # a later demand was answered in its place
        grants = unpack(answer, Grants)
        self._pid = grants.pid if grants.machine == platform.node() else 0
        self._book.take(grants)

    def _drop_call(self) -> None:
        if self._call is not None:
            self._call.cancel()
            self._call.add_done_callback(_hear)
            self._call = None

    def _now_ms(self) -> int:
        return int(self._loop.time() * 1_000)


def _hear(call: asyncio.Future[bytes]) -> None:
    """Nobody waits for it any more, whatever it ended with."""
    if not call.cancelled():
        call.exception()


class RemoteScheduler:
    """The scheduler behind a Ray handle."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    async def exchange(self, body: bytes) -> bytes:
        answer: bytes = await self._handle.exchange.remote(body)
        return answer
