"""Histories: of one execution, of a shard, and what a new owner has to load."""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from ...identity import ExecutionKey
from ..protocol import (
    ExecutionRow,
    FollowedEvent,
    Message,
    SnapshotRow,
    StoredExecution,
)
from .schema import place_of
from .visibility import ROW_COLUMNS, row_from

_EXECUTION: Final = (
    f"SELECT {ROW_COLUMNS}, executions.number"
    " FROM executions JOIN shards ON shards.number = executions.shard"
)


def load(connection: sqlite3.Connection, key: ExecutionKey) -> StoredExecution | None:
    found = connection.execute(f"{_EXECUTION} WHERE namespace = ? AND id = ?", key).fetchone()
    if found is None:
        return None
    *row, number = found
    return _stored(connection, row_from(row), number)


def _stored(connection: sqlite3.Connection, row: ExecutionRow, number: int) -> StoredExecution:
    found = connection.execute(
        "SELECT seq, body FROM snapshots WHERE execution = ?", (number,)
    ).fetchone()
    snapshot = None if found is None else SnapshotRow(seq=found[0], body=found[1])
    after_seq = 0 if snapshot is None else snapshot.seq
    events = connection.execute(
        "SELECT body FROM events WHERE execution = ? AND seq > ? ORDER BY seq", (number, after_seq)
    ).fetchall()
    return StoredExecution(
        row=row,
        snapshot=snapshot,
        events=tuple(body for (body,) in events),
        last_seq=after_seq + len(events),  # seq has no gaps
    )


def load_busy(
    connection: sqlite3.Connection, shard: str, after: ExecutionKey | None, limit: int
) -> Sequence[StoredExecution]:
    number = _shard_number(connection, shard)
    found = connection.execute(
        f"{_EXECUTION} WHERE executions.shard = ? AND executions.busy > 0"
        " AND (namespace, id) > (?, ?) ORDER BY namespace, id LIMIT ?",
        (number, *(after or ("", "")), limit),
    ).fetchall()
    return [_stored(connection, row_from(row), execution) for *row, execution in found]


def due(
    connection: sqlite3.Connection, shard: str, until_ms: int, limit: int
) -> Sequence[tuple[int, ExecutionKey]]:
    found = connection.execute(
        "SELECT wake_at_ms, namespace, id FROM executions WHERE shard = ? AND wake_at_ms <= ?"
        " ORDER BY wake_at_ms, namespace, id LIMIT ?",
        (_shard_number(connection, shard), until_ms, limit),
    )
    return [(wake_at_ms, ExecutionKey(namespace, id)) for wake_at_ms, namespace, id in found]


def read(
    connection: sqlite3.Connection, key: ExecutionKey, after_seq: int, limit: int
) -> Sequence[tuple[int, bytes]]:
    return connection.execute(
        "SELECT seq, body FROM events WHERE execution ="
        " (SELECT number FROM executions WHERE namespace = ? AND id = ?)"
        " AND seq > ? ORDER BY seq LIMIT ?",
        (*key, after_seq, limit),
    ).fetchall()


def follow(
    connection: sqlite3.Connection, shard: str, after_position: int, limit: int
) -> Sequence[FollowedEvent]:
    number = _shard_number(connection, shard)
    if number is None:
        return []
    begin, end = place_of(number, 0), place_of(number + 1, 0)
    found = connection.execute(
        "SELECT events.place, namespace, id, seq, body FROM events"
        " CROSS JOIN executions ON executions.number = events.execution"
        " WHERE place > ? AND place < ? ORDER BY place LIMIT ?",
        (begin + after_position, end, limit),
    )
    return [
        FollowedEvent(position=place - begin, key=ExecutionKey(namespace, id), seq=seq, body=body)
        for place, namespace, id, seq, body in found
    ]


def outgoing(
    connection: sqlite3.Connection, shard: str, after: Message | None, limit: int
) -> Sequence[Message]:
    begin = (-1, "") if after is None else (after.sent_at_ms, after.id)
    found = connection.execute(
        "SELECT id, sender_shard, namespace, execution_id, sent_at_ms, body FROM messages"
        " WHERE sender_shard = ? AND (sent_at_ms, id) > (?, ?)"
        " ORDER BY sent_at_ms, id LIMIT ?",
        (shard, *begin, limit),
    )
    return [
        Message(
            id=id,
            sender_shard=sender_shard,
            receiver=ExecutionKey(namespace, execution_id),
            sent_at_ms=sent_at_ms,
            body=body,
        )
        for id, sender_shard, namespace, execution_id, sent_at_ms, body in found
    ]


def _shard_number(connection: sqlite3.Connection, shard: str) -> int | None:
    found = connection.execute("SELECT number FROM shards WHERE name = ?", (shard,)).fetchone()
    return None if found is None else int(found[0])
