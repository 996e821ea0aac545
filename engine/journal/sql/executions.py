"""Execution rows: one, a page of them, how many there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from ...identity import ExecutionKey
from ..paging import check_query
from ..protocol import ExecutionPage, ExecutionQuery, ExecutionRow
from .database import Database
from .pages import Walk, count_of, like, page_of
from .searching import Found, search

ROW_COLUMNS: Final = (
    "executions.namespace, executions.id, (SELECT name FROM shards"
    " WHERE shards.number = executions.shard) AS shard_name, executions.definition,"
    " executions.version, executions.status, executions.run, executions.busy,"
    " executions.wake_at_ms, executions.created_at_ms, executions.ended_at_ms,"
    " executions.failure_type, executions.failure_message, executions.tags, executions.awaits,"
    " executions.parent, executions.priority, executions.correlation_id"
)
"""What `row_from` reads, of `executions`."""

decode_tags: Final = msgspec.json.Decoder(dict[str, str]).decode
decode_texts: Final = msgspec.json.Decoder(tuple[str, ...]).decode


def encode_tags(tags: Mapping[str, str]) -> str | None:
    """What `decode_tags` reads; None for none."""
    return msgspec.json.encode(tags).decode() if tags else None


def encode_texts(texts: tuple[str, ...]) -> str | None:
    """What `decode_texts` reads; None for none."""
    return msgspec.json.encode(texts).decode() if texts else None


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
        parent,
        priority,
        correlation_id,
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
        tags={} if tags is None else decode_tags(tags),
        awaits=() if awaits is None else decode_texts(awaits),
        parent=parent,
        priority=priority,
        correlation_id=correlation_id,
    )


def get_row(connection: Database, key: ExecutionKey) -> ExecutionRow | None:
    """The row as the last append left it; None if there is none."""
    found = connection.row(
        f"SELECT {ROW_COLUMNS} FROM executions WHERE namespace = ? AND id = ?", key
    )
    return None if found is None else row_from(found)


def list_executions(connection: Database, query: ExecutionQuery) -> ExecutionPage:
    """A page of rows, the newest first."""
    begin = check_query(query)
    statuses: Sequence[str | None] = tuple(dict.fromkeys(query.status)) or (None,)
    found = search(connection, query)
    if found is None:
        walks = [_walk(connection, query, status) for status in statuses]
    else:
        walks = [
            walk for status in statuses for walk in _walks_of(connection, query, status, found)
        ]
        if not walks:
            return ExecutionPage(rows=(), next_cursor=None, total=0 if query.count else None)
    rows, cursor = page_of(
        connection, walks, row_from, begin=begin, limit=query.limit, offset=query.offset
    )
    total = _total(connection, query, walks) if query.count else None
    return ExecutionPage(rows=rows, next_cursor=cursor, total=total)


def _total(connection: Database, query: ExecutionQuery, walks: Sequence[Walk]) -> int:
    """Without counting, where the counts by status say it."""
    bare = ExecutionQuery(
        namespace=query.namespace,
        status=query.status,
        limit=query.limit,
        offset=query.offset,
        cursor=query.cursor,
        count=True,
    )
    if query != bare:
        return count_of(connection, walks)
    counts = count_executions(connection, query.namespace)
    return sum(
        count for status, count in counts.items() if not query.status or status in query.status
    )


def _walk(
    connection: Database,
    query: ExecutionQuery,
    status: str | None,
    *,
    among: Sequence[int] | None = None,
) -> Walk:
    """Rows with a status; `among` are the numbers of those that are looked at, of the namespace."""
    words = connection.dialect
    table, where = "executions", [words.in_namespace("executions")]
    created, number = "executions.created_at_ms", "executions.number"
    values: list[Any] = [query.namespace]
    if among is not None:  # alone: with the namespace beside it, an index of lists would be walked
        where, values = [f"executions.number IN ({_places(among)})"], [*among]
    tags = list(query.tags.items())
    if tags:  # the rarest would be best; which one that is, nobody knows
        table = f"tags {words.join} executions ON executions.number = tags.execution"
        created, number = "tags.created_at_ms", "tags.execution"
        condition, of_tag = words.has_tag("tags", *tags[0])
        where = ["tags.namespace = ?", condition]
        values += of_tag
    for tag in tags[1:]:
        condition, of_tag = words.has_tag("other", *tag)
        where.append(
            "EXISTS (SELECT 1 FROM tags AS other WHERE other.namespace = executions.namespace"
            f" AND {condition} AND other.created_at_ms = executions.created_at_ms"
            " AND other.execution = executions.number)"
        )
        values += of_tag
    for condition, wanted in (
        ("executions.definition = ?", query.definition),
        ("executions.version = ?", query.version),
        ("executions.correlation_id = ?", query.correlation_id),
        ("executions.status = ?", status),
        (f"{created} >= ?", query.created_from_ms),
        (f"{created} < ?", query.created_before_ms),
    ):
        if wanted is not None:
            where.append(condition)
            values.append(wanted)
    if status is not None and status != "Completed":
        where.append("executions.status <> 'Completed'")  # lets the partial index take part
    if query.q is not None:
        where.append(
            f"({words.has_part('executions.id')} OR {words.has_part('executions.definition')})"
        )
        values += [like(query.q.lower())] * 2
    return Walk(ROW_COLUMNS, table, where, values, created, number)


def _walks_of(
    connection: Database, query: ExecutionQuery, status: str | None, found: Found
) -> Iterator[Walk]:
    """Of what a search found: one for each definition, and one for executions of others."""
    rest = msgspec.structs.replace(query, q=None)
    for definition in found.definitions:
        if query.definition in (None, definition):
            of_it = msgspec.structs.replace(rest, definition=definition)
            yield _walk(connection, of_it, status)
    if found.executions:
        walk = _walk(connection, rest, status, among=found.executions)
        if found.definitions:
            others = f"executions.definition NOT IN ({_places(found.definitions)})"
            walk = walk._replace(
                where=[*walk.where, others], values=[*walk.values, *found.definitions]
            )
        yield walk


def _places(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def count_executions(connection: Database, namespace: str | None) -> Mapping[str, int]:
    """By status, from the counts that every append keeps."""
    found = connection.rows(
        "SELECT status, CAST(sum(executions) AS bigint) FROM status_counts"
        + (" WHERE namespace = ?" if namespace is not None else "")
        + " GROUP BY status HAVING sum(executions) > 0",
        () if namespace is None else (namespace,),
    )
    return dict(found)
