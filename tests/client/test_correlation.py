"""What executions and events belong to, as their starters and publishers say it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.actors.client.client import Client
from heliostat.engine import errors
from heliostat.engine.journal.protocol import ExecutionQuery
from tests.client.inprocess import deployment

HEARS = """
id: hears
version: "1"
steps:
  - {id: paid, type: wait, event: order.paid,
     where: $.event.correlation_id == $.execution.correlation_id}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path) as client:
        client.register(HEARS)
        yield client


def start(client: Client, id: str, correlation_id: str) -> None:
    client.start("hears", id=id, correlation_id=correlation_id)


def test_an_event_finds_the_execution_that_it_belongs_to(client: Client) -> None:
    start(client, "one", "order-1")
    start(client, "two", "order-2")
    client.publish("order.paid", {"n": 7}, correlation_id="order-2")
    assert client.get("two").result(timeout=60)["data"] == {"n": 7}
    assert client.get("one").status().status == "Waiting"
    client.publish("order.paid", {"n": 7})
    client.publish("order.paid", {"n": 8}, correlation_id="order-1")
    assert client.get("one").result(timeout=60)["data"] == {"n": 8}


def test_executions_are_found_by_it(client: Client) -> None:
    start(client, "one", "order-1")
    start(client, "two", "order-2")
    query = ExecutionQuery(namespace="default", correlation_id="order-2", count=True)
    page = asyncio.run(client._ways.awaited.executions(query))
    assert [(row.key.execution_id, row.correlation_id) for row in page.rows] == [("two", "order-2")]
    assert page.total == 1


@pytest.mark.parametrize("wrong", ["", "x" * 201])
def test_one_that_is_none_is_refused(client: Client, wrong: str) -> None:
    with pytest.raises(errors.InputError, match="correlation_id"):
        client.publish("order.paid", correlation_id=wrong)
