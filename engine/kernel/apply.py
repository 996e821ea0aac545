"""`apply`: books one fact, in place. Total and choiceless: every choice was made, and recorded, by
`decide`; nothing here evaluates an expression or looks at a plan's conditions.

A visit is closed before those that it activated are opened, so that a loop can open the visit that
it just left. What opening, settling and closing consist of is in `booking.py`, what a withdrawal
is in `withdrawing.py`, what a retry of the execution puts back in `restoring.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.booking import (
    arrive,
    begin,
    close_visit,
    declaring,
    drop_buffered,
    drop_inner,
    drop_scope,
    drop_sides,
    finish,
    give_back,
    is_item,
    is_side,
    leave_phase,
    let_go,
    open_all,
    open_scopes,
    open_task,
    owner_of,
    refresh_status,
    remember,
    restore_deadline,
    resume_all,
    set_due,
    set_phase,
    settle_child,
    settle_step,
    settled_items,
    task_changed,
    visit_of,
)
from heliostat.engine.kernel.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    BranchCompleted,
    BranchFailed,
    CancelRequested,
    EventKept,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionPaused,
    ExecutionRedirected,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    HandlerFired,
    JoinReopened,
    MessageTaken,
    OwnerChanged,
    RegionCanceling,
    RetryDue,
    ScopeClosing,
    ScopesOpened,
    SignalKept,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskAssigned,
    TaskClaimed,
    TaskOpened,
    TaskReleased,
)
from heliostat.engine.kernel.items import outcome_of
from heliostat.engine.kernel.restoring import restore, start_over
from heliostat.engine.kernel.state import (
    ROOT,
    Buffered,
    Closing,
    ExecutionState,
    Fallen,
    Kept,
    ScopeState,
    Settled,
    Task,
    Visit,
)
from heliostat.engine.kernel.withdrawing import active_in, attempt_ended, inner_scopes, withdraw
from heliostat.engine.plan.plan import Plan, StepNumber, StepPlan
from heliostat.engine.status import TaskStatus

CANCEL_IDS_MAX: Final = 16
"""Ids of cancel requests that are remembered; one decides, the others are repetitions."""


def apply(plan: Plan, state: ExecutionState, event: ExecutionEvent) -> None:
    """Book one fact. Raises `KeyError` where it does not fit the state: the journal is corrupt."""
    state.seq += 1
    state.at_ms = event.at_ms
    _BOOK[type(event)](plan, state, event)


def _started(plan: Plan, state: ExecutionState, event: ExecutionStarted) -> None:
    state.execution_id = event.execution_id
    state.definition, state.version = event.definition, event.version
    state.input, state.input_bytes, state.extracts = event.input, event.input_bytes, event.extracts
    state.tags = event.tags
    state.parent = event.parent
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


# -- steps


def _completed(plan: Plan, state: ExecutionState, event: StepCompleted) -> None:
    at = event.at
    scope = state.scopes[at.scope]
    step = plan.steps[at.step]
    if event.message_id is not None:
        remember(state, event.message_id)
    output = state.resolve(event.output) if event.holds else event.output
    if step.cancels and not is_item(scope) and visit_of(state, at).phase != "canceling":
        _cancel_region(plan, state, scope, step)
    late = event.recovered is not None and event.message_id is None
    visit = close_visit(plan, state, scope, at, task="Failed" if late else "Completed")
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
            _skip(plan, scope, event.skipped)
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
        uncaught = uncaught and _decides(plan, state, scope)
    visit = visit_of(state, at)
    phase = visit.phase
    answered = event.message_id is not None
    task: TaskStatus = "Completed" if answered else "Failed"
    close_visit(plan, state, scope, at, task=task, keep=uncaught)
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


def _decides(plan: Plan, state: ExecutionState, scope: ScopeState) -> bool:
    """Whether one more failure settles the outcome of what opened an item or a branch."""
    _, owner = owner_of(state, scope)
    items = owner.items
    assert items is not None
    if items.closing:
        return False
    step = plan.steps[owner.step]
    return outcome_of(step, items.width, items.completed, items.failed + 1) is False


# -- attempts


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


def _scopes_opened(plan: Plan, state: ExecutionState, event: ScopesOpened) -> None:
    visit = visit_of(state, event.at)
    if event.failure is not None:
        visit.failure = event.failure
        return
    open_scopes(plan, state, event.at, visit, event.first_scope, event.variables)
    open_all(plan, state, event.activated)


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


# -- scopes


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
    keep = _decides(plan, state, scope)
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
    _cancel_region(plan, state, scope, step)
    _skip(plan, scope, event.skipped)
    refresh_status(state)


def _cancel_region(plan: Plan, state: ExecutionState, scope: ScopeState, step: StepPlan) -> None:
    for number in step.cancels:
        scope.joins.pop(number, None)
    region = region_of(scope, step)
    withdraw(plan, state, region, keep=False)


def _skip(plan: Plan, scope: ScopeState, steps: tuple[StepNumber, ...]) -> None:
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


# -- signals, events, people


def _signal_kept(plan: Plan, state: ExecutionState, event: SignalKept) -> None:
    remember(state, event.message_id)
    signal = Buffered(id=event.message_id, name=event.name, data=event.data, at_ms=event.at_ms)
    state.signals.setdefault(event.name, []).append(signal)
    state.signals_kept += 1


def _event_kept(plan: Plan, state: ExecutionState, event: EventKept) -> None:
    remember(state, event.event_id)
    for id in event.dropped:
        for name in list(state.events):
            if drop_buffered(state.events, name, id):
                state.events_kept -= 1
    kept = Buffered(
        id=event.event_id,
        name=event.name,
        data=event.data,
        at_ms=event.published_at_ms,
        expires_at_ms=event.expires_at_ms,
    )
    state.events.setdefault(event.name, []).append(kept)
    state.events_kept += 1


def _handler_fired(plan: Plan, state: ExecutionState, event: HandlerFired) -> None:
    remember(state, f"{event.event_id}/{event.handler}")
    for number, plan_scope in event.scopes:
        state.scopes[number] = ScopeState(number=number, plan_scope=plan_scope)
        state.next_scope = max(state.next_scope, number + 1)
    open_all(plan, state, event.activated)


def _message_taken(plan: Plan, state: ExecutionState, event: MessageTaken) -> None:
    remember(state, event.message_id)


def _task_opened(plan: Plan, state: ExecutionState, event: TaskOpened) -> None:
    visit = visit_of(state, event.at)
    state.ready.pop((event.at.scope, event.at.step, event.at.visit), None)
    drop_inner(state, visit)
    visit.items = None
    visit.failure = None
    give_back(plan, state, visit)
    task = Task(
        assignees=event.task.assignees,
        candidates=event.task.candidates,
        escalate_at_ms=event.task.escalate_at_ms,
        opened_at_ms=event.at_ms,
        clause=event.clause,
        failure=event.failure,
    )
    if event.deadline_at_ms is not None:
        visit.deadline_at_ms = event.deadline_at_ms
        at = event.at
        state.add_timer(event.deadline_at_ms, at.scope, at.step, at.visit, "deadline")
    visit.child = None
    restore_deadline(state, event.at, visit)
    open_task(state, event.at, visit, task)


def _task(state: ExecutionState, at: Address) -> tuple[Visit, Task]:
    visit = visit_of(state, at)
    assert visit.task is not None
    return visit, visit.task


def _task_claimed(plan: Plan, state: ExecutionState, event: TaskClaimed) -> None:
    visit, task = _task(state, event.at)
    remember(state, event.message_id)
    task.claimed_by = event.user
    task_changed(state, event.at, visit, "Claimed")


def _task_released(plan: Plan, state: ExecutionState, event: TaskReleased) -> None:
    visit, task = _task(state, event.at)
    remember(state, event.message_id)
    task.claimed_by = None
    task_changed(state, event.at, visit, "Open")


def _task_assigned(plan: Plan, state: ExecutionState, event: TaskAssigned) -> None:
    visit, task = _task(state, event.at)
    remember(state, event.message_id)
    if event.level is None:
        task.assignees, task.candidates = event.assignees, event.candidates
        task.claimed_by = None
    else:
        # An escalation takes the task from nobody.
        task.assignees = tuple(dict.fromkeys((*task.assignees, *event.assignees)))
        task.candidates = tuple(dict.fromkeys((*task.candidates, *event.candidates)))
        task.level = event.level
        visit.due_at_ms = None
        if event.level < len(task.escalate_at_ms):
            set_due(state, event.at, visit, task.escalate_at_ms[event.level])
    task_changed(state, event.at, visit, "Open" if task.claimed_by is None else "Claimed")


# -- the execution


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


def _owner_changed(plan: Plan, state: ExecutionState, event: OwnerChanged) -> None:
    for at in event.reissued:
        visit = visit_of(state, at)
        visit.attempt += 1


_BOOK: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    ExecutionStarted: _started,
    StepCompleted: _completed,
    StepSkipped: _skipped,
    StepFailed: _failed,
    AttemptStarted: _attempt_started,
    AttemptFailed: _attempt_failed,
    RetryDue: _retry_due,
    ScopesOpened: _scopes_opened,
    AttemptLost: _attempt_lost,
    AttemptStopping: _attempt_stopping,
    AttemptEnded: _attempt_ended,
    ScopeClosing: _scope_closing,
    BranchCompleted: _branch_completed,
    BranchFailed: _branch_failed,
    RegionCanceling: _region_canceling,
    JoinReopened: _join_reopened,
    SignalKept: _signal_kept,
    EventKept: _event_kept,
    HandlerFired: _handler_fired,
    MessageTaken: _message_taken,
    TaskOpened: _task_opened,
    TaskClaimed: _task_claimed,
    TaskReleased: _task_released,
    TaskAssigned: _task_assigned,
    ExecutionPaused: _paused,
    ExecutionResumed: _resumed,
    CancelRequested: _cancel_requested,
    ExecutionRedirected: _redirected,
    ExecutionCompleted: _execution_completed,
    ExecutionFailed: _execution_failed,
    ExecutionCanceled: _execution_canceled,
    ExecutionRetried: _execution_retried,
    OwnerChanged: _owner_changed,
}
