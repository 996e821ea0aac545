"""Whether a history is a run of its plan: each event is a step of the plan's token game, or not.

`Conformance` is incremental: it follows the events of one execution as they are committed, and
costs the same in a short and a long history. What it needs of them is where they happened and what
they opened; it evaluates no expression and reads no value, so that which of several ways a
condition chose, and what was computed, is beyond it.

An execution that was tried again or moved to another version goes on from a marking that only the
kernel knows: `lost` is then set, and `restored.py` makes the marking from the kernel's state.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.kernel import events as e
from heliostat.engine.kernel.events import ExecutionStarted, StepCompleted
from heliostat.engine.monitor import attempts, executions, scopes, visits
from heliostat.engine.monitor.frequent import completed, started
from heliostat.engine.monitor.marking import (
    Marking,
    Unfit,
)
from heliostat.engine.monitor.tables import Tables

_OWN_MISTAKES: Final = (LookupError, AssertionError, AttributeError, TypeError, ValueError)

_FOLLOW: Final[dict[type[Any], Callable[[Marking, Any], None]]] = {
    **executions.FOLLOW,
    **visits.FOLLOW,
    **attempts.FOLLOW,
    **scopes.FOLLOW,
}


class Conformance:
    """Follows one execution."""

    __slots__ = ("_tables", "fault", "lost", "marking", "seq")

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self.marking = Marking(tables.plan)
        self.seq = 0
        """Of the last event that was followed."""
        self.lost = False
        """The marking is not known: `restored.marking_of` says how it goes on."""
        self.fault: str | None = None
        """A mistake of this check itself, by which it was lost: no event is refused for that."""

    def go_on(self, tables: Tables, marking: Marking, seq: int) -> None:
        """Follow from a marking that is known otherwise, as it is after event `seq`."""
        self._tables, self.marking, self.seq, self.lost = tables, marking, seq, False

    def follow(self, events: Iterable[e.ExecutionEvent]) -> None:
        """Play events, each as a step of the token game.

        Raises:
            HistoryMisfit: one of them does not fit. The marking is of no use then.
        """
        tables, marking = self._tables, self.marking
        for event in events:
            self.seq += 1
            if self.lost:
                continue
            kind = type(event)
            if kind is StepCompleted:
                if completed(tables, marking, event):  # type: ignore[arg-type]  # by `kind`
                    continue
            elif kind is ExecutionStarted and started(tables, marking, event):  # type: ignore[arg-type]  # by `kind`
                continue
            try:
                _FOLLOW[kind](marking, event)
            except Unfit as unfit:
                raise self._misfit(event, str(unfit)) from None
            except _OWN_MISTAKES as error:
                self.lost = True
                self.fault = f"event {self.seq}: {type(error).__name__}: {error}"
            if kind is e.ExecutionRetried or kind is e.ExecutionMigrated:
                self.lost = True

    def _misfit(self, event: e.ExecutionEvent, why: str) -> HistoryMisfit:
        name = str(type(event).__struct_config__.tag)
        at = getattr(event, "at", None)
        step = None
        if at is not None and 0 <= at.step < len(self.marking.plan.steps):
            step = self.marking.plan.steps[at.step].id
        return HistoryMisfit(self.seq, name, step, why)
