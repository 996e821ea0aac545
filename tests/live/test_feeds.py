"""A host's feeds: commits are pushed as they are stored, and nothing grows without a bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.dispatch.protocol import Noticed
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import (
    FeedBatch,
    StoredPage,
    StoredRequest,
    Subscribe,
    Subscribed,
    answer,
)
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from tests.host.support import HOLD, ONE, World, info_of, key_of, put, signal, start

LOOP = """
id: loop
version: "1"
steps:
  - {id: hear, type: wait, signal: go, next: hear}
"""


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    yield made
    await made.close()
    for host in made.hosts:
        assert info_of(host).faults == ()


class Feed:
    """A client's feed, and what was heard."""

    def __init__(self, host: ExecutionHost, client: str = "c") -> None:
        self.batches: list[FeedBatch] = []
        self._stream = host.feed(pack(client))
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for body in self._stream:
            found = answer(body, FeedBatch)
            assert isinstance(found, FeedBatch)
            self.batches.append(found)

    def seqs(self, id: str) -> list[int]:
        """Of all events that were pushed of an execution."""
        return [
            seq
            for batch in self.batches
            for piece in batch.recorded
            if piece.key == key_of(id)
            for seq in range(piece.after_seq + 1, piece.after_seq + 1 + len(piece.bodies))
        ]

    @property
    def resyncs(self) -> int:
        return sum(batch.resync for batch in self.batches)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


async def subscribe(host: ExecutionHost, *ids: str, client: str = "c") -> Subscribed:
    keys = tuple(map(key_of, ids))
    found = answer(await host.subscribe(pack(Subscribe(client=client, keys=keys))), Subscribed)
    assert isinstance(found, Subscribed), found
    return found


async def looping(world: World, *ids: str, **bounds: int) -> ExecutionHost:
    host = world.host(bounds=HostBounds(**bounds))
    await put(host, LOOP)
    await start(host, "loop", list(ids))
    return host


async def go(host: ExecutionHost, id: str) -> None:
    """An event more."""
    await signal(host, id, "go", message=new_id())


async def stored(host: ExecutionHost, id: str) -> int:
    """How many events an execution has."""
    body = await host.stored(pack(StoredRequest(key=key_of(id))))
    found = answer(body, StoredPage)
    assert isinstance(found, StoredPage)
    return len(found.bodies)


async def test_commits_are_pushed_without_a_gap(world: World) -> None:
    host = await looping(world, "x", "y", heartbeat_ms=3_600_000)
    assert (await subscribe(host, "x")).unknown == ()
    before = await stored(host, "x")
    feed = Feed(host)
    for _ in range(5):
        await go(host, "x")
        await go(host, "y")
    last = await stored(host, "x")
    await world.clock.until(lambda: feed.seqs("x")[-1:] == [last])
    assert feed.seqs("x") == list(range(before + 1, last + 1))
    assert feed.seqs("y") == []
    await feed.stop()


async def test_what_is_not_followed_any_more_is_not_pushed(world: World) -> None:
    host = await looping(world, "x", "y")
    await subscribe(host, "x", "y")
    feed = Feed(host)
    await host.subscribe(pack(Subscribe(client="c", drop=(key_of("x"),))))
    await go(host, "x")
    await go(host, "y")
    await world.clock.until(lambda: feed.seqs("y"))
    assert feed.seqs("x") == []
    await feed.stop()


async def test_a_client_that_does_not_read_is_told_to_read_the_journal(world: World) -> None:
    host = await looping(world, "x", feed_bytes=2_000, client_linger_ms=3_600_000)
    await subscribe(host, "x")
    assert host._works is not None
    client = host._works.feeds._clients["c"]
    for _ in range(100):
        await go(host, "x")
        assert client.bytes <= 2_000
    assert client.resync
    feed = Feed(host)
    await world.clock.until(lambda: feed.resyncs)
    await go(host, "x")
    last = await stored(host, "x")
    await world.clock.until(lambda: feed.seqs("x")[-1:] == [last])
    await feed.stop()


async def test_one_that_does_not_read_holds_up_nobody_else(world: World) -> None:
    host = await looping(world, "x", feed_bytes=2_000, client_linger_ms=3_600_000)
    await subscribe(host, "x", client="deaf")
    await subscribe(host, "x", client="c")
    feed = Feed(host)
    before = await stored(host, "x")
    for _ in range(50):
        await go(host, "x")
    last = await stored(host, "x")
    await world.clock.until(lambda: feed.seqs("x")[-1:] == [last])
    assert feed.seqs("x") == list(range(before + 1, last + 1))
    assert feed.resyncs == 0
    await feed.stop()


async def test_a_stream_that_is_opened_again_asks_to_resync(world: World) -> None:
    host = await looping(world, "x")
    await subscribe(host, "x")
    first = Feed(host)
    await world.clock.until(lambda: first.batches)
    assert first.resyncs == 0
    second = Feed(host)
    await world.clock.until(lambda: second.resyncs and first.task.done())
    await second.stop()


async def test_a_client_that_is_gone_is_forgotten(world: World) -> None:
    host = await looping(world, "x", client_linger_ms=5_000)
    await subscribe(host, "x")
    feed = Feed(host)
    await world.clock.until(lambda: feed.batches)
    assert host._works is not None
    feeds = host._works.feeds
    await world.clock.spend(20_000)
    assert len(feeds) == 1
    await feed.stop()
    await world.clock.spend(20_000)
    assert len(feeds) == 0
    assert not feeds._clients


async def test_what_cannot_be_followed_is_named(world: World) -> None:
    host = await looping(world, "x", followed=2)
    found = await subscribe(host, "x", "nobody")
    assert found.unknown == (key_of("nobody"),)
    body = await host.subscribe(pack(Subscribe(client="c", keys=(key_of("a"), key_of("b")))))
    refused = answer(body, Subscribed)
    assert not isinstance(refused, Subscribed)
    assert refused.code == "OVERLOADED"


async def test_an_idle_execution_costs_nothing(world: World) -> None:
    host = await looping(world, "x", idle_ms=1_000)
    await subscribe(host, "x")
    feed = Feed(host)
    await world.clock.spend(20_000)
    assert host._works is not None
    assert host._works.loop.residents.all.get(key_of("x")) is None, "it left memory all the same"
    await go(host, "x")
    last = await stored(host, "x")
    await world.clock.until(lambda: feed.seqs("x")[-1:] == [last])
    await feed.stop()


async def test_another_owner_is_told_of(world: World) -> None:
    """The host hands its shards over: who follows is told to ask anew."""
    host = await looping(world, "x")
    await subscribe(host, "x")
    feed = Feed(host)
    await world.clock.until(lambda: feed.batches)
    assert host._works is not None
    host._works.feeds.shard_lost(lambda key: key == key_of("x"))
    await world.clock.until(lambda: any(batch.lost for batch in feed.batches))
    assert len(host._works.feeds) == 0
    await feed.stop()


async def test_notices_reach_those_who_follow(world: World) -> None:
    world.runners.script = lambda _: HOLD
    host = world.host()
    await put(host, ONE)
    await start(host, "one", ["x", "y"])
    await subscribe(host, "x")
    feed = Feed(host)
    await world.clock.until(lambda: len(world.runners.running) == 2)
    for key, at in world.runners.running:
        world.runners._report(Noticed(key=key, at=at, kind="progress", data={"rows": 3}))

    def heard() -> list[tuple[ExecutionKey, dict[str, Any]]]:
        return [each for batch in feed.batches for each in batch.notices]

    await world.clock.until(heard)
    ((key, notice),) = heard()
    assert key == key_of("x")
    assert notice.pop("at_ms") > 0
    where = {"scope": 1, "step": "a", "visit": 1, "attempt": 1}
    assert notice == {"kind": "progress", "data": {"rows": 3}, **where}
    await feed.stop()


async def test_notices_nobody_reads_are_left_out(world: World) -> None:
    host = await looping(world, "x", feed_notices=3)
    await subscribe(host, "x")
    assert host._works is not None
    for n in range(10):
        host._works.feeds.notice(key_of("x"), {"n": n})
    feed = Feed(host)
    await world.clock.until(lambda: feed.batches)
    assert [notice for _, notice in feed.batches[0].notices] == [{"n": n} for n in range(3)]
    await feed.stop()
