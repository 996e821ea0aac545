"""How the root scope ends: nothing follows it before what ran in it has ended.

A scope that fails, is canceled or ends early (`end: terminate`) withdraws what is active in it.
`ScopeClosing` records the outcome; when the last attempt that was told to stop is over, or its
grace is, `finish_root` chooses what the outcome leads to.
"""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionFailed,
    ExecutionRedirected,
    Failure,
    ScopeClosing,
)
from heliostat.engine.kernel.holding import record
from heliostat.engine.kernel.policy import failure_of, matching
from heliostat.engine.kernel.state import ROOT, ScopeState
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.values import Held, Value


def close_root(turn: Turn, *, failure: Failure | None = None, canceled: bool = False) -> None:
    """Settle the root scope's outcome, and withdraw what is still active in it."""
    state = turn.state
    if not any(scope.active for scope in state.scopes.values()):
        finish_root(turn, failure=failure, canceled=canceled)
        return
    withdrawn, grace_ms = withdraw(turn, state.scopes.values())
    turn.emit(
        ScopeClosing(
            at_ms=turn.now_ms,
            scope=ROOT,
            failure=failure,
            canceled=canceled,
            withdrawn=withdrawn,
            grace_until_ms=turn.now_ms + grace_ms,
        )
    )
    if not state.stopping:
        finish_root(turn, failure=failure, canceled=canceled)


def withdraw(turn: Turn, scopes: Iterable[ScopeState]) -> tuple[tuple[Address, ...], int]:
    """Tell every attempt in these scopes to stop: their addresses, and the longest grace."""
    withdrawn: list[Address] = []
    longest = 0
    for scope in scopes:
        for visit in scope.active.values():
            if visit.phase not in ("running", "stopping"):
                continue
            at = Address(scope.number, visit.step, visit.visit, visit.attempt)
            withdrawn.append(at)
            grace_ms = turn.plan.steps[visit.step].grace_ms
            longest = max(longest, grace_ms)
            if visit.phase == "running":
                turn.stop(at, grace_ms)
    return tuple(withdrawn), longest


def finish_root(turn: Turn, *, failure: Failure | None, canceled: bool) -> None:
    """Choose what the root scope's outcome leads to; nothing in it is active any more."""
    state, now_ms = turn.state, turn.now_ms
    if canceled or state.cancel_ids:
        turn.emit(ExecutionCanceled(at_ms=now_ms, reason=state.cancel_reason))
        return
    if failure is None:
        try:
            output, holds = _output(turn)
        except ExpressionError as error:
            failure = Failure(type="ExpressionError", message=f"`output`: {error}")
        else:
            breach = _breach(turn, output, holds=holds)
            if breach is None:
                turn.emit(ExecutionCompleted(at_ms=now_ms, output=output))
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
                turn.emit(ExecutionCompleted(at_ms=now_ms, output=output, recovered=failure))
                return
            clause, failure = None, breach
    except ExpressionError as error:
        clause, failure = None, Failure(type="ExpressionError", message=f"`on_error`: {error}")
    if clause is not None and clause.edge is not None and not state.redirected:
        opening = Opening(plan, state)
        opening.visit(plan.steps[clause.edge.target], root, context)
        activated = tuple(opening.activated)
        redirected = ExecutionRedirected(at_ms=now_ms, failure=failure, activated=activated)
        turn.emit(redirected, activated)
        return
    if clause is not None and clause.fail is not None:
        failure = failure_of(clause, context, failure.step)
    turn.emit(ExecutionFailed(at_ms=now_ms, failure=failure))


def _breach(turn: Turn, output: Value, *, holds: bool = False) -> Failure | None:
    """What `output_schema` has against an output."""
    if turn.plan.validate_output is None:
        return None
    problem = turn.plan.validate_output(turn.state.resolve(output) if holds else output)
    return None if problem is None else Failure(type="SchemaError", message=f"output: {problem}")


def _output(turn: Turn) -> tuple[Value, bool]:
    """The execution's output, and whether it is recorded as a pointer into the history."""
    plan, state = turn.plan, turn.state
    root = state.scopes[ROOT]
    if plan.root.output is not None:
        context = ScopeContext(plan, state, root, turn.now_ms).seeded(None, "output")
        return record(plan.root.output, plan.root.output.evaluate(context), state, context)
    settled = {
        step: root.settled[step]
        for step in plan.root.ends
        if step in root.settled and root.settled[step].status == "Completed"
    }
    outputs: dict[str, Value] = {}
    holds = False
    for step, end in settled.items():
        value: Value = end.output
        if end.collected:
            value, holds = Held((ROOT, step, end.visit)), True  # as wide as its list: not copied
        outputs[plan.steps[step].id] = value
    if len(plan.root.ends) == 1:
        return next(iter(outputs.values()), None), holds
    return outputs, holds
