"""Fixtures for pytest, which finds them wherever heliostat is installed.

`hs_simulation` costs milliseconds; `hs_deployment` starts a Ray, once a session. Of a test that
failed the stories of its simulated runs are shown.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.testing.simulation import Simulation

_SIMULATION = pytest.StashKey["Simulation"]()


@pytest.fixture
def hs_simulation(request: pytest.FixtureRequest) -> Simulation:
    """A workflow with stand-ins for its steps, in virtual time: see `heliostat.testing`."""
    from heliostat.testing.simulation import Simulation

    simulation = Simulation()
    request.node.stash[_SIMULATION] = simulation
    return simulation


@pytest.fixture(scope="session")
def hs_deployment() -> Iterator[Client]:
    """A client of a deployment that lives as long as the session: real steps, on a real Ray.

    It takes ten to twenty seconds to start. Its journal and its blobs are its own and vanish with
    it; a Ray that this process is connected to already is used, and left running.
    """
    import heliostat as hs

    # Not below pytest's own folder, whose path is too long for the sockets that Ray puts there.
    home = Path(tempfile.mkdtemp(prefix="hs-"))
    try:
        with hs.connect(home / "data") as client:
            yield client
    finally:
        shutil.rmtree(home, ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the stories of a test that failed."""
    report = yield
    simulation = item.stash.get(_SIMULATION, None)
    if report.when == "call" and report.failed and simulation is not None:
        for run in simulation.runs:
            report.sections.append((f"story of {run.simulated.plan.id}", run.story))
    return report
