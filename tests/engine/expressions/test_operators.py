"""Each operator and literal by example: what it gives, and where and how it fails."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.expressions import (
    Duration,
    EvaluationContext,
    ExpressionError,
    Instant,
    StepResult,
    SyntaxProblem,
    parse_expression,
)

CONTEXT = EvaluationContext(
    input={"n": 3, "s": "abc", "none": None, "list": [1, 2, 3], "o": {"k": 1}, "t": True},
    vars={"v": 7, "in": "a word"},
    steps={"a": StepResult(output={"x": [1, {"y": 2}]}, status="Completed", finished=("p", "q"))},
    item={"id": "i"},
    index=4,
    execution={"started_at": Instant(1_000), "metadata": {"x": "12"}},
    now=Instant(61_000),
    output=9,
)


def evaluate(source: str) -> Any:
    return parse_expression(source).evaluate(CONTEXT)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("12", 12),
        ("1.5e3", 1500.0),
        ("-5", -5),
        ("'it\\'s \"x\"'", 'it\'s "x"'),
        (r'"\u00e9\ud83d\ude00\n\\"', "é😀\n\\"),
        ("[1, [2], {}]", [1, [2], {}]),
        ('{"a": 1, "b c": [true, false, null]}', {"a": 1, "b c": [True, False, None]}),
        ("1 + 2 * 3", 7),
        ("(1 + 2) * 3", 9),
        ("10 - 2 - 3", 5),
        ("7 / 2", 3.5),
        ("7 // 2", 3),
        ("-7 // 2", -4),
        ("-7 % 3", 2),
        ("2 * -3", -6),
        ("- $.input.n", -3),
        ('"a" + "b"', "ab"),
        ("[1] + [2]", [1, 2]),
        ("1 == 1.0", True),
        ("true != 1", True),
        ("[1, true] == [1.0, true]", True),
        ("[1] == [true]", False),
        ('{"a": 1} == {"a": 1.0}', True),
        ('{"a": 1} == {"b": 1}', False),
        ('"1" == 1', False),
        ("null == null", True),
        ("1 < 2 <= 2 < 3", True),
        ("1 < 2 > 5", False),
        ('"a" < "b"', True),
        ("null < 1", False),
        ("1 >= null", False),
        ("2 in [1, 2]", True),
        ("1 in [true]", False),
        ('"k" in {"k": null}', True),
        ('"b" in "abc"', True),
        ('"x" not in "abc"', True),
        ("not 1 == 2", True),
        ("! true", False),
        ("true && false || true", True),
        ("true or 1 / 0 == 1", True),
        ("false and 1 / 0 == 1", False),
        ("1 if true else 1 / 0", 1),
        ("1 if false else 2 if false else 3", 3),
        ("null default 2", 2),
        ("$.input.nothing default $.input.none default 4", 4),
        ("false default true", False),
        ("1 if null default true else 2", 1),
        ("$.input.list[-1]", 3),
        ("$.input.list[9]", None),
        ("$.input.s.x", None),
        ("$.input['o'].k", 1),
        ("$.vars.in", "a word"),
        ("$.vars", {"v": 7, "in": "a word"}),
        ("$.vars.nothing", None),
        ("$.steps.a.output.x[1].y", 2),
        ("$.steps.a.status", "Completed"),
        ("$.steps.a.finished[0]", "p"),
        ("$.steps.never.output.x", None),
        ("$.item.id", "i"),
        ("$.index + 1", 5),
        ("$.output", 9),
        ("$.error.message", None),
        ("$.input.list[*]", [1, 2, 3]),
        ("$.input.list[::2]", [1, 3]),
        ("$.input.list[?@ >= $.input.n]", [3]),
        ("$.now - $.execution.started_at", Duration(60_000)),
        ("$.now + duration('1s')", Instant(62_000)),
        ("$.now - seconds(1)", Instant(60_000)),
        ("seconds(90) * 2", Duration(180_000)),
        ("0.5 * seconds(1)", Duration(500)),
        ("seconds(3) / 2", Duration(1_500)),
        ("seconds(3) / seconds(2)", 1.5),
        ("seconds(7) // seconds(2)", 3),
        ("seconds(7) % seconds(2)", Duration(1_000)),
        ("-seconds(7)", Duration(-7_000)),
        ("seconds(7) < duration('1m')", True),
        ("$.now > instant('1970-01-01T00:00:00Z')", True),
        ("$.now == '1970-01-01T00:01:01Z'", False),
        ("${ 1 + 1 }", 2),
        ("  ${ {'}': 1} }  ", {"}": 1}),
    ],
)
def test_value(source: str, value: Any) -> None:
    found = evaluate(source)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("source", "span", "text"),
    [
        ('"a" + 1', (0, 7), "a string and a number"),
        ("2 * (null + 1)", (5, 13), "null and a number"),
        ('"ab" * 3', (0, 8), "a string and a number"),
        ("true + 1", (0, 8), "a boolean and a number"),
        ("1 / 0", (0, 5), "division by zero"),
        ("1 % 0.0", (0, 7), "division by zero"),
        ("9223372036854775807 + 1", (0, 23), "64 bits"),
        ("-9223372036854775807 - 2", (0, 24), "64 bits"),
        ("1e308 * 10", (0, 10), "finite"),
        ("1 < 'a'", (0, 7), "a number and a string"),
        ("true < false", (0, 12), "a boolean and a boolean"),
        ("1 in 2", (0, 6), "a number and a number"),
        ("1 in null", (0, 9), "null"),
        ("not 1", (4, 5), "boolean"),
        ("true and null", (9, 13), "boolean, not null"),
        ("1 or true", (0, 1), "boolean"),
        ("1 if 'x' else 2", (5, 8), "boolean, not a string"),
        ("-'a'", (0, 4), "a string"),
        ("$.now + $.now", (0, 13), "an instant and an instant"),
        ("seconds(1) + 1", (0, 14), "a duration and a number"),
        ("instant('0001-01-01T00:00:00Z') - seconds(1)", (0, 44), "years 1 to 9999"),
        ("1 < 2 < 'a'", (0, 11), "a number and a string"),
    ],
)
def test_failure(source: str, span: tuple[int, int], text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        evaluate(source)
    assert caught.value.span == span
    assert text in caught.value.text
    assert source[slice(*span)] in str(caught.value)


@pytest.mark.parametrize(
    ("source", "span", "text"),
    [
        ("", (0, 1), "empty"),
        ("1 +", (2, 3), "too early"),
        ("1 = 1", (2, 3), "`=` is no operator"),
        ("1 & 1", (2, 3), "`&` is no operator"),
        ("2 ** 3", (3, 4), "cannot stand here"),
        ("status == 1", (0, 6), "neither a path nor a string"),
        ("'abc", (0, 4), "no end"),
        (r"'\x41'", (1, 3), "no escape"),
        (r"'\ud800'", (1, 7), "no escape"),
        ("$", (0, 1), "no value"),
        ("$.inptu", (1, 7), "there is no `$.inptu`"),
        ("$..x", (1, 4), "begins with the name"),
        ("$.steps.a", (0, 9), "a step is no value"),
        ("$.steps.*.output", (0, 16), "by its id"),
        ("$.steps.a.outputs", (9, 17), "a step has"),
        ("$.secrets", (0, 9), "by its name"),
        ("@.x", (0, 1), "inside a filter"),
        ("(1).x", (3, 5), "only a path has members"),
        ("01", (0, 2), "no number"),
        ("1e999", (0, 5), "too large"),
        ("9223372036854775808", (0, 19), "64 bits"),
        ('{"a": 1, "a": 2}', (9, 12), "twice"),
        ("$.input[9007199254740992]", (8, 24), "too large"),
        ("$.input[?@.a]]", (13, 14), "cannot stand here"),
        ("$.input[?@.* == 1]", (9, 12), "several values"),
        ("$.input[?1]", (9, 10), "literal"),
        ("$.input[?(@.a) == 1]", (15, 17), "cannot stand here"),
        ("$.input[?@.a == 1 == 2]", (18, 20), "cannot stand here"),
        ("$.input[?@.a + 1 == 2]", (13, 14), "cannot stand here"),
        ("$.input[?len(@.x) > 1]", (9, 12), "no function 'len'"),
        ("$.input[?length(@.x)]", (9, 20), "not a condition"),
        ("$.input[?length(@.x, 1) == 1]", (9, 23), "takes 1 argument"),
        ("$.input[?count(1) == 1]", (15, 16), "takes a path"),
        ("$.input[?match(@.x, 'a') == true]", (9, 24), "condition of its own"),
        ("$.input[?match(@.x, '(')]", (20, 23), "no I-Regexp"),
        ("$.input[?match(@.x, '^a')]", (20, 24), "no anchors"),
        ("1 2", (2, 3), "cannot stand here"),
    ],
)
def test_not_an_expression(source: str, span: tuple[int, int], text: str) -> None:
    with pytest.raises(SyntaxProblem) as caught:
        parse_expression(source)
    assert text in caught.value.text
    assert caught.value.span == span


def test_conditions_are_boolean() -> None:
    assert parse_expression("$.input.t").test(CONTEXT) is True
    with pytest.raises(ExpressionError, match="boolean, not a number"):
        parse_expression("$.input.n").test(CONTEXT)
    with pytest.raises(ExpressionError, match="boolean, not null"):
        parse_expression("$.input.nothing").test(CONTEXT)


def test_spans_count_in_the_whole_string() -> None:
    wrapped = parse_expression("  ${ 1 + 'a' }")
    with pytest.raises(ExpressionError) as caught:
        wrapped.evaluate(CONTEXT)
    assert caught.value.span == (5, 12)
