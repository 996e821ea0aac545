"""Opening visits: everything that a visit depends on is fixed here, and recorded.

`Opening` collects what one event activates. It only reads the state; the numbers of scopes and
visits that it gives out become true when the event is booked. Where an expression has no value the
visit opens with that failure, and fails for good when the kernel comes to it: its inputs are
fixed, so that another attempt would see the same.
"""

from __future__ import annotations

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import Data
from heliostat.engine.expressions.time import parse_duration, parse_instant
from heliostat.engine.identity import Address
from heliostat.engine.kernel.context import ScopeContext, item_of
from heliostat.engine.kernel.events import Activation, Failure
from heliostat.engine.kernel.holding import hold, holding_part, record
from heliostat.engine.kernel.state import ExecutionState, Items, ScopeState, Visit
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Held, Value


def expression_failure(error: Exception, step: StepPlan, item_index: int | None = None) -> Failure:
    """An expression without a value, as a step's failure."""
    return Failure(type="ExpressionError", message=str(error), step=step.id, item_index=item_index)


class Opening:
    """The activations of one event, in the order in which they are to be booked."""

    __slots__ = ("_next_scope", "_plan", "_state", "_visits", "activated")

    def __init__(self, plan: Plan, state: ExecutionState) -> None:
        self._plan, self._state = plan, state
        self._next_scope = state.next_scope
        self._visits: dict[tuple[int, int], int] = {}
        self.activated: list[Activation] = []

    def visit(
        self, step: StepPlan, scope: ScopeState, context: ScopeContext, *, skip: bool = False
    ) -> None:
        """Open the next visit of a step in a scope, as `context` sees the world."""
        key = (scope.number, step.number)
        number = self._visits.get(key, scope.visits.get(step.number, 0)) + 1
        self._visits[key] = number
        at = Address(scope.number, step.number, number)
        if skip:
            self.activated.append(
                Activation(scope=at.scope, step=at.step, visit=at.visit, skipped=True)
            )
            return
        first = len(self.activated)
        try:
            self._open(step, at, context)
        except ExpressionError as error:
            del self.activated[first:]
            failure = expression_failure(error, step)
            self.activated.append(
                Activation(scope=at.scope, step=at.step, visit=at.visit, failure=failure)
            )

    def _open(self, step: StepPlan, at: Address, context: ScopeContext) -> None:
        state = self._state
        if step.when is not None and not step.when.test(context.seeded(at, "when")):
            self.activated.append(
                Activation(scope=at.scope, step=at.step, visit=at.visit, skipped=True)
            )
            return
        deadline = None
        if step.deadline is not None:
            deadline = instant_of(step.deadline, context, "deadline")
        if step.foreach is None:
            recorded, holds, due = self._fixed(step, at, context)
            self.activated.append(
                Activation(
                    scope=at.scope,
                    step=at.step,
                    visit=at.visit,
                    input=recorded,
                    holds=holds,
                    due_at_ms=due,
                    deadline_at_ms=deadline,
                )
            )
            return
        values = step.foreach.items.evaluate(context.seeded(at, "foreach"))
        if not isinstance(values, list):
            raise ExpressionError("`foreach` needs a list", step.foreach.items.source)
        completion = step.foreach.completion
        if completion.kind in ("any", "at_least") and len(values) < completion.count:
            failure = Failure(
                type="TooFewItems",
                message=f"{completion.count} items must complete, the list has {len(values)}",
                step=step.id,
            )
            self.activated.append(
                Activation(scope=at.scope, step=at.step, visit=at.visit, failure=failure)
            )
            return
        part = holding_part(step.foreach.items)
        held = hold(part, values, state, context) if part is not None else None
        first_scope = self._next_scope
        self._next_scope += len(values)
        self.activated.append(
            Activation(
                scope=at.scope,
                step=at.step,
                visit=at.visit,
                items=held if held is not None else values,
                holds=held is not None,
                width=len(values),
                first_scope=first_scope,
                deadline_at_ms=deadline,
            )
        )
        variables = context.vars
        for index in range(min(len(values), step.foreach.concurrency)):
            self._item(step, at, first_scope, index, values[index], context, variables)

    def next_item(
        self, step: StepPlan, parent: ScopeState, visit: Visit, items: Items, now_ms: int
    ) -> None:
        """Open the next item of a `foreach` that is under way."""
        values = items.values
        if isinstance(values, Held):
            values = self._state.held(values)
        index = items.next_index
        context = ScopeContext(self._plan, self._state, parent, now_ms)
        at = Address(parent.number, step.number, visit.visit)
        self._item(step, at, items.first_scope, index, values[index], context, parent.variables)

    def _item(
        self,
        step: StepPlan,
        at: Address,
        first_scope: int,
        index: int,
        item: Value,
        context: ScopeContext,
        variables: Value,
    ) -> None:
        item_at = Address(first_scope + index, at.step, 1)
        parent = (at.scope, at.step, at.visit)
        assert step.foreach is not None
        alias = step.foreach.alias
        context.item, context.index = item, index
        context.vars = {**variables, alias: item} if alias is not None else variables
        try:
            recorded, holds, due = self._fixed(step, item_at, context)
        except ExpressionError as error:
            self.activated.append(
                Activation(
                    scope=item_at.scope,
                    step=item_at.step,
                    visit=1,
                    parent=parent,
                    failure=expression_failure(error, step, index),
                )
            )
            return
        self.activated.append(
            Activation(
                scope=item_at.scope,
                step=item_at.step,
                visit=1,
                parent=parent,
                input=recorded,
                holds=holds,
                due_at_ms=due,
            )
        )

    def _fixed(
        self, step: StepPlan, at: Address, context: ScopeContext
    ) -> tuple[Value, bool, int | None]:
        """What all attempts of a visit or item share: the input as recorded, a timer's instant."""
        recorded, holds, due = None, False, None
        if step.input is not None:
            value = step.input.evaluate(context.seeded(at, "input"))
            recorded, holds = value, False
            if not step.input.constant:
                recorded, holds = record(step.input, value, self._state, context)
        if step.timer is not None:
            if step.timer.duration is not None:
                due = context.now_ms + duration_of(step.timer.duration, context, "duration")
            else:
                assert step.timer.until is not None
                due = instant_of(step.timer.until, context, "until")
        return recorded, holds, due


def item_context(plan: Plan, state: ExecutionState, scope: ScopeState, now_ms: int) -> ScopeContext:
    """The context of an item's scope: `$.item`, `$.index` and the name given by `as`."""
    assert scope.parent is not None
    parent = state.scopes[scope.parent[0]]
    step = plan.steps[scope.parent[1]]
    item = item_of(state, scope)
    variables: Value = parent.variables
    if step.foreach is not None and step.foreach.alias is not None:
        variables = {**variables, step.foreach.alias: item}
    return ScopeContext(
        plan, state, parent, now_ms, variables=variables, item=item, index=scope.index
    )


def duration_of(data: Data, context: ScopeContext, field: str) -> int:
    """A data field that is a duration, in milliseconds."""
    text = _text(data.evaluate(context), field)
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ExpressionError(f"`{field}`: {error}") from error


def instant_of(data: Data, context: ScopeContext, field: str) -> int:
    """A data field that is an instant, or a duration from now; UTC milliseconds."""
    text = _text(data.evaluate(context), field)
    try:
        return context.now_ms + parse_duration(text)
    except ValueError:
        pass
    try:
        return parse_instant(text)
    except ValueError as error:
        raise ExpressionError(f"`{field}`: {error}") from error


def _text(value: Value, field: str) -> str:
    if not isinstance(value, str):
        shown = "null" if value is None else repr(value)[:40]
        raise ExpressionError(f"`{field}` needs a text such as '90s', here is {shown}")
    return value
