"""Booking how scopes go: they open late, close early, end as branches; regions are cancelled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.beginning import (
    give_back,
    open_all,
    open_scopes,
)
from heliostat.engine.kernel.closing import (
    drop_scope,
    leave_phase,
    settle_child,
    settle_step,
)
from heliostat.engine.kernel.events import (
    BranchCompleted,
    BranchFailed,
    JoinReopened,
    RegionCanceling,
    ScopeClosing,
    ScopesOpened,
)
from heliostat.engine.kernel.items import outcome_of
from heliostat.engine.kernel.state import (
    ROOT,
    Closing,
    ExecutionState,
    Kept,
    ScopeState,
    Settled,
    Visit,
)
from heliostat.engine.kernel.visits import (
    is_item,
    is_side,
    owner_of,
    refresh_status,
    remember,
    visit_of,
)
from heliostat.engine.kernel.withdrawing import active_in, inner_scopes, withdraw
from heliostat.engine.plan.plan import Plan, StepNumber, StepPlan


def _scopes_opened(plan: Plan, state: ExecutionState, event: ScopesOpened) -> None:
    visit = visit_of(state, event.at)
    if event.failure is not None:
        visit.failure = event.failure
        return
    open_scopes(plan, state, event.at, visit, event.first_scope, event.variables)
    open_all(plan, state, event.activated)


def _scope_closing(plan: Plan, state: ExecutionState, event: ScopeClosing) -> None:
    keep = event.failure is not None and not event.canceled
    scope = state.scopes[event.scope]
    if event.step is None:
        scope.closing = Closing(failure=event.failure, canceled=event.canceled)
        if scope.parent is not None:
            _, owner = owner_of(state, scope)
            if owner.inner == scope.number:
                _set_deadline_aside(owner)
        closed = [scope]
        if event.scope == ROOT:
            closed += [each for each in state.scopes.values() if is_side(each)]
            for each in closed[1:]:
                each.closing = Closing(failure=event.failure, canceled=event.canceled)
    else:
        assert event.visit is not None
        owner = scope.active[event.step, event.visit]
        items = owner.items
        assert items is not None
        items.closing, items.failure = True, event.failure
        _set_deadline_aside(owner)
        closed = inner_scopes(state, owner)
        for each in closed:
            if not is_item(each):
                each.closing = Closing(withdrawn=True)
    withdraw(plan, state, active_in(closed), keep=keep)
    refresh_status(state)


def _set_deadline_aside(owner: Visit) -> None:
    """What a deadline bounds is settled; it counts again should the step be tried once more."""
    if owner.deadline_at_ms is not None:
        owner.closing_deadline_at_ms, owner.deadline_at_ms = owner.deadline_at_ms, None


def _branch_completed(plan: Plan, state: ExecutionState, event: BranchCompleted) -> None:
    scope = state.scopes[event.scope]
    if scope.parent is None:
        drop_scope(state, scope)
        return
    output = state.resolve(event.output) if event.holds else event.output
    settle_child(
        state,
        scope,
        "Completed",
        output=output,
        output_bytes=event.output_bytes,
        extracts=event.extracts,
    )


def _branch_failed(plan: Plan, state: ExecutionState, event: BranchFailed) -> None:
    scope = state.scopes[event.scope]
    if scope.parent is None:
        drop_scope(state, scope)
        return
    keep = decides(plan, state, scope)
    settle_child(state, scope, "Failed", failure=event.failure, keep=keep)


def _region_canceling(plan: Plan, state: ExecutionState, event: RegionCanceling) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    visit = scope.active[at.step, at.visit]
    remember(state, event.message_id)
    leave_phase(plan, state, scope, at, visit, task="Completed")
    visit.phase = "canceling"
    visit.deadline_at_ms = visit.due_at_ms = visit.child = visit.task = None
    visit.kept = Kept(
        output=state.resolve(event.output) if event.holds else event.output,
        output_bytes=event.output_bytes,
        extracts=event.extracts,
        started_at_ms=event.started_at_ms,
        elapsed_ms=event.elapsed_ms,
        runner=event.runner,
        collected=event.collected,
        message_id=event.message_id,
        recovered=event.recovered,
    )
    scope.canceling.append((at.step, at.visit))
    give_back(plan, state, visit)
    step = plan.steps[at.step]
    cancel_region(plan, state, scope, step)
    skip_steps(plan, scope, event.skipped)
    refresh_status(state)


def cancel_region(plan: Plan, state: ExecutionState, scope: ScopeState, step: StepPlan) -> None:
    """Withdraw what is active in the region of a step, and the arrivals at its joins."""
    for number in step.cancels:
        scope.joins.pop(number, None)
    region = region_of(scope, step)
    withdraw(plan, state, region, keep=False)


def skip_steps(plan: Plan, scope: ScopeState, steps: tuple[StepNumber, ...]) -> None:
    """Steps of a DAG that were cancelled before they could start."""
    for number in steps:
        nth = scope.visits[number] = scope.visits.get(number, 0) + 1
        skipped = Settled(visit=nth, status="Skipped")
        settle_step(plan, scope, Address(scope.number, number, nth), skipped)


def region_of(scope: ScopeState, step: StepPlan) -> list[tuple[ScopeState, Visit]]:
    """The active visits that a step's `cancels` names."""
    return [(scope, visit) for visit in scope.active.values() if visit.step in step.cancels]


def _join_reopened(plan: Plan, state: ExecutionState, event: JoinReopened) -> None:
    del state.scopes[event.scope].joins[event.step]


def decides(plan: Plan, state: ExecutionState, scope: ScopeState) -> bool:
    """Whether one more failure settles the outcome of what opened an item or a branch."""
    _, owner = owner_of(state, scope)
    items = owner.items
    assert items is not None
    if items.closing:
        return False
    step = plan.steps[owner.step]
    return outcome_of(step, items.width, items.completed, items.failed + 1) is False


SCOPES: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    ScopesOpened: _scopes_opened,
    ScopeClosing: _scope_closing,
    BranchCompleted: _branch_completed,
    BranchFailed: _branch_failed,
    RegionCanceling: _region_canceling,
    JoinReopened: _join_reopened,
}
