"""Values that fit nowhere, conditions without a value; and their mended twins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.reports.diagnostics import diagnostics

TOTAL = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}},
    "additionalProperties": False,
}


def definition(*steps: dict[str, Any], **fields: Any) -> Definition:
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    return parse_definition(json.dumps(tree), "case.json")


def told(made: Definition, *beside: Definition) -> list[str]:
    others = tuple(Subject(definition=each, plan=compile_plan(each)) for each in beside)
    subject = Subject(definition=made, plan=compile_plan(made), beside=others)
    found = diagnostics(made, analysed(subject, ["data"]))
    return [
        f"{each.code} {each.severity} {each.step} {each.field} {each.message}"
        for each in found
        if each.code in ("HS516", "HS517")
    ]


def act(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "activity", "activity": "m:f", "input": {}, **fields}


def test_a_variable_is_of_the_kinds_that_are_assigned() -> None:
    step = act("a", input={"next": "${ $.vars.name + 1 }"})
    assert told(definition(step, vars={"name": "x"})) == [
        "HS516 error a input.next `+` cannot be applied to string and number"
    ]
    assert told(definition(step, vars={"name": 1})) == []
    counting = act("b", assign={"name": "${ len($.output) }"})
    both = definition({**step, "next": "b"}, counting, vars={"name": "x"})
    assert told(both) == []  # it may be a number


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"total": "$.vars.n"}, None),
        ({"total": "about ${ $.vars.n }"}, "total string stands where number is needed"),
        ({"totals": "$.vars.n"}, " `total` is missing, which is required"),
        ({"total": "$.vars.n", "x": 1}, "x `x` is not among total"),
        ("${ [$.vars.n] }", " array of number stands where object {total} is needed"),
        ({"total": "none"}, " it does not fit at `total`: 'none' is not of type 'number'"),
    ],
)
def test_the_output_and_its_schema(output: Any, message: str | None) -> None:
    made = definition(act("a"), vars={"n": 1}, output=output, output_schema=TOTAL)
    found = told(made)
    if message is None:
        assert found == []
        return
    place, _, text = message.partition(" ")
    field = f"output.{place}" if place else "output"
    assert f"HS516 error None {field} {text}: `output_schema`" in found


def test_the_input_of_a_child_and_its_schema() -> None:
    child = parse_definition(
        json.dumps({"id": "child", "version": "1", "input_schema": TOTAL, "steps": [act("a")]})
    )

    def parent(input: Any) -> Definition:
        return definition(
            {"id": "call", "type": "sub_workflow", "workflow": "child", "version": "1"}
            | {"input": input}
        )

    assert told(parent({"total": "$.input.total"}), child) == []
    assert told(parent({"sum": "$.input.total"})) == []  # nothing is known of the child
    assert told(parent({"sum": "$.input.total"}), child) == [
        "HS516 error call input `total` is missing, which is required: `input_schema` of `child`",
        "HS516 error call input.sum `sum` is not among total: `input_schema` of `child`",
    ]


@pytest.mark.parametrize(
    ("condition", "kinds", "case"),
    [
        ("100 / $.input.n > 3", "number", "`$.input.n` = 0"),
        ("$.input.n > 3", ["number", "string"], "`$.input.n` = "),
        ("$.input.n > 3", "number", None),
        ("$.input.n != 0 and 100 / $.input.n > 3", "number", None),
        ('type($.input.n) == "number" and $.input.n > 3', ["number", "string"], None),
    ],
)
def test_a_condition_without_a_value(condition: str, kinds: Any, case: str | None) -> None:
    schema = {"type": "object", "required": ["n"], "properties": {"n": {"type": kinds}}}
    choose = act("a", next=[{"when": condition, "to": "b"}, {"to": "end"}])
    found = told(definition(choose, act("b"), input_schema=schema))
    if case is None:
        assert found == []
    else:
        (message,) = found
        assert message.startswith(f"HS517 warning a next for {case}")
