"""The fold: an event books itself into the state. Total and choiceless, since all choice was made
by `decide`; nothing here evaluates an expression or looks at a plan's conditions.

How the execution as a whole goes is here; steps, scopes and requests have modules of their own.
What beginning and closing consist of is in `beginning.py` and `closing.py`, what a withdrawal is in
`withdrawing.py`, what a retry of the execution puts back in `restoring.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.kernel.apply_requests import REQUESTS
from heliostat.engine.kernel.apply_scopes import SCOPES
from heliostat.engine.kernel.apply_steps import STEPS
from heliostat.engine.kernel.beginning import (
    hand_on,
    open_all,
    resume_all,
)
from heliostat.engine.kernel.closing import (
    drop_inner,
    drop_sides,
    finish,
    let_go,
)
from heliostat.engine.kernel.events import (
    CancelRequested,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionMigrated,
    ExecutionPaused,
    ExecutionRedirected,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    OwnerChanged,
    PropertyViolated,
)
from heliostat.engine.kernel.restoring import restore, start_over
from heliostat.engine.kernel.state import (
    ROOT,
    ExecutionState,
    ScopeState,
)
from heliostat.engine.kernel.visits import (
    refresh_status,
    remember,
    tallied,
    visit_of,
)
from heliostat.engine.kernel.watching import watch
from heliostat.engine.plan.plan import Plan

CANCEL_IDS_MAX: Final = 16
"""Ids of cancel requests that are remembered; one decides, the others are repetitions."""


def apply(plan: Plan, state: ExecutionState, event: ExecutionEvent) -> None:
    """Book one fact. Raises `KeyError` where it does not fit the state: the journal is corrupt.

    Args:
        plan: of the version that the event belongs to; of `ExecutionMigrated` the one moved to.
    """
    state.seq += 1
    state.at_ms = event.at_ms
    _BOOK[type(event)](plan, state, event)
    if plan.monitors or state.watched is not None:
        watch(plan, state, event)


def _started(plan: Plan, state: ExecutionState, event: ExecutionStarted) -> None:
    state.execution_id = event.execution_id
    state.definition, state.version = event.definition, event.version
    state.input, state.input_bytes, state.extracts = event.input, event.input_bytes, event.extracts
    state.tags = event.tags
    state.parent = event.parent
    state.priority = event.priority
    state.correlation_id = event.correlation_id
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


def _paused(plan: Plan, state: ExecutionState, event: ExecutionPaused) -> None:
    remember(state, event.message_id)
    state.paused = True
    for scope_number, step, visit_number in list(state.ready):
        visit = state.scopes[scope_number].active[step, visit_number]
        # What has failed goes on to its `on_error`; what is over goes on to what follows.
        if visit.failure is None and not visit.skipped and visit.items is None:
            del state.ready[scope_number, step, visit_number]
            visit.phase = "held"
    refresh_status(state)


def _resumed(plan: Plan, state: ExecutionState, event: ExecutionResumed) -> None:
    remember(state, event.message_id)
    state.paused = False
    resume_all(plan, state)
    refresh_status(state)


def _cancel_requested(plan: Plan, state: ExecutionState, event: CancelRequested) -> None:
    if len(state.cancel_ids) < CANCEL_IDS_MAX:
        state.cancel_ids.append(event.message_id)
    state.cancel_reason = event.reason


def _redirected(plan: Plan, state: ExecutionState, event: ExecutionRedirected) -> None:
    state.redirected = True
    root = state.scopes[ROOT]
    root.closing = None
    root.failing, root.terminated = None, False
    root.joins.clear()
    for fallen in root.fallen.values():
        drop_inner(state, fallen.visit)
        let_go(state, fallen.visit)
    root.fallen.clear()
    drop_sides(state)
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


def _execution_retried(plan: Plan, state: ExecutionState, event: ExecutionRetried) -> None:
    remember(state, event.message_id)
    state.run = event.run
    state.failure = None
    state.ended_at_ms = None
    state.redirected = False
    state.deadline_at_ms = event.deadline_at_ms
    if event.deadline_at_ms is not None:
        state.add_timer(event.deadline_at_ms, 0, 0, 0, "deadline")
    if event.from_step is None:
        restore(plan, state, dict(event.deadlines))
    else:
        start_over(plan, state, plan.steps[event.from_step])
    open_all(plan, state, event.activated)


def _migrated(plan: Plan, state: ExecutionState, event: ExecutionMigrated) -> None:
    """Go on with the plan of the event's version; what nothing in it can need is dropped."""
    remember(state, event.message_id)
    state.version = event.version
    state.moves += 1
    for scope in state.scopes.values():
        if scope.plan_scope is None:
            continue
        written = plan.scopes[scope.plan_scope]
        known = scope.variables | event.variables.get(scope.number, {})
        scope.variables = {name: known[name] for name in known if name in written.variables}
        for number in [number for number in scope.settled if plan.steps[number].retired]:
            settled = scope.settled.pop(number)
            if settled.holders:
                scope.replaced[number, settled.visit] = settled
        if written.notation == "dag":
            scope.tallies = tallied(plan, scope)
    open_all(plan, state, event.activated)
    hand_on(plan, state)


def _property_violated(plan: Plan, state: ExecutionState, event: PropertyViolated) -> None:
    if state.watched is not None:
        state.watched.broken.pop(event.property, None)
        state.watched.told.append(event.property)


def _owner_changed(plan: Plan, state: ExecutionState, event: OwnerChanged) -> None:
    for at in event.reissued:
        visit = visit_of(state, at)
        visit.attempt += 1


_BOOK: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    **STEPS,
    **SCOPES,
    **REQUESTS,
    ExecutionStarted: _started,
    ExecutionPaused: _paused,
    ExecutionResumed: _resumed,
    CancelRequested: _cancel_requested,
    ExecutionRedirected: _redirected,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCanceled: _execution_canceled,
    ExecutionRetried: _execution_retried,
    ExecutionMigrated: _migrated,
    OwnerChanged: _owner_changed,
    PropertyViolated: _property_violated,
}
