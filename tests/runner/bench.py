"""Attempts in this process: a place with code, blobs and secrets, and what is reported."""

from __future__ import annotations

import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from msgspec import Raw

from heliostat.actors.dispatch.frames import encode_value
from heliostat.actors.dispatch.protocol import Raised, Returned, StepCode
from heliostat.actors.objects.shared import SharedBlobs
from heliostat.actors.runner.attempt import Attempts
from heliostat.actors.runner.current import Current
from heliostat.actors.runner.modules import Modules
from heliostat.actors.runner.secrets import Secrets
from heliostat.engine.authoring.bundle import bundle_modules
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.values import decoder


class Bench:
    """Makes attempts at functions of a module written for the test."""

    def __init__(self, folder: Path, secrets: Mapping[str, str] | None = None) -> None:
        self.folder = folder
        (folder / "code").mkdir()
        environment = {f"HELIOSTAT_SECRET_{name}": v for name, v in (secrets or {}).items()}
        self.blobs = SharedBlobs(FileBlobStore(folder / "blobs"), None)
        modules = Modules(self.blobs, folder / "bundles", [str(folder / "code")])
        self.attempts = Attempts(
            runner="r",
            blobs=self.blobs,
            modules=modules,
            secrets=Secrets(environment=environment),
        )
        self.progress: list[Any] = []

    def write(self, name: str, source: str) -> None:
        (self.folder / "code" / f"{name}.py").write_text(textwrap.dedent(source))

    def bundle(self, source: str, name: str = "steps") -> str:
        folder = self.folder / f"bundle-{len(list(self.folder.iterdir()))}"
        folder.mkdir()
        (folder / f"{name}.py").write_text(textwrap.dedent(source))
        return self.blobs.put("default", bundle_modules(folder, [name]))

    def call(
        self,
        target: str,
        input: Any = None,
        *,
        code: str | None = None,
        attempt: int = 4,
        timeout_ms: int | None = None,
        begun: Callable[[Current], None] | None = None,
    ) -> Any:
        """Make an attempt and report; `begun` hears of it in a thread, to stop it for example."""
        at = Address(1, 2, 3, attempt)
        step = StepCode(key="k", step_id="s", target=target, code=code, timeout_ms=timeout_ms)
        told = Current(ExecutionKey("ns", "ex"), at, "s", lambda *a: self.progress.append(a[2]))
        if begun is None:
            return self._made(step, input, told)
        thread = threading.Thread(target=begun, args=(told,))
        thread.start()
        try:
            return self._made(step, input, told)
        finally:
            thread.join()

    def _made(self, step: StepCode, input: Any, told: Current) -> Any:
        ended = self.attempts.make(step, Raw(encode_value(input)), told)
        kind: Any = Returned if ended.returned else Raised
        self.recorded = bytes(ended.report)
        return decoder(kind).decode(self.recorded)


@contextmanager
def open_bench(folder: Path, secrets: Mapping[str, str] | None = None) -> Iterator[Bench]:
    """A bench that leaves this process as it was."""
    before = sys.stdout, sys.stderr, list(sys.path), set(sys.modules)
    bench = Bench(folder, secrets)
    yield bench
    bench.attempts.close()
    sys.stdout, sys.stderr, sys.path[:] = before[0], before[1], before[2]
    for name in set(sys.modules) - before[3]:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]
