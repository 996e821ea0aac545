"""The event bus: events in one order, how far each shard has been told, and who wants to hear.

Positions are given in the writer's transaction, to the events that are new: an `AUTOINCREMENT`
would leave a gap for each that was there already.
"""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ...identity import ExecutionKey
from ..admission import check_bus_position
from ..protocol import BusEvent
from .bulk import Bulk

_INSERT: Final = Bulk(
    "INSERT INTO bus (position, namespace, id, name, published_at_ms, body) VALUES {rows}",
    columns=6,
)
_FIND: Final = Bulk(
    "SELECT json_group_array(json_array(bus.namespace, bus.id)) FROM (VALUES {rows}) AS wanted"
    " CROSS JOIN bus ON bus.namespace = wanted.column1 AND bus.id = wanted.column2",
    columns=2,
)
# Of a purged end only its position is left, as a fact.
_END: Final = (
    "SELECT max(coalesce((SELECT max(position) FROM bus), 0),"
    " coalesce((SELECT CAST(value AS INTEGER) FROM facts WHERE name = 'bus_end'), 0))"
)
_SUBSCRIBE: Final = Bulk(
    "INSERT OR IGNORE INTO subscriptions (shard, namespace, name, id) VALUES {rows}", columns=4
)
# By number: SQLite would look for a list of several columns in all of the table.
_UNSUBSCRIBE: Final = Bulk(
    "DELETE FROM subscriptions WHERE number IN (SELECT number FROM (VALUES {rows}) AS wanted"
    " CROSS JOIN subscriptions ON shard = wanted.column1 AND namespace = wanted.column2"
    " AND name = wanted.column3 AND id = wanted.column4)",
    columns=4,
)

_decode_found: Final = msgspec.json.Decoder(list[tuple[str, str]]).decode

Subscription = tuple[int, str, str, str]
"""The number of a shard, a namespace, an event's type, and the id of an execution."""


def publish(connection: sqlite3.Connection, events: Sequence[BusEvent]) -> None:
    new: dict[tuple[str, str], BusEvent] = {}
    for event in events:
        new.setdefault((event.namespace, event.id), event)
    for cursor in _FIND.run(connection, list(new)):
        (text,) = cursor.fetchone()
        for name in _decode_found(text):
            del new[name]
    if not new:
        return
    first = bus_end(connection) + 1
    _INSERT.write(
        connection,
        [
            (position, each.namespace, each.id, each.name, each.published_at_ms, each.body)
            for position, each in enumerate(new.values(), start=first)
        ],
    )


def bus(
    connection: sqlite3.Connection, after_position: int, limit: int
) -> Sequence[tuple[int, BusEvent]]:
    found = connection.execute(
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


def bus_end(connection: sqlite3.Connection) -> int:
    (end,) = connection.execute(_END).fetchone()
    return int(end)


def bus_cursor(connection: sqlite3.Connection, shard: str) -> int:
    found = connection.execute("SELECT bus_cursor FROM shards WHERE name = ?", (shard,)).fetchone()
    return 0 if found is None else int(found[0])


def advance_bus(connection: sqlite3.Connection, shard: str, epoch: int, position: int) -> bool:
    check_bus_position(shard, position, bus_end(connection))
    changed = connection.execute(
        "UPDATE shards SET bus_cursor = max(bus_cursor, ?)"
        " WHERE name = ? AND epoch = ? AND epoch > 0",
        (position, shard, epoch),
    )
    return changed.rowcount == 1


def purge_part(connection: sqlite3.Connection, before_ms: int, limit: int) -> int:
    """Delete at most so many of the events that `purge_bus` is to delete; how many."""
    found = connection.execute(
        "SELECT position FROM bus WHERE published_at_ms < ? ORDER BY published_at_ms LIMIT ?",
        (before_ms, limit),
    ).fetchall()
    if found:
        connection.execute(
            "INSERT OR REPLACE INTO facts (name, value) VALUES ('bus_end', ?)",
            (str(bus_end(connection)),),
        )
        connection.executemany("DELETE FROM bus WHERE position = ?", found)
    return len(found)


def awaiting(
    connection: sqlite3.Connection,
    shard: str,
    namespace: str,
    name: str,
    after: ExecutionKey | None,
    limit: int,
) -> Sequence[ExecutionKey]:
    begin = ""  # an id is never empty
    if after is not None:
        if after.namespace > namespace:
            return []
        if after.namespace == namespace:
            begin = after.execution_id
    found = connection.execute(
        "SELECT id FROM subscriptions WHERE shard = (SELECT number FROM shards WHERE name = ?)"
        " AND namespace = ? AND name = ? AND id > ? ORDER BY id LIMIT ?",
        (shard, namespace, name, begin, limit),
    )
    return [ExecutionKey(namespace, id) for (id,) in found]


def set_subscriptions(connection: sqlite3.Connection, changes: Mapping[Subscription, bool]) -> None:
    """Enter those that are wanted and delete those that are not any more."""
    _SUBSCRIBE.write(connection, [each for each, wanted in changes.items() if wanted])
    _UNSUBSCRIBE.write(connection, [each for each, wanted in changes.items() if not wanted])
