"""A client of a real host in this process: all of the way but Ray, the disk and the runners."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from heliostat.actors.calls import pack, unpack
from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.refusals import to_error
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import ResultBatch, answer
from heliostat.engine.journal.blobs import FileBlobStore
from tests.host.support import Script, World, plus_one

_T = TypeVar("_T")

_END = object()


class LocalHosts(Hosts):
    """Calls go to an event loop of another thread in place of Ray."""

    def __init__(self, host: ExecutionHost, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(deployment="local", generation=1, hosts=1, call_timeout_ms=10_000)
        self.host, self.loop = host, loop

    def _once(self, host: str, method: str, request: Any, answered: type[_T], bound_s: float) -> _T:
        arguments = () if request is None else (pack(request),)
        call = getattr(self.host, method)(*arguments)
        body = asyncio.run_coroutine_threadsafe(call, self.loop).result(bound_s)
        found = answer(body, answered)
        if isinstance(found, Refusal):
            raise to_error(found)
        return found

    def results(self, host: str, client_id: str, closing: threading.Event) -> Iterator[ResultBatch]:
        stream = self.host.results(client_id)

        async def following() -> Any:
            return await anext(stream, _END)

        try:
            while not closing.is_set():
                body = asyncio.run_coroutine_threadsafe(following(), self.loop).result(10)
                if body is _END:
                    return
                yield unpack(body, ResultBatch)
        finally:
            asyncio.run_coroutine_threadsafe(stream.aclose(), self.loop).result(10)  # type: ignore[attr-defined]  # a generator


@contextmanager
def deployment(folder: Path, script: Script = plus_one) -> Iterator[Client]:
    """A client of a host that has a memory journal, and runners that follow a script."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="host")
    thread.start()

    def inside(make: Callable[[], _T]) -> _T:
        made: Future[_T] = Future()
        loop.call_soon_threadsafe(lambda: made.set_result(make()))
        return made.result(10)

    world = inside(lambda: World(clock=SystemClock(), script=script))
    try:
        hosts = LocalHosts(inside(world.host), loop)
        with Client(hosts=hosts, blobs=FileBlobStore(folder)) as client:
            yield client
    finally:
        asyncio.run_coroutine_threadsafe(world.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
