"""A crash at each turn and each place of it, one after the other: small spaces are exhausted."""

from __future__ import annotations

from typing import get_args

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import Attempts, Hangs, Items, Raises, Simulation
from heliostat.engine.simulator.faults import HostFault
from tests.journals.record import DONE, FOLDER, GRAPH, ORDER, TEXT

WHAT = {
    "retried": (ORDER, TEXT, {**DONE, "charge": Attempts(Raises("Busy"), Hangs(), "paid")}),
    "declined": (ORDER, TEXT, {**DONE, "charge": Raises("Declined"), "clean": "swept"}),
    "items fail": (ORDER, TEXT, {**DONE, "pack": Items(1, Raises("A"), 3, Raises("B"))}),
    "graph": (GRAPH, {"b": False}, {"a": {"part": "p" * 1_200}, "c": Raises("Odd")}),
}


@pytest.mark.parametrize("what", WHAT)
def test_changes_nothing(what: str) -> None:
    file, given, outcomes = WHAT[what]
    # an effect that may happen once only is allowed to be lost
    text = (FOLDER / file).read_text().replace("at_most_once", "at_least_once")
    plan = compile_plan(parse_definition(text, file))
    calm = Simulation(plan, given, outcomes).run()
    assert calm.turns >= 4
    for turn in range(1, calm.turns + 1):
        for fault in get_args(HostFault):
            result = Simulation(plan, given, outcomes, strike=(turn, fault)).run()
            assert result.coverage.counts[f"fault:{fault}"] == 1, (turn, fault)
            assert result.status == calm.status, (turn, fault)
            assert result.output == calm.output, (turn, fault)
