"""Random expressions: compiled closures against a naive reading of the tree, and printing.

The naive interpreter walks the tree anew for each value, shares no code with the compiler and
knows only the rules. It tells *that* an expression fails, not how.
"""

from __future__ import annotations

import math
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct

from heliostat.engine.expressions import (
    ANY,
    EvaluationContext,
    Expression,
    ExpressionError,
    Instant,
    Names,
    StepResult,
    check,
    parse_expression,
    print_expression,
)
from heliostat.engine.expressions import ast as t
from heliostat.engine.expressions.time import Duration

NOWHERE = (0, 0)


class Wrong(Exception):
    """The expression has no value."""


def kind(value: Any) -> str:
    for name, types in {
        "null": type(None),
        "boolean": bool,
        "number": (int, float),
        "string": str,
        "array": list,
        "object": dict,
        "instant": Instant,
        "duration": Duration,
    }.items():
        if isinstance(value, types):  # type: ignore[arg-type]  # types or tuples of them
            return name
    raise AssertionError(value)


def same(a: Any, b: Any) -> bool:
    if kind(a) != kind(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return set(a) == set(b) and all(same(a[key], b[key]) for key in a)
    return bool(a == b)


def finite(number: Any) -> Any:
    if isinstance(number, int) and not -(2**63) <= number < 2**63:
        raise Wrong
    if isinstance(number, float) and not math.isfinite(number):
        raise Wrong
    return number


def arithmetic(op: str, a: Any, b: Any) -> Any:
    kinds = (kind(a), kind(b))
    try:
        if kinds == ("number", "number"):
            match op:
                case "+":
                    return finite(a + b)
                case "-":
                    return finite(a - b)
                case "*":
                    return finite(a * b)
                case "/":
                    return finite(a / b)
                case "//":
                    return finite(a // b)
                case "%":
                    return finite(a % b)
    except (ZeroDivisionError, OverflowError):
        raise Wrong from None
    if op == "+" and kinds in (("string", "string"), ("array", "array")):
        return a + b
    match op, kinds:
        case "+", ("instant", "duration") | ("duration", "instant"):
            return Instant(a.ms + b.ms)
        case "-", ("instant", "duration"):
            return Instant(a.ms - b.ms)
        case "-", ("instant", "instant"):
            return Duration(a.ms - b.ms)
        case "+", ("duration", "duration"):
            return Duration(a.ms + b.ms)
        case "-", ("duration", "duration"):
            return Duration(a.ms - b.ms)
        case "*", ("duration", "number"):
            return Duration(length(a.ms * b))
        case "*", ("number", "duration"):
            return Duration(length(b.ms * a))
        case "/", ("duration", "number") if b != 0:
            return Duration(length(a.ms / b))
        case "/", ("duration", "duration") if b.ms != 0:
            return a.ms / b.ms
        case "//", ("duration", "duration") if b.ms != 0:
            return a.ms // b.ms
        case "%", ("duration", "duration") if b.ms != 0:
            return Duration(a.ms % b.ms)
    raise Wrong


def length(ms: float) -> int:
    if not math.isfinite(ms) or abs(ms) > 400_000_000_000_000:
        raise Wrong
    return round(ms)


def compare(op: str, a: Any, b: Any) -> bool:
    if op in ("==", "!="):
        return same(a, b) is (op == "==")
    if op in ("in", "not in"):
        return contains(a, b) is (op == "in")
    if a is None or b is None:
        return False
    if kind(a) != kind(b) or kind(a) not in ("number", "string", "instant", "duration"):
        raise Wrong
    return bool({"<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op])


def contains(a: Any, b: Any) -> bool:
    if isinstance(b, list):
        return any(same(a, item) for item in b)
    if isinstance(a, str) and isinstance(b, str | dict):
        return a in b
    raise Wrong


def boolean(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Wrong
    return value


def naive(node: t.Node) -> Any:
    match node:
        case t.Literal(value=value):
            return value
        case t.ListOf(items=items):
            return [naive(item) for item in items]
        case t.ObjectOf(entries=entries):
            return {key: naive(value) for key, value in entries}
        case t.Negative(operand=operand):
            value = naive(operand)
            if kind(value) == "duration":
                return Duration(-value.ms)
            if kind(value) != "number":
                raise Wrong
            return finite(-value)
        case t.Not(operand=operand):
            return not boolean(naive(operand))
        case t.And(operands=operands):
            return all(boolean(naive(operand)) for operand in operands)
        case t.Or(operands=operands):
            return any(boolean(naive(operand)) for operand in operands)
        case t.Default(options=options):
            for option in options:
                value = naive(option)
                if value is not None:
                    return value
            return None
        case t.Conditional(condition=condition, then=then, otherwise=otherwise):
            return naive(then) if boolean(naive(condition)) else naive(otherwise)
        case t.Arithmetic(op=op, left=left, right=right):
            return arithmetic(op, naive(left), naive(right))
        case t.Compare(first=first, rest=rest):
            value = naive(first)
            for compare_op, operand in rest:
                other = naive(operand)
                if not compare(compare_op, value, other):
                    return False
                value = other
            return True
        case t.Call(name=name, arguments=arguments):
            return called(name, [naive(argument) for argument in arguments])
        case t.Path(segments=segments):
            found: Any = {"input": INPUT, "vars": VARS, "now": NOW, "steps": STEPS}
            for segment in segments:
                found = member(found, segment.selectors[0])
            return found
    raise AssertionError(node)


def member(value: Any, selector: t.Selector) -> Any:
    match selector:
        case t.Name(name=name):
            return value.get(name) if isinstance(value, dict) else None
        case t.Index(index=index):
            inside = isinstance(value, list) and -len(value) <= index < len(value)
            return value[index] if inside else None
    raise AssertionError(selector)


def called(name: str, arguments: list[Any]) -> Any:
    first = arguments[0]
    match name:
        case "len" if isinstance(first, str | list | dict):
            return len(first)
        case "abs" if kind(first) == "number":
            return finite(abs(first))
        case "sum" if isinstance(first, list):
            total: Any = 0
            for position, item in enumerate(first):
                if kind(item) not in ("number", "duration"):
                    raise Wrong
                total = item if position == 0 else arithmetic("+", total, item)
            return total
        case "min" | "max" if arguments:
            values = first if len(arguments) == 1 else arguments
            if not isinstance(values, list) or not values or len({kind(v) for v in values}) > 1:
                raise Wrong
            if kind(values[0]) not in ("number", "string", "instant", "duration"):
                raise Wrong
            return min(values) if name == "min" else max(values)
        case "keys" if isinstance(first, dict):
            return list(first)
        case "type":
            return kind(first)
        case "seconds" if kind(first) == "number":
            return Duration(length(finite(first * 1000)))
    raise Wrong


INPUT: Any = {
    "n": 3,
    "f": 0.5,
    "s": "ab",
    "t": True,
    "z": None,
    "list": [1, 2.0, "x", None],
    "o": {"n": [{"k": 1}], "default": "d"},
}
VARS: Any = {"v": -2, "big": 2**62, "words": ["a", "b"]}
NOW = Instant(1_000_000)
STEPS: Any = {"a": {"output": {"x": 1}, "status": "Completed"}}
CONTEXT = EvaluationContext(
    input=INPUT,
    vars=VARS,
    now=NOW,
    steps={"a": StepResult(output={"x": 1}, status="Completed")},
)


def path(*keys: str | int) -> t.Path:
    segments = tuple(
        t.Segment(
            (t.Name(key, NOWHERE) if isinstance(key, str) else t.Index(key, NOWHERE),),
            False,
            NOWHERE,
        )
        for key in keys
    )
    return t.Path("$", segments, NOWHERE)


literals = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from([2**62, 0.5, -1.5, 1e308, 0.0]),
    st.sampled_from(["", "a", "ab", "é'\"\\\n"]),
).map(lambda value: t.Literal(value, NOWHERE))
paths = st.one_of(
    st.sampled_from(["n", "f", "s", "t", "z", "list", "o", "nope"]).map(lambda k: path("input", k)),
    st.sampled_from(["v", "big", "words", "nope"]).map(lambda k: path("vars", k)),
    st.sampled_from(
        [
            path("now"),
            path("input"),
            path("input", "list", -1),
            path("input", "list", 0),
            path("input", "o", "n", 0, "k"),
            path("input", "o", "default"),
            path("vars", "words", 1),
            path("steps", "a", "output", "x"),
            path("steps", "a", "status"),
            path("steps", "b", "output"),
        ]
    ),
)


def _larger(inner: st.SearchStrategy[t.Node]) -> st.SearchStrategy[t.Node]:
    few = st.lists(inner, max_size=3).map(tuple)
    some = st.lists(inner, min_size=2, max_size=3).map(tuple)
    compares = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "not in"])
    rest = st.lists(st.tuples(compares, inner), min_size=1, max_size=2).map(tuple)
    functions = st.sampled_from(["len", "abs", "sum", "min", "max", "keys", "type", "seconds"])
    entries = st.dictionaries(st.sampled_from(["k", "é b", ""]), inner, max_size=2)
    operators = st.sampled_from(["+", "-", "*", "/", "//", "%"])
    # A negative number is read as one literal, never as the negation of one.
    negatable = inner.filter(lambda node: not isinstance(node, t.Literal))
    made: list[st.SearchStrategy[t.Node]] = [
        few.map(lambda items: t.ListOf(items, NOWHERE)),
        entries.map(lambda found: t.ObjectOf(tuple(found.items()), NOWHERE)),
        negatable.map(lambda node: t.Negative(node, NOWHERE)),
        inner.map(lambda node: t.Not(node, NOWHERE)),
        st.builds(t.Arithmetic, operators, inner, inner, st.just(NOWHERE)),
        st.builds(t.Compare, inner, rest, st.just(NOWHERE)),
        some.map(lambda nodes: t.And(nodes, NOWHERE)),
        some.map(lambda nodes: t.Or(nodes, NOWHERE)),
        some.map(lambda nodes: t.Default(nodes, NOWHERE)),
        st.builds(t.Conditional, inner, inner, inner, st.just(NOWHERE)),
        st.builds(lambda name, node: t.Call(name, (node,), NOWHERE, NOWHERE), functions, inner),
        st.builds(
            lambda name, nodes: t.Call(name, nodes, NOWHERE, NOWHERE),
            st.sampled_from(["min", "max"]),
            some,
        ),
    ]
    return st.one_of(*made)


nodes: st.SearchStrategy[t.Node] = st.recursive(st.one_of(literals, paths), _larger, max_leaves=8)


@settings(max_examples=600)
@given(nodes)
def test_closures_do_what_the_tree_says(node: t.Node) -> None:
    expression = Expression("", node)
    try:
        expected = naive(node)
    except Wrong:
        try:
            found = expression.evaluate(CONTEXT)
        except ExpressionError:
            return
        raise AssertionError(f"{print_expression(node)} is {found!r}, and should fail") from None
    found = expression.evaluate(CONTEXT)
    assert same(found, expected)
    assert type(found) is type(expected)


@settings(max_examples=400)
@given(nodes)
def test_what_is_printed_is_read_back(node: t.Node) -> None:
    text = print_expression(node)
    again = parse_expression(text).ast
    assert print_expression(again) == text
    assert _bare(again) == _bare(node)


@settings(max_examples=400)
@given(nodes)
def test_what_has_a_value_passes_the_check(node: t.Node) -> None:
    """A problem is reported only where every evaluation that reaches it fails."""
    expression = parse_expression(print_expression(node))
    problems = check(expression, Names(vars=dict.fromkeys(VARS | {"nope": 1}, ANY)))
    clashes = [each for each in problems if each.code not in ("HS102", "HS107")]
    if not clashes or _chooses(node):
        return
    try:
        value = expression.evaluate(CONTEXT)
    except ExpressionError:
        return
    raise AssertionError(f"{expression.source} is {value!r}, and is reported: {clashes}")


def _chooses(node: t.Node) -> bool:
    """Whether parts of it may never be evaluated."""
    if isinstance(node, t.And | t.Or | t.Default | t.Conditional):
        return True
    if isinstance(node, t.Compare) and len(node.rest) > 1:
        return True
    return any(map(_chooses, t.children(node)))


def _bare(node: Any) -> Any:
    """A tree without its spans, in which a number and a boolean differ."""
    if isinstance(node, tuple):
        return tuple(map(_bare, node))
    if isinstance(node, Struct):
        fields = [name for name in node.__struct_fields__ if "span" not in name]
        return (type(node).__name__, *(_bare(getattr(node, name)) for name in fields))
    return (type(node).__name__, node)
