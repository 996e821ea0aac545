"""Following at a host: events are pushed by the commit that records them, and nothing grows."""

from __future__ import annotations

import asyncio

from heliostat.actors.calls import pack
from heliostat.actors.host.api import Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import FollowBatch, FollowRequest, answer
from tests.host.support import World, key_of, put, signal, start

WAITS = """
id: waits
version: "1"
steps:
  - {id: hear, type: wait, signal: go, needs: []}
"""


class Follower:
    """One who follows, and what was heard."""

    def __init__(self, host: ExecutionHost, id: str, after: int | None = 0) -> None:
        self.batches: list[FollowBatch | Refusal] = []
        self._stream = host.follow(pack(FollowRequest(key=key_of(id), after_seq=after)))
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for body in self._stream:
            self.batches.append(answer(body, FollowBatch))

    @property
    def seqs(self) -> list[int]:
        return [
            event["seq"]
            for batch in self.batches
            if isinstance(batch, FollowBatch)
            for event in batch.events
        ]

    @property
    def refused(self) -> str | None:
        last = self.batches[-1] if self.batches else None
        return last.code if isinstance(last, Refusal) else None


async def waiting(world: World, **bounds: int) -> ExecutionHost:
    host = world.host(bounds=HostBounds(**bounds))
    await put(host, WAITS)
    await start(host, "waits", ["x"])
    return host


async def test_a_commit_pushes_its_events_without_waiting_for_a_heartbeat(world: World) -> None:
    host = await waiting(world, heartbeat_ms=3_600_000, follow_ms=36_000_000)
    follower = Follower(host, "x")
    await world.clock.until(lambda: follower.seqs)
    before, at_ms = follower.seqs, world.clock.steady_ms()
    assert isinstance(follower.batches[0], FollowBatch)
    assert follower.batches[0].view is not None
    await signal(host, "x", "go")
    await world.clock.until(follower.task.done)
    assert world.clock.steady_ms() - at_ms < 60_000
    assert follower.seqs == list(range(1, len(follower.seqs) + 1))
    assert len(follower.seqs) > len(before)
    last = follower.batches[-1]
    assert isinstance(last, FollowBatch)
    assert last.ended


async def test_a_long_history_comes_in_pages(world: World) -> None:
    host = await waiting(world, follow_page=2)
    await signal(host, "x", "go")
    follower = Follower(host, "x")
    await world.clock.until(follower.task.done)
    sizes = [len(each.events) for each in follower.batches if isinstance(each, FollowBatch)]
    assert max(sizes) == 2
    assert follower.seqs == list(range(1, len(follower.seqs) + 1))


async def test_a_stream_ends_by_itself_when_nobody_says_that_he_is_gone(world: World) -> None:
    host = await waiting(world, follow_ms=60_000)
    follower = Follower(host, "x")
    await world.clock.until(lambda: follower.seqs)
    assert host._works is not None
    assert len(host._works.followers) == 1
    await world.clock.spend(70_000)
    await world.clock.until(follower.task.done)
    assert not len(host._works.followers)


async def test_there_is_a_bound_on_those_who_follow(world: World) -> None:
    host = await waiting(world, followers=1)
    first = Follower(host, "x")
    await world.clock.until(lambda: first.seqs)
    second = Follower(host, "x")
    await world.clock.until(second.task.done)
    assert second.refused == "OVERLOADED"
    first.task.cancel()


async def test_one_that_does_not_exist_is_refused(world: World) -> None:
    host = await waiting(world)
    follower = Follower(host, "nobody")
    await world.clock.until(follower.task.done)
    assert follower.refused == "NOT_FOUND"
