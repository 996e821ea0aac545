"""The door to a real host in this process: all of the way but Ray, which `tests/cluster` has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from heliostat.actors.client.client import Client
from heliostat.actors.client.proving import Proving
from heliostat.actors.client.registration import prepare
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.api.http.app import create_app
from heliostat.api.http.door import Way, way_of
from heliostat.verify.prover import Prover
from tests.client.inprocess import deployment

STEPS = '''\
"""Steps of the door's tests."""


def double(number: int) -> int:
    return number * 2
'''

HELLO = """\
id: hello
version: "1"
name: Says hello
steps:
  - {id: greet, type: decision, output: {text: "hello ${ $.input.name }"}}
"""

DEFINITIONS = {
    "hello": HELLO,
    "patient": """\
id: patient
version: "1"
steps:
  - {id: wait, type: wait, signal: go, next: done}
  - {id: done, type: decision, output: $.steps.wait.output}
""",
    "ask": """\
id: ask
version: "1"
steps:
  - id: check
    type: human
    name: Check the order
    candidates: ["group:credit", ann, ben]
    input: {order: $.input.order}
    form:
      type: object
      properties: {approved: {type: boolean}}
      required: [approved]
      additionalProperties: false
""",
    "wrong": """\
id: wrong
version: "1"
steps:
  - {id: fail, type: decision, fail: {type: Broken, message: "it ${ $.input.what }"}}
""",
    "twice": """\
id: twice
version: "1"
steps:
  - {id: first, type: wait, signal: go, next: second}
  - {id: second, type: wait, signal: go}
output: [$.steps.first.output.data, $.steps.second.output.data]
""",
    "mended": """\
id: mended
version: "1"
start: begin
steps:
  - {id: begin, type: decision, next: [{when: $.input.fine, to: wait}, {to: fail}]}
  - {id: wait, type: wait, signal: go}
  - {id: fail, type: decision, fail: {type: Broken, message: "no"}}
""",
    "fragile": """\
id: fragile
version: "1"
steps:
  - {id: work, type: activity, activity: "http_steps:double", input: {number: none}}
""",
    "counting": """\
id: counting
version: "1"
vars: {n: 1, big: null}
steps:
  - id: count
    type: decision
    output: 2
    assign: {n: "${ $.output }", big: [$.input.big]}
""",
    "paid": """\
id: paid
version: "1"
steps:
  - {id: wait, type: wait, event: order.paid, next: done}
  - {id: done, type: decision, output: $.steps.wait.output}
""",
    "calc": """\
id: calc
version: "1"
input_schema: {type: object, required: [number]}
steps:
  - {id: double, type: activity, activity: "http_steps:double", input: {number: $.input.number}}
""",
}


PROVER = Prover(time_max_ms=60_000)
"""With time enough: how long a proof takes says how busy the machine is. It is the session's, so
that each definition is proved once."""


def script(assignment: Assignment) -> Any:
    """What attempts do, without runners."""
    number = (assignment.input or {}).get("number")
    return 2 * number if isinstance(number, int) else TypeError(f"{number!r} is no number")


@dataclass(frozen=True)
class Place:
    """A deployment, and a folder in which modules are looked for."""

    home: Path
    client: Client
    way: Way


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """The session's deployment, with what the tests start."""
    home = tmp_path_factory.mktemp("door")
    (home / "http_steps.py").write_text(STEPS)
    with deployment(home / "blobs", script) as client:
        prepared = [prepare(text, code_path=[home]) for text in DEFINITIONS.values()]
        client.register_many(prepared)
        yield Place(home, client, way_of(client))


@pytest.fixture
def app(place: Place) -> FastAPI:
    """The door."""
    return create_app(lambda: place.way, code_path=[place.home], proving=Proving(PROVER))


class Door:
    """Asks the door, as a program does."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        if body is not None:
            more["json"] = body
        return await self.client.request(method, f"/api/v1{path}", **more)

    async def get(self, path: str, **params: Any) -> Any:
        """The body of an answer that must be a success."""
        answer = await self.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, *, status: int = 200, **more: Any) -> Any:
        """The body of an answer that must have the status."""
        answer = await self.ask("POST", path, body, **more)
        assert answer.status_code == status, answer.text
        return answer.json()

    async def start(self, definition: str, input: Any = None, **more: Any) -> str:
        """The id of an execution that was started."""
        body = {"definition_id": definition, "input": input, **more}
        return str((await self.post("/workflows", body, status=201))["workflow_id"])

    async def result(self, id: str) -> Any:
        return await self.get(f"/workflows/{id}/result", wait="30s")


@pytest.fixture
async def door(app: FastAPI) -> AsyncIterator[Door]:
    """A way to ask it."""
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Door(client)
