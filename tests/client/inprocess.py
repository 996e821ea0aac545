"""A client of a real host in this process: all of the way but Ray, the disk and the runners."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from heliostat.actors import names
from heliostat.actors.client.calling import Calls, Stream
from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.actors.client.proving import Proving
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.errors import Unreachable
from heliostat.engine.journal.blobs import FileBlobStore
from tests.host.support import Script, World, plus_one

_T = TypeVar("_T")

LOOK_S = 0.05
"""Between two looks whether a host that is called still lives."""


class InProcess:
    """`Calls` of hosts on an event loop of another thread, in place of Ray.

    Args:
        find: the host of a name; None where there is none, which is as in Ray.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, find: Callable[[str], ExecutionHost | None]
    ) -> None:
        self.loop, self.find = loop, find
        self.called: list[str] = []

    def call(self, name: str, method: str, body: bytes | None, timeout_s: float) -> bytes:
        self.called.append(method)
        there = self._there(name)
        made = getattr(there, method)(*(() if body is None else (body,)))
        answered = asyncio.run_coroutine_threadsafe(made, self.loop)
        end_at = time.monotonic() + timeout_s
        while not wait([answered], LOOK_S).done:
            if self.find(name) is not there or time.monotonic() > end_at:
                answered.cancel()
                raise Unreachable("ActorDiedError")
        found: bytes = answered.result()
        return found

    def open(self, name: str, method: str, body: bytes) -> Stream:
        self.called.append(method)
        there = self._there(name)
        return _Pieces(getattr(there, method)(body), self.loop, lambda: self.find(name) is there)

    def forget(self, name: str) -> None: ...

    def close(self) -> None: ...

    def _there(self, name: str) -> ExecutionHost:
        there = self.find(name)
        if there is None:
            raise Unreachable("NoSuchActor")
        return there


class _Pieces:
    """A stream of a host in this process."""

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        loop: asyncio.AbstractEventLoop,
        lives: Callable[[], bool],
    ) -> None:
        self._pieces, self._loop, self._lives = pieces, loop, lives
        self._following: Future[bytes | None] | None = None

    def _next(self) -> Future[bytes | None]:
        async def following() -> bytes | None:
            return await anext(self._pieces, None)

        if self._following is None:
            self._following = asyncio.run_coroutine_threadsafe(following(), self._loop)
        return self._following

    def piece(self, timeout_s: float) -> bytes | None:
        if not self._lives():
            raise Unreachable("ActorDiedError")
        found = self._next().result(timeout_s)
        self._following = None
        return found

    async def piece_async(self, timeout_s: float) -> bytes | None:
        found = await asyncio.wait_for(asyncio.wrap_future(self._next()), timeout_s)
        self._following = None
        return found

    def drop(self) -> None:
        async def close() -> None:
            with suppress(RuntimeError):  # a piece is being waited for; that was canceled, too
                await self._pieces.aclose()

        if self._following is not None:
            self._following.cancel()
        asyncio.run_coroutine_threadsafe(close(), self._loop)


class LocalHosts(Hosts):
    """Hosts that are one, in this process."""

    def __init__(
        self, host: ExecutionHost, loop: asyncio.AbstractEventLoop, calls: Calls | None = None
    ) -> None:
        super().__init__(
            deployment="local",
            generation=1,
            hosts=1,
            call_timeout_ms=120_000,  # a busy machine takes its time over 10,000 starts
            calls=calls or InProcess(loop, {names.host_name("local", 1, 0): host}.get),
        )
        self.host, self.loop = host, loop


@contextmanager
def deployment(
    folder: Path, script: Script = plus_one, *, proving: Proving | None = None
) -> Iterator[Client]:
    """A client of a host that has a memory journal, and runners that follow a script."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="host")
    thread.start()

    def inside(make: Callable[[], _T]) -> _T:
        made: Future[_T] = Future()
        loop.call_soon_threadsafe(lambda: made.set_result(make()))
        return made.result(60)

    world = inside(lambda: World(clock=SystemClock(), script=script))
    try:
        hosts = LocalHosts(inside(world.host), loop)
        with ray_client(hosts=hosts, blobs=FileBlobStore(folder), proving=proving) as client:
            yield client
    finally:
        asyncio.run_coroutine_threadsafe(world.close(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(60)
        loop.close()
