"""`apply`: books one fact, in place. Total and choiceless: every choice was made, and recorded, by
`decide`; nothing here evaluates an expression or looks at a plan's conditions.

Two orders hold throughout. A visit is closed before those that it activated are opened, so that a
loop can open the visit that it just left. Counters (`busy`, `stopping`, an item's `in_flight`)
change only in `_open`, `_set_phase` and `_close`, so that they cannot drift.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
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
    ITEM_STATUS,
    ROOT,
    Closing,
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
from heliostat.engine.values import Held, Value

CANCEL_IDS_MAX: Final = 16
"""Ids of cancel requests that are remembered; one decides, the others are repetitions."""

_OUTSTANDING: Final = frozenset(("running", "stopping"))


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
    _open_all(plan, state, event.activated)


def _completed(plan: Plan, state: ExecutionState, event: StepCompleted) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    visit = _close(state, scope, at)
    if _is_item(scope, at):
        _settle_item(state, scope, visit, "Completed", event.output, event.output_bytes)
        _keep_item_extracts(state, scope, event.extracts)
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
        _settle(plan, scope, at, settled)
        for name, value in event.assigned.items():
            _declaring(state, scope, name).variables[name] = value
        for name, value in event.appended.items():
            # A new list: the old one may be a constant of the plan, or part of a recorded input.
            variables = _declaring(state, scope, name).variables
            variables[name] = [*variables[name], value]
        _arrive(plan, scope, event.taken)
        if plan.steps[at.step].terminate:
            scope.terminated = True
    _open_all(plan, state, event.activated)


def _skipped(plan: Plan, state: ExecutionState, event: StepSkipped) -> None:
    scope = state.scopes[event.at.scope]
    visit = _close(state, scope, event.at)
    if _is_item(scope, event.at):
        _settle_item(state, scope, visit, "Skipped", None, 0)
    else:
        _settle(plan, scope, event.at, Settled(visit=event.at.visit, status="Skipped"))
        _arrive(plan, scope, event.taken)
    _open_all(plan, state, event.activated)


def _failed(plan: Plan, state: ExecutionState, event: StepFailed) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    visit = _close(state, scope, at)
    if _is_item(scope, at):
        _settle_item(state, scope, visit, "Failed", None, 0, event)
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
        _settle(plan, scope, at, settled)
        _arrive(plan, scope, event.taken)
        if not event.taken and not event.tolerated:
            scope.failing = event.failure
    _open_all(plan, state, event.activated)


def _attempt_started(plan: Plan, state: ExecutionState, event: AttemptStarted) -> None:
    _visit(state, event.at).started = True


def _attempt_failed(plan: Plan, state: ExecutionState, event: AttemptFailed) -> None:
    visit = _visit(state, event.at)
    visit.failures += 1
    visit.attempt += 1
    visit.failure = visit.output = visit.extracts = None
    visit.output_bytes = 0
    visit.started = False
    state.ready.pop((event.at.scope, event.at.step, event.at.visit), None)
    _set_phase(state, visit, "backoff")
    _set_due(state, event.at, visit, event.retry_at_ms)


def _retry_due(plan: Plan, state: ExecutionState, event: RetryDue) -> None:
    visit = _visit(state, event.at)
    visit.due_at_ms = None
    _set_phase(state, visit, "running")


def _attempt_lost(plan: Plan, state: ExecutionState, event: AttemptLost) -> None:
    visit = _visit(state, event.at)
    visit.attempt += 1
    visit.alone = True
    visit.counted_losses += event.counted


def _attempt_stopping(plan: Plan, state: ExecutionState, event: AttemptStopping) -> None:
    visit = _visit(state, event.at)
    visit.failure = event.failure
    if event.failure.type == "DeadlineExceeded":
        visit.deadline_at_ms = None  # answered; its timer must not fire again
    _set_phase(state, visit, "stopping")
    _set_due(state, event.at, visit, event.grace_until_ms)


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
                    _set_phase(state, visit, "stopping")
                    _set_due(state, at, visit, event.grace_until_ms)
            elif visit.phase == "items":
                assert visit.items is not None
                visit.items.closing = True
                visit.deadline_at_ms = None
            else:
                _withdraw(plan, state, scope, at)
    if event.step is None:
        _withdraw_spent(plan, state, state.scopes[ROOT])
    _refresh_status(state)


def _withdraw_spent(plan: Plan, state: ExecutionState, scope: ScopeState) -> None:
    """In a scope that closes, end each `foreach` whose items have all ended."""
    for visit in list(scope.active.values()):
        if visit.items is not None and not visit.items.in_flight:
            _withdraw(plan, state, scope, Address(scope.number, visit.step, visit.visit))


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
        _set_phase(state, visit, "ready")
        return
    _withdraw(plan, state, scope, event.at, event)
    if state.closing is not None and scope.parent is not None:
        _withdraw_spent(plan, state, state.scopes[scope.parent[0]])
    _refresh_status(state)


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
    _open_all(plan, state, event.activated)


def _execution_completed(plan: Plan, state: ExecutionState, event: ExecutionCompleted) -> None:
    state.output = event.output
    _finish(state, event.at_ms, "Completed")


def _execution_failed(plan: Plan, state: ExecutionState, event: ExecutionFailed) -> None:
    state.failure = event.failure
    _finish(state, event.at_ms, "Failed")


def _execution_canceled(plan: Plan, state: ExecutionState, event: ExecutionCanceled) -> None:
    _finish(state, event.at_ms, "Canceled")


def _join_reopened(plan: Plan, state: ExecutionState, event: JoinReopened) -> None:
    del state.scopes[event.scope].joins[event.step]


def _owner_changed(plan: Plan, state: ExecutionState, event: OwnerChanged) -> None:
    for at in event.reissued:
        _visit(state, at).attempt += 1


# -- opening, settling, closing


def _open_all(plan: Plan, state: ExecutionState, activated: Iterable[Activation]) -> None:
    for activation in activated:
        _open(plan, state, activation)
    _refresh_status(state)


def _open(plan: Plan, state: ExecutionState, activation: Activation) -> None:
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
        _set_due(state, at, visit, activation.due_at_ms)
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


def _close(state: ExecutionState, scope: ScopeState, at: Address) -> Visit:
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


def _settle(plan: Plan, scope: ScopeState, at: Address, settled: Settled) -> None:
    before = scope.settled.get(at.step)
    if before is not None and before.holders:
        scope.replaced[at.step, before.visit] = before
    scope.settled[at.step] = settled
    for dependent in plan.steps[at.step].dependents:
        tally = scope.tallies.setdefault(dependent, Tally())
        tally.settled += 1
        tally.completed += settled.status == "Completed"
        tally.failed += settled.status == "Failed"


def _is_item(scope: ScopeState, at: Address) -> bool:
    return scope.plan_scope is None


def _items_of(state: ExecutionState, scope: ScopeState) -> Items:
    assert scope.parent is not None
    parent, step, visit = scope.parent
    items = state.scopes[parent].active[step, visit].items
    assert items is not None
    return items


def _settle_item(
    state: ExecutionState,
    scope: ScopeState,
    visit: Visit,
    status: SettledStatus,
    output: Value,
    output_bytes: int,
    event: StepFailed | None = None,
) -> None:
    items = _items_of(state, scope)
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


def _keep_item_extracts(
    state: ExecutionState, scope: ScopeState, extracts: dict[str, Value] | None
) -> None:
    if extracts:
        assert scope.index is not None
        _items_of(state, scope).extracts[scope.index] = extracts


def _withdraw(
    plan: Plan,
    state: ExecutionState,
    scope: ScopeState,
    at: Address,
    ended: AttemptEnded | None = None,
) -> None:
    """End a visit without a completion; what it returned in its grace can be read."""
    visit = _close(state, scope, at)
    output = ended.output if ended is not None else None
    output_bytes = ended.output_bytes if ended is not None else 0
    if _is_item(scope, at):
        _settle_item(state, scope, visit, "Canceled", output, output_bytes)
        _keep_item_extracts(state, scope, ended.extracts if ended is not None else None)
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
    _settle(plan, scope, at, settled)


def _arrive(plan: Plan, scope: ScopeState, taken: Iterable[EdgeNumber]) -> None:
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


def _finish(state: ExecutionState, at_ms: int, status: Any) -> None:
    state.status = status
    state.ended_at_ms = at_ms
    state.closing = None
    state.ready.clear()
    state.timers.clear()


# -- small parts


def _visit(state: ExecutionState, at: Address) -> Visit:
    return state.scopes[at.scope].active[at.step, at.visit]


def _set_phase(state: ExecutionState, visit: Visit, phase: Phase) -> None:
    before = visit.phase
    state.busy += (phase in _OUTSTANDING) - (before in _OUTSTANDING)
    state.stopping += (phase == "stopping") - (before == "stopping")
    visit.phase = phase
    _refresh_status(state)


def _refresh_status(state: ExecutionState) -> None:
    state.status = "Running" if state.busy or state.ready else "Waiting"


def _set_due(state: ExecutionState, at: Address, visit: Visit, instant: int) -> None:
    visit.due_at_ms = instant
    state.add_timer(instant, at.scope, at.step, at.visit, "due")


def _declaring(state: ExecutionState, scope: ScopeState, name: str) -> ScopeState:
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
