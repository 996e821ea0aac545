"""The door of a deployment in this process, served on a port of this machine."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvicorn
from starlette.types import ASGIApp

from heliostat.actors.client.client import Client
from heliostat.actors.client.proving import Proving
from heliostat.actors.client.registration import prepare
from heliostat.api.client.connecting import connect
from heliostat.api.http.app import create_app
from heliostat.api.http.door import way_of
from heliostat.verify.migration import checked
from heliostat.verify.prover import Prover
from tests.client.inprocess import deployment
from tests.http.conftest import DEFINITIONS, STEPS

BOUND_S = 60.0


@dataclass(frozen=True)
class Place:
    """A deployment with its door."""

    home: Path
    within: Client
    """A client beside the door, as one in the cluster."""
    url: str


@contextmanager
def served(app: ASGIApp, port: int = 0) -> Iterator[str]:
    """The application on a port of its own, on an event loop of its own; its address."""
    listening = socket.create_server(("127.0.0.1", port))
    port = listening.getsockname()[1]
    settings = uvicorn.Config(
        app, log_level="warning", lifespan="on", timeout_graceful_shutdown=2, ws="websockets-sansio"
    )
    server = uvicorn.Server(settings)

    def serve() -> None:
        asyncio.run(server.serve([listening]))

    thread = threading.Thread(target=serve, name="door")
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(60)
        listening.close()


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("served")
    (home / "http_steps.py").write_text(STEPS)
    prover = Prover(time_max_ms=60_000)  # how busy a machine is changes no answer
    proving = Proving(prover, migrations=checked)
    with deployment(home / "blobs", proving=proving) as client:
        prepared = [prepare(text, code_path=[home]) for text in DEFINITIONS.values()]
        client.register_many(prepared)
        app = create_app(lambda: way_of(client), code_path=[home], proving=proving)
        with served(app) as url:
            yield Place(home, client, url)


@pytest.fixture
def over_http(place: Place) -> Iterator[Client]:
    """A client over HTTP."""
    with connect(place.url, call_timeout_ms=60_000) as client:
        yield client
