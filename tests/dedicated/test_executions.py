"""Dedicated executions: started once, carried by one actor, whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.host.api import Accepted, MigrateRequest, Refusal, RetryRequest, Started
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.questions import Located, answer
from heliostat.engine.identity import dedicated_shard
from tests.dedicated.support import DedicatedWorld, actor_name, dedicated
from tests.host.support import (
    CHAIN,
    HOLD,
    NAP,
    ONE,
    Listener,
    ask,
    asked,
    events_of,
    info_of,
    key_of,
    owner_of,
    plus_one,
    publish,
    put,
    put_rows,
    rows_of,
    serving,
    signal,
    start,
    status,
    watch,
)

HEARS = """
id: hears
version: "1"
isolation: dedicated
output: $.steps.go.output.data
steps:
  - {id: go, type: wait, event: order.paid}
"""

FAILS = """
id: fails
version: "1"
isolation: dedicated
steps:
  - {id: a, type: activity, activity: "work:a"}
"""

WAITS = """
id: waits
version: "1"
isolation: dedicated
steps:
  - {id: go, type: wait, signal: go, next: work}
  - {id: work, type: activity, activity: "work:a"}
"""


@pytest.fixture
async def world() -> AsyncIterator[DedicatedWorld]:
    made = DedicatedWorld(bounds=HostBounds(dedicated_linger_ms=5_000))
    yield made
    await made.close()
    for host in made.hosts:
        assert info_of(host).faults == ()


async def test_its_own_actor_carries_it_and_ends_with_it(world: DedicatedWorld) -> None:
    host = world.host()
    await put(host, dedicated(CHAIN))
    listener = Listener(host, "c")
    [told] = await start(host, "chain", ["a"], input={"n": 1}, client="c")
    assert isinstance(told, Started)
    await world.clock.until(lambda: "a" in listener.ended)
    assert listener.ended["a"].output == 4
    row = await world.journal.get_row(key_of("a"))
    assert row is not None
    assert row.shard == dedicated_shard(key_of("a"))
    assert world.made == [actor_name("a")]
    assert info_of(host).resident == 0
    assert all(count == 1 for count in world.runners.ran.values())
    await world.clock.until(lambda: world.actor(actor_name("a")) is None)
    assert [owner.name for owner in await world.journal.owners()] == ["h0"]
    await world.clock.spend(60_000)
    assert world.made == [actor_name("a")], "nobody makes it again"
    assert (await status(host, "a")).output == 4
    await listener.stop()


async def test_a_request_is_sent_on_to_the_actor_which_follows_it(world: DedicatedWorld) -> None:
    host = world.host()
    await put(host, WAITS)
    await start(host, "waits", ["a"])
    await world.clock.until(lambda: world.actor(actor_name("a")))
    await world.clock.until(lambda: serving(world.of("a")))
    await world.clock.spend(2 * world.bounds.look_ms)
    refusal = await signal(host, "a", "go")
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.details["owner"]) == ("NOT_OWNER", actor_name("a"))
    assert isinstance(await signal(world.of("a"), "a", "go"), Accepted)
    assert (await world.ends(host, "a")).status == "Completed"


async def test_one_that_is_moved_to_another_version_stays_with_its_actor(
    world: DedicatedWorld,
) -> None:
    world.runners.script = lambda _: HOLD
    host = world.host()
    later = WAITS.replace('version: "1"', 'version: "2"').replace('"work:a"}', '"work:a", next: b}')
    later += "  - {id: b, type: decision, output: 9}\n"
    first, second = rows_of(WAITS, later)
    await put_rows(host, first)
    await start(host, "waits", ["a"])
    await world.clock.until(lambda: world.actor(actor_name("a")))
    await world.clock.until(lambda: serving(world.of("a")))
    await put_rows(host, second)
    moved = MigrateRequest(key=key_of("a"), message_id="v", version="2")
    assert isinstance(await ask(world.of("a"), "migrate", moved), Accepted)
    assert isinstance(await signal(world.of("a"), "a", "go"), Accepted)
    await world.clock.until(lambda: world.runners.running)
    world.kill(world.of("a"))
    await world.clock.until(lambda: world.actor(actor_name("a")) is not None)
    [(key, at)] = world.runners.running
    world.runners.finish(key, at, 1)
    end = await world.ends(host, "a")
    assert (end.version, end.output) == ("2", 9)


@pytest.mark.parametrize("through_a_door", [True, False])
async def test_an_actor_that_dies_is_followed_by_one_that_finds_what_ran(
    world: DedicatedWorld, through_a_door: bool
) -> None:
    world.through_a_door = through_a_door
    host = world.host()
    await put(host, dedicated(ONE))
    world.runners.script = lambda _: HOLD
    await start(host, "one", ["a"])
    await world.clock.until(lambda: world.runners.running)
    world.kill(world.of("a"))
    await world.clock.until(lambda: world.actor(actor_name("a")))  # its guard has it made again
    [(key, at)] = world.runners.running
    world.runners.finish(key, at, 7)
    assert (await world.ends(host, "a")).output == 7
    assert list(world.runners.ran.values()) == [1]
    assert len(world.made) == 2


async def test_a_start_repeated_is_the_same_and_another_input_a_duplicate(
    world: DedicatedWorld,
) -> None:
    host = world.host()
    await put(host, dedicated(CHAIN))
    await start(host, "chain", ["a"], input={"n": 1})
    [again] = await start(host, "chain", ["a"], input={"n": 1})
    assert isinstance(again, Started)
    assert again.existed
    [other] = await start(host, "chain", ["a"], input={"n": 2})
    assert isinstance(other, Refusal)
    assert other.code == "DUPLICATE_ERROR"
    both = await asyncio.gather(
        *(asyncio.ensure_future(start(host, "chain", ["b"], input={"n": 1})) for _ in range(2))
    )
    assert sorted(answer.existed for [answer] in both) == [False, True]  # type: ignore[union-attr]
    assert (await world.ends(host, "b")).output == 4
    assert world.made.count(actor_name("b")) == 1


@pytest.mark.parametrize("dies", ["after the claim", "after the commit", "before the actor"])
async def test_a_host_that_dies_in_a_start_leaves_one_execution(
    world: DedicatedWorld, dies: str
) -> None:
    host = world.host()
    await put(host, dedicated(ONE))
    if dies == "after the claim":
        world.journal.faults = ["unavailable"] * 1_000
    elif dies == "before the actor":
        world.refuse = [RuntimeError("Ray is away")] * 1_000
    else:
        world.journal.stored = lambda batches: world.kill(host)
    starting = asyncio.ensure_future(start(host, "one", ["a"]))
    if dies == "after the claim":
        await world.clock.until(lambda: world.journal.failed >= 2)
    elif dies == "before the actor":
        await world.clock.until(starting.done)
        await world.clock.spend(20_000)
        assert info_of(host).faults, "it says that it cannot"
        host.figures.faults.clear()
    else:
        await world.clock.until(lambda: host.incarnation in world.dead)
    world.kill(host)
    starting.cancel()
    world.journal.faults, world.journal.stored, world.refuse = [], None, []
    second = world.host()
    if dies == "after the claim":
        [told] = await start(second, "one", ["a"])
        assert isinstance(told, Started)
        assert not told.existed
    assert (await world.ends(second, "a")).output == 1
    assert list(world.runners.ran.values()) == [1]


async def test_parents_and_children_of_both_kinds_tell_each_other(world: DedicatedWorld) -> None:
    parent = """
id: parent
version: "1"
steps:
  - {id: call, type: sub_workflow, workflow: chain, version: latest, input: {n: 1}, needs: []}
"""
    hosts = await world.two_hosts()
    await put(hosts[0], dedicated(CHAIN), parent)
    await put(hosts[0], dedicated(parent.replace("id: parent", "id: alone")))
    await put(hosts[0], CHAIN.replace("id: chain", "id: hosted"))
    await put(
        hosts[0],
        dedicated(
            parent.replace("id: parent", "id: mixed").replace("workflow: chain", "workflow: hosted")
        ),
    )
    for n, definition in enumerate(("parent", "alone", "mixed") * 3):
        id = f"p{n}"
        for host in hosts:
            [told] = await start(host, definition, [id])
            if isinstance(told, Started):
                break
    for n in range(9):
        assert (await world.ends(hosts[0], f"p{n}")).output == 4, n
    assert all(count == 1 for count in world.runners.ran.values())
    await world.clock.spend(120_000)
    assert await world.on_the_way() == []
    assert len(await world.journal.owners()) == 2, "every actor has ended"


async def test_a_retry_of_one_that_failed_brings_its_actor_back(world: DedicatedWorld) -> None:
    host = world.host()
    await put(host, FAILS)
    world.runners.script = lambda _: ValueError("no")
    listener = Listener(host, "c")
    await start(host, "fails", ["a"], client="c")
    await world.clock.until(lambda: "a" in listener.ended)
    await world.clock.until(lambda: world.actor(actor_name("a")) is None)
    world.runners.script = lambda _: 5
    request = RetryRequest(key=key_of("a"), message_id="t1")
    while world.actor(actor_name("a")) is None:  # as a client does, to whom nobody answers there
        refusal = await ask(host, "retry", request)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "NOT_OWNER"
        await world.clock.spend(500)
    assert isinstance(await ask(world.of("a"), "retry", request), Accepted)
    await watch(host, "c", ["a"])
    await world.clock.until(lambda: listener.ended["a"].run == 2)
    assert listener.ended["a"].output == 5
    await world.clock.until(lambda: world.actor(actor_name("a")) is None)
    await listener.stop()


async def test_it_hears_events_from_its_start_on_and_not_earlier_ones(
    world: DedicatedWorld,
) -> None:
    host = world.host()
    await put(host, HEARS)
    await publish(host, "order.paid", 1, id="e1")
    await start(host, "hears", ["a"])
    await world.clock.until(lambda: world.actor(actor_name("a")))
    await world.clock.until(lambda: serving(world.of("a")))
    await world.clock.spend(10_000)
    assert (await status(host, "a")).status == "Waiting"
    await publish(host, "order.paid", 2, id="e2")
    assert (await world.ends(host, "a")).output == 2


async def test_its_timers_wake_it(world: DedicatedWorld) -> None:
    host = world.host()
    await put(host, dedicated(NAP))
    await start(host, "nap", ["a"])
    assert (await world.ends(host, "a")).output == 1


async def test_an_actor_that_another_took_over_from_ends_and_does_not_claim_back(
    world: DedicatedWorld,
) -> None:
    host = world.host()
    await put(host, WAITS)
    await start(host, "waits", ["a"])
    await world.clock.until(lambda: world.actor(actor_name("a")))
    first = world.of("a")
    await world.clock.until(lambda: serving(first))
    second = world.carrier("heliostat/d/1/spare/x", key_of("a"))
    await world.clock.until(lambda: first.incarnation in world.left)
    await world.clock.spend(30_000)
    assert serving(second) == {dedicated_shard(key_of("a"))}
    assert isinstance(await signal(second, "a", "go"), Accepted)
    await world.ends(host, "a")


async def test_a_commit_through_the_door_with_an_unknown_outcome_is_found_out(
    world: DedicatedWorld,
) -> None:
    host = world.host()
    await put(host, dedicated(CHAIN))
    await start(host, "chain", ["a"], input={"n": 1})
    await world.clock.until(lambda: world.actor(actor_name("a")))
    world.journal.faults = ["unknown after", "unknown before", "unavailable", "unknown after"]
    assert (await world.ends(host, "a")).output == 4
    assert world.journal.failed >= 3
    kinds = [kind for kind in await events_of(world.journal, "a") if kind != "owner.changed"]
    assert kinds == ["execution.started", *["step.completed"] * 3, "execution.completed"]


async def test_spares_are_kept_and_carry_and_one_that_dies_is_followed(
    world: DedicatedWorld,
) -> None:
    host = world.host("h0", spares=2)
    await put(host, WAITS)
    await world.clock.until(lambda: len(world.made) == 2)
    await world.clock.spend(20_000)
    assert len(world.made) == 2, "as many as were asked for"
    spares = set(world.made)
    await start(host, "waits", ["a"])
    await world.clock.until(lambda: any(serving(world.actor(name)) for name in spares))  # type: ignore[arg-type]
    [carrier] = [name for name in spares if serving(world.actor(name))]  # type: ignore[arg-type]
    assert actor_name("a") not in world.made
    await world.clock.until(lambda: len(world.made) == 3)  # another waits in its place
    actor = world.actor(carrier)
    assert actor is not None
    world.kill(actor)
    world.restart(actor)  # as Ray does: it is a spare one again, and knows nothing
    again: list[str] = []

    def carried() -> bool:
        again[:] = [
            each.name
            for each in map(world.actor, dict.fromkeys(world.made))
            if each is not None and serving(each)
        ]
        return bool(again)

    await world.clock.until(carried)
    taken = world.actor(again[0])
    assert taken is not None
    assert isinstance(await signal(taken, "a", "go"), Accepted)
    await world.ends(host, "a")


async def test_above_the_bound_a_start_is_refused_before_it_is_durable() -> None:
    world = DedicatedWorld(bounds=HostBounds(dedicated=2))
    host = world.host()
    await put(host, WAITS)
    answers = await start(host, "waits", ["a", "b", "c"])
    refused = [answer for answer in answers if isinstance(answer, Refusal)]
    assert [answer.code for answer in refused] == ["OVERLOADED"]
    assert await world.journal.get_row(key_of("c")) is None
    await world.close()


async def test_it_goes_on_when_the_process_with_the_journal_dies_and_is_back(
    world: DedicatedWorld,
) -> None:
    host = world.host()
    await put(host, dedicated(CHAIN))
    world.runners.script = lambda _: HOLD
    await start(host, "chain", ["a"], input={"n": 1})
    await world.clock.until(lambda: world.runners.running)
    world.kill(host)
    [(key, at)] = world.runners.running
    world.runners.script = plus_one
    world.runners.finish(key, at, 2)  # with nobody to store it
    await world.clock.spend(3_000)
    second = world.host()
    assert (await world.ends(second, "a")).output == 4
    assert all(count == 1 for count in world.runners.ran.values())


async def test_whoever_asks_is_told_the_actor_and_its_guard_when_that_has_ended(
    world: DedicatedWorld,
) -> None:
    async def located(id: str) -> Located:
        found = answer(await asked(hosts[0], hosts[0].locate(pack(key_of(id)))), Located)
        assert isinstance(found, Located)
        return found

    hosts = await world.two_hosts()
    await put(hosts[0], WAITS, ONE)
    guard = owner_of(hosts, "a")
    await start(guard, "waits", ["a"])
    await start(owner_of(hosts, "b"), "one", ["b"])
    assert (await located("a")).dedicated
    await world.clock.until(lambda: world.actor(actor_name("a")))
    await world.clock.until(lambda: serving(world.of("a")))
    await world.clock.spend(2 * world.bounds.look_ms)
    assert await located("a") == Located(exists=True, carrier=actor_name("a"), dedicated=True)
    assert await located("b") == Located(exists=True, carrier=owner_of(hosts, "b").name)
    assert not (await located("nobody")).exists
    await signal(world.of("a"), "a", "go")
    await world.clock.until(lambda: world.actor(actor_name("a")) is None)
    await world.clock.spend(2 * world.bounds.look_ms)
    assert await located("a") == Located(exists=True, carrier=guard.name, dedicated=True)


async def test_when_its_guard_dies_the_next_one_sees_to_it(world: DedicatedWorld) -> None:
    hosts = await world.two_hosts()
    await put(hosts[0], WAITS)
    guard = owner_of(hosts, "a")
    [other] = [host for host in hosts if host is not guard]
    await start(guard, "waits", ["a"])
    await world.clock.until(lambda: world.actor(actor_name("a")))
    await world.clock.until(lambda: serving(world.of("a")))
    world.kill(world.of("a"))
    world.kill(guard)
    await world.clock.until(lambda: world.actor(actor_name("a")))
    assert isinstance(await signal(world.of("a"), "a", "go"), Accepted)
    assert (await world.ends(other, "a")).status == "Completed"
    listener = Listener(other, "c")
    await watch(other, "c", ["a"])
    await world.clock.until(lambda: "a" in listener.ended)
    await listener.stop()


async def test_an_id_that_retention_freed_may_be_started_again(world: DedicatedWorld) -> None:
    host = world.host()
    await put(host, dedicated(ONE))
    await start(host, "one", ["a"])
    await world.ends(host, "a")
    await world.clock.until(lambda: world.actor(actor_name("a")) is None)
    await world.clock.spend(5_000)
    purged = await world.journal.purge_executions(ended_before_ms=world.clock.now_ms())
    assert purged == 1
    assert all(row.shard.isdecimal() for row in await world.journal.shards())
    [told] = await start(host, "one", ["a"])
    assert isinstance(told, Started)
    assert not told.existed
    assert (await world.ends(host, "a")).output == 1
    assert sum(world.runners.ran.values()) == 2
