"""What can be told of an expression before it runs: unknown names, wrong calls, certain clashes.

Only the certain is reported. A value that may be null may also be there, so `$.vars.n + 1` passes
whatever `n` may be, as long as one possible kind of it can be added to a number.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias
from typing import Literal as OneOf

from msgspec import Struct
from msgspec.structs import replace

from .ast import (
    And,
    Arithmetic,
    Call,
    Compare,
    Conditional,
    Default,
    Filter,
    Index,
    ListOf,
    Literal,
    Name,
    Negative,
    Node,
    Not,
    ObjectOf,
    Or,
    Path,
    Segment,
    Selector,
    Slice,
    Span,
    Wildcard,
    children,
    filters,
)
from .data import Data, Expression, Template
from .errors import Problem
from .functions import FUNCTIONS
from .roots import Entry, entry
from .signatures import ARITHMETIC_KINDS, LITERAL_TYPES, TIMES, comparable
from .suggest import did_you_mean
from .types import (
    ANY,
    ARRAY,
    BOOLEAN,
    DURATION,
    INSTANT,
    JSON,
    NULL,
    NUMBER,
    OBJECT,
    STRING,
    STRINGS,
    Type,
    array_type,
    object_type,
    render_type,
    union,
)

Collection: TypeAlias = OneOf["items", "branches"] | None
"""What a step has beside its output: `items`; `items` and `finished`; or neither."""


class Names(Struct, frozen=True, kw_only=True):
    """What can be named at a place, with the type of each as far as it is known."""

    input: Type = JSON
    vars: dict[str, Type] = {}
    steps: dict[str, Type] = {}
    """The readable steps and the type of their output."""
    elsewhere: dict[str, str] = {}
    """Steps that exist and cannot be read here, each with what to read instead."""
    collections: Mapping[str, Collection] = {}
    """Of those steps of which it is known."""
    has_item: bool = False
    item: Type = JSON
    has_output: bool = False
    output: Type = JSON
    has_error: bool = False
    has_event: bool = False
    event: Type = JSON
    has_secrets: bool = False


def check(
    part: Expression | Template | Data, names: Names, *, expect: Type | None = None
) -> list[Problem]:
    """Everything certainly wrong with a part, in the order of the text.

    Args:
        expect: what the value is for; `BOOLEAN` for a condition.
    """
    match part:
        case Expression():
            checker = _Checker(names)
            checker.expected(part.ast, expect)
            if names.has_secrets and not _is_secret(part.ast):
                checker.problems += _operated_secrets(part.ast)
            return checker.problems
        case Template():
            problems = []
            for expression in part.expressions:
                problems += check(expression, names, expect=_PRINTABLE)
            if expect is not None and not expect.kinds & STRING.kinds:
                message = f"a text stands where {render_type(expect)} is needed"
                problems.append(Problem("HS105", message, (0, len(part.source))))
            return problems
        case Data():
            return [
                replace(problem, path=place)
                for place, inner in part.parts()
                for problem in check(inner, names, expect=expect if place == () else None)
            ]


def _operated_secrets(node: Node) -> Iterator[Problem]:
    """Secrets that something is done with: where they are evaluated, their values are not."""
    if _is_secret(node):
        message = "a secret is passed on as it is, and cannot be operated on"
        cure = "`$.secrets.name` alone, or `${ $.secrets.name }` within a text"
        yield Problem("HS105", message, node.span, cure)
    for child in filters(node) if isinstance(node, Path) else children(node):
        yield from _operated_secrets(child)


def _is_secret(node: Node) -> bool:
    return isinstance(node, Path) and node.root == "$" and entry(node).root == "secrets"


def type_of(expression: Expression, names: Names) -> Type:
    """The type of an expression's value, `ANY` where nothing is known."""
    return _Checker(names).type(expression.ast)


_PRINTABLE: Final = Type(ANY.kinds - NULL.kinds)
_ERROR: Final = object_type(
    {
        "type": STRING,
        "message": STRING,
        "step": STRING,
        "attempt": NUMBER,
        "item_index": union(NUMBER, NULL),
        "details": ANY,
        "bases": union(STRINGS, NULL),
    }
)
_EXECUTION: Final = Type(OBJECT.kinds, {"started_at": INSTANT})
_WHERE: Final = {
    "item": "inside `foreach`",
    "index": "inside `foreach`",
    "output": "in `assign` and `next`",
    "error": "inside `on_error`; afterwards read `$.steps.<id>.error`",
    "event": "in `where` and in handlers",
    "secrets": "in a service call's `url`, `headers` and `body` and in a script's `env`",
}

_SIGNED: Final = union(NUMBER, DURATION)
_OTHER: Final = {"number": "duration", "duration": "number"}


class _Checker:
    """Finds the type of each node, inner ones first, and notes what is wrong on the way."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self.problems: list[Problem] = []

    def expected(self, node: Node, expect: Type | None) -> None:
        found = self.type(node)
        if expect is None or found.kinds & expect.kinds:
            return
        shown = render_type(found)
        if expect.kinds == BOOLEAN.kinds:
            self._note("HS106", f"a condition cannot be {shown}", node.span, "compare it")
        else:
            self._note("HS105", f"{shown} stands where {render_type(expect)} is needed", node.span)

    def type(self, node: Node) -> Type:
        match node:
            case Literal(value=value):
                return LITERAL_TYPES[type(value)]
            case Path():
                return self._path(node, ANY)
            case ListOf(items=items):
                types = [self.type(item) for item in items]
                return array_type(union(*types)) if types else ARRAY
            case ObjectOf(entries=entries):
                return object_type({key: self.type(value) for key, value in entries})
            case Conditional(condition=condition, then=then, otherwise=otherwise):
                yes = self.type(then)
                self.expected(condition, BOOLEAN)
                return union(yes, self.type(otherwise))
            case Default(options=options):
                *first, last = [self.type(option) for option in options]
                return union(*(_without_null(each) for each in first), last)
            case And(operands=operands) | Or(operands=operands):
                for operand in operands:
                    self.expected(operand, BOOLEAN)
                return BOOLEAN
            case Not(operand=operand):
                self.expected(operand, BOOLEAN)
                return BOOLEAN
            case Compare():
                return self._compare(node)
            case Arithmetic():
                return self._arithmetic(node)
            case Negative(operand=operand):
                found = self.type(operand)
                if not found.kinds & _SIGNED.kinds:
                    self._note("HS105", f"`-` cannot be applied to {render_type(found)}", node.span)
                return Type(found.kinds & _SIGNED.kinds) if found.kinds & _SIGNED.kinds else ANY
            case Call():
                return self._call(node)

    def _note(self, code: str, message: str, span: Span, cure: str | None = None) -> None:
        self.problems.append(Problem(code, message, span, cure))

    def _compare(self, node: Compare) -> Type:
        left_node, left = node.first, self.type(node.first)
        for op, right_node in node.rest:
            right = self.type(right_node)
            if not comparable(op, left, right):
                span = (left_node.span[0], right_node.span[1])
                self._clash(op, left, right, span)
            left_node, left = right_node, right
        return BOOLEAN

    def _arithmetic(self, node: Arithmetic) -> Type:
        left, right = self.type(node.left), self.type(node.right)
        results = {
            result
            for (a, b), result in ARITHMETIC_KINDS[node.op].items()
            if a in left.kinds and b in right.kinds
        }
        if not results:
            self._clash(node.op, left, right, node.span)
            return ANY
        return Type(frozenset(results))

    def _clash(self, op: str, left: Type, right: Type, span: Span) -> None:
        sides = {*left.kinds, *right.kinds}
        cure = "use `string(…)` or a template" if op == "+" and STRING.kinds & sides else None
        if TIMES & sides and STRING.kinds & sides:
            cure = 'make it a time by `instant("…")` or `duration("…")`'
        self._note(
            "HS105",
            f"`{op}` cannot be applied to {render_type(left)} and {render_type(right)}",
            span,
            cure,
        )

    def _call(self, node: Call) -> Type:
        function = FUNCTIONS.get(node.name)
        types = [self.type(argument) for argument in node.arguments]
        if function is None:
            cure = did_you_mean(node.name, FUNCTIONS)
            self._note("HS103", f"there is no function {node.name!r}", node.name_span, cure)
            return ANY
        if not function.accepts(len(types)):
            self._note(
                "HS104", f"`{node.name}` takes {function.arity}, not {len(types)}", node.span
            )
            return function.result
        for position, (argument, found) in enumerate(zip(node.arguments, types, strict=True)):
            wanted = function.parameter(position)
            if not found.kinds & wanted.kinds:
                self._note(
                    "HS105",
                    f"`{node.name}` takes {render_type(wanted)} here, not {render_type(found)}",
                    argument.span,
                )
        if node.name == "has" and not isinstance(node.arguments[0], Path):
            self._note("HS105", "`has` takes a path", node.arguments[0].span)
        if node.name == "seconds":
            kinds = {_OTHER[kind] for kind in types[0].kinds & _SIGNED.kinds}
            return Type(frozenset(kinds)) if kinds else function.result
        return function.result

    # Paths: the type of the beginning by its name, then segment by segment.

    def _path(self, path: Path, current: Type) -> Type:
        """The type of what a path finds; `current` is that of `@`."""
        if path.root == "@":
            found, segments = current, path.segments
        else:
            at = entry(path)
            found, segments = self._beginning(at, path)
        spread = False
        for segment in segments:
            found, spread = self._segment(found, segment, spread)
        return array_type(found) if spread else found

    def _beginning(self, at: Entry, path: Path) -> tuple[Type, tuple[Segment, ...]]:
        names, span = self._names, path.segments[0].span
        available = {
            "item": names.has_item,
            "index": names.has_item,
            "output": names.has_output,
            "error": names.has_error,
            "event": names.has_event,
            "secrets": names.has_secrets,
        }
        if not available.get(at.root, True):
            where = f"it can {_WHERE[at.root]}"
            self._note("HS107", f"`$.{at.root}` cannot be read here", span, where)
            return ANY, ()
        match at.root:
            case "steps":
                return self._step(at, path), at.rest
            case "vars":
                return Type(OBJECT.kinds, names.vars, closed=True), at.rest
            case "input":
                return names.input, at.rest
            case "item":
                return names.item, at.rest
            case "output":
                return names.output, at.rest
            case "event":
                return names.event, at.rest
            case "error":
                return _ERROR, at.rest
            case "execution":
                return _EXECUTION, at.rest
            case "index":
                return NUMBER, at.rest
            case "now":
                return INSTANT, at.rest
        return STRING, ()  # a secret

    def _step(self, at: Entry, path: Path) -> Type:
        assert at.step is not None
        span = path.segments[1].span
        if at.step in self._names.elsewhere:
            message = f"step {at.step!r} cannot be read here"
            self._note("HS107", message, span, self._names.elsewhere[at.step])
            return ANY
        if at.step not in self._names.steps:
            cure = did_you_mean(at.step, self._names.steps)
            self._note("HS102", f"there is no step {at.step!r}", span, cure)
            return ANY
        output = union(self._names.steps[at.step], NULL)
        self._has(at, path)
        match at.field:
            case "status":
                return union(STRING, NULL)
            case "error":
                return union(_ERROR, NULL)
            case "finished":
                return union(STRINGS, NULL)
            case "items":
                item = {
                    "index": NUMBER,
                    "status": STRING,
                    "output": union(output.element(), NULL),
                    "error": union(_ERROR, NULL),
                }
                if self._names.collections.get(at.step) == "branches":
                    item |= {"name": STRING, "output": JSON}
                return union(array_type(object_type(item)), NULL)
        return output

    def _has(self, at: Entry, path: Path) -> None:
        """Note a read of `items` or `finished` of a step that never has them."""
        assert at.step is not None
        has = self._names.collections.get(at.step, "branches")
        if at.field == "items" and has is None:
            message = f"step {at.step!r} has no items: it has neither `foreach` nor `branches`"
            self._note("HS102", message, path.segments[2].span, "read its `output`")
        elif at.field == "finished" and has != "branches":
            message = f"step {at.step!r} has no `finished`: only a step with `branches` has"
            self._note("HS102", message, path.segments[2].span)

    def _segment(self, found: Type, segment: Segment, spread: bool) -> tuple[Type, bool]:
        for condition in filters(Path("$", (segment,), segment.span)):
            within = found.items if found.items is not None and not segment.descendant else None
            self._condition(condition, within if within is not None else ANY)
        if segment.descendant or len(segment.selectors) > 1:
            return ANY, True
        selector = segment.selectors[0]
        reached = self._selector(found, selector)
        if isinstance(selector, Name | Index):
            return (_without_null(reached) if spread else reached), spread
        return reached, True

    def _selector(self, found: Type, selector: Selector) -> Type:
        match selector:
            case Name(name=name):
                if "object" not in found.kinds:
                    return self._no_member(found, name, selector.span)
                member = found.member(name)
                if member is None:
                    cure = did_you_mean(name, found.fields)
                    self._note("HS102", f"there is no {name!r} here", selector.span, cure)
                    return ANY
                return member
            case Index():
                if "array" not in found.kinds:
                    return self._no_member(found, str(selector.index), selector.span)
                return union(found.element(), NULL)
            case Slice() | Wildcard() | Filter():
                return found.element() if found.kinds <= (ARRAY.kinds | NULL.kinds) else ANY

    def _no_member(self, found: Type, name: str, span: Span) -> Type:
        if found.kinds != NULL.kinds:
            self._note("HS102", f"{render_type(found)} has no {name!r}", span)
        return NULL

    def _condition(self, node: Node, current: Type) -> Type:
        """A filter's condition, or an operand in it: names are checked, and times with strings."""
        match node:
            case Literal(value=value):
                return LITERAL_TYPES[type(value)]
            case Path():
                return self._path(node, current)
            case And(operands=operands) | Or(operands=operands) | Call(arguments=operands):
                for operand in operands:
                    self._condition(operand, current)
            case Not(operand=operand):
                self._condition(operand, current)
            case Compare(first=first, rest=((op, second),)):
                left, right = self._condition(first, current), self._condition(second, current)
                for a, b in ((left, right), (right, left)):
                    if a.kinds <= TIMES and b.kinds == STRING.kinds:
                        self._clash(op, left, right, node.span)
        return ANY


def _without_null(type: Type) -> Type:
    kinds = type.kinds - NULL.kinds
    return Type(kinds, type.fields, type.closed, type.items) if kinds else type
