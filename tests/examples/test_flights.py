"""The months are counted and stored one by one; the steps themselves are tried on real flights."""

from __future__ import annotations

from pathlib import Path

import flights

from heliostat.testing import Simulation


def test_the_report_is_of_all_months(hs_simulation: Simulation) -> None:
    hs_simulation.step("done_raw").does(lambda month: ["raw"] * month * 10)
    hs_simulation.step("done_flown").does(lambda table: table[1:])
    hs_simulation.step("done_before").does(lambda table: len(table))
    hs_simulation.step("done_after").does(lambda table: len(table))
    hs_simulation.step("done_path").does(lambda table, folder, month: f"{folder}/{month}")
    hs_simulation.step(flights.summarize).returns([])
    run = hs_simulation.run(flights.delays, "out", [1, 2])
    assert run.result().flights == 28
    assert run.result().canceled == 2
    assert run.calls(flights.summarize) == [{"paths": ["out/1", "out/2"]}]


def test_its_steps_on_january_in_reality(tmp_path: Path) -> None:
    raw = flights.extract(1)
    flown = flights.clean(raw)
    assert flights.count(raw) == 27_004
    path = flights.store(flown, str(tmp_path), 1)
    latest = flights.summarize([path])
    assert len(latest) == 3
    assert latest[0].minutes > latest[1].minutes > latest[2].minutes
    assert list(tmp_path.iterdir()) == [Path(path)]
