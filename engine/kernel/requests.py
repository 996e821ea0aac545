"""What reaches an execution from others: signals, events, the ends of its children.

As in `steering.py`, an id makes a repetition known, and what cannot be followed is refused.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import expression_failure
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.decide import ended
from heliostat.engine.kernel.events import (
    AttemptEnded,
    EventKept,
    Failure,
    SignalKept,
)
from heliostat.engine.kernel.flow import attempt_failed, complete, fail
from heliostat.engine.kernel.handlers import handle
from heliostat.engine.kernel.looking import settle_matters
from heliostat.engine.kernel.result import Result
from heliostat.engine.kernel.state import Buffered, Visit
from heliostat.engine.kernel.stimuli import (
    ChildEnded,
    EventArrived,
    Signal,
)
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.waits import open_waits, takes, wait_output
from heliostat.engine.plan.plan import StepPlan

SIGNALS_KEPT_MAX: Final = 1_000
"""Signals that wait for a `wait`; one more is refused, before it is acknowledged."""

EVENTS_KEPT_MAX: Final = 1_000
"""Events that wait for a `wait`; the oldest makes room for one more, visibly."""

EVENT_KEPT_MS: Final = 24 * 3_600_000
"""How long an event that came early is kept."""


# -- signals and events


def on_signal(turn: Turn, stimulus: Signal) -> None:
    """A signal goes to the oldest wait that takes it, or is kept for the first that will."""
    plan, state = turn.plan, turn.state
    if turn.knows(stimulus.message_id):
        return
    if state.ended:
        turn.refuse("CONFLICT", f"the execution is {state.status}, nothing waits for a signal")
        return
    came = Buffered(
        id=stimulus.message_id, name=stimulus.name, data=stimulus.data, at_ms=turn.now_ms
    )
    for at, step in open_waits(plan, state, "signal", stimulus.name):
        if _deliver(turn, at, step, "signal", came):
            return
    if state.signals_kept >= SIGNALS_KEPT_MAX:
        turn.refuse(
            "OVERLOADED",
            f"{SIGNALS_KEPT_MAX} signals wait already that nothing has taken; try again later",
        )
        turn.taken.clear()
        return
    turn.emit(
        SignalKept(
            at_ms=turn.now_ms,
            message_id=stimulus.message_id,
            name=stimulus.name,
            data=stimulus.data,
        )
    )


def on_event(turn: Turn, stimulus: EventArrived) -> None:
    """An event goes to every handler and every open wait that takes it; if no wait does, it is
    kept for a time, should the plan wait for its type."""
    plan, state = turn.plan, turn.state
    if turn.knows(stimulus.event_id) or state.ended or not state.seq:
        return
    came = Buffered(
        id=stimulus.event_id,
        name=stimulus.name,
        data=stimulus.data,
        at_ms=stimulus.published_at_ms,
        correlation_id=stimulus.correlation_id,
    )
    if stimulus.name in plan.handled:
        for handler in plan.handlers:
            if handler.event == stimulus.name and not state.ended:
                handle(turn, handler, came)
                settle_matters(turn)
    delivered = False
    for at, step in list(open_waits(plan, state, "event", stimulus.name)):
        if state.visit_at(at) is not None and _deliver(turn, at, step, "event", came):
            delivered = True
            settle_matters(turn)
    if delivered or stimulus.name not in plan.awaited or state.ended:
        return
    dropped = () if state.events_kept < EVENTS_KEPT_MAX else (_oldest_event(turn),)
    turn.emit(
        EventKept(
            at_ms=turn.now_ms,
            event_id=stimulus.event_id,
            name=stimulus.name,
            data=stimulus.data,
            published_at_ms=stimulus.published_at_ms,
            expires_at_ms=stimulus.published_at_ms + EVENT_KEPT_MS,
            dropped=dropped,
            correlation_id=stimulus.correlation_id,
        )
    )


def _oldest_event(turn: Turn) -> str:
    kept = (event for events in turn.state.events.values() for event in events)
    return min(kept, key=lambda event: event.at_ms).id


def _deliver(turn: Turn, at: Address, step: StepPlan, kind: str, came: Buffered) -> bool:
    """Give an open wait what came, if one of its alternatives takes it."""
    scope = turn.state.scopes[at.scope]
    context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms).seeded(at, "where")
    for alternative in step.alternatives:
        try:
            if not takes(alternative, "signal" if kind == "signal" else "event", came, context):
                continue
        except ExpressionError as error:
            fail(turn, at, expression_failure(error, step), Result(message_id=came.id))
            return True
        output = wait_output(alternative, came.data, came.at_ms)
        complete(turn, at, Result(output=output, message_id=came.id))
        return True
    return False


# -- children


def on_child_ended(turn: Turn, stimulus: ChildEnded) -> None:
    """The execution that a `sub_workflow` step started has reached its end."""
    turn.taken.append(stimulus.message_id)
    at = stimulus.at
    visit = turn.state.visit_at(at)
    if visit is None or visit.child is None or visit.attempt != at.attempt:
        return
    if visit.phase == "stopping":
        returned = stimulus.status == "Completed"
        over = AttemptEnded(
            at_ms=turn.now_ms,
            at=at,
            returned=returned,
            output=stimulus.output,
            output_bytes=stimulus.output_bytes,
            extracts=stimulus.extracts,
        )
        ended(turn, over)
    elif visit.phase != "child":
        return
    elif stimulus.status == "Completed":
        result = Result(
            output=stimulus.output,
            output_bytes=stimulus.output_bytes,
            extracts=stimulus.extracts,
            message_id=stimulus.message_id,
        )
        complete(turn, at, result)
    else:
        failure = _failure_of_child(visit, stimulus)
        attempt_failed(turn, at, failure, Result(message_id=stimulus.message_id))


def _failure_of_child(visit: Visit, stimulus: ChildEnded) -> Failure:
    """What a child failed with: its parent's clauses know it by the same names."""
    inner = stimulus.failure
    if stimulus.status == "Canceled" or inner is None:
        return Failure(type="Canceled", message=f"execution {visit.child!r} was canceled")
    return Failure(
        type=inner.type,
        message=f"execution {visit.child!r} failed: {inner.message}",
        mro=(*inner.mro, "ChildFailed"),
    )
