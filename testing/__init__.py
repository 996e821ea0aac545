"""Tests of workflows: what users write theirs with.

    def test_a_declined_card_is_told(hs_simulation: Simulation) -> None:
        hs_simulation.step(charge).raises(Declined("no funds"))
        run = hs_simulation.run(checkout, Order(id="o-1", total=20))
        assert run.result() == "declined: no funds"

The whole workflow runs, by the kernel that runs it on a cluster, in virtual time and without Ray;
its steps are stood in for. `simulation.py` is the test's face, `outcomes.py` what steps and people
do, `ran.py` how a run went. `plugin.py` has pytest's fixtures, which installing heliostat offers to
every test: `hs_simulation`, and for real steps on a real Ray `hs_deployment`. Nothing imports Ray
before that one is asked for, and the names below are looked up on first use: pytest loads the
plugin wherever heliostat is installed, for tests that have nothing to do with workflows as well.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from heliostat.testing.outcomes import Outcomes, PersonOutcomes, Unscripted
    from heliostat.testing.ran import Run, Unended
    from heliostat.testing.simulation import Moment, Simulation

__all__ = ["Moment", "Outcomes", "PersonOutcomes", "Run", "Simulation", "Unended", "Unscripted"]

_HOMES = {
    "Moment": "simulation",
    "Outcomes": "outcomes",
    "PersonOutcomes": "outcomes",
    "Run": "ran",
    "Simulation": "simulation",
    "Unended": "ran",
    "Unscripted": "outcomes",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{home}"), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
