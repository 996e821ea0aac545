"""Pages of lists: walks along indexes that have the page's order already, and their merging."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from ..paging import TOTAL_MAX, Cursor
from .database import Database


class _Listed(Protocol):
    @property
    def created_at_ms(self) -> int: ...


R = TypeVar("R", bound=_Listed)


class Walk(NamedTuple):
    """Rows of a list: what is read of which table under which conditions, the newest first."""

    columns: str
    table: str
    where: Sequence[str]
    values: Sequence[Any]
    created: str
    number: str

    def statement(self, begin: Cursor | None) -> tuple[str, Sequence[Any]]:
        """Without its LIMIT, from behind where the page before ended; the last column is the
        row's number."""
        where, values = list(self.where), list(self.values)
        if begin is not None:
            where.append(f"({self.created}, {self.number}) < (?, ?)")
            values += begin
        return (
            f"SELECT {self.columns}, {self.number} AS number FROM {self.table}"
            f" WHERE {' AND '.join(where)}"
            f" ORDER BY {self.created} DESC, {self.number} DESC"
        ), values


def page_of(
    connection: Database,
    walks: Sequence[Walk],
    row_from: Callable[[Sequence[Any]], R],
    *,
    begin: Cursor | None,
    limit: int,
    offset: int = 0,
) -> tuple[tuple[R, ...], str | None]:
    """The page's rows, and the cursor of the next one if there is more.

    Walks are of different rows; each reads no further than the page, so that a list costs what it
    shows and leaves out, however many rows there are.
    """
    parts, values = [], list[Any]()
    for n, walk in enumerate(walks):
        statement, of_walk = walk.statement(begin)
        if len(walks) == 1:
            parts.append(f"{statement} LIMIT ? OFFSET ?")
            values += (*of_walk, limit + 1, offset)
        else:
            parts.append(f"SELECT * FROM ({statement} LIMIT ?) AS walk{n}")
            values += (*of_walk, offset + limit + 1)
    statement = parts[0]
    if len(walks) > 1:
        statement = (
            f"SELECT * FROM ({' UNION ALL '.join(parts)}) AS found"
            " ORDER BY created_at_ms DESC, number DESC LIMIT ? OFFSET ?"
        )
        values += (limit + 1, offset)
    found = connection.rows(statement, values)
    page = found[:limit]
    rows = tuple(row_from(values) for *values, _ in page)
    if len(found) <= limit:
        return rows, None
    return rows, Cursor(rows[-1].created_at_ms, page[-1][-1]).encode()


def count_of(connection: Database, walks: Sequence[Walk]) -> int:
    """How many rows the walks have, counted up to `TOTAL_MAX`."""
    total = 0
    for walk in walks:
        found = connection.row(
            f"SELECT count(*) FROM (SELECT 1 FROM {walk.table}"
            f" WHERE {' AND '.join(walk.where)} LIMIT ?) AS counted",
            (*walk.values, TOTAL_MAX - total),
        )
        assert found is not None
        total += int(found[0])
    return total


def like(part: str) -> str:
    """The pattern of `LIKE … ESCAPE '!'` for texts that have a part."""
    escaped = part.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return f"%{escaped}%"
