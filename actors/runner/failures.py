"""What user code raised, as bounded text: hosts and clients never see an exception object."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from heliostat.engine.kernel.events import Failure

from .builtin import BuiltinError

MESSAGE_CHARS_MAX: Final = 8 * 1024
TRACEBACK_CHARS_MAX: Final = 16 * 1024
"""Failures are journaled: an error may not make a history expensive to load."""

FRAMES_MAX: Final = 64
"""Of one traceback, the innermost ones."""

OUT_OF_MEMORY: Final = "OutOfMemory"
"""The reserved name under which a definition catches a `MemoryError`."""

_OURS: Final = str(Path(__file__).parent)


def failure_of(
    error: BaseException,
    *,
    step_id: str,
    attempt: int,
    stdout: str | None = None,
    stderr: str | None = None,
    shipped: Path | None = None,
) -> Failure:
    """The error as data. Never raises, whatever the error's own methods do.

    Args:
        shipped: where the modules of the version are unpacked: a traceback names those by their
            paths in there, for nobody knows the folder.
    """
    names = tuple(kind.__name__ for kind in type(error).__mro__ if kind is not object)
    if isinstance(error, MemoryError):
        names = (OUT_OF_MEMORY, *names)
    return Failure(
        type=names[0],
        message=_message(error),
        mro=names,
        step=step_id,
        attempt=attempt,
        traceback=None if isinstance(error, BuiltinError) else _traceback(error, shipped),
        stdout=stdout,
        stderr=stderr,
    )


def _message(error: BaseException) -> str:
    try:
        text = str(error)
    except BaseException as second:  # noqa: BLE001  # a user's __str__ may raise anything
        text = f"<str() of this {type(error).__name__} raised {type(second).__name__}>"
    return _bounded(text, MESSAGE_CHARS_MAX)


def _traceback(error: BaseException, shipped: Path | None) -> str | None:
    try:
        told = traceback.TracebackException(
            type(error), error, _users(error.__traceback__), limit=-FRAMES_MAX, compact=True
        )
        text = "".join(told.format())
        if shipped is not None:
            text = text.replace(f'File "{shipped}/', 'File "')
        return _bounded(text, TRACEBACK_CHARS_MAX)
    except BaseException as second:  # noqa: BLE001  # a user's __repr__ or __notes__ as well
        return f"<the traceback could not be written: {type(second).__name__}>"


def _users(frames: TracebackType | None) -> TracebackType | None:
    """The frames from the user's function on; all of them where none is the user's."""
    frame = frames
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_OURS):
        frame = frame.tb_next
    return frame if frame is not None else frames


def _bounded(text: str, chars: int) -> str:
    """Head and tail of a long text; lone surrogates, which cannot travel, become `?`."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    if len(text) <= chars:
        return text
    head, tail = chars // 4, chars - chars // 4
    return f"{text[:head]}\n[… {len(text) - chars:,} characters left out …]\n{text[-tail:]}"
