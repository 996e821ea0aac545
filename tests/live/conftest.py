"""The live doors of an application, over a real host in this process and real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any, cast

import httpx
import pytest
import uvicorn
from websockets.asyncio.client import ClientConnection, connect

from heliostat.actors.client.client import Client
from heliostat.actors.client.ray_connection import RayConnection
from heliostat.actors.client.registration import prepare
from heliostat.actors.host.works import Works
from heliostat.api.http.app import create_app
from heliostat.api.http.door import Way, way_of
from heliostat.engine.identity import ExecutionKey
from tests.client.inprocess import LocalHosts, deployment

BOUND_S = 60.0
"""No wait of a test is longer: the machine may be busy."""

DEFINITIONS = {
    "hello": """\
id: hello
version: "1"
name: Says hello
steps:
  - {id: greet, type: decision, output: {text: "hello ${ $.input.name }"}}
""",
    "patient": """\
id: patient
version: "1"
steps:
  - {id: first, type: decision, output: 1, next: wait}
  - {id: wait, type: wait, signal: go, next: done}
  - {id: done, type: decision, output: $.steps.wait.output}
""",
    "loop": """\
id: loop
version: "1"
vars: {n: 0}
steps:
  - {id: wait, type: wait, signal: go, next: count}
  - id: count
    type: decision
    output: $.vars.n
    assign: {n: '${ $.vars.n + 1 }'}
    next: [{to: wait, when: '${ $.output + 1 < $.input.times }'}, {to: done}]
  - {id: done, type: decision, output: $.vars.n}
""",
    "wrong": """\
id: wrong
version: "1"
steps:
  - {id: wait, type: wait, signal: go, next: fail}
  - {id: fail, type: decision, fail: {type: Broken, message: "it is"}}
""",
    "wide": """\
id: wide
version: "1"
steps:
  - {id: each, type: decision, foreach: $.input.items, output: $.item}
""",
}


@dataclass(frozen=True)
class Place:
    """A deployment."""

    client: Client
    way: Way

    @property
    def hosts(self) -> LocalHosts:
        hosts = cast("RayConnection", self.way)._hosts
        assert isinstance(hosts, LocalHosts)
        return hosts

    @property
    def host_works(self) -> Works:
        """The inside of the host; of its thread."""
        works = self.hosts.host._works
        assert works is not None
        return works

    def key(self, id: str) -> ExecutionKey:
        return ExecutionKey("default", id)


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The session's deployment."""
    with deployment(tmp_path_factory.mktemp("live") / "blobs") as client:
        client.register_many([prepare(text) for text in DEFINITIONS.values()])
        yield Place(client, way_of(client))


@dataclass
class Server:
    """The application behind a real port."""

    port: int
    app: Any
    uvicorn: uvicorn.Server

    def socket(self, id: str, query: str = "", **options: Any) -> connect:
        """A socket to be entered."""
        return connect(
            f"ws://127.0.0.1:{self.port}/api/v1/ws/executions/{id}{query}",
            max_size=64 * 1024 * 1024,
            **options,
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api/v1"


@contextlib.asynccontextmanager
async def serving(connection: Callable[[], Way]) -> AsyncIterator[Server]:
    """An application of its own, at a free port."""
    app = create_app(connection)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", timeout_graceful_shutdown=2))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:
            assert not task.done(), task.result()
            await asyncio.sleep(0.01)
        try:
            yield Server(port, app, server)
        finally:
            server.should_exit = True
            await task


@pytest.fixture
async def server(place: Place) -> AsyncIterator[Server]:
    async with serving(lambda: place.way) as server:
        yield server


async def frame(socket: ClientConnection) -> dict[str, Any]:
    """The next frame."""
    async with asyncio.timeout(BOUND_S):
        told: dict[str, Any] = json.loads(await socket.recv())
    return told


async def until(socket: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Frames up to the first of a type, and that one."""
    frames = [await frame(socket)]
    while frames[-1]["type"] != kind:
        frames.append(await frame(socket))
    return frames


def seqs(frames: list[dict[str, Any]]) -> list[int]:
    """Of the events among frames."""
    return [each["seq"] for each in frames if each["type"] == "event"]


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=BOUND_S) as client:
        yield client
