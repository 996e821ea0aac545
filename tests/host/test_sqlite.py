"""The host over the real SQLite journal: restarts with unfinished executions, and large ones."""

from __future__ import annotations

import asyncio
from pathlib import Path

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import SystemClock
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import CHAIN, HOLD, WIDE, World, events_of, info_of, put, start, status


async def until(condition: object, *, within_s: float = 60.0) -> None:
    end_at = asyncio.get_running_loop().time() + within_s
    while not condition():  # type: ignore[operator]
        assert asyncio.get_running_loop().time() < end_at
        await asyncio.sleep(0.005)


async def test_goes_on_after_a_restart(tmp_path: Path) -> None:
    journal = open_sqlite(tmp_path / "journal")
    world = World(journal=journal, clock=SystemClock(), script=lambda _: HOLD)
    first = world.host("h0")
    await put(first, CHAIN)
    await start(first, "chain", [f"x{n}" for n in range(30)], input={"n": 1})
    world.kill(first)
    await journal.close()

    world.journal._journal = journal = open_sqlite(tmp_path / "journal")
    for key, at in list(world.runners.running)[:15]:
        world.runners.finish(key, at, 2)  # while nobody listens
    for name in list(world.runners.running):
        del world.runners.running[name]  # these runners died too
    world.runners.script = lambda each: each.input["n"] + 1
    second = world.host("h0")
    await until(lambda: info_of(second).ended == 30)
    for n in range(30):
        events = [each for each in await events_of(journal, f"x{n}") if each != "owner.changed"]
        assert events == [
            "execution.started",
            "step.completed",
            "step.completed",
            "step.completed",
            "execution.completed",
        ]
    await second.drain(b"\x80")
    assert info_of(second).faults == ()
    await journal.close()


async def test_a_wide_execution_is_folded_from_its_snapshot(tmp_path: Path) -> None:
    journal = open_sqlite(tmp_path / "journal")
    world = World(
        journal=journal, clock=SystemClock(), bounds=HostBounds(snapshot_bytes=2_000, idle_ms=0)
    )
    held: set[int] = {1_999}
    world.runners.script = lambda each: HOLD if each.input["n"] in held else each.input["n"]
    first = world.host("h0")
    await put(first, WIDE)
    await start(first, "wide", ["x"], input={"items": list(range(2_000))})
    await until(lambda: len(world.runners.running) == 1)
    await until(lambda: info_of(first).reports_queued == 0)
    stored = await journal.load(("default", "x"))  # type: ignore[arg-type]
    assert stored is not None
    assert stored.snapshot is not None
    world.kill(first)
    second = world.host("h0")
    await until(lambda: info_of(second).resident == 1)
    [(key, at)] = world.runners.running
    world.runners.finish(key, at, 1_999)
    await until(lambda: info_of(second).ended == 1)
    view = await status(second, "x")
    assert view.output == list(range(2_000))
    await second.drain(b"\x80")
    await journal.close()
