"""Cases made from definitions: they run, come to what is expected, and cover what can be."""

from __future__ import annotations

import re
import runpy
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from heliostat.api.cli.app import app
from heliostat.engine.authoring.canonical import content
from heliostat.engine.authoring.loading import load_definition, parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError, InputError
from heliostat.engine.simulator import simulate
from heliostat.verify.cases.choosing import Case, Cases, cases_of
from heliostat.verify.cases.expecting import observed_of
from heliostat.verify.cases.goals import Goal
from tests.simulation.definitions import Limits, parsed, steps_of
from tests.simulation.worlds import World

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("*/*.yaml"))

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

UNKNOWN = frozenset({"handlers", "person", "detached", "jitter"})
"""Of random definitions, what the reference does not read."""


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


def test_a_child_fails_in_a_case() -> None:
    cases = made("""
id: parent
version: "1"
steps:
  - {id: send, type: sub_workflow, workflow: parcel}
""")
    assert [(case.name, case.checked.expected.status) for case in cases.cases] == [
        ("basic_path", "Completed"),
        ("send_child_fails", "Failed"),
    ]


def test_what_can_never_be_is_told_as_proved() -> None:
    cases = made("""
id: never
version: "1"
steps:
  - id: a
    type: activity
    activity: "m:a"
    next: [{when: $.output.n > 5, to: end}, {when: $.output.n > 7, to: b}, {to: end}]
  - {id: b, type: decision, next: c}
  - {id: c, type: decision}
""")
    told = {each.goal.words: (each.reason, each.proved) for each in cases.uncovered}
    assert told["a → b"] == ("its condition can never hold: $.output.n > 7", True)
    assert told["b completes"] == ("no case was found that comes to b", False)


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


def test_what_the_semantics_show_is_covered_and_predicted() -> None:
    counts: Counter[str] = Counter()
    page = (ROOT / "docs" / "semantics.md").read_text(encoding="utf-8")
    for text in re.findall(r"(?ms)^```yaml\n(.*?)^```\n```yaml run", page)[::3]:
        with suppress(DefinitionError):  # what is shown with others of its kind
            cases = cases_of(parse_definition(text, "shown.yaml"), runs_max=40)
            assert cases.agree, cases.definition
            counts["goals"] += len(cases.goals)
            counts["covered"] += len(cases.covered)
            counts["cases"] += len(cases.cases)
            counts["predicted"] += sum(each.checked.predicted is not None for each in cases.cases)
    assert counts["covered"] > 0.9 * counts["goals"] > 80, counts
    assert counts["predicted"] > 0.6 * counts["cases"], counts


@pytest.mark.parametrize("seed", range(8))
def test_of_random_definitions_nothing_disagrees(seed: int) -> None:
    definition = parsed(World(seed).tree)
    assert definition is not None
    cases = cases_of(definition, runs_max=40)
    assert cases.agree, [case.checked for case in cases.cases if not case.checked.agrees]
    for case in cases.cases:
        again = simulate(
            definition, case.told.input, case.told.outcomes, timeline=case.told.timeline,
            turns_max=1_000,
        )  # fmt: skip
        assert observed_of(again) == case.checked.observed


def test_most_random_definitions_are_predicted_where_the_reference_knows_them() -> None:
    counts: Counter[bool] = Counter()
    for seed in range(8):
        definition = parsed(World(seed, Limits(without=UNKNOWN)).tree)
        assert definition is not None
        for case in cases_of(definition, runs_max=40).cases:
            counts[case.checked.predicted is not None] += 1
    assert counts[True] > 5 * counts[False], counts


def test_the_page_shows_what_the_command_prints() -> None:
    page = (ROOT / "docs" / "testing.md").read_text(encoding="utf-8")
    shown = re.findall(r"(?ms)^```text\n\$ heliostat (cases [^\n]*)\n(.*?)^```", page)
    assert shown
    for command, lines in shown:
        asked = [str(ROOT / word) if "/" in word else word for word in command.split()]
        printed = CliRunner().invoke(app, asked).stdout.splitlines()
        for line in lines.splitlines():
            assert line == "…" or line in printed, line


class TestMutants:
    """Cases of a definition tell it from one that was changed by mistake."""

    def test_cases_of_examples_notice_all_mistakes_but_two(self) -> None:
        count, missed = 0, list[str]()
        for file in EXAMPLES:
            definition = load_definition(file)
            cases = cases_of(definition).cases
            for what, mutant in mutants(content(definition)):
                count += 1
                if not any(differs(mutant, case) for case in cases):
                    missed.append(what)
        assert count > 30
        assert missed == [
            "fork: ways 0 and 1 are swapped",  # of a `split: all`: it means the same
            "label: `completion` is gone",
        ]

    def test_each_mistake_in_the_order_is_noticed(self) -> None:
        definition = parse_definition(ORDER, "test.yaml")
        cases = cases_of(definition).cases
        missed = [
            what
            for what, mutant in mutants(content(definition))
            if not any(differs(mutant, case) for case in cases)
        ]
        assert missed == []


def differs(mutant: Definition, case: Case) -> bool:
    """Whether a case comes to something else."""
    told = case.told
    try:
        run = simulate(mutant, told.input, told.outcomes, timeline=told.timeline, turns_max=1_000)
    except InputError:  # a step that the case speaks of is gone
        return True
    return bool(case.checked.expected.differs(observed_of(run)))


def mutants(tree: dict[str, Any]) -> Iterator[tuple[str, Definition]]:
    """A definition with one mistake each: what the checks refuse is none."""
    for what, mutate in _mistakes(tree):
        changed = deepcopy(tree)
        mutate(changed)
        definition = parsed(changed)
        if definition is not None:
            yield what, definition


def _mistakes(tree: dict[str, Any]) -> Iterator[tuple[str, Callable[[dict[str, Any]], None]]]:
    for step in steps_of(tree):
        id, ways = step["id"], step.get("next")
        ways = ways if isinstance(ways, list) else []
        for n, way in enumerate(ways):
            if len(ways) > 1:
                yield f"{id}: way {n} is gone", _edit(id, lambda s, n=n: s["next"].pop(n))
            if "when" in way:
                yield (
                    f"{id}: way {n} is the other way round",
                    _edit(id, lambda s, n=n: _negate(s["next"][n])),
                )
        for n in range(len(ways) - 1):
            yield (
                f"{id}: ways {n} and {n + 1} are swapped",
                _edit(id, lambda s, n=n: _swap(s["next"], n)),
            )
        for n in range(len(step.get("on_error", ()))):
            yield f"{id}: clause {n} is gone", _edit(id, lambda s, n=n: s["on_error"].pop(n))
        if "when" in step:
            yield f"{id}: `when` is the other way round", _edit(id, _negate)
        if step.get("retry", {}).get("max_attempts", 1) > 1:
            yield f"{id}: `retry` is gone", _edit(id, lambda s: s.pop("retry"))
        for need in range(len(step.get("needs", ()))):
            yield f"{id}: need {need} is gone", _edit(id, lambda s, n=need: s["needs"].pop(n))
        for name in ("deadline", "timeout", "cancels", "completion", "join", "split", "end"):
            if name in step:
                yield f"{id}: `{name}` is gone", _edit(id, lambda s, name=name: s.pop(name))


def _edit(id: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], None]:
    def mutate(tree: dict[str, Any]) -> None:
        change(next(step for step in steps_of(tree) if step["id"] == id))

    return mutate


def _negate(holder: dict[str, Any]) -> None:
    holder["when"] = f"not ({holder['when']})"


def _swap(ways: list[dict[str, Any]], n: int) -> None:
    ways[n]["to"], ways[n + 1]["to"] = ways[n + 1]["to"], ways[n]["to"]
