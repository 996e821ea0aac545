"""What a host counts and remembers about itself, for `info` and metrics."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING

from heliostat.actors.host.bounds import HostBounds
from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.identity import ExecutionKey

if TYPE_CHECKING:
    from heliostat.actors.host.turn import Turn

_log = logging.getLogger(__name__)

_SMOOTHING = 0.05
"""Weight of the newest of about the last twenty figures."""


class Figures:
    """Counters since the host began, means over the last turns, the last faults."""

    def __init__(self, bounds: HostBounds) -> None:
        self._bounds = bounds
        self.turns = 0
        self.stimuli = 0
        self.events = 0
        self.started = 0
        self.ended = 0
        self.notices = 0
        self.commit_ms_mean = 0.0
        self.commit_ms_max = 0.0
        self.clock_jumps = 0
        self.trouble: str | None = None
        self.ownership_trouble: str | None = None
        self.faults: deque[str] = deque(maxlen=bounds.faults)
        self.misfits: dict[ExecutionKey, str] = {}
        """Executions whose next events their plans do not allow, and why; the latest ones."""
        self._clocks: tuple[int, int] | None = None

    def turned(self, turn: Turn, commit_ms: float) -> None:
        """A turn was stored; `commit_ms` is how long that took."""
        self.turns += 1
        self.stimuli += turn.stimuli
        self.commit_ms_mean += _SMOOTHING * (commit_ms - self.commit_ms_mean)
        self.commit_ms_max = max(self.commit_ms_max, commit_ms)

    def fault(self, what: str, error: BaseException) -> None:
        """Something that should not happen did; the host goes on without what it concerned."""
        self.faults.append(f"{what}: {type(error).__name__}: {error}")

    def misfit(self, key: ExecutionKey, error: HistoryMisfit) -> None:
        """What an execution decided is none of its plan's; it does not go on here."""
        self.fault(f"execution {key} does not go on", error)
        self.misfits.pop(key, None)
        self.misfits[key] = str(error)
        if len(self.misfits) > self._bounds.faults:
            del self.misfits[next(iter(self.misfits))]

    def watch_clock(self, now_ms: int, steady_ms: int) -> int:
        """Notice a wall clock that jumps; it is used all the same: it is the journal's clock."""
        if self._clocks is not None:
            jump_ms = (now_ms - self._clocks[0]) - (steady_ms - self._clocks[1])
            if abs(jump_ms) >= self._bounds.clock_jump_ms:
                self.clock_jumps += 1
                _log.warning(
                    "the wall clock jumped by %+d ms; timers follow it, histories keep their order",
                    jump_ms,
                )
        self._clocks = (now_ms, steady_ms)
        return now_ms
