"""Paths compiled to closures: straight look-ups where a path is definite, node lists elsewhere.

A path that meets a value which is not here asks the context for all that is left of it below its
origin; only where the path *ends* at such a value, and the result is merely passed on, may the
reference itself be the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Final, TypeAlias

from ..errors import ExpressionError
from ..values import Reference, Value
from .ast import Filter, Index, Name, Path, Segment, Selector, Slice, Wildcard
from .ast import filters as filters_of
from .context import MISSING, Context, Missing
from .errors import Failure
from .printing import print_path
from .roots import Entry, entry
from .values import KINDS, NOT_HERE, Budget, Run, work

Find: TypeAlias = Callable[[Context, Budget], Value | Missing]
Nodes: TypeAlias = Callable[[Context, Budget], list[Value]]
Test: TypeAlias = Callable[[Context, Budget, Value], bool]
Get: TypeAlias = Callable[[Context], Value | Missing]
Select: TypeAlias = Callable[[Value, list[Value], Context, Budget], None]
"""Appends what a selector selects from one node."""


class NotHere(Exception):
    """A path met a value that is elsewhere; its owner asks for the whole path, or fails."""


def compile_path(path: Path, source: str, *, passing: bool) -> Run:
    """A path from `$` as a value: null where nothing is found, a list if it is indefinite.

    Args:
        passing: the result is only handed on, so that it may be a reference.
    """
    if not path.definite:
        return _compile_nodes(path, source, passing=passing)
    at = entry(path)
    find = compile_find(path, source, passing=passing)
    keys = [key_of(segment) for segment in at.rest]

    # The commonest paths get closures of their own; anything unusual is left to `find`.
    if at.root == "vars" and len(keys) == 1 and type(keys[0]) is str:
        variable = keys[0]

        def run_variable(context: Context, budget: Budget) -> Value:
            value = context.vars.get(variable)
            return value if type(value) is not Reference else find(context, budget)

        return run_variable
    if at.step is not None and at.field == "output" and not keys:
        step_id = at.step

        def run_output(context: Context, budget: Budget) -> Value:
            view = context.step(step_id)
            if view is None:
                return None
            value = view.output
            return value if type(value) is not Reference else find(context, budget)

        return run_output
    if len(keys) == 1 and type(keys[0]) is str and at.root in ("input", "item", "output"):
        get, key = attrgetter(at.root), keys[0]

        def run_member(context: Context, budget: Budget) -> Value:
            value = get(context)
            if type(value) is dict:
                value = value.get(key)
                if type(value) is not Reference:
                    return value
            value = find(context, budget)
            return None if value is MISSING else value

        return run_member

    def run(context: Context, budget: Budget) -> Value:
        value = find(context, budget)
        return None if value is MISSING else value

    return run


def compile_find(path: Path, source: str, *, passing: bool = False) -> Find:
    """A definite path from `$`, telling nothing from null."""
    at = entry(path)
    get, rest = _getter(at)
    keys = tuple(key_of(segment) for segment in rest)
    ask = _asker(path, at, source)

    def find(context: Context, budget: Budget) -> Value | Missing:
        value = get(context)
        for key in keys:
            if type(value) is dict:
                value = value.get(key, MISSING)
            elif type(value) is list:
                if type(key) is int and -len(value) <= key < len(value):
                    value = value[key]
                else:
                    return MISSING
            elif value is MISSING or type(value) in KINDS:
                return MISSING
            else:
                value = ask(context, budget, None)
                break
        if value is MISSING or type(value) in KINDS:
            return value
        return ask(context, budget, value if passing else None)

    return find


def _compile_nodes(path: Path, source: str, *, passing: bool) -> Nodes:
    at = entry(path)
    get, rest = _getter(at)
    select = compile_segments(rest, source)
    ask = _asker(path, at, source)

    def run(context: Context, budget: Budget) -> list[Value]:
        value = get(context)
        try:
            found = [] if value is MISSING else select([value], context, budget)
        except NotHere:
            answer = ask(context, budget, None)
            return answer if type(answer) is list else []
        except Failure as failure:
            raise failure.at(source, path.span) from None
        if passing or all(type(node) in KINDS for node in found):
            return found
        answer = ask(context, budget, None)
        return answer if type(answer) is list else []

    return run


def compile_nodes(path: Path, source: str) -> Nodes:
    """What any path from `$` finds, for functions that take node lists."""
    if not path.definite:
        return _compile_nodes(path, source, passing=False)
    find = compile_find(path, source)

    def run(context: Context, budget: Budget) -> list[Value]:
        value = find(context, budget)
        return [] if value is MISSING else [value]

    return run


def _getter(at: Entry) -> tuple[Get, tuple[Segment, ...]]:
    """How the context gives a path's first value, and the segments still to be walked."""
    if at.step is not None and at.field is not None:
        return _step_getter(at.step, at.field), at.rest
    if at.root not in ("vars", "execution", "error", "secrets"):
        return attrgetter(at.root), at.rest
    # Mappings, perhaps layered ones: asked for one name, and copied only if read whole.
    mapping_of = attrgetter(at.root)
    key = key_of(at.rest[0]) if at.rest and _is_single(at.rest[0]) else None
    if type(key) is not str:

        def get_whole(context: Context) -> Value:
            mapping = mapping_of(context)
            return None if mapping is None else dict(mapping)

        return get_whole, at.rest

    def get_named(context: Context) -> Value | Missing:
        mapping = mapping_of(context)
        return MISSING if mapping is None else mapping.get(key, MISSING)

    return get_named, at.rest[1:]


def _step_getter(step_id: str, field: str) -> Get:
    field_of = attrgetter(field)

    def get(context: Context) -> Value | Missing:
        view = context.step(step_id)
        if view is None:
            return MISSING
        value = field_of(view)
        return list(value) if type(value) is tuple else value

    return get


def _asker(
    path: Path, at: Entry, source: str
) -> Callable[[Context, Budget, Value], Value | Missing]:
    """The way out when a value is not here: extract, else pass the reference on, else fail."""
    failure = Failure(f"`{print_path(path.segments)}` leads to {NOT_HERE}")
    error = failure.at(source, path.span)
    if at.extracted is None:
        origin, prefix, rest = None, "$", None
    else:
        origin, segments = at.extracted
        here = extractable(segments)
        prefix = print_path(segments[:here])
        spread = not all(_is_single(segment) for segment in segments[:here])
        rest = compile_segments(segments[here:], source) if here < len(segments) else None

    def ask(context: Context, budget: Budget, reference: Value) -> Value | Missing:
        answer = MISSING if origin is None else context.extract(origin, prefix)
        if answer is MISSING:
            if reference is not None:
                return reference
            raise ExpressionError(*error.args)
        if rest is None:
            return answer
        try:
            return rest(answer if spread else [answer], context, budget)
        except NotHere:
            raise ExpressionError(*error.args) from None
        except Failure as failure:
            raise failure.at(source, path.span) from None

    return ask


def extractable(segments: Sequence[Segment]) -> int:
    """How many segments a runner can follow on its own: up to a filter that reads the context."""
    for position, segment in enumerate(segments):
        if any(
            _reads_context(condition) for condition in filters_of(Path("$", (segment,), (0, 0)))
        ):
            return position
    return len(segments)


def _reads_context(condition: object) -> bool:
    from .ast import children

    pending = [condition]
    while pending:
        node = pending.pop()
        if isinstance(node, Path):
            if node.root == "$":
                return True
            pending.extend(filters_of(node))
        else:
            pending.extend(children(node))  # type: ignore[arg-type]  # conditions are nodes
    return False


# Segments and selectors, from a node and within node lists.


def compile_segments(
    segments: Sequence[Segment], source: str
) -> Callable[[list[Value], Context, Budget], list[Value]]:
    """What a sequence of segments selects from a list of nodes."""
    steps = [(_compile_segment(segment, source)) for segment in segments]

    def select(nodes: list[Value], context: Context, budget: Budget) -> list[Value]:
        for step in steps:
            found: list[Value] = []
            for node in nodes:
                step(node, found, context, budget)
            work(budget, len(found))
            nodes = found
        return nodes

    return select


def _compile_segment(segment: Segment, source: str) -> Select:
    selectors = [_compile_selector(selector, source) for selector in segment.selectors]
    if not segment.descendant:
        if len(selectors) == 1:
            return selectors[0]

        def select_each(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
            for select in selectors:
                select(value, out, context, budget)

        return select_each

    def select_below(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
        pending = [value]
        while pending:
            node = pending.pop()
            for select in selectors:
                select(node, out, context, budget)
            if type(node) is list or type(node) is dict:
                work(budget, len(node) + 1)
                below = list(node.values()) if type(node) is dict else node
                pending.extend(reversed(below))

    return select_below


def _compile_selector(selector: Selector, source: str) -> Select:
    match selector:
        case Name(name=key) | Index(index=key):
            return _member(key)
        case Wildcard():
            return _every
        case Slice():
            return _slice(selector)
        case Filter(condition=condition):
            from .filters import compile_test

            return _filtered(compile_test(condition, source))


def _member(key: str | int) -> Select:
    def select(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
        if type(value) is dict:
            if key in value:
                out.append(value[key])
        elif type(value) is list:
            if type(key) is int and -len(value) <= key < len(value):
                out.append(value[key])
        elif type(value) not in KINDS:
            raise NotHere

    return select


def _every(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
    out.extend(_children(value, budget))


def _slice(selector: Slice) -> Select:
    bounds = slice(selector.start, selector.stop, selector.step)

    def select(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
        if type(value) is list:
            if selector.step == 0:  # selects nothing (RFC 9535 §2.3.4.2.2)
                return
            work(budget, len(value))
            out.extend(value[bounds])
        elif type(value) not in KINDS:
            raise NotHere

    return select


def _filtered(test: Test) -> Select:
    def select(value: Value, out: list[Value], context: Context, budget: Budget) -> None:
        children = _children(value, budget)
        out.extend([child for child in children if test(context, budget, child)])

    return select


def _children(value: Value, budget: Budget) -> Sequence[Value]:
    if type(value) is list:
        work(budget, len(value))
        return value
    if type(value) is dict:
        work(budget, len(value))
        return list(value.values())
    if type(value) not in KINDS:
        raise NotHere
    return ()


_SINGLE: Final = (Name, Index)


def _is_single(segment: Segment) -> bool:
    return (
        not segment.descendant
        and len(segment.selectors) == 1
        and isinstance(segment.selectors[0], _SINGLE)
    )


def key_of(segment: Segment) -> str | int | None:
    """What a segment of a definite path looks up."""
    selector = segment.selectors[0]
    if isinstance(selector, Name):
        return selector.name
    return selector.index if isinstance(selector, Index) else None
