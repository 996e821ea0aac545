"""What people, other executions and events ask of an execution.

Each request has an id that its sender drew before it was first sent. What decides something
journals the id, so that a repetition is known and decides nothing; what cannot be followed is
refused in words, and changes nothing.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening, expression_failure, instant_of
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.decide import ended
from heliostat.engine.kernel.events import (
    Activation,
    AttemptEnded,
    AttemptFailed,
    CancelRequested,
    EventKept,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    Failure,
    MessageTaken,
    RetryDue,
    SignalKept,
    TaskAssigned,
    TaskClaimed,
    TaskReleased,
)
from heliostat.engine.kernel.flow import attempt_failed, complete, fail, give_up
from heliostat.engine.kernel.handlers import handle
from heliostat.engine.kernel.looking import close_scope, settle_matters
from heliostat.engine.kernel.restoring import fallen_visits
from heliostat.engine.kernel.result import Result
from heliostat.engine.kernel.state import ROOT, Buffered, Task, Visit
from heliostat.engine.kernel.stimuli import (
    Cancel,
    ChildEnded,
    EventArrived,
    Pause,
    Resume,
    Retry,
    Signal,
    TaskAction,
)
from heliostat.engine.kernel.tasks import human_of
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.waits import open_waits, takes, wait_output
from heliostat.engine.plan.plan import StepPlan
from heliostat.engine.values import Value

SIGNALS_KEPT_MAX: Final = 1_000
"""Signals that wait for a `wait`; one more is refused, before it is acknowledged."""

EVENTS_KEPT_MAX: Final = 1_000
"""Events that wait for a `wait`; the oldest makes room for one more, visibly."""

EVENT_KEPT_MS: Final = 24 * 3_600_000
"""How long an event that came early is kept."""


def _known(turn: Turn, message_id: str) -> bool:
    """Whether a message has decided already; either way it need not come again."""
    turn.taken.append(message_id)
    return message_id in turn.state.seen


# -- the execution as a whole


def on_cancel(turn: Turn, stimulus: Cancel) -> None:
    """Somebody wants the execution to end: nothing new starts, what runs is told to stop."""
    state = turn.state
    turn.taken.append(stimulus.message_id)
    if not state.seq or state.ended or state.cancel_ids:
        return
    turn.emit(
        CancelRequested(at_ms=turn.now_ms, message_id=stimulus.message_id, reason=stimulus.reason)
    )
    if state.closing is None:
        close_scope(turn, state.scopes[ROOT], canceled=True)


def on_pause(turn: Turn, stimulus: Pause) -> None:
    """Nothing new starts; what runs ends and is recorded."""
    state = turn.state
    if _known(turn, stimulus.message_id):
        return
    if state.ended or state.closing is not None:
        turn.refuse("CONFLICT", f"the execution is {state.status}, it cannot be paused any more")
    elif state.paused:
        turn.emit(MessageTaken(at_ms=turn.now_ms, message_id=stimulus.message_id))
    else:
        turn.emit(
            ExecutionPaused(
                at_ms=turn.now_ms, message_id=stimulus.message_id, reason=stimulus.reason
            )
        )


def on_resume(turn: Turn, stimulus: Resume) -> None:
    """What a pause held begins."""
    if _known(turn, stimulus.message_id):
        return
    if not turn.state.paused:
        turn.refuse("CONFLICT", f"the execution is {turn.state.status}, not Paused")
        return
    turn.emit(ExecutionResumed(at_ms=turn.now_ms, message_id=stimulus.message_id))


def on_retry(turn: Turn, stimulus: Retry) -> None:
    """A failed execution goes on in a new run."""
    plan, state, now_ms = turn.plan, turn.state, turn.now_ms
    if _known(turn, stimulus.message_id):
        return
    if state.status != "Failed":
        turn.refuse(
            "CONFLICT", f"the execution is {state.status}; only a Failed one can be retried"
        )
        return
    root = state.scopes[ROOT]
    context = ScopeContext(plan, state, root, now_ms).seeded(None, "deadline")
    step: StepPlan | None = None
    deadline: int | None = None
    activated: tuple[Activation, ...] = ()
    try:
        if plan.deadline is not None:
            deadline = instant_of(plan.deadline, context, "deadline")
        if stimulus.from_step is not None:
            step = _root_step(turn, stimulus.from_step)
            if step is None:
                return
            opening = Opening(plan, state)
            opening.visit(step, root, context)
            activated = tuple(opening.activated)
    except ExpressionError as error:
        turn.refuse("CONFLICT", f"`deadline` has no value any more: {error}")
        return
    turn.emit(
        ExecutionRetried(
            at_ms=now_ms,
            message_id=stimulus.message_id,
            run=state.run + 1,
            deadline_at_ms=deadline,
            from_step=None if step is None else step.number,
            deadlines=() if step is not None else _deadlines(turn),
            activated=activated,
        )
    )
    for scope in sorted(state.scopes.values(), key=lambda scope: -scope.number):
        turn.look_at(scope)


def _root_step(turn: Turn, step_id: str) -> StepPlan | None:
    number = turn.plan.step_by_id.get(step_id)
    step = None if number is None else turn.plan.steps[number]
    if step is None or step.scope != turn.plan.root.number:
        names = ", ".join(repr(turn.plan.steps[each].id) for each in turn.plan.root.steps)
        turn.refuse(
            "INVALID_INPUT",
            f"`from`: {step_id!r} is no step of the root scope; these are: {names}",
        )
        return None
    return step


def _deadlines(turn: Turn) -> tuple[tuple[Address, int], ...]:
    """The deadlines of visits that go on: as long as they were, from now."""
    found: list[tuple[Address, int]] = []
    for at, _ in fallen_visits(turn.state):
        step = turn.plan.steps[at.step]
        scope = turn.state.scopes[at.scope]
        if step.deadline is None or scope.plan_scope is None:
            continue
        context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms).seeded(at, "deadline")
        try:
            found.append((at, instant_of(step.deadline, context, "deadline")))
        except ExpressionError:
            continue  # it had a value when the visit opened: what it read has changed. Unbounded
    return tuple(found)


# -- signals and events


def on_signal(turn: Turn, stimulus: Signal) -> None:
    """A signal goes to the oldest wait that takes it, or is kept for the first that will."""
    plan, state = turn.plan, turn.state
    if _known(turn, stimulus.message_id):
        return
    if state.ended:
        turn.refuse("CONFLICT", f"the execution is {state.status}, nothing waits for a signal")
        return
    came = Buffered(
        id=stimulus.message_id, name=stimulus.name, data=stimulus.data, at_ms=turn.now_ms
    )
    for at, step in open_waits(plan, state, "signal", stimulus.name):
        if _deliver(turn, at, step, "signal", came):
            return
    if state.signals_kept >= SIGNALS_KEPT_MAX:
        turn.refuse(
            "OVERLOADED",
            f"{SIGNALS_KEPT_MAX} signals wait already that nothing has taken; try again later",
        )
        turn.taken.clear()
        return
    turn.emit(
        SignalKept(
            at_ms=turn.now_ms,
            message_id=stimulus.message_id,
            name=stimulus.name,
            data=stimulus.data,
        )
    )


def on_event(turn: Turn, stimulus: EventArrived) -> None:
    """An event goes to every handler and every open wait that takes it; if no wait does, it is
    kept for a time, should the plan wait for its type."""
    plan, state = turn.plan, turn.state
    if _known(turn, stimulus.event_id) or state.ended or not state.seq:
        return
    came = Buffered(
        id=stimulus.event_id,
        name=stimulus.name,
        data=stimulus.data,
        at_ms=stimulus.published_at_ms,
    )
    if stimulus.name in plan.handled:
        for handler in plan.handlers:
            if handler.event == stimulus.name and not state.ended:
                handle(turn, handler, came)
                settle_matters(turn)
    delivered = False
    for at, step in list(open_waits(plan, state, "event", stimulus.name)):
        if state.visit_at(at) is not None and _deliver(turn, at, step, "event", came):
            delivered = True
            settle_matters(turn)
    if delivered or stimulus.name not in plan.awaited or state.ended:
        return
    dropped = () if state.events_kept < EVENTS_KEPT_MAX else (_oldest_event(turn),)
    turn.emit(
        EventKept(
            at_ms=turn.now_ms,
            event_id=stimulus.event_id,
            name=stimulus.name,
            data=stimulus.data,
            published_at_ms=stimulus.published_at_ms,
            expires_at_ms=stimulus.published_at_ms + EVENT_KEPT_MS,
            dropped=dropped,
        )
    )


def _oldest_event(turn: Turn) -> str:
    kept = (event for events in turn.state.events.values() for event in events)
    return min(kept, key=lambda event: event.at_ms).id


def _deliver(turn: Turn, at: Address, step: StepPlan, kind: str, came: Buffered) -> bool:
    """Give an open wait what came, if one of its alternatives takes it."""
    scope = turn.state.scopes[at.scope]
    context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms).seeded(at, "where")
    for alternative in step.alternatives:
        try:
            if not takes(alternative, "signal" if kind == "signal" else "event", came, context):
                continue
        except ExpressionError as error:
            fail(turn, at, expression_failure(error, step), Result(message_id=came.id))
            return True
        output = wait_output(alternative, came.data, came.at_ms)
        complete(turn, at, Result(output=output, message_id=came.id))
        return True
    return False


# -- children


def on_child_ended(turn: Turn, stimulus: ChildEnded) -> None:
    """The execution that a `sub_workflow` step started has reached its end."""
    turn.taken.append(stimulus.message_id)
    at = stimulus.at
    visit = turn.state.visit_at(at)
    if visit is None or visit.child is None or visit.attempt != at.attempt:
        return
    if visit.phase == "stopping":
        returned = stimulus.status == "Completed"
        over = AttemptEnded(
            at_ms=turn.now_ms,
            at=at,
            returned=returned,
            output=stimulus.output,
            output_bytes=stimulus.output_bytes,
            extracts=stimulus.extracts,
        )
        ended(turn, over)
    elif visit.phase != "child":
        return
    elif stimulus.status == "Completed":
        result = Result(
            output=stimulus.output,
            output_bytes=stimulus.output_bytes,
            extracts=stimulus.extracts,
            message_id=stimulus.message_id,
        )
        complete(turn, at, result)
    else:
        failure = _failure_of_child(visit, stimulus)
        attempt_failed(turn, at, failure, Result(message_id=stimulus.message_id))


def _failure_of_child(visit: Visit, stimulus: ChildEnded) -> Failure:
    """What a child failed with: its parent's clauses know it by the same names."""
    inner = stimulus.failure
    if stimulus.status == "Canceled" or inner is None:
        return Failure(type="Canceled", message=f"execution {visit.child!r} was canceled")
    return Failure(
        type=inner.type,
        message=f"execution {visit.child!r} failed: {inner.message}",
        mro=(*inner.mro, "ChildFailed"),
    )


# -- people


def on_task(turn: Turn, stimulus: TaskAction) -> None:
    """A person does something with a human task."""
    state, at = turn.state, stimulus.at
    if _known(turn, stimulus.message_id):
        return
    visit = state.visit_at(at)
    if visit is None or visit.attempt != at.attempt or visit.phase != "human":
        turn.refuse("CONFLICT", "the task is not open: it has ended, or is held by a pause")
        return
    task = visit.task
    assert task is not None
    other = task.claimed_by is not None and task.claimed_by != stimulus.user
    if other and not stimulus.force and stimulus.verb != "assign":
        turn.refuse("CONFLICT", f"the task is claimed by {task.claimed_by!r}")
        return
    if stimulus.verb == "claim":
        turn.emit(
            TaskClaimed(
                at_ms=turn.now_ms, at=at, user=stimulus.user, message_id=stimulus.message_id
            )
        )
    elif stimulus.verb == "release":
        if task.claimed_by is None:
            turn.refuse("CONFLICT", "nobody has claimed the task")
            return
        turn.emit(
            TaskReleased(
                at_ms=turn.now_ms, at=at, user=stimulus.user, message_id=stimulus.message_id
            )
        )
    elif stimulus.verb == "assign":
        turn.emit(
            TaskAssigned(
                at_ms=turn.now_ms,
                at=at,
                assignees=stimulus.assignees,
                candidates=stimulus.candidates,
                user=stimulus.user,
                message_id=stimulus.message_id,
            )
        )
    else:
        _complete_task(turn, at, task, stimulus)


def _complete_task(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    _, _, step = turn.locate(at)
    human = human_of(step, task)
    if task.clause is not None:
        _resolve_failure(turn, at, task, stimulus)
        return
    problem = None if human.validate is None else human.validate(stimulus.data)
    if problem is not None:
        turn.refuse("INVALID_INPUT", f"the form does not allow this: {problem}")
        return
    data = stimulus.data
    output: dict[str, Value] = dict(data) if isinstance(data, dict) else {"data": data}
    output["completed_by"] = stimulus.user
    complete(turn, at, Result(output=output, message_id=stimulus.message_id))


def _resolve_failure(turn: Turn, at: Address, task: Task, stimulus: TaskAction) -> None:
    """A person says how a failed step goes on: `{resolution: retry | complete | fail}`."""
    _, _, step = turn.locate(at)
    data = stimulus.data if isinstance(stimulus.data, dict) else {}
    resolution, failure = data.get("resolution"), task.failure
    assert failure is not None
    if resolution == "retry" and step.foreach is None:
        turn.emit(
            AttemptFailed(
                at_ms=turn.now_ms,
                at=at,
                failure=failure,
                retry_at_ms=turn.now_ms,
                message_id=stimulus.message_id,
            )
        )
        again = Address(at.scope, at.step, at.visit, at.attempt + 1)
        turn.emit(RetryDue(at_ms=turn.now_ms, at=again))
    elif resolution == "complete":
        result = Result(
            output=data.get("output"), recovered=failure, message_id=stimulus.message_id
        )
        complete(turn, at, result)
    elif resolution == "fail":
        give_up(turn, at, failure, Result(message_id=stimulus.message_id))
    elif resolution == "retry":
        turn.refuse("INVALID_INPUT", f"step {step.id!r} runs over a list and is not tried again")
    else:
        turn.refuse(
            "INVALID_INPUT",
            "say how the step goes on: {resolution: retry}, {resolution: complete, output: …} "
            "or {resolution: fail}",
        )
