"""The variables of an execution, read while it goes on and after its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.engine import errors
from heliostat.engine.identity import ExecutionKey
from tests.client.inprocess import deployment

COUNTS = """
id: counts
version: "1"
vars: {n: 1, seen: []}
steps:
  - {id: w, type: wait, signal: go, assign: {n: "${ $.vars.n + 1 }", seen: {append: $.output.data}},
     next: again}
  - {id: again, type: wait, signal: go}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path) as client:
        client.register(COUNTS)
        yield client


def variables(client: Client, id: str) -> dict[str, Any]:
    return asyncio.run(client._ways.awaited.variables(ExecutionKey("default", id)))


def test_they_are_as_they_are_now_and_stay_after_the_end(client: Client) -> None:
    handle = client.start("counts", id="e")
    assert variables(client, "e") == {"n": 1, "seen": []}
    handle.signal("go", {"a": 1})
    assert variables(client, "e") == {"n": 2, "seen": [{"a": 1}]}
    handle.signal("go")
    handle.result(timeout=60)
    assert variables(client, "e")["n"] == 2


def test_of_one_that_is_not_there(client: Client) -> None:
    with pytest.raises(errors.NotFound):
        variables(client, "nobody")
