"""What is said of time holds of simulated executions."""

from __future__ import annotations

import json
from collections import Counter
from math import inf, sqrt
from random import Random
from statistics import fmean, stdev
from typing import Any, Final
from zlib import crc32

from heliostat.engine.authoring.fields import ITEMS_TAG, VISITS_TAG, DeclaredProperty
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.kernel.events import AttemptFailed, ExecutionRedirected, StepFailed
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import Call, Raises, Returns, Simulation, SimulationResult
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.drawing import delayed, expected
from heliostat.verify.timing.durations import Measured, durations, tags_of
from heliostat.verify.timing.slack import Network, tried
from heliostat.verify.timing.timing import timing
from heliostat.verify.timing.within import within
from tests.simulation.choices import Seeded
from tests.simulation.definitions import (
    ERRORS,
    Limits,
    parsed,
    random_definition,
    random_input,
    steps_of,
)

SEEDS: Final = 40

UNCOUNTED: Final = frozenset(
    ("human", "sub_workflow", "handlers", "person", "uses", "signal", "publish", "detached")
)
"""People, children, permits and what comes from outside have no time of their own here."""


def _tagged(tree: dict[str, Any], given: dict[str, Any], random: Random) -> None:
    """Give every attempt a range, every list its length."""
    for step in steps_of(tree):
        tags = step.setdefault("tags", {})
        if step.get("type") in ("activity", "script", "service_call"):
            least = random.choice((0, 10, 300))
            tags["duration_min_ms"] = str(least)
            tags["duration_max_ms"] = str(least + random.choice((0, 50, 2_000)))
        if step.get("foreach") == "range(0, $.input.n)":
            tags[ITEMS_TAG] = str(given["n"])


def _outcomes(tree: dict[str, Any], seed: int, failing: int) -> Any:
    ranges = {
        step["id"]: (int(tags["duration_min_ms"]), int(tags["duration_max_ms"]))
        for step in steps_of(tree)
        if "duration_min_ms" in (tags := step["tags"])
    }

    def outcome(call: Call) -> Any:
        place = f"{seed}:{call.step}:{call.scope}:{call.visit}:{call.indices}:{call.nth}"
        random = Random(crc32(place.encode()))
        least, most = ranges[call.step]
        after = random.choice((least, most, random.randint(least, most)))
        if random.randrange(100) < failing:
            return Raises(random.choice(ERRORS), after_ms=after, stop_ms=0)
        return Returns(random.randrange(9), after_ms=after, stop_ms=0)

    return outcome


def _visits(result: SimulationResult) -> Counter[int]:
    """How often each step was visited, where it was most often in one scope."""
    most: Counter[int] = Counter()
    for event in result.events:
        for each in getattr(event, "activated", ()):
            most[each.step] = max(most[each.step], each.visit)
    return most


def _failed(result: SimulationResult) -> bool:
    return any(
        isinstance(event, AttemptFailed | StepFailed | ExecutionRedirected)
        for event in result.events
    ) or any(getattr(event, "recovered", None) for event in result.events)


def test_no_execution_is_quicker_or_slower_than_the_bounds() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS):
        random = Random(seed)
        tree = random_definition(Seeded(seed), Limits(without=UNCOUNTED))
        given = random_input(Seeded(seed + 1))
        _tagged(tree, given, random)
        definition = parsed(tree)
        if definition is None:
            continue
        plan = compile_plan(definition)
        result = Simulation(plan, given, _outcomes(tree, seed, 25 * (seed % 2)), seed=seed).run()
        assert result.ended
        tags = {id: dict(each) for id, each in tags_of(definition).items()}
        for number, count in _visits(result).items() if seed % 3 else ():
            tags[plan.steps[number].id][VISITS_TAG] = str(count)  # what the author knows
        total = Bounds(plan, durations(definition, plan), tags).total
        told = f"seed {seed}: {result.elapsed_ms} of {total}\n{result.story}"
        assert result.elapsed_ms <= total.most, told
        seen["bounded"] += total.most < inf
        if result.status == "Completed" and not _failed(result):
            assert total.least <= result.elapsed_ms, told
            seen["least"] += 1
            seen["exactly the least"] += 0 < total.least == result.elapsed_ms
        seen["exactly the most"] += 0 < total.most == result.elapsed_ms
    assert seen["bounded"] > SEEDS / 2, seen
    assert seen["exactly the most"], seen
    assert seen["exactly the least"], seen


ALIKE: Final = UNCOUNTED | {"when", "on_error", "deadline", "timeout", "retry"}
"""Without these, and without choices and loops, all executions take the same time."""


def _alike(seed: int) -> tuple[Definition, Plan, dict[str, Any]] | None:
    """A random definition of which nothing is drawn, with durations of all its attempts."""
    random = Random(seed)
    tree = random_definition(Seeded(seed), Limits(without=ALIKE))
    given = random_input(Seeded(seed + 1))
    for step in steps_of(tree):
        tags = step.setdefault("tags", {})
        if step.get("type") in ("activity", "script", "service_call"):
            tags["duration_ms"] = str(random.choice((5, 100, 700, random.randrange(1, 3_000))))
        if step.get("foreach") == "range(0, $.input.n)":
            tags[ITEMS_TAG] = str(given["n"])
        if step.get("foreach") == "$.input.n":
            step["foreach"] = "[1, 2]"  # in place of what is no list
        if step.get("type") == "wait":
            step["any"] = step["any"][:1]  # the timer: nobody signals
        for clause in step.get("next", []) if isinstance(step.get("next"), list) else []:
            clause.pop("when", None)
    definition = parsed(tree)
    if definition is None:
        return None
    return definition, compile_plan(definition), given


def _declared(definition: Definition, plan: Plan, limit_ms: int) -> str:
    """What is said of a definition that declares so much time."""
    said = DeclaredProperty(id="quick", within=f"{limit_ms}ms")
    definition = definition.model_copy(update={"properties": [said]})
    (found,) = within(definition, timing(Subject(definition=definition, plan=plan, figures=False)))
    return found.outcome


def _took(
    plan: Plan, durations: Measured, given: Any, late: str = "", by_ms: float = 0
) -> SimulationResult:
    def outcome(call: Call) -> Any:
        takes = durations[call.step].expected_ms + (by_ms if call.step == late else 0)
        return Returns(1, after_ms=round(takes), stop_ms=0)

    return Simulation(plan, given, outcome).run()


def test_where_nothing_is_drawn_what_is_expected_is_what_happens() -> None:
    seen: Counter[str] = Counter()
    for seed in range(SEEDS // 2):
        made = _alike(seed)
        if made is None:
            continue
        definition, plan, given = made
        taken, tags = durations(definition, plan), tags_of(definition)
        bounds = Bounds(plan, taken, tags)
        drawn = expected(plan, taken, tags, bounds.width, runs_max=2)
        if drawn is None or drawn.runs > 1:
            continue
        result = _took(plan, taken, given)
        if not result.ended or (result.failure and result.failure.type == "ExpressionError"):
            continue
        assert drawn.mean_ms == result.elapsed_ms, f"seed {seed}\n{result.story}"
        seen[result.status] += 1
        if _failed(result) or result.status == "Failed":
            continue  # a path is of what goes well
        for limit_ms in (result.elapsed_ms - 1, result.elapsed_ms):
            if limit_ms > 0:
                fails = _declared(definition, plan, limit_ms) == "fails"
                assert not fails or limit_ms < result.elapsed_ms, f"seed {seed}\n{result.story}"
                seen["declared too little"] += fails
        critical = Network(plan, taken, bounds.width).critical()
        seen["critical path"] += critical.exact
        if critical.exact:
            assert critical.total_ms == result.elapsed_ms, f"seed {seed}\n{result.story}"
        else:
            critical = tried(critical, delayed(plan, taken, tags, bounds.width))
        for id, place in critical.places.items():
            step = plan.steps[plan.step_by_id[id]]
            if step.kind != "activity" or step.foreach is not None:
                continue
            seen["slack"] += 1
            late = 20 * result.elapsed_ms + 1 if place.slack_ms == inf else place.slack_ms
            told = f"seed {seed}, {id}: {place}\n{result.story}"
            assert _took(plan, taken, given, id, late).elapsed_ms <= result.elapsed_ms, told
            if place.slack_ms < inf:
                seen["finite slack"] += 1
                longer = _took(plan, taken, given, id, place.slack_ms + 1)
                assert longer.elapsed_ms > result.elapsed_ms, told
    assert seen["Completed"] > SEEDS / 10, seen
    assert seen["Failed"], seen
    assert seen["critical path"], seen
    assert seen["declared too little"], seen
    assert seen["finite slack"], seen
    assert seen["slack"] > seen["finite slack"], seen


DRAWN: Final = """\
id: drawn
version: "1"
steps:
  - {id: toss, type: activity, activity: "m:f", tags: {duration_ms: "100"}, next: [{when: $.output == 1, to: both}, {to: again}]}
  - {id: again, type: activity, activity: "m:f", tags: {duration_ms: "70"}, next: [{when: $.output == 1, to: toss}, {to: last}]}
  - id: both
    type: parallel
    next: last
    branches:
      - name: left
        steps:
          - {id: pick, type: activity, activity: "m:f", tags: {duration_ms: "50"}, next: [{when: $.output == 1, to: slow}, {to: end}]}
          - {id: slow, type: activity, activity: "m:f", tags: {duration_ms: "900"}}
      - name: right
        steps:
          - {id: first, type: activity, activity: "m:f", tags: {duration_ms: "20"}, needs: []}
          - {id: maybe, type: activity, activity: "m:f", tags: {duration_ms: "600"}, needs: [first], when: $.steps.first.output == 1}
  - {id: last, type: activity, activity: "m:f", foreach: "[1, 2, 3]", concurrency: 2, tags: {duration_ms: "40"}}
"""  # noqa: E501 - a step is a line


def test_what_is_expected_is_the_mean_of_what_happens() -> None:
    definition = parse_definition(DRAWN, "drawn.yaml")
    plan = compile_plan(definition)
    taken = durations(definition, plan)
    drawn = expected(plan, taken, tags_of(definition), lambda step: 3)
    assert drawn is not None
    assert drawn.runs > 100
    totals = []
    for seed in range(120):
        random = Random(seed)

        def outcome(call: Call, random: Random = random) -> Any:
            takes = taken[call.step].expected_ms
            return Returns(random.randrange(2), after_ms=takes, stop_ms=0)

        totals.append(Simulation(plan, None, outcome).run().elapsed_ms)
    error = drawn.error_ms + stdev(totals) / sqrt(len(totals))
    assert abs(fmean(totals) - drawn.mean_ms) < 4 * error


def test_every_definition_has_an_answer() -> None:
    answered = 0
    for seed in range(SEEDS):
        definition = parsed(random_definition(Seeded(seed)))
        if definition is None:
            continue
        asked = Subject(definition=definition, plan=compile_plan(definition))
        (found,) = analysed(asked, ["time"])
        assert found.section is not None
        json.dumps(found.section.value)
        answered += 1
    assert answered > SEEDS / 2
