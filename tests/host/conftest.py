"""A world per test, whose hosts end with it and must have had no faults."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliostat.actors.host.clock import SystemClock
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import World, info_of


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()
    for host in made.hosts:
        assert info_of(host).faults == ()


@pytest.fixture(params=["memory", "sqlite"])
async def any_world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """A world on each journal; the one on SQLite lives in real time."""
    if request.param == "memory":
        made = World()
    else:
        made = World(journal=open_sqlite(tmp_path / "journal"), clock=SystemClock())
    yield made
    await made.close()
    await made.journal._journal.close()
    for host in made.hosts:
        assert info_of(host).faults == ()
