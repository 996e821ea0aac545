"""What a backend brings: a connection that runs statements, and the words in which it differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

Values = Sequence[Any]
Row = tuple[Any, ...]


class Dialect(NamedTuple):
    """Words in which the backends differ; each is put into a statement as it is."""

    join: str
    """Joins two tables in the order in which they are written, where the planner would choose."""

    greatest: str
    """The function for the larger of two numbers."""

    in_namespace: Callable[[str], str]
    """The condition on a table's namespace, as the indexes of lists have it."""

    by_key: Callable[[str], str]
    """A table whose rows are found by its unique key, not by an index of lists."""

    has_part: Callable[[str], str]
    """The condition that a name in a column fits a pattern of `pages.like`, in lower case."""

    has_tag: Callable[[str, str, str], tuple[str, Values]]
    """The condition that a row of `tags`, under an alias, has a name and a value; with values."""


class Database(Protocol):
    """A connection; used by one thread, inside the transaction that its caller began."""

    @property
    def dialect(self) -> Dialect: ...

    def rows(self, statement: str, values: Values = ()) -> list[Row]:
        """All rows of a statement, which has a `?` for each value."""
        ...

    def row(self, statement: str, values: Values = ()) -> Row | None:
        """The first row of a statement that reads; None when there is none."""
        ...

    def run(self, statement: str, values: Values = ()) -> None:
        """A statement whose rows nobody wants."""
        ...
