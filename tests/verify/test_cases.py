"""Cases made from definitions: they run, come to what is expected, and cover what can be."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner

from heliostat.api.cli.app import app
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.verify.cases.choosing import Cases, cases_of
from heliostat.verify.cases.goals import Goal

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))

ORDER = """
id: order
version: "1"
input_schema:
  type: object
  required: [total]
  properties: {total: {type: number, minimum: 0}}
steps:
  - id: check
    type: decision
    next: [{when: $.input.total > 1000, to: approve}, {to: charge}]
  - id: approve
    type: human
    assignees: [ann]
    form: {type: object, required: [ok], properties: {ok: {type: boolean}}}
    deadline: 2d
    on_error: [{error: DeadlineExceeded, next: refused}]
    next: [{when: $.output.ok, to: charge}, {to: refused}]
  - id: charge
    type: activity
    activity: "shop:charge"
    timeout: 5s
    retry: {max_attempts: 2, jitter: false, never_on: [Declined]}
    on_error: [{error: Declined, next: refused}]
    next: packed
  - id: packed
    type: activity
    activity: "shop:pack"
    foreach: $.steps.charge.output.lines
    next: picked
  - {id: picked, type: wait, any: [{event: picked_up}, {timer: 3d}]}
  - {id: refused, type: decision, fail: {type: Refused, message: no}}
"""


def made(text: str) -> Cases:
    return cases_of(parse_definition(text, "test.yaml"))


def missed(cases: Cases) -> list[str]:
    return [each.goal.words for each in cases.uncovered]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_the_cases_of_an_example_come_to_what_the_reference_says(file: Path) -> None:
    cases = cases_of(load_definition(file))
    assert cases.agree
    assert all(case.checked.predicted is not None for case in cases.cases)
    assert not cases.bound


def test_all_is_covered_that_can_be() -> None:
    cases = made(ORDER)
    assert missed(cases) == []
    assert cases.agree
    assert len({case.name for case in cases.cases}) == len(cases.cases)
    assert {goal.kind for goal in cases.goals} == {
        "step", "way", "error", "wait", "person", "foreach",
    }  # fmt: skip


def test_the_basic_path_comes_first_and_goes_well() -> None:
    basic = made(ORDER).cases[0]
    assert basic.name == "basic_path"
    assert basic.checked.observed.status == "Completed"
    assert not any(each.endswith(("!", "?")) for each in basic.checked.observed.trace)


def test_a_case_says_no_more_than_it_needs() -> None:
    cases = made(ORDER)
    declined = next(case for case in cases.cases if case.name == "charge_fails_with_declined")
    assert declined.told.outcomes == {"charge": {"raise": "Declined"}}
    assert declined.checked.expected.trace == ("check", "charge!", "refused!")


def test_a_way_behind_a_constant_is_told_as_out_of_reach() -> None:
    cases = made("""
id: never
version: "1"
steps:
  - {id: a, type: decision, next: [{when: 1 > 2, to: b}, {to: end}]}
  - {id: b, type: decision}
""")
    told = {each.goal.words: (each.reason, each.proved) for each in cases.uncovered}
    assert told["a → b"] == ("its condition is constant: 1 > 2", True)


def test_a_search_that_comes_to_its_bound_says_so() -> None:
    cases = cases_of(parse_definition(ORDER, "test.yaml"), runs_max=2)
    assert cases.bound == "2 runs"
    assert all("2 runs" in each.reason for each in cases.uncovered)
    assert isinstance(cases.uncovered[0].goal, Goal)


def test_the_module_of_tests_passes_as_it_is(tmp_path: Path) -> None:
    file, target = tmp_path / "order.yaml", tmp_path / "test_order.py"
    file.write_text(ORDER, encoding="utf-8")
    asked = ["cases", str(file), "--format", "pytest", "--output", str(target)]
    told = CliRunner().invoke(app, asked)
    assert told.exit_code == 0, told.output
    tests = {
        name: test for name, test in runpy.run_path(str(target)).items() if name.startswith("test_")
    }
    assert f"{len(tests)} cases are in" in told.stderr
    assert len(tests) > 8
    for test in tests.values():
        test()
    again = CliRunner().invoke(app, asked)
    assert "is there already" in str(again.exception)
