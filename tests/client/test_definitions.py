"""Definitions as clients list and delete them, over a real host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.engine import errors
from heliostat.engine.journal.protocol import DefinitionQuery
from tests.client.inprocess import deployment

PAY = "{id: pay, version: '1', name: Paying, steps: [{id: pause, type: wait, signal: go}]}"
ORDER = """
id: order
version: "1"
tags: {team: shop}
steps:
  - {id: pay, type: sub_workflow, workflow: pay}
"""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path) as client:
        yield client


def page(client: Client, **query: Any) -> Any:
    asked = DefinitionQuery(namespace="default", **query)
    return asyncio.run(client._ways.awaited.definitions_page(asked))


class TestRegistering:
    def test_says_whether_it_was_there(self, client: Client) -> None:
        assert not client.register(PAY).existed
        assert client.register(PAY).existed
        with pytest.raises(errors.Duplicate) as refused:
            client.register(PAY.replace("Paying", "Other"))
        assert "Other" in refused.value.details["difference"]


class TestListing:
    def test_the_newest_of_each_with_what_it_says(self, client: Client) -> None:
        client.register_many([PAY, ORDER])
        client.register(PAY.replace("'1'", "'2'"))
        found = page(client, count=True)
        assert [(row.id, row.version, row.name) for row in found.rows] == [
            ("pay", "2", "Paying"),
            ("order", "1", None),
        ]
        assert found.total == 2
        assert page(client, tag=("team", "shop")).rows[0].steps == 1
        assert page(client, filter="PAYI", versions=True, count=True).total == 2


class TestDeleting:
    def test_one_that_nothing_needs(self, client: Client) -> None:
        client.register(PAY)
        assert client.delete_definition("pay") == ("1",)
        assert page(client).rows == ()
        with pytest.raises(errors.NotFound):
            client.definition("pay")
        with pytest.raises(errors.NotFound):
            client.delete_definition("pay", "1")

    def test_one_that_another_calls_is_named(self, client: Client) -> None:
        client.register_many([PAY, ORDER])
        with pytest.raises(errors.Dependency) as refused:
            client.delete_definition("pay")
        assert refused.value.details["definitions"] == ["order@1"]
        assert "order@1" in str(refused.value)

    def test_one_that_goes_on_is_named(self, client: Client) -> None:
        client.register(PAY)
        handle = client.start("pay", id="going")
        with pytest.raises(errors.Dependency) as refused:
            client.delete_definition("pay")
        assert refused.value.details["executions"] == ["going"]
        handle.cancel()
        with pytest.raises(errors.ExecutionCanceled):
            handle.result(timeout=60)
        client.delete_definition("pay")

    @pytest.mark.parametrize("version", [None, "1"])
    def test_nothing_starts_with_it_until_it_is_registered_again(
        self, client: Client, version: str | None
    ) -> None:
        client.register(PAY)
        client.start("pay", version=version).cancel()
        self.delete_when_over(client)
        with pytest.raises(errors.NotFound):
            client.start("pay", version=version)
        assert not client.register(PAY).existed
        assert client.start("pay", version=version).status().status in ("Running", "Waiting")

    def test_its_histories_stay_readable(self, client: Client) -> None:
        client.register(PAY)
        handle = client.start("pay", id="old")
        handle.cancel()
        self.delete_when_over(client)
        assert [event["type"] for event in handle.history()][-1] == "execution.canceled"
        way = client._ways.awaited
        row = asyncio.run(way.definition_row("pay", "1", deleted=True))
        assert row.deleted_at_ms is not None
        with pytest.raises(errors.NotFound):
            asyncio.run(way.definition_row("pay", "1"))

    def test_its_number_is_not_given_to_other_content(self, client: Client) -> None:
        client.register(PAY)
        client.delete_definition("pay")
        with pytest.raises(errors.Duplicate, match="was registered"):
            client.register(PAY.replace("Paying", "Other"))

    def delete_when_over(self, client: Client) -> None:
        pause = threading.Event()
        for _ in range(200):
            try:
                client.delete_definition("pay")
            except errors.Dependency:
                pause.wait(0.02)
            else:
                return
        raise AssertionError("the canceled execution does not end")
