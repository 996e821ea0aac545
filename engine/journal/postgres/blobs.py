"""Which executions name which blobs; the holder 0 stands for definitions, which stay."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .bulk import Bulk
from .connections import Database

_NAME: Final = Bulk(
    "INSERT INTO blob_names (name, execution) SELECT * FROM {rows} ON CONFLICT DO NOTHING",
    columns="ti",
)
_FIND: Final = Bulk(
    "SELECT wanted.name FROM {rows} AS wanted (name)"
    " WHERE EXISTS (SELECT FROM blob_names WHERE blob_names.name = wanted.name)",
    columns="t",
)


def name_blobs(connection: Database, holders: Sequence[tuple[str, int]]) -> None:
    """Enter names with the numbers of the executions that hold them."""
    _NAME.write(connection, sorted(holders))


def named_blobs(connection: Database, names: Sequence[str]) -> frozenset[str]:
    """Those of the names that a history or a definition holds."""
    found = _FIND.run(connection, [(name,) for name in names])
    return frozenset(name for (name,) in found.fetchall())
