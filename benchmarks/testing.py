"""What a unit test of a workflow costs: `python -m benchmarks.testing`.

A workflow with a person, an error that is caught, a wait and four steps is compiled once and then
simulated as a test would, each time with outcomes of its own. The time is that of one CPU, so
that other processes do not count; what is imported and compiled is in the first line alone.
"""

from __future__ import annotations

import statistics
import time

import heliostat as hs
from heliostat.testing import Simulation

ROUNDS = 300


@hs.step
def charge(order: str) -> str: ...


@hs.step
def ship(order: str) -> str: ...


@hs.workflow
def checkout(order: str, large: bool) -> str:
    if large:
        approved = hs.human("approve", bool, show=order, assignees=["ann"], deadline="2d")
        if not approved:
            hs.fail("Rejected", f"order {order}")
    try:
        receipt = charge(order)
    except LookupError as error:
        return f"declined: {error}"
    won = hs.wait(
        picked=hs.on_event("picked_up", where=hs.event.data.receipt == receipt),
        late=hs.after("3d"),
    )
    return "late" if won.name == "late" else ship(order)


def test() -> None:
    """What a test of this workflow does."""
    simulation = Simulation()
    simulation.person("approve").answers(True, after="3h")
    simulation.step(charge).returns("r-1")
    simulation.step(ship).returns("s-1")
    simulation.at("1d").event("picked_up", {"receipt": "r-1"})
    assert simulation.run(checkout, "o-1", large=True).result() == "s-1"


def cpu_ms() -> float:
    """What one test takes."""
    began = time.process_time()
    test()
    return (time.process_time() - began) * 1000


if __name__ == "__main__":
    print(f"the first test: {cpu_ms():.0f} ms, with imports and compiling")
    each_ms = sorted(cpu_ms() for _ in range(ROUNDS))
    median_ms, high_ms = statistics.median(each_ms), each_ms[ROUNDS * 95 // 100]
    print(f"{ROUNDS} more: median {median_ms:.1f} ms, 95 % within {high_ms:.1f} ms")
