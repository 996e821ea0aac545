"""A deployment in this process: a real host and the page's functions, without Ray or processes.

What runs is the kernel, the host, its journal (in memory) and the user's code; what is missing are
runners, so that threads stand in for them. A host that goes down and comes up again is another
incarnation on the same journal. `tests/serve/test_page.py` has the rest of the way.
"""

from __future__ import annotations

import asyncio
import io
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

from heliostat.actors.client.client import Client
from heliostat.actors.client.opening import ray_client
from heliostat.actors.dispatch.protocol import Assignment, Raised, Report, Returned
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.runner.current import Current, enter
from heliostat.actors.runner.failures import failure_of
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.memory import MemoryJournal
from tests.client.inprocess import LocalHosts
from tests.host.support import HOLD, Runners, World

THREADS: Final = 4
"""Attempts at once."""


class LocalDeployment:
    """Hosts of one journal, one after the other."""

    def __init__(self, folder: Path, code: Sequence[Path]) -> None:
        self._folder = folder
        self._journal = MemoryJournal()
        for each in code:
            if str(each) not in sys.path:
                sys.path.insert(0, str(each))
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="host", daemon=True).start()
        self._up = ExitStack()

    def up(self, namespace: str) -> Client:
        """A client of a new incarnation of the host."""
        world: World = self._inside(self._world)
        self._up.callback(self._end, world)
        hosts = LocalHosts(self._inside(world.host), self._loop)
        client = ray_client(hosts=hosts, blobs=FileBlobStore(self._folder), namespace=namespace)
        return self._up.enter_context(client)

    def down(self) -> None:
        self._up.close()

    def _world(self) -> World:
        world = World(journal=self._journal, clock=SystemClock())
        world.runners = Workers(self._loop)
        return world

    def _end(self, world: World) -> None:
        asyncio.run_coroutine_threadsafe(world.close(), self._loop).result(60)

    def _inside(self, make: Any) -> Any:
        made: Future[Any] = Future()
        self._loop.call_soon_threadsafe(lambda: made.set_result(make()))
        return made.result(60)


class Workers(Runners):
    """Attempts call the function that the definition names, in threads."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(lambda assignment: HOLD)
        self._loop = loop
        self._threads = ThreadPoolExecutor(THREADS, "worker")

    def send(self, assignments: Sequence[Assignment]) -> None:
        new = [each for each in assignments if (each.key, each.at) not in self.running]
        super().send(new)
        for each in new:
            self._threads.submit(self._make, each)

    def _make(self, assignment: Assignment) -> None:
        report = _made(assignment)
        self._loop.call_soon_threadsafe(self._hand_in, assignment.key, assignment.at, report)

    def _hand_in(self, key: ExecutionKey, at: Address, report: Report) -> None:
        if self.running.pop((key, at), None) is not None:
            self._report(report)


def _made(assignment: Assignment) -> Report:
    module, name = assignment.code.target.split(":")
    step, at = assignment.code.step_id, assignment.at
    began = time.time()
    output, error = None, None
    with _printing() as printed:
        try:
            enter(Current(assignment.key, at, step, lambda *_: None))
            function = getattr(_loaded(module), name)
            output = function(**(assignment.input or {}))
        except Exception as raised:  # noqa: BLE001 - a user's function raises what it likes
            error = raised.with_traceback(raised.__traceback__ and raised.__traceback__.tb_next)
    facts: dict[str, Any] = {
        "key": assignment.key,
        "at": at,
        "started_at_ms": int(began * 1000),
        "elapsed_ms": int((time.time() - began) * 1000),
        "runner": "worker",
    }
    if error is not None:
        failure = failure_of(error, step_id=step, attempt=at.attempt, **printed)
        return Raised(failure=failure, **facts)
    return Returned(output=output, output_bytes=8, extracts=None, **printed, **facts)


class _Plainly(SourceFileLoader):
    """Loads a module whose tracebacks say `office.py`, wherever it lies on this machine."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return compile(self.get_data(path), Path(path).name, "exec", dont_inherit=True)


@cache
def _loaded(name: str) -> ModuleType:
    found = find_spec(name)
    assert found is not None
    assert found.origin is not None
    spec = spec_from_loader(name, _Plainly(name, found.origin))
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    _Plainly(name, found.origin).exec_module(module)
    return module


class _PerThread(io.TextIOBase):
    """Standard output as it was, but for threads that keep what they print."""

    kept = threading.local()

    def __init__(self, name: str, was: Any) -> None:
        self.name, self.was = name, was

    def write(self, text: str) -> int:
        kept: io.StringIO | None = getattr(self.kept, self.name, None)
        return int((kept or self.was).write(text))

    def flush(self) -> None:
        self.was.flush()


@contextmanager
def _printing() -> Iterator[dict[str, str | None]]:
    """What this thread prints; whole when the block is left."""
    printed: dict[str, str | None] = {}
    own = {name: io.StringIO() for name in ("stdout", "stderr")}
    for name, kept in own.items():
        # Looked at each time: pytest puts its own in between tests.
        if not isinstance(getattr(sys, name), _PerThread):
            setattr(sys, name, _PerThread(name, getattr(sys, name)))
        setattr(_PerThread.kept, name, kept)
    try:
        yield printed
    finally:
        for name, kept in own.items():
            setattr(_PerThread.kept, name, None)
            printed[name] = kept.getvalue() or None
