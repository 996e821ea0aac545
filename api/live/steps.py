"""What one step does, over all its visits, as the wire says it."""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, TypeAlias

import msgspec

from heliostat.engine.expressions.time import format_timestamp
from heliostat.engine.kernel.events import AttemptFailed, Failure, StepCompleted, StepFailed
from heliostat.engine.kernel.state import Items, Visit, VisitRef
from heliostat.engine.values import Value, to_json

Ended: TypeAlias = Literal["Completed", "Failed", "Skipped", "Canceled"]

OUTPUT_BYTES_MAX: Final = 4 * 1024
"""Of an output as JSON that is told with its step; of a larger one only its size is."""

ERROR_CHARS_MAX: Final = 2_000
"""Of an error's message; the history has it whole."""

_RUNNING: Final = frozenset(("ready", "running", "items", "body", "child", "canceling", "stopping"))
"""Phases in which something of the step goes on; in the others it waits."""

_ORDER: Final = {
    phase: place
    for place, phase in enumerate(
        (
            "running",
            "child",
            "items",
            "body",
            "stopping",
            "canceling",
            "human",
            "waiting",
            "timer",
            "backoff",
            "queued",
            "held",
            "ready",
        )
    )
}
"""Of several visits, the phase that is told: of those there are, the first here."""

_encode: Final = msgspec.json.Encoder().encode


class Counted(NamedTuple):
    """Items of a `foreach`, or branches of a parallel step."""

    total: int = 0
    active: int = 0
    completed: int = 0
    failed: int = 0
    canceled: int = 0


class _Active(NamedTuple):
    phase: str
    attempt: int
    items: Counted | None


class StepProgress:
    """A step, from the first event of its execution on."""

    __slots__ = (
        "_active",
        "_attempt",
        "_ended_at_ms",
        "_error",
        "_items",
        "_output",
        "_output_bytes",
        "_phases",
        "_seen",
        "_started_at_ms",
        "_status",
        "id",
        "visits",
    )

    def __init__(self, id: str) -> None:
        self.id = id
        self.visits = 0
        self._active: dict[VisitRef, _Active] = {}
        self._phases: dict[str, int] = {}
        self._seen: dict[VisitRef, None] = {}  # failed or withdrawn: a retry may open them again
        self._status: Ended | None = None  # of the visit that ended last
        self._attempt = 0
        self._started_at_ms: int | None = None
        self._ended_at_ms: int | None = None
        self._error: dict[str, str] | None = None
        self._output: Any = None
        self._output_bytes: int | None = None  # None: there is none
        self._items: Counted | None = None  # of the active visits, and those over since none was

    def active(self, ref: VisitRef, visit: Visit, at_ms: int) -> bool:
        """A visit is active; whether that is news."""
        now = _Active(visit.phase, visit.attempt, _counted(visit.items))
        before = self._active.get(ref)
        if now == before:
            return False
        if before is None:
            self._opened(ref, at_ms)
        else:
            self._left(before)
        self._active[ref] = now
        self._phases[now.phase] = self._phases.get(now.phase, 0) + 1
        self._attempt = now.attempt
        if now.items is not None:
            self._add(now.items, +1)
        return True

    def over(self, ref: VisitRef, status: Ended, at_ms: int) -> None:
        """A visit is active no more."""
        before = self._active.pop(ref)
        self._phases[before.phase] -= 1
        if not self._phases[before.phase]:
            del self._phases[before.phase]
        self._status, self._ended_at_ms = status, at_ms
        if status in ("Failed", "Canceled"):
            self._seen[ref] = None
        if before.items is not None and before.items.active:
            items = before.items
            self._add(items, -1)
            over = items.canceled + items.active
            self._add(items._replace(active=0, canceled=over), +1)

    def skip(self, at_ms: int) -> None:
        """It was canceled before it could start."""
        self.visits += 1
        self._status, self._ended_at_ms = "Skipped", at_ms

    def forget(self) -> bool:
        """As if it had not run, but for its visits; whether that is news."""
        if self._active or self._status is None:
            return False
        self._status = self._started_at_ms = self._ended_at_ms = None
        self._error = self._output = self._output_bytes = self._items = None
        return True

    def note(self, event: StepCompleted | StepFailed | AttemptFailed, output: Value) -> bool:
        """What came of an attempt; whether it is news."""
        failure: Failure | None
        if isinstance(event, AttemptFailed | StepFailed):
            failure = event.failure
        else:
            self._put_output(output, event.output_bytes)
            failure = event.recovered
        self._error = None
        if failure is not None:
            message = failure.message[:ERROR_CHARS_MAX]
            self._error = {"type": failure.type, "message": message}
        if event.started_at_ms is not None and not self._active and self.visits == 1:
            self._started_at_ms = event.started_at_ms  # without the time that it was queued
        return True

    def told(self) -> dict[str, Any]:
        """As the wire has it; what says nothing is left out."""
        told: dict[str, Any] = {"status": self._said_status(), "visits": self.visits}
        if self.visits:
            told["attempt"] = self._attempt
        if self._phases:
            told["phase"] = self._phase()
        if self._started_at_ms is not None:
            told["started_at"] = format_timestamp(self._started_at_ms)
        if self._ended_at_ms is not None and not self._active:
            told["ended_at"] = format_timestamp(self._ended_at_ms)
        if self._items is not None:
            told["items"] = self._items._asdict()
        if self._error is not None:
            told["error"] = self._error
        if self._output_bytes is not None:
            if self._output_bytes <= OUTPUT_BYTES_MAX:
                told["output"] = self._output
            else:
                told["output_bytes"] = self._output_bytes
        return told

    # helpers

    def _said_status(self) -> str:
        if self._phases:
            return "Running" if _RUNNING & self._phases.keys() else "Waiting"
        return "Pending" if self._status is None else self._status

    def _phase(self) -> str:
        return min(self._phases, key=lambda phase: _ORDER.get(phase, len(_ORDER)))

    def _opened(self, ref: VisitRef, at_ms: int) -> None:
        if ref in self._seen:
            del self._seen[ref]
        else:
            self.visits += 1
        if not self._active:
            self._started_at_ms, self._ended_at_ms = at_ms, None
            self._items = self._error = None
            self._output = self._output_bytes = None

    def _left(self, before: _Active) -> None:
        self._phases[before.phase] -= 1
        if not self._phases[before.phase]:
            del self._phases[before.phase]
        if before.items is not None:
            self._add(before.items, -1)

    def _add(self, items: Counted, sign: int) -> None:
        so_far = self._items or Counted()
        self._items = Counted(
            *(mine + sign * theirs for mine, theirs in zip(so_far, items, strict=True))
        )

    def _put_output(self, output: Value, bytes: int) -> None:
        self._output = None
        if output is None:
            self._output_bytes = None
            return
        if bytes > 2 * OUTPUT_BYTES_MAX:
            self._output_bytes = bytes
            return
        shown = to_json(output)
        self._output_bytes = len(_encode(shown))
        if self._output_bytes <= OUTPUT_BYTES_MAX:
            self._output = shown


def _counted(items: Items | None) -> Counted | None:
    if items is None:
        return None
    ended = items.next_index - items.in_flight
    skipped = ended - items.completed - items.failed
    return Counted(items.width, items.in_flight, items.completed, items.failed, skipped)
