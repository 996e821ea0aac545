"""The strict functions do what Python does: the same value, or the same error in the same words."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.engine.errors import ExpressionError
from heliostat.engine.expressions import EvaluationContext, parse_expression
from heliostat.engine.expressions.strict import METHODS, STRICT

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 99)
    | st.sampled_from([0.5, -2.0])
    | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text("abk", max_size=2), inner, max_size=3)
    ),
    max_leaves=5,
)
MODELS: dict[str, Any] = {
    "truthy": bool,
    "at": lambda a, b: a[b],
    "eq_strict": operator.eq,
    "lt_strict": operator.lt,
    "le_strict": operator.le,
    "gt_strict": operator.gt,
    "ge_strict": operator.ge,
    "in_strict": lambda a, b: a in b,
    "add_strict": operator.add,
    "sub_strict": operator.sub,
    "mul_strict": operator.mul,
    "div_strict": operator.truediv,
    "floordiv_strict": operator.floordiv,
    "neg_strict": operator.neg,
    "pos_strict": operator.pos,
    "abs_strict": abs,
    "all_strict": all,
    "any_strict": any,
    "float_strict": float,
    "int_strict": int,
    "len_strict": len,
    "list_strict": list,
    "iterate": lambda a: list(iter(a)),
    "max_strict": max,
    "min_strict": min,
    "range_strict": lambda a: list(range(a)),
    "reversed_strict": lambda a: list(reversed(a)),
    "round_strict": round,
    "sorted_strict": sorted,
    "str_strict": str,
    "repr_strict": repr,
    "sum_strict": sum,
    "enumerate_strict": lambda a: [[n, each] for n, each in enumerate(a)],
    "zip_strict": lambda a, b: [list(each) for each in zip(a, b, strict=False)],
    "slice": lambda a, b, c: a[b:c],
    "merge": lambda a, b: {**a, **b},
    "without": lambda a, b: {name: value for name, value in {**a}.items() if name != b},
    "spread": lambda a, b: [*a, *b],
    "format_strict": format,
}
ARGUMENTS = {
    "at": 2, "in_strict": 2, "zip_strict": 2, "slice": 3, "merge": 2, "without": 2, "spread": 2,
    "format_strict": 2, "max_strict": 2, "min_strict": 2,
}  # fmt: skip
UNLIKE = {
    # words of Python that tell what the language does otherwise
    "merge": "not a mapping",
    "without": "not a mapping",
    "at": "unhashable",
    "slice": "unhashable",
    "spread": "after *",
}


def evaluated(text: str, *values: Any) -> Any:
    names = {f"v{number}": value for number, value in enumerate(values)}
    return parse_expression(text).evaluate(EvaluationContext(vars=names))


def of(run: Any, *values: Any) -> tuple[Any, ...]:
    try:
        return ("value", repr(run(*values)))
    except ExpressionError as error:
        return (error.type, str(error))
    except Exception as error:  # noqa: BLE001  # whatever Python raises
        return (type(error).__name__, str(error))


@settings(max_examples=400)
@given(st.sampled_from(sorted(MODELS)), JSON, JSON, JSON)
def test_a_strict_function_does_what_python_does(name: str, a: Any, b: Any, c: Any) -> None:
    operators = ("eq", "lt", "le", "gt", "ge", "add", "sub", "mul", "div", "floordiv")
    count = ARGUMENTS.get(name, 2 if name.split("_")[0] in operators else 1)
    if name == "format_strict":
        b = ["", "d", ".2f", ">5", "x", "%"][len(repr(b)) % 6]
    values = (a, b, c)[:count]
    places = ", ".join(f"$.vars.v{number}" for number in range(count))
    expected = of(MODELS[name], *values)
    found = of(lambda *given: evaluated(f"{name}({places})", *given), *values)
    if found[0] == expected[0] and UNLIKE.get(name, "?") in expected[1] + found[1]:
        return
    assert found == expected


@pytest.mark.parametrize(
    ("method", "subject", "arguments"),
    [
        ("split", "a,b", [","]), ("join", "-", [["a", "b"]]), ("upper", "ab", []),
        ("find", "abc", ["c"]),
        ("get", {"a": 1}, ["b", 2]), ("index", [1, 2], [3]), ("replace", "aa", ["a", "b"]),
        ("count", [1, 1], [1]), ("startswith", "ab", ["a"]), ("strip", " a ", []),
        ("index", "ab", ["z"]),
    ],
)  # fmt: skip
def test_a_method_does_what_pythons_does(method: str, subject: Any, arguments: list[Any]) -> None:
    expected = of(getattr(subject, method), *arguments)
    places = "".join(f", $.vars.v{number + 1}" for number in range(len(arguments)))
    text = f'method($.vars.v0, "{method}"{places})'
    assert of(lambda *given: evaluated(text, *given), subject, *arguments) == expected


def test_a_method_that_changes_something_is_none() -> None:
    for kind, names in METHODS.items():
        assert not names & {"append", "pop", "update", "clear", "sort", "format"}, kind
    with pytest.raises(ExpressionError, match="no attribute 'pop'"):
        evaluated('method($.vars.v0, "pop")', [1])


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("mul_strict(9223372036854775807, 2)", "OverflowError", "64 bits"),
        ("pow_strict(10, 400)", "OverflowError", "64 bits"),
        ("mul_strict(1e308, 10)", "OverflowError", "finite"),
        ("pow_strict(-8, 0.5)", "ValueError", "complex"),
        ("pow_strict(2, 10)", None, "1024"),
        ("mod_strict(-7, 3)", None, "2"),
        ('attribute($.vars.v0, "k")', "AttributeError", "'NoneType' object has no attribute 'k'"),
        ("unpack([1], 2)", "ValueError", "not enough values to unpack (expected 2, got 1)"),
        ('entry("k", 1)', None, "{'k': 1}"),
        ("entry(1, 1)", "TypeError", "keys are strings"),
        ('text("a", "b")', None, "'ab'"),
        ('format_strict(1, "2000d")', "ValueError", "width"),
        ('mul_strict("a", 9999999)', "ExpressionError", "characters"),
        ('add_strict($.vars.v1, [2], "shared")', "TypeError", "another name"),
        ('add_strict($.vars.v1, "ab", "own")', None, "[1, 'a', 'b']"),
    ],
)
def test_bounds_and_forms_of_its_own(text: str, kind: str | None, words: str) -> None:
    found = of(lambda *given: evaluated(text, *given), None, [1])
    assert found[0] == (kind or "value")
    assert words in found[1]


def test_every_strict_function_is_tried() -> None:
    told = {*MODELS, "method", "attribute", "unpack", "entry", "text", "pow_strict", "mod_strict"}
    assert told == set(STRICT)


def test_an_error_knows_the_classes_above_it() -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluated("at($.vars.v0, 3)", [1])
    assert caught.value.raised == ("IndexError", "LookupError", "Exception", "BaseException")
