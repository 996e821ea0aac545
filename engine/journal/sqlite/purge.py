"""Executions that are past their retention, taken out with all that they have.

One transaction takes a bounded number of them, and of events: the writer's other callers wait that
long. The file does not shrink; what is freed is used again.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from itertools import takewhile
from typing import Any, Final

import msgspec

from ...identity import ExecutionKey
from ..admission import is_dedicated
from .append import DELETE_TAG
from .bulk import Bulk

EVENTS_MAX: Final = 2_000
"""Events of one transaction, or those of one execution: about 10 ms of the writer's time."""

# A sender whose message is not taken stays: the message may name what only its history holds. Of
# messages that an earlier format stored the sender is not known; they hold back their shard.
_FIND: Final = """
SELECT number, namespace, id, shard, status, tags, created_at_ms,
    (SELECT max(seq) FROM events WHERE execution = executions.number)
FROM executions INDEXED BY executions_by_end
WHERE ended_at_ms < ? AND number NOT IN (SELECT sender FROM messages WHERE sender IS NOT NULL)
    AND shard NOT IN (SELECT shards.number FROM messages JOIN shards ON name = sender_shard
        WHERE sender IS NULL)
ORDER BY ended_at_ms LIMIT ?
"""
_DELETE: Final = tuple(
    Bulk(f"DELETE FROM {table} WHERE {column} IN ({{rows}})", columns=1)
    for table, column in (
        ("events", "execution"),
        ("snapshots", "execution"),
        ("blob_names", "execution"),
        ("executions", "number"),
    )
)
_FIND_TASKS: Final = Bulk(
    "SELECT json_group_array(tasks.number) FROM (VALUES {rows}) AS wanted"
    " CROSS JOIN tasks ON tasks.namespace = wanted.column1 AND execution_id = wanted.column2",
    columns=2,
)
_DELETE_PEOPLE: Final = Bulk("DELETE FROM task_people WHERE task IN ({rows})", columns=1)
_DELETE_TASKS: Final = Bulk("DELETE FROM tasks WHERE number IN ({rows})", columns=1)
_COUNT: Final = (
    "UPDATE status_counts SET executions = executions - ? WHERE (namespace, status) = (?, ?)"
)
_FIND_SHARDS: Final = Bulk("SELECT number, name FROM shards WHERE number IN ({rows})", columns=1)
_DELETE_SHARD: Final = (
    "DELETE FROM shards WHERE number = ?"
    " AND NOT EXISTS (SELECT 1 FROM messages WHERE sender_shard = name)"
)

_decode_numbers: Final = msgspec.json.Decoder(list[int]).decode
_decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode


def purge_part(
    connection: sqlite3.Connection, ended_before_ms: int, limit: int
) -> Sequence[ExecutionKey]:
    """Delete some of those that ended before an instant; which."""
    found = connection.execute(_FIND, (ended_before_ms, limit)).fetchall()
    events = 0

    def fits(execution: tuple[Any, ...]) -> bool:
        nonlocal events
        first = events == 0
        events += execution[-1]
        return first or events <= EVENTS_MAX

    gone = list(takewhile(fits, found))
    keys = [ExecutionKey(namespace, id) for _, namespace, id, *_ in gone]
    numbers = [(number,) for number, *_ in gone]
    for statement in _DELETE:
        statement.write(connection, numbers)
    connection.executemany(DELETE_TAG, _tag_rows(gone))
    _delete_tasks(connection, keys)
    counts = Counter((namespace, status) for _, namespace, _, _, status, *_ in gone)
    connection.executemany(_COUNT, [(count, *name) for name, count in counts.items()])
    _delete_shards(connection, {(shard,) for _, _, _, shard, *_ in gone})
    return keys


def _tag_rows(gone: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [
        (namespace, name, value, created_at_ms, number)
        for number, namespace, _, _, _, tags, created_at_ms, _ in gone
        if tags is not None
        for name, value in _decode_tags(tags).items()
    ]


def _delete_tasks(connection: sqlite3.Connection, keys: Sequence[ExecutionKey]) -> None:
    tasks: list[tuple[int]] = []
    for cursor in _FIND_TASKS.run(connection, keys):
        (text,) = cursor.fetchone()
        tasks += ((number,) for number in _decode_numbers(text))
    _DELETE_PEOPLE.write(connection, tasks)
    _DELETE_TASKS.write(connection, tasks)


def _delete_shards(connection: sqlite3.Connection, numbers: set[tuple[int]]) -> None:
    """Those of dedicated executions, of which nothing is left but perhaps a message."""
    for cursor in _FIND_SHARDS.run(connection, sorted(numbers)):
        for number, name in cursor.fetchall():
            if is_dedicated(name):
                connection.execute(_DELETE_SHARD, (number,))
