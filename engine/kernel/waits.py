"""What a wait waits for: how arrivals and open waits find one another.

A signal goes to one wait, the oldest open one that takes it; an event to all that do. One that
nobody takes is kept, and found by the first later decision that opens a wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

from msgspec import Struct

from heliostat.engine.expressions import Data
from heliostat.engine.expressions.time import format_instant
from heliostat.engine.identity import Address
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.names import wait_key
from heliostat.engine.kernel.state import Buffered, ExecutionState
from heliostat.engine.plan.plan import Alternative, Plan, StepPlan
from heliostat.engine.values import Value

Kind = Literal["signal", "event"]


class Arrival(Struct, frozen=True):
    """A signal or an event that a wait takes, and the output that the wait has then."""

    id: str
    output: Value


def event_view(kind: Kind, came: Buffered) -> dict[str, Value]:
    """`$.event`, in `where` and in handlers."""
    return {
        "id": came.id,
        "kind": kind,
        "name": came.name,
        "data": came.data,
        "at": format_instant(came.at_ms),
        "correlation_id": came.correlation_id,
    }


def wait_output(alternative: Alternative, data: Value, at_ms: int) -> dict[str, Value]:
    """What a wait completes with: which alternative came first, with what, and when."""
    return {"name": alternative.name, "data": data, "at": format_instant(at_ms)}


def takes(alternative: Alternative, kind: Kind, came: Buffered, context: ScopeContext) -> bool:
    """Whether an alternative of a wait fits what came.

    Raises:
        ExpressionError: its `where` has no value.
    """
    if alternative.kind != kind or alternative.key != came.name:
        return False
    if alternative.where is None:
        return True
    context.event = event_view(kind, came)
    return alternative.where.test(context)


def open_waits(
    plan: Plan, state: ExecutionState, kind: Kind, name: str
) -> Iterator[tuple[Address, StepPlan]]:
    """The waits that are open for a signal or an event, the oldest first."""
    for scope_number, step_number, visit_number in list(state.waits.get(wait_key(kind, name), ())):
        scope = state.scopes.get(scope_number)
        visit = None if scope is None else scope.active.get((step_number, visit_number))
        if visit is not None:
            at = Address(scope_number, step_number, visit_number, visit.attempt)
            yield at, plan.steps[step_number]


def matching_arrival(
    state: ExecutionState, step: StepPlan, context: ScopeContext, taken: set[str]
) -> Arrival | None:
    """What came before a wait that opens now, the earliest that one of its alternatives takes.

    Args:
        taken: signals that other waits have taken in this decision; what is found here joins them.
    """
    if not state.signals_kept and not state.events_kept:
        return None
    found: list[tuple[int, int, Kind, Buffered, Alternative]] = []
    for number, alternative in enumerate(step.alternatives):
        if alternative.kind == "timer":
            continue
        kind: Kind = "signal" if alternative.kind == "signal" else "event"
        kept = (state.signals if kind == "signal" else state.events).get(alternative.key, ())
        for came in kept:
            if kind == "signal" and came.id in taken:
                continue
            if came.expires_at_ms is not None and came.expires_at_ms <= context.now_ms:
                continue
            if takes(alternative, kind, came, context):
                found.append((came.at_ms, number, kind, came, alternative))
                break
    context.event = None
    if not found:
        return None
    _, _, kind, came, alternative = min(found, key=lambda each: each[:2])
    if kind == "signal":
        taken.add(came.id)
    return Arrival(came.id, wait_output(alternative, came.data, came.at_ms))


def earliest_timer(
    step: StepPlan, instant_of: Callable[[Data], int]
) -> tuple[int | None, str | None]:
    """Of a wait's timers the first to come: its instant, and the alternative's name."""
    timers = [
        (instant_of(alternative.timer), alternative.name)
        for alternative in step.alternatives
        if alternative.timer is not None
    ]
    return min(timers, key=lambda timer: timer[0], default=(None, None))
