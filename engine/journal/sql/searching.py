"""Searching executions by a part of their ids or of their definitions' names.

No index answers that. But ids lie close together in the index by key, so that looking through all
of them costs a tenth of looking through the rows; and names of definitions are few. What is found
so is walked along the indexes of lists. Where too much is found for that, rows are looked at one
after the other, and a page of them is full soon.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from ..protocol import ExecutionQuery
from .database import Database
from .pages import like

IDS_MAX: Final = 500
"""Executions that are found by their ids; with more of them, one row in few is among them."""

DEFINITIONS_MAX: Final = 10
"""Names of definitions; each is a walk of its own."""


class Found(NamedTuple):
    """What a part was found in."""

    definitions: tuple[str, ...]
    executions: tuple[int, ...]
    """By their numbers; they may be of these definitions too."""


def search(connection: Database, query: ExecutionQuery) -> Found | None:
    """Where the part is that a query asks for; None where rows are to be looked at instead."""
    if query.q is None or query.tags or query.correlation_id is not None:
        return None  # these leave few rows, and walk an index of their own
    pattern = like(query.q.lower())
    definitions = _definitions(connection, query.namespace, pattern)
    if len(definitions) > DEFINITIONS_MAX:
        return None
    executions = _executions(connection, query.namespace, pattern)
    return None if len(executions) > IDS_MAX else Found(definitions, executions)


def _definitions(connection: Database, namespace: str, pattern: str) -> tuple[str, ...]:
    """Each name by one step along the index, however many executions have it."""
    words = connection.dialect
    here = words.in_namespace("executions")
    found = connection.rows(
        "WITH RECURSIVE names (name) AS ("
        f"SELECT min(definition) FROM executions WHERE {here}"
        " UNION ALL"
        f" SELECT (SELECT min(definition) FROM executions WHERE {here}"
        " AND definition > names.name) FROM names WHERE names.name IS NOT NULL)"
        f" SELECT name FROM names WHERE {words.has_part('name')} LIMIT ?",
        (namespace, namespace, pattern, DEFINITIONS_MAX + 1),
    )
    return tuple(name for (name,) in found)


def _executions(connection: Database, namespace: str, pattern: str) -> tuple[int, ...]:
    words = connection.dialect
    found = connection.rows(
        f"SELECT number FROM {words.by_key('executions')}"
        f" WHERE namespace = ? AND {words.has_part('id')} LIMIT ?",
        (namespace, pattern, IDS_MAX + 1),
    )
    return tuple(number for (number,) in found)
