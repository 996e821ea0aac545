"""Real runners, as plain processes, below a short folder; and a pool that gathers its reports."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
import textwrap
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import uvloop

from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.pool import RunnerPool
from heliostat.actors.dispatch.processes import ProcessFactory
from heliostat.actors.dispatch.protocol import Assignment, Noticed, Report, StepCode
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.plan.plan import Resources
from heliostat.engine.values import Value
from tests.leftovers import naming

DEPLOYMENT = "test"

ON_BOTH_LOOPS = ("test_called.py", "test_local_lane.py")
"""What lanes do with a loop: readers, writers, timers. The rest only calls lanes."""


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Ray runs its async actors on uvloop where that is installed, else on asyncio's own loop."""
    loops = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return loops if item.path.name in ON_BOTH_LOOPS else {"uvloop": loops["uvloop"]}


STEPS = """
    import asyncio, ctypes, os, signal, sys, time

    def tiny(x=0):
        return {"x": x + 1}

    def nap(seconds, x=0):
        time.sleep(seconds)
        return x

    def doze(seconds):
        # Holds no GIL and hears no signal: nothing in Python can interrupt it.
        ctypes.CDLL(None).usleep(int(seconds * 1_000_000))
        return "woke"

    def hold(seconds):
        # Keeps the interpreter to itself: no other thread of the process runs meanwhile.
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
        return "woke"

    def where():
        return os.getpid()

    def die():
        os._exit(3)

    def segfault():
        ctypes.string_at(0)

    def mark(path, seconds=0):
        with open(path, "a") as file:
            file.write("x")
        time.sleep(seconds)
        return len(open(path).read())
"""


class Host:
    """A pool, and everything that it reported, in order."""

    def __init__(
        self,
        factory: ProcessFactory,
        incarnation: str,
        bounds: DispatchBounds,
        shard_count: int = 0,
    ) -> None:
        self.reports: list[Report] = []
        self.notices: list[Noticed] = []
        self._heard = asyncio.Event()
        self.pool = RunnerPool(
            factory,
            self._take,
            deployment=DEPLOYMENT,
            incarnation=incarnation,
            bounds=bounds,
            shard_count=shard_count,
        )

    def _take(self, reports: Sequence[Report]) -> None:
        for report in reports:
            if isinstance(report, Noticed):
                self.notices.append(report)
            else:
                self.reports.append(report)
        self._heard.set()

    async def hear(self, count: int, *, within: float = 60) -> list[Report]:
        """The first `count` reports; fails when they do not come."""
        await self.until(lambda: len(self.reports) >= count, within=within)
        return self.reports

    def has_noticed(self, step: Assignment) -> bool:
        """Whether this very attempt was told to have begun; on a busy machine others are too."""
        return any((notice.key, notice.at) == (step.key, step.at) for notice in self.notices)

    async def until(self, condition: Callable[[], bool], *, within: float = 60) -> None:
        async with asyncio.timeout(within):
            while not condition():
                self._heard.clear()
                try:
                    async with asyncio.timeout(0.05):
                        await self._heard.wait()
                except TimeoutError:
                    pass

    def acknowledge_all(self) -> None:
        self.pool.acknowledge([(report.key, report.at) for report in self.reports])


class Looks:
    """Each look of a pool after its runners, and what it is told of the cluster."""

    def __init__(self) -> None:
        self.count = 0
        self.demand_waits = False

    async def look(self, _: ProcessFactory) -> bool:
        self.count += 1
        return self.demand_waits

    async def several(self, host: Host, times: int = 4) -> None:
        """Wait until it has looked again and again, and might have done something."""
        enough = self.count + times
        await host.until(lambda: self.count >= enough, within=60)


class Workshop:
    """A folder with code, blobs and sockets; makes hosts and assignments."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.code = root / "code"
        self.code.mkdir()
        self.blobs = FileBlobStore(root / "blobs")
        self.hosts: list[Host] = []
        self.pids: set[int] = set()
        self._count = 0
        self.write("steps", STEPS)

    def write(self, module: str, source: str) -> None:
        (self.code / f"{module}.py").write_text(textwrap.dedent(source))

    async def host(
        self,
        incarnation: str = "a",
        *,
        recover: bool = False,
        owner: str = "0",
        shard_count: int = 0,
        orphan_ms: int | None = None,
        **bounds: Any,
    ) -> Host:
        factory = ProcessFactory(
            deployment=DEPLOYMENT,
            folder=self.root / "s",
            blobs=self.root / "blobs",
            code=[str(self.code)],
            secrets_file=str(self.root / "secrets.toml"),
            owner=owner,
            orphan_ms=orphan_ms,
        )
        host = Host(
            factory, incarnation, DispatchBounds(**{"runners_max": 1} | bounds), shard_count
        )
        self.hosts.append(host)
        if not recover:
            host.pool.start()
            await host.until(lambda: self._ready(host) >= 1)
        return host

    def _ready(self, host: Host) -> int:
        self.pids |= {lane.pid for lane in host.pool.lanes if lane.pid is not None}
        return sum(lane._greeted for lane in host.pool.lanes)

    def pid(self, host: Host) -> int:
        (pid,) = [lane.pid for lane in host.pool.lanes]
        assert pid is not None
        self.pids.add(pid)
        return pid

    def step(
        self,
        function: str,
        *,
        input: Value = None,
        alone: bool = False,
        attempt: int = 1,
        execution: str | None = None,
        **code: Any,
    ) -> Assignment:
        """An attempt at `module:function`; the module is `steps` when none is named."""
        self._count += 1
        target = function if ":" in function else f"steps:{function}"
        bundle = code.pop("code", None)
        return Assignment(
            key=ExecutionKey("default", execution or f"e{self._count}"),
            at=Address(1, 0, 1, attempt),
            code=StepCode(
                key=f"{target}|{bundle}|{sorted(code)}",
                step_id="step",
                target=target,
                code=bundle,
                resources=Resources(),
                **code,
            ),
            input=input,
            alone=alone,
        )

    async def close(self) -> None:
        for host in self.hosts:
            self._ready(host)
            await host.pool.close()
        for path in (self.root / "s").glob("*.sock"):
            path.unlink()
        # Also those that came in place of one that died: nobody greeted them.
        for pid in {*self.pids, *naming(self.root)}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not `tmp_path`: its names are too long for sockets.
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    looks = Looks()
    # A function, so that it is a method there.
    monkeypatch.setattr(ProcessFactory, "demand_waits", lambda factory: looks.look(factory))
    return looks


@pytest.fixture
async def workshop(folder: Path) -> AsyncIterator[Workshop]:
    workshop = Workshop(folder)
    yield workshop
    await workshop.close()
