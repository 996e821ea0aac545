"""Connections and what they are set to.

`synchronous=FULL` in WAL mode syncs the log in every COMMIT: that is what makes an append durable.
Memory-mapped reads stay off, since an error of the disk would then be a signal that ends the
process and not an error.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ...errors import JournalUnavailable
from ..sql.database import Dialect, Row, Values
from .schema import PAGE_BYTES

BUSY_S: Final = 5.0
"""How long a statement waits for a lock that another program holds (a backup, an `sqlite3`)."""

_WRITER_CACHE_KIB: Final = 16 * 1024
"""What commits write lies together, at the ends of tables: with four times as much, appends beside
a million executions read the same bytes in the same time. The system caches the file as well."""
_READER_CACHE_KIB: Final = 16 * 1024
_CHECKPOINT_PAGES: Final = 4_000
"""The log is copied into the file about every 16 MiB: pages written often are copied once."""
_LOG_BYTES_MAX: Final = 64 * 1024 * 1024
"""A log that grew beyond it under a long read is cut back afterwards."""


DIALECT: Final = Dialect(
    join="CROSS JOIN",
    greatest="max",
    in_namespace=lambda table: f"{table}.namespace = ?",
    by_key=lambda table: f"{table} INDEXED BY {table}_by_key",
    has_part=lambda column: f"{column} LIKE ? ESCAPE '!'",  # which ignores case
    has_tag=lambda alias, name, value: (f"{alias}.name = ? AND {alias}.value = ?", (name, value)),
)


class Database(sqlite3.Connection):
    """A connection as the shared statements want it."""

    dialect = DIALECT

    def rows(self, statement: str, values: Values = ()) -> list[Row]:
        """All rows of a statement."""
        return self.execute(statement, values).fetchall()

    def row(self, statement: str, values: Values = ()) -> Row | None:
        """The first row of a statement, or None."""
        found: Row | None = self.execute(statement, values).fetchone()
        return found

    def run(self, statement: str, values: Values = ()) -> None:
        """A statement whose rows nobody wants."""
        self.execute(statement, values)


def connect_writer(path: Path, *, busy_s: float = BUSY_S) -> Database:
    """Opens, and creates, the file; leaves one that is there as it is until `prepare_writer`."""
    return _connect(f"{path.absolute().as_uri()}?mode=rwc", busy_s)


def prepare_writer(connection: sqlite3.Connection, path: Path) -> None:
    """Set up the connection that writes; the caller knows that the file is, or becomes, ours."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
    if mode != "wal":
        raise JournalUnavailable(
            f"journal {path} is on a file system where SQLite cannot keep a write-ahead log "
            f"(it offers {mode!r}); name a path on a local disk"
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("PRAGMA temp_store = MEMORY")
    # Some builds write zeros over every page that is freed, which doubles what a purge writes.
    connection.execute("PRAGMA secure_delete = FAST")
    connection.execute(f"PRAGMA cache_size = -{_WRITER_CACHE_KIB}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES_MAX}")


def connect_reader(path: Path, *, busy_s: float = BUSY_S) -> Database:
    """A connection that cannot write, whether a writer lives, ended or crashed.

    After a crash the log holds what the file does not: SQLite then rebuilds its index in a `-shm`
    file. Where that cannot be written and no log is left, the file is complete as it is and is
    opened as such; a writer that comes later is not seen.
    """
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        return _readable(uri, busy_s)
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
            raise
        log = path.with_name(path.name + "-wal")
        if not path.exists() or (log.exists() and log.stat().st_size > 0):
            raise
    return _readable(uri + "&immutable=1", busy_s)


def _readable(uri: str, busy_s: float) -> Database:
    connection = _connect(uri, busy_s)
    try:
        connection.execute("PRAGMA query_only = ON")
        connection.execute("PRAGMA temp_store = MEMORY")
        connection.execute(f"PRAGMA cache_size = -{_READER_CACHE_KIB}")
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()  # opens the log
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _connect(uri: str, busy_s: float) -> Database:
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=busy_s,
        factory=Database,
        isolation_level=None,  # transactions are ours
        check_same_thread=False,  # opened by the caller, used by one thread from then on
    )
