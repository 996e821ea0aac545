"""Every backend of a port, opened the same way; a new backend is a new class here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final, Protocol

import psycopg
import pytest

from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.postgres import open_postgres
from heliostat.engine.journal.protocol import ExecutionQuery, Journal
from heliostat.engine.journal.sqlite import open_sqlite
from heliostat.engine.status import TERMINAL
from tests.dedicated.through_a_door import through_a_door
from tests.postgres_server import PostgresServer


class Backend(Protocol):
    """Where journals of one kind come from."""

    def open(self) -> Journal: ...

    async def reopen(self, journal: Journal) -> Journal:
        """Close and open again, as far as the backend outlives its object."""
        ...


class MemoryBackend:
    def open(self) -> Journal:
        return MemoryJournal(deployment_id="d-1", shard_count=4)

    async def reopen(self, journal: Journal) -> Journal:
        return journal


class SqliteBackend:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"

    def open(self) -> Journal:
        return open_sqlite(self.path, deployment_id="d-1", shard_count=4)

    async def reopen(self, journal: Journal) -> Journal:
        await journal.close()
        return self.open()


class PostgresBackend:
    """One database for all tests: to delete the rows takes a twentieth of making the tables."""

    def __init__(self, url: str) -> None:
        self.url = url

    async def empty(self) -> None:
        await self.open().close()  # makes the tables, the first time
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(_EMPTY)

    def open(self) -> Journal:
        return open_postgres(self.url, deployment_id="d-1", shard_count=4)

    async def reopen(self, journal: Journal) -> Journal:
        await journal.close()
        return self.open()


_EMPTY: Final = "".join(
    f"DELETE FROM heliostat.{table};"
    for table in (
        *("owners", "executions", "tags", "status_counts", "events", "snapshots", "messages"),
        *(
            "bus",
            "subscriptions",
            "tasks",
            "task_people",
            "definitions",
            "definition_heads",
            "blob_names",
        ),
    )
) + (
    "UPDATE heliostat.bus_end SET position = 0; DELETE FROM heliostat.shards WHERE number > 4;"
    "UPDATE heliostat.shards SET epoch = 0, owner = NULL, next_position = 1, bus_cursor = 0,"
    " purged = 0"
)


@pytest.fixture(scope="session")
def conformance_url(postgres: PostgresServer) -> str:
    return postgres.url_of(postgres.new_database())


class RemoteBackend:
    """A SQLite journal through the process that has it, as a dedicated execution's actor does."""

    def __init__(self, folder: Path) -> None:
        self._near = SqliteBackend(folder)
        self._opened: Journal | None = None

    def open(self) -> Journal:
        self._opened = self._near.open()
        return through_a_door(self._opened)

    async def reopen(self, journal: Journal) -> Journal:
        assert self._opened is not None
        await journal.close()
        await self._opened.close()
        return self.open()

    async def end(self) -> None:
        if self._opened is not None:
            await self._opened.close()


def backend_named(name: str, folder: Path) -> Backend:
    return SqliteBackend(folder) if name == "sqlite" else MemoryBackend()


@pytest.fixture(params=["memory", "sqlite", "postgres", "remote"])
async def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "remote":
        return RemoteBackend(tmp_path)
    if request.param == "postgres":
        backend = PostgresBackend(request.getfixturevalue("conformance_url"))
        await backend.empty()
        return backend
    return backend_named(request.param, tmp_path)


@pytest.fixture
async def journal(backend: Backend) -> AsyncIterator[Journal]:
    """An empty journal; whatever a test did to it, the clauses hold at its end."""
    journal = backend.open()
    yield journal
    await check_clauses(journal)
    await journal.close()
    if isinstance(backend, RemoteBackend):
        await backend.end()


async def check_clauses(journal: Journal) -> None:
    """What is true of every journal at every time, seen through its own reads."""
    histories: dict[object, list[bytes]] = {}
    for shard in await journal.shards():
        followed = await journal.follow(shard.shard, after_position=0, limit=100_000)
        positions = [event.position for event in followed]
        assert positions == sorted(set(positions)), "purges leave gaps; test_journal_model knows"
        for event in followed:
            history = histories.setdefault(event.key, [])
            history.append(event.body)
            assert event.seq == len(history), "a shard has the events of an execution in order"
    bus = [position for position, _ in await journal.bus(after_position=0, limit=100_000)]
    assert bus == sorted(set(bus))
    assert not bus or bus[-1] <= await journal.bus_end()
    counted: dict[str, int] = {}
    namespaces = {key[0] for key in histories}  # type: ignore[index]
    for namespace in namespaces:
        cursor = None
        while True:
            query = ExecutionQuery(namespace=namespace, cursor=cursor, limit=1_000)
            page = await journal.list_executions(query)
            for row in page.rows:
                stored = await journal.load(row.key)
                assert stored is not None
                assert stored.row == row
                history = histories.pop(row.key)
                after = 0 if stored.snapshot is None else stored.snapshot.seq
                assert list(stored.events) == history[after:]
                assert stored.last_seq == len(history)
                read = await journal.read(row.key, after_seq=0, limit=100_000)
                assert list(read) == list(enumerate(history, start=1))
                for name in row.awaits:
                    found = await journal.awaiting(row.shard, namespace=namespace, name=name)
                    assert (row.key in found) == (row.status not in TERMINAL)
                counted[row.status] = counted.get(row.status, 0) + 1
            cursor = page.next_cursor
            if cursor is None:
                break
    assert not histories, "every execution with events has a row"
    assert dict(await journal.count_executions()) == counted
