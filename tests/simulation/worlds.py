"""Random outcomes and faults, and whole random runs: one seed fixes all of it."""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any
from zlib import crc32

from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator import (
    QUIET,
    STORMY,
    Call,
    Faults,
    Hangs,
    LosesRunner,
    Outcome,
    Raises,
    Returns,
)
from heliostat.engine.values import Reference
from tests.simulation.choices import Choices, Seeded
from tests.simulation.definitions import ERRORS, Limits, parsed, random_definition, random_input

DEFINITIONS_TRIED = 200
"""Draws until the checks accept one; most do."""


def random_plan(choices: Choices, limits: Limits | None = None) -> tuple[dict[str, Any], Plan]:
    """A valid random definition and its plan."""
    for _ in range(DEFINITIONS_TRIED):
        tree = random_definition(choices, limits)
        definition = parsed(tree)
        if definition is not None:
            return tree, compile_plan(definition)
    raise AssertionError(f"{DEFINITIONS_TRIED} random definitions in a row are not valid")


def random_outcomes(
    plan: Plan, seed: int, *, calm: bool = False, deterministic: bool = False
) -> Callable[[Call], Outcome]:
    """Outcomes that depend on the call and the seed only, hence on no schedule."""
    share_of_errors = 0 if calm else Random(seed).choice((0, 10, 30))

    def outcome(call: Call) -> Outcome:
        place = f"{seed}:{call.step}:{call.visit}:{call.item_index}:{call.nth}"
        random = Random(crc32(place.encode()))
        step = plan.steps[plan.step_by_id[call.step]]
        after_ms = random.choice((0, 1, 3, 15) if deterministic or calm else (0, 1, 15, 400))
        # a recovery may begin after the execution's deadline, which then bounds nothing
        recovers = any(clause.edge is not None for clause in plan.on_error)
        bounded = step.timeout_ms is not None or step.deadline is not None
        bounded |= plan.deadline is not None and not recovers
        on_stop = random.choice(("ends", "returns", "ignores"))
        stop_ms = random.choice((0, 5, 2_000))
        roll = random.randrange(100)
        how: dict[str, Any] = {"after_ms": after_ms, "on_stop": on_stop, "stop_ms": stop_ms}
        if roll < share_of_errors:
            name = random.choice(ERRORS)
            return Raises(name, "as drawn", random.choice(((), ("C", "Exception"))), **how)
        if not deterministic and not calm:
            if roll > 96:
                return LosesRunner(counted=random.random() < 0.7, **how)
            if roll > 92 and bounded:
                return Hangs(value="late", **how)
        value = random.choice((roll, None, "y" * 1_500, {"a": [roll]}))
        if random.random() < 0.05 and not deterministic:
            return Returns(Reference("default/0", "arrow", 9), 70_000, {"$.a": 1}, **how)
        return Returns(value, **how)

    return outcome


class World:
    """All that a seed fixes about one simulated execution."""

    def __init__(self, seed: int, limits: Limits | None = None) -> None:
        self.seed = seed
        choices = Seeded(seed)
        self.tree, self.plan = random_plan(choices, limits)
        self.input = random_input(choices)
        deterministic = limits is not None and limits.deterministic
        self.outcomes = random_outcomes(self.plan, seed, deterministic=deterministic)
        self.faults: Faults = STORMY if choices.chance(75) else QUIET
        self.cancel_at_ms = choices.pick((1, 50, 1_500)) if choices.chance(12) else None
