"""What each stimulus leads to. A late, repeated or foreign report decides nothing, so runners may
report at least once and clients may ask again.

Reports, the clock and take-overs are here; what people, other executions and events ask for is in
`steering.py`, `migrating.py`, `tasking.py` and `requests.py`. The flows that they set off are in
`flow.py`, `looking.py` and `ending.py`.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening, expression_failure
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    AttemptEnded,
    AttemptLost,
    AttemptStopping,
    ExecutionStarted,
    Failure,
    OwnerChanged,
    RetryDue,
    ScopesOpened,
    TaskAssigned,
)
from heliostat.engine.kernel.fields import instant_of, people
from heliostat.engine.kernel.flow import attempt_failed, complete, deadline_failure, fail, skip
from heliostat.engine.kernel.holding import HELD_BYTES_MIN, exceeds
from heliostat.engine.kernel.looking import (
    close_items,
    close_scope,
    look_around,
    outwards,
    resume,
    settle_matters,
)
from heliostat.engine.kernel.policy import COUNTED_LOSSES_MAX, failure_of
from heliostat.engine.kernel.result import NOTHING, Result, kept_result
from heliostat.engine.kernel.state import ROOT, ExecutionState, ScopeState, TimerKind, Visit
from heliostat.engine.kernel.stimuli import (
    Start,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
    TakenOver,
    Woke,
)
from heliostat.engine.kernel.tasks import human_of
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.waits import wait_output
from heliostat.engine.plan.plan import ErrorClause, Plan, StepPlan
from heliostat.engine.scheduling.protocol import PRIORITY
from heliostat.engine.values import Value

DUE_MAX: Final = 1_000
"""Timers that one turn answers; the next instant to wake is then in the past."""


def on_start(turn: Turn, stimulus: Start) -> None:
    """Open the root scope and what begins in it."""
    if stimulus.message_id is not None:
        turn.taken.append(stimulus.message_id)
    if turn.state.seq:
        return
    plan, now_ms = turn.plan, turn.now_ms
    # Expressions need a state to look at before the first event makes one.
    ahead = ExecutionState(
        execution_id=stimulus.execution_id,
        input=stimulus.input,
        input_bytes=stimulus.input_bytes,
        extracts=stimulus.extracts,
        tags=stimulus.tags,
        parent=stimulus.parent,
        created_at_ms=now_ms,
    )
    root = ScopeState(number=ROOT, plan_scope=plan.root.number)
    ahead.scopes[ROOT] = root
    context = ScopeContext(plan, ahead, root, now_ms).seeded(None, "vars")
    opening = Opening(plan, ahead)
    deadline, failure = None, None
    try:
        for name, data in plan.root.variables.items():
            root.variables[name] = data.evaluate(context)
        if plan.deadline is not None:
            deadline = instant_of(plan.deadline, context, "deadline")
        opening.start_of(root, context)
    except ExpressionError as error:
        message = str(error) if error.raised else f"`vars` or `deadline`: {error}"
        failure = Failure(type=error.type, message=message, mro=error.raised)
    turn.emit(
        ExecutionStarted(
            at_ms=now_ms,
            execution_id=stimulus.execution_id,
            definition=plan.id,
            version=plan.version,
            input=stimulus.input,
            input_bytes=stimulus.input_bytes,
            extracts=stimulus.extracts,
            tags=stimulus.tags,
            parent=stimulus.parent,
            priority=_priority(plan, stimulus),
            correlation_id=stimulus.correlation_id,
            variables=root.variables,
            deadline_at_ms=deadline,
            activated=tuple(opening.activated),
            failure=failure,
        )
    )
    turn.look_at(turn.state.scopes[ROOT])


def _priority(plan: Plan, start: Start) -> int:
    """The most particular that says one: the start, the definition, whoever started it."""
    for said in (start.priority, plan.priority, start.inherited):
        if said is not None:
            return said
    return PRIORITY


# -- reports


def on_returned(turn: Turn, stimulus: StepReturned) -> None:
    """An attempt has an output; if it was told to stop, the output can be read and no more."""
    visit = turn.state.awaits(stimulus.at)
    if visit is None:
        return
    if visit.phase == "stopping":
        ended(
            turn,
            AttemptEnded(
                at_ms=turn.now_ms,
                at=stimulus.at,
                returned=True,
                output=stimulus.output,
                output_bytes=stimulus.output_bytes,
                extracts=stimulus.extracts,
            ),
        )
        return
    complete(
        turn,
        stimulus.at,
        Result(
            output=stimulus.output,
            output_bytes=stimulus.output_bytes,
            extracts=stimulus.extracts,
            started_at_ms=stimulus.started_at_ms,
            elapsed_ms=stimulus.elapsed_ms,
            runner=stimulus.runner,
            stdout=stimulus.stdout,
            stderr=stimulus.stderr,
        ),
    )


def on_raised(turn: Turn, stimulus: StepRaised) -> None:
    """An attempt failed."""
    visit = turn.state.awaits(stimulus.at)
    if visit is None:
        return
    if visit.phase == "stopping":
        ended(turn, AttemptEnded(at_ms=turn.now_ms, at=stimulus.at))
        return
    result = Result(
        started_at_ms=stimulus.started_at_ms,
        elapsed_ms=stimulus.elapsed_ms,
        runner=stimulus.runner,
    )
    attempt_failed(turn, stimulus.at, stimulus.failure, result)


def on_lost(turn: Turn, stimulus: StepLost) -> None:
    """The runner ended: the attempt is made again under another number, within bounds."""
    at = stimulus.at
    visit = turn.state.awaits(at)
    if visit is None:
        return
    if visit.phase == "stopping":
        ended(turn, AttemptEnded(at_ms=turn.now_ms, at=at))
        return
    if visit.started:
        message = (
            f"the runner ended ({stimulus.cause}), and `effects: at_most_once` forbids a repeat"
        )
        fail(turn, at, Failure(type="RunnerLost", message=message))
        return
    lost = AttemptLost(at_ms=turn.now_ms, at=at, cause=stimulus.cause, counted=stimulus.counted)
    turn.emit(lost)
    again = Address(at.scope, at.step, at.visit, visit.attempt)
    if visit.counted_losses >= COUNTED_LOSSES_MAX:
        message = (
            f"{visit.counted_losses} runners ended while they ran this step alone; "
            f"the last: {stimulus.cause}"
        )
        fail(turn, again, Failure(type="RunnerLost", message=message))
        return
    turn.launch(again)


def on_timed_out(turn: Turn, stimulus: StepTimedOut) -> None:
    """An attempt has run for its `timeout`: it is told to stop, and fails when it has."""
    visit = turn.state.awaits(stimulus.at)
    if visit is None or visit.phase != "running":
        return
    step = turn.plan.steps[stimulus.at.step]
    # It may have begun under a version that said another timeout than this one.
    bound = "its timeout" if step.timeout_ms is None else f"{step.timeout_ms} ms"
    failure = Failure(type="Timeout", message=f"the attempt ran longer than {bound}")
    _stop_attempt(turn, stimulus.at, step, failure)


def on_stopped(turn: Turn, stimulus: StepStopped) -> None:
    """An attempt that was told to stop is over."""
    visit = turn.state.awaits(stimulus.at)
    if visit is None:
        return
    if visit.phase == "stopping":
        ended(turn, AttemptEnded(at_ms=turn.now_ms, at=stimulus.at))
    else:  # nobody here asked for it: as good as lost
        on_lost(turn, StepLost(now_ms=turn.now_ms, at=stimulus.at, cause="the attempt was stopped"))


def ended(turn: Turn, event: AttemptEnded) -> None:
    """What was told to stop is over; go on with what waited for that."""
    chain = outwards(turn.state, turn.state.scopes[event.at.scope])  # the event may drop some
    turn.emit(event)
    look_around(turn, chain)


def _stop_attempt(turn: Turn, at: Address, step: StepPlan, failure: Failure) -> None:
    visit = turn.state.visit_at(at)
    assert visit is not None
    again = visit.phase == "stopping"
    until_ms = visit.due_at_ms if again else None
    if not again:
        turn.stop(at, visit, step)
    turn.emit(
        AttemptStopping(
            at_ms=turn.now_ms,
            at=at,
            failure=failure,
            grace_until_ms=until_ms if until_ms is not None else turn.now_ms + step.grace_ms,
        )
    )


# -- the clock


def on_woke(turn: Turn, stimulus: Woke) -> None:
    """Answer the timers that are due, each as the answers before it have left the state."""
    for _ in range(DUE_MAX):
        if turn.state.ended:
            return
        timer = turn.state.next_due(turn.now_ms)
        if timer is None:
            return
        _, scope_number, step_number, visit_number, kind = timer
        if scope_number == 0:
            message = "the execution's deadline has passed"
            failure = Failure(type="DeadlineExceeded", message=message)
            close_scope(turn, turn.state.scopes[ROOT], failure=failure)
        else:
            scope = turn.state.scopes[scope_number]
            _due(turn, scope, scope.active[step_number, visit_number], kind)
        settle_matters(turn)


def _due(turn: Turn, scope: ScopeState, visit: Visit, kind: TimerKind) -> None:
    at = Address(scope.number, visit.step, visit.visit, visit.attempt)
    step = turn.plan.steps[visit.step]
    if kind == "deadline":
        _deadline(turn, scope, visit, at, step)
    elif visit.phase == "timer":
        complete(turn, at, NOTHING)
    elif visit.phase == "backoff":
        turn.emit(RetryDue(at_ms=turn.now_ms, at=at))
    elif visit.phase == "stopping":
        ended(turn, AttemptEnded(at_ms=turn.now_ms, at=at))
    elif visit.phase == "waiting":
        chosen = next(each for each in step.alternatives if each.name == visit.due_name)
        complete(turn, at, Result(output=wait_output(chosen, None, visit.due_at_ms or turn.now_ms)))
    elif visit.phase == "human":
        _escalate(turn, scope, visit, at, step)


def _deadline(turn: Turn, scope: ScopeState, visit: Visit, at: Address, step: StepPlan) -> None:
    failure = deadline_failure(step, at)
    if visit.phase in ("running", "stopping", "child"):
        _stop_attempt(turn, at, step, failure)
    elif visit.phase == "items":
        assert visit.items is not None
        if not visit.items.closing:
            close_items(turn, scope, visit, failure)
    elif visit.phase == "body":
        assert visit.inner is not None
        inner = turn.state.scopes[visit.inner]
        if inner.closing is None:
            close_scope(turn, inner, failure=failure)
    else:
        fail(turn, at, failure)


def _escalate(turn: Turn, scope: ScopeState, visit: Visit, at: Address, step: StepPlan) -> None:
    """Nobody has completed a human task in time: it goes to others as well."""
    task = visit.task
    assert task is not None
    context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms).seeded(at, "escalate")
    escalation = human_of(step, task).escalations[task.level]
    try:
        assignees = people(escalation.assignees, context, "assignees")
        candidates = people(escalation.candidates, context, "candidates")
    except ExpressionError as error:
        fail(turn, at, expression_failure(error, step))
        return
    turn.emit(
        TaskAssigned(
            at_ms=turn.now_ms,
            at=at,
            assignees=assignees,
            candidates=candidates,
            level=task.level + 1,
        )
    )


# -- owners


def on_taken_over(turn: Turn, stimulus: TakenOver) -> None:
    """A new owner: attempts that no runner holds or runs are made again, under another number."""
    resume(turn)
    asked = {command.at for command in turn.commands}
    reissued: list[Address] = []
    over: list[Address] = []
    lost: list[Address] = []
    for scope in list(turn.state.scopes.values()):
        for visit in list(scope.active.values()):
            at = Address(scope.number, visit.step, visit.visit, visit.attempt)
            if visit.phase not in ("running", "stopping") or visit.child is not None or at in asked:
                continue
            if at in stimulus.known:
                if visit.phase == "stopping":
                    turn.stop_within(at, max(0, (visit.due_at_ms or 0) - turn.now_ms))
            elif visit.phase == "stopping":
                over.append(at)
            elif visit.started:
                lost.append(at)
            else:
                reissued.append(at)
    if reissued:
        turn.emit(
            OwnerChanged(
                at_ms=turn.now_ms,
                epoch=stimulus.epoch,
                owner=stimulus.owner,
                reissued=tuple(reissued),
            )
        )
        for at in reissued:
            turn.launch(Address(at.scope, at.step, at.visit, at.attempt + 1))
    for at in lost:
        if turn.state.awaits(at) is not None:
            on_lost(turn, StepLost(now_ms=turn.now_ms, at=at, cause="host and runner ended"))
            settle_matters(turn)
    for at in over:
        if turn.state.awaits(at) is not None:
            ended(turn, AttemptEnded(at_ms=turn.now_ms, at=at))
            settle_matters(turn)


# -- by itself


def go_on(turn: Turn, at: Address) -> None:
    """Settle a visit that waits for nobody: a decision, a skip, a failure before it began, an
    empty `foreach`, an attempt that has stopped; or open what a body has waited for."""
    scope, visit, step = turn.locate(at)
    at = Address(at.scope, at.step, at.visit, visit.attempt)
    if visit.skipped:
        skip(turn, at)
    elif visit.failure is not None and visit.failure.type == "Timeout" and not visit.started:
        attempt_failed(turn, at, visit.failure)
    elif visit.failure is not None:
        fail(turn, at, visit.failure)
    elif visit.kept is not None:
        complete(turn, at, kept_result(visit))
    elif visit.items is not None:
        turn.look_at_visit(scope, visit)
    elif step.kind in ("body", "parallel"):
        _open_scopes(turn, at, scope, step)
    elif visit.received is not None:
        complete(turn, at, Result(output=visit.output))
    elif step.child is not None:
        _start_detached(turn, at, visit)
    else:
        _decision(turn, at, scope, step)


def _open_scopes(turn: Turn, at: Address, scope: ScopeState, step: StepPlan) -> None:
    """A body or a parallel step begins that had to wait, or that is tried again."""
    opening = Opening(turn.plan, turn.state)
    context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms)
    try:
        first, variables = opening.scopes(step, at, scope, context)
    except ExpressionError as error:
        failure = expression_failure(error, step, scope.index)
        turn.emit(ScopesOpened(at_ms=turn.now_ms, at=at, first_scope=0, failure=failure))
        return
    turn.emit(
        ScopesOpened(
            at_ms=turn.now_ms,
            at=at,
            first_scope=first,
            variables=variables,
            activated=tuple(opening.activated),
        )
    )


def _start_detached(turn: Turn, at: Address, visit: Visit) -> None:
    """Start an execution that nobody waits for."""
    child = visit.detached
    assert child is not None
    turn.start_child(child, at, detached=True)
    complete(turn, at, Result(output={"execution_id": child}))


def _decision(turn: Turn, at: Address, scope: ScopeState, step: StepPlan) -> None:
    context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms)
    if step.fail is not None or step.output is not None:
        context.seeded(at, "output")
    if step.fail is not None:
        fail(turn, at, failure_of(ErrorClause(fail=step.fail), context, step.id))
        return
    output: Value = None
    if step.output is not None:
        try:
            output = step.output.evaluate(context)
        except ExpressionError as error:
            failure = Failure(type=error.type, message=str(error), mro=error.raised)
            fail(turn, at, failure, output_allowed=False)
            return
    large = step.output is not None and exceeds(output, HELD_BYTES_MIN)
    complete(turn, at, Result(output=output, output_bytes=HELD_BYTES_MIN if large else 0))
