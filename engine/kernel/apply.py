"""`apply`: books one fact, in place. Total and choiceless: every choice was made, and recorded, by
`decide`; nothing here evaluates an expression or looks at a plan's conditions.

A visit is closed before those that it activated are opened, so that a loop can open the visit that
it just left. What opening, settling and closing consist of is in `booking.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.booking import (
    arrive,
    close_visit,
    declaring,
    finish,
    is_item,
    keep_item_extracts,
    open_all,
    refresh_status,
    set_due,
    set_phase,
    settle_item,
    settle_step,
    visit_of,
    withdraw,
)
from heliostat.engine.kernel.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    CancelRequested,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionRedirected,
    ExecutionStarted,
    JoinReopened,
    OwnerChanged,
    RetryDue,
    ScopeClosing,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.state import (
    ROOT,
    Closing,
    ExecutionState,
    ScopeState,
    Settled,
)
from heliostat.engine.plan.plan import Plan

CANCEL_IDS_MAX: Final = 16
"""Ids of cancel requests that are remembered; one decides, the others are repetitions."""


def apply(plan: Plan, state: ExecutionState, event: ExecutionEvent) -> None:
    """Book one fact. Raises `KeyError` where it does not fit the state: the journal is corrupt."""
    state.seq += 1
    _BOOK[type(event)](plan, state, event)


def _started(plan: Plan, state: ExecutionState, event: ExecutionStarted) -> None:
    state.execution_id = event.execution_id
    state.definition, state.version = event.definition, event.version
    state.input, state.input_bytes, state.extracts = event.input, event.input_bytes, event.extracts
    state.tags = event.tags
    state.created_at_ms = event.at_ms
    state.scopes[ROOT] = ScopeState(
        number=ROOT,
        plan_scope=plan.root.number,
        variables=dict(event.variables),
        failing=event.failure,
    )
    if event.deadline_at_ms is not None:
        state.deadline_at_ms = event.deadline_at_ms
        state.add_timer(event.deadline_at_ms, 0, 0, 0, "deadline")
    open_all(plan, state, event.activated)


def _completed(plan: Plan, state: ExecutionState, event: StepCompleted) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    visit = close_visit(state, scope, at)
    if is_item(scope):
        settle_item(state, scope, visit, "Completed", event.output, event.output_bytes)
        keep_item_extracts(state, scope, event.extracts)
    else:
        settled = Settled(
            visit=at.visit,
            status="Completed",
            output=event.output,
            output_bytes=event.output_bytes,
            extracts=event.extracts,
            failure=event.recovered,
            items=visit.items,
            collected=event.collected,
        )
        settle_step(plan, scope, at, settled)
        for name, value in event.assigned.items():
            declaring(state, scope, name).variables[name] = value
        for name, value in event.appended.items():
            # A new list: the old one may be a constant of the plan, or part of a recorded input.
            variables = declaring(state, scope, name).variables
            variables[name] = [*variables[name], value]
        arrive(plan, scope, event.taken)
        if plan.steps[at.step].terminate:
            scope.terminated = True
    open_all(plan, state, event.activated)


def _skipped(plan: Plan, state: ExecutionState, event: StepSkipped) -> None:
    scope = state.scopes[event.at.scope]
    visit = close_visit(state, scope, event.at)
    if is_item(scope):
        settle_item(state, scope, visit, "Skipped", None, 0)
    else:
        settle_step(plan, scope, event.at, Settled(visit=event.at.visit, status="Skipped"))
        arrive(plan, scope, event.taken)
    open_all(plan, state, event.activated)


def _failed(plan: Plan, state: ExecutionState, event: StepFailed) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    visit = close_visit(state, scope, at)
    if is_item(scope):
        settle_item(state, scope, visit, "Failed", None, 0, event)
    else:
        # What the attempt returned: in its grace, or before `assign` or `next` failed.
        late = visit if event.output is None and event.extracts is None else event
        settled = Settled(
            visit=at.visit,
            status="Failed",
            output=late.output,
            output_bytes=late.output_bytes,
            extracts=late.extracts,
            failure=event.failure,
            items=visit.items,
            collected=event.collected,
        )
        settle_step(plan, scope, at, settled)
        arrive(plan, scope, event.taken)
        if not event.taken and not event.tolerated:
            scope.failing = event.failure
    open_all(plan, state, event.activated)


def _attempt_started(plan: Plan, state: ExecutionState, event: AttemptStarted) -> None:
    visit_of(state, event.at).started = True


def _attempt_failed(plan: Plan, state: ExecutionState, event: AttemptFailed) -> None:
    visit = visit_of(state, event.at)
    visit.failures += 1
    visit.attempt += 1
    visit.failure = visit.output = visit.extracts = None
    visit.output_bytes = 0
    visit.started = False
    state.ready.pop((event.at.scope, event.at.step, event.at.visit), None)
    set_phase(state, visit, "backoff")
    set_due(state, event.at, visit, event.retry_at_ms)


def _retry_due(plan: Plan, state: ExecutionState, event: RetryDue) -> None:
    visit = visit_of(state, event.at)
    visit.due_at_ms = None
    set_phase(state, visit, "running")


def _attempt_lost(plan: Plan, state: ExecutionState, event: AttemptLost) -> None:
    visit = visit_of(state, event.at)
    visit.attempt += 1
    visit.alone = True
    visit.counted_losses += event.counted


def _attempt_stopping(plan: Plan, state: ExecutionState, event: AttemptStopping) -> None:
    visit = visit_of(state, event.at)
    visit.failure = event.failure
    if event.failure.type == "DeadlineExceeded":
        visit.deadline_at_ms = None  # answered; its timer must not fire again
    set_phase(state, visit, "stopping")
    set_due(state, event.at, visit, event.grace_until_ms)


def _scope_closing(plan: Plan, state: ExecutionState, event: ScopeClosing) -> None:
    if event.step is None:
        state.closing = Closing(failure=event.failure, canceled=event.canceled)
        closed: Iterable[ScopeState] = list(state.scopes.values())
    else:
        assert event.visit is not None
        foreach = state.scopes[event.scope].active[event.step, event.visit]
        items = foreach.items
        assert items is not None
        items.closing, items.failure = True, event.failure
        foreach.deadline_at_ms = None  # what it bounds is settled
        numbers = range(items.first_scope, items.first_scope + items.next_index)
        closed = [state.scopes[number] for number in numbers if number in state.scopes]
    withdrawn = {(at.scope, at.step, at.visit) for at in event.withdrawn}
    for scope in closed:
        for key, visit in list(scope.active.items()):
            at = Address(scope.number, visit.step, visit.visit, visit.attempt)
            if (scope.number, *key) in withdrawn:
                visit.deadline_at_ms = visit.failure = None
                if visit.phase != "stopping":
                    set_phase(state, visit, "stopping")
                    set_due(state, at, visit, event.grace_until_ms)
            elif visit.phase == "items":
                assert visit.items is not None
                visit.items.closing = True
                visit.deadline_at_ms = None
            else:
                withdraw(plan, state, scope, at)
    if event.step is None:
        _withdraw_spent(plan, state, state.scopes[ROOT])
    refresh_status(state)


def _withdraw_spent(plan: Plan, state: ExecutionState, scope: ScopeState) -> None:
    """In a scope that closes, end each `foreach` whose items have all ended."""
    for visit in list(scope.active.values()):
        if visit.items is not None and not visit.items.in_flight:
            withdraw(plan, state, scope, Address(scope.number, visit.step, visit.visit))


def _attempt_ended(plan: Plan, state: ExecutionState, event: AttemptEnded) -> None:
    """A stopped attempt is over. If its visit goes on (a timeout before a retry), it has still to
    be settled by the event that follows in the same decision; else it is withdrawn here."""
    scope = state.scopes[event.at.scope]
    visit = scope.active[event.at.step, event.at.visit]
    visit.due_at_ms = None
    if visit.failure is not None:
        visit.output, visit.output_bytes = event.output, event.output_bytes
        visit.extracts = event.extracts
        state.ready[event.at.scope, event.at.step, event.at.visit] = None
        set_phase(state, visit, "ready")
        return
    withdraw(plan, state, scope, event.at, event)
    if state.closing is not None and scope.parent is not None:
        _withdraw_spent(plan, state, state.scopes[scope.parent[0]])
    refresh_status(state)


def _cancel_requested(plan: Plan, state: ExecutionState, event: CancelRequested) -> None:
    if len(state.cancel_ids) < CANCEL_IDS_MAX:
        state.cancel_ids.append(event.message_id)
    state.cancel_reason = event.reason


def _redirected(plan: Plan, state: ExecutionState, event: ExecutionRedirected) -> None:
    state.redirected = True
    state.closing = None
    root = state.scopes[ROOT]
    root.failing, root.terminated = None, False
    root.joins.clear()
    if state.deadline_at_ms is not None:
        # Its timer slept while the scope closed. A deadline that has passed bounds no recovery.
        if event.at_ms < state.deadline_at_ms:
            state.add_timer(state.deadline_at_ms, 0, 0, 0, "deadline")
        else:
            state.deadline_at_ms = None
    open_all(plan, state, event.activated)


def _execution_completed(plan: Plan, state: ExecutionState, event: ExecutionCompleted) -> None:
    state.output = event.output
    finish(state, event.at_ms, "Completed")


def _execution_failed(plan: Plan, state: ExecutionState, event: ExecutionFailed) -> None:
    state.failure = event.failure
    finish(state, event.at_ms, "Failed")


def _execution_canceled(plan: Plan, state: ExecutionState, event: ExecutionCanceled) -> None:
    finish(state, event.at_ms, "Canceled")


def _join_reopened(plan: Plan, state: ExecutionState, event: JoinReopened) -> None:
    del state.scopes[event.scope].joins[event.step]


def _owner_changed(plan: Plan, state: ExecutionState, event: OwnerChanged) -> None:
    for at in event.reissued:
        visit_of(state, at).attempt += 1


_BOOK: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    ExecutionStarted: _started,
    StepCompleted: _completed,
    StepSkipped: _skipped,
    StepFailed: _failed,
    AttemptStarted: _attempt_started,
    AttemptFailed: _attempt_failed,
    RetryDue: _retry_due,
    AttemptLost: _attempt_lost,
    AttemptStopping: _attempt_stopping,
    ScopeClosing: _scope_closing,
    AttemptEnded: _attempt_ended,
    CancelRequested: _cancel_requested,
    ExecutionRedirected: _redirected,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCanceled: _execution_canceled,
    JoinReopened: _join_reopened,
    OwnerChanged: _owner_changed,
}
