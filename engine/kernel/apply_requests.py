"""Booking what signals, events, people and messages did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from heliostat.engine.identity import Address
from heliostat.engine.kernel.beginning import (
    give_back,
    open_all,
    open_task,
)
from heliostat.engine.kernel.closing import drop_inner, leave_lists
from heliostat.engine.kernel.events import (
    EventKept,
    HandlerFired,
    MessageTaken,
    MetadataChanged,
    SignalKept,
    TaskAssigned,
    TaskClaimed,
    TaskFailed,
    TaskOpened,
    TaskProgressed,
    TaskReleased,
)
from heliostat.engine.kernel.state import (
    Buffered,
    ExecutionState,
    ScopeState,
    Task,
    Visit,
)
from heliostat.engine.kernel.visits import (
    drop_buffered,
    is_own_deadline,
    remember,
    restore_deadline,
    set_due,
    task_changed,
    visit_of,
)
from heliostat.engine.plan.plan import Plan


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
        correlation_id=event.correlation_id,
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
    leave_lists(plan, state, event.at, visit)  # a deadline may pass while it waits
    drop_inner(state, visit)
    visit.items = None
    visit.failure = None
    visit.due_at_ms = None  # of a timer or wait that came to its deadline: it is waited for no more
    give_back(plan, state, visit)
    task = Task(
        assignees=event.task.assignees,
        candidates=event.task.candidates,
        escalate_at_ms=event.task.escalate_at_ms,
        opened_at_ms=event.at_ms,
        clause=event.clause,
        failure=event.failure,
    )
    if is_own_deadline(event.failure, plan.steps[event.at.step]):  # answered; it bounds nobody else
        visit.deadline_at_ms = visit.closing_deadline_at_ms = None
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


def _task_progressed(plan: Plan, state: ExecutionState, event: TaskProgressed) -> None:
    visit, task = _task(state, event.at)
    remember(state, event.message_id)
    task.progress, task.details = event.progress, event.details
    task.said += 1
    task_changed(state, event.at, visit, "Open" if task.claimed_by is None else "Claimed")


def _task_failed(plan: Plan, state: ExecutionState, event: TaskFailed) -> None:
    remember(state, event.message_id)


def _metadata_changed(plan: Plan, state: ExecutionState, event: MetadataChanged) -> None:
    remember(state, event.message_id)
    state.metadata = event.metadata


REQUESTS: Final[dict[type[Any], Callable[[Plan, ExecutionState, Any], None]]] = {
    SignalKept: _signal_kept,
    EventKept: _event_kept,
    HandlerFired: _handler_fired,
    MessageTaken: _message_taken,
    TaskOpened: _task_opened,
    TaskClaimed: _task_claimed,
    TaskReleased: _task_released,
    TaskAssigned: _task_assigned,
    TaskProgressed: _task_progressed,
    TaskFailed: _task_failed,
    MetadataChanged: _metadata_changed,
}
