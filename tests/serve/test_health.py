"""What the health says of hosts and of the scheduler that do not answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from heliostat.api.http.app import create_app
from heliostat.api.http.door import way_of
from heliostat.api.serve.attached import Attached
from heliostat.cluster.config import load_configuration
from heliostat.engine.errors import Unreachable
from tests.client.inprocess import deployment


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    """A door to one host in this process, where Ray, and so a scheduler, is not."""
    with deployment(tmp_path / "blobs", lambda _: None) as client:
        way = way_of(client)
        yield create_app(lambda: way)


@pytest.fixture
async def door(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield client


async def test_a_host_that_does_not_answer_counts(app: FastAPI, door: httpx.AsyncClient) -> None:
    app.state.hosts_wanted = lambda: 2
    told = await door.get("/health")
    assert (told.status_code, told.json()["status"]) == (200, "degraded")
    assert told.json()["components"]["hosts"]["message"] == "1 of 2 serve"


async def test_without_its_scheduler_a_deployment_is_degraded(
    app: FastAPI, door: httpx.AsyncClient
) -> None:
    app.state.hosts_wanted = lambda: 1
    told = (await door.get("/health")).json()
    assert told["status"] == "degraded"
    assert told["components"]["hosts"]["status"] == "healthy"
    assert "does not answer" in told["components"]["scheduler"]["message"]


async def test_in_one_process_there_is_none_and_none_is_missed(door: httpx.AsyncClient) -> None:
    told = (await door.get("/health")).json()
    assert told["status"] == "healthy"
    assert "scheduler" not in told["components"]


def test_a_replica_without_a_deployment_says_how_to_get_one(tmp_path: Path) -> None:
    attached = Attached(load_configuration({"data_dir": tmp_path / "data"}, environment={}))
    attached.look()
    with pytest.raises(Unreachable, match=r"no deployment is up in .*/data; start it"):
        attached.way()
    assert not attached.leaving
