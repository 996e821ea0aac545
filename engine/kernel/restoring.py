"""What a retry of a failed execution puts back: the marking as it was before the failure.

The failed visit and every one that its failure withdrew are active again, with the inputs and
addresses they had; the attempt number rises, so that a late report of the earlier one is void.
What had completed stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.beginning import begin, open_task
from heliostat.engine.kernel.closing import drop_inner, let_go
from heliostat.engine.kernel.names import wait_key
from heliostat.engine.kernel.state import (
    ITEM_STATUS,
    ROOT,
    ExecutionState,
    Fallen,
    ScopeState,
    Task,
    Visit,
)
from heliostat.engine.kernel.visits import is_item, refresh_status, set_due, tallied
from heliostat.engine.kernel.withdrawing import inner_scopes
from heliostat.engine.plan.plan import Plan, StepNumber, StepPlan

_CANCELED: Final = ITEM_STATUS.index("Canceled") + 1


def fallen_visits(state: ExecutionState) -> Iterator[tuple[Address, Fallen]]:
    """Every visit that a retry would put back, outer ones first."""
    waiting = [state.scopes[ROOT]]
    while waiting:
        scope = waiting.pop()
        for fallen in scope.fallen.values():
            visit = fallen.visit
            yield Address(scope.number, visit.step, visit.visit, visit.attempt), fallen
            waiting += inner_scopes(state, visit)


def half_ended(state: ExecutionState) -> StepNumber | None:
    """A step that would be put back without some of its items or branches: it had withdrawn them
    for good, and the others not yet, when the execution failed."""
    for at, fallen in fallen_visits(state):
        items = fallen.visit.items
        if items is None:
            continue
        for index in range(items.next_index):
            gone = items.first_scope + index not in state.scopes
            if gone and items.statuses[index] == _CANCELED:
                return at.step
    return None


def restore(plan: Plan, state: ExecutionState, deadlines: Mapping[Address, int]) -> None:
    """Put back what the failure ended."""
    _restore_scope(plan, state, state.scopes[ROOT], deadlines)
    refresh_status(state)


def _restore_scope(
    plan: Plan, state: ExecutionState, scope: ScopeState, deadlines: Mapping[Address, int]
) -> None:
    scope.closing = scope.failing = None
    scope.terminated = False
    fallen_here, scope.fallen = scope.fallen, {}
    if not is_item(scope):
        for fallen in reversed(fallen_here.values()):  # as each replaced the one before it
            _unsettle(plan, scope, fallen.visit, fallen)
    for key, fallen in fallen_here.items():
        visit = fallen.visit
        scope.active[key] = visit
        at = Address(scope.number, visit.step, visit.visit, visit.attempt)
        _revive(plan, state, at, fallen, deadlines.get(at))
        for inner in inner_scopes(state, visit):
            _restore_scope(plan, state, inner, deadlines)


def _unsettle(plan: Plan, scope: ScopeState, visit: Visit, fallen: Fallen) -> None:
    """The step has not ended after all: neither for those that read it nor that need it."""
    settled = scope.settled.pop(visit.step)
    if fallen.before is not None:
        scope.settled[visit.step] = fallen.before
        scope.replaced.pop((visit.step, fallen.before.visit), None)
    for dependent in plan.steps[visit.step].dependents:
        tally = scope.tallies[dependent]
        tally.settled -= 1
        tally.failed -= settled.status == "Failed"


def _revive(
    plan: Plan, state: ExecutionState, at: Address, fallen: Fallen, deadline_at_ms: int | None
) -> None:
    visit, phase = fallen.visit, fallen.phase
    step = plan.steps[visit.step]
    due_at_ms, visit.due_at_ms = visit.due_at_ms, None
    visit.withdrawn, visit.kept_phase = False, None
    visit.output = visit.extracts = visit.child = None
    visit.output_bytes = 0
    visit.started = False
    visit.failures = visit.counted_losses = 0
    visit.phase = "ready"
    visit.deadline_at_ms, visit.closing_deadline_at_ms = deadline_at_ms, None
    if deadline_at_ms is not None:
        state.add_timer(deadline_at_ms, at.scope, at.step, at.visit, "deadline")
    key = (at.scope, at.step, at.visit)
    if visit.kept is not None:
        state.ready[key] = None  # it has what it waited for, and cancels its region anew
        return
    if visit.items is not None:
        _reopen_items(state, visit)
        if visit.items.in_flight:
            visit.phase = "items"
        else:
            state.ready[key] = None  # the step failed behind its items
        return
    if visit.inner is not None:
        visit.phase = "body"
        return
    visit.attempt += 1
    unfit = visit.failure is not None and visit.failure.type not in ("Timeout", "DeadlineExceeded")
    if unfit and phase == "ready":
        state.ready[key] = None  # what failed before it began fails again
        return
    visit.failure = None
    before, visit.task = visit.task, None
    asked = before is not None and before.clause is not None
    if step.kind == "human" or (asked and step.kind in ("timer", "wait")):
        _ask_again(state, at, visit, before or Task())
    elif step.kind in ("activity", "sub_workflow", "body", "parallel"):
        begin(plan, state, at, visit)
    elif step.kind == "timer" and due_at_ms is not None:
        visit.phase = "timer"
        set_due(state, at, visit, due_at_ms)
    elif step.kind == "wait":
        visit.phase = "waiting"
        for alternative in step.alternatives:
            if alternative.kind != "timer":
                open_waits = wait_key(alternative.kind, alternative.key)
                state.waits.setdefault(open_waits, {})[key] = None
        if due_at_ms is not None:
            set_due(state, at, visit, due_at_ms)
    else:
        state.ready[key] = None


def _ask_again(state: ExecutionState, at: Address, visit: Visit, before: Task) -> None:
    """The same people are asked the same; escalations come as long after this as they would have.

    So are those who decided about a failure of what is not tried again. Such a question has the
    deadline that it had, not the step's, which may be what it is about.
    """
    later_ms = state.at_ms - before.opened_at_ms
    if before.clause is not None:
        visit.deadline_at_ms = None
        if before.deadline_at_ms is not None:
            visit.deadline_at_ms = before.deadline_at_ms + later_ms
            state.add_timer(visit.deadline_at_ms, at.scope, at.step, at.visit, "deadline")
    task = Task(
        assignees=before.assignees,
        candidates=before.candidates,
        level=before.level,
        escalate_at_ms=tuple(instant + later_ms for instant in before.escalate_at_ms),
        opened_at_ms=state.at_ms,
        clause=before.clause,
        failure=before.failure,
    )
    open_task(state, Address(at.scope, at.step, at.visit, visit.attempt), visit, task)


def _reopen_items(state: ExecutionState, visit: Visit) -> None:
    """Items whose scopes are still there have not ended after all."""
    items = visit.items
    assert items is not None
    items.closing, items.failure = False, None
    for scope in inner_scopes(state, visit):
        index = scope.index
        if index is None or not items.statuses[index]:
            continue
        if index in items.failures:
            del items.failures[index]
            items.failed -= 1
        items.statuses[index] = 0
        items.outputs[index] = None
        items.in_flight += 1


def start_over(plan: Plan, state: ExecutionState, step: StepPlan) -> None:
    """Drop all tokens of the root scope, so that one visit of `step` can be opened.

    In a DAG it and all that depends on it is as if it had not run.
    """
    root = state.scopes[ROOT]
    root.closing = root.failing = None
    root.terminated = False
    root.joins.clear()
    for fallen in root.fallen.values():
        drop_inner(state, fallen.visit)
        let_go(state, fallen.visit)
    root.fallen.clear()
    if plan.root.notation != "dag":
        return
    again: set[int] = set()
    waiting = [step.number]
    while waiting:
        number = waiting.pop()
        if number not in again:
            again.add(number)
            waiting += plan.steps[number].dependents
    for number in again:
        root.settled.pop(number, None)
    root.tallies = tallied(plan, root)
