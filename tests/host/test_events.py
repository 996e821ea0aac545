"""The event bus: everyone who waits hears of an event, once, in order, whatever is killed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.host.api import EventAccepted, PublishRequest, Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import answer
from heliostat.engine.errors import JournalUnavailable
from heliostat.engine.journal.protocol import BusEvent
from tests.host.support import (
    World,
    events_of,
    info_of,
    key_of,
    owner_of,
    publish,
    put,
    row_of,
    start,
    status,
)

HEARS = """
id: hears
version: "1"
vars: {seen: []}
output: $.vars.seen
steps:
  - id: hear
    type: wait
    event: order.paid
    assign: {seen: {append: $.output.data}}
    next:
      - {when: "len($.vars.seen) < $.input.count", to: hear}
      - {to: end}
"""

TELLS = """
id: tells
version: "1"
steps:
  - id: tell
    type: decision
    needs: []
    publish: [{event: order.paid, data: {by: $.execution.id}}]
"""

HANDLES = """
id: handles
version: "1"
handlers:
  - {event: order.paid, actions: [{cancel: {}}]}
steps:
  - {id: rest, type: timer, duration: 20m, needs: []}
"""


async def hearing(world: World, ids: Sequence[str], count: int = 1, **changes: Any) -> Any:
    host = world.host("h0", **changes)
    await put(host, HEARS, TELLS)
    await start(host, "hears", ids, input={"count": count})
    return host


class TestPublished:
    async def test_by_a_client_reaches_all_that_wait(self, any_world: World) -> None:
        ids = [f"x{n}" for n in range(20)]
        host = await hearing(any_world, ids)
        assert await publish(host, "order.paid", 7, id="e1") == EventAccepted(id="e1")
        for id in ids:
            assert (await any_world.ends(host, id)).output == [7]

    async def test_by_a_step_reaches_all_that_wait(self, any_world: World) -> None:
        host = await hearing(any_world, ["x", "y"])
        await start(host, "tells", ["t"])
        assert (await any_world.ends(host, "x")).output == [{"by": "t"}]
        assert (await any_world.ends(host, "y")).output == [{"by": "t"}]

    async def test_again_under_its_id_is_the_same_event(self, any_world: World) -> None:
        host = await hearing(any_world, ["x"], count=3)
        for n, id in enumerate(["e1", "e1", "e2", "e1", "e3"]):
            assert isinstance(await publish(host, "order.paid", n, id=id), EventAccepted)
        assert (await any_world.ends(host, "x")).output == [0, 2, 4]

    async def test_reaches_sleepers_in_the_order_of_the_bus(self, any_world: World) -> None:
        host = await hearing(
            any_world, ["x", "y"], count=30, bounds=HostBounds(idle_ms=0, bus_page=7, bus_keys=1)
        )
        for n in range(30):
            await publish(host, "order.paid", n, id=f"e{n}")
        assert (await any_world.ends(host, "x")).output == list(range(30))
        assert (await any_world.ends(host, "y")).output == list(range(30))

    async def test_reaches_more_than_are_read_or_on_their_way_at_once(self, world: World) -> None:
        ids = [f"x{n}" for n in range(60)]
        host = await hearing(
            world, ids, count=2, bounds=HostBounds(bus_keys=2, events_flying=3, turn_arrivals=2)
        )
        await publish(host, "order.paid", 1, id="e1")
        await publish(host, "order.paid", 2, id="e2")
        for id in ids:
            assert (await world.ends(host, id)).output == [1, 2]
        assert info_of(host).events_passed == 120

    async def test_before_an_execution_began_is_not_for_it(self, world: World) -> None:
        host = await hearing(world, ["x"])
        await publish(host, "order.paid", 1, id="e1")
        await world.ends(host, "x")
        await start(host, "hears", ["late"], input={"count": 1})
        await publish(host, "order.paid", 2, id="e2")
        assert (await world.ends(host, "late")).output == [2]

    async def test_of_another_type_or_namespace_reaches_nobody(self, world: World) -> None:
        host = await hearing(world, ["x"])
        await publish(host, "order.sent", 1, id="e1")
        other = PublishRequest(namespace="other", id="e2", name="order.paid")
        assert isinstance(answer(await host.publish(pack(other)), EventAccepted), EventAccepted)
        await world.clock.spend(10_000)
        assert info_of(host).events_passed == 0
        assert await events_of(world.journal, "x") == ["execution.started"]

    async def test_while_the_journal_does_not_answer_waits(self, world: World) -> None:
        host = await hearing(world, ["x"])
        await publish(host, "order.paid", 1, id="e1")
        world.journal.faults = ["unavailable"] * 5 + ["unknown after"]
        assert (await world.ends(host, "x")).output == [1]

    @pytest.mark.parametrize("call", ["bus", "awaiting", "advance_bus", "purge_bus"])
    async def test_goes_on_when_the_journal_can_be_read_again(
        self, world: World, call: str
    ) -> None:
        host = await hearing(world, ["x", "y"], count=3)
        usual, failures = getattr(world.journal._journal, call), 3

        async def failing(*arguments: Any, **named: Any) -> Any:
            nonlocal failures
            if failures:
                failures -= 1
                raise JournalUnavailable("the disk is away")
            return await usual(*arguments, **named)

        setattr(world.journal, call, failing)
        for n in range(3):
            await publish(host, "order.paid", n, id=f"e{n}")
            await world.clock.spend(3_000)
        assert (await world.ends(host, "x")).output == [0, 1, 2]
        assert (await world.ends(host, "y")).output == [0, 1, 2]
        await world.clock.spend(world.bounds.bus_purge_ms + 30_000)
        assert failures == 0
        assert set(await cursors(world)) == {3}

    async def test_too_large_is_refused(self, world: World) -> None:
        host = await hearing(world, ["x"])
        refusal = await publish(host, "order.paid", "x" * 70_000, id="e1")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "INVALID_INPUT"
        assert "64" in refusal.message or "65,536" in refusal.message

    async def test_wakes_a_handler(self, any_world: World) -> None:
        host = any_world.host("h0", bounds=HostBounds(idle_ms=0))
        await put(host, HANDLES)
        await start(host, "handles", ["x"])
        await publish(host, "order.paid", 1, id="e1")
        assert (await any_world.ends(host, "x")).status == "Canceled"


class TestRows:
    async def test_say_what_an_execution_awaits_until_it_ends(self, any_world: World) -> None:
        host = await hearing(any_world, ["x"])
        row = await any_world.journal.get_row(key_of("x"))
        assert row is not None
        assert row.awaits == ("order.paid",)
        await publish(host, "order.paid", 1, id="e1")
        await any_world.ends(host, "x")
        row = await any_world.journal.get_row(key_of("x"))
        assert row is not None
        assert row.awaits == ()


class TestCursor:
    async def test_does_not_move_before_the_event_has_arrived(self, world: World) -> None:
        host = await hearing(world, ["x"])
        world.journal.faults = ["unavailable"] * 8
        publishing = asyncio.ensure_future(publish(host, "order.paid", 1, id="e1"))
        await world.clock.until(lambda: world.journal.failed >= 6)
        assert set(await cursors(world)) == {0}
        await world.clock.until(publishing.done)
        await world.ends(host, "x")
        await world.clock.spend(2_000)
        assert set(await cursors(world)) == {1}

    async def test_is_saved_seldom_and_at_a_drain(self, world: World) -> None:
        host = await hearing(world, ["x"], count=100)
        saves = counted(world, "advance_bus")
        for n in range(50):
            await publish(host, "order.paid", n, id=f"e{n}")
        works = host._works
        assert works is not None
        await world.clock.until(lambda: works.pump.passed == 50 and not works.pump.flying)
        await asyncio.sleep(0)
        assert len(saves) <= 16
        draining = asyncio.ensure_future(host.drain(b"\x80"))
        await world.clock.until(draining.done)
        assert set(await cursors(world)) == {50}

    async def test_nothing_is_asked_while_nothing_happens(self, world: World) -> None:
        host = await hearing(world, ["x"])
        await world.clock.spend(2_000)
        reads = counted(world, "bus")
        await world.clock.spend(60_000)
        assert len(reads) <= 60_000 / world.bounds.bus_idle_ms + 1
        await publish(host, "order.paid", 1, id="e1")
        await world.ends(host, "x")

    async def test_events_leave_the_bus_after_their_time(self, world: World) -> None:
        host = await hearing(world, ["x"])
        purges = counted(world, "purge_bus")
        await publish(host, "order.paid", 1, id="e1")
        await world.clock.spend(2 * world.bounds.bus_purge_ms + 10_000)
        assert len(purges) == 2
        [first, _] = purges
        age_ms = world.clock.now_ms() - first["before_ms"]
        assert age_ms > world.bounds.bus_keep_ms


async def cursors(world: World) -> list[int]:
    return [await world.journal.bus_cursor(str(shard)) for shard in range(16)]


def counted(world: World, name: str) -> list[dict[str, Any]]:
    """The arguments of each later call of a method of the journal."""
    usual, calls = getattr(world.journal._journal, name), list[dict[str, Any]]()

    async def call(*arguments: Any, **named: Any) -> Any:
        calls.append(named)
        return await usual(*arguments, **named)

    setattr(world.journal, name, call)
    return calls


class TestKilled:
    @pytest.mark.parametrize("count", range(1, 7))
    async def test_whoever_waited_hears_of_each_event_once(self, world: World, count: int) -> None:
        """The host dies after every `count`-th commit, and its successors too, for a while."""
        await world.journal.put_definition(row_of(HEARS))
        ids = [f"x{n}" for n in range(4)]
        bounds = HostBounds(turn_arrivals=1)
        host = world.host("h0", bounds=bounds)
        await start(host, "hears", ids, input={"count": 5})
        await world.journal._journal.publish(
            [
                BusEvent(
                    id=f"e{n}",
                    namespace="default",
                    name="order.paid",
                    published_at_ms=1,
                    body=pack(n),
                )
                for n in range(5)
            ]
        )
        lives = 0
        while True:
            left = count if lives < 10 else 10_000

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
            if host.incarnation not in world.dead:
                break
            lives += 1
            host = world.host("h0", bounds=bounds)
        assert lives
        for id in ids:
            assert (await status(host, id)).output == [0, 1, 2, 3, 4]
            kinds = await events_of(world.journal, id)
            assert kinds.count("step.completed") == 5

    async def test_before_the_event_was_passed_on(self, any_world: World) -> None:
        first = await hearing(any_world, ["x"], bounds=HostBounds(idle_ms=0))
        await any_world.until(lambda: info_of(first).resident == 0)
        any_world.kill(first)
        await any_world.journal.publish(
            [
                BusEvent(
                    id="e1",
                    namespace="default",
                    name="order.paid",
                    published_at_ms=1,
                    body=pack(1),
                )
            ]
        )
        second = any_world.host("h0")
        assert (await any_world.ends(second, "x")).output == [1]


class TestSeveralHosts:
    async def test_hear_of_each_others_events(self, world: World) -> None:
        await world.journal.put_definition(row_of(HEARS))
        hosts = await world.two_hosts()
        ids = [f"x{n}" for n in range(20)]
        for id in ids:
            await start(owner_of(hosts, id), "hears", [id], input={"count": 1})
        began = world.clock.steady_ms()
        await publish(hosts[0], "order.paid", 1, id="e1")
        for id in ids:
            assert (await world.ends(owner_of(hosts, id), id)).output == [1]
        assert world.clock.steady_ms() - began < 2_000
        assert {owner_of(hosts, id).name for id in ids} == {"h0", "h1"}
