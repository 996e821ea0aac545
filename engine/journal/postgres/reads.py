"""Histories with their rows and snapshots, and shards' events; the rest: `sql/reads.py`.

Each function is one statement, for one statement sees one state of the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ...identity import ExecutionKey
from ..protocol import FollowedEvent, StoredExecution
from ..sql.executions import ROW_COLUMNS, row_from
from ..sql.reads import SHARD, stored
from .connections import Database

_STORED: Final = (
    f"SELECT {ROW_COLUMNS}, snapshots.seq, snapshots.body, ARRAY("
    " SELECT body FROM events WHERE events.execution = executions.number"
    " AND events.seq > coalesce(snapshots.seq, 0) ORDER BY events.seq)"
    " FROM executions LEFT JOIN snapshots ON snapshots.execution = executions.number"
)


def load(connection: Database, key: ExecutionKey) -> StoredExecution | None:
    """Row, snapshot and the events behind it; None if there is none."""
    found = connection.row(f"{_STORED} WHERE namespace = ? AND id = ?", key)
    return None if found is None else _stored(found)


def load_busy(
    connection: Database, shard: str, after: ExecutionKey | None, limit: int
) -> Sequence[StoredExecution]:
    """A page of those with something outstanding, in the order of keys."""
    found = connection.rows(
        f"{_STORED} WHERE executions.shard = {SHARD} AND executions.busy > 0"
        " AND (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?",
        (shard, *(after or ("", "")), limit),
    )
    return [_stored(values) for values in found]


def _stored(values: Sequence[Any]) -> StoredExecution:
    *row, seq, body, events = values
    return stored(row_from(row), None if seq is None else (seq, body), tuple(events))


def follow(
    connection: Database, shard: str, after_position: int, limit: int
) -> Sequence[FollowedEvent]:
    """A page of a shard's events, in the order of positions."""
    found = connection.rows(
        "SELECT position, namespace, id, seq, body FROM events"
        " JOIN executions ON executions.number = events.execution"
        f" WHERE events.shard = {SHARD} AND position > ? ORDER BY position LIMIT ?",
        (shard, after_position, limit),
    )
    return [
        FollowedEvent(position=position, key=ExecutionKey(namespace, id), seq=seq, body=body)
        for position, namespace, id, seq, body in found
    ]
