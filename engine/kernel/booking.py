"""What booking consists of: visits open, change their phase, settle and close.

`apply.py` says which of these an event leads to. Counters (`busy`, `stopping`, an item's
`in_flight`) change only in `open_visit`, `set_phase` and `close_visit`, so that they cannot drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Activation, AttemptEnded, StepFailed
from heliostat.engine.kernel.state import (
    ITEM_STATUS,
    ExecutionState,
    Items,
    Phase,
    ScopeState,
    Settled,
    SettledStatus,
    Tally,
    Visit,
    Waiting,
)
from heliostat.engine.plan.plan import END, EdgeNumber, Plan, StepPlan
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Held, Value

_OUTSTANDING: Final = frozenset(("running", "stopping"))


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
        state.next_scope += activation.width
        if activation.width:
            visit.phase = "items"
            return
    elif activation.skipped or activation.failure is not None:
        pass
    elif step.kind == "activity":
        visit.phase = "running"
        state.busy += 1
        return
    elif step.kind == "timer":
        visit.phase = "timer"
        assert activation.due_at_ms is not None
        set_due(state, at, visit, activation.due_at_ms)
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


def close_visit(state: ExecutionState, scope: ScopeState, at: Address) -> Visit:
    """Take a visit off the active ones: its counters, its place in `ready`, what it held."""
    visit = scope.active.pop((at.step, at.visit))
    if visit.phase in _OUTSTANDING:
        state.busy -= 1
        state.stopping -= visit.phase == "stopping"
    state.ready.pop((at.scope, at.step, at.visit), None)
    if visit.holds:
        for held in _helds([visit.input, visit.items.values if visit.items is not None else None]):
            _point(state, held, -1)
    if visit.items is not None:
        visit.items.values = None  # the history has it, and nothing reads it any more
    return visit


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


def is_item(scope: ScopeState) -> bool:
    """Whether a visit is an item of a `foreach`, in a scope of its own."""
    return scope.plan_scope is None


def items_of(state: ExecutionState, scope: ScopeState) -> Items:
    """The progress of the `foreach` that opened an item's scope."""
    assert scope.parent is not None
    parent, step, visit = scope.parent
    items = state.scopes[parent].active[step, visit].items
    assert items is not None
    return items


def settle_item(
    state: ExecutionState,
    scope: ScopeState,
    visit: Visit,
    status: SettledStatus,
    output: Value,
    output_bytes: int,
    event: StepFailed | None = None,
) -> None:
    """Book an item's end with its `foreach`; its scope goes."""
    items = items_of(state, scope)
    assert scope.index is not None
    items.in_flight -= 1
    items.statuses[scope.index] = ITEM_STATUS.index(status) + 1
    items.outputs[scope.index] = output
    items.output_bytes += output_bytes
    if status == "Failed":
        assert event is not None
        items.failed += 1
        items.failures[scope.index] = event.failure
    elif status == "Completed":
        items.completed += 1
    del state.scopes[scope.number]


def keep_item_extracts(
    state: ExecutionState, scope: ScopeState, extracts: dict[str, Value] | None
) -> None:
    """Keep what expressions read of an item's large output."""
    if extracts:
        assert scope.index is not None
        items_of(state, scope).extracts[scope.index] = extracts


def withdraw(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    at: Address,
    ended: AttemptEnded | None = None,
) -> None:
    """End a visit without a completion; what it returned in its grace can be read."""
    visit = close_visit(state, scope, at)
    output = ended.output if ended is not None else None
    output_bytes = ended.output_bytes if ended is not None else 0
    if is_item(scope):
        settle_item(state, scope, visit, "Canceled", output, output_bytes)
        keep_item_extracts(state, scope, ended.extracts if ended is not None else None)
        return
    settled = Settled(
        visit=at.visit,
        status="Canceled",
        output=output,
        output_bytes=output_bytes,
        extracts=ended.extracts if ended is not None else None,
        items=visit.items,
        collected=visit.items is not None,
    )
    settle_step(plan, scope, at, settled)


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
    state.status = status
    state.ended_at_ms = at_ms
    state.closing = None
    state.ready.clear()
    state.timers.clear()


# -- small parts


def visit_of(state: ExecutionState, at: Address) -> Visit:
    """The active visit of an address; raises `KeyError` where there is none."""
    return state.scopes[at.scope].active[at.step, at.visit]


def set_phase(state: ExecutionState, visit: Visit, phase: Phase) -> None:
    """Change what a visit waits for, and the counters with it."""
    before = visit.phase
    state.busy += (phase in _OUTSTANDING) - (before in _OUTSTANDING)
    state.stopping += (phase == "stopping") - (before == "stopping")
    visit.phase = phase
    refresh_status(state)


def refresh_status(state: ExecutionState) -> None:
    """Running while attempts are outstanding or the kernel itself goes on."""
    state.status = "Running" if state.busy or state.ready else "Waiting"


def set_due(state: ExecutionState, at: Address, visit: Visit, instant: int) -> None:
    """Book the instant that a visit waits for."""
    visit.due_at_ms = instant
    state.add_timer(instant, at.scope, at.step, at.visit, "due")


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
    scope = state.scopes[scope_number]
    settled = scope.settled.get(step)
    if settled is not None and settled.visit == visit:
        settled.holders += change
        return
    settled = scope.replaced[step, visit]
    settled.holders += change
    if not settled.holders:
        del scope.replaced[step, visit]
