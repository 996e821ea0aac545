"""Opening visits: everything that a visit depends on is fixed here, and recorded.

`Opening` collects what one event activates. It only reads the state; the numbers of scopes and
visits that it gives out become true when the event is booked. Where an expression has no value the
visit opens with that failure, and fails for good when the kernel comes to it: its inputs are
fixed, so that another attempt would see the same.

A body or a parallel step opens its scopes in the same event, and what starts in them, unless it
may have to wait: for a semaphore, or for the end of a pause. Then `ScopesOpened` does it later.
"""

from __future__ import annotations

from typing import Final

from heliostat.engine.errors import ExpressionError
from heliostat.engine.identity import Address
from heliostat.engine.kernel.context import Overlay, ScopeContext
from heliostat.engine.kernel.events import Activation, Failure
from heliostat.engine.kernel.fields import duration_end, instant_of, task_facts
from heliostat.engine.kernel.holding import hold, holding_part, record
from heliostat.engine.kernel.state import ExecutionState, Items, ScopeState, Visit
from heliostat.engine.kernel.waits import Arrival, earliest_timer, matching_arrival
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Held, Value

DEPTH_MAX: Final = 32
"""Of executions that start one another by `sub_workflow`: deeper is a recursion without an end."""


def expression_failure(
    error: ExpressionError, step: StepPlan, item_index: int | None = None
) -> Failure:
    """An expression without a value, as a step's failure."""
    return Failure(
        type=error.type,
        message=str(error),
        mro=error.raised,
        step=step.id,
        item_index=item_index,
    )


class Opening:
    """The activations of one event, in the order in which they are to be booked."""

    __slots__ = ("_next_scope", "_overlay", "_plan", "_state", "_taken", "_visits", "activated")

    def __init__(self, plan: Plan, state: ExecutionState) -> None:
        self._plan, self._state = plan, state
        self._next_scope = state.next_scope
        self._visits: dict[tuple[int, int], int] = {}
        self._overlay: Overlay | None = None
        self._taken: set[str] = set()  # signals that visits opened here have taken
        self.activated: list[Activation] = []

    # -- visits

    def visit(
        self, step: StepPlan, scope: ScopeState, context: ScopeContext, *, skip: bool = False
    ) -> None:
        """Open the next visit of a step in a scope, as `context` sees the world."""
        key = (scope.number, step.number)
        number = self._visits.get(key, scope.visits.get(step.number, 0)) + 1
        self._visits[key] = number
        at = Address(scope.number, step.number, number)
        if skip:
            self._skip(at)
            return
        first, next_scope = len(self.activated), self._next_scope
        try:
            if step.when is not None and not step.when.test(context.seeded(at, "when")):
                self._skip(at)
                return
            deadline = None
            if step.deadline is not None:
                deadline = instant_of(step.deadline, context.seeded(at, "deadline"), "deadline")
            if step.foreach is not None:
                self._foreach(step, at, context, deadline)
            else:
                self._single(step, at, scope, context, deadline=deadline)
        except ExpressionError as error:
            del self.activated[first:]
            self._next_scope = next_scope
            self._fail(at, expression_failure(error, step))

    def _skip(self, at: Address) -> None:
        self.activated.append(
            Activation(scope=at.scope, step=at.step, visit=at.visit, skipped=True)
        )

    def _fail(
        self, at: Address, failure: Failure, parent: tuple[int, int, int] | None = None
    ) -> None:
        self.activated.append(
            Activation(scope=at.scope, step=at.step, visit=at.visit, parent=parent, failure=failure)
        )

    def _single(
        self,
        step: StepPlan,
        at: Address,
        scope: ScopeState,
        context: ScopeContext,
        *,
        deadline: int | None = None,
        parent: tuple[int, int, int] | None = None,
    ) -> None:
        """One visit, or the one of an item: what all its attempts share is fixed."""
        recorded, holds = None, False
        if step.input is not None:
            recorded = step.input.evaluate(context.seeded(at, "input"))
            if not step.input.constant:
                recorded, holds = record(step.input, recorded, self._state, context)
        kind = step.kind
        if kind == "activity" or kind == "decision":
            self.activated.append(
                Activation(
                    scope=at.scope,
                    step=at.step,
                    visit=at.visit,
                    input=recorded,
                    holds=holds,
                    deadline_at_ms=deadline,
                    parent=parent,
                )
            )
            return
        if kind == "body" or kind == "parallel":
            self._composite(step, at, scope, context, recorded, holds, deadline, parent)
            return
        due, due_name, task = None, None, None
        arrival: Arrival | None = None
        if kind == "timer":
            assert step.timer is not None
            if step.timer.duration is not None:
                due = duration_end(step.timer.duration, context, "duration")
            else:
                assert step.timer.until is not None
                due = instant_of(step.timer.until, context, "until")
        elif kind == "wait":
            arrival = matching_arrival(self._state, step, context, self._taken)
            if arrival is None:
                due, due_name = earliest_timer(
                    step, lambda data: instant_of(data, context, "timer")
                )
        elif kind == "human":
            assert step.human is not None
            task = task_facts(step.human, context)
        elif kind == "sub_workflow":
            depth = 1 if self._state.parent is None else self._state.parent.depth + 1
            if depth > DEPTH_MAX:
                message = f"executions have started one another {DEPTH_MAX} levels deep"
                failure = Failure(type="RecursionTooDeep", message=message, step=step.id)
                self._fail(at, failure, parent)
                return
        self.activated.append(
            Activation(
                scope=at.scope,
                step=at.step,
                visit=at.visit,
                input=recorded,
                holds=holds,
                due_at_ms=due,
                due_name=due_name,
                deadline_at_ms=deadline,
                task=task,
                received=None if arrival is None else arrival.id,
                output=None if arrival is None else arrival.output,
                parent=parent,
            )
        )

    # -- scopes

    def _composite(
        self,
        step: StepPlan,
        at: Address,
        scope: ScopeState,
        context: ScopeContext,
        recorded: Value,
        holds: bool,
        deadline: int | None,
        parent: tuple[int, int, int] | None,
    ) -> None:
        """A body or a parallel step, and what starts in its scopes."""
        place = len(self.activated)
        first: int | None = None
        variables: tuple[dict[str, Value], ...] = ()
        if not step.uses and not self._state.paused:
            first, variables = self.scopes(step, at, scope, context)
        self.activated.insert(
            place,
            Activation(
                scope=at.scope,
                step=at.step,
                visit=at.visit,
                input=recorded,
                holds=holds,
                first_scope=first,
                variables=variables,
                deadline_at_ms=deadline,
                parent=parent,
            ),
        )

    def scopes(
        self, step: StepPlan, at: Address, scope: ScopeState, context: ScopeContext
    ) -> tuple[int, tuple[dict[str, Value], ...]]:
        """Open the scopes of a body or a parallel step: the first one's number, their variables.

        Raises:
            ExpressionError: a variable has no value.
        """
        first = self._next_scope
        self._next_scope += len(step.scopes)
        opened: list[tuple[ScopeState, ScopeContext]] = []
        for index, number in enumerate(step.scopes):
            inner = ScopeState(
                number=first + index,
                plan_scope=number,
                parent=(at.scope, at.step, at.visit),
                index=index if step.kind == "parallel" else None,
                variables=self._declared(number, at, context),
            )
            opened.append((inner, self._inside(context, inner)))
        for inner, inside in opened:
            self.start_of(inner, inside)
        return first, tuple(dict(inner.variables) for inner, _ in opened)

    def side_scope(self, number: int, context: ScopeContext) -> int:
        """Open the scope of a handler's custom action; its number."""
        scope = ScopeState(number=self._next_scope, plan_scope=number)
        self._next_scope += 1
        self.start_of(scope, self._inside(context, scope))
        return scope.number

    def start_of(self, scope: ScopeState, context: ScopeContext) -> None:
        """Open the visits that a scope starts with."""
        assert scope.plan_scope is not None
        for number in self._plan.scopes[scope.plan_scope].start:
            self.visit(self._plan.steps[number], scope, context)

    def _inside(self, context: ScopeContext, scope: ScopeState, item: Value = None) -> ScopeContext:
        if self._overlay is None:
            self._overlay = Overlay()
        self._overlay.scopes[scope.number] = scope
        if scope.plan_scope is None:
            self._overlay.items[scope.number] = item
        return context.inside(scope, self._overlay)

    def _declared(self, number: int, at: Address, context: ScopeContext) -> dict[str, Value]:
        """The first values of a scope's variables; each sees what is around the scope."""
        return {
            name: data.evaluate(context.seeded(at, f"vars.{name}"))
            for name, data in self._plan.scopes[number].variables.items()
        }

    # -- items

    def _foreach(
        self, step: StepPlan, at: Address, context: ScopeContext, deadline: int | None
    ) -> None:
        assert step.foreach is not None
        values = step.foreach.items.evaluate(context.seeded(at, "foreach"))
        if not isinstance(values, list):
            raise ExpressionError("`foreach` needs a list", step.foreach.items.source)
        completion = step.foreach.completion
        if completion.kind in ("any", "at_least") and len(values) < completion.count:
            message = f"{completion.count} items must complete, the list has {len(values)}"
            self._fail(at, Failure(type="TooFewItems", message=message, step=step.id))
            return
        part = holding_part(step.foreach.items)
        held = hold(part, values, self._state, context) if part is not None else None
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
        context = context.copy()
        for index in range(min(len(values), step.foreach.concurrency)):
            self._item(step, at, first_scope + index, index, values[index], context)

    def next_item(
        self,
        step: StepPlan,
        parent: ScopeState,
        visit: Visit,
        items: Items,
        index: int,
        now_ms: int,
    ) -> None:
        """Open an item of a `foreach` that is under way; they open in the order of the list."""
        values = items.values
        if isinstance(values, Held):
            values = self._state.held(values)
        context = ScopeContext(self._plan, self._state, parent, now_ms)
        at = Address(parent.number, step.number, visit.visit)
        self._item(step, at, items.first_scope + index, index, values[index], context)

    def _item(
        self,
        step: StepPlan,
        at: Address,
        number: int,
        index: int,
        item: Value,
        context: ScopeContext,
    ) -> None:
        """The one visit of an item, in a scope of its own."""
        assert step.foreach is not None
        parent = (at.scope, at.step, at.visit)
        item_at = Address(number, at.step, 1)
        first, next_scope = len(self.activated), self._next_scope
        scope = ScopeState(number=number, plan_scope=None, parent=parent, index=index)
        if step.scopes:
            context = self._inside(context, scope, item)
        else:  # nothing opens within it: the same place will do, with another item
            context.at_item(index, item, step.foreach.alias)
        try:
            self._single(step, item_at, scope, context, parent=parent)
        except ExpressionError as error:
            del self.activated[first:]
            self._next_scope = next_scope
            self._fail(item_at, expression_failure(error, step, index), parent)
