"""Declared properties are watched: what breaks one is recorded, at the event that breaks it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.kernel.events import (
    ExecutionMigrated,
    PropertyViolated,
    StepCompleted,
    StepFailed,
)
from heliostat.engine.kernel.stimuli import Migrate, Retry
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.mapping import map_plans
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import (
    STORMY,
    Acts,
    Happening,
    Person,
    Raises,
    Returns,
    Simulation,
    SimulationResult,
)
from tests.engine.kernel.versions import plans_of
from tests.simulation.driven import Driven
from tests.simulation.worlds import World

ORDER = """
id: order
version: "1"
properties:
  - {id: settled, ltl: "G (completed(charge) -> F (completed(ship) | completed(refund)))"}
  - {id: paid-first, ltl: "!completed(ship) W completed(charge)"}
steps:
  - {id: charge, type: activity, activity: "m:charge", next: ship}
  - {id: ship, type: activity, activity: "m:ship", on_error: [{error: Out, next: refund}]}
  - {id: refund, type: activity, activity: "m:refund"}
"""

SIGNED = """
id: signed
version: "1"
properties:
  - {id: four-eyes, different_people: [draft, approve]}
steps:
  - {id: draft, type: human, assignees: [ann], next: approve}
  - {id: approve, type: human, assignees: [ann, bob]}
"""

EACH_SIGNED = """
id: each_signed
version: "1"
properties:
  - {id: four-eyes, different_people: [draft, approve]}
steps:
  - id: each
    foreach: "[1, 2]"
    steps:
      - {id: draft, type: human, assignees: [ann], next: approve}
      - {id: approve, type: human, assignees: [ann, bob]}
"""


def plan_of(text: str) -> Plan:
    return compile_plan(parse_definition(text, "watched.yaml"))


def violated(result: SimulationResult) -> list[tuple[str, str]]:
    """Each violation recorded, and by what event."""
    return [
        (each.property, type(result.events[each.number - 1]).__name__)
        for each in result.events
        if isinstance(each, PropertyViolated)
    ]


class TestFormulas:
    def test_what_keeps_them_records_nothing(self) -> None:
        assert violated(Simulation(plan_of(ORDER), None, {}).run()) == []
        refunded = Simulation(plan_of(ORDER), None, {"ship": Raises("Out")}).run()
        assert violated(refunded) == []

    def test_the_end_breaks_what_has_not_come_about(self) -> None:
        result = Simulation(plan_of(ORDER), None, {"ship": Raises("Lost")}).run()
        assert violated(result) == [("settled", "ExecutionFailed")]
        assert result.events[-1].number == 4  # type: ignore[union-attr]

    def test_it_is_recorded_at_once_where_nothing_can_mend_it(self) -> None:
        never = ORDER.replace("!completed(ship) W completed(charge)", "G !completed(charge)")
        result = Simulation(plan_of(never), None, {}).run()
        assert violated(result) == [("paid-first", "StepCompleted")]
        assert isinstance(result.events[2], PropertyViolated)

    def test_a_formula_in_ctl_is_watched_where_it_says_the_same_in_ltl(self) -> None:
        ltl = 'ltl: "!completed(ship) W completed(charge)"'
        always = plan_of(ORDER.replace(ltl, 'ctl: "AG !failed(ship)"'))
        result = Simulation(always, None, {"ship": Raises("Out")}).run()
        assert violated(result) == [("paid-first", "StepFailed")]
        possible = plan_of(ORDER.replace(ltl, 'ctl: "EF completed(ship)"'))
        assert [each.id for each in possible.monitors] == ["settled"]

    def test_a_retry_may_mend_what_the_end_broke(self) -> None:
        lost = {"ship": [Raises("Lost"), Returns(1)]}
        calls = iter(lost["ship"])
        retry = Happening(at_ms=60_000, stimulus=Retry(now_ms=0, message_id=""))
        script = lambda call: next(calls) if call.step == "ship" else Returns(1)  # noqa: E731
        result = Simulation(plan_of(ORDER), None, script, happenings=[retry]).run()
        assert result.status == "Completed"
        assert violated(result) == [("settled", "ExecutionFailed")]
        assert result.state.watched is not None
        assert result.state.watched.told == []

    def test_says_what_the_history_says_of_random_definitions(self) -> None:
        """A naive reading: `first` completes before `second` fails, and the like."""
        broken = 0
        for seed in range(60):
            plan, result, first, second = random_run(seed)
            told = {each.property for each in result.events if isinstance(each, PropertyViolated)}
            one = numbers(plan, result, StepCompleted, first)
            other = numbers(plan, result, StepFailed, second)
            assert ("never" in told) is bool(one), seed
            assert ("order" in told) is bool(other and not (one and one[0] < other[0])), seed
            broken += len(told)
        assert broken > 20


def random_run(seed: int) -> tuple[Plan, SimulationResult, int, int]:
    """A random world in a storm, that declares two things of two steps of its root."""
    world = World(seed)
    random = Random(seed)
    roots = [step["id"] for step in world.tree["steps"]]
    first, second = random.choice(roots), random.choice(roots)
    properties = [
        {"id": "never", "ltl": f"G !completed({first})"},
        {"id": "order", "ltl": f"!failed({second}) W completed({first})"},
    ]
    tree = {**world.tree, "properties": properties}
    plan = compile_plan(parse_definition(json.dumps(tree), "random.json"))
    how = {**world.how, "faults": STORMY}
    result = Simulation(plan, world.input, world.outcomes, seed=seed, **how).run()
    return plan, result, plan.step_by_id[first], plan.step_by_id[second]


def numbers(plan: Plan, result: SimulationResult, kind: type[Any], step: int) -> list[int]:
    """Where a step of the root did it, as a whole."""
    return [
        number
        for number, each in enumerate(result.events)
        if isinstance(each, kind) and each.at.step == step and each.at.scope == 1
    ]


class TestPeople:
    def test_one_person_for_two_steps_is_recorded(self) -> None:
        plan = plan_of(SIGNED)
        one = {"draft": done_by("ann"), "approve": done_by("ann")}
        assert violated(Simulation(plan, None, one).run()) == [("four-eyes", "StepCompleted")]
        two = {"draft": done_by("ann"), "approve": done_by("bob")}
        assert violated(Simulation(plan, None, two).run()) == []

    def test_each_item_is_a_case_of_its_own(self) -> None:
        plan = plan_of(EACH_SIGNED)

        def crossed(call: Any) -> Any:
            index = call.indices[0] if call.indices else 0
            drafted = call.step == "draft"
            return done_by("ann" if drafted is (index == 0) else "bob")

        assert violated(Simulation(plan, None, crossed).run()) == []
        alike = Simulation(plan, None, lambda _: done_by("ann")).run()
        assert violated(alike) == [("four-eyes", "StepCompleted")]


def done_by(person: str) -> Person:
    return Person(Acts("complete", person, {}, after_ms=1_000))


class TestMoved:
    def test_a_property_that_stays_goes_on_and_another_is_not_watched(self) -> None:
        later = ORDER.replace('version: "1"', 'version: "2"').replace(
            "!completed(ship) W completed(charge)", "G !completed(refund)"
        )
        plans = plans_of((ORDER, later))
        run = Driven(plans["1"], None, 1, failing=0)
        assert run.turn()
        mapping = map_plans(plans["1"], plans["2"])
        run.give(Migrate(now_ms=run.now_ms, message_id="m", mapping=mapping))
        assert isinstance(run.history[-1], ExecutionMigrated)
        watched = run.state.watched
        assert watched is not None
        assert (list(watched.states), watched.happened) == (["settled"], {"completed:0": None})
