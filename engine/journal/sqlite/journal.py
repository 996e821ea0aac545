"""Opening and closing the file, and the two classes that speak the `Journal` protocol.

A `SqliteReader` reads, in a thread of its own; a `SqliteJournal` also writes, in another. Neither
ever blocks the event loop, and a read never waits for a commit.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...errors import JournalUnavailable
from ...identity import ExecutionKey
from ..admission import check_batches
from ..protocol import (
    AppendResult,
    BusEvent,
    Claim,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    FollowedEvent,
    JournalInfo,
    Message,
    OwnerRow,
    ShardBatch,
    ShardRow,
    StoredExecution,
    TaskPage,
    TaskQuery,
    TaskRow,
)
from . import bus, definitions, ownership, reads, schema, tasks, visibility
from .append import Appender
from .commit import Committer, ReadTransactions
from .connections import BUSY_S, connect_reader, connect_writer, prepare_writer
from .faults import translated, unusable_path
from .lock import FileLock, this_process
from .threads import ServiceThread

_PURGE_PART: Final = 1_000
"""Events that one transaction deletes: a few milliseconds of the writer's time."""


class SqliteReader:
    """The reading half of a journal; also for a file that another process writes, or wrote."""

    def __init__(self, connection: sqlite3.Connection, info: JournalInfo, path: Path) -> None:
        self._info = info
        self._path = path
        self._reading = connection
        transactions = ReadTransactions(connection, path)
        self._reader = ServiceThread("heliostat-journal-reader", transactions.serve)

    @property
    def info(self) -> JournalInfo:
        return self._info

    async def owners(self) -> Sequence[OwnerRow]:
        return await self._reader.call(ownership.owners)

    async def shards(self) -> Sequence[ShardRow]:
        return await self._reader.call(ownership.shards)

    async def load(self, key: ExecutionKey) -> StoredExecution | None:
        return await self._reader.call(lambda db: reads.load(db, key))

    async def load_busy(
        self, shard: str, *, after: ExecutionKey | None, limit: int
    ) -> Sequence[StoredExecution]:
        return await self._reader.call(lambda db: reads.load_busy(db, shard, after, limit))

    async def due(
        self, shard: str, *, until_ms: int, limit: int
    ) -> Sequence[tuple[int, ExecutionKey]]:
        return await self._reader.call(lambda db: reads.due(db, shard, until_ms, limit))

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]:
        return await self._reader.call(lambda db: reads.read(db, key, after_seq, limit))

    async def follow(
        self, shard: str, *, after_position: int, limit: int = 1_000
    ) -> Sequence[FollowedEvent]:
        return await self._reader.call(lambda db: reads.follow(db, shard, after_position, limit))

    async def outgoing(
        self, shard: str, *, after: Message | None = None, limit: int = 1_000
    ) -> Sequence[Message]:
        return await self._reader.call(lambda db: reads.outgoing(db, shard, after, limit))

    async def bus(
        self, *, after_position: int, limit: int = 1_000
    ) -> Sequence[tuple[int, BusEvent]]:
        return await self._reader.call(lambda db: bus.bus(db, after_position, limit))

    async def bus_end(self) -> int:
        return await self._reader.call(bus.bus_end)

    async def bus_cursor(self, shard: str) -> int:
        return await self._reader.call(lambda db: bus.bus_cursor(db, shard))

    async def awaiting(
        self,
        shard: str,
        *,
        namespace: str,
        name: str,
        after: ExecutionKey | None = None,
        limit: int = 1_000,
    ) -> Sequence[ExecutionKey]:
        return await self._reader.call(
            lambda db: bus.awaiting(db, shard, namespace, name, after, limit)
        )

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None:
        return await self._reader.call(lambda db: tasks.get_task(db, key, task_id))

    async def list_tasks(self, query: TaskQuery) -> TaskPage:
        return await self._reader.call(lambda db: tasks.list_tasks(db, query))

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        return await self._reader.call(
            lambda db: definitions.get_definition(db, namespace, id, version)
        )

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        return await self._reader.call(
            lambda db: definitions.list_definitions(db, namespace, id, limit, offset)
        )

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None:
        return await self._reader.call(lambda db: visibility.get_row(db, key))

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        return await self._reader.call(lambda db: visibility.list_executions(db, query))

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        return await self._reader.call(lambda db: visibility.count_executions(db, namespace))

    async def close(self) -> None:
        """Finish what was accepted; closing twice is harmless."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._reader.close()
        self._reading.close()


class SqliteJournal(SqliteReader):
    """`heliostat.engine.journal.protocol.Journal` in one SQLite file; made by `open_sqlite`."""

    def __init__(
        self,
        *,
        writing: sqlite3.Connection,
        reading: sqlite3.Connection,
        info: JournalInfo,
        path: Path,
        lock: FileLock,
    ) -> None:
        super().__init__(reading, info, path)
        self._writing = writing
        self._lock = lock
        self._appender = Appender()
        committer = Committer(writing, path, self._appender.forget)
        self._writer = ServiceThread("heliostat-journal-writer", committer.serve)

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
        check_batches(batches)
        return await self._writer.call(lambda db: self._appender.store(db, batches))

    async def register_owner(self, owner: OwnerRow) -> None:
        await self._writer.call(lambda db: ownership.register_owner(db, owner))

    async def beat(self, incarnation: str, *, at_ms: int, draining: bool = False) -> None:
        await self._writer.call(lambda db: ownership.beat(db, incarnation, at_ms, draining))

    async def remove_owner(self, incarnation: str) -> None:
        await self._writer.call(lambda db: ownership.remove_owner(db, incarnation))

    async def claim(self, shard: str, *, owner: str, after_epoch: int) -> Claim | None:
        return await self._writer.call(lambda db: ownership.claim(db, shard, owner, after_epoch))

    async def publish(self, events: Sequence[BusEvent]) -> None:
        await self._writer.call(lambda db: bus.publish(db, events))

    async def advance_bus(self, shard: str, *, epoch: int, position: int) -> bool:
        return await self._writer.call(lambda db: bus.advance_bus(db, shard, epoch, position))

    async def purge_bus(self, *, before_ms: int) -> int:
        """In parts: commits of others go between, whose callers would wait for all of it."""
        total = 0
        while True:
            count = await self._writer.call(lambda db: bus.purge_part(db, before_ms, _PURGE_PART))
            total += count
            if count < _PURGE_PART:
                return total

    async def put_definition(self, definition: DefinitionRow) -> DefinitionRow:
        return await self._writer.call(lambda db: definitions.put_definition(db, definition))

    def _close(self) -> None:
        self._writer.close()
        super()._close()
        self._writing.close()  # the last connection: SQLite empties the log into the file
        self._lock.release()


def open_sqlite(
    path: Path,
    *,
    deployment_id: str | None = None,
    shard_count: int = 16,
    busy_s: float = BUSY_S,
) -> SqliteJournal:
    """Open a journal for writing, creating file and folders as needed; blocks.

    Args:
        path: the database; a lock file and SQLite's log lie beside it.
        deployment_id: whose journal it must be; a new one is given this id, or a drawn one.
        shard_count: of a new journal; one that exists keeps its own.
        busy_s: how long a commit waits for a lock that some other program holds.

    Raises:
        JournalLocked: another process writes it, or it is another deployment's.
        JournalUnavailable: it cannot be written, or is no journal.
        FormatMismatch: another version wrote it.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unusable_path(error, path) from error
    lock = FileLock(path)
    connections: list[sqlite3.Connection] = []
    try:
        writing = connect_writer(path, busy_s=busy_s)
        connections.append(writing)
        blank = schema.is_blank(writing)
        if not blank:
            schema.check_format(writing, path)
        prepare_writer(writing, path)
        if blank:
            schema.create(writing, deployment_id=deployment_id, shard_count=shard_count)
        info = schema.read_info(writing, path, deployment_id=deployment_id)
        holder = this_process(info.deployment_id)
        lock.describe(holder)
        schema.write_holder(writing, msgspec.json.encode(holder).decode())
        reading = connect_reader(path, busy_s=busy_s)
        connections.append(reading)
        return SqliteJournal(writing=writing, reading=reading, info=info, path=path, lock=lock)
    except BaseException as error:
        for connection in connections:
            connection.close()
        lock.release()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise


def open_sqlite_readonly(path: Path, *, busy_s: float = BUSY_S) -> SqliteReader:
    """Open a journal for reading, also while another process writes it or after it crashed; blocks.

    Raises:
        JournalUnavailable: there is none, or it cannot be read.
        FormatMismatch: another version wrote it.
    """
    if not path.exists():
        raise JournalUnavailable(f"there is no journal at {path}; name the path of its file")
    try:
        connection = connect_reader(path, busy_s=busy_s)
        try:
            schema.check_format(connection, path)
            info = schema.read_info(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return SqliteReader(connection, info, path)
