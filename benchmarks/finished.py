"""What a million finished executions cost a journal: opening, appends, lists, counts, and purging.

Question: is a journal with a million finished executions as quick as an empty one, and what does it
cost the others when they are purged? Below the host, on SQLite: one process appends what a host
appends for a three-step workflow (two commits of 128 executions each), to the one journal and to
the other in turns of a third of a second, so that both see the same machine and the same disk; what
compares is the ratio of neighbouring turns, its median and its quartiles. CPU figures hold what a
purge itself takes, too.

    python -m benchmarks.finished [--executions 1000000] [--turns 40] [--folder DIR] [--json FILE]

`--ids random` has executions named at random, before and during the measurement: the worst that a
user's own ids can be. W1 through a whole deployment on such a journal: `python -m benchmarks
finished`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.filling import Owner, appended, fill, random_id
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import Append, ExecutionQuery
from heliostat.engine.journal.sqlite import SqliteJournal, open_sqlite

BATCH = 128
"""Executions of one commit, as many as a busy host has in a turn."""
SHARDS = 16
TURN_S = 0.33
RESTS = 9
"""A host rests for so many times as long as a part of a purge took."""


class Host:
    """Appends whole workflows, in turns as a host's."""

    def __init__(self, journal: SqliteJournal, new_id: Callable[[], str]) -> None:
        self.journal = journal
        self._new_id = new_id
        self._owner = Owner(journal)

    async def begin(self) -> None:
        await self._owner.claim()

    async def run(self) -> None:
        """`BATCH` executions of three steps, started in one commit and ended in the next."""
        at_ms = time.time_ns() // 1_000_000
        first: dict[str, list[Append]] = {}
        second: dict[str, list[Append]] = {}
        shards = self._owner.shards
        for n in range(BATCH):
            shard, key = shards[n % len(shards)], ExecutionKey("default", self._new_id())
            started = appended(key, shard, 0, 1, status="Running", busy=1, created_at_ms=at_ms)
            ended = appended(
                key, shard, 1, 4, status="Completed", created_at_ms=at_ms, ended_at_ms=at_ms + 5
            )
            first.setdefault(shard, []).append(started)
            second.setdefault(shard, []).append(ended)
        await self._owner.store(first)
        await self._owner.store(second)


class Turn(NamedTuple):
    """What a third of a second brought."""

    workflows_per_s: float
    cpu_us: float
    written_bytes: float
    pair_ms: list[float]


async def turn(host: Host) -> Turn:
    taken: list[float] = []
    began, cpu, written = time.perf_counter(), time.process_time(), written_bytes()
    while (now := time.perf_counter()) - began < TURN_S:
        await host.run()
        taken.append((time.perf_counter() - now) * 1e3)
    count = len(taken) * BATCH
    return Turn(
        workflows_per_s=count / (time.perf_counter() - began),
        cpu_us=(time.process_time() - cpu) / count * 1e6,
        written_bytes=(written_bytes() - written) / count,
        pair_ms=taken,
    )


def written_bytes() -> int:
    """All that this process has written until now."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("wchar:"))


@asynccontextmanager
async def nothing() -> AsyncIterator[None]:
    yield


async def compared(
    first: Host, second: Host, turns: int, beside: Callable[[], Any] = nothing
) -> dict[str, Any]:
    """The two in turns; `beside` goes on during those of the second."""
    ones, others = [], []
    for n in range(turns):
        for each in ("first", "second") if n % 2 else ("second", "first"):
            if each == "first":
                ones.append(await turn(first))
            else:
                async with beside():
                    others.append(await turn(second))
    pairs = list(zip(ones, others, strict=True))
    ratios = [other.workflows_per_s / one.workflows_per_s for one, other in pairs]
    return {
        "of_the_first": round(statistics.median(ratios), 2),
        "quartiles": [round(each, 2) for each in statistics.quantiles(ratios, n=4)],
        "cpu_of_the_first": round(statistics.median(b.cpu_us / a.cpu_us for a, b in pairs), 2),
        "first": summed(ones),
        "second": summed(others),
    }


def summed(turns: list[Turn]) -> dict[str, float]:
    """The medians of turns; of pairs of commits also how slow the slowest are."""
    taken = sorted(ms for each in turns for ms in each.pair_ms)
    return {
        "workflows_per_s": round(statistics.median(each.workflows_per_s for each in turns)),
        "cpu_us_per_workflow": round(statistics.median(each.cpu_us for each in turns), 1),
        "written_bytes_per_workflow": round(statistics.fmean(each.written_bytes for each in turns)),
        "pair_ms_p50": round(taken[len(taken) // 2], 2),
        "pair_ms_p99": round(taken[int(len(taken) * 0.99)], 2),
    }


async def timed(ask: Callable[[], Awaitable[Any]], times: int = 20) -> float:
    """The median of some calls, in milliseconds of CPU: other work does not count."""
    taken = []
    for _ in range(times):
        began = time.process_time()
        await ask()
        taken.append((time.process_time() - began) * 1e3)
    return round(sorted(taken)[times // 2], 3)


async def reads(journal: SqliteJournal) -> dict[str, float]:
    """What lists, counts, timers and take-overs wait for."""
    listed = ExecutionQuery(namespace="default")
    failed = ExecutionQuery(namespace="default", status=("Failed",))
    completed = ExecutionQuery(namespace="default", status=("Completed",), definition="order")
    far = 1 << 60
    return {
        "list_ms": await timed(lambda: journal.list_executions(listed)),
        "list_failed_ms": await timed(lambda: journal.list_executions(failed)),
        "list_completed_of_a_definition_ms": await timed(
            lambda: journal.list_executions(completed)
        ),
        "count_ms": await timed(lambda: journal.count_executions()),
        "due_ms": await timed(lambda: journal.due("3", until_ms=far, limit=100)),
        "load_busy_ms": await timed(lambda: journal.load_busy("3", after=None, limit=100)),
        "named_blobs_ms": await timed(lambda: journal.named_blobs(["default/" + "a" * 64] * 100)),
    }


async def opened_ms(path: Path, times: int = 9) -> float:
    """How long opening, claiming all shards and closing takes, the median."""
    taken = []
    for _ in range(times):
        began = time.perf_counter()
        journal = open_sqlite(path, shard_count=SHARDS)
        await Owner(journal).claim()
        taken.append((time.perf_counter() - began) * 1e3)
        await journal.close()
    return round(sorted(taken)[times // 2], 1)


class Purge:
    """Deletes what ended before an instant, as a host does: in parts of 200."""

    def __init__(self, journal: SqliteJournal, before_ms: int) -> None:
        self._journal, self._before_ms = journal, before_ms
        self.executions, self._spent_s = 0, 0.0

    async def part(self) -> float:
        """How long a part took; 0 when none is left."""
        began = time.perf_counter()
        count = await self._journal.purge_executions(ended_before_ms=self._before_ms, limit=200)
        if not count:
            return 0.0
        took = time.perf_counter() - began
        self.executions += count
        self._spent_s += took
        return took

    async def with_rests(self) -> None:
        """Part after part, and after each a rest."""
        took = await self.part()
        while took:
            await asyncio.sleep(RESTS * took)
            took = await self.part()

    @asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Goes on while something else is done."""
        task = asyncio.ensure_future(self.with_rests())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    async def rest(self) -> dict[str, float]:
        """What is left, without rests; and how fast all parts were."""
        while await self.part():
            pass
        return {
            "executions": self.executions,
            "executions_per_s_without_rests": round(self.executions / self._spent_s),
        }


async def measure(folder: Path, count: int, turns: int, ids: Callable[[], str]) -> dict[str, Any]:
    paths = {name: folder / name for name in ("empty", "full")}
    for path in paths.values():
        await open_sqlite(path, shard_count=SHARDS).close()
    journal = open_sqlite(paths["full"], shard_count=SHARDS)
    began = time.perf_counter()
    before_ms = await fill(journal, count, new_id=ids)
    result: dict[str, Any] = {
        "executions": count,
        "filled_per_s": round(count / (time.perf_counter() - began)),
    }
    await journal.close()
    result["file_mb"] = round(paths["full"].stat().st_size / 1e6)
    result["open_ms"] = {name: await opened_ms(path) for name, path in paths.items()}
    journals = {name: open_sqlite(path, shard_count=SHARDS) for name, path in paths.items()}
    empty, full = (Host(journals[name], ids) for name in ("empty", "full"))
    for host in (empty, full):
        await host.begin()
        await turn(host)  # statements are prepared, the caches hold what is written often
    result["full beside empty"] = await compared(empty, full, turns)
    result["reads"] = {name: await reads(each) for name, each in journals.items()}
    purge = Purge(full.journal, before_ms)
    result["while purged beside empty"] = await compared(empty, full, turns, purge.beside)
    result["purge"] = await purge.rest()
    result["purged beside empty"] = await compared(empty, full, turns)
    for each in journals.values():
        await each.close()
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.finished", description=__doc__)
    parser.add_argument("--executions", type=int, default=1_000_000)
    parser.add_argument("--turns", type=int, default=40, help="of each journal (default 40)")
    parser.add_argument("--ids", choices=("by time", "random"), default="by time")
    parser.add_argument("--folder", type=Path, help="on the disk to measure; default: temporary")
    parser.add_argument("--json", type=Path, help="write the result there too")
    options = parser.parse_args()
    ids = random_id if options.ids == "random" else new_id
    folder = Path(tempfile.mkdtemp(prefix="heliostat-bench-", dir=options.folder))
    try:
        result = asyncio.run(measure(folder, options.executions, options.turns, ids))
    finally:
        shutil.rmtree(folder)
    text = json.dumps(result, indent=2)
    print(text)
    if options.json is not None:
        options.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
