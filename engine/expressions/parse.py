"""From text to syntax tree: the only module that knows Lark.

Lark is loaded, and its tables are built, at the first text. Lark's parser does not recurse; its
tree is measured without recursion and refused beyond `DEPTH_MAX` before anything recurses on it.
Texts repeat in definitions, so trees are cached by text.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final

from .ast import (
    And,
    Arithmetic,
    Call,
    Compare,
    CompareOp,
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
)
from .errors import SyntaxProblem
from .filters import well_typed
from .grammar import GRAMMAR
from .limits import DEPTH_MAX, INDEX_MAX, INTEGER_MAX, SOURCE_CHARS_MAX
from .roots import check_root

if TYPE_CHECKING:
    from lark import Lark, Token, Tree


def parse(source: str, span: Span | None = None) -> Node:
    """The syntax tree of `source`, or of the part of it within `span`; its spans count in `source`.

    Raises:
        SyntaxProblem: with the place, and what to write instead where that can be guessed.
    """
    start, end = span if span is not None else (0, len(source))
    if end - start > SOURCE_CHARS_MAX:
        raise SyntaxProblem(
            f"the expression is {end - start:,} characters long, at most {SOURCE_CHARS_MAX:,} "
            "are read",
            (start, end),
            "compute a part of it in a step of its own",
            "HS108",
        )
    if not source[start:end].strip():
        raise SyntaxProblem("the expression is empty", (start, max(end, start + 1)))
    # Blanks in place of the text before keep every offset right without adding to each.
    return _parsed(" " * start + source[start:end])


@lru_cache(maxsize=4096)
def _parsed(text: str) -> Node:
    import lark

    try:
        tree = _parser().parse(text)
    except lark.UnexpectedToken as problem:
        token = problem.token
        at = token.start_pos if token.type != "$END" and token.start_pos is not None else len(text)
        raise _unexpected(text, at, str(token) if token.type != "$END" else "") from None
    except lark.UnexpectedCharacters as problem:
        position: int = problem.pos_in_stream  # type: ignore[assignment]  # Lark types its default only
        raise _unexpected(text, position, text[position]) from None
    _refuse_depth(tree, text)
    return _node(tree.children[0])


@cache
def _parser() -> Lark:
    from lark import Lark

    return Lark(GRAMMAR, parser="lalr", propagate_positions=True, maybe_placeholders=False)


def _unexpected(text: str, at: int, found: str) -> SyntaxProblem:
    """A message for what the parser met at `at`, with a cure for the usual slips."""
    if not found or not text[at:].strip():
        end = len(text.rstrip())
        return SyntaxProblem("the expression ends too early", (end - 1, end))
    span = (at, at + len(found))
    rest = text[at:]
    if found in "\"'" and len(found) == 1:
        return SyntaxProblem(
            "this string has no end, or a control character in it", (at, len(text)), "use \\n"
        )
    if rest.startswith("=") and not rest.startswith("=="):
        return SyntaxProblem("`=` is no operator", span, "compare with `==`")
    if rest[0] in "&|":
        return SyntaxProblem(f"`{rest[0]}` is no operator", span, "write `and` or `or`")
    if rest.startswith("**"):
        return SyntaxProblem("`**` is no operator", span)
    if rest.startswith("@"):
        return SyntaxProblem("`@` has a meaning inside a filter `[?…]` only", span)
    if (number := re.match(r"[0-9][0-9A-Za-z_.]*", rest)) is not None:
        return SyntaxProblem(
            f"{number[0]!r} cannot stand here, or is no number", (at, at + number.end())
        )
    if re.match(r"\.[A-Za-z_]|\[", rest):
        return SyntaxProblem(
            "only a path has members", span, "name the value first, by `assign` or an `output`"
        )
    return SyntaxProblem(f"{found!r} cannot stand here", span)


def _refuse_depth(tree: Tree[Token], text: str) -> None:
    """Raise for a tree deeper than `DEPTH_MAX`; walks level by level, not by recursion."""
    from lark import Tree

    level = [tree]
    for _ in range(DEPTH_MAX):
        level = [child for node in level for child in node.children if isinstance(child, Tree)]
        if not level:
            return
    raise SyntaxProblem(
        f"the expression is nested deeper than {DEPTH_MAX} levels",
        (0, len(text)),
        "compute a part of it in a step of its own",
        "HS108",
    )


# From Lark's tree to ours: one small function per rule, by the rule's name.


def _span(tree: Any) -> Span:
    return (tree.meta.start_pos, tree.meta.end_pos)


def _node(tree: Any) -> Node:
    node: Node = _RULES[tree.data](tree)
    return node


def _nodes(trees: Any) -> tuple[Node, ...]:
    return tuple(_node(tree) for tree in trees)


def _conditional(tree: Any) -> Node:
    then, condition, otherwise = _nodes(tree.children)
    return Conditional(condition, then, otherwise, _span(tree))


def _arithmetic(tree: Any) -> Node:
    left, op, right = tree.children
    return Arithmetic(str(op), _node(left), _node(right), _span(tree))  # type: ignore[arg-type]  # the grammar admits only these operators


def _compare(tree: Any) -> Node:
    first, *rest = tree.children
    pairs = [
        (_operator(op), _node(operand)) for op, operand in zip(rest[::2], rest[1::2], strict=True)
    ]
    return Compare(_node(first), tuple(pairs), _span(tree))


def _operator(tree: Any) -> CompareOp:
    word = str(tree.children[0])
    return "not in" if word.startswith("not") else word  # type: ignore[return-value]  # as above


def _negative(tree: Any) -> Node:
    operand = _node(tree.children[1])
    if isinstance(operand, Literal) and type(operand.value) in (int, float):
        return Literal(-operand.value, _span(tree))  # type: ignore[operator]  # narrowed just above
    return Negative(operand, _span(tree))


def _number(tree: Any) -> Node:
    text = str(tree.children[0])
    value: int | float
    if text.lstrip("-").isdigit():
        value = int(text) if len(text) < 25 else INTEGER_MAX + 1
        if abs(value) > INTEGER_MAX:
            raise SyntaxProblem("an integer has at most 64 bits", _span(tree), "write it as `1e30`")
    else:
        value = float(text)
        if value in (float("inf"), float("-inf")):
            raise SyntaxProblem("this number is too large", _span(tree))
    return Literal(value, _span(tree))


def _constant(tree: Any) -> Node:
    value = {"true": True, "false": False, "null": None}[str(tree.children[0])]
    return Literal(value, _span(tree))


def _bare_name(tree: Any) -> Node:
    name = str(tree.children[0])
    raise SyntaxProblem(
        f"{name!r} is neither a path nor a string",
        _span(tree),
        f'write `$.vars.{name}` for a variable or `"{name}"` for the text',
    )


def _call(tree: Any) -> Node:
    name, *arguments = tree.children
    return Call(str(name), _nodes(arguments), (name.start_pos, name.end_pos), _span(tree))


def _object(tree: Any) -> Node:
    entries: dict[str, Node] = {}
    for entry in tree.children:
        key, value = entry.children
        name = _text(key)
        if name in entries:
            raise SyntaxProblem(f"the key {name!r} is there twice", (key.start_pos, key.end_pos))
        entries[name] = _node(value)
    return ObjectOf(tuple(entries.items()), _span(tree))


def _path(tree: Any) -> Node:
    segments = tuple(_segment(part) for part in tree.children[1:])
    path = Path("$", segments, _span(tree))
    check_root(path)
    return path


def _relative(tree: Any) -> Node:
    return Path("@", tuple(_segment(part) for part in tree.children[1:]), _span(tree))


def _segment(tree: Any) -> Segment:
    span = _span(tree)
    if tree.data != "segment":
        selectors = tuple(_selector(part) for part in tree.children)
        return Segment(selectors, tree.data == "descendant_bracket", span)
    word = str(tree.children[0])
    name = word.lstrip(".")
    selector: Selector = Wildcard(span) if name == "*" else Name(name, span)
    return Segment((selector,), word.startswith(".."), span)


def _selector(tree: Any) -> Selector:
    span = _span(tree)
    match tree.data:
        case "name":
            return Name(_text(tree.children[0]), span)
        case "index":
            return Index(_index(tree.children[0]), span)
        case "wildcard":
            return Wildcard(span)
        case "filter":
            condition = _node(tree.children[0])
            well_typed(condition)
            return Filter(condition, span)
    bounds: list[int | None] = [None, None, None]
    position = 0
    for token in tree.children:
        if token.type == "COLON":
            position += 1
        else:
            bounds[position] = _index(token)
    return Slice(bounds[0], bounds[1], bounds[2], span)


def _index(token: Token) -> int:
    value = int(token) if len(token) < 25 else INDEX_MAX + 1
    if abs(value) > INDEX_MAX:
        raise SyntaxProblem("this index is too large", (token.start_pos or 0, token.end_pos or 0))
    return value


_SIMPLE_ESCAPES: Final = {
    "b": "\b",
    "t": "\t",
    "n": "\n",
    "f": "\f",
    "r": "\r",
    "/": "/",
    "\\": "\\",
}
_ESCAPE: Final = re.compile(
    r"\\u([Dd][89ABab][0-9A-Fa-f]{2})\\u([Dd][C-Fc-f][0-9A-Fa-f]{2})|\\u([0-9A-Fa-f]{4})|\\(.)"
)


def _text(token: Token) -> str:
    """The text that a string literal stands for (RFC 9535 §2.3.1.2: JSON's escapes)."""
    quote, start = str(token)[0], token.start_pos or 0

    def replaced(escape: re.Match[str]) -> str:
        high, low, unit, simple = escape.groups()
        if high is not None:
            return chr(0x10000 + ((int(high, 16) - 0xD800) << 10) + int(low, 16) - 0xDC00)
        if unit is not None and not 0xD800 <= int(unit, 16) <= 0xDFFF:
            return chr(int(unit, 16))
        if simple == quote:
            return quote
        if simple in _SIMPLE_ESCAPES:
            return _SIMPLE_ESCAPES[simple]
        at = start + 1 + escape.start()
        raise SyntaxProblem(
            f"{escape[0]!r} is no escape", (at, at + len(escape[0])), "write `\\\\` for a backslash"
        )

    return _ESCAPE.sub(replaced, str(token)[1:-1])


_RULES: Final[dict[str, Callable[[Any], Node]]] = {
    "conditional": _conditional,
    "default": lambda tree: Default(_nodes(tree.children), _span(tree)),
    "or_": lambda tree: Or(_nodes(tree.children), _span(tree)),
    "and_": lambda tree: And(_nodes(tree.children), _span(tree)),
    "not_": lambda tree: Not(_node(tree.children[0]), _span(tree)),
    "compare": _compare,
    "arithmetic": _arithmetic,
    "negative": _negative,
    "number": _number,
    "string": lambda tree: Literal(_text(tree.children[0]), _span(tree)),
    "constant": _constant,
    "bare_name": _bare_name,
    "call": _call,
    "list": lambda tree: ListOf(_nodes(tree.children), _span(tree)),
    "object": _object,
    "path": _path,
    "relative": _relative,
}
