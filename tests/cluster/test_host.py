"""A host as a Ray actor: killed, frozen, gone with its name; each time the work goes on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from heliostat.actors import names, remote
from heliostat.actors.calls import unpack
from heliostat.actors.client.client import Client
from heliostat.actors.dispatch.opening import objects_settings
from heliostat.actors.host.questions import HostInfo
from heliostat.actors.objects.keeper import create_keeper, find_keeper
from heliostat.actors.settings import Settings
from heliostat.cluster.connect import attach
from heliostat.cluster.deployment import settings_of
from tests.cluster.conftest import BOUND_S, Shared

pytestmark = pytest.mark.long

NAPS = """
id: naps
version: "1"
steps:
  - {id: a, type: activity, activity: "naps:nap", input: {n: $.input.n}, next: b}
  - {id: b, type: activity, activity: "naps:nap", input: {n: $.steps.a.output}, next: c}
  - {id: c, type: activity, activity: "naps:nap", input: {n: $.steps.b.output}}
"""

CODE = """
import time

def nap(n):
    time.sleep(0.05)
    return n + 1
"""


@pytest.fixture
def client(deployment: Shared, tmp_path: Path) -> Iterator[Client]:
    (tmp_path / "naps.py").write_text(CODE)
    (tmp_path / "naps.yaml").write_text(NAPS)
    with attach(deployment.configuration) as client:
        client.register(tmp_path / "naps.yaml")
        yield client


@pytest.fixture
def settings(deployment: Shared) -> Settings:
    return settings_of(deployment.configuration, deployment.record)


def info_of(settings: Settings) -> HostInfo | None:
    """What the host says, or None while it does not answer."""
    import ray

    host = remote.find_host(settings, 0)
    if host is None:
        return None
    try:
        return unpack(ray.get(host.info.remote(), timeout=2), HostInfo)
    except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
        return None


def eventually(condition: Callable[[], object], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"did not happen: {what}"
        time.sleep(0.1)


def check_whole(client: Client, ids: list[str]) -> None:
    """Every history has each transition once, whatever happened on the way."""
    for id in ids:
        events = client.get(id).history()
        assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
        completed = [
            (event["at"]["step"], event["at"]["visit"])
            for event in events
            if event["type"] == "step.completed"
        ]
        assert completed == [("a", 1), ("b", 1), ("c", 1)], events
        assert [event["type"] for event in events].count("execution.completed") == 1


def begin(client: Client, prefix: str, count: int = 60) -> list[str]:
    ids = [f"{prefix}{n}" for n in range(count)]
    for id in ids:
        client.start("naps", {"n": 1}, id=id)
    return ids


class TestKilled:
    def test_work_goes_on_with_the_next_process(self, client: Client, settings: Settings) -> None:
        ids = begin(client, "killed")
        before = info_of(settings)
        assert before is not None
        os.kill(before.pid, signal.SIGKILL)
        for id in ids:
            assert client.get(id).result(timeout=BOUND_S) == 4
        after = info_of(settings)
        assert after is not None
        assert after.incarnation != before.incarnation
        assert {shard.epoch for shard in after.shards} > {
            shard.epoch for shard in before.shards
        } or (
            min(shard.epoch for shard in after.shards) > max(shard.epoch for shard in before.shards)
        )
        check_whole(client, ids)


class TestFrozen:
    def test_the_supervisor_kills_it_and_work_goes_on(
        self, client: Client, settings: Settings
    ) -> None:
        ids = begin(client, "frozen")
        before = info_of(settings)
        assert before is not None
        os.kill(before.pid, signal.SIGSTOP)
        for id in ids:
            assert client.get(id).result(timeout=BOUND_S) == 4
        after = info_of(settings)
        assert after is not None
        assert after.pid != before.pid
        check_whole(client, ids)


class TestStopped:
    def test_the_supervisor_ends_what_has_no_row_that_could_tell(
        self, client: Client, settings: Settings
    ) -> None:
        """Nobody but the supervisor looks after the keeper's process; steps go on without it."""
        import ray

        kept = objects_settings(settings)
        assert kept is not None
        create_keeper(kept)

        def pid() -> int | None:
            keeper = find_keeper(kept)
            assert keeper is not None
            try:
                found: int = ray.get(
                    keeper.__ray_call__.remote(lambda self: os.getpid()), timeout=2
                )
            except (ray.exceptions.RayActorError, ray.exceptions.GetTimeoutError):
                return None
            return found

        eventually(pid, "the keeper is there")
        stopped = pid()
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        eventually(lambda: pid() not in (None, stopped), "another process is the keeper")


class TestMissing:
    def test_host_gone_with_its_name_is_created_again(
        self, client: Client, settings: Settings
    ) -> None:
        import ray

        ids = begin(client, "gone")
        host = remote.find_host(settings, 0)
        ray.kill(host, no_restart=True)
        for id in ids:
            assert client.get(id).result(timeout=BOUND_S) == 4
        check_whole(client, ids)

    def test_supervisor_gone_with_its_name_is_created_again(
        self, client: Client, settings: Settings
    ) -> None:
        import ray

        eventually(lambda: info_of(settings), "the host answers")
        supervisor = remote.find_supervisor(settings)
        assert supervisor is not None
        ray.kill(supervisor, no_restart=True)
        eventually(
            lambda: remote.find_supervisor(settings) is not None, "the host creates a supervisor"
        )


def test_actors_have_the_names_that_clients_look_for(client: Client, settings: Settings) -> None:
    import ray

    found = {
        each["name"]
        for each in ray.util.list_named_actors(all_namespaces=True)
        if each["namespace"] == names.NAMESPACE
    }
    assert names.host_name(settings.deployment, settings.generation, 0) in found
    assert names.supervisor_name(settings.deployment, settings.generation) in found
