"""What one event activates, read as the plan would open it: each visit, its scopes, its items."""

from __future__ import annotations

from collections.abc import Iterable

from heliostat.engine.kernel.events import Activation
from heliostat.engine.monitor.marking import Group, Key, Marking, Scope, Unfit
from heliostat.engine.monitor.ways import Expected, fire
from heliostat.engine.plan.plan import StepPlan


def items_of(step: StepPlan, first: int, width: int) -> Group:
    """The items of a `foreach`, none of them open yet."""
    foreach = step.foreach
    if foreach is None:
        return Group(first, width)
    all_of = foreach.completion.kind in ("all", "all_done")
    return Group(first, width, concurrency=foreach.concurrency, all_of=all_of)


class Opened:
    """Reads the activations of one event, in their order."""

    __slots__ = ("_activated", "_marking", "_place")

    def __init__(self, marking: Marking, activated: tuple[Activation, ...]) -> None:
        self._marking, self._activated = marking, activated
        self._place = 0

    @property
    def rest(self) -> tuple[Activation, ...]:
        """Those not read yet."""
        return self._activated[self._place :]

    def all(self, scope: Scope, expected: Iterable[Expected]) -> None:
        """Exactly these steps open in a scope, and nothing else does by the event."""
        for number, skip in expected:
            self.visit(scope, self._marking.plan.steps[number], skip=skip)
        self.end()

    def end(self) -> None:
        """Nothing is left."""
        if self._place < len(self._activated):
            left = self._activated[self._place]
            raise Unfit(f"it opens {self._marking.name(left.step)}, which nothing leads to")

    def start_of(self, scope: Scope) -> None:
        """The visits that a scope starts with."""
        assert scope.plan_scope is not None
        plan = self._marking.plan
        for number in plan.scopes[scope.plan_scope].start:
            self.visit(scope, plan.steps[number])

    def visit(self, scope: Scope, step: StepPlan, *, skip: bool = False) -> None:
        """The next visit of a step."""
        each = self._next(scope, step)
        visits = scope.visits
        number = visits.get(step.number, 0) + 1
        if each.visit != number:
            raise Unfit(f"visit {each.visit} of {step.id!r} opens, {number} is the next")
        if each.parent is not None:
            raise Unfit(f"step {step.id!r} opens as an item")
        visits[step.number] = number
        key = (step.number, number)
        scope.open[key] = 1
        if scope.begun is not None:
            scope.begun.add(step.number)
        elif scope.joins and step.join.kind != "any":
            fire(scope, step)
        if each.skipped:
            if not skip and step.when is None:
                raise Unfit(f"step {step.id!r} is skipped without a `when`")
            self._marking.rarely().at_rest.add((scope.number, *key))
        elif skip:
            raise Unfit(f"step {step.id!r} starts, and its needs are out of reach")
        elif each.failure is not None:
            self._marking.rarely().at_rest.add((scope.number, *key))
        elif step.foreach is not None:
            self._items(scope, step, key, each)
        elif each.width is not None:
            raise Unfit(f"step {step.id!r} has items without a `foreach`")
        elif each.first_scope is not None:
            self.scopes(scope, step, key, each.first_scope)

    def scopes(self, scope: Scope, step: StepPlan, key: Key, first: int) -> None:
        """The scopes of a body or a parallel step, and what starts in them."""
        marking = self._marking
        if not step.scopes:
            raise Unfit(f"step {step.id!r} has no scopes to open")
        self._takes_scopes(first, len(step.scopes))
        parallel = step.kind == "parallel"
        parent = (scope.number, *key)
        opened = [
            marking.add_scope(first + index, number, parent)
            for index, number in enumerate(step.scopes)
        ]
        if scope.inner is None:
            scope.inner = {}
        if parallel:
            group = scope.inner[key] = Group(first, len(opened))
            group.next = group.flying = len(opened)
            for index, inner in enumerate(opened):
                inner.index, inner.group = index, group
        else:
            scope.inner[key] = first
        for inner in opened:
            self.start_of(inner)

    def items(self, outer: Scope, key: Key, group: Group, upto: int) -> None:
        """Items of a `foreach`, in the order of the list, up to the index `upto`."""
        step = self._marking.plan.steps[key[0]]
        while group.next < upto:
            self._item(outer, step, key, group)

    def _items(self, scope: Scope, step: StepPlan, key: Key, each: Activation) -> None:
        assert step.foreach is not None
        if each.width is None or each.first_scope is None:
            raise Unfit(f"step {step.id!r} opens without its items")
        self._takes_scopes(each.first_scope, each.width)
        if scope.inner is None:
            scope.inner = {}
        group = scope.inner[key] = items_of(step, each.first_scope, each.width)
        self.items(scope, key, group, min(each.width, step.foreach.concurrency))

    def _item(self, outer: Scope, step: StepPlan, key: Key, group: Group) -> None:
        marking = self._marking
        index, group.next = group.next, group.next + 1
        parent = (outer.number, *key)
        scope = marking.add_scope(group.first + index, None, parent)
        scope.index, scope.group = index, group
        group.flying += 1
        each = self._next(scope, step)
        if each.visit != 1 or each.parent != parent:
            raise Unfit(f"an item of {step.id!r} opens out of place")
        item = (step.number, 1)
        scope.open[item] = scope.visits[step.number] = 1
        if each.failure is not None:
            marking.rarely().at_rest.add((scope.number, *item))
        elif each.first_scope is not None:
            self.scopes(scope, step, item, each.first_scope)

    def _next(self, scope: Scope, step: StepPlan) -> Activation:
        if self._place >= len(self._activated):
            raise Unfit(f"step {step.id!r} must open, and does not")
        each = self._activated[self._place]
        if each.step != step.number or each.scope != scope.number:
            name = self._marking.name(each.step)
            raise Unfit(f"{name} opens where step {step.id!r} must")
        self._place += 1
        return each

    def _takes_scopes(self, first: int, width: int) -> None:
        marking = self._marking
        if first < marking.next_scope:  # numbers may be left out, and are never used again
            raise Unfit(f"scope {first} opens, {marking.next_scope} is the next")
        marking.next_scope = first + width
