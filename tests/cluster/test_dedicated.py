"""Dedicated executions on a real Ray: each in an actor of its own, whatever is killed.

One deployment for all, since its start takes longest; what is killed is said at each.
"""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray

from heliostat.actors import names
from heliostat.actors.client.actor import ExecutionActor
from heliostat.actors.client.client import Client
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import down, up
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Place

DEFINITIONS = [WORKFLOWS / f"{name}.yaml" for name in ("alone", "alone_child", "alone_parent")]


@pytest.fixture
def client(deployment: Place) -> Iterator[Client]:
    with attach(deployment.configuration) as client:
        client.register_many(DEFINITIONS)
        yield client


def eventually(condition: Callable[[], Any], what: str) -> Any:
    """What the condition says once it is true."""
    end_at = time.monotonic() + BOUND_S
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < end_at, f"it did not come true that {what}"
        time.sleep(0.05)


def ledger(folder: Path) -> Counter[str]:
    path = folder / "ledger"
    return Counter(path.read_text(encoding="utf-8").split()) if path.exists() else Counter()


def waits(client: Client, id: str) -> bool:
    return any(each["step"] == "ask" for each in client.get(id).status().active)


def process_of(actor: ExecutionActor) -> int:
    """The process that carries a dedicated execution, which is not the host's."""
    assert names.is_dedicated(actor.name), f"{actor.name} carries {actor.id}"
    return actor.info().pid


def living(part: str) -> list[str]:
    """The names of actors of dedicated executions."""
    found = ray.util.list_named_actors(all_namespaces=True)
    return [each["name"] for each in found if f"/{part}/" in each["name"]]


@ray.remote
def ask_from_a_task(actor: ExecutionActor) -> tuple[str, str, str]:
    """What another process does with the value that it was given."""
    before = actor.status().status
    actor.signal("go", 0.0)
    return before, actor.result(timeout=BOUND_S), actor.name


def test_an_execution_survives_its_actor_and_is_used_from_a_task_of_ray(
    client: Client, tmp_path: Path
) -> None:
    handle = client.start("alone", {"folder": str(tmp_path), "name": "a"}, id="ded-a")
    actor = client.actor("ded-a")
    eventually(lambda: waits(client, "ded-a"), "it waits for a signal")
    assert actor.is_dedicated
    assert actor.name.endswith("/execution/default/ded-a")
    first = process_of(actor)
    os.kill(first, signal.SIGKILL)
    before, output, name = ray.get(ask_from_a_task.remote(actor))
    assert (before, output) == ("Waiting", "a-last")
    assert name
    assert handle.result(timeout=BOUND_S) == "a-last"
    assert ledger(tmp_path) == {"a-first": 1, "a-last": 1}
    kinds = [event["type"] for event in actor.history() if event["type"] != "owner.changed"]
    assert kinds[0] == "execution.started"
    assert kinds[-1] == "execution.completed"
    assert len(kinds) == 5, "each step is recorded once"
    eventually(lambda: not living("execution"), "the actor of an ended execution is gone")
    assert actor.status().output == "a-last", "and it is read all the same"


def test_one_that_is_frozen_is_ended_and_goes_on(client: Client, tmp_path: Path) -> None:
    client.start("alone", {"folder": str(tmp_path), "name": "f"}, id="ded-f")
    actor = client.actor("ded-f")
    eventually(lambda: waits(client, "ded-f"), "it waits for a signal")
    frozen = process_of(actor)
    os.kill(frozen, signal.SIGSTOP)
    client.get("ded-f").signal("go", 0.0)
    assert client.get("ded-f").result(timeout=BOUND_S) == "f-last"
    assert ledger(tmp_path) == {"f-first": 1, "f-last": 1}


def test_parent_child_and_a_persons_task(client: Client, tmp_path: Path) -> None:
    handle = client.start("alone_parent", {"folder": str(tmp_path)}, id="ded-p")
    [task] = eventually(handle.tasks, "a person is asked")
    assert ledger(tmp_path) == {"child": 1}
    task.complete({"ok": True}, "ann")
    assert handle.result(timeout=BOUND_S) == {"ok": True, "completed_by": "ann"}
    rows = client.list(definition="alone_child").rows
    assert [row.shard for row in rows] == [f"execution:{row.key}" for row in rows]


def test_it_goes_on_when_the_host_dies_with_it(client: Client, tmp_path: Path) -> None:
    client.start("alone", {"folder": str(tmp_path), "name": "h"}, id="ded-h")
    eventually(lambda: waits(client, "ded-h"), "it waits for a signal")
    carrier = process_of(client.actor("ded-h"))
    [host] = client.info()["hosts"]
    os.kill(host["pid"], signal.SIGKILL)
    os.kill(carrier, signal.SIGKILL)
    client.get("ded-h").signal("go", 0.0)
    assert client.get("ded-h").result(timeout=BOUND_S) == "h-last"
    assert ledger(tmp_path) == {"h-first": 1, "h-last": 1}


def test_down_and_up_with_one_that_has_not_ended(guest: Configuration, tmp_path: Path) -> None:
    up(guest)
    with attach(guest) as client:
        client.register_many(DEFINITIONS)
        client.start("alone", {"folder": str(tmp_path), "name": "d"}, id="ded-d")
        eventually(lambda: waits(client, "ded-d"), "it waits for a signal")
    assert down(guest).was_up
    up(guest)
    with attach(guest) as client:
        client.get("ded-d").signal("go", 0.0)
        assert client.get("ded-d").result(timeout=BOUND_S) == "d-last"
    assert ledger(tmp_path) == {"d-first": 1, "d-last": 1}
