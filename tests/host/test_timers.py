"""Sleeping and waking: timers are never early, sleepers leave memory and come back."""

from __future__ import annotations

import pytest

from heliostat.actors.host.api import Accepted, Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.ownership import OwnedShard
from heliostat.actors.host.timers import Timers
from heliostat.engine.identity import ExecutionKey
from tests.host.support import (
    HOLD,
    LONG_NAP,
    NAP,
    World,
    cancel,
    events_of,
    history,
    info_of,
    key_of,
    put,
    start,
    status,
)


class TestTimers:
    async def test_wake_on_time_and_never_early(self, world: World) -> None:
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", ["x"])
        view = await status(host, "x")
        assert view.status == "Waiting"
        assert view.wake_at_ms == view.created_at_ms + 60_000
        await world.clock.until(lambda: info_of(host).ended == 1)
        [_, woke, *_] = await history(host, "x")
        assert view.wake_at_ms <= woke["at_ms"] <= view.wake_at_ms + 5

    async def test_beyond_the_horizon(self, world: World) -> None:
        host = world.host()
        await put(host, LONG_NAP)
        await start(host, "long_nap", ["x"])
        assert info_of(host).timers == 0  # only the journal knows it
        await world.clock.until(lambda: info_of(host).ended == 1, within_ms=2_400_000)
        view = await status(host, "x")
        assert view.ended_at_ms is not None
        assert 0 <= view.ended_at_ms - view.created_at_ms - 1_200_000 <= 5

    async def test_survive_the_host(self, world: World) -> None:
        first = world.host("h0")
        await put(first, NAP)
        await start(first, "nap", ["x"])
        world.kill(first)
        await world.clock.spend(30_000)
        second = world.host("h0")
        await world.clock.until(lambda: info_of(second).ended == 1)
        view = await status(second, "x")
        assert view.ended_at_ms is not None
        assert 60_000 <= view.ended_at_ms - view.created_at_ms <= 60_005

    async def test_due_while_no_host_lived(self, world: World) -> None:
        first = world.host("h0")
        await put(first, NAP)
        await start(first, "nap", ["x"])
        world.kill(first)
        await world.clock.spend(300_000)
        second = world.host("h0")
        began = world.clock.steady_ms()
        await world.clock.until(lambda: info_of(second).ended == 1)
        assert world.clock.steady_ms() - began < 1_000

    async def test_many_at_one_instant_need_many_pages(self) -> None:
        world = World(bounds=HostBounds(due_page=10, turn_stimuli=7, idle_ms=0))
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", [f"x{n}" for n in range(95)])
        await world.clock.until(lambda: info_of(host).ended == 95, within_ms=120_000)
        await world.close()

    async def test_a_clock_that_jumps_back_delays_and_is_counted(self, world: World) -> None:
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", ["x"])
        world.clock.wall_offset_ms -= 30_000
        await world.clock.spend(70_000)
        assert info_of(host).ended == 0  # by the journal's clock it is not time yet
        assert info_of(host).clock_jumps == 1
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert (await history(host, "x"))[-1]["seq"] == len(await history(host, "x"))

    async def test_a_clock_that_jumps_ahead_wakes(self, world: World) -> None:
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", ["x"])
        world.clock.wall_offset_ms += 60_000
        began = world.clock.steady_ms()
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert world.clock.steady_ms() - began < 2_000
        assert info_of(host).clock_jumps == 1


class TestHeap:
    """`Timers` alone, against what the index says."""

    def made(self) -> tuple[Timers, OwnedShard]:
        timers, shard = Timers(HostBounds(due_page=3, horizon_ms=100)), OwnedShard("0", 1, 1)
        timers.serve(shard)
        return timers, shard

    def test_later_instant_replaces_the_earlier(self) -> None:
        timers, shard = self.made()
        timers.take_page(shard, [], 100)
        timers.arm(key_of("x"), shard, 10)
        timers.arm(key_of("x"), shard, 20)
        assert list(timers.due(15, 10)) == []
        assert timers.next_ms == 20
        assert list(timers.due(20, 10)) == [key_of("x")]
        assert list(timers.due(99, 10)) == []

    def test_a_full_page_covers_up_to_its_last_instant(self) -> None:
        timers, shard = self.made()
        keys = [ExecutionKey("default", str(n)) for n in range(5)]
        timers.take_page(shard, [(1, keys[0]), (2, keys[1]), (3, keys[2])], 100)
        timers.arm(keys[3], shard, 3)  # the index has it; so will the next page
        assert len(timers) == 3
        assert list(timers.due(3, 10)) == keys[:3]
        assert timers.wanting(3) is shard
        timers.take_page(shard, [(3, keys[3])], 100)
        assert list(timers.due(3, 10)) == [keys[3]]

    def test_a_shard_that_is_gone_wakes_nobody(self) -> None:
        timers, shard = self.made()
        timers.take_page(shard, [(1, key_of("x"))], 100)
        timers.drop(shard)
        assert list(timers.due(10, 10)) == []
        assert len(timers) == 0


class TestHibernation:
    async def test_sleepers_leave_memory_and_come_back(self, world: World) -> None:
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", ["x", "y"])
        assert info_of(host).resident == 2
        await world.clock.spend(world.bounds.idle_ms + 1_000)
        assert info_of(host).resident == 0
        await world.clock.until(lambda: info_of(host).ended == 2)

    async def test_the_longest_idle_leave_first_when_too_many_rest(self) -> None:
        world = World(bounds=HostBounds(idle_max=3))
        host = world.host()
        await put(host, NAP)
        for n in range(10):
            await start(host, "nap", [f"x{n}"])
        assert info_of(host).resident == 3
        works = host._works
        assert works is not None
        assert set(works.loop.residents.all) == {key_of(f"x{n}") for n in (7, 8, 9)}
        await world.close()

    async def test_busy_ones_stay(self, world: World) -> None:
        host = world.host()
        world.runners.script = lambda _: HOLD
        await put(host, NAP)
        await start(host, "nap", ["x"])
        await world.clock.until(lambda: world.runners.running)
        await world.clock.spend(10 * world.bounds.idle_ms)
        assert info_of(host).resident == 1
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 1)
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert info_of(host).resident == 0

    async def test_cancel_reaches_a_sleeper(self, world: World) -> None:
        host = world.host()
        await put(host, LONG_NAP)
        await start(host, "long_nap", ["x"])
        await world.clock.spend(60_000)
        assert info_of(host).resident == 0
        answer = await cancel(host, "x")
        assert isinstance(answer, Accepted)
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert (await status(host, "x")).status == "Canceled"

    async def test_a_message_and_its_timer_in_one_turn(self, world: World) -> None:
        host = world.host()
        await put(host, NAP)
        await start(host, "nap", ["x"])
        await world.clock.spend(59_999)
        answer = await cancel(host, "x")
        assert isinstance(answer, Accepted)
        await world.clock.spend(10_000)
        assert (await events_of(world.journal, "x")).count("execution.canceled") == 1


class TestCancel:
    async def test_is_idempotent_by_its_id(self, world: World) -> None:
        host = world.host()
        world.runners.script = lambda _: HOLD
        await put(host, NAP.replace("60s", "1s"))
        await start(host, "nap", ["x"])
        await world.clock.until(lambda: world.runners.running)
        for _ in range(3):
            assert isinstance(await cancel(host, "x", "m1"), Accepted)
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert isinstance(await cancel(host, "x", "m1"), Accepted)
        assert (await events_of(world.journal, "x")).count("execution.cancel_requested") == 1

    async def test_of_one_that_ended(self, world: World) -> None:
        host = world.host()
        await put(host, NAP.replace("60s", "1s"))
        await start(host, "nap", ["x"])
        await world.clock.until(lambda: info_of(host).ended == 1)
        refusal = await cancel(host, "x")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "CONFLICT"

    async def test_of_one_that_never_was(self, world: World) -> None:
        host = world.host()
        refusal = await cancel(host, "x")
        assert isinstance(refusal, Refusal)
        assert refusal.code == "NOT_FOUND"

    @pytest.mark.parametrize("fault", ["unavailable", "unknown before", "unknown after"])
    async def test_through_a_failing_commit(self, world: World, fault: str) -> None:
        host = world.host()
        world.runners.script = lambda _: HOLD
        await put(host, NAP.replace("60s", "1s"))
        await start(host, "nap", ["x"])
        await world.clock.until(lambda: world.runners.running)
        world.journal.faults = [fault]
        assert isinstance(await cancel(host, "x"), Accepted)
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert (await events_of(world.journal, "x")).count("execution.cancel_requested") == 1
