"""Executions that are past their retention, taken out with all that they have.

Whoever purges locks the shards that he takes from, as an append does, and counts up their `purged`:
their owners forget what they remembered of the executions. One transaction takes a bounded number
of them, and of events: those who append wait that long.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

from ..admission import is_dedicated
from ..sql.executions import decode_tags
from .append import DELETE_TAG
from .bulk import Bulk
from .connections import Database
from .ownership import lock_shards, locked
from .values import Int8s

EVENTS_MAX: Final = 2_000
"""Events of one transaction, or those of one execution: some 10 ms of the server's time."""

# A sender whose message is not taken stays: the message may name what only its history holds.
_CANDIDATES: Final = (
    "SELECT number, namespace, id, shard, status, tags, created_at_ms, (SELECT max(seq)"
    " FROM events WHERE execution = executions.number), (SELECT name FROM shards"
    " WHERE shards.number = executions.shard) FROM executions WHERE ended_at_ms < %s"
    " AND NOT EXISTS (SELECT FROM messages WHERE sender = executions.number)"
)
_FIND: Final = f"{_CANDIDATES} ORDER BY ended_at_ms LIMIT %s"
_FIND_AGAIN: Final = f"{_CANDIDATES} AND number = ANY (%b::bigint[]) ORDER BY ended_at_ms"

_DELETE: Final = (
    "DELETE FROM events WHERE execution = ANY (%b::bigint[])",
    "DELETE FROM snapshots WHERE execution = ANY (%b::bigint[])",
    "DELETE FROM blob_names WHERE execution = ANY (%b::bigint[])",
    "DELETE FROM executions WHERE number = ANY (%b::bigint[])",
)
_DELETE_PEOPLE: Final = Bulk(
    "DELETE FROM task_people USING {rows} AS old (namespace, id) JOIN tasks"
    " ON tasks.namespace = old.namespace AND tasks.execution_id = old.id"
    " WHERE task_people.task = tasks.number",
    columns="tt",
)
_DELETE_TASKS: Final = Bulk(
    "DELETE FROM tasks USING {rows} AS old (namespace, id)"
    " WHERE tasks.namespace = old.namespace AND tasks.execution_id = old.id",
    columns="tt",
)
_COUNT: Final = Bulk(
    "UPDATE status_counts SET executions = status_counts.executions - old.executions"
    " FROM (SELECT shard, namespace, status, count(*) AS executions"
    " FROM {rows} AS each (shard, namespace, status) GROUP BY 1, 2, 3) AS old"
    " WHERE status_counts.shard = old.shard AND status_counts.namespace = old.namespace"
    " AND status_counts.status = old.status",
    columns="itt",
)
_COUNT_PURGED: Final = (
    "UPDATE shards SET purged = purged + 1 WHERE number = ANY (%b::bigint[]::integer[])"
)
_DELETE_SHARDS: Final = (
    "WITH gone AS (DELETE FROM shards WHERE number = ANY (%b::bigint[]::integer[])"
    " AND NOT EXISTS (SELECT FROM events WHERE events.shard = shards.number)"
    " AND NOT EXISTS (SELECT FROM messages WHERE sender_shard = shards.name)"
    " RETURNING number)"
    " DELETE FROM status_counts USING gone WHERE status_counts.shard = gone.number"
)


def purge_part(connection: Database, ended_before_ms: int, limit: int) -> int:
    """Delete some of those that ended before an instant; how many."""
    found = connection.execute(_FIND, (ended_before_ms, limit), binary=True).fetchall()
    events = 0

    def fits(execution: tuple[Any, ...]) -> bool:
        nonlocal events
        first = events == 0
        events += execution[7]
        return first or events <= EVENTS_MAX

    wanted = list(takewhile(fits, found))
    if not wanted:
        return 0
    locking = lock_shards(connection, {shard for *_, shard in wanted})
    # Behind the locks: one may have been taken up again, as by a retry, or purged by another host.
    again = connection.execute(
        _FIND_AGAIN, (ended_before_ms, Int8s([number for number, *_ in wanted])), binary=True
    )
    shards = locked(locking)
    gone = [execution for execution in again.fetchall() if execution[-1] in shards]
    if gone:
        _delete(connection, gone)
    # None may be left of what was found, where another host purges too; then the next are asked for
    return len(gone) or purge_part(connection, ended_before_ms, limit)


def _delete(connection: Database, gone: Sequence[tuple[Any, ...]]) -> None:
    numbers = Int8s([number for number, *_ in gone])
    DELETE_TAG.write(connection, _tag_rows(gone))
    keys = [(namespace, id) for _, namespace, id, *_ in gone]
    _DELETE_PEOPLE.write(connection, keys)
    _DELETE_TASKS.write(connection, keys)
    for statement in _DELETE:
        connection.execute(statement, (numbers,))
    _COUNT.write(
        connection, [(shard, namespace, status) for _, namespace, _, shard, status, *_ in gone]
    )
    shards = {shard: name for _, _, _, shard, *_, name in gone}
    connection.execute(_COUNT_PURGED, (Int8s(sorted(shards)),))
    dedicated = sorted(number for number, name in shards.items() if is_dedicated(name))
    if dedicated:
        connection.execute(_DELETE_SHARDS, (Int8s(dedicated),))


def _tag_rows(gone: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        (namespace, name, value, created_at_ms, number)
        for number, namespace, _, _, _, tags, created_at_ms, *_ in gone
        if tags is not None
        for name, value in decode_tags(tags).items()
    ]
