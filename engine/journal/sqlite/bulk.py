"""Statements over many rows at once.

Every step of a statement gives up Python's lock, and a busy event loop returns it only after its
switch interval: a thousand statements in a commit were seen to take seconds. So rows go in by
powers of two, which keeps the number of steps logarithmic and the statements few enough to stay
prepared, and what is looked up comes back as one JSON text, in one step.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain
from typing import Any, Final

ROWS_MAX: Final = 128
"""Rows of one statement; a power of two. Sixteen columns of them stay far below SQLite's bound."""


class Bulk:
    """A statement with one `{rows}`, in place of which come as many `(?, …)` as there are rows."""

    def __init__(self, statement: str, columns: int) -> None:
        self._statement = statement
        self._one = f"({', '.join('?' * columns)})" if columns > 1 else "?"

    @cache  # noqa: B019 – bulks are constants of their modules
    def _of(self, count: int) -> str:
        return self._statement.format(rows=", ".join([self._one] * count))

    def run(
        self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]
    ) -> Iterator[sqlite3.Cursor]:
        """Execute in chunks as the caller iterates; the cursors are those of the chunks."""
        start = 0
        while start < len(rows):
            count = min(ROWS_MAX, 1 << (len(rows) - start).bit_length() - 1)
            chunk = rows[start : start + count]
            yield connection.execute(self._of(count), tuple(chain.from_iterable(chunk)))
            start += count

    def write(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Execute for all rows; most often there are none."""
        if not rows:
            return
        for _ in self.run(connection, rows):
            pass
