"""What a channel makes of pushes and pages in every order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import pytest

import heliostat as hs
from heliostat.actors.host.questions import StoredPage
from heliostat.api.live.channel import Channel
from heliostat.api.live.readers import Reader
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.plan.plan import Plan
from tests.engine.kernel.versions import plans_of
from tests.simulation.driven import Driven

LOOP = """\
id: loop
version: "1"
vars: {n: 0}
steps:
  - id: count
    type: decision
    output: $.vars.n
    assign: {n: '${ $.vars.n + 1 }'}
    next: [{to: count, when: '${ $.output < 20 }'}, {to: done}]
  - {id: done, type: decision}
"""


class Journal:
    """Answers reads when it is told to, with what there was when they came."""

    def __init__(self) -> None:
        result = hs.simulate(parse_definition(LOOP))
        self.history, self._plan = result.history, result.plan
        self.there = 0
        self.slow = asyncio.Event()
        self.slow.set()
        self.reads = 0

    async def stored(self, key: ExecutionKey, *, after: int, limit: int) -> StoredPage:
        self.reads += 1
        found = self.history[: self.there][after : after + limit]
        await self.slow.wait()
        bodies = tuple(msgspec.Raw(body) for body in found)
        return StoredPage(definition="loop", version="1", bodies=bodies, more=len(found) == limit)

    async def plan(self, namespace: str, id: str, version: str) -> tuple[Plan, str | None]:
        return self._plan, None


@pytest.fixture
async def journal() -> Journal:
    return Journal()


async def opened(journal: Journal, there: int) -> Channel:
    channel = Channel(ExecutionKey("default", "x"), lambda: journal)
    journal.there = there
    channel.followed = True
    await channel.catch_up()
    assert channel.seq == there
    return channel


async def until(channel: Channel, seq: int) -> None:
    async with asyncio.timeout(60):
        while channel.seq < seq:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)


async def test_a_push_that_comes_next_is_told_without_a_read(journal: Journal) -> None:
    channel = await opened(journal, 3)
    before = journal.reads
    channel.recorded(3, journal.history[3:6])
    channel.recorded(4, journal.history[4:7])  # some of it again
    channel.recorded(1, journal.history[1:3])  # all of it again
    assert channel.seq == 7
    assert journal.reads == before


async def test_a_gap_is_read(journal: Journal) -> None:
    channel = await opened(journal, 3)
    journal.there = 9
    channel.recorded(8, journal.history[8:9])
    await until(channel, 9)


async def test_a_push_while_an_older_page_is_on_its_way(journal: Journal) -> None:
    channel = await opened(journal, 3)
    journal.slow.clear()
    channel.read_on()
    await asyncio.sleep(0)  # the page is looked up, and empty
    journal.there = 5
    channel.recorded(3, journal.history[3:5])
    journal.slow.set()
    await until(channel, 5)


async def test_a_look_that_is_asked_for_while_an_older_page_is_on_its_way(
    journal: Journal,
) -> None:
    """Nothing was pushed: it was recorded between two subscriptions."""
    channel = await opened(journal, 3)
    journal.slow.clear()
    channel.read_on()
    await asyncio.sleep(0)
    journal.there = 5
    channel.read_on()
    journal.slow.set()
    await until(channel, 5)


async def test_who_catches_up_sees_what_was_there_before(journal: Journal) -> None:
    channel = await opened(journal, 3)
    journal.slow.clear()
    channel.read_on()
    await asyncio.sleep(0)
    journal.there = 6
    asking = asyncio.create_task(channel.catch_up())
    await asyncio.sleep(0)
    journal.slow.set()
    await asking
    assert channel.seq == 6


async def test_a_push_at_the_very_end_of_a_read(journal: Journal) -> None:
    """The read has returned, and nobody has been told so yet."""
    channel = await opened(journal, 3)
    reading = channel.read_on()
    told: list[int] = []

    def push(_: object) -> None:
        journal.there = 5
        channel.recorded(3, journal.history[3:5])
        told.append(1)

    await watch(reading, push)
    assert told
    await until(channel, 5)


async def watch(reading: asyncio.Task[None], push: Callable[[object], None]) -> None:
    """Push in the round in which the read returned: its callbacks run in the next."""
    while not reading.done():  # noqa: ASYNC110 - nothing tells earlier than callbacks do
        await asyncio.sleep(0)
    push(None)


MOVED = """
id: moved
version: "1"
steps:
  - {id: gone, type: decision, next: a}
  - {id: a, type: activity, activity: "m:f"}
"""
MOVED_TO = """
id: moved
version: "2"
steps:
  - {id: a, type: activity, activity: "m:f", next: b}
  - {id: b, type: decision, output: 9}
"""


class Moved(Journal):
    """The history of an execution that was moved to another version while a step ran."""

    def __init__(self) -> None:
        super().__init__()
        self.plans = plans_of([MOVED, MOVED_TO])
        run = Driven(self.plans["1"], None, seed=1, failing=0)
        run.migrate(self.plans["2"])
        run.finish()
        self.history = run.events

    async def plan(self, namespace: str, id: str, version: str) -> tuple[Plan, str | None]:
        return self.plans[version], f"version {version}"


@pytest.mark.parametrize("pushed_from", [1, 2, 3, 4])
async def test_one_that_is_moved_goes_on_with_the_later_plan(pushed_from: int) -> None:
    journal = Moved()
    channel = await opened(journal, pushed_from)
    journal.there = len(journal.history)
    channel.recorded(pushed_from, journal.history[pushed_from:])
    await until(channel, len(journal.history))
    assert channel.progress.plan.version == "2"
    steps = channel.progress.steps()
    assert {id: step["status"] for id, step in steps.items()} == {
        "gone": "Completed", "a": "Completed", "b": "Completed",
    }  # fmt: skip
    reader = Reader()
    told = [frame async for frame in channel.replay(reader, 0) if frame.kind == "event"]
    assert len(told) == len(journal.history)
