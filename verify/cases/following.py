"""From where a value is read to the leaves that it hangs on.

Where a condition reads a variable or the output of a decision, it is followed to what was written
there, however often. What is computed on the way is not inverted: its leaves are only known to
matter.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from heliostat.engine.expressions import Data, Expression, Template
from heliostat.engine.expressions.ast import (
    Call,
    Literal,
    Name,
    Node,
    Path,
    Segment,
    children,
    filters,
)
from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.verify.cases.leaves import ELEMENT, Leaf, Origins, Place

PLACE_MAX: Final = 12
"""Names in a place: a variable that holds a part of itself is followed so deep."""

_ENTERING: Final = ("at", "attribute")
"""Functions of compiled Python that take a part of a value, by its name or index."""


@dataclass(frozen=True, slots=True)
class Reader:
    """From where an expression is read."""

    step: StepPlan | None
    scope: ScopePlan
    alternative: str = ""  # whose `where` it is


_Seen: TypeAlias = set[tuple[int, str, Place]]
"""Variables and outputs that one question has followed: what is behind them is known by then."""


class Following:
    """All that a plan writes, to be followed from what reads it."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._written: dict[tuple[int, str], list[tuple[Data, Reader]]] = {}
        self._list_of: dict[str, tuple[Expression, Reader]] = {}  # of `as: name`
        self._note_variables()

    def _note_variables(self) -> None:
        plan = self.plan
        for scope in plan.scopes:
            owner = None if scope.owner is None else plan.steps[scope.owner]
            around = scope if owner is None else plan.scopes[owner.scope]
            for name, data in scope.variables.items():
                self._written.setdefault((scope.number, name), []).append(
                    (data, Reader(None, around))
                )
        for step in plan.steps:
            for name, data in (*step.assign, *step.append):
                key = (self._declaring(name, plan.scopes[step.scope]), name)
                self._written.setdefault(key, []).append((data, self.reader(step)))
            if step.foreach is not None and step.foreach.alias is not None:
                self._list_of[step.foreach.alias] = (step.foreach.items, self.reader(step))

    def _declaring(self, name: str, scope: ScopePlan) -> int:
        """The nearest scope that declares a variable."""
        while name not in scope.variables and scope.owner is not None:
            scope = self.plan.scopes[self.plan.steps[scope.owner].scope]
        return scope.number

    def reader(self, step: StepPlan) -> Reader:
        """From where a step's expressions are read."""
        return Reader(step, self.plan.scopes[step.scope])

    def within(self, scope: ScopePlan) -> Reader:
        """From where a scope's own expressions are read."""
        return Reader(None, scope)

    def behind(self, expressions: Iterable[Expression | None], step: StepPlan) -> Origins:
        """What some expressions of a step hang on."""
        found = Origins()
        for each in expressions:
            if each is not None:
                found += self.origins(each.ast, self.reader(step))
        return found

    def origins(self, node: Node, reader: Reader, seen: _Seen | None = None) -> Origins:
        """What a value hangs on."""
        seen = set() if seen is None else seen
        if isinstance(node, Path):
            found = self._path(node, (), reader, seen)
            for condition in filters(node):
                found += self.origins(condition, reader, seen)
            return found
        inside = entered(node)
        if inside is not None:
            path, place = inside
            return self._path(path, place, reader, seen)
        found = Origins()
        for child in children(node):
            found += self.origins(child, reader, seen)
        return found

    def _path(self, path: Path, more: Place, reader: Reader, seen: _Seen) -> Origins:
        if path.root != "$" or not path.segments:
            return Origins()
        root, *rest = path.segments
        match _name(root):
            case "input":
                return Origins((Leaf("", (*place_of(rest), *more)),))
            case "vars" if rest:
                place = (*place_of(rest[1:]), *more)
                return self._variable(_name(rest[0]), place, reader, seen)
            case "steps" if len(rest) > 1:
                step = self.plan.steps[self.plan.step_by_id[_name(rest[0])]]
                return self._step_field(step, _name(rest[1]), (*place_of(rest[2:]), *more), seen)
            case "output" if reader.step is not None:
                return self.output(reader.step, (*place_of(rest), *more), seen)
            case "item":
                return self._item(reader, (*place_of(rest), *more), seen)
            case "event" if reader.step is not None and rest and _name(rest[0]) == "data":
                leaf = Leaf(reader.step.id, (*place_of(rest[1:]), *more), reader.alternative)
                return Origins((leaf,))
            case _:
                return Origins()

    def _variable(self, name: str, place: Place, reader: Reader, seen: _Seen) -> Origins:
        found = Origins()
        declaring = self._declaring(name, reader.scope)
        if _again(seen, (declaring, name, place)):
            return found
        for data, writer in self._written.get((declaring, name), ()):
            found += self.data(data, place, writer, seen)
        if name in self._list_of:
            items, around = self._list_of[name]
            found += self._element(items, place, around, seen)
        return found

    def _item(self, reader: Reader, place: Place, seen: _Seen) -> Origins:
        """The item of the nearest `foreach` around."""
        step, scope = reader.step, reader.scope
        while step is None or step.foreach is None:
            if scope.owner is None:
                return Origins()
            step = self.plan.steps[scope.owner]
            scope = self.plan.scopes[step.scope]
        return self._element(step.foreach.items, place, self.reader(step), seen)

    def _element(self, items: Expression, place: Place, reader: Reader, seen: _Seen) -> Origins:
        if isinstance(items.ast, Path):
            return self._path(items.ast, (ELEMENT, *place), reader, seen)
        return self.origins(items.ast, reader, seen)

    def _step_field(self, step: StepPlan, name: str, place: Place, seen: _Seen) -> Origins:
        inside = self.inside(step)
        if name == "output":
            return self.output(step, place, seen)
        if name == "items" and "output" in place[:2]:
            found = self.output(step, (ELEMENT, *place[place.index("output") + 1 :]), seen)
            return found + Origins((), inside)
        if name == "items" and step.foreach is not None:
            counted = self.origins(step.foreach.items.ast, self.reader(step), seen)
            return counted + Origins((), inside)
        return Origins((), inside)

    def inside(self, step: StepPlan) -> frozenset[str]:
        """A step and all steps in it."""
        found = {step.id}
        for number in step.scopes:
            for each in self.plan.scopes[number].steps:
                found |= self.inside(self.plan.steps[each])
        return frozenset(found)

    def output(self, step: StepPlan, place: Place, seen: _Seen | None = None) -> Origins:
        """What a part of a step's output hangs on."""
        seen = set() if seen is None else seen
        if _again(seen, (-1, step.id, place)):
            return Origins()
        if step.foreach is not None:
            counted = self.origins(step.foreach.items.ast, self.reader(step), seen)
            return self._once(step, place[1:], seen) + counted
        return self._once(step, place, seen)

    def _once(self, step: StepPlan, place: Place, seen: _Seen) -> Origins:
        match step.kind:
            case "activity" | "human" | "sub_workflow":
                return Origins((Leaf(step.id, place),), frozenset({step.id}))
            case "decision":
                if step.output is None:
                    return Origins()
                return self.data(step.output, place, self.reader(step), seen)
            case "wait":
                if place[:1] == ("data",):
                    return Origins(
                        tuple(
                            Leaf(step.id, place[1:], each.name)
                            for each in step.alternatives
                            if each.kind != "timer"
                        ),
                        frozenset({step.id}),
                    )
                return Origins((), frozenset({step.id}))
            case "body":
                return self._scope_output(self.plan.scopes[step.scopes[0]], place, seen)
            case "parallel":
                found = Origins()
                for number in step.scopes:
                    scope = self.plan.scopes[number]
                    if not place or place[0] in (scope.name, ELEMENT):
                        found += self._scope_output(scope, place[1:], seen)
                return found
            case _:
                return Origins()

    def _scope_output(self, scope: ScopePlan, place: Place, seen: _Seen) -> Origins:
        if scope.output is not None:
            return self.data(scope.output, place, Reader(None, scope), seen)
        ends = [self.plan.steps[number] for number in scope.ends]
        if len(ends) == 1:
            return self.output(ends[0], place, seen)
        found = Origins()
        for end in ends:
            if not place or place[0] in (end.id, ELEMENT):
                found += self.output(end, place[1:], seen)
        return found

    def data(self, data: Data, place: Place, reader: Reader, seen: _Seen) -> Origins:
        """What a part of a data field hangs on."""
        found = Origins()
        for at, part in data.parts():
            keys = tuple(ELEMENT if isinstance(key, int) else key for key in at)
            shared = min(len(keys), len(place))
            if keys[:shared] != place[:shared]:
                continue
            rest = place[len(keys) :]
            if isinstance(part, Template):
                for each in part.expressions:
                    found += self.origins(each.ast, reader, seen)
            elif isinstance(part.ast, Path):
                found += self._path(part.ast, rest, reader, seen)
            else:
                found += self.origins(part.ast, reader, seen)
        return found


def entered(node: Node) -> tuple[Path, Place] | None:
    """`attribute($.vars.claim, "total")` as the path that it takes."""
    if not isinstance(node, Call) or node.name not in _ENTERING or len(node.arguments) != 2:
        return None
    value, key = node.arguments
    place = (key.value if isinstance(key, Literal) and isinstance(key.value, str) else ELEMENT,)
    if isinstance(value, Path):
        return value, place
    inner = entered(value)
    return None if inner is None else (inner[0], (*inner[1], *place))


def _name(segment: Segment) -> str:
    selector = segment.selectors[0]
    return selector.name if isinstance(selector, Name) else ""


def place_of(segments: Iterable[Segment]) -> Place:
    """Names as they are, all else as an element; what follows a descent is not known."""
    place: list[str] = []
    for each in segments:
        if each.descendant:
            break
        selector = each.selectors[0]
        place.append(selector.name if isinstance(selector, Name) else ELEMENT)
    return tuple(place)


def _again(seen: _Seen, key: tuple[int, str, Place]) -> bool:
    """Whether this was followed before, or leads too deep."""
    if key in seen or len(key[2]) > PLACE_MAX:
        return True
    seen.add(key)
    return False
