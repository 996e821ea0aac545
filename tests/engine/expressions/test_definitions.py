"""The texts of real definitions: each is read, checked where it could stand, and printed."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.expressions import (
    BOOLEAN,
    Duration,
    EvaluationContext,
    Instant,
    Names,
    StepResult,
    check,
    parse_data,
    parse_expression,
    print_expression,
)
from heliostat.engine.expressions.types import ANY

EXPRESSIONS = [
    "range(1, 13)",
    "$.steps.joined.output.bad > 0.01",
    "$.steps.joined.output.bad <= 0.01",
    "$.input.items",
    "len($.output.failed) * 10 > len($.steps.each.items)",
    '$.output.state == "done"',
    "$.vars.tries >= 20",
    "$.event.data.job == $.input.job",
    '$.output.name == "stop"',
    "$.input.order.total > 1000",
    "$.output.approved",
    "$.input.parcels",
]

DATA: list[Any] = [
    {"month": "$.item"},
    {"parts": "$.steps.month.output", "weather": "$.steps.weather.output"},
    {"t": "$.steps.joined.output.table"},
    "https://llm.example/${ $.input.model }",
    {"Authorization": "Bearer ${ $.secrets.llm_key }"},
    {"bad_share": "$.steps.joined.output.bad"},
    {
        "model": "${ $.steps.embed.output default null }",
        "held": "${ $.steps.quarantine.output default null }",
        "hint": "${ $.steps.label.output.body default null }",
    },
    {"id": "$.item.id"},
    {"doc": "$.steps.fetch.output"},
    {"doc": "${ $.steps.enrich.output default $.steps.fetch.output }"},
    {
        "ok": '${ len($.steps.each.items[?@.status == "Completed"]) }',
        "failed": '${ $.steps.each.items[?@.status == "Failed"] }',
    },
    {"message": "${ len($.steps.verdict.output.failed) } items failed"},
    "$.steps.verdict.output",
    {"job": "$.input.job"},
    {"tries": "${ $.vars.tries + 1 }", "delay_s": "${ min($.vars.delay_s * 2, 300) }"},
    "${ seconds($.vars.delay_s) }",
    "job ${ $.input.job } after ${ $.vars.tries } polls",
    {
        "result": "$.steps.poll.output",
        "polls": "$.vars.tries",
        "took": "${ $.now - $.execution.started_at }",
    },
    {"picked": "${ $.steps.pick.output default null }"},
    {"order": "$.input.order", "receipt": "$.steps.charge.output"},
    (
        "order ${ $.input.order.id }: ${ $.steps.ship.error.message default "
        '$.steps.charge.error.message default "not approved" }'
    ),
    {"shipment": "$.steps.ship.output"},
    {"parcel": "$.vars.parcel", "order": "$.input.id"},
    {"done": "${ $.steps.each.output[?@ != null] }"},
    ["group:credit"],
]

STEPS = (
    "charge each embed enrich fetch joined label month pick poll quarantine ship verdict weather"
)
NAMES = Names(
    vars=dict.fromkeys(("delay_s", "tries", "parcel"), ANY),
    steps=dict.fromkeys(STEPS.split(), ANY),
    has_item=True,
    has_output=True,
    has_event=True,
    has_secrets=True,
)


@pytest.mark.parametrize("source", EXPRESSIONS)
def test_expression(source: str) -> None:
    expression = parse_expression(source)
    assert check(expression, NAMES) == []
    assert print_expression(expression.ast) == source


@pytest.mark.parametrize("value", DATA, ids=str)
def test_data(value: Any) -> None:
    assert check(parse_data(value), NAMES) == []


def test_conditions_are_conditions() -> None:
    for source in EXPRESSIONS:
        if any(op in source for op in ("==", ">", "<")):
            assert check(parse_expression(source), NAMES, expect=BOOLEAN) == []


def test_values() -> None:
    item = {"index": 0, "status": "Completed", "output": 1, "error": None}
    failed = {"index": 1, "status": "Failed", "output": None, "error": {"type": "X"}}
    context = EvaluationContext(
        input={"job": "j", "order": {"id": "o1"}},
        vars={"tries": 3, "delay_s": 200},
        steps={
            "each": StepResult(output=[1, None], items=[item, failed]),
            "poll": StepResult(output="r"),
            "charge": StepResult(error={"message": "declined"}),
        },
        execution={"started_at": Instant(1_000)},
        now=Instant(91_000),
        output={"failed": [failed]},
    )

    def evaluate(value: Any) -> Any:
        return parse_data(value).evaluate(context)

    assert evaluate(DATA[10]) == {"ok": 1, "failed": [failed]}
    assert evaluate(DATA[14]) == {"tries": 4, "delay_s": 300}
    assert evaluate(DATA[15]) == "PT3M20S"
    assert parse_expression("seconds($.vars.delay_s)").evaluate(context) == Duration(200_000)
    assert evaluate(DATA[16]) == "job j after 3 polls"
    assert evaluate(DATA[17]) == {"result": "r", "polls": 3, "took": "PT1M30S"}
    assert evaluate(DATA[20]) == "order o1: declined"
    assert evaluate(DATA[23]) == {"done": [1]}
    assert evaluate(DATA[6]) == {"model": None, "held": None, "hint": None}
    assert parse_expression(EXPRESSIONS[4]).test(context) is True
