"""How visits begin: they open, and have an attempt, a child or inner scopes begin, now or when a
semaphore is free or a pause is over.

What that makes outstanding is listed in `ExecutionState.begun`: whoever booked the event acts on
it. An item's `in_flight` is counted where its scope opens here, and where it settles in
`closing.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Activation
from heliostat.engine.kernel.names import child_id, wait_key
from heliostat.engine.kernel.permits import grant, join_queue, release, take
from heliostat.engine.kernel.state import (
    ExecutionState,
    Items,
    ScopeState,
    Task,
    Visit,
    VisitRef,
)
from heliostat.engine.kernel.visits import (
    count_pointer,
    drop_buffered,
    pointers,
    refresh_status,
    set_due,
    set_phase,
    task_changed,
)
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Value


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
        for held in pointers([activation.input, activation.items]):
            count_pointer(state, held, +1)
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


def _take_buffered(state: ExecutionState, step: StepPlan, id: str) -> None:
    """A wait took a signal or an event that was kept; of several waits that one decision opened
    for the same event, each says so."""
    for alternative in step.alternatives:
        if alternative.kind == "signal" and drop_buffered(state.signals, alternative.key, id):
            state.signals_kept -= 1
        elif alternative.kind == "event" and drop_buffered(state.events, alternative.key, id):
            state.events_kept -= 1


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
