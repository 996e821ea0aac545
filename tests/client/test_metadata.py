"""What people note about an execution, over a real host."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.actors.client.client import Client
from heliostat.engine import errors
from heliostat.engine.identity import ExecutionKey
from tests.client.inprocess import deployment

WAITS = "{id: waits, version: '1', steps: [{id: w, type: wait, signal: go, next: t},"
READS = (
    WAITS + " {id: t, type: decision,"
    " output: {seen: $.execution.metadata, of: $.execution.correlation_id}}]}"
)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path) as client:
        client.register(READS)
        yield client


def test_what_was_written_is_read_and_replaced_as_a_whole(client: Client) -> None:
    handle = client.start("waits")
    assert handle.metadata() == {}
    handle.set_metadata({"ticket": "T-1", "note": "äß"})
    assert handle.metadata() == {"ticket": "T-1", "note": "äß"}
    handle.set_metadata({"note": ""})
    assert handle.metadata() == {"note": ""}
    changes = [event for event in handle.history() if event["type"] == "metadata.changed"]
    assert len(changes) == 2


def test_expressions_see_it(client: Client) -> None:
    handle = client.start("waits")
    handle.set_metadata({"ticket": "T-1"})
    handle.signal("go")
    handle.result(timeout=60)
    done = [event["output"] for event in handle.history() if event["type"] == "step.completed"]
    assert done[-1] == {"seen": {"ticket": "T-1"}, "of": None}


def test_one_that_has_ended_can_still_be_noted_about(client: Client) -> None:
    handle = client.start("waits")
    handle.signal("go")
    handle.result(timeout=60)
    handle.set_metadata({"checked": "yes"})
    assert handle.metadata() == {"checked": "yes"}
    assert handle.status().status == "Completed"


async def test_a_repeated_request_is_one(client: Client) -> None:
    way = client._ways.awaited
    handle = await client.start_async("waits")
    key = ExecutionKey("default", handle.id)
    for metadata in ({"a": "1"}, {"a": "2"}):
        await way.set_metadata(key, metadata, request_id="r-1")
    assert await handle.metadata_async() == {"a": "1"}


@pytest.mark.parametrize(
    ("metadata", "told"),
    [
        ({str(n): "" for n in range(65)}, "65 entries"),
        ({"": "x"}, "a name of 0"),
        ({"n" * 201: "x"}, "a name of 201"),
        ({"big": "x" * 4_097}, "4,097"),
        ({str(n): "x" * 4_000 for n in range(17)}, "bytes"),
        ({"a": "\ud800"}, "surrogates"),
    ],
    ids=str,
)
def test_more_than_is_kept_is_refused(client: Client, metadata: dict[str, str], told: str) -> None:
    handle = client.start("waits")
    with pytest.raises(errors.InputError, match=told):
        handle.set_metadata(metadata)


def test_of_one_that_does_not_exist(client: Client) -> None:
    with pytest.raises(errors.NotFound):
        client.get("nobody").set_metadata({})
    with pytest.raises(errors.NotFound):
        client.get("nobody").metadata()
