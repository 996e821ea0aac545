"""Opening and closing the file, and the two classes that speak the `Journal` protocol.

A `SqliteReader` reads, in a thread of its own; a `SqliteJournal` also writes, in another, and reads
for lists in a third: no search delays a turn. A read never waits for a commit.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ...errors import JournalUnavailable
from ..protocol import AppendResult, JournalInfo, ShardBatch
from ..sql.journal import SqlJournal, SqlReader, Tables
from ..threads import ServiceThread
from . import blobs, bus, purge, reads, schema
from .append import Appender
from .commit import Committer, ReadTransactions
from .connections import BUSY_S, Database, connect_reader, connect_writer, prepare_writer
from .faults import translated, unusable_path
from .lock import FileLock, this_process
from .upgrade import OLDEST

_TABLES: Final = Tables[Database](
    load=reads.load,
    load_busy=reads.load_busy,
    follow=reads.follow,
    bus_end=bus.bus_end,
    publish=bus.publish,
    purge_bus=bus.purge_part,
    named_blobs=blobs.named_blobs,
)


def _reading(connection: Database, path: Path) -> ServiceThread[Database]:
    transactions = ReadTransactions(connection, path)
    return ServiceThread("heliostat-journal-reader", transactions.serve)


class SqliteReader(SqlReader[Database]):
    """The reading half of a journal; also for a file that another process writes, or wrote."""

    def __init__(self, connection: Database, info: JournalInfo, path: Path) -> None:
        self._reading = connection
        reader = _reading(connection, path)
        super().__init__(info, _TABLES, reader=reader, lister=reader)

    def _close(self) -> None:
        super()._close()
        self._reading.close()


class SqliteJournal(SqlJournal[Database]):
    """`heliostat.engine.journal.protocol.Journal` in one SQLite file; made by `open_sqlite`."""

    def __init__(
        self,
        *,
        writing: Database,
        reading: Database,
        listing: Database,
        info: JournalInfo,
        path: Path,
        lock: FileLock,
    ) -> None:
        self._writing, self._reading, self._listing = writing, reading, listing
        self._lock = lock
        self._appender = Appender()
        committer = Committer(writing, path, self._appender.forget)
        super().__init__(
            info,
            _TABLES,
            reader=_reading(reading, path),
            lister=_reading(listing, path),
            writer=ServiceThread("heliostat-journal-writer", committer.serve),
        )

    def _store(self, connection: Database, batches: Sequence[ShardBatch]) -> AppendResult:
        return self._appender.store(connection, batches)

    def _purge(self, connection: Database, ended_before_ms: int, limit: int) -> int:
        gone = purge.purge_part(connection, ended_before_ms, limit)
        self._appender.forget_executions(gone)
        return len(gone)

    def _close(self) -> None:
        super()._close()
        self._reading.close()
        self._listing.close()
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
    connections: list[Database] = []
    try:
        writing = connect_writer(path, busy_s=busy_s)
        connections.append(writing)
        blank = schema.is_blank(writing)
        if not blank:
            schema.check_format(writing, path)
        prepare_writer(writing, path)
        if blank:
            schema.create(writing, deployment_id=deployment_id, shard_count=shard_count)
        else:
            schema.make_present(writing, path)
        info = schema.read_info(writing, path, deployment_id=deployment_id)
        holder = this_process(info.deployment_id)
        lock.describe(holder)
        schema.write_holder(writing, msgspec.json.encode(holder).decode())
        reading = connect_reader(path, busy_s=busy_s)
        connections.append(reading)
        listing = connect_reader(path, busy_s=busy_s)
        connections.append(listing)
        return SqliteJournal(
            writing=writing, reading=reading, listing=listing, info=info, path=path, lock=lock
        )
    except BaseException as error:
        for connection in connections:
            connection.close()
        lock.release()
        if isinstance(error, sqlite3.Error):
            raise translated(error, path) from error
        raise


def open_sqlite_readonly(
    path: Path, *, busy_s: float = BUSY_S, older: bool = False
) -> SqliteReader:
    """Open a journal for reading, also while another process writes it or after it crashed; blocks.

    Args:
        older: also a file that a writer would upgrade; only its `info` and owners are read then.

    Raises:
        JournalUnavailable: there is none, or it cannot be read.
        FormatMismatch: another version wrote it.
    """
    if not path.exists():
        raise JournalUnavailable(f"there is no journal at {path}; name the path of its file")
    try:
        connection = connect_reader(path, busy_s=busy_s)
        try:
            oldest = OLDEST if older else schema.FORMAT_VERSION
            schema.check_format(connection, path, oldest=oldest)
            info = schema.read_info(connection, path)
        except BaseException:
            connection.close()
            raise
    except sqlite3.Error as error:
        raise translated(error, path) from error
    return SqliteReader(connection, info, path)
