"""Registered versions, in the order of their registration."""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from ..paging import check_limit
from ..protocol import DefinitionRow

_COLUMNS: Final = "namespace, id, version, content_hash, body, compiled, registered_at_ms"


def put_definition(connection: sqlite3.Connection, definition: DefinitionRow) -> DefinitionRow:
    stored = get_definition(connection, definition.namespace, definition.id, definition.version)
    if stored is not None:
        return stored
    connection.execute(
        f"INSERT INTO definitions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)",
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
    return definition


def get_definition(
    connection: sqlite3.Connection, namespace: str, id: str, version: str | None
) -> DefinitionRow | None:
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM definitions WHERE namespace = ? AND id = ?"
        " AND (?3 IS NULL OR version = ?3) ORDER BY number DESC LIMIT 1",
        (namespace, id, version),
    ).fetchone()
    return None if found is None else _from(found)


def list_definitions(
    connection: sqlite3.Connection, namespace: str, id: str | None, limit: int, offset: int
) -> Sequence[DefinitionRow]:
    check_limit(limit)
    found = connection.execute(
        f"SELECT {_COLUMNS} FROM definitions WHERE namespace = ?1 AND (?2 IS NULL OR id = ?2)"
        " ORDER BY number DESC LIMIT ?3 OFFSET ?4",
        (namespace, id, limit, offset),
    )
    return [_from(values) for values in found]


def _from(values: tuple[Any, ...]) -> DefinitionRow:
    namespace, id, version, content_hash, body, compiled, registered_at_ms = values
    return DefinitionRow(
        namespace=namespace,
        id=id,
        version=version,
        content_hash=content_hash,
        body=body,
        compiled=compiled,
        registered_at_ms=registered_at_ms,
    )
