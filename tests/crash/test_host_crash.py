"""`kill -9` of a host, again and again, with a real journal and real runners: nothing is lost."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import ExecutionQuery, Journal
from heliostat.engine.journal.sqlite import open_sqlite_readonly
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import (
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionStarted,
    OwnerChanged,
    StepCompleted,
)

COUNT = 150
KILLS = 8
SEED = 1
BOUND_S = 120.0

WORK = """
import pathlib, time

EFFECTS = pathlib.Path(__file__).with_name("effects")

def a(n):
    time.sleep(0.002)
    with EFFECTS.open("a") as effects:
        effects.write(f"{n}\\n")
    return n + 1

b = c = a
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short, since sockets lie in it."""
    path = Path(tempfile.mkdtemp(prefix="hs-"))
    (path / "crash_work.py").write_text(WORK)
    yield path
    shutil.rmtree(path, ignore_errors=True)


def run(folder: Path, story: str = "chain", count: int = COUNT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.crash.host_under_test", str(folder), str(count), story],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.long
async def test_killed_again_and_again(folder: Path) -> None:
    chance = random.Random(SEED)
    interrupted = 0
    for _ in range(KILLS):
        host = run(folder)
        assert host.stdout is not None
        assert host.stdout.readline() == "serves\n"
        await asyncio.sleep(chance.uniform(0.0, 0.35))  # the moment of death is what varies
        host.kill()
        host.communicate()
        journal = open_sqlite_readonly(folder / "journal")
        counts = await journal.count_executions()
        interrupted += counts.get("Running", 0) > 0
        await journal.close()
    assert interrupted, "no kill hit anything: the test walked the easy road"
    last = run(folder)
    out, _ = last.communicate(timeout=BOUND_S)
    assert out.splitlines()[-1] == "all ended"

    journal = open_sqlite_readonly(folder / "journal")
    reissued = 0
    for n in range(COUNT):
        events = [
            decode_event(body)
            for _, body in await journal.read(ExecutionKey("default", f"x{n}"), after_seq=0)
        ]
        kinds = Counter(map(type, events))
        assert kinds[ExecutionStarted] == kinds[ExecutionCompleted] == 1
        steps = [event.at.step for event in events if isinstance(event, StepCompleted)]
        assert steps == [0, 1, 2]  # each transition once
        assert isinstance(events[-1], ExecutionCompleted)
        assert events[-1].output == n + 3
        reissued += sum(len(event.reissued) for event in events if isinstance(event, OwnerChanged))
    await journal.close()
    # An effect may happen again, but only where the history says so.
    effects = len((folder / "effects").read_text().split())
    assert 3 * COUNT <= effects <= 3 * COUNT + reissued


ORDERS = 60


@pytest.mark.long
async def test_children_signals_and_events_survive_kills(folder: Path) -> None:
    """What executions tell each other is told once, whenever the host dies between the tellings."""
    chance = random.Random(SEED)
    interrupted = 0
    for _ in range(KILLS):
        host = run(folder, "orders", ORDERS)
        assert host.stdout is not None
        assert host.stdout.readline() == "serves\n"
        await asyncio.sleep(chance.uniform(0.0, 0.5))
        host.kill()
        host.communicate()
        journal = open_sqlite_readonly(folder / "journal")
        counts = await journal.count_executions()
        interrupted += counts.get("Running", 0) + counts.get("Waiting", 0) > 0
        await journal.close()
    assert interrupted, "no kill hit anything: the test walked the easy road"
    last = run(folder, "orders", ORDERS)
    out, _ = last.communicate(timeout=BOUND_S)
    assert out.splitlines()[-1] == "all ended"

    journal = open_sqlite_readonly(folder / "journal")
    for id in ("ledger", "audit"):
        events = await history_of(journal, id)
        assert isinstance(events[-1], ExecutionCompleted)
        assert sorted(events[-1].output) == [n + 3 for n in range(ORDERS)]
    children = 0
    rows = (await journal.list_executions(ExecutionQuery(namespace="default", limit=1_000))).rows
    for row in rows:
        events = await history_of(journal, row.key.execution_id)
        kinds = Counter(map(type, events))
        assert kinds[ExecutionStarted] == kinds[ExecutionCompleted] == 1, row.key
        children += row.definition == "chain"
    assert children == ORDERS
    for shard in await journal.shards():
        assert await journal.outgoing(shard.shard) == []
    await journal.close()


async def history_of(journal: Journal, id: str) -> list[ExecutionEvent]:
    key = ExecutionKey("default", id)
    return [decode_event(body) for _, body in await journal.read(key, after_seq=0)]
