"""Keeps progress reports small and rare: they are for eyes."""

from __future__ import annotations

import time
from typing import Any, Final

import msgspec

from heliostat.engine.values import Value

from .encoding import natural

PAUSE_S: Final = 0.1
"""Between two reports of a runner; what comes in between is dropped, as nobody could read it."""

PROGRESS_BYTES_MAX: Final = 4 * 1024
"""Of one report; a larger one is reported without its data."""


class ProgressLimit:
    """Admits progress as often and as large as a watcher can use."""

    def __init__(self) -> None:
        self._next_at = 0.0

    def admit(self, progress: Any) -> Value:
        """What to send in a mapping of its own; None for nothing."""
        now = time.monotonic()
        if now < self._next_at:
            return None
        self._next_at = now + PAUSE_S
        try:
            plain = msgspec.to_builtins(progress, enc_hook=_plain, str_keys=True)
            size = len(msgspec.msgpack.encode(plain))
        except Exception:  # noqa: BLE001  # a heartbeat never breaks the work it tells of
            return {"progress": None}
        return {"progress": plain if size <= PROGRESS_BYTES_MAX else None}


def _plain(leaf: Any) -> Any:
    plain = natural(leaf)
    return plain if plain is not leaf else type(leaf).__name__
