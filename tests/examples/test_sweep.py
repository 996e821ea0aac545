"""The first trial that is good enough wins; a diverging one never is."""

from __future__ import annotations

from sweep import Settings, State, sweep, train

from heliostat.testing import Simulation

GRID = [Settings(rate=rate) for rate in (0.0001, 0.05, 0.001, 2.0)]


def test_the_quickest_learner_wins() -> None:
    run = Simulation(runs_functions=True).run(sweep, GRID, goal=0.01)
    won = run.result()
    assert won.settings.rate == 0.05
    assert won.loss <= 0.01
    # Nobody goes on behind it: the others have had as many epochs, and no more.
    assert len(run.calls(train)) <= 4 * (won.epoch + 2)


def test_none_is_good_enough(hs_simulation: Simulation) -> None:
    hs_simulation.step(train).returns(State(loss=3.5))
    run = hs_simulation.run(sweep, GRID, goal=0.01)
    assert run.failure is not None
    assert run.failure.type == "NotGoodEnough"
    assert "3.5" in run.failure.message


def test_each_trial_asks_for_a_cpu() -> None:
    steps = sweep.definition.model_dump_json()
    assert '"completion":"any"' in steps
    assert train.options.num_cpus == 1
