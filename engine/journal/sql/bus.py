"""The event bus: its events in order, how far each shard has been told, and who wants to hear."""

from __future__ import annotations

from collections.abc import Sequence

from ...identity import ExecutionKey
from ..admission import check_bus_position
from ..protocol import BusEvent
from .database import Database

Subscription = tuple[int, str, str, str]
"""The number of a shard, a namespace, an event's type, and the id of an execution."""


def bus(connection: Database, after_position: int, limit: int) -> Sequence[tuple[int, BusEvent]]:
    """A page of published events, in the order of positions."""
    found = connection.rows(
        "SELECT position, namespace, id, name, published_at_ms, body FROM bus"
        " WHERE position > ? ORDER BY position LIMIT ?",
        (after_position, limit),
    )
    return [
        (
            position,
            BusEvent(
                id=id, namespace=namespace, name=name, published_at_ms=published_at_ms, body=body
            ),
        )
        for position, namespace, id, name, published_at_ms, body in found
    ]


def bus_cursor(connection: Database, shard: str) -> int:
    """How far the shard's executions have been told; 0 for one that is not there."""
    found = connection.row("SELECT bus_cursor FROM shards WHERE name = ?", (shard,))
    return 0 if found is None else int(found[0])


def advance_bus(connection: Database, shard: str, epoch: int, position: int, end: int) -> bool:
    """Move a shard's cursor on; False where the epoch is another one."""
    """`end` is where the bus ends, as this transaction sees it."""
    check_bus_position(shard, position, end)
    changed = connection.rows(
        f"UPDATE shards SET bus_cursor = {connection.dialect.greatest}(bus_cursor, ?)"
        " WHERE name = ? AND epoch = ? AND epoch > 0 RETURNING number",
        (position, shard, epoch),
    )
    return bool(changed)


def awaiting(
    connection: Database,
    shard: str,
    namespace: str,
    name: str,
    after: ExecutionKey | None,
    limit: int,
) -> Sequence[ExecutionKey]:
    """A page of the unfinished executions that await a type, in the order of ids."""
    begin = ""  # an id is never empty
    if after is not None:
        if after.namespace > namespace:
            return []
        if after.namespace == namespace:
            begin = after.execution_id
    found = connection.rows(
        "SELECT id FROM subscriptions WHERE shard = (SELECT number FROM shards WHERE name = ?)"
        " AND namespace = ? AND name = ? AND id > ? ORDER BY id LIMIT ?",
        (shard, namespace, name, begin, limit),
    )
    return [ExecutionKey(namespace, id) for (id,) in found]
