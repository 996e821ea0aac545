"""Keeps what user code prints, per attempt and bounded; the tail is kept, as errors come last.

A process makes one attempt at a time, so that what any of its threads prints belongs to that one.
Only Python's `sys.stdout` and `sys.stderr` are kept: what C code and child processes write to the
descriptors goes to the process's own log.
"""

from __future__ import annotations

import io
import sys
from typing import Final, TextIO

KEPT_CHARS_MAX: Final = 16 * 1024
"""Of each stream and attempt: enough for an error's surroundings, small beside a journal's page."""

_OMITTED: Final = "[… the beginning is left out]\n"


class Captured(io.TextIOBase):
    """Stands in for `sys.stdout` or `sys.stderr`."""

    def __init__(self, passed_to: TextIO | None) -> None:
        self._outside = passed_to  # None where a process was started without the stream
        self._pieces: list[str] = []
        self._chars = 0
        self._cut = False
        self._inside = False
        self._bytes = _Bytes(self)

    def begin(self) -> None:
        """An attempt begins: what is written from here on is its own."""
        self._inside = True

    def end(self) -> str | None:
        """The attempt is over: what it wrote, or None."""
        self._inside = False
        if not self._pieces:
            return None
        text = "".join(self._pieces)
        cut = self._cut or len(text) > KEPT_CHARS_MAX
        self._pieces, self._chars, self._cut = [], 0, False
        return _OMITTED + text[-KEPT_CHARS_MAX:] if cut else text

    def write(self, text: str, /) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if not self._inside:
            if self._outside is not None:
                self._outside.write(text)
            return len(text)
        # Lone surrogates cannot travel; the rest of what was printed can.
        self._pieces.append(text.encode("utf-8", "replace").decode("utf-8"))
        self._chars += len(text)
        if self._chars > 4 * KEPT_CHARS_MAX:
            kept = "".join(self._pieces)[-KEPT_CHARS_MAX:]
            self._pieces, self._chars, self._cut = [kept], len(kept), True
        return len(text)

    def flush(self) -> None:
        if self._outside is not None:
            self._outside.flush()

    def close(self) -> None:
        """Ignored: the next attempt prints too."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._outside is None:
            raise io.UnsupportedOperation("fileno")
        return self._outside.fileno()

    def isatty(self) -> bool:
        return False

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        return "utf-8"

    @property
    def buffer(self) -> _Bytes:
        """For `sys.stdout.buffer.write(…)`."""
        return self._bytes


class _Bytes(io.RawIOBase):
    def __init__(self, text: Captured) -> None:
        self._text = text

    def write(self, data: object, /) -> int:
        content = bytes(memoryview(data))  # type: ignore[arg-type]  # whatever has a buffer
        self._text.write(content.decode("utf-8", "replace"))
        return len(content)

    def writable(self) -> bool:
        return True

    def close(self) -> None:
        """Ignored, as above."""


class Capture:
    """Both streams of this process."""

    def __init__(self) -> None:
        self._out, self._err = Captured(sys.stdout), Captured(sys.stderr)
        self._install()

    def _install(self) -> None:
        sys.stdout, sys.stderr = self._out, self._err

    def begin(self) -> None:
        """An attempt begins."""
        if sys.stdout is not self._out or sys.stderr is not self._err:
            self._install()  # the attempt before replaced them and did not put them back
        self._out.begin()
        self._err.begin()

    def end(self) -> tuple[str | None, str | None]:
        """What the attempt wrote to both."""
        return self._out.end(), self._err.end()
