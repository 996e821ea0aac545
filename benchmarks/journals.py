"""What a journal costs by itself: appends as hosts make them, without kernel, Ray or client.

    python -m benchmarks.journals [--executions 20000] [--group 200] [--hosts 1,2]

Each host has two shards and appends the turns of three-step executions: born, a step, a step, the
last step and the end; a turn carries `group` executions, a commit follows the other. PostgreSQL is
a server of the benchmark's own on this machine, with fsync on, SQLite a file in the temporary
folder with `synchronous=FULL`. CPU time is that of this process (our side), and of the server's
sessions. Expected: SQLite's statements are cheaper, since no row travels; the gap is the price of
sharing.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.postgres import open_postgres
from heliostat.engine.journal.protocol import Append, ExecutionRow, Journal, ShardBatch
from heliostat.engine.journal.sqlite import open_sqlite
from tests.postgres_server import PostgresServer, postgres_server

BODY = b"x" * 150  # as large as most events of small steps
TURNS = 4


class Shard:
    """A shard of a host, with the executions of its present group."""

    def __init__(self, name: str, epoch: int, next_position: int) -> None:
        self.name, self.epoch, self.next_position = name, epoch, next_position

    def batch(self, group: str, turn: int, count: int) -> ShardBatch:
        appends = []
        for n in range(count):
            key = ExecutionKey("default", f"{group}-{n}")
            row = None
            if turn in (0, TURNS - 1):
                ended = turn > 0
                row = ExecutionRow(
                    key=key,
                    shard=self.name,
                    definition="chain",
                    version="1",
                    status="Completed" if ended else "Running",
                    busy=0 if ended else 1,
                    created_at_ms=1,
                    ended_at_ms=2 if ended else None,
                )
            events = (BODY, BODY) if turn == TURNS - 1 else (BODY,)
            appends.append(Append(key=key, after_seq=turn, events=events, row=row))
        return ShardBatch(
            shard=self.name,
            epoch=self.epoch,
            first_position=self.next_position,
            appends=tuple(appends),
        )


async def live(journal: Journal, names: list[str], groups: int, group: int) -> None:
    epochs = {each.shard: each.epoch for each in await journal.shards()}
    shards = []
    for name in names:
        claim = await journal.claim(name, owner="bench", after_epoch=epochs.get(name, 0))
        assert claim is not None
        shards.append(Shard(name, claim.epoch, claim.next_position))
    for number in range(groups):
        for turn in range(TURNS):
            batches = [
                each.batch(f"{each.name}-{each.epoch}-{number}", turn, group // len(shards))
                for each in shards
            ]
            result = await journal.append(batches)
            assert not result.conflicts
            assert not result.fenced
            for each in shards:
                each.next_position = result.next_positions[each.name]


def cpu_of(server: PostgresServer) -> float:
    """CPU seconds of the server's processes that live, and of those that ended."""
    tick = os.sysconf("SC_CLK_TCK")
    found = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == server.pid:
            found += (int(fields[11]) + int(fields[12])) / tick
        if int(stat.parent.name) == server.pid:
            found += sum(map(int, fields[13:15])) / tick
    return found


def measure(
    journals: list[Journal], executions: int, group: int, server: PostgresServer | None
) -> dict[str, Any]:
    async def all_hosts() -> None:
        groups = executions // group // len(journals)
        await asyncio.gather(
            *(
                live(journal, [str(2 * n), str(2 * n + 1)], groups, group)
                for n, journal in enumerate(journals)
            )
        )

    server_cpu = 0.0 if server is None else cpu_of(server)
    began, cpu = time.perf_counter(), time.process_time()
    asyncio.run(all_hosts())
    elapsed, cpu = time.perf_counter() - began, time.process_time() - cpu
    server_cpu = 0.0 if server is None else cpu_of(server) - server_cpu
    return {
        "executions_per_s": round(executions / elapsed),
        "us_elapsed": round(elapsed / executions * 1e6, 1),
        "us_cpu_ours": round(cpu / executions * 1e6, 1),
        "us_cpu_server": round(server_cpu / executions * 1e6, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.journals", description=__doc__)
    parser.add_argument("--executions", type=int, default=20_000)
    parser.add_argument("--group", type=int, default=200, help="executions of a turn")
    parser.add_argument("--hosts", default="1,2", help="how many share the PostgreSQL journal")
    options = parser.parse_args()
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(prefix="heliostat-bench-") as folder:
        sqlite = open_sqlite(Path(folder) / "journal.db")
        measure([sqlite], 2_000, options.group, None)  # warm
        figures["sqlite, 1 host"] = measure([sqlite], options.executions, options.group, None)
        asyncio.run(sqlite.close())
    with postgres_server(fsync="on", full_page_writes="on") as server:
        for hosts in map(int, options.hosts.split(",")):
            url = server.url_of(server.new_database())
            journals: list[Journal] = [open_postgres(url) for _ in range(hosts)]
            measure(journals, 2_000, options.group, None)
            figures[f"postgres, {hosts} hosts"] = measure(
                journals, options.executions, options.group, server
            )
            for journal in journals:
                asyncio.run(journal.close())
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
