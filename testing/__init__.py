"""Tests of workflows: what users write theirs with.

    def test_a_declined_card_is_told(hs_simulation: Simulation) -> None:
        hs_simulation.step(charge).raises(Declined("no funds"))
        run = hs_simulation.run(checkout, Order(id="o-1", total=20))
        assert run.result() == "declined: no funds"

The whole workflow runs, by the kernel that runs it on a cluster, in virtual time and without Ray;
its steps are stood in for. `simulation.py` is the test's face, `outcomes.py` what steps and people
do, `ran.py` how a run went. `plugin.py` has pytest's fixtures, which installing heliostat offers to
every test: `hs_simulation`, and for real steps on a real Ray `hs_deployment`. Nothing imports Ray
before that one is asked for.
"""

from heliostat.testing.outcomes import Outcomes, PersonOutcomes, Unscripted
from heliostat.testing.ran import Run, Unended
from heliostat.testing.simulation import Moment, Simulation

__all__ = ["Moment", "Outcomes", "PersonOutcomes", "Run", "Simulation", "Unended", "Unscripted"]
