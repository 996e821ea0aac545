"""How visits and scopes close: they settle, give back what they held, and are forgotten."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from heliostat.engine.identity import Address
from heliostat.engine.kernel.beginning import (
    give_back,
    hand_on,
)
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.names import wait_key
from heliostat.engine.kernel.permits import leave_queue
from heliostat.engine.kernel.state import (
    ITEM_STATUS,
    ExecutionState,
    Items,
    ScopeState,
    Settled,
    SettledStatus,
    Tally,
    Visit,
    Waiting,
)
from heliostat.engine.kernel.visits import (
    OUTSTANDING,
    count_pointer,
    is_side,
    owner_of,
    pointers,
    task_changed,
)
from heliostat.engine.plan.plan import END, EdgeNumber, Plan, StepPlan
from heliostat.engine.status import ExecutionStatus, TaskStatus
from heliostat.engine.values import Value


def close_visit(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    at: Address,
    *,
    task: TaskStatus = "Canceled",
    keep: bool = False,
) -> Visit:
    """Take a visit off the active ones: its counters, its places in queues, what it held.

    Args:
        task: what becomes of its human task, if it has one.
        keep: it may be opened again by a retry of the execution: its input stays as it is.
    """
    visit = scope.active.pop((at.step, at.visit))
    leave_phase(plan, state, scope, at, visit, task=task)
    if visit.permits:
        give_back(plan, state, visit)
    if not keep:
        let_go(state, visit)
    return visit


def leave_phase(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    at: Address,
    visit: Visit,
    *,
    task: TaskStatus,
) -> None:
    """A visit waits no more for what it waited for."""
    phase = visit.phase
    if phase in OUTSTANDING:
        if visit.child is None:
            state.busy -= 1
            state.stopping -= phase == "stopping"
    elif phase == "canceling":
        scope.canceling.remove((at.step, at.visit))
    elif phase == "human":
        task_changed(state, at, visit, task)
    else:
        leave_lists(plan, state, at, visit)


def leave_lists(plan: Plan, state: ExecutionState, at: Address, visit: Visit) -> None:
    """A visit is found no more by what it waited for: its turn, a signal or event, a semaphore."""
    step, key = plan.steps[at.step], (at.scope, at.step, at.visit)
    if visit.phase == "ready":
        state.ready.pop(key, None)
    elif visit.phase == "waiting":
        close_wait(state, step, key)
    elif visit.phase == "queued":
        leave_queue(state, step.uses, key)
        if not visit.withdrawn:
            hand_on(plan, state)


def let_go(state: ExecutionState, visit: Visit) -> None:
    """Nothing of a closed visit is needed again."""
    if visit.holds:
        for held in pointers(
            [visit.input, visit.items.values if visit.items is not None else None]
        ):
            count_pointer(state, held, -1)
    if visit.items is not None:
        visit.items.values = None  # the history has it, and nothing reads it any more


def close_wait(state: ExecutionState, step: StepPlan, key: tuple[int, int, int]) -> None:
    """A wait is open no more."""
    for alternative in step.alternatives:
        if alternative.kind == "timer":
            continue
        name = wait_key(alternative.kind, alternative.key)
        open_waits = state.waits.get(name)
        if open_waits is not None:
            open_waits.pop(key, None)
            if not open_waits:
                del state.waits[name]


def settle_step(plan: Plan, scope: ScopeState, at: Address, settled: Settled) -> None:
    """Keep how the latest visit of a step ended, and tell the steps that need it."""
    before = scope.settled.get(at.step)
    if before is not None and before.holders:
        scope.replaced[at.step, before.visit] = before
    scope.settled[at.step] = settled
    for dependent in plan.steps[at.step].dependents:
        tally = scope.tallies.setdefault(dependent, Tally())
        tally.settled += 1
        tally.completed += settled.status == "Completed"
        tally.failed += settled.status == "Failed"


def settled_items(visit: Visit, *, keep: bool) -> Items | None:
    """The items of a visit that settles, without the list: nothing reads it any more, unless the
    visit is kept and opened again."""
    if visit.items is None or not keep:
        return visit.items
    return msgspec.structs.replace(visit.items, values=None)


def settle_child(
    state: ExecutionState,
    scope: ScopeState,
    status: SettledStatus,
    *,
    output: Value = None,
    output_bytes: int = 0,
    extracts: dict[str, Value] | None = None,
    failure: Failure | None = None,
    keep: bool = False,
) -> None:
    """Book the end of an item or a branch with the visit that opened it; its scope goes.

    Args:
        keep: the failure of it all may be retried: the scope stays, for that.
    """
    _, visit = owner_of(state, scope)
    items, index = visit.items, scope.index
    assert items is not None
    assert index is not None
    items.in_flight -= 1
    items.statuses[index] = ITEM_STATUS.index(status) + 1
    items.outputs[index] = output
    items.output_bytes += output_bytes
    if extracts:
        items.extracts[index] = extracts
    if status == "Failed":
        assert failure is not None
        items.failed += 1
        items.failures[index] = failure
    elif status == "Completed":
        items.completed += 1
        if items.names:
            items.order.append(index)
    if not keep:
        drop_scope(state, scope)


def drop_scope(state: ExecutionState, scope: ScopeState) -> None:
    """Forget a scope that has ended, and what was kept within it."""
    del state.scopes[scope.number]
    for fallen in scope.fallen.values():
        drop_inner(state, fallen.visit)
        let_go(state, fallen.visit)


def drop_sides(state: ExecutionState) -> None:
    """Forget the scopes of handlers' custom actions; no retry repeats them."""
    for scope in [each for each in state.scopes.values() if is_side(each)]:
        drop_scope(state, scope)


def drop_inner(state: ExecutionState, visit: Visit) -> None:
    """Forget the scopes that a visit had opened and that are still there."""
    if visit.inner is not None:
        inner = state.scopes.get(visit.inner)
        if inner is not None:
            drop_scope(state, inner)
        visit.inner = None
    if visit.items is not None:
        first = visit.items.first_scope
        for number in range(first, first + visit.items.next_index):
            item = state.scopes.get(number)
            if item is not None:
                drop_scope(state, item)


def arrive(plan: Plan, scope: ScopeState, taken: Iterable[EdgeNumber]) -> None:
    """Count arrivals at joins that wait for several ways, by the step that each came from.

    A visit arrives once at a join, whatever the number of its ways there.
    """
    arrived: set[int] = set()
    for number in taken:
        edge = plan.edges[number]
        if edge.target == END or edge.target in arrived:
            continue
        if plan.steps[edge.target].join.kind in ("all", "at_least"):
            arrived.add(edge.target)
            waiting = scope.joins.setdefault(edge.target, Waiting())
            waiting.arrived[edge.source] = waiting.arrived.get(edge.source, 0) + 1


def finish(state: ExecutionState, at_ms: int, status: ExecutionStatus) -> None:
    """The run has reached its terminal state; nothing waits any more."""
    drop_sides(state)
    state.status = status
    state.ended_at_ms = at_ms
    state.ready.clear()
    state.timers.clear()
    state.timers_swept = 0
    state.paused = False
