"""Histories with their rows and snapshots, and shards' events; the rest: `sql/reads.py`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...identity import ExecutionKey, dedicated_key
from ..protocol import ExecutionRow, FollowedEvent, StoredExecution
from ..sql.database import Row
from ..sql.executions import ROW_COLUMNS, row_from
from ..sql.reads import SHARD, stored
from .connections import Database

_LANDMARK: Final = (
    "SELECT event FROM landmarks WHERE shard = ? AND position <= ? ORDER BY position DESC LIMIT 1"
)
_FOLLOWED: Final = "SELECT events.position, namespace, id, seq, body FROM"
_FOLLOW: Final = (
    f"{_FOLLOWED} events CROSS JOIN executions ON executions.number = events.execution"
    " WHERE events.number >= ? AND events.shard = ? AND position > ? ORDER BY events.number LIMIT ?"
)
_FOLLOW_DEDICATED: Final = (
    f"{_FOLLOWED} executions CROSS JOIN events ON events.execution = executions.number"
    f" WHERE namespace = ? AND id = ? AND events.shard = {SHARD} AND position > ?"
    " ORDER BY seq LIMIT ?"
)
_EXECUTION: Final = f"SELECT {ROW_COLUMNS}, executions.number FROM executions"


def load(connection: Database, key: ExecutionKey) -> StoredExecution | None:
    """Row, snapshot and the events behind it; None if there is none."""
    found = connection.row(f"{_EXECUTION} WHERE namespace = ? AND id = ?", key)
    if found is None:
        return None
    *row, number = found
    return _stored(connection, row_from(row), number)


def _stored(connection: Database, row: ExecutionRow, number: int) -> StoredExecution:
    snapshot = connection.row("SELECT seq, body FROM snapshots WHERE execution = ?", (number,))
    events = connection.rows(
        "SELECT body FROM events WHERE execution = ? AND seq > ? ORDER BY seq",
        (number, 0 if snapshot is None else snapshot[0]),
    )
    found = None if snapshot is None else (snapshot[0], snapshot[1])
    return stored(row, found, tuple(body for (body,) in events))


def load_busy(
    connection: Database, shard: str, after: ExecutionKey | None, limit: int
) -> Sequence[StoredExecution]:
    """A page of those with something outstanding, in the order of keys."""
    found = connection.rows(
        f"{_EXECUTION} WHERE executions.shard = {SHARD} AND executions.busy > 0"
        " AND (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?",
        (shard, *(after or ("", "")), limit),
    )
    return [_stored(connection, row_from(row), execution) for *row, execution in found]


def follow(
    connection: Database, shard: str, after_position: int, limit: int
) -> Sequence[FollowedEvent]:
    """A page of a shard's events, in the order of positions."""
    key = dedicated_key(shard)
    if key is not None:
        found = connection.rows(_FOLLOW_DEDICATED, (*key, shard, after_position, limit))
    else:
        found = _follow_shared(connection, shard, after_position, limit)
    return [
        FollowedEvent(position=position, key=ExecutionKey(namespace, id), seq=seq, body=body)
        for position, namespace, id, seq, body in found
    ]


def _follow_shared(connection: Database, shard: str, after_position: int, limit: int) -> list[Row]:
    """Past the events of other shards, from the last landmark on that is not behind the position
    and no further than to the last event that the shard has."""
    known = connection.row("SELECT number, next_position FROM shards WHERE name = ?", (shard,))
    if known is None:
        return []
    number, next_position = known
    ahead = next_position - 1 - after_position
    if ahead <= 0:
        return []
    landmark = connection.row(_LANDMARK, (number, after_position + 1))
    first = 0 if landmark is None else landmark[0]
    return connection.rows(_FOLLOW, (first, number, after_position, min(limit, ahead)))
