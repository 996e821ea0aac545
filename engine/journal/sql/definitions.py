"""Registered versions, in the order of their registration.

`definition_heads` has what lists show and search, under the number of the definition.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from ...status import TERMINAL
from ..naming import code_of
from ..paging import Cursor, check_limit, check_query
from ..protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    DefinitionSummary,
    Deletion,
)
from ..summaries import LATEST, TOLD_MAX, calls_of, fits, folded, searched, summary_of
from .database import Database
from .executions import decode_tags, decode_texts, encode_tags
from .pages import like

HOLDER: Final = 0
"""Holds the blobs that definitions name, which stay; no execution has this number."""

_PUT: Final = "namespace, id, version, content_hash, body, compiled, registered_at_ms"
_COLUMNS: Final = (
    "definitions.namespace, definitions.id, definitions.version, content_hash, body, compiled,"
    " heads.registered_at_ms, heads.deleted_at_ms"
)
_TABLES: Final = "definitions JOIN definition_heads AS heads ON heads.number = definitions.number"

_SUMMARY: Final = (
    "heads.namespace, heads.id, heads.version, heads.name, heads.description, heads.tags,"
    " heads.steps, heads.registered_at_ms, heads.number"
)


def put_definition(connection: Database, definition: DefinitionRow) -> DefinitionRow:
    """What is stored under its name: this one, or the one that came first."""
    connection.run(
        f"INSERT INTO definitions ({_PUT}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (namespace, id, version) DO NOTHING",
        (
            definition.namespace,
            definition.id,
            definition.version,
            definition.content_hash,
            definition.body,
            definition.compiled,
            definition.registered_at_ms,
        ),
    )
    # Another host's that came first is committed by now: the insert waited for it.
    found = connection.row(
        f"SELECT number, {_PUT} FROM definitions WHERE namespace = ? AND id = ? AND version = ?",
        (definition.namespace, definition.id, definition.version),
    )
    assert found is not None
    number, *values = found
    stored = _from((*values, None))
    _put_head(connection, number, stored)
    if stored.content_hash == definition.content_hash:
        connection.run(
            "UPDATE definition_heads SET deleted_at_ms = NULL, registered_at_ms = ?"
            " WHERE number = ? AND deleted_at_ms IS NOT NULL",
            (definition.registered_at_ms, number),
        )
    code = code_of(stored.compiled)
    if code is not None:
        connection.run(
            "INSERT INTO blob_names (name, execution) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (code, HOLDER),
        )
    row = get_definition(connection, definition.namespace, definition.id, definition.version)
    assert row is not None
    return row


def make_heads(connection: Database) -> None:
    """Enter the heads of all definitions; those that there are stay."""
    last = -1
    while True:  # one at a time: bodies are large
        found = connection.row(
            f"SELECT number, {_PUT} FROM definitions WHERE number > ? ORDER BY number LIMIT 1",
            (last,),
        )
        if found is None:
            return
        last, *values = found
        _put_head(connection, last, _from((*values, None)))


def _put_head(connection: Database, number: int, row: DefinitionRow) -> None:
    summary = summary_of(row)
    connection.run(
        "INSERT INTO definition_heads (number, namespace, id, version, name, description, tags,"
        " steps, registered_at_ms, deleted_at_ms, calls, searched)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?) ON CONFLICT (number) DO NOTHING",
        (
            number,
            row.namespace,
            row.id,
            row.version,
            summary.name,
            summary.description,
            encode_tags(summary.tags),
            summary.steps,
            row.registered_at_ms,
            msgspec.json.encode(calls_of(row)).decode(),
            searched(summary),
        ),
    )


def get_definition(
    connection: Database, namespace: str, id: str, version: str | None
) -> DefinitionRow | None:
    """Without a version the one registered last; with one, also where it is deleted."""
    found = connection.row(
        f"SELECT {_COLUMNS} FROM {_TABLES}"
        " WHERE definitions.namespace = ? AND definitions.id = ?"
        + (
            " AND definitions.version = ? LIMIT 1"
            if version is not None
            else " AND heads.deleted_at_ms IS NULL ORDER BY definitions.number DESC LIMIT 1"
        ),
        (namespace, id) if version is None else (namespace, id, version),
    )
    return None if found is None else _from(found)


def list_definitions(
    connection: Database, namespace: str, id: str | None, limit: int, offset: int
) -> Sequence[DefinitionRow]:
    """A page of definitions, the one registered last first."""
    check_limit(limit, offset)
    wanted = connection.dialect.in_namespace("definitions")
    found = connection.rows(
        f"SELECT {_COLUMNS} FROM {_TABLES} WHERE heads.deleted_at_ms IS NULL AND"
        f" {wanted if id is None else 'definitions.namespace = ? AND definitions.id = ?'}"
        " ORDER BY definitions.number DESC LIMIT ? OFFSET ?",
        (namespace, limit, offset) if id is None else (namespace, id, limit, offset),
    )
    return [_from(values) for values in found]


def definitions_page(connection: Database, query: DefinitionQuery) -> DefinitionPage:
    """A page of what lists show, the one registered last first."""
    begin = check_query(query)
    where = ["heads.namespace = ?", "heads.deleted_at_ms IS NULL"]
    values: list[Any] = [query.namespace]
    if query.id is not None:
        where.append("heads.id = ?")
        values.append(query.id)
    if not query.versions:
        where.append(
            "NOT EXISTS (SELECT 1 FROM definition_heads AS later"
            " WHERE later.namespace = heads.namespace AND later.id = heads.id"
            " AND later.number > heads.number AND later.deleted_at_ms IS NULL)"
        )
    if query.filter is not None:
        where.append("heads.searched LIKE ? ESCAPE '!'")
        values.append(like(folded(query.filter)))
    if query.tag is not None:  # what has such a text in it, which is then looked at
        where.append("heads.tags IS NOT NULL")
    table = f"definition_heads AS heads WHERE {' AND '.join(where)}"
    if query.tag is not None:
        return _tagged(connection, query, table, values, begin)
    total = None
    if query.count:
        counted = connection.row(f"SELECT count(*) FROM {table}", values)
        total = 0 if counted is None else int(counted[0])
    if begin is not None:
        table += " AND heads.number < ?"
        values.append(begin.number)
    found = connection.rows(
        f"SELECT {_SUMMARY} FROM {table} ORDER BY heads.number DESC LIMIT ? OFFSET ?",
        (*values, query.limit + 1, query.offset),
    )
    return _page(query, [(_summary(row), row[-1]) for row in found], total)


def _tagged(
    connection: Database,
    query: DefinitionQuery,
    table: str,
    values: Sequence[Any],
    begin: Cursor | None,
) -> DefinitionPage:
    """A tag is looked for in what the other filters leave: definitions are few."""
    found = [
        (summary, row[-1])
        for row in connection.rows(
            f"SELECT {_SUMMARY} FROM {table} ORDER BY heads.number DESC", values
        )
        if fits(query, summary := _summary(row))
    ]
    behind = [each for each in found if begin is None or each[1] < begin.number]
    total = len(found) if query.count else None
    return _page(query, behind[query.offset : query.offset + query.limit + 1], total)


def _page(
    query: DefinitionQuery, found: Sequence[tuple[DefinitionSummary, int]], total: int | None
) -> DefinitionPage:
    page = found[: query.limit]
    return DefinitionPage(
        rows=tuple(summary for summary, _ in page),
        next_cursor=Cursor(0, page[-1][1]).encode() if len(found) > query.limit else None,
        total=total,
    )


def delete_definition(
    connection: Database, namespace: str, id: str, version: str | None, at_ms: int
) -> Deletion:
    """Mark versions as deleted, unless executions or other definitions need them."""
    found = connection.rows(
        "SELECT number, version FROM definition_heads"
        " WHERE namespace = ? AND id = ? AND deleted_at_ms IS NULL ORDER BY number",
        (namespace, id),
    )
    going = [(number, each) for number, each in found if version in (None, each)]
    if not going:
        return Deletion()
    executions = _executions(connection, namespace, id, version)
    names = {f"{id}@{each}" for _, each in going}
    if len(going) == len(found):
        names.add(f"{id}@{LATEST}")
    definitions = tuple(
        f"{other}@{each}"
        for number, other, each, calls in connection.rows(
            "SELECT number, id, version, calls FROM definition_heads"
            " WHERE namespace = ? AND deleted_at_ms IS NULL AND calls <> '[]' ORDER BY number",
            (namespace,),
        )
        if (number, each) not in going and not names.isdisjoint(decode_texts(calls))
    )
    if executions or definitions:
        return Deletion(executions=executions, definitions=definitions[:TOLD_MAX])
    for number, _ in going:
        connection.run(
            "UPDATE definition_heads SET deleted_at_ms = ? WHERE number = ?", (at_ms, number)
        )
    return Deletion(versions=tuple(each for _, each in going))


def _executions(
    connection: Database, namespace: str, id: str, version: str | None
) -> tuple[str, ...]:
    ended = ", ".join(f"'{status}'" for status in sorted(TERMINAL))
    found = connection.rows(
        "SELECT id FROM executions WHERE namespace = ? AND definition = ?"
        f" AND status NOT IN ({ended}) AND status <> 'Completed'"
        + (" AND version = ?" if version is not None else "")
        + " LIMIT ?",
        (namespace, id, *(() if version is None else (version,)), TOLD_MAX),
    )
    return tuple(each for (each,) in found)


def _summary(values: Sequence[Any]) -> DefinitionSummary:
    namespace, id, version, name, description, tags, steps, registered_at_ms, _ = values
    return DefinitionSummary(
        namespace=namespace,
        id=id,
        version=version,
        name=name,
        description=description,
        tags={} if tags is None else decode_tags(tags),
        steps=steps,
        registered_at_ms=registered_at_ms,
    )


def _from(values: Sequence[Any]) -> DefinitionRow:
    namespace, id, version, content_hash, body, compiled, registered_at_ms, deleted_at_ms = values
    return DefinitionRow(
        namespace=namespace,
        id=id,
        version=version,
        content_hash=content_hash,
        body=body,
        compiled=compiled,
        registered_at_ms=registered_at_ms,
        deleted_at_ms=deleted_at_ms,
    )
