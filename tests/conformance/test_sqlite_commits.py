"""How the SQLite journal commits: together, in few statements, beside readers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from sqlite3 import Connection
from typing import Any

import pytest

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    Append,
    AppendResult,
    BusEvent,
    ExecutionRow,
    ShardBatch,
    TaskQuery,
    TaskRow,
)
from heliostat.engine.journal.sqlite import SqliteJournal, open_sqlite
from heliostat.engine.journal.threads import ServiceThread


@pytest.fixture
async def journal(tmp_path: Path) -> AsyncIterator[SqliteJournal]:
    journal = open_sqlite(tmp_path / "journal.db")
    for shard in range(16):
        await journal.claim(str(shard), owner="host", after_epoch=0)
    yield journal
    await journal.close()


async def append(
    journal: SqliteJournal,
    shard: int,
    count: int = 1,
    *,
    after_seq: int = 0,
    position: int = 1,
    epoch: int = 1,
) -> AppendResult:
    """Events for `count` executions of a shard; they are created, or go on."""
    appends = []
    for n in range(count):
        key = ExecutionKey("default", f"{shard}-{n}")
        row = ExecutionRow(
            key=key,
            shard=str(shard),
            definition="d",
            version="1",
            status="Running" if after_seq == 0 else "Completed",
            created_at_ms=1,
            tags={"n": str(n)},
        )
        appends.append(Append(key=key, after_seq=after_seq, events=(b"x",), row=row))
    batch = ShardBatch(
        shard=str(shard), epoch=epoch, first_position=position, appends=tuple(appends)
    )
    return await journal.append([batch])


@contextmanager
def statements(journal: SqliteJournal, *, reading: bool = False) -> Iterator[list[str]]:
    """What the writing connection, or the two that read, execute meanwhile."""
    seen: list[str] = []
    connections = (journal._reading, journal._listing) if reading else (journal._writing,)
    for connection in connections:
        connection.set_trace_callback(seen.append)
    yield seen
    for connection in connections:
        connection.set_trace_callback(None)


@asynccontextmanager
async def occupied(thread: ServiceThread[Connection]) -> AsyncIterator[None]:
    """The thread is in the middle of something, and ends it afterwards."""
    begun, end = threading.Event(), threading.Event()

    def work(_: Connection) -> None:
        begun.set()
        end.wait()

    call = asyncio.ensure_future(thread.call(work))
    await asyncio.sleep(0)
    await asyncio.to_thread(begun.wait)
    yield
    end.set()
    await call


async def test_every_commit_is_synced(journal: SqliteJournal) -> None:
    """What a loss of power would show, and no killed process can."""
    settings = await journal._writer.call(
        lambda db: [
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")
        ]
    )
    assert settings == ["wal", 2]


class TestGroupCommit:
    async def test_what_gathers_goes_in_one_commit(self, journal: SqliteJournal) -> None:
        with statements(journal) as seen:
            async with occupied(journal._writer):
                calls = [asyncio.ensure_future(append(journal, shard)) for shard in range(16)]
                await asyncio.sleep(0)  # all are accepted, behind the one that runs
            results = await asyncio.gather(*calls)
        assert [each.next_positions for each in results] == [{str(n): 2} for n in range(16)]
        assert seen.count("COMMIT") == 2  # the first is of what occupied the thread

    async def test_an_append_takes_few_statements(self, journal: SqliteJournal) -> None:
        """Each gives up Python's lock to a busy event loop: not one for every execution."""
        with statements(journal) as seen:
            await append(journal, 0, 200)
            await append(journal, 0, 200, after_seq=1, position=201)
        assert len(seen) < 60

    async def test_no_look_up_of_what_was_stored_here(self, journal: SqliteJournal) -> None:
        await append(journal, 0, 5)
        with statements(journal) as seen:
            await append(journal, 0, 5, after_seq=1, position=6)
        assert not [each for each in seen if "FROM" in each and "executions" in each]

    async def test_another_epoch_is_looked_up(self, journal: SqliteJournal) -> None:
        await append(journal, 0, 5)
        await journal.claim("0", owner="other", after_epoch=1)
        with statements(journal) as seen:
            result = await append(journal, 0, 5, after_seq=1, position=6, epoch=2)
        assert not result.conflicts
        assert [each for each in seen if "FROM" in each and "executions" in each]

    async def test_who_awaits_and_publishes_nothing_costs_no_statement(
        self, journal: SqliteJournal
    ) -> None:
        with statements(journal) as seen:
            await append(journal, 0, 5)
            await append(journal, 0, 5, after_seq=1, position=6)
        touched = ("subscriptions", "bus (", "bus.", "tasks", "task_people")
        assert not [each for each in seen if any(name in each for name in touched)]


class TestByIndex:
    """However many rows there are: nothing that is done often looks at all of a table."""

    async def test_appends(self, journal: SqliteJournal) -> None:
        with statements(journal) as seen:
            await self.append(journal, 1, awaits=("paid", "shipped"))
            await self.append(journal, 2, awaits=("shipped",))
            await self.append(journal, 3, awaits=())
            await journal.advance_bus("0", epoch=1, position=2)
            await journal.purge_bus(before_ms=99)
        used = " ".join(seen)
        for table in ("executions", "events", "subscriptions", "bus", "tasks", "task_people"):
            assert f"INSERT INTO {table}" in used or f"INSERT OR IGNORE INTO {table}" in used
        assert "DELETE FROM subscriptions" in used
        assert await self.scans(journal, seen) == []

    async def append(self, journal: SqliteJournal, turn: int, *, awaits: tuple[str, ...]) -> None:
        appends = []
        for n in range(3):
            key = ExecutionKey("default", f"e-{n}")
            row = ExecutionRow(
                key=key,
                shard="0",
                definition="d",
                version="1",
                status="Running",
                created_at_ms=1,
                awaits=awaits,
            )
            task = TaskRow(
                key=key,
                task_id="t",
                definition="d",
                step="s",
                status="Open",
                assignees=("ann",),
                created_at_ms=1,
            )
            event = BusEvent(
                id=f"{n} {turn}", namespace="default", name="paid", published_at_ms=1, body=b""
            )
            appends.append(
                Append(
                    key=key,
                    after_seq=turn - 1,
                    events=(b"x",),
                    row=row,
                    tasks=(task,),
                    published=(event,),
                )
            )
        position = 1 + 3 * (turn - 1)
        batch = ShardBatch(shard="0", epoch=1, first_position=position, appends=tuple(appends))
        assert not (await journal.append([batch])).conflicts

    async def test_reads(self, journal: SqliteJournal) -> None:
        await self.append(journal, 1, awaits=("paid",))
        key = ExecutionKey("default", "e-1")
        with statements(journal, reading=True) as seen:
            assert await journal.awaiting("0", namespace="default", name="paid", after=key)
            assert await journal.bus(after_position=1)
            await journal.bus_end()
            await journal.bus_cursor("0")
            assert await journal.get_task(key, "t")
            await journal.get_definition("default", "order")
            await journal.get_definition("default", "order", "1")
            filters: list[dict[str, Any]] = [
                {},
                {"status": ("Open", "Claimed")},
                {"definition": "d"},
                {"person": "ann"},
                {"execution_id": "e-1"},
                {"execution_id": "e-1", "status": ("Open",), "person": "ann"},
            ]
            for each in filters:
                query = TaskQuery(namespace="default", limit=1, **each)
                page = await journal.list_tasks(query)
                assert page.rows
        assert await self.scans(journal, seen) == []

    async def test_tasks_of_an_execution_are_found_by_it(self, journal: SqliteJournal) -> None:
        for filters in ({}, {"status": ("Open",)}, {"person": "ann"}):
            with statements(journal, reading=True) as seen:
                query = TaskQuery(namespace="default", execution_id="e-1", **filters)  # type: ignore[arg-type]
                await journal.list_tasks(query)
            plans = [plan for each in seen for plan in await self.plan(journal, each)]
            assert any("tasks_by_key (namespace=? AND execution_id=?)" in plan for plan in plans)

    async def scans(self, journal: SqliteJournal, seen: list[str]) -> list[str]:
        """The steps of the statements that go through a whole table."""
        steps = [step for each in seen for step in await self.plan(journal, each)]
        # Not of a table: rows that came with the statement, and a page of each walk of a list.
        made_here = ("SCAN wanted", "SCAN CONSTANT ROW", "SCAN walk", "SCAN found")
        assert any(step.startswith("SEARCH") for step in steps)
        return [
            step
            for step in steps
            if step.startswith("SCAN")
            and not step.startswith(made_here)
            and not step.endswith("CONSTANT ROWS")
        ]

    async def plan(self, journal: SqliteJournal, statement: str) -> list[str]:
        if statement.split(" ", 1)[0] not in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            return []
        return await journal._reader.call(
            lambda db: [row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {statement}")]
        )


class TestReadersBeside:
    async def test_no_commit_waits_for_a_read(self, journal: SqliteJournal) -> None:
        async with occupied(journal._reader):
            await append(journal, 0)
            await append(journal, 0, after_seq=1, position=2)
        stored = await journal.load(ExecutionKey("default", "0-0"))
        assert stored is not None
        assert stored.last_seq == 2

    async def test_no_read_waits_for_a_commit(self, journal: SqliteJournal) -> None:
        await append(journal, 0)
        async with occupied(journal._writer):
            waiting = asyncio.ensure_future(append(journal, 0, after_seq=1, position=2))
            stored = await journal.load(ExecutionKey("default", "0-0"))
            assert stored is not None
            assert stored.last_seq == 1
        await waiting
