"""How events get onto the bus and off it, and who wants to hear; the rest: `sql/bus.py`.

Whoever publishes locks the bus's end until his commit, and only then looks which events are new. So
positions are given in the order of the commits, and a reader that sees one sees all before it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from ..protocol import BusEvent
from ..sql.bus import Subscription
from .bulk import Bulk
from .connections import Database

_LOCK_END: Final = "SELECT FROM bus_end FOR UPDATE"
# A statement of its own behind the lock: it sees what those before us committed.
_PUBLISH: Final = Bulk(
    "WITH new AS MATERIALIZED ("
    "  SELECT namespace, id, name, published_at_ms, body, row_number() OVER (ORDER BY ordinal) AS n"
    "  FROM {rows} AS wanted (ordinal, namespace, id, name, published_at_ms, body)"
    "  WHERE NOT EXISTS (SELECT FROM bus"
    "    WHERE bus.namespace = wanted.namespace AND bus.id = wanted.id)"
    "), moved AS ("
    "  UPDATE bus_end SET position = position + (SELECT count(*) FROM new)"
    "  RETURNING position - (SELECT count(*) FROM new) AS before"
    ") INSERT INTO bus (position, namespace, id, name, published_at_ms, body)"
    " SELECT moved.before + n, namespace, id, name, published_at_ms, body FROM new, moved",
    columns="itttib",
)
_SUBSCRIBE: Final = Bulk(
    "INSERT INTO subscriptions (shard, namespace, name, id) SELECT * FROM {rows}"
    " ON CONFLICT DO NOTHING",
    columns="ittt",
)
_UNSUBSCRIBE: Final = Bulk(
    "DELETE FROM subscriptions USING {rows} AS old (shard, namespace, name, id)"
    " WHERE subscriptions.shard = old.shard AND subscriptions.namespace = old.namespace"
    " AND subscriptions.name = old.name AND subscriptions.id = old.id",
    columns="ittt",
)


def publish(connection: Database, events: Sequence[BusEvent]) -> None:
    """Behind the lock of the end, so that positions are in the order of the commits."""
    first: dict[tuple[str, str], BusEvent] = {}
    for event in events:
        first.setdefault((event.namespace, event.id), event)
    if not first:
        return
    connection.execute(_LOCK_END)
    _PUBLISH.write(
        connection,
        [
            (ordinal, each.namespace, each.id, each.name, each.published_at_ms, each.body)
            for ordinal, each in enumerate(first.values())
        ],
    )


def bus_end(connection: Database) -> int:
    """The position of the last event that was ever published; 0 for none."""
    found = connection.execute("SELECT position FROM bus_end", binary=True).fetchone()
    assert found is not None
    return int(found[0])


def purge_part(connection: Database, before_ms: int, limit: int) -> int:
    """Delete at most so many of the events that `purge_bus` is to delete; how many."""
    found = connection.execute(
        "WITH gone AS (DELETE FROM bus WHERE position = ANY (ARRAY("
        "  SELECT position FROM bus WHERE published_at_ms < %s"
        "  ORDER BY published_at_ms LIMIT %s FOR UPDATE SKIP LOCKED))"
        " RETURNING 1) SELECT count(*) FROM gone",
        (before_ms, limit),
        binary=True,
    ).fetchone()
    assert found is not None
    return int(found[0])


def set_subscriptions(connection: Database, changes: Mapping[Subscription, bool]) -> None:
    """Enter those that are wanted and delete those that are not any more."""
    _SUBSCRIBE.write(connection, [each for each, wanted in changes.items() if wanted])
    _UNSUBSCRIBE.write(connection, [each for each, wanted in changes.items() if not wanted])
