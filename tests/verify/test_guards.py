"""Conditions: cases in which none holds, conditions that never hold, and their mended twins."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.reports.diagnostics import diagnostics

NUMBER = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}},
}
COUNT = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer", "minimum": 0}},
}


def choice(*conditions: str, default: bool = False, **fields: Any) -> list[dict[str, Any]]:
    """A step with these conditions, each to a step of its own."""
    targets = [f"t{at}" for at in range(len(conditions) + default)]
    ways: list[dict[str, Any]] = [
        {"when": condition, "to": target}
        for condition, target in zip(conditions, targets, strict=False)
    ]
    if default:
        ways.append({"to": targets[-1]})
    first = {"id": "choose", "type": "decision", "next": ways, **fields}
    return [first, *({"id": target, "type": "decision"} for target in targets)]


def asked(*steps: dict[str, Any], **fields: Any) -> tuple[list[Verdict], list[str]]:
    """The verdicts about the data, and the codes with the messages of what is told."""
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    definition = parse_definition(json.dumps(tree), "case.json")
    subject = Subject(definition=definition, plan=compile_plan(definition))
    verdicts = analysed(subject, ["data"])
    told = diagnostics(definition, verdicts)
    return verdicts, [f"{each.code} {each.step} {each.message}" for each in told]


def guards(*steps: dict[str, Any], **fields: Any) -> tuple[Verdict, list[str]]:
    verdicts, told = asked(*steps, **fields)
    about = [each for each in verdicts if each.asked == "guards"]
    wrong = [each for each in about if each.outcome != "holds"]
    return (wrong or about)[0], [each for each in told if each[:5] in ("HS510", "HS511")]


@pytest.mark.parametrize(
    ("conditions", "schema", "witness"),
    [
        (("$.input.total > 100", "$.input.total < 100"), NUMBER, {"input": {"total": 100}}),
        (("$.input.n > 1", "$.input.n == 0"), COUNT, {"input": {"n": 1}}),
        (("$.input.n % 3 == 0", "$.input.n % 3 == 1", "$.input.n > 2"), COUNT, {"input": {"n": 2}}),
        (('$.input.a == "x"', '$.input.a != "x" and $.input.b'), None, None),
        (("len($.input.list) > 1", "len($.input.list) == 0"), None, {"input": {"list": [None]}}),
    ],
)
def test_a_case_without_a_way_is_found(
    conditions: tuple[str, ...], schema: Any, witness: Any
) -> None:
    given = {} if schema is None else {"input_schema": schema}
    verdict, told = guards(*choice(*conditions), **given)
    assert verdict.outcome == "fails"
    assert verdict.engine == "exploration, SMT"
    assert verdict.exact
    assert told[0].startswith("HS510 choose for `$.input.")
    if witness is not None:
        assert verdict.witness == witness
    mended, silent = guards(*choice(*conditions, default=True), **given)
    assert (mended.outcome, silent) == ("holds", [])


@pytest.mark.parametrize(
    ("conditions", "schema"),
    [
        (("$.input.total > 100", "$.input.total <= 100"), NUMBER),
        (("$.input.n > 0", "$.input.n == 0"), COUNT),
        (("$.input.n < 1", "$.input.n >= 1"), COUNT),
        (("has($.input.n)", "not has($.input.n)"), None),
        (("$.input.a == $.input.b", "$.input.a != $.input.b"), None),
        (('type($.input.a) == "string"', 'type($.input.a) != "string"'), None),
        (("$.input.n // 2 * 2 == $.input.n", "$.input.n % 2 == 1"), COUNT),
        (("($.input.total default 0) >= 0", "($.input.total default 0) < 0"), NUMBER),
    ],
)
def test_no_case_is_a_proof(conditions: tuple[str, ...], schema: Any) -> None:
    given = {} if schema is None else {"input_schema": schema}
    verdict, told = guards(*choice(*conditions), **given)
    assert (verdict.outcome, told) == ("holds", [])


def test_what_nobody_declared_may_be_missing() -> None:
    """Null compares false: no fault, as there is a way for every number, but no proof either."""
    verdict, told = guards(*choice("$.input.total > 100", "$.input.total <= 100"))
    assert (verdict.outcome, told) == ("holds", [])
    assert [each.kind for each in verdict.rests_on] == ["kinds"]
    assert "for `$.input.total` = nothing no way on is taken" in verdict.reason


def test_a_declared_member_that_may_be_missing_is_a_fault() -> None:
    optional = {"type": "object", "properties": {"total": {"type": "number"}}}
    conditions = ("$.input.total > 100", "$.input.total <= 100")
    verdict, _ = guards(*choice(*conditions), input_schema=optional)
    assert verdict.outcome == "fails"
    mended, _ = guards(*choice(*conditions), input_schema=NUMBER)
    assert mended.outcome == "holds"


def test_a_condition_behind_a_wider_one_never_holds() -> None:
    verdict, told = guards(
        *choice("$.input.n > 0", "$.input.n > 5", default=True), input_schema=COUNT
    )
    assert verdict.outcome == "fails"
    assert told == [
        "HS511 choose `$.input.n > 5` never holds when it is asked, so that this way is never taken"
    ]
    mended, silent = guards(
        *choice("$.input.n > 5", "$.input.n > 0", default=True), input_schema=COUNT
    )
    assert (mended.outcome, silent) == ("holds", [])


def test_conditions_that_overlap_are_no_fault_and_told() -> None:
    def asks(*conditions: str) -> list[str]:
        verdicts, told = asked(*choice(*conditions, default=True), input_schema=NUMBER)
        assert told == []
        return [each.reason for each in verdicts if "overlap" in each.reason]

    (reason,) = asks("$.input.total > 10", "$.input.total < 12")
    assert reason == (
        "conditions of `choose` overlap: for `$.input.total` = 11 `$.input.total > 10` and "
        "`$.input.total < 12` hold, and the first is taken"
    )
    assert asks("$.input.total > 10", "$.input.total < 10") == []
