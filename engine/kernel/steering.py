"""What people ask of an execution as a whole: to end, to pause, to go on, to be tried again; and
what they note about it.

Each request has an id that its sender drew before it was first sent. What decides something
journals the id, so that a repetition is known and decides nothing; what cannot be followed is
refused in words, and changes nothing.
"""

from __future__ import annotations

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    Activation,
    CancelRequested,
    ExecutionPaused,
    ExecutionResumed,
    ExecutionRetried,
    MessageTaken,
    MetadataChanged,
)
from heliostat.engine.kernel.fields import instant_of
from heliostat.engine.kernel.looking import close_scope
from heliostat.engine.kernel.restoring import fallen_visits, half_ended
from heliostat.engine.kernel.state import ROOT
from heliostat.engine.kernel.stimuli import (
    Cancel,
    Pause,
    Resume,
    Retry,
    SetMetadata,
)
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.plan.plan import StepPlan


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
    if turn.knows(stimulus.message_id):
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
    if turn.knows(stimulus.message_id):
        return
    if not turn.state.paused:
        turn.refuse("CONFLICT", f"the execution is {turn.state.status}, not Paused")
        return
    turn.emit(ExecutionResumed(at_ms=turn.now_ms, message_id=stimulus.message_id))


def on_retry(turn: Turn, stimulus: Retry) -> None:
    """A failed execution goes on in a new run."""
    plan, state, now_ms = turn.plan, turn.state, turn.now_ms
    if turn.knows(stimulus.message_id):
        return
    if state.status != "Failed":
        turn.refuse(
            "CONFLICT", f"the execution is {state.status}; only a Failed one can be retried"
        )
        return
    ending = None if stimulus.from_step is not None else half_ended(state)
    if ending is not None:
        turn.refuse(
            "CONFLICT",
            f"step {plan.steps[ending].id!r} was ending the items or branches that it needed no "
            f"more when the execution failed, and cannot be put back; retry from a step of the "
            f"root scope",
            "from",
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
        # What failed and is not run again may leave others without their needs.
        turn.look_at(scope, out_of_reach=True)


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


def on_metadata(turn: Turn, stimulus: SetMetadata) -> None:
    """What people note about an execution, also when it has ended; replaced as a whole."""
    if turn.knows(stimulus.message_id):
        return
    if not turn.state.seq:
        turn.refuse("NOT_FOUND", "it does not exist")
        return
    turn.emit(
        MetadataChanged(
            at_ms=turn.now_ms, message_id=stimulus.message_id, metadata=stimulus.metadata
        )
    )
