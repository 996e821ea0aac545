"""What leaves with time: executions, events of the bus, blobs; and what must not leave."""

from __future__ import annotations

import asyncio
import os
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from msgspec import msgpack
from msgspec.structs import replace

from heliostat.actors.calls import pack
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.actors.host.api import ExecutionView, Refusal, Started
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import answer
from heliostat.actors.host.retention import Retention
from heliostat.engine.errors import JournalUnavailable
from heliostat.engine.journal.blobs import FileBlobStore
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.naming import blobs_in
from heliostat.engine.journal.protocol import BusEvent
from heliostat.engine.values import Reference
from tests.host.support import (
    CHAIN,
    ONE,
    World,
    asked,
    key_of,
    owner_of,
    put,
    row_of,
    start,
    status,
)

DAY_MS = 24 * 3_600_000

PARENT = """
id: parent
version: "1"
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: $.input.n}, next: call}
  - id: call
    type: sub_workflow
    workflow: child
    version: "1"
    input: {n: $.steps.a.output}
    next: b
  - {id: b, type: activity, activity: "work:b", input: {n: $.steps.call.output}}
"""

CHILD = """
id: child
version: "1"
steps:
  - {id: c, type: activity, activity: "work:c", input: {n: $.input.n}, needs: []}
output: {passed: $.input.n, made: $.steps.c.output}
"""


def blob(name: str, namespace: str = "default") -> str:
    return f"{namespace}/{name * 64}"


def large(assignment: Assignment) -> Any:
    """Each step's output lies in a blob of its own."""
    return {"table": Reference(blob(assignment.code.step_id), "arrow", 1_000_000)}


async def named(world: World, letters: str) -> str:
    found = await world.journal.named_blobs([blob(letter) for letter in letters])
    return "".join(letter for letter in letters if blob(letter) in found)


async def is_there(host: ExecutionHost, id: str) -> bool:
    view = answer(await asked(host, host.status(pack(key_of(id)))), ExecutionView)
    return not isinstance(view, Refusal)


class TestNaming:
    """What an event refers to is named in the commit that stores it."""

    async def test_inputs_and_outputs_of_parent_and_child(self, any_world: World) -> None:
        world = any_world
        world.runners.script = large
        host = world.host("h0")
        await put(host, CHILD, PARENT)
        await start(host, "parent", ["x"], input={"n": Reference(blob("f"), "json", 70_000)})
        assert (await world.ends(host, "x")).status == "Completed"
        assert await named(world, "abcdef") == "abcf"

    async def test_a_child_keeps_what_its_parent_passed_on(self, world: World) -> None:
        world.runners.script = large
        host = world.host("h0")
        await put(host, CHILD, PARENT)
        await start(host, "parent", ["x"])
        await world.ends(host, "x")
        [child] = [key for key in world.stored if key != key_of("x")]
        rows = {key: await world.journal.get_row(key) for key in (key_of("x"), child)}
        assert rows[child].ended_at_ms <= rows[key_of("x")].ended_at_ms
        del world.stored[key_of("x")]
        world.journal._journal._blobs.drop({key_of("x")})
        assert await named(world, "abc") == "ac"  # the child's input and its own output

    async def test_small_values_name_nothing(self, world: World) -> None:
        host = world.host("h0")
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.ends(host, "x")
        assert not any(
            append.blobs
            for batches in world.journal.appends
            for batch in batches
            for append in batch.appends
        )

    @pytest.mark.parametrize("count", [1, 2, 3, 5])
    async def test_whatever_is_stored_is_named_when_the_host_dies(
        self, world: World, count: int
    ) -> None:
        """It dies after every `count`-th commit, and each history names all it refers to."""
        world.runners.script = large
        for text in (CHILD, PARENT):
            await world.journal.put_definition(row_of(text))
        host = world.host("h0")
        ids = [f"x{n}" for n in range(3)]
        await start(host, "parent", ids, input={"n": Reference(blob("f"), "json", 70_000)})
        lives = 0
        while True:
            left = count if lives < 12 else 10_000

            def stored(_: Any, host: ExecutionHost = host) -> None:
                nonlocal left
                left -= 1
                if left == 0:
                    world.kill(host)

            world.journal.stored = stored
            found = world.stored
            await world.clock.until(
                lambda host=host, found=found: (
                    host.incarnation in world.dead
                    or all(each.row.status == "Completed" for each in found.values())
                )
            )
            for key, each in found.items():
                refers = {name for body in each.events for name in blobs_in(body)}
                assert refers == world.journal._journal._blobs._of[key]
            if host.incarnation not in world.dead:
                break
            lives += 1
            host = world.host("h0")
        assert lives


class TestExecutions:
    async def test_are_deleted_when_their_time_is_over(self, any_world: World) -> None:
        bounds = HostBounds(keep_ms=200, retention_look_ms=50)
        host = any_world.host("h0", bounds=bounds)
        await put(host, ONE, CHAIN)
        await start(host, "one", ["x"])
        await any_world.ends(host, "x")
        if isinstance(any_world.clock, SystemClock):
            async with asyncio.timeout(60):
                while await is_there(host, "x"):  # noqa: ASYNC110 – another task deletes it
                    await asyncio.sleep(0.01)
        else:
            await any_world.clock.spend(400)
            assert not await is_there(host, "x")
        # the id is free again
        [started] = await start(host, "one", ["x"])
        assert isinstance(started, Started)
        assert not started.existed

    async def test_stay_for_ever_by_default(self, world: World) -> None:
        host = world.host("h0")
        await put(host, ONE)
        await start(host, "one", ["x"])
        await world.ends(host, "x")
        await world.clock.spend(100 * 60_000)
        assert await is_there(host, "x")

    async def test_in_parts_with_rests_between(self, world: World) -> None:
        bounds = HostBounds(keep_ms=1_000, purge_executions=3, retention_rest=9)
        host = world.host("h0", bounds=bounds)
        await put(host, ONE)
        await start(host, "one", [f"x{n}" for n in range(10)])
        await world.ends(host, "x9")
        calls: list[tuple[int, int]] = []
        usual = world.journal._journal.purge_executions

        async def purge(*, ended_before_ms: int, limit: int) -> int:
            await asyncio.sleep(0)
            count = await usual(ended_before_ms=ended_before_ms, limit=limit)
            calls.append((world.clock.steady_ms(), count))
            return int(count)

        world.journal.purge_executions = purge  # type: ignore[attr-defined]
        await world.clock.spend(2 * bounds.retention_look_ms)
        counts = [count for _, count in calls if count]
        assert counts == [3, 3, 3, 1]
        instants = [at for at, _ in calls[:4]]
        assert all(later - at >= 9 for at, later in pairwise(instants))

    async def test_only_the_host_of_shard_0_looks(self, world: World) -> None:
        world.bounds = HostBounds(keep_ms=1_000)
        hosts = await world.two_hosts()
        await put(hosts[0], ONE)
        ids = [f"x{n}" for n in range(20)]
        for id in ids:
            await start(owner_of(hosts, id), "one", [id])
        for id in ids:
            await world.ends(owner_of(hosts, id), id)
        await world.clock.spend(3 * world.bounds.retention_look_ms)
        assert sorted(host._works.retention.executions for host in hosts) == [0, 20]  # type: ignore[union-attr]

    async def test_a_journal_that_fails_is_asked_again(self, world: World) -> None:
        host = world.host("h0", bounds=HostBounds(keep_ms=1_000))
        await put(host, ONE)
        await start(host, "one", ["x"])
        await world.ends(host, "x")
        usual, failures = world.journal._journal.purge_executions, 3

        async def failing(**named: Any) -> int:
            nonlocal failures
            if failures:
                failures -= 1
                raise JournalUnavailable("the disk is away")
            return int(await usual(**named))

        world.journal.purge_executions = failing  # type: ignore[attr-defined]
        await world.clock.spend(2 * world.bounds.retention_look_ms)
        assert not await is_there(host, "x")


class TestBus:
    async def test_what_a_shard_was_not_told_stays(self, world: World) -> None:
        journal = world.journal._journal
        old = BusEvent(id="e1", namespace="default", name="paid", published_at_ms=1, body=b"")
        await journal.publish([old])
        retention = Retention(
            journal=journal, blobs=None, ownership=None, clock=world.clock, bounds=world.bounds
        )  # type: ignore[arg-type]  # who owns what is not asked
        for shard in range(16):
            assert await retention.purge_bus() == 0
            await journal.claim(str(shard), owner="h", after_epoch=0)
            await journal.advance_bus(str(shard), epoch=1, position=1)
        await journal.claim("execution:default/x", owner="h", after_epoch=0)  # is told nothing
        assert await retention.purge_bus() == 1
        assert await journal.bus(after_position=0) == []


def age(root: Path, name: str, by_ms: float) -> None:
    namespace, digest = name.split("/")
    instant = time.time() - by_ms / 1000
    os.utime(root / namespace / digest[:2] / digest, (instant, instant))


class TestBlobs:
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileBlobStore:
        return FileBlobStore(tmp_path)

    async def test_what_two_executions_name_goes_with_the_second(
        self, store: FileBlobStore, tmp_path: Path
    ) -> None:
        name, orphan, young = (store.put("default", body) for body in (b"table", b"o", b"y"))
        world = World(clock=SystemClock(), script=lambda _: Reference(name, "arrow", 5))
        host = world.host("h0", bounds=HostBounds(keep_ms=DAY_MS))
        await put(host, ONE)
        await start(host, "one", ["x", "y"])
        for id in ("x", "y"):
            await world.ends(host, id)
        for each in (name, orphan):
            age(tmp_path, each, DAY_MS + 1_000)
        retention = host._works.retention  # type: ignore[union-attr]
        retention._blobs = store
        assert await retention.sweep() == 1
        assert [store.exists(each) for each in (name, orphan, young)] == [True, False, True]
        for id, left in (("x", True), ("y", False)):
            execution = world.stored[key_of(id)]
            assert execution.row.ended_at_ms is not None
            await world.journal.purge_executions(
                ended_before_ms=execution.row.ended_at_ms + 1, limit=1
            )
            await retention.sweep()
            assert store.exists(name) == left
        await world.close()

    async def test_the_code_of_a_definition_stays(
        self, store: FileBlobStore, tmp_path: Path
    ) -> None:
        code = store.put("default", b"a bundle")
        row = row_of(ONE)
        fixed = msgpack.decode(row.compiled) | {"code": code}
        journal = MemoryJournal()
        await journal.put_definition(replace(row, compiled=msgpack.encode(fixed)))
        age(tmp_path, code, 10 * DAY_MS)
        world = World(journal=journal, clock=SystemClock())
        host = world.host("h0")
        await put(host, CHAIN)
        retention = host._works.retention  # type: ignore[union-attr]
        retention._blobs = store
        await world.until(lambda: retention._mine)
        assert await retention.sweep() == 0
        assert store.exists(code)
        await world.close()

    async def test_what_is_stored_again_meanwhile_stays(
        self, store: FileBlobStore, tmp_path: Path
    ) -> None:
        name = store.put("default", b"table")
        age(tmp_path, name, 2 * DAY_MS)
        world = World(clock=SystemClock())
        host = world.host("h0")
        await put(host, ONE)
        retention = host._works.retention  # type: ignore[union-attr]
        await world.until(lambda: retention._mine)
        retention._blobs = store
        usual = world.journal._journal.named_blobs

        async def asked_meanwhile(names: Any) -> frozenset[str]:
            found: frozenset[str] = await usual(names)
            store.put("default", b"table")  # a runner, whose report is not here yet
            return found

        world.journal.named_blobs = asked_meanwhile  # type: ignore[attr-defined]
        assert await retention.sweep() == 0
        assert store.exists(name)
        await world.close()


async def test_a_purged_execution_is_not_found(world: World) -> None:
    host = world.host("h0", bounds=HostBounds(keep_ms=1_000))
    await put(host, ONE)
    await start(host, "one", ["x"])
    assert (await status(host, "x")).status
    await world.ends(host, "x")
    await world.clock.spend(2 * 60_000)
    view = answer(await asked(host, host.status(pack(key_of("x")))), ExecutionView)
    assert isinstance(view, Refusal)
    assert view.code == "NOT_FOUND"
