"""The syntax tree of an expression: small, immutable, and all that others need to know of it.

The parser makes it, the compiler, the checker and `verify/` read it. Every node carries `span`,
character offsets `[start, end)` into the string the expression was written in, so that a message
can point; spans take no part in the meaning.

Inside a `Filter` the same nodes mean what RFC 9535 says: a comparison never fails, a bare `Path`
asks whether anything is there, and `Call` names one of RFC 9535's five functions.
"""

from __future__ import annotations

from typing import Literal as OneOf
from typing import TypeAlias

from msgspec import Struct

Span: TypeAlias = tuple[int, int]

ArithmeticOp: TypeAlias = OneOf["+", "-", "*", "/", "//", "%"]
CompareOp: TypeAlias = OneOf["==", "!=", "<", "<=", ">", ">=", "in", "not in"]


class Literal(Struct, frozen=True, tag=True):
    """A number, string, boolean or null as written; `-5` is one literal."""

    value: bool | int | float | str | None
    span: Span


class ListOf(Struct, frozen=True, tag=True):
    """`[a, b]`"""

    items: tuple[Node, ...]
    span: Span


class ObjectOf(Struct, frozen=True, tag=True):
    """`{"k": a}`; keys are unique."""

    entries: tuple[tuple[str, Node], ...]
    span: Span


class Negative(Struct, frozen=True, tag=True):
    """`-a`"""

    operand: Node
    span: Span


class Not(Struct, frozen=True, tag=True):
    """`not a`"""

    operand: Node
    span: Span


class Arithmetic(Struct, frozen=True, tag=True):
    """`a + b` and its kin, left-associative."""

    op: ArithmeticOp
    left: Node
    right: Node
    span: Span


class Compare(Struct, frozen=True, tag=True):
    """`a < b <= c`: true when every neighbouring pair compares so; stops at the first that fails.

    Inside a filter always a single pair.
    """

    first: Node
    rest: tuple[tuple[CompareOp, Node], ...]
    span: Span


class And(Struct, frozen=True, tag=True):
    """`a and b and c`; stops at the first false one."""

    operands: tuple[Node, ...]
    span: Span


class Or(Struct, frozen=True, tag=True):
    """`a or b or c`; stops at the first true one."""

    operands: tuple[Node, ...]
    span: Span


class Default(Struct, frozen=True, tag=True):
    """`a default b default c`: the first that is not null, else the last."""

    options: tuple[Node, ...]
    span: Span


class Conditional(Struct, frozen=True, tag=True):
    """`then if condition else otherwise`; only the chosen side is evaluated."""

    condition: Node
    then: Node
    otherwise: Node
    span: Span


class Call(Struct, frozen=True, tag=True):
    """`name(a, b)`; `span` covers the whole call, `name_span` its name."""

    name: str
    arguments: tuple[Node, ...]
    name_span: Span
    span: Span


class Name(Struct, frozen=True, tag=True):
    """The member of an object: `.k` or `["k"]`."""

    name: str
    span: Span


class Index(Struct, frozen=True, tag=True):
    """An element of a list, from the end when negative."""

    index: int
    span: Span


class Slice(Struct, frozen=True, tag=True):
    """`[start:stop:step]`, with RFC 9535's defaults."""

    start: int | None
    stop: int | None
    step: int | None
    span: Span


class Wildcard(Struct, frozen=True, tag=True):
    """`*`: every member or element."""

    span: Span


class Filter(Struct, frozen=True, tag=True):
    """`?condition`: every member or element that meets it, which it calls `@`."""

    condition: Node
    span: Span


Selector: TypeAlias = Name | Index | Slice | Wildcard | Filter


class Segment(Struct, frozen=True, tag=True):
    """One step of a path: what each selector selects, from a node or from all below it too."""

    selectors: tuple[Selector, ...]
    descendant: bool
    span: Span


class Path(Struct, frozen=True, tag=True):
    """A query from the context (`$`) or from the element that a filter looks at (`@`)."""

    root: OneOf["$", "@"]
    segments: tuple[Segment, ...]
    span: Span

    @property
    def definite(self) -> bool:
        """Whether it finds at most one value (RFC 9535's singular query), whatever the data."""
        return all(
            not segment.descendant
            and len(segment.selectors) == 1
            and isinstance(segment.selectors[0], Name | Index)
            for segment in self.segments
        )


Node: TypeAlias = (
    Literal
    | ListOf
    | ObjectOf
    | Negative
    | Not
    | Arithmetic
    | Compare
    | And
    | Or
    | Default
    | Conditional
    | Call
    | Path
)


def children(node: Node) -> tuple[Node, ...]:
    """The expressions directly inside one, in the order of their text; filters not included."""
    match node:
        case Literal() | Path():
            return ()
        case ListOf(items=items):
            return items
        case ObjectOf(entries=entries):
            return tuple(value for _, value in entries)
        case Negative(operand=operand) | Not(operand=operand):
            return (operand,)
        case Arithmetic(left=left, right=right):
            return (left, right)
        case Compare(first=first, rest=rest):
            return (first, *(operand for _, operand in rest))
        case And(operands=nodes) | Or(operands=nodes) | Default(options=nodes):
            return nodes
        case Conditional(condition=condition, then=then, otherwise=otherwise):
            return (then, condition, otherwise)
        case Call(arguments=arguments):
            return arguments


def filters(path: Path) -> tuple[Node, ...]:
    """The conditions of a path's own filters, outermost only."""
    return tuple(
        selector.condition
        for segment in path.segments
        for selector in segment.selectors
        if isinstance(selector, Filter)
    )
