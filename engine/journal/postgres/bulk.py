"""Statements over many rows at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from psycopg import Cursor

from .connections import Database
from .values import Bytes, Column, Int8s, Texts

_KINDS: Final[dict[str, tuple[type[Column], str]]] = {
    "i": (Int8s, "int8"),
    "t": (Texts, "text"),
    "b": (Bytes, "bytea"),
}


class Bulk:
    """A statement with one `{rows}`, which is a set of rows made from one array a column.

    `columns` has a letter for each: `i` a number, `t` a text, `b` bytes.
    """

    def __init__(self, statement: str, columns: str) -> None:
        arrays = ", ".join(f"%b::{_KINDS[kind][1]}[]" for kind in columns)
        self._statement = statement.format(rows=f"unnest({arrays})")
        self._kinds = [_KINDS[kind][0] for kind in columns]

    def run(self, connection: Database, rows: Sequence[tuple[Any, ...]]) -> Cursor[tuple[Any, ...]]:
        """Execute for all rows in one statement."""
        columns = zip(*rows, strict=True) if rows else [()] * len(self._kinds)
        values = [kind(column) for kind, column in zip(self._kinds, columns, strict=True)]
        return connection.execute(self._statement, values, binary=True)

    def write(self, connection: Database, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute for all rows; most often there are none."""
        if rows:
            self.run(connection, rows)
