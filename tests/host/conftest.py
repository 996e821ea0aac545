"""A world per test, whose hosts end with it and must have had no faults."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.host.support import World, info_of


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()
    for host in made.hosts:
        assert info_of(host).faults == ()
