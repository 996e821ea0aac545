"""Small parts of booking: where a visit is, what it waits for, what is counted and remembered.

Counters (`busy`, `stopping`) change only in `set_phase`, where a visit begins (`beginning.py`) and
where it closes (`closing.py`), so that they cannot drift.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.state import (
    ROOT,
    Buffered,
    ExecutionState,
    Phase,
    ScopeState,
    Tally,
    TaskChange,
    Visit,
)
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.status import TaskStatus
from heliostat.engine.values import Held, Value

OUTSTANDING: Final = frozenset(("running", "stopping"))
"""Phases in which an attempt is at a runner, unless the visit has a child instead."""

SEEN_MAX: Final = 1_000
"""Ids of messages and events that an execution remembers, so as to know their repetitions."""


def visit_of(state: ExecutionState, at: Address) -> Visit:
    """The active visit of an address; raises `KeyError` where there is none."""
    return state.scopes[at.scope].active[at.step, at.visit]


def is_item(scope: ScopeState) -> bool:
    """Whether a scope is that of an item: around one visit of a step with `foreach`."""
    return scope.plan_scope is None


def is_side(scope: ScopeState) -> bool:
    """Whether a scope is that of a handler's custom action."""
    return scope.parent is None and scope.number != ROOT


def owner_of(state: ExecutionState, scope: ScopeState) -> tuple[ScopeState, Visit]:
    """The visit that opened an inner scope, and the scope where that is active."""
    assert scope.parent is not None
    parent = state.scopes[scope.parent[0]]
    return parent, parent.active[scope.parent[1], scope.parent[2]]


def set_phase(state: ExecutionState, visit: Visit, phase: Phase) -> None:
    """Change what a visit waits for, and the counters with it."""
    before = visit.phase
    if visit.child is None:
        state.busy += (phase in OUTSTANDING) - (before in OUTSTANDING)
        state.stopping += (phase == "stopping") - (before == "stopping")
    visit.phase = phase
    refresh_status(state)


def refresh_status(state: ExecutionState) -> None:
    """Running while attempts are outstanding or the kernel itself goes on."""
    if state.paused and state.closing is None:
        state.status = "Paused"
    else:
        state.status = "Running" if state.busy or state.ready else "Waiting"


def set_due(state: ExecutionState, at: Address, visit: Visit, instant: int) -> None:
    """Book the instant that a visit waits for."""
    visit.due_at_ms = instant
    state.add_timer(instant, at.scope, at.step, at.visit, "due")


def is_own_deadline(failure: Failure, step: StepPlan) -> bool:
    """Whether a visit failed since it had not ended in time, and nothing within it did."""
    return failure.type == "DeadlineExceeded" and failure.step == step.id


def restore_deadline(state: ExecutionState, at: Address, visit: Visit) -> None:
    """What a deadline bounds goes on after all: it counts again."""
    instant = visit.closing_deadline_at_ms
    if instant is not None:
        visit.deadline_at_ms, visit.closing_deadline_at_ms = instant, None
        state.add_timer(instant, at.scope, at.step, at.visit, "deadline")


def remember(state: ExecutionState, id: str | None) -> None:
    """Know a message or an event when it comes again."""
    if id is None:
        return
    state.seen[id] = None
    if len(state.seen) > SEEN_MAX:
        del state.seen[next(iter(state.seen))]


def declaring(state: ExecutionState, scope: ScopeState, name: str) -> ScopeState:
    """The nearest scope instance, from the inside out, that declares a variable."""
    while name not in scope.variables:
        if scope.parent is None:
            raise KeyError(name)
        scope = state.scopes[scope.parent[0]]
    return scope


def tallied(plan: Plan, scope: ScopeState) -> dict[int, Tally]:
    """What each step of a DAG knows of its needs, from how they have settled."""
    tallies: dict[int, Tally] = {}
    for number, settled in scope.settled.items():
        for dependent in plan.steps[number].dependents:
            tally = tallies.setdefault(dependent, Tally())
            tally.settled += 1
            tally.completed += settled.status == "Completed"
            tally.failed += settled.status == "Failed"
    return tallies


def task_changed(state: ExecutionState, at: Address, visit: Visit, status: TaskStatus) -> None:
    """Have it told that a human task is another one now."""
    task = visit.task
    assert task is not None
    now = Address(at.scope, at.step, at.visit, visit.attempt)
    shown = state.resolve(visit.input) if visit.holds else visit.input
    state.task_changes.append(
        TaskChange(at=now, task=task, status=status, at_ms=state.at_ms, shown=shown)
    )


def task_ended(
    state: ExecutionState, visit: Visit, *, output: Value = None, error: Failure | None = None
) -> None:
    """Have it told what a human task that was just told to have ended came to."""
    if visit.task is not None and state.task_changes:
        change = state.task_changes[-1]
        if change.task is visit.task:
            change.output, change.error = output, error


def drop_buffered(buffers: dict[str, list[Buffered]], name: str, id: str) -> bool:
    """Take one off a buffer; whether it was there."""
    kept = buffers.get(name)
    if kept is None:
        return False
    left = [each for each in kept if each.id != id]
    if len(left) == len(kept):
        return False
    if left:
        buffers[name] = left
    else:
        del buffers[name]
    return True


def pointers(recorded: Value) -> list[Held]:
    """Every pointer in a recorded value."""
    if isinstance(recorded, Held):
        return [recorded]
    if isinstance(recorded, dict):
        return [held for item in recorded.values() for held in pointers(item)]
    if isinstance(recorded, list):
        return [held for item in recorded for held in pointers(item)]
    return []


def count_pointer(state: ExecutionState, held: Held, change: int) -> None:
    """Count who points to a settled output; one that was replaced and is free of them goes."""
    if held.at is None:
        return
    scope_number, step, visit = held.at
    scope = state.scopes.get(scope_number)
    if scope is None:
        return  # the scope went, and what pointed into it goes with it
    settled = scope.settled.get(step)
    if settled is not None and settled.visit == visit:
        settled.holders += change
        return
    settled = scope.replaced[step, visit]
    settled.holders += change
    if not settled.holders:
        del scope.replaced[step, visit]
