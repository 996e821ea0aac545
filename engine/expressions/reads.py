"""Which parts of values that may be elsewhere an expression reads.

Registration lists these, so that whoever holds a large value can return the parts beside it. The
texts are those that `Context.extract` will be asked for.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from .ast import Call, Conditional, Default, ListOf, Node, ObjectOf, Path, children, filters
from .data import Data, Expression, Template
from .paths import extractable
from .printing import print_path
from .roots import Origin, entry


class Read(Struct, frozen=True):
    """A part of a value: `root` names the value, `path` is canonical and relative to it.

    `whole` means that the part is only passed along, so that a reference does in its place;
    otherwise it is operated on, and its value has to be here.
    """

    root: Origin
    path: str
    whole: bool


def reads(part: Expression | Template | Data, *, tested: bool = False) -> tuple[Read, ...]:
    """What evaluation may ask for, each path once, in the order of the text.

    Args:
        tested: the expression is a condition or a list to run over: its value is looked at, too.
    """
    found: dict[tuple[Origin, str], bool] = {}
    for node, passing in _expressions(part, tested):
        for read in _reads(node, passing):
            key = (read.root, read.path)
            found[key] = found.get(key, True) and read.whole
    return tuple(Read(root, path, whole) for (root, path), whole in found.items())


def _expressions(part: Expression | Template | Data, tested: bool) -> Iterator[tuple[Node, bool]]:
    match part:
        case Expression():
            yield part.ast, not tested
        case Template():
            for expression in part.expressions:
                yield expression.ast, False
        case Data():
            for _, inner in part.parts():
                yield from _expressions(inner, tested)


def _reads(node: Node, passing: bool) -> Iterator[Read]:
    match node:
        case Path():
            yield from _path_reads(node, passing)
        case Conditional(condition=condition, then=then, otherwise=otherwise):
            yield from _reads(then, passing)
            yield from _reads(condition, False)
            yield from _reads(otherwise, passing)
        case Call(name="has"):
            # Whether something is there can be told of a reference as well.
            for argument in node.arguments:
                yield from _reads(argument, True)
        case ListOf() | ObjectOf() | Default():
            for child in children(node):
                yield from _reads(child, passing)
        case _:
            for child in children(node):
                yield from _reads(child, False)


def _path_reads(path: Path, passing: bool) -> Iterator[Read]:
    if path.root == "$":
        extracted = entry(path).extracted
        if extracted is not None:
            origin, segments = extracted
            here = extractable(segments)
            whole = passing and here == len(segments)
            yield Read(origin, print_path(segments[:here]), whole)
    for condition in filters(path):
        yield from _reads(condition, False)
