"""Many executions in one: what fails stays, what does not is shipped."""

from __future__ import annotations

import pytest
from parcels import Parcel, label, ship, ship_all

from heliostat.testing import Simulation


@pytest.mark.parametrize("count", [10, 250])
def test_those_that_are_too_heavy_stay(count: int) -> None:
    parcels = [Parcel(id=str(n), grams=40_000 if n % 5 == 4 else 500) for n in range(count)]
    run = Simulation(runs_functions=True).run(ship_all, parcels)
    assert run.result().shipped == count * 4 // 5
    assert run.result().stayed == [each.id for each in parcels if each.grams > 30_000]
    assert len(run.simulated.others) == count


def test_one_alone(hs_simulation: Simulation) -> None:
    hs_simulation.step(label).returns("l-1")
    hs_simulation.runs_functions = True
    assert hs_simulation.run(ship, Parcel(id="1", grams=5)).result() == "1 under l-1"
