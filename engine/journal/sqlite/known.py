"""How the writer learns of executions that it does not remember."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import msgspec

from ...identity import ExecutionKey
from ..sql.known import Known
from .bulk import Bulk

_FIND_EXECUTIONS: Final = Bulk(
    "SELECT json_group_array(json_array(executions.namespace, executions.id, shard,"
    " executions.number, (SELECT max(seq) FROM events WHERE execution = executions.number),"
    " status, definition, version, json(tags), json(awaits), created_at_ms))"
    " FROM (VALUES {rows}) AS wanted"  # CROSS JOIN: in this order, by index
    " CROSS JOIN executions ON namespace = wanted.column1 AND id = wanted.column2",
    columns=2,
)


class _Found(NamedTuple):
    """What `_FIND_EXECUTIONS` says of an execution."""

    namespace: str
    id: str
    shard: int
    number: int
    last_seq: int
    status: str
    definition: str
    version: str
    tags: dict[str, str] | None
    awaits: tuple[str, ...] | None
    created_at_ms: int


_decode_executions: Final = msgspec.json.Decoder(list[_Found]).decode


def find_executions(
    connection: sqlite3.Connection, epochs: Mapping[ExecutionKey, int]
) -> Iterator[tuple[ExecutionKey, Known]]:
    """Those of the executions that exist, each to be remembered under its epoch."""
    for cursor in _FIND_EXECUTIONS.run(connection, list(epochs)):
        (text,) = cursor.fetchone()
        for found in _decode_executions(text):
            key = ExecutionKey(found.namespace, found.id)
            known = Known(found.number, epochs[key], found.last_seq, found.shard)
            known.describe(
                found.status,
                found.definition,
                found.version,
                found.tags or {},
                found.awaits or (),
                found.created_at_ms,
            )
            yield key, known
