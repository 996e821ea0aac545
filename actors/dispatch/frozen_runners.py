"""Ends runners whose process somebody stopped: they hold up their attempts for ever.

That is not silence: the kernel tells a stopped process from one that is busy.
"""

from __future__ import annotations

from collections.abc import Sequence

from .lane import Lane


class FrozenRunners:
    """How long each has been stopped with attempts in it."""

    def __init__(self, *, bound_ms: int) -> None:
        self._bound_ms = bound_ms
        self._since: dict[Lane, float] = {}

    def look(self, lanes: Sequence[Lane], now: float) -> None:
        """End those that were stopped for too long; called every now and then."""
        for lane in lanes:
            if not lane.unfinished or not lane.is_frozen:
                self._since.pop(lane, None)
            elif now - self._since.setdefault(lane, now) >= self._bound_ms / 1_000:
                lane.kill("it was stopped (SIGSTOP) with attempts in it")
        self._since = {lane: at for lane, at in self._since.items() if lane in lanes}
