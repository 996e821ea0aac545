"""Runners and launched steps on a node without a host: stopped, killed, and lost with their node.

One host with a SQLite file, which feeds runners of both nodes: those of the other by Ray calls.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.cluster.config import Configuration
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import down, up
from heliostat.cluster.queue import deployment_queue
from tests.cluster.conftest import Place
from tests.cluster.histories import History, read_effects
from tests.cluster.test_many_hosts import BOUND_S, until
from tests.nodes.conftest import CPUS, Nodes

pytestmark = pytest.mark.long

TINY, HEAVY = 60, 8

DEFINITION = """
id: {id}
version: "1"
steps:
  - {{id: a, type: activity, activity: "far_steps:work", {fields} next: b, input: {input}}}
  - {{id: b, type: activity, activity: "far_steps:work", {fields} input: {input}}}
"""
INPUT = "{ledger: $.input.ledger, seconds: $.input.seconds}"

STEPS = """
import os
import time

import heliostat as hs
import ray


def note(file, line):
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\\n".encode())
    finally:
        os.close(descriptor)


def work(ledger, seconds):
    current = hs.current()
    note(ledger, f"{current.idempotency_key} {current.attempt}")
    note(f"{ledger}.where", f"{ray.get_runtime_context().get_node_id()} {os.getpid()}")
    time.sleep(seconds)
"""


@pytest.fixture(scope="module")
def configuration(nodes: Nodes) -> Iterator[Configuration]:
    home = Path(tempfile.mkdtemp(prefix="hs-"))
    (home / "far_steps.py").write_text(STEPS)
    for id, fields in (
        ("tiny", ""),
        ("heavy", "resources: {num_cpus: 0.5},"),
        ("whole", f"resources: {{num_cpus: {CPUS}}},"),
    ):
        (home / f"{id}.yaml").write_text(DEFINITION.format(id=id, fields=fields, input=INPUT))
    made: Configuration = msgspec.structs.replace(
        Place(home).configuration, ray_address=nodes.address, drain_timeout_ms=1_000
    )
    up(made)
    try:
        with attach(made) as client:
            client.register_many(home / f"{id}.yaml" for id in ("tiny", "heavy", "whole"))
        yield made
    finally:
        down(made)
        shutil.rmtree(home, ignore_errors=True)


def workers(ledger: Path, node: Any) -> set[int]:
    """The processes of the node in which steps had effects."""
    path = ledger.with_name(f"{ledger.name}.where")
    lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
    return {int(pid) for id, pid in lines if id == node.node_id}


def start(client: Client, definition: str, ledger: Path, count: int, seconds: float) -> Any:
    inputs = [{"ledger": str(ledger), "seconds": seconds}] * count
    return client.start_many(definition, inputs)


def check(client: Client, handles: Sequence[Handle], ledger: Path) -> int:
    """All have ended, each step is recorded once, and what ran twice is told by its history;
    returns how many attempts the histories tell of that were made again."""
    ended = {handle.id for handle in client.results(handles, timeout=BOUND_S)}
    assert ended == {handle.id for handle in handles}
    effects = read_effects(ledger)
    again = 0
    for handle in handles:
        history = History(handle.id, handle.history())
        assert history.completed() == {"a": 1, "b": 1}
        assert not list(history.faults(effects.pop(handle.id, Counter())))
        again += len(history.told_again)
    assert not effects
    return again


@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGKILL])
def test_a_runner_of_another_node_is_followed_by_another(
    configuration: Configuration, nodes: Nodes, tmp_path: Path, how: signal.Signals
) -> None:
    far, ledger = nodes.all[1], tmp_path / "ledger"
    with attach(configuration) as client:
        handles = start(client, "tiny", ledger, TINY, 0.1)
        until(lambda: workers(ledger, far))
        runners = {each.pid for each in nodes.living(far, "runner")}
        (victim,) = runners & workers(ledger, far)
        os.kill(victim, how)
        assert check(client, handles, ledger) >= 1
    until(lambda: victim not in {each.pid for each in nodes.living(far, "runner")})


def test_launched_steps_of_a_node_that_is_lost_run_elsewhere_and_leases_come_back(
    configuration: Configuration, nodes: Nodes, tmp_path: Path
) -> None:
    far, ledger = nodes.all[1], tmp_path / "ledger"
    with attach(configuration) as client:
        handles = start(client, "heavy", ledger, HEAVY, 1.0)
        until(lambda: workers(ledger, far))
        nodes.kill(far)
        assert check(client, handles, ledger) >= 1
        until(lambda: not [e for e in deployment_queue(configuration).held if e.kind == "attempt"])
        (whole,) = start(client, "whole", tmp_path / "whole", 1, 0.0)
        whole.result(BOUND_S)  # all of the node that is left can be had
