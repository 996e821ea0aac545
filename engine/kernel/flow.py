"""How visits settle: completed, skipped, failed; alone or as items of a `foreach`.

Each function chooses what follows, records it as one event, and puts on the agenda what may have
ended thereby: the scope around, or the items. An item settles within its `foreach`; when the last
of them has, the step settles as a whole, by the same functions.
"""

from __future__ import annotations

import msgspec

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Data
from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening, expression_failure
from heliostat.engine.kernel.apply_scopes import region_of
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import (
    Activation,
    AttemptFailed,
    Failure,
    RegionCanceling,
    StepFailed,
    StepSkipped,
    TaskOpened,
)
from heliostat.engine.kernel.fields import instant_of, later, task_facts
from heliostat.engine.kernel.items import outcome_of
from heliostat.engine.kernel.messages import TellSignal
from heliostat.engine.kernel.policy import backoff_ms, failure_of, matching, retries
from heliostat.engine.kernel.result import NOTHING, NOTHING_ASSIGNED, Result, completed
from heliostat.engine.kernel.routing import NoWay, follow, has_begun, route, tolerated
from heliostat.engine.kernel.state import ScopeState, Settled, SettledStatus, Visit
from heliostat.engine.kernel.stopping import stop_all
from heliostat.engine.kernel.turn import Turn
from heliostat.engine.kernel.visits import is_item, owner_of
from heliostat.engine.plan.plan import Edge, ErrorClause, StepNumber, StepPlan
from heliostat.engine.values import Value

# -- completing


def complete(turn: Turn, at: Address, result: Result) -> None:
    """A visit, or an item, has its output."""
    scope, visit, step = turn.locate(at)
    if is_item(scope):
        _complete_item(turn, scope, at, result)
        return
    plan, state, now_ms = turn.plan, turn.state, turn.now_ms
    withdrawn: dict[StepNumber, SettledStatus] = {}
    cancelled: tuple[StepNumber, ...] = ()
    if step.cancels and visit.phase != "canceling":
        if _cancel_region(turn, scope, step, at, result):
            return
        withdrawn, cancelled = _region(turn, scope, step), step.cancels
    settled = Settled(
        visit=at.visit,
        status="Completed",
        output=state.resolve(result.output) if result.holds else result.output,
        output_bytes=result.output_bytes,
        extracts=result.extracts,
        failure=result.recovered,
        items=visit.items,
        collected=result.collected,
    )
    context = ScopeContext(plan, state, scope, now_ms, settling=(step.number, settled))
    opening = Opening(plan, state)
    taken: tuple[Edge, ...] = ()
    published: list[tuple[str, Value]] = []
    signals: list[tuple[str, TellSignal]] = []
    in_reach = True
    try:
        assigned = appended = NOTHING_ASSIGNED
        if step.assign or step.append:
            assigned, appended = _assignments(step, at, context)
            longer = {name: [*context.vars[name], value] for name, value in appended.items()}
            context = context.with_variables({**assigned, **longer})
        if step.publish or step.signals:
            published, signals = _announcements(step, at, context)
        if not step.terminate:
            taken = route(plan, state, step, at, context)
            in_reach = follow(
                plan,
                state,
                opening,
                scope,
                step,
                context,
                taken=taken,
                status="Completed",
                withdrawn=withdrawn,
                cancelled=cancelled,
            )
    except ExpressionError as error:
        fail(turn, at, expression_failure(error, step), result, output_allowed=False)
        return
    except NoWay as error:
        failure = Failure(type="NoWayOn", message=str(error), step=step.id)
        fail(turn, at, failure, result, output_allowed=False)
        return
    event = completed(
        turn,
        at,
        result,
        assigned=assigned,
        appended=appended,
        skipped=tuple([n for n in withdrawn if withdrawn[n] == "Skipped"]) if withdrawn else (),
        taken=(taken[0].number,) if len(taken) == 1 else tuple([e.number for e in taken]),
        activated=tuple(opening.activated) if in_reach else (),
    )
    turn.emit(event)
    for name, data in published:
        turn.publish(name, data)
    for receiver, body in signals:
        turn.send(receiver, body)
    turn.look_at(scope, out_of_reach=not in_reach)


def _assignments(
    step: StepPlan, at: Address, context: ScopeContext
) -> tuple[dict[str, Value], dict[str, Value]]:
    """The values of `assign`; all right sides see the old ones."""

    def value_of(name: str, data: Data) -> Value:
        return data.evaluate(context.seeded(at, f"assign.{name}"))

    assigned = {name: value_of(name, data) for name, data in step.assign}
    appended = {name: value_of(name, data) for name, data in step.append}
    for name in appended:
        if not isinstance(context.vars.get(name), list):
            raise ExpressionError(f"variable {name!r} is not a list, nothing can be appended")
    return assigned, appended


def _announcements(
    step: StepPlan, at: Address, context: ScopeContext
) -> tuple[list[tuple[str, Value]], list[tuple[str, TellSignal]]]:
    """What a completed step publishes, and whom it signals."""
    context.seeded(at, "publish")
    published = [
        (each.event, None if each.data is None else each.data.evaluate(context))
        for each in step.publish
    ]
    context.seeded(at, "signal")
    signals = []
    for each in step.signals:
        receiver = each.execution.evaluate(context)
        if not isinstance(receiver, str):
            raise ExpressionError("`signal`: `execution` must be the id of an execution")
        data = None if each.data is None else each.data.evaluate(context)
        signals.append((receiver, TellSignal(name=each.name, data=data)))
    return published, signals


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
    turn.emit(
        StepSkipped(
            at_ms=turn.now_ms,
            at=at,
            taken=tuple(edge.number for edge in taken),
            activated=tuple(opening.activated) if in_reach else (),
        )
    )
    turn.look_at(scope, out_of_reach=not in_reach)


# -- regions


def _region(turn: Turn, scope: ScopeState, step: StepPlan) -> dict[StepNumber, SettledStatus]:
    """What becomes of a DAG's steps that `cancels` names and that have not settled."""
    if turn.plan.scopes[step.scope].notation != "dag":
        return {}
    return {
        number: "Canceled" if has_begun(scope, number) else "Skipped"
        for number in step.cancels
        if number not in scope.settled and number != step.number
    }


def _cancel_region(
    turn: Turn, scope: ScopeState, step: StepPlan, at: Address, result: Result
) -> bool:
    """Withdraw what runs in the region of a step that has its output; False if nothing has to be
    awaited: then the step's completion says it all."""
    region = region_of(scope, step)
    withdrawn, grace_ms = stop_all(turn, region)
    if not withdrawn:
        return False
    skipped = tuple(n for n, s in _region(turn, scope, step).items() if s == "Skipped")
    turn.emit(
        RegionCanceling(
            at_ms=turn.now_ms,
            at=at,
            output=result.output,
            output_bytes=result.output_bytes,
            extracts=result.extracts,
            started_at_ms=result.started_at_ms,
            elapsed_ms=result.elapsed_ms,
            runner=result.runner,
            collected=result.collected,
            holds=result.holds,
            message_id=result.message_id,
            recovered=result.recovered,
            skipped=skipped,
            withdrawn=withdrawn,
            grace_until_ms=turn.now_ms + grace_ms,
        )
    )
    turn.look_at(scope)
    return True


# -- failing


def attempt_failed(turn: Turn, at: Address, failure: Failure, result: Result = NOTHING) -> None:
    """An attempt failed: another follows after a back-off, or the visit has failed for good."""
    scope, visit, step = turn.locate(at)
    failures = visit.failures + 1
    if visit.closing_deadline_at_ms is not None and visit.closing_deadline_at_ms <= turn.now_ms:
        fail(turn, at, deadline_failure(step, at), result)  # it passed while the scope closed
        return
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
            retry_at_ms=later(turn.now_ms, pause),
        )
    )


def deadline_failure(step: StepPlan, at: Address) -> Failure:
    """What a visit fails with that has not ended in time."""
    return Failure(
        type="DeadlineExceeded",
        message=f"step {step.id!r} has not ended by its deadline",
        step=step.id,
        attempt=at.attempt,
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
                once_only=step.foreach is not None
                and not is_item(scope)
                and failure.item_index is not None,
                people_allowed=visit.task is None or visit.task.clause is None,
            )
            if clause is not None and clause.output is not None:
                value = clause.output.evaluate(context)
                complete(turn, at, Result(output=value, recovered=failure))
                return
            if clause is not None and clause.human is not None and not is_item(scope):
                _ask(turn, at, failure, clause, context)
                return
        except ExpressionError as error:
            clause, failure = None, _placed(expression_failure(error, step), step, at, scope)
    if clause is not None and clause.fail is not None:
        failure = _placed(failure_of(clause, context, step.id), step, at, scope)
    if is_item(scope):
        _fail_item(turn, scope, at, failure, result)
    elif clause is not None and clause.edge is not None:
        _redirect(turn, scope, step, at, failure, clause.edge, result)
    else:
        give_up(turn, at, failure, result)


def give_up(turn: Turn, at: Address, failure: Failure, result: Result = NOTHING) -> None:
    """Nothing caught the failure: the scope fails, unless a DAG can do without the step."""
    scope, _, step = turn.locate(at)
    failure = _placed(failure, step, at, scope)
    plan, state = turn.plan, turn.state
    if tolerated(plan, scope, step):
        context = _after_failure(turn, scope, at, failure, result)
        opening = Opening(plan, state)
        follow(plan, state, opening, scope, step, context, taken=(), status="Failed")
        activated = tuple(opening.activated)
        _emit_failed(turn, at, failure, result, tolerated=True, activated=activated)
    else:
        _emit_failed(turn, at, failure, result)
    turn.look_at(scope)


def _ask(
    turn: Turn, at: Address, failure: Failure, clause: ErrorClause, context: ScopeContext
) -> None:
    """Let a person decide how a failed step goes on."""
    _, _, step = turn.locate(at)
    human = clause.human
    assert human is not None
    deadline = None
    if human.deadline is not None:
        deadline = instant_of(human.deadline, context, "deadline")
    turn.emit(
        TaskOpened(
            at_ms=turn.now_ms,
            at=at,
            failure=failure,
            clause=step.on_error.index(clause),
            task=task_facts(human, context),
            deadline_at_ms=deadline,
        )
    )


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
    turn.look_at(scope)


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
            output=turn.state.resolve(result.output) if result.holds else result.output,
            output_bytes=result.output_bytes,
            extracts=result.extracts,
            collected=result.collected,
            tolerated=tolerated,
            message_id=result.message_id,
            taken=taken,
            activated=activated,
        )
    )


def _placed(failure: Failure, step: StepPlan, at: Address, scope: ScopeState) -> Failure:
    """The failure with the place where it happened; one that has a place keeps it."""
    index = failure.item_index
    if index is None and is_item(scope):
        index = scope.index
    if failure.step is not None and failure.attempt is not None:
        if index == failure.item_index:
            return failure
        return msgspec.structs.replace(failure, item_index=index)
    return msgspec.structs.replace(
        failure,
        step=failure.step or step.id,
        attempt=failure.attempt or at.attempt,
        item_index=index,
    )


# -- items


def _complete_item(turn: Turn, scope: ScopeState, at: Address, result: Result) -> None:
    parent, visit = owner_of(turn.state, scope)
    turn.emit(completed(turn, at, result, activated=_next_item(turn, parent, visit, completed=1)))
    turn.look_at_visit(parent, visit)


def _fail_item(
    turn: Turn, scope: ScopeState, at: Address, failure: Failure, result: Result
) -> None:
    parent, visit = owner_of(turn.state, scope)
    activated = _next_item(turn, parent, visit, failed=1)
    _emit_failed(turn, at, failure, result, activated=activated)
    turn.look_at_visit(parent, visit)


def _next_item(
    turn: Turn, parent: ScopeState, visit: Visit, *, completed: int = 0, failed: int = 0
) -> tuple[Activation, ...]:
    """The item that takes the place of one that settles, unless the outcome is settled; none or
    more where the execution was moved to a version with another `concurrency`."""
    items, step = visit.items, turn.plan.steps[visit.step]
    assert items is not None
    if items.closing or items.next_index >= items.width or step.foreach is None:
        return ()
    outcome = outcome_of(step, items.width, items.completed + completed, items.failed + failed)
    if outcome is not None:
        return ()
    opening = Opening(turn.plan, turn.state)
    room = step.foreach.concurrency - (items.in_flight - 1)
    last = min(items.next_index + room, items.width)
    for index in range(items.next_index, last):
        opening.next_item(step, parent, visit, items, index, turn.now_ms)
    return tuple(opening.activated)
