"""From syntax tree to text: canonical paths, and whole expressions for messages and tests.

Reading a printed expression gives the same tree but for its spans. The text of a path names what
is extracted from a value elsewhere, so it may never change.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import msgspec

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
    Wildcard,
)

_SHORTHAND: Final = re.compile(
    r"[A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF][0-9A-Za-z_\x80-\uD7FF\uE000-\U0010FFFF]*"
)
_TIGHTNESS: Final = {"+": 7, "-": 7, "*": 8, "/": 8, "//": 8, "%": 8}


def print_path(segments: Sequence[Segment], root: str = "$") -> str:
    """The canonical text of a path: names by dot where they can be, no spaces outside filters."""
    return root + "".join(map(_segment, segments))


def print_expression(node: Node) -> str:
    """The text of an expression, with as few parentheses as its meaning allows."""
    return _printed(node, 0)


def _segment(segment: Segment) -> str:
    dots = ".." if segment.descendant else ""
    if len(segment.selectors) == 1:
        selector = segment.selectors[0]
        if isinstance(selector, Name) and _SHORTHAND.fullmatch(selector.name):
            return f"{dots or '.'}{selector.name}"
    return f"{dots}[{','.join(map(_selector, segment.selectors))}]"


def _selector(selector: Selector) -> str:
    match selector:
        case Name(name=name):
            return _quoted(name)
        case Index(index=index):
            return str(index)
        case Wildcard():
            return "*"
        case Slice(start=start, stop=stop, step=step):
            bounds = ["" if bound is None else str(bound) for bound in (start, stop, step)]
            return ":".join(bounds if step is not None else bounds[:2])
        case Filter(condition=condition):
            return f"?{_printed(condition, 0)}"


def _quoted(text: str) -> str:
    # JSON leaves DEL and the line separators alone, and so does the grammar.
    return msgspec.json.encode(text).decode()


def _printed(node: Node, tightness: int) -> str:
    text, own = _form(node)
    return f"({text})" if own < tightness else text


def _form(node: Node) -> tuple[str, int]:
    """The text of a node and how tightly it binds, from 0 (`if`) to 10 (needs no parentheses)."""
    match node:
        case Literal(value=str(value)):
            return _quoted(value), 10
        case Literal(value=value):
            negative = type(value) in (int, float) and str(value).startswith("-")
            return msgspec.json.encode(value).decode(), 9 if negative else 10
        case Path(root=root, segments=segments):
            return print_path(segments, root), 10
        case ListOf(items=items):
            return f"[{', '.join(_printed(item, 0) for item in items)}]", 10
        case ObjectOf(entries=entries):
            printed = (f"{_quoted(key)}: {_printed(value, 0)}" for key, value in entries)
            return f"{{{', '.join(printed)}}}", 10
        case Call(name=name, arguments=arguments):
            return f"{name}({', '.join(_printed(each, 0) for each in arguments)})", 10
        case Negative(operand=operand):
            return f"-{_printed(operand, 9)}", 9
        case Arithmetic(op=op, left=left, right=right):
            own = _TIGHTNESS[op]
            return f"{_printed(left, own)} {op} {_printed(right, own + 1)}", own
        case Compare(first=first, rest=rest):
            pairs = "".join(f" {op} {_printed(operand, 7)}" for op, operand in rest)
            return _printed(first, 7) + pairs, 6
        case Not(operand=operand):
            return f"not {_printed(operand, 5)}", 5
        case And(operands=operands):
            return " and ".join(_printed(operand, 5) for operand in operands), 4
        case Or(operands=operands):
            return " or ".join(_printed(operand, 4) for operand in operands), 3
        case Default(options=options):
            return " default ".join(_printed(option, 3) for option in options), 2
        case Conditional(condition=condition, then=then, otherwise=otherwise):
            sides = f"{_printed(then, 2)} if {_printed(condition, 2)}"
            return f"{sides} else {_printed(otherwise, 0)}", 0
