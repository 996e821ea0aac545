"""Attempts that are under way or have failed, over a real host."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.registration import Prepared
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.engine import errors
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import merge
from heliostat.engine.identity import ExecutionKey
from tests.client.inprocess import deployment

STEPS = """
id: steps
version: "1"
steps:
  - {id: bad, type: activity, activity: "m:bad", needs: [], retry: {max_attempts: 2, initial: 1ms},
     on_error: [{error: OSError, output: none}]}
  - {id: each, type: activity, activity: "m:bad", foreach: $.input, needs: [],
     completion: all_done, retry: {max_attempts: 1}}
  - {id: soon, type: activity, activity: "m:later", needs: [],
     retry: {max_attempts: 2, initial: 1h}}
  - {id: last, type: human, assignees: [ann], needs: [each, bad]}
"""


def breaks(assignment: Assignment) -> Any:
    return OSError("the disk is full")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path, breaks) as client:
        definition = parse_definition(STEPS)
        activities = {step.id: merge(step) for step in definition.steps if step.type == "activity"}
        client.register_many([Prepared(definition=definition, activities=activities, bundle=b"")])
        yield client


def told(client: Client, id: str) -> list[tuple[Any, ...]]:
    found = asyncio.run(client._ways.awaited.attempts(ExecutionKey("default", id)))
    return sorted(
        (each.step, each.status, each.attempt, each.item_index, each.task_type) for each in found
    )


def until(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(500):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it does not come to that")


def test_those_that_failed_and_those_that_come(client: Client) -> None:
    handle = client.start("steps", [1, 2], id="e")
    until(lambda: bool(client.tasks(execution_id="e")))
    until(lambda: ("soon", "Pending", 2, None, "activity") in told(client, "e"))
    assert told(client, "e") == [
        ("each", "Failed", 1, 0, "activity"),
        ("each", "Failed", 1, 1, "activity"),
        ("soon", "Pending", 2, None, "activity"),
    ]
    assert handle.status().status == "Waiting"


def test_of_one_that_is_not_there(client: Client) -> None:
    with pytest.raises(errors.NotFound):
        told(client, "nobody")
