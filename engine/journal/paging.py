"""Cursors of lists of executions and of tasks: what every backend gives out and takes back.

Lists run newest first by `(created_at_ms, number)`, where a journal numbers executions, and tasks,
in the order it created them. Neither ever changes, so pages neither repeat nor skip while others
are added.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

from ..errors import InputError
from .protocol import DefinitionQuery, ExecutionQuery, TaskQuery

_Row = TypeVar("_Row")

LIMIT_MAX: Final = 1_000
"""Rows of one page: bounds how long a read holds its view of the database."""

OFFSET_MAX: Final = 100_000
"""Rows that a page may leave out; further on a cursor costs nothing."""

INSTANT_MAX: Final = 2**53
"""Milliseconds, far beyond the year 9999; what every store can compare."""

TOTAL_MAX: Final = 100_000
"""How far rows are counted, where none of the counts that are kept answers."""


class Cursor(NamedTuple):
    """The last row of a page."""

    created_at_ms: int
    number: int

    def encode(self) -> str:
        """The text that `decode_cursor` reads."""
        return f"{self.created_at_ms}-{self.number}"


def decode_cursor(text: str) -> Cursor:
    """Raises `InputError` for a text that no page gave out."""
    created_at_ms, dash, number = text.partition("-")
    if not (dash and _is_count(created_at_ms) and _is_count(number)):
        raise InputError(f"{text!r} is not a cursor; pass on `next_cursor` of the page before")
    return Cursor(int(created_at_ms), int(number))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19  # below 2**63


def check_query(query: ExecutionQuery | TaskQuery | DefinitionQuery) -> Cursor | None:
    """Where the page begins; raises `InputError`."""
    check_limit(query.limit, query.offset)
    if isinstance(query, ExecutionQuery):
        for instant in (query.created_from_ms, query.created_before_ms):
            if instant is not None and not -INSTANT_MAX <= instant <= INSTANT_MAX:
                raise InputError(f"{instant} is no instant in milliseconds since 1970")
    return None if query.cursor is None else decode_cursor(query.cursor)


def check_limit(limit: int, offset: int = 0) -> None:
    """Raises `InputError` for a limit outside 1 … `LIMIT_MAX`, or such an offset."""
    if not 0 <= offset <= OFFSET_MAX:
        raise InputError(
            f"offset is {offset}; it must be between 0 and {OFFSET_MAX:,}: go on with a cursor"
        )
    if not 1 <= limit <= LIMIT_MAX:
        raise InputError(f"limit is {limit}; it must be between 1 and {LIMIT_MAX:,}")


def page_of(
    found: Sequence[tuple[Cursor, _Row]], query: ExecutionQuery | TaskQuery | DefinitionQuery
) -> tuple[tuple[_Row, ...], str | None, int | None]:
    """The page that a query asks for of all rows that match it: its rows, the cursor of the next
    page if there is one, and how many match if that is asked.

    Args:
        found: the newest first.

    Raises:
        InputError: the query is none.
    """
    begin = check_query(query)
    rest = [each for each in found if begin is None or each[0] < begin][query.offset :]
    page = rest[: query.limit]
    return (
        tuple(row for _, row in page),
        page[-1][0].encode() if len(rest) > query.limit else None,
        len(found) if query.count else None,
    )
