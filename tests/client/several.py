"""A client of several real hosts in this process, that come, go and die; see `inprocess.py`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from heliostat.actors import names
from heliostat.actors.calls import pack
from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.opening import ray_client
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import DrainRequest
from heliostat.engine.journal.blobs import FileBlobStore
from tests.client.inprocess import InProcess
from tests.host.support import Script, World, plus_one, serving

_T = TypeVar("_T")

BOUND_S = 60.0


class Several:
    """A world on a thread of its own, its hosts by their index."""

    def __init__(self, script: Script) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="hosts")
        self._thread.start()
        self.world: World = self.inside(lambda: World(clock=SystemClock(), script=script))
        self.hosts: dict[str, ExecutionHost] = {}

    def inside(self, make: Callable[[], _T]) -> _T:
        """Run something on the hosts' thread."""
        made: Future[_T] = Future()
        self.loop.call_soon_threadsafe(lambda: made.set_result(make()))
        return made.result(BOUND_S)

    def join(self, index: int) -> None:
        """A host begins, or a killed one begins again."""
        name = names.host_name("local", 1, index)
        self.hosts[name] = self.inside(lambda: self.world.host(name))

    def kill(self, index: int) -> None:
        """As `kill -9`; it does not come back by itself."""
        host = self.hosts.pop(names.host_name("local", 1, index))
        self.inside(lambda: self.world.kill(host))

    def drain(self, index: int) -> None:
        """It gives up its shards, and is gone."""
        name = names.host_name("local", 1, index)
        call = self.hosts[name].drain(pack(DrainRequest()))
        asyncio.run_coroutine_threadsafe(call, self.loop).result(BOUND_S)
        del self.hosts[name]

    def shared(self) -> bool:
        """Whether every shard is served, and every host serves some."""
        served = [self.inside(lambda host=host: serving(host)) for host in self.hosts.values()]  # type: ignore[misc]  # bound now
        return all(served) and len(set().union(*served)) == 16

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self.world.close(), self.loop).result(BOUND_S)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(BOUND_S)
        self.loop.close()


@contextmanager
def several(
    folder: Path, script: Script = plus_one, *, hosts: int = 2, known: int | None = None
) -> Iterator[tuple[Several, Client]]:
    """So many hosts, and a client that knows of the first of them."""
    made = Several(script)
    try:
        for index in range(hosts):
            made.join(index)
        calls = Hosts(
            deployment="local",
            generation=1,
            hosts=hosts if known is None else known,
            call_timeout_ms=60_000,
            calls=InProcess(made.loop, made.hosts.get),
        )
        with ray_client(hosts=calls, blobs=FileBlobStore(folder)) as client:
            yield made, client
    finally:
        made.close()
