"""A journal that fails for a while: nothing is lost or doubled, nothing leaves too early."""

from __future__ import annotations

import asyncio
import itertools
import random

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.host import loop
from heliostat.actors.host.api import StartMany, StartRequest
from heliostat.actors.host.bounds import HostBounds
from heliostat.engine.journal.memory import MemoryJournal
from tests.host.support import CHAIN, WIDE, World, events_of, info_of, key_of, put, start

ALL = [
    "execution.started",
    "step.completed",
    "step.completed",
    "step.completed",
    "execution.completed",
]


class TestEveryOutcomeAtEveryCommit:
    @pytest.mark.parametrize(
        "faults",
        [
            pytest.param(faults, id="+".join(fault or "none" for fault in faults))
            for faults in itertools.product(
                ("", "unavailable", "unknown before", "unknown after"), repeat=4
            )
            if any(faults)
        ],
    )
    async def test_history_is_whole(self, world: World, faults: tuple[str, ...]) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.journal.faults = list(faults)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert await events_of(world.journal, "x") == ALL
        assert set(world.runners.ran.values()) == {1}  # nothing was sent before its commit
        assert not world.runners.held  # and everything was acknowledged
        assert info_of(host).trouble is None

    @pytest.mark.parametrize("seed", range(20))
    async def test_with_many_at_once(self, seed: int) -> None:
        world = World(bounds=HostBounds(turn_stimuli=16, turn_starts=4))
        chance = random.Random(seed)
        host = world.host()
        await put(host, CHAIN)
        world.journal.faults = [
            chance.choice(["", "", "unavailable", "unknown before", "unknown after"])
            for _ in range(200)
        ]
        ids = [f"x{n}" for n in range(40)]
        await start(host, "chain", ids, input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == len(ids))
        for id in ids:
            assert await events_of(world.journal, id) == ALL
        assert world.journal.failed
        assert set(world.runners.ran.values()) == {1}
        assert info_of(host).faults == ()
        await world.close()


class TestDecidingAhead:
    """While a commit is on its way the next turn is decided, and nothing of it leaves."""

    async def test_starts_do_not_wait_for_a_commit_to_be_decided(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ahead: list[int] = []
        usual = loop.TurnLoop._decide_ahead

        def decide_ahead(turns: loop.TurnLoop) -> None:
            usual(turns)
            assert turns._ahead is not None
            ahead.append(len(turns._ahead.touched))

        monkeypatch.setattr(loop.TurnLoop, "_decide_ahead", decide_ahead)
        host = world.host()
        await put(host, CHAIN)
        world.journal.rounds = 6
        ids = [f"x{n}" for n in range(40)]
        started = []
        for id in ids:  # each comes by itself, as from forty clients
            one = StartRequest(key=key_of(id), definition="chain", input={"n": 1})
            call = host.start_many(pack(StartMany(client=None, starts=(one,))))
            started.append(asyncio.ensure_future(call))
            await asyncio.sleep(0)
        await world.clock.until(lambda: info_of(host).ended == len(ids))
        assert sum(ahead) > 0
        for id, task in zip(ids, started, strict=True):
            assert b"started" in await task
            assert await events_of(world.journal, id) == ALL
        assert set(world.runners.ran.values()) == {1}
        assert info_of(host).faults == ()


class TestUnavailable:
    async def test_trouble_is_visible_and_passes(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.journal.faults = ["unavailable"] * 10
        task = asyncio.ensure_future(start(host, "chain", ["x"], input={"n": 1}))
        await world.clock.until(lambda: world.journal.failed == 5)
        trouble = info_of(host).trouble
        assert trouble is not None
        assert "the disk is full" in trouble
        await world.clock.until(task.done)
        assert info_of(host).trouble is None

    async def test_opening_is_tried_again_and_says_why(self) -> None:
        world = World()
        tries = 0
        usual = world.host

        def failing() -> None:
            nonlocal tries
            tries += 1
            if tries < 4:
                raise OSError("no space left on device")

        host = usual()
        opened = host._open_parts

        async def open_parts(deliver: object) -> object:
            failing()
            return await opened(deliver)  # type: ignore[arg-type]

        host._open_parts = open_parts  # type: ignore[assignment]
        await world.clock.until(lambda: tries == 2)
        info = info_of(host)
        assert info.state == "opening"
        assert info.trouble == "OSError: no space left on device"
        await world.clock.until(lambda: info_of(host).state == "running")
        await world.close()


class TestContradiction:
    async def test_a_shard_that_miscounts_is_claimed_again(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["before"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        works = host._works
        assert works is not None
        shard = works.ownership.shards[works.ownership.shard_name(key_of("x"))]
        shard.next_position += 7  # a mistake of ours: the journal refuses the batch
        await start(host, "chain", ["x", "y", "z"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 4)
        for id in ("x", "y", "z"):
            assert await events_of(world.journal, id) == ALL
        assert works.ownership.shards[shard.name].epoch == 2
        assert set(world.runners.ran.values()) == {1}


class TestSnapshots:
    async def test_written_when_events_outgrow_them(self) -> None:
        world = World(bounds=HostBounds(snapshot_bytes=500))
        host = world.host()
        await put(host, WIDE)
        await start(host, "wide", ["x"], input={"items": list(range(200))})
        await world.clock.until(lambda: info_of(host).ended == 1)
        snapshots = [
            append.snapshot
            for batches in world.journal.appends
            for batch in batches
            for append in batch.appends
            if append.snapshot is not None
        ]
        events = sum(
            len(body)
            for batches in world.journal.appends
            for batch in batches
            for append in batch.appends
            for body in append.events
        )
        assert snapshots
        # Amortised: a snapshot costs at most what the events since the last one did.
        assert sum(len(snapshot.body) for snapshot in snapshots) <= 2 * events
        view = await host.status(pack(key_of("x")))
        assert b"Completed" in view
        await world.close()


def test_memory_journal_is_what_the_wrapper_wraps() -> None:
    assert isinstance(World().journal._journal, MemoryJournal)
