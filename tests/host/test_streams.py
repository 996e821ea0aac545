"""Result streams: every end is heard, a lost one can be asked for, nothing grows without bound."""

from __future__ import annotations

from heliostat.actors.host.api import Refusal, Started
from heliostat.actors.host.bounds import HostBounds
from tests.host.support import (
    CHAIN,
    HOLD,
    Listener,
    World,
    info_of,
    key_of,
    put,
    serving,
    start,
    watch,
)


class TestResults:
    async def test_speaks_at_once_and_every_second(self, world: World) -> None:
        host = world.host()
        await world.clock.until(lambda: info_of(host).state == "running")
        listener = Listener(host, "c")
        await world.clock.spend(10)
        assert len(listener.batches) == 1
        await world.clock.spend(5_000)
        assert len(listener.batches) >= 5
        assert not listener.ended
        await listener.stop()

    async def test_one_batch_carries_a_turn(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await world.clock.until(lambda: len(serving(host)) == 16)
        listener = Listener(host, "c")
        await start(host, "chain", [f"x{n}" for n in range(100)], input={"n": 1}, client="c")
        await world.clock.until(lambda: len(listener.ended) == 100)
        assert sum(bool(batch.ended) for batch in listener.batches) <= 5
        await listener.stop()

    async def test_each_client_hears_its_own(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        one, two = Listener(host, "one"), Listener(host, "two")
        await start(host, "chain", ["x"], input={"n": 1}, client="one")
        await start(host, "chain", ["y"], input={"n": 2}, client="two")
        await world.clock.until(lambda: one.ended and two.ended)
        assert set(one.ended) == {"x"}
        assert set(two.ended) == {"y"}
        await one.stop()
        await two.stop()

    async def test_a_newer_stream_ends_the_older_and_asks_to_resync(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        older = Listener(host, "c")
        await world.clock.until(lambda: older.batches)
        assert older.resyncs == 0
        newer = Listener(host, "c")
        await world.clock.until(lambda: older.closed and newer.batches)
        assert newer.resyncs == 1
        await newer.stop()

    async def test_ends_while_no_stream_is_open_are_kept(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1}, client="c")
        await world.clock.until(lambda: info_of(host).ended == 1)
        listener = Listener(host, "c")
        await world.clock.until(lambda: listener.ended)
        await listener.stop()

    async def test_a_client_that_never_comes_is_forgotten(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1}, client="c")
        assert info_of(host).clients == 1
        await world.clock.spend(world.bounds.client_linger_ms + 5_000)
        assert info_of(host).clients == 0


class TestOverflow:
    async def test_says_resync_and_watch_brings_all(self) -> None:
        world = World(bounds=HostBounds(stream_ends=10))
        host = world.host()
        await put(host, CHAIN)
        ids = [f"x{n}" for n in range(50)]
        await start(host, "chain", ids, input={"n": 1}, client="c")
        await world.clock.until(lambda: info_of(host).ended == 50)
        listener = Listener(host, "c")
        await world.clock.until(lambda: listener.resyncs)
        assert len(listener.ended) < 50
        for begin in range(0, 50, 10):  # as much as the buffer holds
            await watch(host, "c", ids[begin : begin + 10])
            await world.clock.until(lambda upto=begin + 10: len(listener.ended) >= upto)
        assert set(listener.ended) == set(ids)
        await listener.stop()
        await world.close()

    async def test_bytes_count_too(self) -> None:
        world = World(bounds=HostBounds(stream_bytes=1_000), script=lambda each: "long " * 100)
        host = world.host()
        from tests.host.support import ONE

        await put(host, ONE)
        await start(host, "one", [f"x{n}" for n in range(20)], client="c")
        await world.clock.until(lambda: info_of(host).ended == 20)
        listener = Listener(host, "c")
        await world.clock.until(lambda: listener.resyncs)
        await listener.stop()
        await world.close()

    async def test_too_many_watched_are_refused(self) -> None:
        world = World(bounds=HostBounds(watched=5), script=lambda _: HOLD)
        host = world.host()
        await put(host, CHAIN)
        answers = await start(
            host, "chain", [f"x{n}" for n in range(6)], input={"n": 1}, client="c"
        )
        assert all(isinstance(each, Refusal) and each.code == "OVERLOADED" for each in answers)
        answers = await start(host, "chain", ["x"], input={"n": 1}, client="c")
        assert isinstance(answers[0], Started)
        await world.close()


class TestWatch:
    async def test_one_that_ended_comes_at_once(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        listener = Listener(host, "c")
        answers = await watch(host, "c", ["x"])
        assert not answers.unknown
        await world.clock.until(lambda: listener.ended)
        assert listener.ended["x"].output == 4
        await listener.stop()

    async def test_one_that_runs_comes_when_it_ends(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(host, "chain", ["x"], input={"n": 1})
        listener = Listener(host, "c")
        await watch(host, "c", ["x"])
        world.runners.script = lambda each: each.input["n"] + 1
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        await world.clock.until(lambda: listener.ended)
        await listener.stop()

    async def test_unknown_ones_are_named(self, world: World) -> None:
        host = world.host()
        await world.clock.until(lambda: serving(host))
        answers = await watch(host, "c", ["nobody"])
        assert answers.unknown == (key_of("nobody"),)
