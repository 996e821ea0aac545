"""Histories, what is due and what is to be sent; each function is one statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ...identity import ExecutionKey
from ..protocol import ExecutionRow, Message, SnapshotRow, StoredExecution
from .database import Database

SHARD: Final = "(SELECT number FROM shards WHERE name = ?)"


def stored(
    row: ExecutionRow, snapshot: tuple[int, bytes] | None, events: tuple[bytes, ...]
) -> StoredExecution:
    """An execution with its snapshot, and the events behind that."""
    after_seq = 0 if snapshot is None else snapshot[0]
    return StoredExecution(
        row=row,
        snapshot=None if snapshot is None else SnapshotRow(seq=after_seq, body=snapshot[1]),
        events=events,
        last_seq=after_seq + len(events),  # seq has no gaps
    )


def due(
    connection: Database, shard: str, until_ms: int, limit: int
) -> Sequence[tuple[int, ExecutionKey]]:
    """A page of those that want to wake, the earliest first."""
    found = connection.rows(
        f"SELECT wake_at_ms, namespace, id FROM executions WHERE shard = {SHARD}"
        " AND wake_at_ms <= ? ORDER BY wake_at_ms, namespace, id LIMIT ?",
        (shard, until_ms, limit),
    )
    return [(wake_at_ms, ExecutionKey(namespace, id)) for wake_at_ms, namespace, id in found]


def read(
    connection: Database, key: ExecutionKey, after_seq: int, limit: int
) -> Sequence[tuple[int, bytes]]:
    """A page of a history, in the order of `seq`."""
    found = connection.rows(
        "SELECT seq, body FROM events WHERE execution ="
        " (SELECT number FROM executions WHERE namespace = ? AND id = ?)"
        " AND seq > ? ORDER BY seq LIMIT ?",
        (*key, after_seq, limit),
    )
    return [(seq, body) for seq, body in found]


def outgoing(
    connection: Database, shard: str, after: Message | None, limit: int
) -> Sequence[Message]:
    """A page of what receivers have not journaled, in the order `(sent_at_ms, id)`."""
    begin = (-1, "") if after is None else (after.sent_at_ms, after.id)
    found = connection.rows(
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
