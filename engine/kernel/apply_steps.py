"""Booking how steps and their attempts go: visits complete, fail, are skipped; attempts fail, are
lost, are told to stop and end.

A visit is closed before those that it activated are opened, so that a loop can open the visit that
it just left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.kernel.apply_scopes import cancel_region, decides, skip_steps
from heliostat.engine.kernel.beginning import (
    begin,
    give_back,
    open_all,
)
from heliostat.engine.kernel.closing import (
    arrive,
    close_visit,
    drop_inner,
    settle_child,
    settle_step,
    settled_items,
)
from heliostat.engine.kernel.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    RetryDue,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.state import (
    ExecutionState,
    Fallen,
    Settled,
)
from heliostat.engine.kernel.visits import (
    declaring,
    is_item,
    refresh_status,
    remember,
    restore_deadline,
    set_due,
    set_phase,
    task_changed,
    task_ended,
    visit_of,
)
from heliostat.engine.kernel.withdrawing import attempt_ended
from heliostat.engine.plan.plan import Plan
from heliostat.engine.status import TaskStatus


def _completed(plan: Plan, state: ExecutionState, event: StepCompleted) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    step = plan.steps[at.step]
    if event.message_id is not None:
        remember(state, event.message_id)
    output = state.resolve(event.output) if event.holds else event.output
    if step.cancels and not is_item(scope) and visit_of(state, at).phase != "canceling":
        cancel_region(plan, state, scope, step)
    late = event.recovered is not None and event.message_id is None
    visit = close_visit(plan, state, scope, at, task="Failed" if late else "Completed")
    if late:
        task_ended(state, visit, error=event.recovered)
    else:
        task_ended(state, visit, output=output)
    if visit.inner is not None or visit.items is not None:
        drop_inner(state, visit)
    if is_item(scope):
        settle_child(
            state,
            scope,
            "Completed",
            output=output,
            output_bytes=event.output_bytes,
            extracts=event.extracts,
        )
    else:
        settled = Settled(
            visit=at.visit,
            status="Completed",
            output=output,
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
        if event.skipped:
            skip_steps(plan, scope, event.skipped)
        arrive(plan, scope, event.taken)
        if step.terminate:
            scope.terminated = True
    open_all(plan, state, event.activated)


def _skipped(plan: Plan, state: ExecutionState, event: StepSkipped) -> None:
    scope = state.scopes[event.at.scope]
    close_visit(plan, state, scope, event.at)
    if is_item(scope):
        settle_child(state, scope, "Skipped")
    else:
        settle_step(plan, scope, event.at, Settled(visit=event.at.visit, status="Skipped"))
        arrive(plan, scope, event.taken)
    open_all(plan, state, event.activated)


def _failed(plan: Plan, state: ExecutionState, event: StepFailed) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    remember(state, event.message_id)
    uncaught = not event.taken and not event.tolerated
    if is_item(scope):
        # Only the failure that decides the outcome can be uncaught.
        uncaught = uncaught and decides(plan, state, scope)
    visit = visit_of(state, at)
    phase = visit.phase
    answered = event.message_id is not None
    task: TaskStatus = "Completed" if answered else "Failed"
    close_visit(plan, state, scope, at, task=task, keep=uncaught)
    task_ended(state, visit, error=event.failure)
    if uncaught:
        before = None if is_item(scope) else scope.settled.get(at.step)
        scope.fallen[at.step, at.visit] = Fallen(visit=visit, phase=phase, before=before)
    else:
        drop_inner(state, visit)
    if is_item(scope):
        settle_child(state, scope, "Failed", failure=event.failure, keep=uncaught)
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
            items=settled_items(visit, keep=uncaught),
            collected=event.collected,
        )
        settle_step(plan, scope, at, settled)
        arrive(plan, scope, event.taken)
        if uncaught:
            scope.failing = event.failure
    open_all(plan, state, event.activated)


def _attempt_started(plan: Plan, state: ExecutionState, event: AttemptStarted) -> None:
    visit_of(state, event.at).started = True


def _attempt_failed(plan: Plan, state: ExecutionState, event: AttemptFailed) -> None:
    visit = visit_of(state, event.at)
    remember(state, event.message_id)
    if visit.phase == "human":
        task_changed(state, event.at, visit, "Completed")
    visit.task = None
    visit.failures += 1
    visit.attempt += 1
    visit.failure = visit.output = visit.extracts = None
    visit.output_bytes = 0
    visit.started = False
    state.ready.pop((event.at.scope, event.at.step, event.at.visit), None)
    drop_inner(state, visit)
    visit.items = None
    set_phase(state, visit, "backoff")
    visit.child = None
    set_due(state, event.at, visit, event.retry_at_ms)
    restore_deadline(state, event.at, visit)
    give_back(plan, state, visit)


def _retry_due(plan: Plan, state: ExecutionState, event: RetryDue) -> None:
    visit = visit_of(state, event.at)
    visit.due_at_ms = None
    begin(plan, state, event.at, visit)


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
    attempt_ended(plan, state, scope, visit, event)
    refresh_status(state)


STEPS: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    StepCompleted: _completed,
    StepSkipped: _skipped,
    StepFailed: _failed,
    AttemptStarted: _attempt_started,
    AttemptFailed: _attempt_failed,
    RetryDue: _retry_due,
    AttemptLost: _attempt_lost,
    AttemptStopping: _attempt_stopping,
    AttemptEnded: _attempt_ended,
}
