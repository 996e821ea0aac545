"""Deadlocks that hang on data: proved where conditions agree, told with a case where not."""

from __future__ import annotations

import json
from typing import Any

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.certificates.checker import check
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.verdict import Report, Verdict
from heliostat.verify.reports.diagnostics import diagnostics

TOTAL = {
    "type": "object",
    "required": ["total"],
    "properties": {"total": {"type": "number"}},
}


def proved(*steps: dict[str, Any], **fields: Any) -> tuple[Report, list[str]]:
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    definition = parse_definition(json.dumps(tree), "case.json")
    report = verify(compile_plan(definition), definition=definition)
    told = diagnostics(definition, [report.about("deadlock")])
    return report, [f"{each.code} {each.severity} {each.step} {each.message}" for each in told]


def guards(*steps: dict[str, Any], **fields: Any) -> list[Verdict]:
    tree = {"id": "case", "version": "1", "steps": list(steps), **fields}
    definition = parse_definition(json.dumps(tree), "case.json")
    subject = Subject(definition=definition, plan=compile_plan(definition))
    return [each for each in analysed(subject, ["data"]) if each.asked == "guards"]


def forked(one: str, other: str) -> list[dict[str, Any]]:
    """Two conditions, each of which decides whether a join gets one of its two arrivals."""
    return [
        {"id": "fork", "type": "decision", "split": "all", "next": [{"to": "a"}, {"to": "b"}]},
        {"id": "a", "type": "decision", "next": [{"when": one, "to": "j"}, {"to": "end"}]},
        {"id": "b", "type": "decision", "next": [{"when": other, "to": "j"}, {"to": "end"}]},
        {"id": "j", "type": "decision", "join": {"at_least": 2}},
    ]


@pytest.mark.parametrize(
    "pair",
    [
        ("$.input.total > 100", "$.input.total > 100"),
        ("$.input.total > 100", "not ($.input.total <= 100)"),
        ("$.input.total * 2 > 10", "$.input.total > 5"),
    ],
)
def test_conditions_that_agree_get_nobody_stuck(pair: tuple[str, str]) -> None:
    report, told = proved(*forked(*pair), input_schema=TOTAL)
    verdict = report.about("deadlock")
    assert (verdict.outcome, verdict.engine, told) == ("holds", "exploration, SMT", [])
    assert verdict.exact


def test_conditions_that_differ_in_one_case_are_told_with_it() -> None:
    report, told = proved(
        *forked("$.input.total > 100", "$.input.total >= 100"), input_schema=TOTAL
    )
    verdict = report.about("deadlock")
    assert (verdict.outcome, verdict.witness) == ("fails", {"input": {"total": 100}})
    assert len(told) == 1
    assert told[0].startswith("HS501 error a an execution can get stuck")
    assert told[0].endswith("`b` completes, where `$.input.total` = 100")
    assert report.net is not None
    assert verdict.certificate is not None
    check(report.net, verdict.certificate)


def test_what_no_condition_provides_for_is_no_fault() -> None:
    """Null compares false in both: only a missing total gets the execution stuck."""
    conditions = ("$.input.total > 100", "not ($.input.total <= 100)")
    report, told = proved(*forked(*conditions))
    verdict = report.about("deadlock")
    assert verdict.outcome == "holds"
    assert [each.kind for each in verdict.rests_on] == ["kinds"]
    assert told == []
    assert verdict.reason.endswith("of what conditions provide for; `$.input.total` = nothing does")


def test_a_variable_is_what_was_assigned_to_it() -> None:
    look = {
        "id": "look",
        "type": "activity",
        "activity": "m:f",
        "input": {},
        "assign": {"big": "${ $.output.n > 3 }"},
        "next": "fork",
    }
    report, told = proved(
        look, *forked("$.vars.big", "$.steps.look.output.n > 3"), vars={"big": False}
    )
    assert (report.about("deadlock").outcome, told) == ("holds", [])
    report, _ = proved(
        look, *forked("$.vars.big", "$.steps.look.output.n > 4"), vars={"big": False}
    )
    verdict = report.about("deadlock")
    assert verdict.outcome == "fails"
    assert verdict.witness is not None
    assert 3 < verdict.witness["steps"]["look"]["output"]["n"] <= 4


def test_a_variable_that_is_written_between_is_another() -> None:
    """Both ask the same text, of two values."""
    steps = forked("$.vars.x > 3", "$.vars.x > 3")
    steps[1]["assign"] = {"x": "$.input.total"}
    report, _ = proved(*steps, vars={"x": 0}, input_schema=TOTAL)
    assert report.about("deadlock").outcome == "fails"


def test_a_step_is_asked_with_the_data_that_comes_to_it() -> None:
    first = {"id": "a", "type": "decision"}
    second = {
        "id": "b",
        "type": "decision",
        "next": [
            {"when": "$.input.total > 50", "to": "end"},
            {"when": "$.input.total < 20", "to": "end"},
        ],
    }
    wide = [{"when": "$.input.total > 100", "to": "b"}, {"to": "end"}]
    (verdict,) = guards({**first, "next": wide}, second, input_schema=TOTAL)
    assert verdict.outcome == "holds"
    wider = [{"when": "$.input.total > 40", "to": "b"}, {"to": "end"}]
    (verdict,) = guards({**first, "next": wider}, second, input_schema=TOTAL)
    assert verdict.outcome == "fails"
    assert verdict.witness is not None
    assert 40 < verdict.witness["input"]["total"] <= 50
    assert [str(act) for act in verdict.run] == ["a completes", "b completes"]


def test_a_counter_is_followed() -> None:
    loop = [
        {
            "id": "a",
            "type": "decision",
            "assign": {"n": "${ $.vars.n + 1 }"},
            "next": [{"when": "$.vars.n < 3", "to": "b"}, {"when": "$.vars.n > 3", "to": "end"}],
        },
        {"id": "b", "type": "decision", "next": "a"},
    ]
    (verdict,) = guards(*loop, vars={"n": 0})
    assert verdict.outcome == "fails"
    assert "for `$.vars.n` = 3 no way on is taken" in verdict.reason
    assert len(verdict.run) == 5
    (verdict,) = guards(*loop, vars={"n": 10})
    assert verdict.outcome == "holds"
