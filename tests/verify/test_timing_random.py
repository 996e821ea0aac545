"""What is said of time holds of simulated executions."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any, Final
from zlib import crc32

from heliostat.engine.kernel.events import AttemptFailed, ExecutionRedirected, StepFailed
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import Call, Raises, Returns, Simulation, SimulationResult
from heliostat.verify.timing.bounds import VISITS_TAG, Bounds
from heliostat.verify.timing.durations import ITEMS_TAG, durations, tags_of
from tests.simulation.choices import Seeded
from tests.simulation.definitions import (
    ERRORS,
    Limits,
    parsed,
    random_definition,
    random_input,
    steps_of,
)

SEEDS: Final = 60

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
        for number, count in _visits(result).items():
            tags[plan.steps[number].id][VISITS_TAG] = str(count)  # what the author knows
        total = Bounds(plan, durations(definition, plan), tags).total
        told = f"seed {seed}: {result.elapsed_ms} of {total}\n{result.story}"
        assert result.elapsed_ms <= total.most, told
        seen["bounded"] += total.most < float("inf")
        if result.status == "Completed" and not _failed(result):
            assert total.least <= result.elapsed_ms, told
            seen["least"] += 1
            seen["exactly the least"] += 0 < total.least == result.elapsed_ms
        seen["exactly the most"] += 0 < total.most == result.elapsed_ms
    assert seen["bounded"] > SEEDS / 2, seen
    assert seen["exactly the most"], seen
    assert seen["exactly the least"], seen
