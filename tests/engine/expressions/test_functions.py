"""Each function by example, and that the table of examples forgets none."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.expressions import (
    FUNCTIONS,
    Duration,
    EvaluationContext,
    ExpressionError,
    Instant,
    parse_expression,
)
from heliostat.engine.expressions.strict import STRICT

CONTEXT = EvaluationContext(
    input={"o": {"b": 1, "a": None}, "items": [{"n": 2}, {"n": 3}]}, uuid_seed="ns/x:1:step:1"
)

VALUES: list[tuple[str, Any]] = [
    ("len('añb')", 3),
    ("len([1, 2])", 2),
    ("len({'a': 1})", 1),
    ("sum([])", 0),
    ("sum([1, 2.5])", 3.5),
    ("sum($.input.items[*].n)", 5),
    ("sum([seconds(1), seconds(2)])", Duration(3_000)),
    ("min(2, 1.5)", 1.5),
    ("min(['b', 'a'])", "a"),
    ("max([1, 3, 2])", 3),
    ("max(seconds(1), seconds(2))", Duration(2_000)),
    ("abs(-2)", 2),
    ("abs(seconds(-2))", Duration(2_000)),
    ("round(2.5)", 2),
    ("round(2.345, 2)", 2.35),
    ("range(3)", [0, 1, 2]),
    ("range(1, 13)", list(range(1, 13))),
    ("range(5, 0, -2)", [5, 3, 1]),
    ("range(3, 1)", []),
    ("keys($.input.o)", ["b", "a"]),
    ("values($.input.o)", [1, None]),
    ("sorted([3, 1.5, 2])", [1.5, 2, 3]),
    ("sorted(keys($.input.o))", ["a", "b"]),
    ("sorted([])", []),
    ("concat([1], [], [2, 3])", [1, 2, 3]),
    ("contains([1, 2], 2.0)", True),
    ("contains('abc', 'bc')", True),
    ("contains($.input.o, 'z')", False),
    ("split('a,b,', ',')", ["a", "b", ""]),
    ("join(['a', 'b'], '-')", "a-b"),
    ("join(['a', 'b'])", "ab"),
    ("lower('ÄB')", "äb"),
    ("upper('äb')", "ÄB"),
    ("replace('a.b.c', '.', '/')", "a/b/c"),
    ("format('{} of {}: {{{:.2f}}}', 1, [2, 'x'], 2.345)", '1 of [2,"x"]: {2.35}'),
    ("format('{1}{0}{1}', 'a', 'b')", "bab"),
    ("string(1.0)", "1.0"),
    ("string('x')", "x"),
    ("string(null)", "null"),
    ("string({'a': [true, seconds(90)]})", '{"a":[true,"PT1M30S"]}'),
    ("string(instant('2026-03-01T12:00:00+01:00'))", "2026-03-01T11:00:00Z"),
    ("number(' 12 ')", 12),
    ("number('-1.5e2')", -150.0),
    ("number(3)", 3),
    ("bool('true')", True),
    ("bool(false)", False),
    ("has($.input.o.a)", True),
    ("has($.input.o.z)", False),
    ("has($.input.items[?@.n > 2])", True),
    ("has($.input.items[?@.n > 3])", False),
    ("type(null)", "null"),
    ("type(1.5)", "number"),
    ("type(instant('2026-03-01T12:00:00Z'))", "instant"),
    ("instant('1970-01-01T00:00:01.5Z')", Instant(1_500)),
    ("instant(instant('1970-01-01T00:00:01Z'))", Instant(1_000)),
    ("duration('1h30m')", Duration(5_400_000)),
    ("duration('PT90S')", Duration(90_000)),
    ("duration('-PT1S')", Duration(-1_000)),
    ("seconds(1.5)", Duration(1_500)),
    ("seconds(duration('2s'))", 2),
    ("seconds(duration('2500ms'))", 2.5),
    ("uuid() == uuid()", False),
]


@pytest.mark.parametrize(("source", "value"), VALUES)
def test_value(source: str, value: Any) -> None:
    found = parse_expression(source).evaluate(CONTEXT)
    assert found == value
    assert type(found) is type(value)


def test_every_function_has_an_example() -> None:
    own = [name for name in FUNCTIONS if name not in STRICT]  # those have a suite of their own
    assert [name for name in own if not any(f"{name}(" in each for each, _ in VALUES)] == []


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("len(1)", "takes array or object or string here, not a number"),
        ("len(null)", "not null"),
        ("sum([1, null])", "meets null"),
        ("sum(['a'])", "meets a string"),
        ("min([])", "of nothing"),
        ("min([1, 'a'])", "a number and a string"),
        ("max([null, 1])", "null"),
        ("min(1)", "not a number"),
        ("round(1, 99)", "0 to 15"),
        ("round('a')", "takes number"),
        ("range(1.5)", "integers"),
        ("range(1, 2, 0)", "steps of 0"),
        ("range(1000001)", "1,000,000"),
        ("sorted([true, false])", "a boolean"),
        ("sorted([[1]])", "an array"),
        ("split('a', '')", "separator"),
        ("join([1])", "use `string"),
        ("replace('a', '', 'b')", "look for"),
        ("format('{')", "single brace"),
        ("format('}')", "single brace"),
        ("format('{}')", "no argument"),
        ("format('{9}', 1)", "no argument"),
        ("format('{:>9}', 1)", "knows `:.2f`"),
        ("format('{:.2f}', 'a')", "numbers only"),
        ("number('1_000')", "no number"),
        ("number('nan')", "finite"),
        ("number('1e999')", "finite"),
        ("number('')", "no number"),
        ("number('9223372036854775808')", "64 bits"),
        ("number(true)", "takes number or string"),
        ("bool('yes')", "'true' and 'false'"),
        ("instant('tomorrow')", "not an instant"),
        ("instant('12')", "bare number"),
        ("duration('90')", "say the unit"),
        ("duration(90)", "takes duration or string"),
        ("duration('P1M')", "no fixed length"),
        ("seconds('1')", "takes"),
        ("nope(1)", "no such function"),
        ("len(1, 2)", "takes 1 argument"),
        ("has(1)", "takes a path"),
    ],
)
def test_failure(source: str, text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse_expression(source).evaluate(CONTEXT)
    assert text in caught.value.text


def test_uuid_is_of_the_address_and_the_place() -> None:
    def drawn(source: str, seed: str) -> Any:
        return parse_expression(source).evaluate(EvaluationContext(uuid_seed=seed))

    assert drawn("uuid()", "a") == drawn("uuid()", "a")
    assert drawn("uuid()", "a") != drawn("uuid()", "b")
    assert drawn("uuid()", "a") != drawn(" uuid()", "a")
