"""Where the values come from that expressions look at: the input, and what steps come to.

A `Leaf` is a place in one of these: `$.input.total`, or `approved` in what a person submits. Where
a condition reads a variable or the output of a decision, it is followed to what was written there,
however often. What is computed on the way is not inverted: its leaves are only known to matter.

Nothing here is exact, nor need it be: values are candidates, which the simulator judges.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from heliostat.engine.expressions import Data, Expression, Template
from heliostat.engine.expressions.ast import (
    Arithmetic,
    Call,
    Compare,
    Conditional,
    ListOf,
    Literal,
    Name,
    Negative,
    Node,
    ObjectOf,
    Path,
    Segment,
    children,
    filters,
)
from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.engine.values import Json

ELEMENT: Final = "[]"
"""In a place: any element of a list."""

Place: TypeAlias = tuple[str, ...]

PLACE_MAX: Final = 12
"""Names in a place: a variable that holds a part of itself is followed so deep."""

LENGTHS: Final = (0, 1, 2, 3)

_LISTING: Final = frozenset({"len", "sorted", "sum", "max", "min", "iterate"})
_PRINTING: Final = frozenset({"text", "str_strict", "string", "upper", "lower", "join", "format"})
_COUNTING: Final = frozenset({"seconds", "round", "abs", "number", "range", "range_strict"})

_ENTERING: Final = ("at", "attribute")
"""Functions of compiled Python that take a part of a value, by its name or index."""


@dataclass(frozen=True, slots=True, order=True)
class Leaf:
    """A part of the input (`step` is empty), of what a step returns, or of what comes to a wait."""

    step: str
    place: Place
    alternative: str = ""  # of a wait


@dataclass(slots=True)
class Uses:
    """What is known of a leaf from the expressions that read it."""

    candidates: dict[str, Json] = field(default_factory=dict)  # by their text: 1 is not true
    lengths: bool = False  # a list: run over, or counted
    text: bool = False  # printed, where a null would be an error
    number: bool = False

    def add(self, *values: Json) -> None:
        """Note values worth trying."""
        for value in values:
            self.candidates.setdefault(repr(value), value)


@dataclass(frozen=True, slots=True)
class Origins:
    """What a value hangs on."""

    leaves: tuple[Leaf, ...] = ()
    steps: frozenset[str] = frozenset()  # whose end matters: how they fail, which event came

    def __add__(self, other: Origins) -> Origins:
        leaves = tuple(dict.fromkeys((*self.leaves, *other.leaves)))
        return Origins(leaves, self.steps | other.steps)


@dataclass(frozen=True, slots=True)
class _Reader:
    """From where an expression is read."""

    step: StepPlan | None
    scope: ScopePlan
    alternative: str = ""  # whose `where` it is


_Seen: TypeAlias = set[tuple[int, str, Place]]
"""Variables and outputs that one question has followed: what is behind them is known by then."""

_Read: TypeAlias = tuple[Expression, _Reader, str]
"""An expression, from where it is read, and as what: `tested`, `printed`, `timed`."""


class Flows:
    """All that a plan's expressions read, followed to its leaves."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.uses: dict[Leaf, Uses] = {}
        self._written: dict[tuple[int, str], list[tuple[Data, _Reader]]] = {}
        self._list_of: dict[str, tuple[Expression, _Reader]] = {}  # of `as: name`
        self._note_variables()
        for expression, reader, as_ in self._expressions():
            self._note(expression.ast, reader, tested=as_ == "tested")
            if as_ in ("printed", "timed"):
                for leaf in self.origins(expression.ast, reader).leaves:
                    self._read_as(leaf, as_)
        for step in plan.steps:
            if step.foreach is not None:
                self._run_over(step.foreach.items.ast, self.reader(step))

    def reader(self, step: StepPlan) -> _Reader:
        """From where a step's expressions are read."""
        return _Reader(step, self.plan.scopes[step.scope])

    def within(self, scope: ScopePlan) -> _Reader:
        """From where a scope's own expressions are read."""
        return _Reader(None, scope)

    def behind(self, expressions: Iterable[Expression | None], step: StepPlan) -> Origins:
        """What some expressions of a step hang on."""
        found = Origins()
        for each in expressions:
            if each is not None:
                found += self.origins(each.ast, self.reader(step))
        return found

    # -- what writes and reads

    def _note_variables(self) -> None:
        plan = self.plan
        for scope in plan.scopes:
            owner = None if scope.owner is None else plan.steps[scope.owner]
            around = scope if owner is None else plan.scopes[owner.scope]
            for name, data in scope.variables.items():
                self._written.setdefault((scope.number, name), []).append(
                    (data, _Reader(None, around))
                )
        for step in plan.steps:
            for name, data in (*step.assign, *step.append):
                key = (self._declaring(name, plan.scopes[step.scope]), name)
                self._written.setdefault(key, []).append((data, self.reader(step)))
            if step.foreach is not None and step.foreach.alias is not None:
                self._list_of[step.foreach.alias] = (step.foreach.items, self.reader(step))

    def _read_as(self, leaf: Leaf, as_: str) -> None:
        uses = self._of(leaf)
        if as_ == "printed":
            uses.text = True
        elif not uses.number:
            uses.add("1s", "1h")

    def _run_over(self, node: Node, reader: _Reader) -> None:
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

    def _declaring(self, name: str, scope: ScopePlan) -> int:
        """The nearest scope that declares a variable."""
        while name not in scope.variables and scope.owner is not None:
            scope = self.plan.scopes[self.plan.steps[scope.owner].scope]
        return scope.number

    def _expressions(self) -> Iterator[_Read]:
        """Every expression, from where it is read, and as what."""
        for scope in self.plan.scopes:
            yield from _within([*scope.variables.values(), scope.output], _Reader(None, scope))
        for step in self.plan.steps:
            reader = self.reader(step)
            conditions = [step.when, *(edge.when for edge in step.routes)]
            conditions += [clause.when for clause in step.on_error]
            yield from ((each, reader, "tested") for each in conditions if each is not None)
            if step.foreach is not None:
                yield step.foreach.items, reader, ""
            for each in step.alternatives:
                if each.where is not None:
                    yield each.where, _Reader(step, reader.scope, each.name), "tested"
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

    def _note(self, node: Node, reader: _Reader, *, tested: bool = False) -> None:
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

    def _compared(self, one: Node, other: Node, reader: _Reader) -> None:
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

    def _alike(self, left: Node, right: Node, reader: _Reader, *, ordered: bool) -> None:
        """Two paths that are compared have usual values of one kind, and hence the same."""
        if all(isinstance(side, Path) or _entered(side) is not None for side in (left, right)):
            for side in (left, right):
                for leaf in self.origins(side, reader).leaves:
                    uses = self._of(leaf)
                    uses.number |= ordered
                    uses.text |= not ordered
                    if ordered:
                        uses.add(1, 0, 2)

    def _filtered(self, path: Path, reader: _Reader) -> None:
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

    # -- following

    def origins(self, node: Node, reader: _Reader, seen: _Seen | None = None) -> Origins:
        """What a value hangs on."""
        seen = set() if seen is None else seen
        if isinstance(node, Path):
            found = self._path(node, (), reader, seen)
            for condition in filters(node):
                found += self.origins(condition, reader, seen)
            return found
        entered = _entered(node)
        if entered is not None:
            path, place = entered
            return self._path(path, place, reader, seen)
        found = Origins()
        for child in children(node):
            found += self.origins(child, reader, seen)
        return found

    def _path(self, path: Path, more: Place, reader: _Reader, seen: _Seen) -> Origins:
        if path.root != "$" or not path.segments:
            return Origins()
        root, *rest = path.segments
        match _name(root):
            case "input":
                return Origins((Leaf("", (*_place(rest), *more)),))
            case "vars" if rest:
                place = (*_place(rest[1:]), *more)
                return self._variable(_name(rest[0]), place, reader, seen)
            case "steps" if len(rest) > 1:
                step = self.plan.steps[self.plan.step_by_id[_name(rest[0])]]
                return self._step_field(step, _name(rest[1]), (*_place(rest[2:]), *more), seen)
            case "output" if reader.step is not None:
                return self.output(reader.step, (*_place(rest), *more), seen)
            case "item":
                return self._item(reader, (*_place(rest), *more), seen)
            case "event" if reader.step is not None and rest and _name(rest[0]) == "data":
                leaf = Leaf(reader.step.id, (*_place(rest[1:]), *more), reader.alternative)
                return Origins((leaf,))
            case _:
                return Origins()

    def _variable(self, name: str, place: Place, reader: _Reader, seen: _Seen) -> Origins:
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

    def _item(self, reader: _Reader, place: Place, seen: _Seen) -> Origins:
        """The item of the nearest `foreach` around."""
        step, scope = reader.step, reader.scope
        while step is None or step.foreach is None:
            if scope.owner is None:
                return Origins()
            step = self.plan.steps[scope.owner]
            scope = self.plan.scopes[step.scope]
        return self._element(step.foreach.items, place, self.reader(step), seen)

    def _element(self, items: Expression, place: Place, reader: _Reader, seen: _Seen) -> Origins:
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
            return self.data(scope.output, place, _Reader(None, scope), seen)
        ends = [self.plan.steps[number] for number in scope.ends]
        if len(ends) == 1:
            return self.output(ends[0], place, seen)
        found = Origins()
        for end in ends:
            if not place or place[0] in (end.id, ELEMENT):
                found += self.output(end, place[1:], seen)
        return found

    def data(self, data: Data, place: Place, reader: _Reader, seen: _Seen) -> Origins:
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


def _again(seen: _Seen, key: tuple[int, str, Place]) -> bool:
    """Whether this was followed before, or leads too deep."""
    if key in seen or len(key[2]) > PLACE_MAX:
        return True
    seen.add(key)
    return False


def _within(fields: Iterable[Data | None], reader: _Reader, as_: str = "") -> Iterator[_Read]:
    for each in fields:
        for _, part in () if each is None else each.parts():
            if isinstance(part, Template):
                yield from ((inner, reader, as_ or "printed") for inner in part.expressions)
            else:
                yield part, reader, as_


def _entered(node: Node) -> tuple[Path, Place] | None:
    """`attribute($.vars.claim, "total")` as the path that it takes."""
    if not isinstance(node, Call) or node.name not in _ENTERING or len(node.arguments) != 2:
        return None
    value, key = node.arguments
    place = (key.value if isinstance(key, Literal) and isinstance(key.value, str) else ELEMENT,)
    if isinstance(value, Path):
        return value, place
    inner = _entered(value)
    return None if inner is None else (inner[0], (*inner[1], *place))


def _name(segment: Segment) -> str:
    selector = segment.selectors[0]
    return selector.name if isinstance(selector, Name) else ""


def _place(segments: Iterable[Segment]) -> Place:
    """Names as they are, all else as an element; what follows a descent is not known."""
    place: list[str] = []
    for each in segments:
        if each.descendant:
            break
        selector = each.selectors[0]
        place.append(selector.name if isinstance(selector, Name) else ELEMENT)
    return tuple(place)


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
                yield _place(path.segments), value
                if isinstance(value, str):
                    yield _place(path.segments), f"not {value}"
    for child in children(condition):
        yield from _asked(child)
