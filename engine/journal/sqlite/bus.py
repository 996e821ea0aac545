"""How events get onto the bus and off it, and who wants to hear; the rest: `sql/bus.py`.

Positions are given in the writer's transaction, to the events that are new: an `AUTOINCREMENT`
would leave a gap for each that was there already.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from ..protocol import BusEvent
from ..sql.bus import Subscription
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


def publish(connection: sqlite3.Connection, events: Sequence[BusEvent]) -> None:
    """In the writer's transaction, so that positions are in the order of the commits."""
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


def bus_end(connection: sqlite3.Connection) -> int:
    """The position of the last event that was ever published; 0 for none."""
    (end,) = connection.execute(_END).fetchone()
    return int(end)


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


def set_subscriptions(connection: sqlite3.Connection, changes: Mapping[Subscription, bool]) -> None:
    """Enter those that are wanted and delete those that are not any more."""
    _SUBSCRIBE.write(connection, [each for each, wanted in changes.items() if wanted])
    _UNSUBSCRIBE.write(connection, [each for each, wanted in changes.items() if not wanted])
