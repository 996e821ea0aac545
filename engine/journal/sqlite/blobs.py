"""Which executions name which blobs; the holder 0 stands for definitions, which stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

import msgspec

from .bulk import Bulk

_NAME: Final = Bulk("INSERT OR IGNORE INTO blob_names (name, execution) VALUES {rows}", columns=2)
_FIND: Final = Bulk(
    "SELECT json_group_array(DISTINCT name) FROM blob_names WHERE name IN ({rows})", columns=1
)

_decode_names: Final = msgspec.json.Decoder(list[str]).decode


def name_blobs(connection: sqlite3.Connection, holders: Sequence[tuple[str, int]]) -> None:
    """Enter names with the numbers of the executions that hold them."""
    _NAME.write(connection, holders)


def named_blobs(connection: sqlite3.Connection, names: Sequence[str]) -> frozenset[str]:
    """Those of the names that a history or a definition holds."""
    found: set[str] = set()
    for cursor in _FIND.run(connection, [(name,) for name in names]):
        (text,) = cursor.fetchone()
        found.update(_decode_names(text))
    return frozenset(found)
