"""Data fields: which strings are values, templates or text, and what is refused with which code."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from heliostat.engine.expressions import (
    CODES,
    DataProblems,
    EvaluationContext,
    Expression,
    ExpressionError,
    Instant,
    Problem,
    StepResult,
    Template,
    at_rest,
    parse_data,
    parse_expression,
    parse_fields,
)
from heliostat.engine.values import Reference

CONTEXT = EvaluationContext(
    input={"a": {"b": [1, 2]}, "s": "text", "none": None},
    vars={"n": 3},
    steps={"each": StepResult(output=[1, 2])},
    now=Instant(0),
    secrets={"key": "k"},
)


def evaluate(value: Any) -> Any:
    return parse_data(value).evaluate(CONTEXT)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("costs $5, or $.50", "costs $5, or $.50"),
        ("", ""),
        (None, None),
        (12, 12),
        (" $.input.a.b[0] ", 1),
        ("$.input.a['b'][-1]", 2),
        ("$['input'].s", "text"),
        ("[0]", "[0]"),
        ("${ $.vars.n + 1 }", 4),
        (" ${$.vars.n} ", 3),
        ("$.input.missing", None),
        ("${ {'a': {'b': '}'}} }", {"a": {"b": "}"}}),
        ("n=${ $.vars.n }", "n=3"),
        ("${ $.vars.n }${ $.input.s }", "3text"),
        ("${ $.input.a } and ${ true }", '{"b":[1,2]} and true'),
        ("at ${ $.now }", "at 1970-01-01T00:00:00Z"),
        ("$${ x }", "${ x }"),
        ("a $${x} ${ $.vars.n } $${", "a ${x} 3 ${"),
        ("$.now", "1970-01-01T00:00:00Z"),
        ("${ [$.now, seconds(90)] }", ["1970-01-01T00:00:00Z", "PT1M30S"]),
        ("${ $.now - instant('1970-01-01T00:00:01Z') }", "-PT1S"),
        ("Bearer ${ $.secrets.key }", "Bearer k"),
        ({"x": [{"y": "$.vars.n"}, 2], "$.input": "k"}, {"x": [{"y": 3}, 2], "$.input": "k"}),
    ],
)
def test_value(value: Any, expected: Any) -> None:
    assert evaluate(value) == expected


def problems_of(value: Any) -> tuple[Problem, ...]:
    with pytest.raises(DataProblems) as caught:
        parse_data(value)
    return caught.value.problems


@pytest.mark.parametrize(
    ("value", "code", "span", "cure"),
    [
        ("$.input.a + 1", "HS112", (0, 13), "wrap it: ${ $.input.a + 1 }"),
        (" $.vars.n == 2", "HS112", (1, 14), "wrap it: ${ $.vars.n == 2 }"),
        ("$.50 off", "HS112", (0, 8), "for the text itself"),
        ("$.input.a is good", "HS112", (0, 17), "for the text itself"),
        ("see $.input.a.b[0], ok", "HS112", (4, 18), "wrap it: ${ $.input.a.b[0] }"),
        ("${ $.vars.n } of $.vars.n", "HS112", (17, 25), "wrap it: ${ $.vars.n }"),
        ("$.inptu.a", "HS102", (1, 7), "did you mean `$.input`?"),
        ("$.input[?@.x = 1]", "HS101", (13, 14), "compare with `==`"),
        ("n ${ 1 + }", "HS101", (7, 8), None),
        ("n ${ 1", "HS101", (2, 4), "close it"),
        ("${ }", "HS101", (2, 3), None),
        ("${" + "[" * 200 + "]" * 200 + "}", "HS108", (0, 402), None),
    ],
)
def test_problem(value: str, code: str, span: tuple[int, int], cure: str | None) -> None:
    (problem,) = problems_of(value)
    assert (problem.code, problem.span) == (code, span)
    assert (cure or "") in (problem.cure or "")
    assert problem.code in CODES


def test_all_problems_are_found_with_their_places() -> None:
    found = problems_of({"a": "$.x", "b": ["fine", "${ 1 + }", {"c": "$.input.n > 1"}]})
    assert [(p.path, p.code) for p in found] == [
        (("a",), "HS102"),
        (("b", 1), "HS101"),
        (("b", 2, "c"), "HS112"),
    ]


def test_null_in_a_text_is_an_error() -> None:
    with pytest.raises(ExpressionError, match="null cannot stand in a text") as caught:
        evaluate("a ${ $.input.none } b")
    assert caught.value.span == (5, 17)


def test_parts_say_where_they_are() -> None:
    data = parse_data({"a": "$.vars.n", "b": ["x", "t ${ 1 } ${ $.vars.n }"]})
    parts = dict(data.parts())
    assert list(parts) == [("a",), ("b", 1)]
    assert isinstance(parts["a",], Expression)
    assert isinstance(parts["b", 1], Template)
    assert [(place, each.ast.span) for place, each in data.expressions()] == [
        (("a",), (0, 8)),
        (("b", 1), (5, 6)),
        (("b", 1), (12, 20)),
    ]


def test_constants_are_shared() -> None:
    value = {"a": [1, {"b": "c"}]}
    data = parse_data(value)
    assert data.constant
    assert data.evaluate(CONTEXT) is data.evaluate(CONTEXT)
    mixed = parse_data({"k": value, "n": "$.vars.n"})
    assert not mixed.constant
    assert mixed.evaluate(CONTEXT)["k"] is mixed.evaluate(CONTEXT)["k"]


def test_bare_paths_are_known() -> None:
    assert parse_data("$.input.a").is_bare_path
    assert parse_data("${ $.input.a }").is_bare_path
    assert not parse_data("${ $.vars.n + 1 }").is_bare_path
    assert not parse_data({"a": "$.input.a"}).is_bare_path


def test_uuids_of_a_field_differ() -> None:
    made = evaluate({"a": "${ uuid() }", "b": "${ uuid() }", "c": ["x ${ uuid() }"]})
    assert made == evaluate({"a": "${ uuid() }", "b": "${ uuid() }", "c": ["x ${ uuid() }"]})
    assert made["a"] != made["b"] != made["c"][0][2:]


def test_references_are_passed_on() -> None:
    table = Reference("default/1", "arrow", 9)
    context = EvaluationContext(input={"t": table})
    value = parse_data({"t": "$.input.t", "l": "${ [$.input.t default null] }"}).evaluate(context)
    assert value == {"t": table, "l": [table]}
    with pytest.raises(ExpressionError, match="beside it"):
        parse_data("a ${ $.input.t }").evaluate(context)


def test_what_is_compiled_survives_pickling() -> None:
    data = parse_data({"a": "${ $.vars.n + 1 }", "b": "x ${ $.vars.n }", "u": "${ uuid() }"})
    copy = pickle.loads(pickle.dumps(data))
    assert copy == data
    assert copy.evaluate(CONTEXT) == data.evaluate(CONTEXT)
    expression = parse_expression("$.vars.n + 1")
    assert pickle.loads(pickle.dumps(expression)).evaluate(CONTEXT) == 4


def test_equal_fields_are_alike_in_every_leaf() -> None:
    assert parse_data({"a": 1}) == parse_data({"a": 1})
    assert parse_data({"a": 1}) != parse_data({"a": True})
    assert len({parse_data("$.vars.n"), parse_data("$.vars.n"), parse_data("$.vars.m")}) == 2


def test_a_pickled_uuid_keeps_its_place() -> None:
    ((_, first), (_, second)) = parse_data(["${ uuid() }", "${ uuid() }"]).parts()
    assert first != second
    assert pickle.loads(pickle.dumps(first)).evaluate(CONTEXT) == first.evaluate(CONTEXT)


def test_at_rest() -> None:
    value = parse_expression("[{'a': $.now}, seconds(1), 1]").evaluate(CONTEXT)
    assert at_rest(value) == [{"a": "1970-01-01T00:00:00Z"}, "PT1S", 1]


def test_errors_survive_pickling() -> None:
    with pytest.raises(DataProblems) as caught:
        parse_data("$.a + 1")
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), str(copy), copy.problems) == (
        DataProblems,
        str(caught.value),
        caught.value.problems,
    )


class TestFieldsPutTogether:
    """A step's own fields as one mapping: some are data, some are constants."""

    def test_constants_stand_as_they_are(self) -> None:
        source = 'echo "${HOME} $.input.s $${x}"'
        data = parse_fields(
            {"env": {"N": "$.vars.n"}, "n": "${ $.vars.n + 1 }"}, {"source": source}
        )
        assert data.evaluate(CONTEXT) == {"env": {"N": 3}, "n": 4, "source": source}

    def test_two_uuids_in_two_fields_differ(self) -> None:
        data = parse_fields({"a": "${ uuid() }", "b": "${ uuid() }"}, {})
        found = data.evaluate(CONTEXT)
        assert found["a"] != found["b"]

    def test_it_comes_back_from_pickle_and_compares_by_what_it_says(self) -> None:
        data = parse_fields({"a": "$.vars.n"}, {"b": "${ $.vars.n }"})
        again = pickle.loads(pickle.dumps(data))
        assert again == data
        assert again.evaluate(CONTEXT) == {"a": 3, "b": "${ $.vars.n }"}
        assert data != parse_data({"b": "${ $.vars.n }", "a": "$.vars.n"})

    def test_what_is_wrong_is_told_with_its_field(self) -> None:
        with pytest.raises(DataProblems) as caught:
            parse_fields({"url": "$.a +"}, {"source": "$.a +"})
        assert [problem.path for problem in caught.value.problems] == [("url",)]
