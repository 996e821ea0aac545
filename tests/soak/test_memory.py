"""A host keeps nothing of what has ended, and next to nothing of what sleeps.

What is counted is what our own code allocated and still holds (`tracemalloc`), after a warm-up, in
a real host on a real SQLite file: sharper than the memory of a process, which has the caches of
SQLite and the allocator's spare room in it. `python -m benchmarks soak` looks at that, for longer.
"""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from heliostat.actors.calls import pack
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.journal.sqlite import open_sqlite
from tests.host.support import CHAIN, WIDE, World, info_of, put, signal, start, watch

KEPT_BYTES_PER_10K_MAX = 1_000_000
"""Of 10,000 ended executions, 100 bytes each: far below the smallest thing kept of each."""
ASLEEP_BYTES_MAX = 500
"""Of one that sleeps, watched by a client: its key, and who wants its end."""

NAP = """
id: nap
version: "1"
steps:
  - {id: rest, type: timer, duration: 20ms, next: work}
  - {id: work, type: activity, activity: "work:a"}
"""

BELL = """
id: bell
version: "1"
steps:
  - {id: rest, type: wait, signal: go, next: work}
  - {id: work, type: activity, activity: "work:a"}
"""

OURS = [tracemalloc.Filter(True, f"*/{folder}/*") for folder in ("actors", "engine")]


@pytest.fixture
async def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    # Executions that the writer remembers: few, so that they are reached in the warm-up.
    monkeypatch.setattr("heliostat.engine.journal.sql.append.KNOWN_MAX", 100)
    journal = open_sqlite(tmp_path / "journal")
    made = World(journal=journal, clock=SystemClock(), bounds=HostBounds(idle_ms=20))
    made.runners.script = lambda each: (each.input or {}).get("n") or 0
    yield made
    tracemalloc.stop()
    await made.close()
    await journal.close()


def kept() -> int:
    """Bytes that our code allocated since tracing began, and still holds."""
    gc.collect()
    traces = tracemalloc.take_snapshot().filter_traces(OURS)
    return sum(trace.size for trace in traces.traces)


def forget(world: World) -> None:
    """What the test's own runners and journal remember is not the host's."""
    world.runners.ran.clear()
    world.runners.acknowledged.clear()
    world.journal.appends.clear()
    for dispatch in world.runners.hosts:
        dispatch.log.clear()


async def until(holds: Callable[[], bool]) -> None:
    end_at = asyncio.get_running_loop().time() + 120
    while not holds():
        assert asyncio.get_running_loop().time() < end_at
        await asyncio.sleep(0.01)


async def a_mixture(world: World, host: ExecutionHost, round: int) -> int:
    """Chains, a wide one, sleepers by the clock and by a signal, to their end; how many."""
    ended = info_of(host).ended
    await start(host, "chain", [f"c{round}.{n}" for n in range(200)], input={"n": 1}, client="me")
    await start(host, "nap", [f"n{round}.{n}" for n in range(50)], client="me")
    await start(host, "wide", [f"w{round}"], input={"items": list(range(1, 50))}, client="me")
    bells = [f"b{round}.{n}" for n in range(50)]
    await start(host, "bell", bells, client="me")
    for id in bells:
        await signal(host, id, "go", message=f"m-{id}")
    await until(lambda: info_of(host).ended == ended + 301)
    async for batch in host.results(pack("me")):  # the client takes its ends away
        if batch:
            break
    await until(lambda: info_of(host).resident == 0)
    forget(world)
    return 301


async def test_nothing_is_kept_of_what_has_ended(world: World) -> None:
    host = world.host("h0")
    await put(host, CHAIN, NAP, WIDE, BELL)
    for round in range(2):
        await a_mixture(world, host, round)
    tracemalloc.start()
    await a_mixture(world, host, 2)
    before, count = kept(), 0
    for round in range(3, 7):
        count += await a_mixture(world, host, round)
    grown = (kept() - before) * 10_000 / count
    assert grown < KEPT_BYTES_PER_10K_MAX


async def test_a_sleeper_costs_next_to_nothing(world: World) -> None:
    host = world.host("h0")
    await put(host, BELL)
    await start(host, "bell", ["first"], client="me")
    await until(lambda: info_of(host).resident == 0)
    tracemalloc.start()
    before = kept()
    ids = [f"s{n}" for n in range(1_000)]
    await start(host, "bell", ids)
    await watch(host, "me", ids)
    await until(lambda: info_of(host).resident == 0)
    forget(world)
    assert (kept() - before) / len(ids) < ASLEEP_BYTES_MAX
    await signal(host, "s7", "go")
    await until(lambda: info_of(host).ended == 1)  # and it was only asleep
