"""What booking consists of: visits open, change their phase, settle and close.

`apply.py` says which of these an event leads to; what a withdrawal does is in `withdrawing.py`,
semaphores are in `permits.py`. Counters (`busy`, `stopping`) change only in `set_phase` and
`close_visit`, an item's `in_flight` only where its scope opens and settles, so that they cannot
drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Activation, Failure
from heliostat.engine.kernel.names import child_id, wait_key
from heliostat.engine.kernel.permits import grant, join_queue, leave_queue, release, take
from heliostat.engine.kernel.state import (
    ITEM_STATUS,
    ROOT,
    Buffered,
    ExecutionState,
    Items,
    Phase,
    ScopeState,
    Settled,
    SettledStatus,
    Tally,
    Task,
    TaskChange,
    Visit,
    VisitRef,
    Waiting,
)
from heliostat.engine.plan.plan import END, EdgeNumber, Plan, StepPlan
from heliostat.engine.status import ExecutionStatus, TaskStatus
from heliostat.engine.values import Held, Value

_OUTSTANDING: Final = frozenset(("running", "stopping"))
SEEN_MAX: Final = 1_000
"""Ids of messages and events that an execution remembers, so as to know their repetitions."""


# -- opening


def open_all(plan: Plan, state: ExecutionState, activated: Iterable[Activation]) -> None:
    """Open what an event activated, in its order."""
    for activation in activated:
        open_visit(plan, state, activation)
    refresh_status(state)


def open_visit(plan: Plan, state: ExecutionState, activation: Activation) -> None:
    """Open one visit; an item's scope opens with it, a join's arrivals are taken."""
    step = plan.steps[activation.step]
    scope = state.scopes.get(activation.scope)
    if scope is None:
        scope = _open_item_scope(state, activation)
    visit = Visit(
        step=activation.step,
        visit=activation.visit,
        phase="ready",
        input=activation.input,
        deadline_at_ms=activation.deadline_at_ms,
        skipped=activation.skipped,
        failure=activation.failure,
    )
    scope.visits[activation.step] = activation.visit
    scope.active[activation.step, activation.visit] = visit
    at = Address(activation.scope, activation.step, activation.visit)
    if activation.deadline_at_ms is not None:
        state.add_timer(activation.deadline_at_ms, at.scope, at.step, at.visit, "deadline")
    if activation.holds:
        visit.holds = True
        for held in _helds([activation.input, activation.items]):
            _point(state, held, +1)
    if activation.parent is None and step.join.kind in ("all", "at_least"):
        _fire(scope, step)
    if activation.width is not None:
        visit.items = Items(
            values=activation.items,
            width=activation.width,
            first_scope=activation.first_scope or 0,
            outputs=[None] * activation.width,
            statuses=bytearray(activation.width),
        )
        state.next_scope = max(state.next_scope, (activation.first_scope or 0) + activation.width)
        if activation.width:
            visit.phase = "items"
            return
    elif activation.skipped or activation.failure is not None:
        pass
    elif activation.received is not None:
        visit.received, visit.output = activation.received, activation.output
        _take_buffered(state, step, activation.received)
    elif step.kind == "activity" and not step.uses and not state.paused:
        visit.phase = "running"  # as `begin` does, for what is most frequent
        state.busy += 1
        state.begun.append(at)
        return
    elif step.kind == "activity" or step.kind == "sub_workflow":
        begin(plan, state, at, visit)
        return
    elif step.kind == "body" or step.kind == "parallel":
        if activation.first_scope is None:
            begin(plan, state, at, visit)
        else:
            open_scopes(plan, state, at, visit, activation.first_scope, activation.variables)
        return
    elif step.kind == "timer":
        visit.phase = "timer"
        assert activation.due_at_ms is not None
        set_due(state, at, visit, activation.due_at_ms)
        return
    elif step.kind == "wait":
        _open_wait(state, at, visit, step, activation)
        return
    elif step.kind == "human":
        assert activation.task is not None
        facts = activation.task
        task = Task(
            assignees=facts.assignees,
            candidates=facts.candidates,
            escalate_at_ms=facts.escalate_at_ms,
            opened_at_ms=state.at_ms,
        )
        open_task(state, at, visit, task)
        return
    elif state.paused:
        visit.phase = "held"
        return
    state.ready[at.scope, at.step, at.visit] = None


def _open_item_scope(state: ExecutionState, activation: Activation) -> ScopeState:
    assert activation.parent is not None
    parent, step, visit = activation.parent
    items = state.scopes[parent].active[step, visit].items
    assert items is not None
    index = activation.scope - items.first_scope
    items.next_index = index + 1  # items open in the order of the list
    items.in_flight += 1
    scope = ScopeState(
        number=activation.scope, plan_scope=None, parent=activation.parent, index=index
    )
    state.scopes[activation.scope] = scope
    return scope


def begin(plan: Plan, state: ExecutionState, at: Address, visit: Visit) -> None:
    """Have an attempt, a child or an inner scope begin, now or when it may."""
    step = plan.steps[at.step]
    if state.paused:
        set_phase(state, visit, "held")
        return
    if step.uses and not visit.permits:
        if not take(state, step.uses, plan.semaphores):
            join_queue(state, step.uses, (at.scope, at.step, at.visit))
            set_phase(state, visit, "queued")
            return
        visit.permits = True
    run(plan, state, at, visit)


def run(plan: Plan, state: ExecutionState, at: Address, visit: Visit) -> None:
    """Nothing is in the way any more."""
    step = plan.steps[at.step]
    attempt = Address(at.scope, at.step, at.visit, visit.attempt)
    if step.kind == "activity":
        set_phase(state, visit, "running")
        state.begun.append(attempt)
    elif step.child is not None and step.child.detached:
        visit.detached = child_id(state.execution_id, attempt)
        set_phase(state, visit, "ready")
        state.ready[at.scope, at.step, at.visit] = None
    elif step.child is not None:
        visit.child = child_id(state.execution_id, attempt)
        set_phase(state, visit, "child")
        state.begun.append(attempt)
    else:
        set_phase(state, visit, "ready")
        state.ready[at.scope, at.step, at.visit] = None


def open_scopes(
    plan: Plan,
    state: ExecutionState,
    at: Address,
    visit: Visit,
    first: int,
    variables: Sequence[dict[str, Value]],
) -> None:
    """Open a body's scope, or the scopes of a parallel step's branches."""
    step = plan.steps[at.step]
    state.ready.pop((at.scope, at.step, at.visit), None)
    parent = (at.scope, at.step, at.visit)
    for index, (number, declared) in enumerate(zip(step.scopes, variables, strict=True)):
        state.scopes[first + index] = ScopeState(
            number=first + index,
            plan_scope=number,
            parent=parent,
            index=index if step.kind == "parallel" else None,
            variables=dict(declared),
        )
    state.next_scope = max(state.next_scope, first + len(step.scopes))
    if step.kind == "body":
        visit.inner = first
        set_phase(state, visit, "body")
        return
    width = len(step.scopes)
    visit.items = Items(
        values=None,
        width=width,
        first_scope=first,
        next_index=width,
        in_flight=width,
        outputs=[None] * width,
        statuses=bytearray(width),
        names=tuple(plan.scopes[number].name or "" for number in step.scopes),
    )
    set_phase(state, visit, "items")


def _open_wait(
    state: ExecutionState, at: Address, visit: Visit, step: StepPlan, activation: Activation
) -> None:
    visit.phase = "waiting"
    for alternative in step.alternatives:
        if alternative.kind != "timer":
            open_waits = state.waits.setdefault(wait_key(alternative.kind, alternative.key), {})
            open_waits[at.scope, at.step, at.visit] = None
    if activation.due_at_ms is not None:
        visit.due_name = activation.due_name
        set_due(state, at, visit, activation.due_at_ms)


def open_task(state: ExecutionState, at: Address, visit: Visit, task: Task) -> None:
    """Ask a person, or hold the question while the execution is paused."""
    visit.task = task
    if state.paused:
        set_phase(state, visit, "held")
        return
    set_phase(state, visit, "human")
    task.deadline_at_ms = visit.deadline_at_ms
    if task.level < len(task.escalate_at_ms):
        set_due(state, at, visit, task.escalate_at_ms[task.level])
    task_changed(state, at, visit, "Open")


def task_changed(state: ExecutionState, at: Address, visit: Visit, status: TaskStatus) -> None:
    """Have it told that a human task is another one now."""
    task = visit.task
    assert task is not None
    now = Address(at.scope, at.step, at.visit, visit.attempt)
    shown = state.resolve(visit.input) if visit.holds else visit.input
    state.task_changes.append(
        TaskChange(at=now, task=task, status=status, at_ms=state.at_ms, shown=shown)
    )


def _take_buffered(state: ExecutionState, step: StepPlan, id: str) -> None:
    """A wait took a signal or an event that was kept; of several waits that one decision opened
    for the same event, each says so."""
    for alternative in step.alternatives:
        if alternative.kind == "signal" and drop_buffered(state.signals, alternative.key, id):
            state.signals_kept -= 1
        elif alternative.kind == "event" and drop_buffered(state.events, alternative.key, id):
            state.events_kept -= 1


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


def _fire(scope: ScopeState, step: StepPlan) -> None:
    """Take the arrivals that let a join start; a step that was opened directly has none."""
    waiting = scope.joins.get(step.number)
    if waiting is None:
        return
    if step.join.kind == "at_least":
        waiting.fired = True  # what still comes is swallowed until `JoinReopened`
        return
    for source in list(waiting.arrived):
        waiting.arrived[source] -= 1
        if not waiting.arrived[source]:
            del waiting.arrived[source]
    if not waiting.arrived:
        del scope.joins[step.number]


# -- closing


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
    if phase in _OUTSTANDING:
        if visit.child is None:
            state.busy -= 1
            state.stopping -= phase == "stopping"
    elif phase == "ready":
        state.ready.pop((at.scope, at.step, at.visit), None)
    elif phase == "waiting":
        close_wait(state, plan.steps[at.step], (at.scope, at.step, at.visit))
    elif phase == "queued":
        leave_queue(state, plan.steps[at.step].uses, (at.scope, at.step, at.visit))
        if not visit.withdrawn:
            hand_on(plan, state)
    elif phase == "canceling":
        scope.canceling.remove((at.step, at.visit))
    elif phase == "human":
        task_changed(state, at, visit, task)


def let_go(state: ExecutionState, visit: Visit) -> None:
    """Nothing of a closed visit is needed again."""
    if visit.holds:
        for held in _helds([visit.input, visit.items.values if visit.items is not None else None]):
            _point(state, held, -1)
    if visit.items is not None:
        visit.items.values = None  # the history has it, and nothing reads it any more


def resume_all(plan: Plan, state: ExecutionState) -> None:
    """A pause is over: what was held begins, and what waits for an instant is booked again."""
    for scope in list(state.scopes.values()):
        for visit in list(scope.active.values()):
            at = Address(scope.number, visit.step, visit.visit)
            if visit.due_at_ms is not None:
                state.add_timer(visit.due_at_ms, at.scope, at.step, at.visit, "due")
            if visit.phase != "held":
                continue
            if visit.task is not None:
                open_task(state, at, visit, visit.task)
            elif plan.steps[visit.step].kind in ("decision", "wait"):
                set_phase(state, visit, "ready")
                state.ready[at.scope, at.step, at.visit] = None
            else:
                begin(plan, state, at, visit)
    hand_on(plan, state)


def hand_on(plan: Plan, state: ExecutionState) -> None:
    """Give semaphores that are free to those who wait for them."""
    _let_run(plan, state, grant(state, plan.semaphores))


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


def give_back(plan: Plan, state: ExecutionState, visit: Visit) -> None:
    """An attempt is over: its semaphores go to those who waited longest."""
    if visit.permits:
        visit.permits = False
        uses = plan.steps[visit.step].uses
        _let_run(plan, state, release(state, uses, plan.semaphores))


def _let_run(plan: Plan, state: ExecutionState, granted: Iterable[VisitRef]) -> None:
    for scope_number, step_number, visit_number in granted:
        visit = state.scopes[scope_number].active[step_number, visit_number]
        visit.permits = True
        run(plan, state, Address(scope_number, step_number, visit_number), visit)


# -- settling


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


# -- small parts


def visit_of(state: ExecutionState, at: Address) -> Visit:
    """The active visit of an address; raises `KeyError` where there is none."""
    return state.scopes[at.scope].active[at.step, at.visit]


def set_phase(state: ExecutionState, visit: Visit, phase: Phase) -> None:
    """Change what a visit waits for, and the counters with it."""
    before = visit.phase
    if visit.child is None:
        state.busy += (phase in _OUTSTANDING) - (before in _OUTSTANDING)
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


def _helds(recorded: Value) -> list[Held]:
    if isinstance(recorded, Held):
        return [recorded]
    if isinstance(recorded, dict):
        return [held for item in recorded.values() for held in _helds(item)]
    if isinstance(recorded, list):
        return [held for item in recorded for held in _helds(item)]
    return []


def _point(state: ExecutionState, held: Held, change: int) -> None:
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
