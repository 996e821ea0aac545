"""One attempt, from the step's code and input to the report of its end.

The outer edge of user code: whatever it raises, `SystemExit` included, is recorded here as the
attempt's failure. Used by runners, and by the Ray tasks of the launcher.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from heliostat.actors.dispatch.frames import encode_value
from heliostat.actors.dispatch.protocol import Raised, StepCode
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.protocol import BlobStore
from heliostat.engine.values import Value, decoder

from .arguments import ArgumentError
from .builtin import TARGETS, Around
from .calling import Caller
from .capture import Capture
from .current import Current, enter
from .encoding import Encoded, encode
from .extracts import extracts
from .failures import failure_of
from .functions import Functions
from .modules import Modules
from .objects import read_all
from .secrets import Scrubber, Secrets

_READ_ONLY: Final = "read-only"
_COPY_FIRST: Final = (
    " (arrays and frames that a step gets are shared with other processes: change a copy, as of"
    " `table.copy()`)"
)


class _Returned(Struct, kw_only=True, omit_defaults=True):
    """`Returned`, whose output is encoded already."""

    key: ExecutionKey
    at: Address
    output: Raw
    output_bytes: int
    extracts: dict[str, Value] | None
    started_at_ms: int
    elapsed_ms: int
    runner: str
    stdout: str | None = None
    stderr: str | None = None


class Ended(Struct, frozen=True):
    """An attempt's report, encoded once: it is sent as often as it takes."""

    returned: bool  # else it is a `Raised`
    report: Raw
    spent_us: int


class Attempts:
    """Makes attempts in the calling thread, one after another."""

    def __init__(
        self, *, runner: str, blobs: BlobStore, modules: Modules, secrets: Secrets | None = None
    ) -> None:
        self._runner, self._blobs = runner, blobs
        self._modules, self._functions = modules, Functions(modules)
        self._secrets = secrets if secrets is not None else Secrets()
        self._scrubber: Scrubber | None = None  # of the attempt being made
        self._caller = Caller()
        self._capture = Capture()
        self._saw_blob = False
        self._decode = decoder_telling(self._tell_blob)

    def make(self, code: StepCode, input: Raw, current: Current) -> Ended:
        """Call the step's function; never raises."""
        key, at = current._where
        started_at_ms = time.time_ns() // 1_000_000
        began = time.perf_counter_ns()
        self._scrubber = None
        self._capture.begin()
        enter(current)
        try:
            result, found = self._result(code, input, current)
        except BaseException as error:  # noqa: BLE001  # the outer edge of user code
            spent_us = (time.perf_counter_ns() - began) // 1_000
            stdout, stderr = self._printed()
            return self._raised(code, key, at, error, started_at_ms, spent_us, stdout, stderr)
        spent_us = (time.perf_counter_ns() - began) // 1_000
        stdout, stderr = self._printed()
        report = encode_value(
            _Returned(
                key=key,
                at=at,
                output=Raw(result.packed),
                output_bytes=result.bytes,
                extracts=found,
                started_at_ms=started_at_ms,
                elapsed_ms=spent_us // 1_000,
                runner=self._runner,
                stdout=stdout,
                stderr=stderr,
            )
        )
        return Ended(True, Raw(report), spent_us)

    def close(self) -> None:
        """Let go of what user code shared, where the process goes on."""
        self._caller.close()

    def _result(
        self, code: StepCode, input: Raw, current: Current
    ) -> tuple[Encoded, dict[str, Value] | None]:
        prepared = self._functions.find(code)
        self._saw_blob = False
        value = self._decode(input)
        if code.target in TARGETS:
            value = self._introduce(code, value, current)
        if self._saw_blob:
            value = read_all(value, self._blobs)
        returned = self._caller.call(prepared.call, prepared.signature.bind(value), current)
        if self._scrubber is not None:
            returned = self._scrubber.tree(returned)
        namespace = current.namespace
        result = encode(
            returned, namespace=namespace, blobs=self._blobs, write=prepared.signature.write
        )
        if not code.reads or not result.outside:
            return result, None
        return result, extracts(
            code.reads, result, lambda content: self._blobs.put(namespace, content)
        )

    def _introduce(self, code: StepCode, input: Value, current: Current) -> Value:
        """Secrets in their places, for one of our own functions, and what it is told beside."""
        opened, self._scrubber = self._secrets.open(input)
        current.around = Around(
            folders=self._modules.folders(code.code),
            timeout_ms=code.timeout_ms,
            scrub=str if self._scrubber is None else self._scrubber.text,
        )
        return opened

    def _printed(self) -> tuple[str | None, str | None]:
        stdout, stderr = self._capture.end()
        if self._scrubber is None:
            return stdout, stderr
        return self._scrubbed(stdout), self._scrubbed(stderr)

    def _scrubbed(self, text: str | None) -> str | None:
        return text if text is None or self._scrubber is None else self._scrubber.text(text)

    def _raised(
        self,
        code: StepCode,
        key: ExecutionKey,
        at: Address,
        error: BaseException,
        started_at_ms: int,
        spent_us: int,
        stdout: str | None,
        stderr: str | None,
    ) -> Ended:
        if isinstance(error, ArgumentError):
            failure = error.failure(code.step_id, at.attempt)
        else:
            failure = failure_of(
                error,
                step_id=code.step_id,
                attempt=at.attempt,
                stdout=stdout,
                stderr=stderr,
                shipped=self._modules.shipped,
            )
        if self._saw_blob and isinstance(error, ValueError) and _READ_ONLY in failure.message:
            failure = msgspec.structs.replace(failure, message=failure.message + _COPY_FIRST)
        if self._scrubber is not None:
            failure = msgspec.structs.replace(
                failure,
                message=self._scrubber.text(failure.message),
                traceback=self._scrubbed(failure.traceback),
            )
        report = Raised(
            key=key,
            at=at,
            failure=failure,
            started_at_ms=started_at_ms,
            elapsed_ms=spent_us // 1_000,
            runner=self._runner,
        )
        return Ended(False, Raw(encode_value(report)), spent_us)

    def _tell_blob(self) -> None:
        self._saw_blob = True


def decoder_telling(tell: Callable[[], None]) -> Callable[[Raw], Any]:
    """Decodes values, and tells when one holds a leaf that must be looked up."""
    leaf = decoder(sealed=True).ext_hook
    assert leaf is not None

    def hook(code: int, data: memoryview) -> Any:
        tell()
        return leaf(code, data)

    return msgspec.msgpack.Decoder(ext_hook=hook).decode
