"""How visits settle: completed, skipped, failed; alone or as items of a `foreach`.

Each function chooses what follows, records it as one event, and looks whether the scope around
has thereby ended. An item settles within its `foreach`; when the last of them has, the step
settles as a whole, by the same functions.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec import Struct

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Data
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import (
    Opening,
    expression_failure,
    item_context,
)
from heliostat.engine.kernel.closing import close_root, finish_root, withdraw
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    Failure,
    JoinReopened,
    ScopeClosing,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.kernel.policy import backoff_ms, failure_of, matching, retries
from heliostat.engine.kernel.routing import (
    NoWay,
    follow,
    out_of_reach,
    reopened_joins,
    route,
    stuck_join,
    tolerated,
)
from heliostat.engine.kernel.state import (
    ROOT,
    ExecutionState,
    Items,
    ScopeState,
    Settled,
    Visit,
)
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.plan.plan import Edge, StepPlan
from heliostat.engine.values import Value


class Result(Struct, frozen=True, kw_only=True):
    """What a visit completes with: a report's facts, or a value that the kernel made."""

    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    collected: bool = False
    recovered: Failure | None = None
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None
    stdout: str | None = None
    stderr: str | None = None


NOTHING: Final = Result()


# -- completing


def complete(turn: Turn, at: Address, result: Result) -> None:
    """A visit, or an item, has its output."""
    scope, visit, step = turn.locate(at)
    if scope.plan_scope is None:
        _complete_item(turn, scope, at, result)
        return
    plan, state, now_ms = turn.plan, turn.state, turn.now_ms
    settled = Settled(
        visit=at.visit,
        status="Completed",
        output=result.output,
        output_bytes=result.output_bytes,
        extracts=result.extracts,
        failure=result.recovered,
        items=visit.items,
        collected=result.collected,
    )
    context = ScopeContext(plan, state, scope, now_ms, settling=(step.number, settled))
    opening = Opening(plan, state)
    taken: tuple[Edge, ...] = ()
    in_reach = True
    try:
        assigned, appended = _assignments(turn, step, at, context)
        if assigned or appended:
            longer = {name: [*context.vars[name], value] for name, value in appended.items()}
            context = context.with_variables({**assigned, **longer})
        if not step.terminate:
            taken = route(plan, state, step, at, context)
            in_reach = follow(
                plan, state, opening, scope, step, context, taken=taken, status="Completed"
            )
    except ExpressionError as error:
        fail(turn, at, expression_failure(error, step), result, output_allowed=False)
        return
    except NoWay as error:
        failure = Failure(type="NoWayOn", message=str(error), step=step.id)
        fail(turn, at, failure, result, output_allowed=False)
        return
    activated = tuple(opening.activated) if in_reach else ()
    turn.emit(
        StepCompleted(
            at_ms=now_ms,
            at=at,
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            runner=result.runner,
            output=result.output,
            output_bytes=result.output_bytes,
            extracts=result.extracts,
            collected=result.collected,
            recovered=result.recovered,
            stdout=result.stdout,
            stderr=result.stderr,
            assigned=assigned,
            appended=appended,
            taken=(taken[0].number,) if len(taken) == 1 else tuple([e.number for e in taken]),
            activated=activated,
        ),
        activated,
    )
    settle_scope(turn, scope, in_reach=in_reach)


def _assignments(
    turn: Turn, step: StepPlan, at: Address, context: ScopeContext
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The values of `assign`; all right sides see the old ones."""
    if not step.assign and not step.append:
        return {}, {}

    def value_of(name: str, data: Data) -> Value:
        return data.evaluate(context.seeded(at, f"assign.{name}"))

    assigned = {name: value_of(name, data) for name, data in step.assign}
    appended = {name: value_of(name, data) for name, data in step.append}
    for name in appended:
        if not isinstance(context.vars.get(name), list):
            raise ExpressionError(f"variable {name!r} is not a list, nothing can be appended")
    return assigned, appended


def skip(turn: Turn, at: Address) -> None:
    """A visit whose `when` was false, or whose needs are out of reach."""
    scope, _, step = turn.locate(at)
    plan, state = turn.plan, turn.state
    settled = Settled(visit=at.visit, status="Skipped")
    context = ScopeContext(plan, state, scope, turn.now_ms, settling=(step.number, settled))
    opening = Opening(plan, state)
    try:
        taken = route(plan, state, step, at, context)
        in_reach = follow(plan, state, opening, scope, step, context, taken=taken, status="Skipped")
    except ExpressionError as error:
        fail(turn, at, expression_failure(error, step), output_allowed=False)
        return
    except NoWay as error:
        failure = Failure(type="NoWayOn", message=str(error), step=step.id)
        fail(turn, at, failure, output_allowed=False)
        return
    activated = tuple(opening.activated) if in_reach else ()
    turn.emit(
        StepSkipped(
            at_ms=turn.now_ms,
            at=at,
            taken=tuple(edge.number for edge in taken),
            activated=activated,
        ),
        activated,
    )
    settle_scope(turn, scope, in_reach=in_reach)


# -- failing


def attempt_failed(turn: Turn, at: Address, failure: Failure, result: Result = NOTHING) -> None:
    """An attempt failed: another follows after a back-off, or the visit has failed for good."""
    scope, visit, step = turn.locate(at)
    failures = visit.failures + 1
    if not retries(step.retry, failure, failures):
        fail(turn, at, failure, result)
        return
    pause = backoff_ms(step.retry, failures, turn.state.execution_id, at)
    turn.emit(
        AttemptFailed(
            at_ms=turn.now_ms,
            at=at,
            failure=_placed(failure, step, at, scope),
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            retry_at_ms=turn.now_ms + pause,
        )
    )


def fail(
    turn: Turn,
    at: Address,
    failure: Failure,
    result: Result = NOTHING,
    *,
    output_allowed: bool = True,
) -> None:
    """A visit, or an item, has failed for good: its `on_error` is asked, then what is around."""
    scope, visit, step = turn.locate(at)
    failure = _placed(failure, step, at, scope)
    if scope.plan_scope is None:
        context = item_context(turn.plan, turn.state, scope, turn.now_ms)
    else:
        context = ScopeContext(turn.plan, turn.state, scope, turn.now_ms)
    clause = None
    if step.on_error:
        context.seeded(at, "on_error")
        try:
            clause = matching(
                step.on_error,
                failure,
                context,
                output_allowed=output_allowed,
                next_only=visit.items is not None and failure.item_index is not None,
            )
            if clause is not None and clause.output is not None:
                value = clause.output.evaluate(context)
                complete(turn, at, Result(output=value, recovered=failure))
                return
        except ExpressionError as error:
            clause, failure = None, _placed(expression_failure(error, step), step, at, scope)
    if clause is not None and clause.fail is not None:
        failure = _placed(failure_of(clause, context, step.id), step, at, scope)
    if scope.plan_scope is None:
        _fail_item(turn, scope, at, failure, result)
    elif clause is not None and clause.edge is not None:
        _redirect(turn, scope, step, at, failure, clause.edge, result)
    else:
        _fail_step(turn, scope, step, at, failure, result)


def _redirect(
    turn: Turn,
    scope: ScopeState,
    step: StepPlan,
    at: Address,
    failure: Failure,
    edge: Edge,
    result: Result,
) -> None:
    """The step failed and its `on_error` leads to another one."""
    plan, state = turn.plan, turn.state
    context = _after_failure(turn, scope, at, failure, result)
    opening = Opening(plan, state)
    follow(plan, state, opening, scope, step, context, taken=(edge,), status="Failed")
    activated = tuple(opening.activated)
    _emit_failed(turn, at, failure, result, taken=(edge.number,), activated=activated)
    settle_scope(turn, scope)


def _fail_step(
    turn: Turn, scope: ScopeState, step: StepPlan, at: Address, failure: Failure, result: Result
) -> None:
    """Nothing caught the failure: the scope fails, unless a DAG can do without the step."""
    plan, state = turn.plan, turn.state
    if tolerated(plan, scope, step):
        context = _after_failure(turn, scope, at, failure, result)
        opening = Opening(plan, state)
        follow(plan, state, opening, scope, step, context, taken=(), status="Failed")
        activated = tuple(opening.activated)
        _emit_failed(turn, at, failure, result, tolerated=True, activated=activated)
    else:
        _emit_failed(turn, at, failure, result)
    settle_scope(turn, scope)


def _after_failure(
    turn: Turn, scope: ScopeState, at: Address, failure: Failure, result: Result
) -> ScopeContext:
    """What the steps behind a failed visit see, before its event is booked."""
    visit = scope.active[at.step, at.visit]
    late = visit if result.output is None and result.extracts is None else result
    settled = Settled(
        visit=at.visit,
        status="Failed",
        output=late.output,
        output_bytes=late.output_bytes,
        extracts=late.extracts,
        failure=failure,
        items=visit.items,
        collected=result.collected,
    )
    return ScopeContext(turn.plan, turn.state, scope, turn.now_ms, settling=(at.step, settled))


def _emit_failed(
    turn: Turn,
    at: Address,
    failure: Failure,
    result: Result,
    *,
    tolerated: bool = False,
    taken: tuple[int, ...] = (),
    activated: tuple[Activation, ...] = (),
) -> None:
    turn.emit(
        StepFailed(
            at_ms=turn.now_ms,
            at=at,
            failure=failure,
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            runner=result.runner,
            output=result.output,
            output_bytes=result.output_bytes,
            extracts=result.extracts,
            collected=result.collected,
            tolerated=tolerated,
            taken=taken,
            activated=activated,
        ),
        activated,
    )


def _placed(failure: Failure, step: StepPlan, at: Address, scope: ScopeState) -> Failure:
    """The failure with the place where it happened; one that has a place keeps it."""
    if failure.step is not None and failure.attempt is not None:
        return failure
    return msgspec.structs.replace(
        failure,
        step=step.id,
        attempt=at.attempt,
        item_index=failure.item_index if failure.item_index is not None else scope.index,
    )


# -- items


def _complete_item(turn: Turn, scope: ScopeState, at: Address, result: Result) -> None:
    parent, visit, items = _foreach(turn, scope)
    step = turn.plan.steps[at.step]
    activated = _next_item(
        turn, step, parent, visit, items, completed=items.completed + 1, failed=items.failed
    )
    turn.emit(
        StepCompleted(
            at_ms=turn.now_ms,
            at=at,
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            runner=result.runner,
            output=result.output,
            output_bytes=result.output_bytes,
            extracts=result.extracts,
            recovered=result.recovered,
            stdout=result.stdout,
            stderr=result.stderr,
            activated=activated,
        ),
        activated,
    )
    check_items(turn, parent, visit)


def _fail_item(
    turn: Turn, scope: ScopeState, at: Address, failure: Failure, result: Result
) -> None:
    parent, visit, items = _foreach(turn, scope)
    step = turn.plan.steps[at.step]
    activated = _next_item(
        turn, step, parent, visit, items, completed=items.completed, failed=items.failed + 1
    )
    _emit_failed(turn, at, failure, result, activated=activated)
    check_items(turn, parent, visit)


def _foreach(turn: Turn, scope: ScopeState) -> tuple[ScopeState, Visit, Items]:
    assert scope.parent is not None
    parent = turn.state.scopes[scope.parent[0]]
    visit = parent.active[scope.parent[1], scope.parent[2]]
    assert visit.items is not None
    return parent, visit, visit.items


def _next_item(
    turn: Turn,
    step: StepPlan,
    parent: ScopeState,
    visit: Visit,
    items: Items,
    *,
    completed: int,
    failed: int,
) -> tuple[Activation, ...]:
    """The item that takes the place of one that settles, unless the outcome is settled."""
    if items.closing or items.next_index >= items.width:
        return ()
    if _outcome(step, items.width, completed, failed) is not None:
        return ()
    opening = Opening(turn.plan, turn.state)
    opening.next_item(step, parent, visit, items, turn.now_ms)
    return tuple(opening.activated)


def _outcome(step: StepPlan, width: int, completed: int, failed: int) -> bool | None:
    """Whether a `foreach` has completed (True), failed (False), or goes on (None)."""
    assert step.foreach is not None
    completion = step.foreach.completion
    match completion.kind:
        case "all":
            return False if failed else True if completed == width else None
        case "all_done":
            return True if completed + failed == width else None
        case "any" | "at_least":
            if completed >= completion.count:
                return True
            return False if width - failed < completion.count else None


def check_items(turn: Turn, parent: ScopeState, visit: Visit) -> None:
    """After an item has settled: close the `foreach` if that decides it, and finish it if none of
    its items is in flight any more."""
    items = visit.items
    assert items is not None
    if items.closing:
        finish_items(turn, parent, visit)
        return
    outcome = _outcome(turn.plan.steps[visit.step], items.width, items.completed, items.failed)
    if outcome is None:
        return
    # The latest failure: that of the item which decided the outcome.
    failure = None if outcome else next(reversed(items.failures.values()))
    if items.in_flight:
        close_items(turn, parent, visit, failure)
        return
    at = Address(parent.number, visit.step, visit.visit)
    if failure is None:
        complete(turn, at, Result(collected=True))
    else:
        fail(turn, at, failure)


def close_items(turn: Turn, parent: ScopeState, visit: Visit, failure: Failure | None) -> None:
    """The outcome of a `foreach` is settled: withdraw the items that are still in flight."""
    items = visit.items
    assert items is not None
    scopes = turn.state.scopes
    numbers = range(items.first_scope, items.first_scope + items.next_index)
    withdrawn, grace_ms = withdraw(turn, (scopes[n] for n in numbers if n in scopes))
    turn.emit(
        ScopeClosing(
            at_ms=turn.now_ms,
            scope=parent.number,
            step=visit.step,
            visit=visit.visit,
            failure=failure,
            withdrawn=withdrawn,
            grace_until_ms=turn.now_ms + grace_ms,
        )
    )
    finish_items(turn, parent, visit)


def finish_items(turn: Turn, parent: ScopeState, visit: Visit) -> None:
    """Settle a closing `foreach` as a whole, once none of its items is in flight."""
    items = visit.items
    assert items is not None
    assert items.closing
    if items.in_flight or turn.state.closing is not None:
        return
    at = Address(parent.number, visit.step, visit.visit)
    if items.failure is not None:
        fail(turn, at, items.failure)
    else:
        complete(turn, at, Result(collected=True))


# -- what is around


def settle_scope(turn: Turn, scope: ScopeState, *, in_reach: bool = True) -> None:
    """After a visit of a scope has settled: has the scope ended, or failed?

    Reads the state only, so that a history that was cut within a turn can be gone on with.
    """
    if scope.failing is not None:
        close_root(turn, failure=scope.failing)
    elif scope.terminated:
        close_root(turn)
    elif not in_reach:
        close_root(turn, failure=out_of_reach(turn.plan, scope))
    else:
        if scope.joins:
            for number in reopened_joins(turn.plan, scope):
                turn.emit(JoinReopened(at_ms=turn.now_ms, scope=scope.number, step=number))
        if not scope.active:
            finish_root(turn, failure=stuck_join(turn.plan, scope), canceled=False)


def resume(turn: Turn) -> None:
    """Go on from where a history was cut within a turn. A whole turn is stored at once, so that
    this finds nothing to do unless somebody cut a history on purpose."""
    state = turn.state
    if not state.seq:
        return
    root = state.scopes[ROOT]
    if state.closing is not None:
        if not state.stopping:
            closing = state.closing
            finish_root(turn, failure=closing.failure, canceled=closing.canceled)
        return
    if state.cancel_ids:
        close_root(turn, canceled=True)
        return
    for key in list(root.active):
        visit = root.active.get(key)
        if visit is not None and visit.items is not None and visit.items.width:
            check_items(turn, root, visit)
    if not _outcome_known(state):
        settle_scope(turn, root, in_reach=out_of_reach(turn.plan, root) is None)


def _outcome_known(state: ExecutionState) -> bool:
    return state.ended or state.closing is not None
