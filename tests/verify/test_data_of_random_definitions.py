"""Random definitions and what the kernel does with them: nothing that happens was ruled out."""

from __future__ import annotations

import time
from typing import Final

from heliostat.engine.kernel.events import StepFailed
from heliostat.engine.simulator import Simulation
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.soundness import verify
from tests.simulation.definitions import parsed
from tests.simulation.worlds import World

SEEDS: Final = range(12)
BOUNDS: Final = {"time_max_ms": 150, "now_ms": lambda: time.thread_time() * 1_000}


def test_what_happens_was_not_ruled_out() -> None:
    told = 0
    for seed in SEEDS:
        world = World(seed)
        definition = parsed(world.tree)
        assert definition is not None
        subject = Subject(definition=definition, plan=world.plan, **BOUNDS)
        verdicts = analysed(subject, ["data"])
        deadlock = verify(world.plan, definition=definition, **BOUNDS).about("deadlock")
        gaps = {step for each in verdicts if each.asked == "guards" for step in each.steps}
        told += sum(len(each.faults) for each in verdicts)
        result = Simulation(world.plan, world.input, world.outcomes, seed=seed, **world.how).run()
        for event in result.events:
            if isinstance(event, StepFailed) and event.failure.type == "NoWayOn":
                assert world.plan.steps[event.at.step].id in gaps, seed
        if result.failure is not None and result.failure.type == "Stuck":
            assert deadlock.outcome != "holds", seed
    assert told > len(SEEDS) / 4  # there is something to find in them
