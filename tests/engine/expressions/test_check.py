"""What registration reports of an expression, with its place; and what it must let pass."""

from __future__ import annotations

import pytest

from heliostat.engine.expressions import (
    BOOLEAN,
    Names,
    check,
    parse_data,
    parse_expression,
    render_type,
    type_from_schema,
    type_of,
)
from heliostat.engine.expressions.types import ANY, JSON, NUMBER, STRING

ORDER = type_from_schema(
    {
        "type": "object",
        "required": ["total", "lines", "ship"],
        "properties": {
            "total": {"type": "number"},
            "note": {"type": "string"},
            "lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}},
            "ship": {"anyOf": [{"$ref": "#/$defs/Line"}, {"type": "null"}]},
            "tags": {"type": "object", "additionalProperties": {"type": "string"}},
            "free": {},
        },
        "$defs": {
            "Line": {
                "type": "object",
                "required": ["sku"],
                "properties": {
                    "sku": {"type": "string"},
                    "within": {"$ref": "#/$defs/Line"},
                },
            }
        },
    }
)
NAMES = Names(
    input=ORDER,
    vars={"tries": NUMBER, "any": ANY},
    steps={"poll": ORDER, "each": type_from_schema({"type": "array", "items": {"type": "string"}})},
    elsewhere={"inner": "read `$.steps.body.output`"},
)


@pytest.mark.parametrize(
    "source",
    [
        "$.input.total + 1",
        "$.input.note + 'x'",
        "$.input.ship.sku == 'x'",
        "$.input.lines[0].within.within.sku",
        "$.input.lines[*].sku",
        "len($.input.lines[?@.sku == 'a'])",
        "$.input.tags.anything",
        "$.input.free.x.y + 1",
        "$.input.note < 'b'",
        "null < 1",
        "$.vars.any + 'x'",
        "$.vars.any.x",
        "$.steps.poll.output.total * 2",
        "$.steps.poll.error.message default 'x'",
        "upper($.steps.each.output[0])",
        "len($.steps.each.items[?@.status == 'Failed' && @.output == 'x'])",
        "$.steps.each.finished[0] == 'a'",
        "$.now - $.execution.started_at < duration('1h')",
        "number($.execution.metadata.x) + 1",
        "seconds($.vars.tries) + $.now",
        "seconds(duration('1h')) + 1",
        "min($.vars.tries * 2, 300)",
        "1 == 'a'",
        "has($.input.note)",
        "'a' in $.input.tags",
        "$.input.note if $.input.total > 1 else null",
    ],
)
def test_nothing_is_wrong(source: str) -> None:
    assert check(parse_expression(source), NAMES) == []


@pytest.mark.parametrize(
    ("source", "code", "span", "cure"),
    [
        ("$.vars.tris", "HS102", (6, 11), "did you mean `tries`?"),
        ("$.steps.pol.output", "HS102", (7, 11), "did you mean `poll`?"),
        ("$.steps.inner.output", "HS107", (7, 13), "$.steps.body.output"),
        ("$.input.totl", "HS102", (7, 12), "did you mean `total`?"),
        ("$.input.total.x", "HS102", (13, 15), None),
        ("$.input.lines[0].sk", "HS102", (16, 19), "did you mean `sku`?"),
        ("$.input.lines[*].sk", "HS102", (16, 19), "did you mean `sku`?"),
        ("$.input.lines[?@.sk == 'a']", "HS102", (16, 19), "did you mean `sku`?"),
        ("$.input.lines.sku", "HS102", (13, 17), None),
        ("$.steps.each.items[?@.stat == 'x']", "HS102", (21, 26), "did you mean `status`?"),
        ("$.item.x", "HS107", (1, 6), "foreach"),
        ("$.index", "HS107", (1, 7), "foreach"),
        ("$.output", "HS107", (1, 8), "assign"),
        ("$.error.type", "HS107", (1, 7), "on_error"),
        ("$.event.data", "HS107", (1, 7), "handlers"),
        ("$.secrets.key", "HS107", (1, 9), "service call"),
        ("lenn('a')", "HS103", (0, 4), "did you mean `len`?"),
        ("'x' + lower('a', 'b')", "HS104", (6, 21), None),
        ("uuid(1)", "HS104", (0, 7), None),
        ("'a' + 1", "HS105", (0, 7), "string(…)"),
        ("1 - 'a'", "HS105", (0, 7), None),
        ("$.input.total + 'x'", "HS105", (0, 19), None),
        ("$.input.total < 'x'", "HS105", (0, 19), None),
        ("1 < $.vars.tries < 'x'", "HS105", (4, 22), None),
        ("$.now > '2026-01-01'", "HS105", (0, 20), "instant"),
        ("$.input.lines[?@.sku < $.now]", "HS105", (15, 28), "instant"),
        ("$.now + 1", "HS105", (0, 9), None),
        ("1 in 2", "HS105", (0, 6), None),
        ("-'a'", "HS105", (0, 4), None),
        ("upper($.input.total)", "HS105", (6, 19), None),
        ("has(1)", "HS105", (4, 5), None),
        ("1 if 2 else 3", "HS106", (5, 6), "compare it"),
        ("$.vars.tries and true", "HS106", (0, 12), "compare it"),
        ("not 'a'", "HS106", (4, 7), "compare it"),
    ],
)
def test_reported(source: str, code: str, span: tuple[int, int], cure: str | None) -> None:
    (problem,) = check(parse_expression(source), NAMES)
    assert (problem.code, problem.span) == (code, span)
    assert (cure or "") in (problem.cure or "")


def test_every_problem_is_reported_once() -> None:
    found = check(parse_expression("$.vars.x + nope(1 + 'a') + $.item"), NAMES)
    assert [problem.code for problem in found] == ["HS102", "HS105", "HS103", "HS107"]


def test_a_condition_is_boolean() -> None:
    (problem,) = check(parse_expression("$.vars.tries"), NAMES, expect=BOOLEAN)
    assert problem.code == "HS106"
    assert check(parse_expression("$.vars.any"), NAMES, expect=BOOLEAN) == []
    assert check(parse_expression("$.vars.tries > 1"), NAMES, expect=BOOLEAN) == []


def test_problems_of_data_have_places() -> None:
    data = parse_data({"a": ["x ${ $.vars.nope }"], "b": "${ 1 + 'a' }"})
    assert [(p.path, p.code, p.span) for p in check(data, NAMES)] == [
        (("a", 0), "HS102", (11, 16)),
        (("b",), "HS105", (3, 10)),
    ]
    (problem,) = check(parse_data("${ 'a' }"), NAMES, expect=NUMBER)
    assert problem.code == "HS105"
    (problem,) = check(parse_data("a ${ null }"), NAMES)
    assert problem.code == "HS105"


def test_names_where_they_are_available() -> None:
    names = Names(has_item=True, has_output=True, has_error=True, has_event=True, has_secrets=True)
    source = "[$.item, $.index, $.output, $.error.type, $.event.x]"
    assert check(parse_expression(source), names) == []
    assert check(parse_expression("$.secrets.k"), names) == []
    (problem,) = check(parse_expression("$.error.typ"), names)
    assert problem.code == "HS102"


@pytest.mark.parametrize(
    ("schema", "rendered"),
    [
        (True, "anything"),
        ({}, "anything"),
        ({"type": "integer"}, "number"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"enum": ["a", None]}, "string or null"),
        ({"const": True}, "boolean"),
        ({"type": "array", "items": {"type": "string"}}, "array of string"),
        ({"type": "array"}, "array"),
        ({"properties": {"a": {}, "b": {}}}, "object {a, b}"),
        (
            {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
            "object {a, …}",
        ),
        ({"anyOf": [{"type": "string"}, {"type": "number"}]}, "number or string"),
        ({"$ref": "#/$defs/x", "$defs": {"x": {"type": "number"}}}, "number"),
        ({"$ref": "https://elsewhere"}, "anything"),
        ({"$ref": "#"}, "anything"),
        ({"allOf": [{"type": "string"}]}, "string"),
    ],
)
def test_types_of_schemas(schema: object, rendered: str) -> None:
    assert render_type(type_from_schema(schema)) == rendered


def test_types_of_expressions() -> None:
    def rendered(source: str) -> str:
        return render_type(type_of(parse_expression(source), NAMES))

    assert rendered("$.input.total") == "number"
    assert rendered("$.input.note") == "string or null"
    assert rendered("$.input.note default 1") == "number or string"
    assert rendered("{'a': 1}") == "object {a}"
    assert rendered("[1, 'a']") == "array of number or string"
    assert rendered("$.input.lines[*].sku") == "array of string"
    assert rendered("$.now - $.now") == "duration"
    assert rendered("1 < 2") == "boolean"
    assert rendered("$.vars.any") == "anything"
    assert JSON.kinds < ANY.kinds
    assert STRING.kinds < JSON.kinds


def test_nothing_is_done_with_a_secret() -> None:
    names = Names(has_secrets=True)
    for passed in ("$.secrets.k", "Bearer ${ $.secrets.k }", "${ $.secrets.k }"):
        assert check(parse_data(passed), names) == []
    for operated in (
        "upper($.secrets.k)",
        "[$.secrets.k]",
        "$.secrets.k default 1",
        "x[?@.y == $.secrets.k]",
    ):
        source = operated if operated[0] != "x" else "$.input" + operated[1:]
        problems = check(parse_data(f"a ${{ {source} }} b"), names)
        assert [(each.code, each.message) for each in problems] == [
            ("HS105", "a secret is passed on as it is, and cannot be operated on")
        ]


def test_only_those_have_items_or_an_order_of_completion_that_can() -> None:
    names = Names(
        steps={"each": JSON, "split": JSON, "one": JSON},
        collections={"each": "items", "split": "branches", "one": None},
    )

    def told(source: str) -> list[str]:
        return [each.message for each in check(parse_expression(source), names)]

    assert told("$.steps.each.items[0].status") == []
    assert told("$.steps.split.items[0].name + $.steps.split.finished[0]") == []
    assert told("$.steps.each.items[0].name") == ["there is no 'name' here"]
    assert told("$.steps.one.items") == [
        "step 'one' has no items: it has neither `foreach` nor `branches`"
    ]
    assert told("$.steps.each.finished") == [
        "step 'each' has no `finished`: only a step with `branches` has"
    ]
