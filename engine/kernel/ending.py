"""What the end of a scope leads to: nothing in it is active any more, and its outcome is known.

A body's end is its step's output or failure; a branch's counts with its parallel step; the root's
is the execution's. Of a handler's custom action nobody hears.
"""

from __future__ import annotations

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    BranchCompleted,
    BranchFailed,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionRedirected,
    Failure,
)
from heliostat.engine.kernel.flow import attempt_failed, complete, fail
from heliostat.engine.kernel.holding import HELD_BYTES_MIN, exceeds, passes_on, record
from heliostat.engine.kernel.messages import TellChildEnded
from heliostat.engine.kernel.policy import failure_of, matching
from heliostat.engine.kernel.result import Result
from heliostat.engine.kernel.state import ROOT, ScopeState, Settled
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.visits import is_own_deadline, is_side, owner_of
from heliostat.engine.values import Held, Value


def finish(
    turn: Turn, scope: ScopeState, failure: Failure | None, *, canceled: bool = False
) -> None:
    """Choose what a scope's outcome leads to."""
    if scope.number == ROOT:
        _finish_root(turn, scope, failure, canceled)
    elif is_side(scope):
        if failure is None:
            turn.emit(BranchCompleted(at_ms=turn.now_ms, scope=scope.number))
        else:
            turn.emit(BranchFailed(at_ms=turn.now_ms, scope=scope.number, failure=failure))
        turn.look_at(turn.state.scopes[ROOT])
    else:
        _finish_inner(turn, scope, failure)


def _finish_inner(turn: Turn, scope: ScopeState, failure: Failure | None) -> None:
    """A body or a branch is over."""
    outer, owner = owner_of(turn.state, scope)
    at = Address(outer.number, owner.step, owner.visit, owner.attempt)
    step = turn.plan.steps[owner.step]
    result = Result()
    again = True
    if failure is None:
        try:
            result = _output(turn, scope)
        except ExpressionError as error:
            place = f"branch {turn.plan.scopes[scope.plan_scope or 0].name!r}, "
            where = place if scope.index is not None else ""
            failure = Failure(type="ExpressionError", message=f"{where}`output`: {error}")
            again = False
    if scope.index is not None:
        if failure is None:
            turn.emit(
                BranchCompleted(
                    at_ms=turn.now_ms,
                    scope=scope.number,
                    output=result.output,
                    output_bytes=result.output_bytes,
                    extracts=result.extracts,
                    holds=result.holds,
                )
            )
        else:
            turn.emit(BranchFailed(at_ms=turn.now_ms, scope=scope.number, failure=failure))
        turn.look_at_visit(outer, owner)
    elif failure is None:
        complete(turn, at, result)
    elif not again:
        fail(turn, at, failure, output_allowed=False)
    elif is_own_deadline(failure, step):
        fail(turn, at, failure)  # its own deadline: there is no time for another try
    else:
        attempt_failed(turn, at, failure)


def _finish_root(turn: Turn, root: ScopeState, failure: Failure | None, canceled: bool) -> None:
    state, now_ms = turn.state, turn.now_ms
    if canceled or state.cancel_ids:
        turn.emit(ExecutionCanceled(at_ms=now_ms, reason=state.cancel_reason))
        _tell_parent(turn)
        return
    if failure is None:
        try:
            result = _output(turn, root)
        except ExpressionError as error:
            failure = Failure(type="ExpressionError", message=f"`output`: {error}")
        else:
            breach = _breach(turn, result.output, holds=result.holds)
            if breach is None:
                _complete_execution(turn, result)
                return
            failure = breach
        fail_execution(turn, failure, output_allowed=False)
        return
    fail_execution(turn, failure)


def fail_execution(turn: Turn, failure: Failure, *, output_allowed: bool = True) -> None:
    """The root scope has failed: the definition's own `on_error` is asked, the last of all."""
    plan, state, now_ms = turn.plan, turn.state, turn.now_ms
    root = state.scopes[ROOT]
    context = ScopeContext(plan, state, root, now_ms).seeded(None, "on_error")
    try:
        clause = matching(plan.on_error, failure, context, output_allowed=output_allowed)
        if clause is not None and clause.output is not None:
            output = clause.output.evaluate(context)
            breach = _breach(turn, output)
            if breach is None:
                _complete_execution(turn, Result(output=output, recovered=failure))
                return
            clause, failure = None, breach
    except ExpressionError as error:
        clause, failure = None, Failure(type="ExpressionError", message=f"`on_error`: {error}")
    if clause is not None and clause.edge is not None and not state.redirected:
        opening = Opening(plan, state)
        opening.visit(plan.steps[clause.edge.target], root, context)
        turn.emit(
            ExecutionRedirected(at_ms=now_ms, failure=failure, activated=tuple(opening.activated))
        )
        return
    if clause is not None and clause.fail is not None:
        failure = failure_of(clause, context, failure.step)
    turn.emit(ExecutionFailed(at_ms=now_ms, failure=failure))
    _tell_parent(turn)


def _complete_execution(turn: Turn, result: Result) -> None:
    turn.emit(
        ExecutionCompleted(at_ms=turn.now_ms, output=result.output, recovered=result.recovered)
    )
    _tell_parent(turn, result)


def _tell_parent(turn: Turn, result: Result | None = None) -> None:
    """Have the execution that waits for this one hear of its end."""
    state = turn.state
    if state.parent is None:
        return
    status = state.status
    assert status in ("Completed", "Failed", "Canceled")
    output: Value = None
    if result is not None:
        output = state.resolve(result.output) if result.holds else result.output
    body = TellChildEnded(
        at=state.parent.at,
        status=status,
        output=output,
        output_bytes=0 if result is None else result.output_bytes,
        extracts=None if result is None else result.extracts,
        failure=state.failure,
    )
    turn.send(state.parent.execution_id, body)


def _breach(turn: Turn, output: Value, *, holds: bool = False) -> Failure | None:
    """What `output_schema` has against an output."""
    if turn.plan.validate_output is None:
        return None
    problem = turn.plan.validate_output(turn.state.resolve(output) if holds else output)
    return None if problem is None else Failure(type="SchemaError", message=f"output: {problem}")


def _output(turn: Turn, scope: ScopeState) -> Result:
    """A scope's output, large parts of it as pointers into the history.

    Raises:
        ExpressionError: its `output` has no value.
    """
    plan, state = turn.plan, turn.state
    assert scope.plan_scope is not None
    scope_plan = plan.scopes[scope.plan_scope]
    if scope_plan.output is not None:
        context = ScopeContext(plan, state, scope, turn.now_ms)
        context.seeded(_opener(scope), "output")
        value = scope_plan.output.evaluate(context)
        recorded, holds = record(scope_plan.output, value, state, context)
        passed_on = passes_on(scope_plan.output)
        source = None if passed_on is None else context.step(passed_on)
        if source is not None and source.settled is not None and scope.number != ROOT:
            end = source.settled
            return Result(
                output=recorded,
                output_bytes=end.output_bytes,
                extracts=end.extracts,
                holds=holds,
            )
        large = scope.number != ROOT and exceeds(value, HELD_BYTES_MIN)
        return Result(output=recorded, output_bytes=HELD_BYTES_MIN if large else 0, holds=holds)
    ends = {
        step: scope.settled[step]
        for step in scope_plan.ends
        if step in scope.settled and scope.settled[step].status == "Completed"
    }
    outputs: dict[str, Value] = {}
    holds = False
    for step, end in ends.items():
        value = end.output
        if end.collected or (scope.number != ROOT and exceeds(value, HELD_BYTES_MIN)):
            value, holds = Held((scope.number, step, end.visit)), True  # not copied
        outputs[plan.steps[step].id] = value
    if len(scope_plan.ends) != 1:
        return Result(output=outputs, holds=holds, extracts=_extracts_of(turn, ends))
    for step, end in ends.items():
        return Result(
            output=outputs[plan.steps[step].id],
            output_bytes=end.output_bytes,
            extracts=end.extracts,
            holds=holds,
        )
    return Result()


def _extracts_of(turn: Turn, ends: dict[int, Settled]) -> dict[str, Value] | None:
    """What is known of large outputs in a map of several: the same paths, below their names."""
    found: dict[str, Value] = {}
    for step, end in ends.items():
        for path, value in (end.extracts or {}).items():
            found[f"$.{turn.plan.steps[step].id}{path[1:]}"] = value
    return found or None


def _opener(scope: ScopeState) -> Address | None:
    return None if scope.parent is None else Address(*scope.parent)
