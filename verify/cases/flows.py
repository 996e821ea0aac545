"""What is known of the leaves of a plan from the expressions that read them.

Nothing here is exact, nor need it be: values are candidates, which the simulator judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, TypeAlias

from heliostat.engine.expressions import Data, Expression, Template
from heliostat.engine.expressions.ast import (
    Arithmetic,
    Call,
    Compare,
    Conditional,
    ListOf,
    Literal,
    Negative,
    Node,
    ObjectOf,
    Path,
    children,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Json
from heliostat.verify.cases.following import Following, Reader, entered, place_of
from heliostat.verify.cases.leaves import ELEMENT, Leaf, Place, Uses

LENGTHS: Final = (0, 1, 2, 3)

_LISTING: Final = frozenset({"len", "sorted", "sum", "max", "min", "iterate"})
_PRINTING: Final = frozenset({"text", "str_strict", "string", "upper", "lower", "join", "format"})
_COUNTING: Final = frozenset({"seconds", "round", "abs", "number", "range", "range_strict"})

_Read: TypeAlias = tuple[Expression, Reader, str]
"""An expression, from where it is read, and as what: `tested`, `printed`, `timed`."""


class Flows(Following):
    """All that a plan's expressions read, followed to its leaves."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.uses: dict[Leaf, Uses] = {}
        for expression, reader, as_ in self._expressions():
            self._note(expression.ast, reader, tested=as_ == "tested")
            if as_ in ("printed", "timed"):
                for leaf in self.origins(expression.ast, reader).leaves:
                    self._read_as(leaf, as_)
        for step in plan.steps:
            if step.foreach is not None:
                self._run_over(step.foreach.items.ast, self.reader(step))

    def _read_as(self, leaf: Leaf, as_: str) -> None:
        uses = self._of(leaf)
        if as_ == "printed":
            uses.text = True
        elif not uses.number:
            uses.add("1s", "1h")

    def _run_over(self, node: Node, reader: Reader) -> None:
        """Note what the list of a `foreach` is made of."""
        counted = isinstance(node, Call) and node.name in _COUNTING
        if isinstance(node, ListOf):
            return
        for leaf in self.origins(node, reader).leaves:
            uses = self._of(leaf)
            if counted:
                uses.number = True
                uses.add(2, 0, 1)
            else:
                uses.lengths = True

    def _expressions(self) -> Iterator[_Read]:
        """Every expression, from where it is read, and as what."""
        for scope in self.plan.scopes:
            yield from _within([*scope.variables.values(), scope.output], Reader(None, scope))
        for step in self.plan.steps:
            reader = self.reader(step)
            conditions = [step.when, *(edge.when for edge in step.routes)]
            conditions += [clause.when for clause in step.on_error]
            yield from ((each, reader, "tested") for each in conditions if each is not None)
            if step.foreach is not None:
                yield step.foreach.items, reader, ""
            for each in step.alternatives:
                if each.where is not None:
                    yield each.where, Reader(step, reader.scope, each.name), "tested"
            human = step.human
            data = [step.input, step.output, *(step.fail or ())]
            data += [one for _, one in (*step.assign, *step.append)]
            data += [one.data for one in step.publish]
            data += [one for each in step.signals for one in (each.execution, each.data)]
            data += [clause.output for clause in step.on_error]
            data += [one for clause in step.on_error for one in clause.fail or ()]
            if human is not None:
                data += [human.assignees, human.candidates]
            yield from _within(data, reader)
            times = [step.deadline, *(each.timer for each in step.alternatives)]
            if step.timer is not None:
                times += [step.timer.duration, step.timer.until]
            yield from _within(times, reader, "timed")

    def _note(self, node: Node, reader: Reader, *, tested: bool = False) -> None:
        """Note what an expression does with its leaves."""
        match node:
            case Compare(first=first, rest=rest):
                left = first
                for operator, right in rest:
                    self._compared(left, right, reader)
                    self._compared(right, left, reader)
                    self._alike(left, right, reader, ordered=operator[0] in "<>")
                    left = right
            case Path() if tested:
                for leaf in self.origins(node, reader).leaves:
                    self._of(leaf).add(True, False)
            case Call(name=name, arguments=given) if name in _LISTING:
                for argument in (each for each in given if isinstance(each, Path)):
                    for leaf in self.origins(argument, reader).leaves:
                        uses = self._of(leaf)
                        each = name != "len" and (not argument.definite or ELEMENT in leaf.place)
                        uses.lengths |= not each
                        uses.number |= each
            case Call(name=name, arguments=(left, right)) if name.endswith("_strict"):
                self._compared(left, right, reader)
                self._compared(right, left, reader)
                self._alike(left, right, reader, ordered=name[:2] in ("lt", "le", "gt", "ge"))
            case Call(name=name, arguments=given) if name in _PRINTING | _COUNTING:
                for leaf in (one for each in given for one in self.origins(each, reader).leaves):
                    uses = self._of(leaf)
                    uses.text |= name in _PRINTING
                    uses.number |= name in _COUNTING
            case Arithmetic(left=left, right=right):
                texts = any(
                    isinstance(one, str) for side in (left, right) for one in _literals(side)
                )
                for side in (left, right):
                    if isinstance(side, Path):
                        for leaf in self.origins(side, reader).leaves:
                            uses = self._of(leaf)
                            uses.text |= texts
                            uses.number |= not texts
            case _:
                pass
        if isinstance(node, Path):
            self._filtered(node, reader)
            for leaf in self.origins(node, reader).leaves:
                self._of(leaf)
        deeper = tested and not isinstance(node, Compare)
        for child in children(node):
            self._note(child, reader, tested=deeper or self._is_condition(node, child))

    def _is_condition(self, node: Node, child: Node) -> bool:
        asked = isinstance(node, Conditional) and child is node.condition
        return asked or (isinstance(node, Call) and node.name == "truthy")

    def _compared(self, one: Node, other: Node, reader: Reader) -> None:
        """Note values of `one` about the literals of `other`."""
        literals = list(_literals(other))
        for leaf in self.origins(one, reader).leaves:
            uses = self._of(leaf)
            counted = isinstance(one, Call) or uses.lengths
            for value in literals:
                if isinstance(value, list | dict):
                    uses.add(value)
                elif isinstance(value, bool) or not isinstance(value, int | float):
                    uses.add(value)
                    if isinstance(value, str):
                        uses.add(f"not {value}" if value else "x")
                elif not counted:
                    uses.number = True
                    uses.add(value, value + 1, value - 1)

    def _alike(self, left: Node, right: Node, reader: Reader, *, ordered: bool) -> None:
        """Two paths that are compared have usual values of one kind, and hence the same."""
        if all(isinstance(side, Path) or entered(side) is not None for side in (left, right)):
            for side in (left, right):
                for leaf in self.origins(side, reader).leaves:
                    uses = self._of(leaf)
                    uses.number |= ordered
                    uses.text |= not ordered
                    if ordered:
                        uses.add(1, 0, 2)

    def _filtered(self, path: Path, reader: Reader) -> None:
        """Note what a filter asks of the elements: `$.input.parcels[?@.heavy == true]`."""
        for position, segment in enumerate(path.segments):
            for selector in segment.selectors:
                condition = getattr(selector, "condition", None)
                if condition is None:
                    continue
                start = Path("$", path.segments[:position], path.span)
                for leaf in self.origins(start, reader).leaves:
                    self._of(leaf).lengths = True
                    for place, value in _asked(condition):
                        found = Leaf(leaf.step, (*leaf.place, ELEMENT, *place), leaf.alternative)
                        self._of(found).add(value)

    def _of(self, leaf: Leaf) -> Uses:
        return self.uses.setdefault(leaf, Uses())


def _within(fields: Iterable[Data | None], reader: Reader, as_: str = "") -> Iterator[_Read]:
    for each in fields:
        for _, part in () if each is None else each.parts():
            if isinstance(part, Template):
                yield from ((inner, reader, as_ or "printed") for inner in part.expressions)
            else:
                yield part, reader, as_


def _literals(node: Node) -> Iterator[Json]:
    match node:
        case Literal(value=value):
            yield value
        case Negative(operand=Literal(value=int() | float() as value)):
            yield -value
        case ListOf() | ObjectOf() | Call() | Conditional():
            for child in children(node):
                yield from _literals(child)
        case _:
            pass


def _asked(condition: Node) -> Iterator[tuple[Place, Json]]:
    """What a filter compares parts of an element with."""
    if isinstance(condition, Compare):
        sides = (condition.first, *(right for _, right in condition.rest))
        for path in (side for side in sides if isinstance(side, Path) and side.root == "@"):
            for value in (one for side in sides for one in _literals(side)):
                yield place_of(path.segments), value
                if isinstance(value, str):
                    yield place_of(path.segments), f"not {value}"
    for child in children(condition):
        yield from _asked(child)
