"""A client finds the host that has an execution, and hears of its end wherever it moves."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors import names
from heliostat.actors.client.client import Client
from heliostat.actors.client.registration import Prepared
from heliostat.actors.client.routes import Routes
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.actors.host.questions import Directory
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import merge
from heliostat.engine.errors import NotFound
from heliostat.engine.identity import ExecutionKey, shard_of
from tests.client.several import BOUND_S, Several, several
from tests.host.support import HOLD

CHAIN = """
id: chain
version: "1"
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: $.input.n}, next: b}
  - {id: b, type: activity, activity: "work:b", input: {n: $.steps.a.output}}
"""
WAITS = """
id: waits
version: "1"
steps:
  - {id: approved, type: wait, signal: go}
"""
COUNT = 60


def register(client: Client, text: str) -> None:
    """Without looking at functions: there are none."""
    definition = parse_definition(text)
    activities = {step.id: merge(step) for step in definition.steps if step.type == "activity"}
    client.register_many([Prepared(definition=definition, activities=activities, bundle=b"")])


def until(condition: Callable[[], Any]) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, "it did not come true in time"
        time.sleep(0.01)


class Work:
    """Steps that return at once, or are held until told."""

    def __init__(self) -> None:
        self.hold = False

    def __call__(self, assignment: Assignment) -> Any:
        return HOLD if self.hold else assignment.input["n"] + 1

    def let_go(self, world: Several) -> None:
        """What runs ends now."""
        self.hold = False

        def finish() -> None:
            runners = world.world.runners
            for (key, at), assignment in list(runners.running.items()):
                runners.finish(key, at, assignment.input["n"] + 1)

        world.inside(finish)


class TestStarts:
    def test_go_to_the_host_that_has_them(self, tmp_path: Path) -> None:
        with several(tmp_path) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            handles = client.start_many("chain", [{"n": n} for n in range(COUNT)])
            assert [handle.result(BOUND_S) for handle in handles] == [n + 2 for n in range(COUNT)]
            started = [host["started"] for host in client.info()["hosts"]]
            assert sum(started) == COUNT
            assert all(started)

    def test_follow_to_a_host_that_the_client_did_not_know(self, tmp_path: Path) -> None:
        with several(tmp_path, known=1) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            handles = client.start_many("chain", [{"n": n} for n in range(COUNT)])
            assert [handle.result(BOUND_S) for handle in handles] == [n + 2 for n in range(COUNT)]
            assert len(client.info()["hosts"]) == 2

    def test_are_taken_by_the_host_that_is_left(self, tmp_path: Path) -> None:
        with several(tmp_path) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            world.kill(0)
            handles = client.start_many("chain", [{"n": n} for n in range(COUNT)])
            assert [handle.result(BOUND_S) for handle in handles] == [n + 2 for n in range(COUNT)]


class TestEnds:
    """Nothing that a client waits for is lost, whichever host it waited at."""

    @pytest.mark.parametrize("how", ["kill", "drain", "join", "kill and begin again"])
    def test_come_from_the_host_that_took_over(self, tmp_path: Path, how: str) -> None:
        work = Work()
        with several(tmp_path, work) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            work.hold = True
            handles = client.start_many("chain", [{"n": n} for n in range(COUNT)])
            match how:
                case "kill":
                    world.kill(1)
                case "drain":
                    world.drain(1)
                case "join":
                    world.join(2)
                case _:
                    world.kill(1)
                    world.join(1)
            until(world.shared)
            work.let_go(world)
            assert [handle.result(BOUND_S) for handle in handles] == [n + 2 for n in range(COUNT)]
            ran = Counter(world.world.runners.ran)
            assert set(ran.values()) == {1}, "a step that runners held was run again"

    def test_of_one_that_somebody_else_started(self, tmp_path: Path) -> None:
        with several(tmp_path) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            ids = [f"x{n}" for n in range(8)]
            client.start_many("chain", [{"n": n} for n in range(8)], ids=ids)
            others = [client.get(id) for id in ids]
            assert [handle.result(BOUND_S) for handle in others] == [n + 2 for n in range(8)]
            with pytest.raises(NotFound):
                client.get("nobody").result(BOUND_S)


class TestRequests:
    def test_find_an_execution_that_moved(self, tmp_path: Path) -> None:
        with several(tmp_path) as (world, client):
            until(world.shared)
            register(client, WAITS)
            handles = client.start_many("waits", [None] * 16)
            world.kill(0)
            for handle in handles:
                handle.signal("go", 1)
            for handle in handles:
                handle.result(BOUND_S)
                assert handle.status().status == "Completed"


class TestDefinitions:
    @pytest.mark.parametrize("version", [None, "1"])
    def test_one_that_was_deleted_starts_at_no_host(
        self, tmp_path: Path, version: str | None
    ) -> None:
        with several(tmp_path) as (world, client):
            until(world.shared)
            register(client, CHAIN)
            for handle in client.start_many(
                "chain", [{"n": 1}] * 20, version=version
            ):  # all know it
                handle.result(timeout=BOUND_S)
            client.delete_definition("chain")
            found = client.start_many(
                "chain", [{"n": 1}] * 20, version=version, return_refusals=True
            )
            assert {type(each) for each in found} == {NotFound}


class TestRoutes:
    def test_what_a_host_says_replaces_what_was_known(self) -> None:
        first, second, third = (names.host_name("d", 1, index) for index in range(3))
        routes = Routes([first, second])
        key = ExecutionKey("default", "x")
        shard = shard_of(key, 16)
        routes.replace(Directory(shard_count=16, shards={shard: third}, hosts=(third,)))
        assert routes.of(key) == third
        assert routes.names == (third, first, second)
        routes.learn(key, second)
        assert routes.of(key) == second

    def test_an_actor_of_an_executions_own_is_asked_until_it_is_gone(self) -> None:
        host = names.host_name("d", 1, 0)
        key, other = ExecutionKey("default", "x"), ExecutionKey("default", "y")
        alone = names.execution_name("d", 1, key)
        routes = Routes([host])
        routes.learn(key, alone)
        assert (routes.of(key), routes.of(other)) == (alone, host)
        routes.gone(alone)
        assert routes.of(key) == host
