"""Properties that a definition declares: verdicts by their ids, diagnostics, and what they cost."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import Final

import pytest

from heliostat.engine.authoring.canonical import content_hash
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.verify.analyses import Subject
from heliostat.verify.logic.checking import check_formula
from heliostat.verify.logic.declared import verdicts
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.verdict import Property, Verdict
from heliostat.verify.prover import Prover
from heliostat.verify.reports.values import verdict_value
from heliostat.verify.reports.words import markdown, text
from tests.simulation.choices import Seeded
from tests.simulation.definitions import Limits, parsed, random_definition

EXAMPLES: Final = sorted((Path(__file__).parents[2] / "examples").glob("*/*.yaml"))

SHOP: Final = """\
id: shop
version: "1"
properties:
  - {id: settled, ltl: G (completed(charge) -> F (completed(ship) | completed(refund) | failed))}
  - {id: paid-first, ctl: "A[!completed(ship) W completed(charge)]"}
  - {id: never-twice, ltl: "G (completed(refund) -> G !completed(ship))"}
steps:
  - {id: charge, type: activity, activity: "m:f", next: ship}
  - id: ship
    type: activity
    activity: "m:f"
    next: end
    on_error: [{error: Late, next: charge}, {next: refund}]
  - {id: refund, type: activity, activity: "m:f"}
"""
BROKEN: Final = (
    SHOP.replace("{next: refund}]", "{next: apologise}]")
    .replace(
        "  - {id: refund,",
        '  - {id: apologise, type: activity, activity: "m:f", next: end}\n  - {id: refund,',
    )
    .replace("next: ship}", "next: [{when: $.input.held, to: refund}, {to: ship}]}")
)
"""Where shipping fails somebody apologises, and the money is kept."""

POLLED: Final = """\
id: polled
version: "1"
properties:
  - {id: goes-on, ltl: "G F (open(poll) | open(rest) | failed)"}
  - {id: quiet, ltl: "F G !open(poll)"}
steps:
  - {id: poll, type: decision, next: rest}
  - {id: rest, type: timer, duration: 1m, next: poll}
  - {id: give_up, type: decision, next: poll}
handlers: [{event: stop, actions: [{trigger: {step: give_up}}]}]
"""


def answered(definition: str) -> dict[str, Verdict]:
    read = parse_definition(definition, "shop.yaml")
    subject = Subject(definition=read, plan=compile_plan(read))
    return {each.asked: each for each in verdicts(subject)}


def test_what_is_declared_and_holds() -> None:
    found = answered(SHOP)
    assert {name: each.outcome for name, each in found.items()} == {
        "settled": "holds",
        "paid-first": "holds",
        "never-twice": "holds",
    }
    assert found["paid-first"].formula == "A[!completed(ship) W completed(charge)]"
    assert not any(each.faults for each in found.values())


def test_what_fails_is_told_at_its_formula_with_the_run() -> None:
    (told,) = Prover(time_max_ms=60_000)(parse_definition(BROKEN, "shop.yaml"))
    assert (told.code, told.severity, told.field) == ("HS551", "error", "properties[0].ltl")
    assert told.line == 4
    assert told.message == (
        "`settled` does not hold: `G (completed(charge) -> F (completed(ship) | "
        "completed(refund) | failed))`, after `charge` completes, `ship` fails, "
        "`apologise` completes"
    )


def test_a_loop_is_told_in_every_form() -> None:
    found = answered(POLLED)
    assert found["goes-on"].outcome == "holds"
    quiet = found["quiet"]
    assert [str(each) for each in quiet.loop] == ["poll completes", "rest completes"]
    (fault,) = quiet.faults
    assert fault.message.endswith("for ever `poll` completes, `rest` completes")
    lines = text("polled:1", [quiet], []).splitlines()
    assert lines[1].split()[:2] == ["quiet", "fails"]
    assert lines[2].strip() == "F G !open(poll)"
    page = markdown("polled:1", [quiet], [])
    assert "| quiet: `F G !open(poll)` | **fails** |" in page
    assert "And then, again and again:\n\n1. `poll` completes\n2. `rest` completes" in page
    value = json.loads(json.dumps(verdict_value(quiet)))
    assert value["formula"] == "F G !open(poll)"
    assert value["loop"] == [
        {"step": "poll", "act": "completes"},
        {"step": "rest", "act": "completes"},
    ]


@pytest.mark.parametrize("page", ["definitions.md", "verification/properties.md"])
def test_the_examples_of_the_documentation_hold(page: str) -> None:
    told = (Path(__file__).parents[2] / "docs" / page).read_text(encoding="utf-8")
    examples = [
        each for each in re.findall(r"```yaml\n(.*?)```", told, re.DOTALL) if "ltl:" in each
    ]
    assert examples
    for example in examples:
        assert {each.outcome for each in answered(example).values()} == {"holds"}


@pytest.mark.parametrize("file", EXAMPLES, ids=[file.stem for file in EXAMPLES])
def test_what_examples_declare_holds(file: Path) -> None:
    assert {each.outcome for each in answered(file.read_text()).values()} <= {"holds"}


def test_a_run_ends_with_what_breaks_the_formula() -> None:
    order = next(file.read_text() for file in EXAMPLES if file.stem == "order")
    broken = order.replace(
        "completed(ship) & completed(refund)", "completed(charge) & failed(ship)"
    )
    run = answered(broken)["not-both"].run
    assert [str(each) for each in run[-2:]] == ["charge completes", "ship fails"]


def test_a_property_is_part_of_the_version() -> None:
    other = SHOP.replace("never-twice", "once")
    assert content_hash(parse_definition(SHOP)) != content_hash(parse_definition(other))


def test_a_bound_ends_as_not_known() -> None:
    read = parse_definition(SHOP)
    clock = iter(range(0, 10**9, 50))
    subject = Subject(
        definition=read, plan=compile_plan(read), time_max_ms=10, now_ms=lambda: next(clock)
    )
    assert {each.outcome for each in verdicts(subject)} == {"inconclusive"}
    assert all("the bound of" in each.reason for each in verdicts(subject))


class TestStandard:
    """The named properties are what their formulas say."""

    @pytest.mark.parametrize("seed", range(15))
    def test_engines_and_formulas_agree(self, seed: int) -> None:
        limits = Limits(without=frozenset({"handlers"}))
        definition = parsed(random_definition(Seeded(seed), limits))
        if definition is None:
            return
        plan = compile_plan(definition)

        def clock() -> float:
            return time.thread_time() * 1_000

        report = verify(plan, time_max_ms=500, now_ms=clock)
        found = {
            formula: check_formula(plan, formula, states_max=600, time_max_ms=500, now_ms=clock)
            for formula in ("AG !stuck", "AG EF ended")
        }
        engines = {each: report.about(each).outcome for each in ENGINES}
        formulas = {name: each.outcome for name, each in found.items()}
        if "inconclusive" in {*engines.values(), *formulas.values()}:
            return
        assert engines["deadlock"] == formulas["AG !stuck"]
        assert (set(engines.values()) == {"holds"}) == (formulas["AG EF ended"] == "holds")


ENGINES: Final[tuple[Property, ...]] = ("deadlock", "livelock")
