"""Execution rows: one, a page of them, how many there are."""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import heapq
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ...identity import ExecutionKey
from ..paging import Cursor, check_query
from ..protocol import ExecutionPage, ExecutionQuery, ExecutionRow

ROW_COLUMNS: Final = (
    "executions.namespace, executions.id, shards.name, executions.definition, executions.version,"
    " executions.status, executions.run, executions.busy, executions.wake_at_ms,"
    " executions.created_at_ms, executions.ended_at_ms, executions.failure_type,"
    " executions.failure_message, executions.tags, executions.awaits"
)
"""What `row_from` reads, of `executions JOIN shards`."""

_decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
_decode_awaits: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def row_from(values: Sequence[Any]) -> ExecutionRow:
    """The row of `ROW_COLUMNS`."""
    (
        namespace,
        id,
        shard,
        definition,
        version,
        status,
        run,
        busy,
        wake_at_ms,
        created_at_ms,
        ended_at_ms,
        failure_type,
        failure_message,
        tags,
        awaits,
    ) = values
    return ExecutionRow(
        key=ExecutionKey(namespace, id),
        shard=shard,
        definition=definition,
        version=version,
        status=status,
        run=run,
        busy=busy,
        wake_at_ms=wake_at_ms,
        created_at_ms=created_at_ms,
        ended_at_ms=ended_at_ms,
        failure_type=failure_type,
        failure_message=failure_message,
        tags={} if tags is None else _decode_tags(tags),
        awaits=() if awaits is None else _decode_awaits(awaits),
    )


def get_row(connection: sqlite3.Connection, key: ExecutionKey) -> ExecutionRow | None:
    found = connection.execute(
        f"SELECT {ROW_COLUMNS} FROM executions JOIN shards ON shards.number = executions.shard"
        " WHERE namespace = ? AND id = ?",
        key,
    ).fetchone()
    return None if found is None else row_from(found)


def list_executions(connection: sqlite3.Connection, query: ExecutionQuery) -> ExecutionPage:
    """Each wanted status is a walk along an index that already has the page's order."""
    begin = check_query(query)
    statuses: Sequence[str | None] = tuple(dict.fromkeys(query.status)) or (None,)
    walks = [_walk(connection, query, begin, status) for status in statuses]
    found = heapq.merge(*walks, key=lambda entry: entry[0], reverse=True)
    page = [entry for entry, _ in zip(found, range(query.limit + 1), strict=False)]
    more = len(page) > query.limit
    page = page[: query.limit]
    return ExecutionPage(
        rows=tuple(row for _, row in page),
        next_cursor=page[-1][0].encode() if more else None,
    )


def _walk(
    connection: sqlite3.Connection,
    query: ExecutionQuery,
    begin: Cursor | None,
    status: str | None,
) -> Iterator[tuple[Cursor, ExecutionRow]]:
    table, where = "executions", ["executions.namespace = ?"]
    created, number = "executions.created_at_ms", "executions.number"
    values: list[Any] = [query.namespace]
    tags = list(query.tags.items())
    if tags:  # the rarest would be best; which one that is, nobody knows
        table = "tags CROSS JOIN executions ON executions.number = tags.execution"
        created, number = "tags.created_at_ms", "tags.execution"
        where = ["tags.namespace = ?", "tags.name = ?", "tags.value = ?"]
        values += tags[0]
    for name, value in tags[1:]:
        where.append(
            "EXISTS (SELECT 1 FROM tags AS other WHERE other.namespace = executions.namespace"
            " AND other.name = ? AND other.value = ?"
            " AND other.created_at_ms = executions.created_at_ms"
            " AND other.execution = executions.number)"
        )
        values += (name, value)
    for condition, wanted in (
        ("executions.definition = ?", query.definition),
        ("executions.version = ?", query.version),
        ("executions.status = ?", status),
        (f"{created} >= ?", query.created_from_ms),
        (f"{created} < ?", query.created_before_ms),
    ):
        if wanted is not None:
            where.append(condition)
            values.append(wanted)
    if status is not None and status != "Completed":
        where.append("executions.status <> 'Completed'")  # lets the partial index take part
    if begin is not None:
        where.append(f"({created}, {number}) < (?, ?)")
        values += begin
    found = connection.execute(
        f"SELECT {ROW_COLUMNS}, executions.number FROM {table}"
        " CROSS JOIN shards ON shards.number = executions.shard"
        f" WHERE {' AND '.join(where)} ORDER BY {created} DESC, {number} DESC LIMIT ?",
        (*values, query.limit + 1),
    )
    for *row, execution in found:
        decoded = row_from(row)
        yield Cursor(decoded.created_at_ms, execution), decoded


def count_executions(connection: sqlite3.Connection, namespace: str | None) -> Mapping[str, int]:
    return dict(
        connection.execute(
            "SELECT status, sum(executions) FROM status_counts"
            " WHERE ?1 IS NULL OR namespace = ?1 GROUP BY status HAVING sum(executions) > 0",
            (namespace,),
        ).fetchall()
    )
