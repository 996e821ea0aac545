"""Executions go on with another version: whatever runs, rests, dies or breaks meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliostat.actors.host.api import Accepted, MigrateRequest, Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import pause
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.journal.protocol import DefinitionRow, ExecutionQuery
from heliostat.engine.kernel import codec
from tests.host.support import (
    HOLD,
    World,
    ask,
    events_of,
    history,
    info_of,
    key_of,
    publish,
    put_rows,
    rows_of,
    signal,
    start,
    status,
)

FIRST = """
id: flow
version: "1"
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: 1}, next: b}
  - {id: b, type: activity, activity: "work:b", input: {n: $.steps.a.output}}
"""

SECOND = """
id: flow
version: "2"
vars: {bonus: 100}
steps:
  - {id: first, type: decision, next: a}
  - {id: a, type: activity, activity: "work:a", input: {n: 1}, next: c}
  - {id: c, type: activity, activity: "work:c", input: {n: "${ $.steps.a.output + $.vars.bonus }"}}
"""

WITHOUT_A = """
id: flow
version: "3"
steps:
  - {id: c, type: activity, activity: "work:c", input: {n: 1}}
"""

WAITS = """
id: waits
version: "1"
steps:
  - {id: hear, type: wait, signal: go, next: end}
"""

WAITS_MORE = """
id: waits
version: "2"
steps:
  - {id: hear, type: wait, signal: go, next: paid}
  - {id: paid, type: wait, event: paid}
"""


def migrate(id: str, version: str | None = "2", message: str = "v", **more: Any) -> MigrateRequest:
    return MigrateRequest(key=key_of(id), message_id=message, version=version, **more)


async def begun(world: World, **bounds: Any) -> tuple[ExecutionHost, list[DefinitionRow]]:
    """An execution of the first version whose step `a` runs, and the versions."""
    world.runners.script = lambda _: HOLD
    host = world.host("h0", bounds=HostBounds(**bounds))
    versions = rows_of(FIRST, SECOND, WITHOUT_A)
    await put_rows(host, versions[0])
    await start(host, "flow", ["x"])
    await world.until(lambda: world.runners.running)
    return host, versions


def finish(world: World, output: int) -> None:
    [(key, at)] = world.runners.running
    world.runners.finish(key, at, output)


async def test_an_attempt_goes_on_and_its_result_is_taken(any_world: World) -> None:
    host, versions = await begun(any_world)
    await put_rows(host, *versions[1:])
    accepted = await ask(host, "migrate", migrate("x", reason="better"))
    assert accepted == Accepted(key=key_of("x"), status="Running")
    assert (await status(host, "x")).version == "2"
    finish(any_world, 5)
    await any_world.until(lambda: any_world.runners.running)
    finish(any_world, 7)
    end = await any_world.ends(host, "x")
    assert (end.status, end.version, end.output) == ("Completed", "2", 7)
    ran = {(step, attempt) for _, step, attempt in any_world.runners.ran}
    assert ran == {("a", 1), ("c", 1)}
    told = await history(host, "x")
    moved = next(each for each in told if each["type"] == "execution.migrated")
    assert (moved["from_version"], moved["version"]) == ("1", "2")
    assert (moved["reason"], moved["variables"]) == ("better", {1: {"bonus": 100}})
    query = ExecutionQuery(namespace="default", definition="flow", version="2")
    assert len((await any_world.journal.list_executions(query)).rows) == 1
    assert [each["activated"][0]["step"] for each in told if "activated" in each] == ["a", "c"]


async def test_once_for_its_id(world: World) -> None:
    host, versions = await begun(world)
    await put_rows(host, *versions[1:])
    first = await ask(host, "migrate", migrate("x"))
    assert await ask(host, "migrate", migrate("x")) == first
    assert (await events_of(world.journal, "x")).count("execution.migrated") == 1


async def test_without_a_version_it_is_the_one_registered_last(world: World) -> None:
    host, versions = await begun(world)
    await put_rows(host, versions[1])
    assert isinstance(await ask(host, "migrate", migrate("x", None)), Accepted)
    assert (await status(host, "x")).version == "2"


class TestRefused:
    async def test_what_does_not_map_is_named_with_its_place(self, world: World) -> None:
        host, versions = await begun(world)
        await put_rows(host, *versions[1:])
        before = await events_of(world.journal, "x")
        for dry_run in (True, False):
            refused = await ask(host, "migrate", migrate("x", "3", dry_run=dry_run))
            assert isinstance(refused, Refusal)
            assert refused.code == "UNMAPPED"
            assert refused.details["obstacles"] == [
                {"place": "step `a`", "reason": "is running and is not in version 3"}
            ]
            assert "step `a` is running and is not in version 3" in refused.message
        assert await events_of(world.journal, "x") == before
        assert isinstance(await ask(host, "migrate", migrate("x", dry_run=True)), Accepted)
        assert await events_of(world.journal, "x") == before

    @pytest.mark.parametrize(
        ("id", "version", "code"),
        [("x", "9", "NOT_FOUND"), ("nobody", "2", "NOT_FOUND"), ("x", "1", "CONFLICT")],
    )
    async def test_what_is_not_there(self, world: World, id: str, version: str, code: str) -> None:
        host, versions = await begun(world)
        await put_rows(host, *versions[1:])
        refused = await ask(host, "migrate", migrate(id, version))
        assert isinstance(refused, Refusal)
        assert refused.code == code

    async def test_one_that_has_ended(self, world: World) -> None:
        host, versions = await begun(world)
        await put_rows(host, *versions[1:])
        world.runners.script = lambda _: 1
        finish(world, 1)
        await world.ends(host, "x")
        refused = await ask(host, "migrate", migrate("x"))
        assert isinstance(refused, Refusal)
        assert (refused.code, "Completed" in refused.message) == ("CONFLICT", True)


async def test_one_that_had_left_memory_waits_for_what_the_version_waits_for(
    any_world: World,
) -> None:
    host = any_world.host("h0", bounds=HostBounds(idle_ms=0))
    versions = rows_of(WAITS, WAITS_MORE)
    await put_rows(host, versions[0])
    await start(host, "waits", ["x"])
    await any_world.until(lambda: info_of(host).resident == 0)
    await put_rows(host, versions[1])
    assert isinstance(await ask(host, "migrate", migrate("x")), Accepted)
    await any_world.until(lambda: info_of(host).resident == 0)
    await publish(host, "paid", 3, id="e")  # it comes early; the version waits for it
    kept: list[str] = []

    async def look() -> None:
        while "event.kept" not in kept:
            kept[:] = await events_of(any_world.journal, "x")
            await pause(any_world.clock, 5)

    looking = asyncio.ensure_future(look())
    await any_world.until(looking.done)
    await signal(host, "x", "go")
    end = await any_world.ends(host, "x")
    assert (end.version, end.output["data"]) == ("2", 3)


async def test_a_host_that_dies_after_it_loses_nothing(world: World) -> None:
    host, versions = await begun(world)
    await put_rows(host, *versions[1:])
    assert isinstance(await ask(host, "migrate", migrate("x")), Accepted)
    world.kill(host)
    after = world.host("h0")
    await world.until(lambda: info_of(after).state == "running")
    world.runners.script = lambda assignment: assignment.input["n"] + 1
    if not world.runners.running:
        await world.until(lambda: len(world.runners.ran) > 1)
    else:
        finish(world, 5)
    end = await world.ends(after, "x")
    assert (end.status, end.version) == ("Completed", "2")
    assert (await events_of(world.journal, "x")).count("execution.migrated") == 1


@pytest.mark.parametrize("fault", ["unknown before", "unknown after", "unavailable"])
async def test_a_commit_that_breaks_moves_it_once(world: World, fault: str) -> None:
    host, versions = await begun(world)
    await put_rows(host, *versions[1:])
    world.journal.faults.append(fault)
    assert isinstance(await ask(host, "migrate", migrate("x")), Accepted)
    assert (await events_of(world.journal, "x")).count("execution.migrated") == 1
    finish(world, 5)
    await world.until(lambda: world.runners.running)
    finish(world, 7)
    assert (await world.ends(host, "x")).output == 7


async def test_a_history_is_folded_through_it_where_no_snapshot_can_be_read(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    host, versions = await begun(world, snapshot_bytes=1)
    await put_rows(host, *versions[1:])
    await ask(host, "migrate", migrate("x"))
    finish(world, 5)
    await world.until(lambda: world.runners.running)
    monkeypatch.setattr(codec, "SNAPSHOT_FORMAT", 99)
    world.kill(host)
    after = world.host("h0")
    await world.until(lambda: info_of(after).state == "running")
    view = await status(after, "x")
    assert (view.version, [each["step"] for each in view.active]) == ("2", ["c"])
