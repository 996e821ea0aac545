"""From the file of an earlier format to the present one, in place.

A process that is killed here leaves the file as it was, or between two of its events on their way:
an earlier release cannot use it then, and the present one goes on. Beforehand nothing is copied:
whoever wants a way back keeps a copy of the file.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from ...identity import DEDICATED_PREFIX
from ..naming import blobs_in, code_of
from ..sql.definitions import HOLDER, make_heads
from .blobs import name_blobs

if TYPE_CHECKING:
    from .connections import Database

OLDEST: Final = 2
"""The oldest format that is upgraded; no older one than the present is read as it is."""

EVENTS_MOVED: Final = 100_000
"""Of one transaction, to format 5: a second or two."""

_log = logging.getLogger(__name__)

# What a host did not tell yet: read from the bodies, of which hardly any has a reference.
_NAMING: Final = (
    "SELECT execution, body FROM events WHERE instr(body, x'0193D9') OR instr(body, x'0193DA')"
)


_COLUMNS: Final = (
    "executions ADD COLUMN parent TEXT",
    "executions ADD COLUMN priority INTEGER NOT NULL DEFAULT 5",
    "executions ADD COLUMN correlation_id TEXT",
    "tasks ADD COLUMN task_type TEXT NOT NULL DEFAULT 'human'",
)
"""What format 4 added to tables. Of executions that there are, whose child they are is in their
histories only."""


def upgrade(
    connection: Database,
    *,
    version: int,
    retention: str,
    listed: str,
    events: str,
    events_index: str,
) -> None:
    """Make a file of format `version` one of format 5.

    Args:
        retention: creates the tables that format 3 added.
        listed: creates those that format 4 added.
        events: creates those of events, as format 5 has them.
        events_index: creates the index of events.
    """
    _log.warning("the journal has format %d and becomes one of format 5", version)
    if version < 4:
        with _transaction(connection):
            if version < 3:
                _to_3(connection, retention)
            _to_4(connection, listed)
            connection.execute("PRAGMA user_version = 4")
    _to_5(connection, events, events_index)


@contextmanager
def _transaction(connection: Database) -> Iterator[None]:
    """One that fails is rolled back when the connection is closed, as its opener does."""
    connection.execute("BEGIN IMMEDIATE")
    yield
    connection.execute("COMMIT")


def _create(connection: Database, tables: str) -> None:
    for statement in tables.split(";\n"):
        connection.execute(statement)


def _to_3(connection: Database, retention: str) -> None:
    _create(connection, retention)
    connection.execute("ALTER TABLE messages ADD COLUMN sender INTEGER")
    for execution, body in connection.execute(_NAMING):
        name_blobs(connection, [(name, execution) for name in blobs_in(body)])
    codes = (
        code_of(compiled) for (compiled,) in connection.execute("SELECT compiled FROM definitions")
    )
    name_blobs(connection, [(code, HOLDER) for code in codes if code is not None])


def _to_4(connection: Database, listed: str) -> None:
    for columns in _COLUMNS:
        connection.execute(f"ALTER TABLE {columns}")
    _create(connection, listed)
    make_heads(connection)


def _to_5(connection: Database, events: str, events_index: str) -> None:
    """Events were named by shard and position, `shard << 40 | position`, and move out of there in
    parts: whatever interrupts that, the next opening goes on where it was."""
    if connection.row("SELECT 1 FROM sqlite_master WHERE name = 'events_4'") is None:
        with _transaction(connection):
            connection.execute("DROP INDEX events_by_execution")
            connection.execute("ALTER TABLE events RENAME TO events_4")
            _create(connection, events)
    moved = 0
    while part := _move_events(connection):
        moved += part
        _log.info("%d events have moved", moved)
    with _transaction(connection):
        connection.execute("DROP TABLE events_4")
        connection.execute(events_index)
        connection.execute(
            "INSERT INTO landmarks SELECT events.shard, position, events.number FROM events"
            " JOIN shards ON shards.number = events.shard WHERE position % 1000 = 1"
            f" AND shards.name NOT LIKE '{DEDICATED_PREFIX}%'"
        )
        connection.execute("PRAGMA user_version = 5")


def _move_events(connection: Database) -> int:
    """How many; what they leave is used by the next ones, so that the file hardly grows."""
    with _transaction(connection):
        moving = "SELECT place FROM events_4 ORDER BY place LIMIT ?"
        found = connection.row(f"SELECT count(*), max(place) FROM ({moving})", (EVENTS_MOVED,))
        assert found is not None
        count, last = found
        if count:
            connection.execute(
                "INSERT INTO events (execution, seq, shard, position, body)"
                " SELECT execution, seq, place >> 40, place & (1 << 40) - 1, body FROM events_4"
                " WHERE place <= ? ORDER BY place",
                (last,),
            )
            connection.execute("DELETE FROM events_4 WHERE place <= ?", (last,))
    return int(count)
