"""Script steps: a program of the definition's own, in a process of its own.

- The step's `input` is one JSON text on stdin.
- The output is the last line of stdout that is not blank, read as JSON; no such line means null.
  What is printed before it, and all of stderr, is kept as other steps' prints are, bounded.
- An exit code other than 0 is `ScriptFailed`, whatever was printed.
- The environment is small: `BASE_VARIABLES` as the runner has them, the step's `env`, and
  `HELIOSTAT_IDEMPOTENCY_KEY` and `HELIOSTAT_ATTEMPT`. It holds no secret that `env` does not name.
- It starts in an empty folder, where its temporary files go too, and which is removed afterwards.
  Python can import what is installed, and the modules beside the definition.
- Nothing stays behind: what the script started and did not wait for is killed when it ends, and
  so is all of it when the runner dies (`script_guard.py`).
- An attempt that is to stop gets SIGTERM, and SIGKILL `TERM_S` later, or when the step's grace is
  over and its runner is ended. A script that then ends with exit code 0 has returned its output.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from .builtin import Around, ScriptFailed, ScriptNotStarted, ScriptOutputInvalid
from .current import Cancelled, Current, current

TERM_S: Final = 5.0
"""Between SIGTERM and SIGKILL: half of a step's usual grace."""

KILL_S: Final = 5.0
"""How long the end of what was killed is waited for, before the attempt ends without it."""

OUTPUT_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of the last line: a larger result belongs into a file or a store that both sides know."""

LINE_BYTES_MAX: Final = 64 * 1024
"""Of stderr: a longer line is kept in pieces."""

STDERR_CHARS_MAX: Final = 2 * 1024
"""Of stderr's end, in the error's message."""

BASE_VARIABLES: Final = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ")

SHELL: Final = ("/bin/sh", "-eu")

_READ_BYTES: Final = 64 * 1024
_GUARD: Final = str(Path(__file__).with_name("script_guard.py"))


def run(
    *,
    language: Literal["python", "shell"],
    source: str,
    env: Mapping[str, Any] | None = None,
    input: Any = None,
) -> Any:
    """Run a script to its end; what it printed last.

    Raises:
        ScriptNotStarted: the operating system refused.
        ScriptFailed: it ended with another exit code than 0, or by a signal.
        ScriptOutputInvalid: what it printed last is no JSON, or longer than `OUTPUT_BYTES_MAX`.
    """
    attempt = current()
    around = attempt.around
    given = _json(input)
    with tempfile.TemporaryDirectory(prefix="heliostat-", ignore_cleanup_errors=True) as folder:
        place = Path(folder)
        work = place / "work"
        work.mkdir(mode=0o700)
        script = place / ("script.py" if language == "python" else "script.sh")
        script.write_text(source, encoding="utf-8")
        command = [sys.executable, "-P"] if language == "python" else list(SHELL)
        out, err = _Output(around.scrub), _Errors(around.scrub)
        variables = _variables(env or {}, attempt, around, work)
        with _started([*command, str(script)], place, variables) as process:
            status = _Exchange(process, given, out, err).until_the_end(attempt)
    return _result(status, attempt, out, err)


def _result(status: str, attempt: Current, out: _Output, err: _Errors) -> Any:
    if status.startswith("!"):
        raise ScriptNotStarted(f"the script was not started: {status[1:]}")
    code = os.waitstatus_to_exitcode(int(status)) if status else -signal.SIGKILL
    if code != 0:
        out.keep_last()
        if attempt.cancelled:
            raise Cancelled
        raise ScriptFailed(_how(code), err.end())
    try:
        return out.value()
    except ScriptOutputInvalid:
        out.keep_last()
        raise


def _how(code: int) -> str:
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"was ended by {name}" + (" (out of memory?)" if name == "SIGKILL" else "")


def _json(input: Any) -> bytes:
    try:
        return msgspec.json.encode(input) + b"\n"
    except (TypeError, msgspec.MsgspecError, RecursionError) as error:
        raise ScriptNotStarted(
            f"the input cannot be given to a script as JSON ({error}); pass the parts that it "
            f"needs as numbers and texts, or do the work in an activity"
        ) from None


def _variables(
    env: Mapping[str, Any], attempt: Current, around: Around, work: Path
) -> dict[str, str]:
    variables = {name: os.environ[name] for name in BASE_VARIABLES if name in os.environ}
    variables.setdefault("LANG", "C.UTF-8")
    variables["TMPDIR"] = str(work)
    for name, value in env.items():
        if not name or "=" in name or "\0" in name:
            raise ScriptNotStarted(f"{name!r} in `env` can be no variable: leave out `=` and NUL")
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        if "\0" in text:
            raise ScriptNotStarted(f"the value of {name!r} in `env` holds a NUL character")
        variables[name] = text
    paths = [*filter(None, [variables.get("PYTHONPATH")]), *around.folders]
    if paths:
        variables["PYTHONPATH"] = os.pathsep.join(paths)
    variables["HELIOSTAT_IDEMPOTENCY_KEY"] = attempt.idempotency_key
    variables["HELIOSTAT_ATTEMPT"] = str(attempt.attempt)
    return variables


class _Process:
    """The guard and our ends of its pipes."""

    def __init__(self, guard: subprocess.Popen[bytes], status: int) -> None:
        self.guard, self.status = guard, status

    def signal(self, number: int) -> None:
        """To the guard, which sees to the rest; it may have ended."""
        self.guard.send_signal(number)

    def end(self) -> None:
        """Leave nothing running and nothing open, whatever happened."""
        if self.guard.poll() is None:
            self.signal(signal.SIGUSR1)
            try:
                self.guard.wait(KILL_S)
            except subprocess.TimeoutExpired:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self.guard.pid, signal.SIGKILL)
                self.guard.wait()
        os.close(self.status)
        for pipe in (self.guard.stdin, self.guard.stdout, self.guard.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):  # what was not read of stdin is not flushed
                pipe.close()


@contextlib.contextmanager
def _started(command: list[str], place: Path, variables: Mapping[str, str]) -> Iterator[_Process]:
    status, status_of_guard = os.pipe()
    guard = [sys.executable, "-I", "-S", _GUARD, str(os.getpid()), str(status_of_guard), str(place)]
    try:
        process = _Process(
            subprocess.Popen(
                [*guard, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                cwd=place / "work",
                env=variables,
                pass_fds=(status_of_guard,),
                start_new_session=True,
            ),
            status,
        )
    except (OSError, ValueError) as error:
        os.close(status)
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ScriptNotStarted(f"the script was not started: {reason}") from None
    finally:
        os.close(status_of_guard)
    try:
        yield process
    finally:
        process.end()


class _Exchange:
    """Feeds a process and listens to it until it has ended, or is to stop and does not."""

    def __init__(self, process: _Process, given: bytes, out: _Stream, err: _Stream) -> None:
        self._process, self._given = process, memoryview(given)
        self._status = b""
        self._ends_at: float | None = None  # then SIGKILL, then no more waiting
        self._killed = False
        self._open = 0  # pipes that are listened to
        self._selector = selectors.DefaultSelector()
        guard = process.guard
        assert guard.stdin is not None
        assert guard.stdout is not None
        assert guard.stderr is not None
        self._stdin = guard.stdin
        for pipe, stream in ((guard.stdout, out), (guard.stderr, err)):
            self._listen(pipe.fileno(), stream.take, stream.close)
        self._listen(process.status, self._take_status, self._guard_ended)
        os.set_blocking(self._stdin.fileno(), False)
        self._selector.register(self._stdin, selectors.EVENT_WRITE, self._feed)

    def _listen(self, pipe: int, take: Callable[[bytes], None], close: Callable[[], None]) -> None:
        os.set_blocking(pipe, False)
        self._open += 1

        def read() -> None:
            data = os.read(pipe, _READ_BYTES)
            if data:
                take(data)
                return
            self._selector.unregister(pipe)
            self._open -= 1
            close()

        self._selector.register(pipe, selectors.EVENT_READ, read)

    def until_the_end(self, attempt: Current) -> str:
        """The wait status in decimal, `!` and a reason, or nothing where the guard was killed."""
        woken, waker = socket.socketpair()
        with woken, waker, self._selector:
            waker.setblocking(False)
            self._selector.register(woken, selectors.EVENT_READ, lambda: self._stop(woken))
            attempt.interrupt_with(lambda: _wake(waker))
            try:
                while self._open and not self._is_over():
                    for key, _ in self._selector.select(self._left_s()):
                        key.data()
            finally:
                attempt.interrupt_with(None)
        return self._status.decode()

    def _left_s(self) -> float | None:
        return None if self._ends_at is None else max(0.0, self._ends_at - time.monotonic())

    def _is_over(self) -> bool:
        """Whether there is nothing more to wait for; kills in its time."""
        if self._ends_at is None or time.monotonic() < self._ends_at:
            return False
        if self._killed:
            return True
        self._kill()
        return False

    def _stop(self, woken: socket.socket) -> None:
        woken.recv(64)
        if self._ends_at is None:
            self._process.signal(signal.SIGTERM)
            self._ends_at = time.monotonic() + TERM_S

    def _kill(self) -> None:
        self._killed = True
        self._process.signal(signal.SIGUSR1)
        self._ends_at = time.monotonic() + KILL_S

    def _take_status(self, data: bytes) -> None:
        self._status += data

    def _guard_ended(self) -> None:
        """A process that the guard could not end may hold the other pipes: they get a moment."""
        self._killed = True
        self._ends_at = time.monotonic() + KILL_S

    def _feed(self) -> None:
        try:
            written = os.write(self._stdin.fileno(), self._given[:_READ_BYTES])
            self._given = self._given[written:]
        except BrokenPipeError:  # it reads no more; its exit code says whether that is well
            self._given = self._given[:0]
        if not self._given:
            self._selector.unregister(self._stdin)
            self._stdin.close()


def _wake(waker: socket.socket) -> None:
    with contextlib.suppress(OSError):  # full, or closed: the attempt is over
        waker.send(b".")


class _Stream:
    """The lines of one of a script's streams, as they come, and in pieces where they are long."""

    def __init__(self, scrub: Callable[[str], str], line_bytes_max: int) -> None:
        self._scrub, self._line_bytes_max = scrub, line_bytes_max
        self._unfinished = bytearray()
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def take(self, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._unfinished += line
            self._emit(b"\n", ended=True)
        self._unfinished += rest
        if len(self._unfinished) > self._line_bytes_max:
            self._emit(b"", ended=False)

    def close(self) -> None:
        if self._unfinished:
            self._emit(b"", ended=True)

    def _emit(self, end: bytes, *, ended: bool) -> None:
        line = bytes(self._unfinished) + end
        self._unfinished.clear()
        self.line(line, ended=ended)

    def line(self, line: bytes, *, ended: bool) -> None:
        """Take a line, or a piece of one that has not ended."""
        raise NotImplementedError

    def text(self, line: bytes, *, ended: bool) -> str:
        return self._scrub(self._decoder.decode(line, final=ended))


class _Errors(_Stream):
    """stderr: kept, and its end for the message."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__(scrub, LINE_BYTES_MAX)
        self._end = ""

    def line(self, line: bytes, *, ended: bool) -> None:
        text = self.text(line, ended=ended)
        sys.stderr.write(text)
        self._end = (self._end + text)[-4 * STDERR_CHARS_MAX :]

    def end(self) -> str:
        """What an error's message shows of it."""
        text = self._end.strip()
        return text if len(text) <= STDERR_CHARS_MAX else f"[…] {text[-STDERR_CHARS_MAX:]}"


class _Output(_Stream):
    """stdout: the last line that is not blank is held back, since it may be the output."""

    def __init__(self, scrub: Callable[[str], str]) -> None:
        super().__init__(scrub, OUTPUT_BYTES_MAX)
        self._last: bytes | None = None
        self._within_long = False
        self._last_was_long = False

    def line(self, line: bytes, *, ended: bool) -> None:
        if self._within_long or not ended or len(line) > OUTPUT_BYTES_MAX + 1:
            self.keep_last()
            sys.stdout.write(self.text(line, ended=ended))
            self._within_long, self._last_was_long = not ended, True
        elif line.strip():
            self.keep_last()
            self._last, self._last_was_long = line, False

    def keep_last(self) -> None:
        """It is no output after all, but something that was printed."""
        if self._last is not None:
            sys.stdout.write(self.text(self._last, ended=True))
            self._last = None

    def value(self) -> Any:
        """The output.

        Raises:
            ScriptOutputInvalid: there is one, and it cannot be read.
        """
        if self._last_was_long:
            raise ScriptOutputInvalid(
                f"the last line of stdout is longer than {OUTPUT_BYTES_MAX:,} bytes: write large "
                f"data to a file or a store, and print where it is"
            )
        if self._last is None:
            return None
        try:
            return msgspec.json.decode(self._last)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            shown = self.text(self._last, ended=True).strip()
            shown = shown if len(shown) <= 200 else f"{shown[:200]}…"
            raise ScriptOutputInvalid(
                f"the last line of stdout is no JSON ({error}): {shown}\nPrint the output as one "
                f"line of JSON, a text in double quotes; `null` or nothing at all is no output"
            ) from None
