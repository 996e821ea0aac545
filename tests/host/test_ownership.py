"""Whose shards: claims move, fences hold, and nothing is lost or recorded twice on the way."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from heliostat.actors.host.api import Refusal, Started
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.ownership import rendezvous
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import OwnerChanged
from tests.host.support import (
    CHAIN,
    HOLD,
    World,
    events_of,
    info_of,
    key_of,
    put,
    serving,
    start,
)

ALL = [
    "execution.started",
    "step.completed",
    "step.completed",
    "step.completed",
    "execution.completed",
]


async def start_anywhere(world: World, hosts: list[ExecutionHost], id: str) -> Started:
    """As a client does: ask one host, and go where it says."""
    for host in [*hosts, *hosts]:
        [answer] = await start(host, "chain", [id], input={"n": 1})
        if isinstance(answer, Started):
            return answer
        assert answer.code in ("NOT_OWNER", "OVERLOADED", "UNREACHABLE"), answer
    raise AssertionError("no host took it")


class TestRendezvous:
    def test_removing_a_name_moves_only_its_shards(self) -> None:
        names = ["h0", "h1", "h2"]
        before = {str(shard): rendezvous(str(shard), names) for shard in range(200)}
        after = {str(shard): rendezvous(str(shard), ["h0", "h2"]) for shard in range(200)}
        assert all(after[shard] == name for shard, name in before.items() if name != "h1")
        counts = Counter(before.values())
        assert min(counts.values()) > 40

    def test_nobody_lives(self) -> None:
        assert rendezvous("0", []) is None


class TestTwoHosts:
    async def test_share_the_shards(self, world: World) -> None:
        first = world.host("h0")
        await world.clock.until(lambda: len(serving(first)) == 16)
        second = world.host("h1")
        await world.clock.until(lambda: serving(first) and serving(second))
        await world.clock.until(lambda: len(serving(first)) + len(serving(second)) == 16)
        assert not serving(first) & serving(second)

    async def test_one_that_is_killed_is_succeeded(self, world: World) -> None:
        first, second = world.host("h0"), world.host("h1")
        await put(first, CHAIN)
        await world.clock.until(lambda: len(serving(first)) + len(serving(second)) == 16)
        world.runners.script = lambda _: HOLD
        for n in range(20):
            await start_anywhere(world, [first, second], f"x{n}")
        world.kill(first)
        world.runners.script = lambda each: (each.input or {}).get("n", 0) + 1
        for (key, at), each in list(world.runners.running.items()):
            world.runners.finish(key, at, each.input["n"] + 1)
        await world.clock.until(lambda: len(serving(second)) == 16)
        await world.clock.until(
            lambda: (
                world.stored
                and all(each.row.status == "Completed" for each in world.stored.values())
            )
        )
        for n in range(20):
            assert await events_of(world.journal, f"x{n}") == ALL
        assert set(world.runners.ran.values()) == {1}

    async def test_other_hosts_executions_are_refused_with_its_name(self, world: World) -> None:
        first, second = world.host("h0"), world.host("h1")
        await put(first, CHAIN)
        await world.clock.until(lambda: len(serving(first)) + len(serving(second)) == 16)
        await world.clock.spend(2_000)
        answers = [(await start(first, "chain", [f"x{n}"], input={"n": 1}))[0] for n in range(40)]
        refused = [each for each in answers if isinstance(each, Refusal)]
        assert refused
        assert len(refused) < 40
        assert {each.code for each in refused} == {"NOT_OWNER"}
        assert {each.details["owner"] for each in refused} == {"h1"}

    async def test_a_frozen_owner_changes_nothing_when_it_thaws(self, world: World) -> None:
        """Its turn was about to commit when another took the shard: the append is fenced."""
        first = world.host("h0")
        await put(first, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(first, "chain", ["x"], input={"n": 1})
        [(key, at)] = world.runners.running
        # Somebody claims every shard behind its back, as a host that took it for dead does.
        for row in await world.journal.shards():
            await world.journal.claim(row.shard, owner="somebody", after_epoch=row.epoch)
        world.runners.finish(key, at, 2)
        works = first._works
        assert works is not None
        await world.clock.until(lambda: not works.loop.residents.all)
        assert await events_of(world.journal, "x") == ["execution.started"]
        assert (key, at) in world.runners.held  # not acknowledged: the owner will hear of it
        # Nobody named "somebody" lives: the shards come back, and so does the report.
        world.runners.script = lambda each: each.input["n"] + 1
        await world.clock.until(lambda: info_of(first).ended == 1)
        assert await events_of(world.journal, "x") == ALL

    @pytest.mark.parametrize("seed", range(12))
    async def test_hosts_come_and_go(self, seed: int) -> None:
        """Killed, joined and drained at random moments: every history is whole, no step doubled."""
        chance = random.Random(seed)
        world = World()
        hosts = [world.host("h0"), world.host("h1")]
        await put(hosts[0], CHAIN)
        ids = [f"x{n}" for n in range(60)]
        pending = list(ids)
        number = 2
        while pending:
            id = pending.pop()
            starting = asyncio.ensure_future(start_anywhere(world, list(hosts), id))
            if chance.random() < 0.2:
                for _ in range(chance.randrange(12)):
                    await asyncio.sleep(0)
                victim = hosts.pop(0)
                if chance.random() < 0.3:
                    draining = asyncio.ensure_future(victim.drain(b"\x80"))
                    hosts.append(world.host(f"h{number}"))
                    await world.clock.until(draining.done)
                else:
                    world.kill(victim)
                    # The same name comes back, or another one.
                    name = victim.name if chance.random() < 0.5 else f"h{number}"
                    hosts.append(world.host(name))
                number += 1
            try:
                await world.clock.until(starting.done, within_ms=3_000)
                starting.result()
            except AssertionError:  # the host that was asked is dead: ask again, as a client does
                starting.cancel()
                pending.append(id)
        executions = world.stored
        await world.clock.until(
            lambda: all(each.row.status == "Completed" for each in executions.values())
        )
        assert len(executions) == len(ids)
        for id in ids:
            # A host may end between a commit and the dispatch: the next owner says so.
            events = await events_of(world.journal, id)
            assert [event for event in events if event != "owner.changed"] == ALL, id
        for host in world.hosts:
            assert info_of(host).faults == ()
        await world.close()


class TestRestart:
    async def test_the_same_name_claims_at_once(self, world: World) -> None:
        first = world.host("h0")
        await put(first, CHAIN)
        await world.clock.until(lambda: len(serving(first)) == 16)
        world.kill(first)
        began = world.clock.steady_ms()
        second = world.host("h0")
        await world.clock.until(lambda: len(serving(second)) == 16)
        assert world.clock.steady_ms() - began < 100
        assert {shard.epoch for shard in info_of(second).shards} == {2}

    async def test_a_silent_host_elsewhere_is_succeeded_after_the_bound(self, world: World) -> None:
        first = world.host("h1", node="elsewhere")
        await world.clock.until(lambda: len(serving(first)) == 16)
        first.abandon()
        began = world.clock.steady_ms()
        second = world.host("h0")
        await world.clock.until(lambda: len(serving(second)) == 16, within_ms=60_000)
        assert world.clock.steady_ms() - began >= world.bounds.silent_ms

    async def test_what_no_runner_knows_is_issued_again(self, world: World) -> None:
        first = world.host("h0")
        await put(first, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(first, "chain", ["x", "y"], input={"n": 1})
        world.kill(first)
        # The runner of x dies with the host; the one of y goes on.
        [name] = [each for each in world.runners.running if each[0] == key_of("x")]
        del world.runners.running[name]
        world.runners.script = lambda each: each.input["n"] + 1
        second = world.host("h0")
        await world.clock.until(lambda: info_of(second).ended == 1)
        changed = [
            decode_event(body) for _, body in await world.journal.read(key_of("x"), after_seq=0)
        ]
        assert [type(event) for event in changed].count(OwnerChanged) == 1
        assert await events_of(world.journal, "y") == ["execution.started"]
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        await world.clock.until(lambda: info_of(second).ended == 2)
        assert await events_of(world.journal, "y") == ALL

    async def test_a_result_that_came_while_nobody_listened(self, world: World) -> None:
        first = world.host("h0")
        await put(first, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(first, "chain", ["x"], input={"n": 1})
        world.kill(first)
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        world.runners.script = lambda each: each.input["n"] + 1
        second = world.host("h0")
        await world.clock.until(lambda: info_of(second).ended == 1)
        assert await events_of(world.journal, "x") == ALL
        assert set(world.runners.ran.values()) == {1}


class TestBeat:
    async def test_moves_while_idle(self, world: World) -> None:
        host = world.host()
        await world.clock.until(lambda: len(serving(host)) == 16)
        [before] = await world.journal.owners()
        await world.clock.spend(3_000)
        [after] = await world.journal.owners()
        assert after.beat_at_ms - before.beat_at_ms >= 2_000

    async def test_stands_still_while_a_turn_does(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await world.clock.until(lambda: len(serving(host)) == 16)
        world.journal.faults = ["unavailable"] * 100
        starting = asyncio.ensure_future(start(host, "chain", ["x"], input={"n": 1}))
        await world.clock.until(lambda: world.journal.failed)
        [before] = await world.journal.owners()
        await world.clock.spend(5_000)
        [after] = await world.journal.owners()
        assert after.beat_at_ms == before.beat_at_ms
        assert info_of(host).trouble is not None  # which is why nobody kills it
        world.journal.faults = []
        await world.clock.until(starting.done)


class TestDrain:
    async def test_gives_up_its_row_and_refuses_starts(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        draining = asyncio.ensure_future(host.drain(b"\x81\xa7wait_ms\xcd\x03\xe8"))
        await world.clock.until(draining.done)
        assert info_of(host).state == "stopped"
        assert world.dispatches["h0"].closed

    async def test_waits_for_attempts_as_long_as_told(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(host, "chain", ["x"], input={"n": 1})
        draining = asyncio.ensure_future(host.drain(b"\x81\xa7wait_ms\xcd\x03\xe8"))
        await world.clock.spend(100)
        assert not draining.done()
        [refusal] = await start(host, "chain", ["y"], input={"n": 1})
        assert isinstance(refusal, Refusal)
        assert refusal.code == "OVERLOADED"
        began = world.clock.steady_ms()
        await world.clock.until(draining.done)
        assert world.clock.steady_ms() - began < 1_000
        assert info_of(host).resident == 1  # it goes on with the next owner
