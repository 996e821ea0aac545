"""How the writer learns of executions that it does not remember."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from psycopg import Cursor

from ...identity import ExecutionKey
from ..sql.executions import decode_tags, decode_texts
from ..sql.known import Known
from .bulk import Bulk
from .connections import Database

_FIND_EXECUTIONS: Final = Bulk(
    "SELECT executions.namespace, executions.id, shard, number,"
    " (SELECT max(seq) FROM events WHERE execution = executions.number),"
    " status, definition, version, tags, awaits, created_at_ms"
    " FROM {rows} AS wanted (namespace, id) JOIN executions"
    " ON executions.namespace = wanted.namespace AND executions.id = wanted.id",
    columns="tt",
)


def ask_for(connection: Database, epochs: Mapping[ExecutionKey, int]) -> Cursor[tuple[Any, ...]]:
    """Ask; `found` reads the answer, when it is needed."""
    return _FIND_EXECUTIONS.run(connection, list(epochs))


def found(
    cursor: Cursor[tuple[Any, ...]], epochs: Mapping[ExecutionKey, int]
) -> Iterator[tuple[ExecutionKey, Known]]:
    """Those of the executions that exist, each to be remembered under its epoch."""
    for (
        namespace,
        id,
        shard,
        number,
        last_seq,
        status,
        definition,
        version,
        tags,
        awaits,
        at,
    ) in cursor.fetchall():
        key = ExecutionKey(namespace, id)
        known = Known(number, epochs[key], last_seq, shard)
        known.describe(
            status,
            definition,
            version,
            {} if tags is None else decode_tags(tags),
            () if awaits is None else decode_texts(awaits),
            at,
        )
        yield key, known
