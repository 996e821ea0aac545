"""The journal that several hosts on several nodes share: a PostgreSQL database, through psycopg 3.

`journal.py` opens it and is what the rest sees; most of what it does stands in `sql/`, which SQLite
shares. Here is what differs: `connections.py` and `faults.py` hold what may go wrong between us and
a server; `commit.py` has the group commit, `ownership.py` the locks, `append.py` the statements of
an append; `known.py`, `reads.py`, `tasks.py`, `bus.py`, `blobs.py` and `retention.py` hold those of
their tables; `schema.py` says what the tables mean. Start with `schema.py`.

psycopg is an extra: nothing here imports it until a journal is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from .journal import PostgresJournal, PostgresReader

__all__ = ["open_postgres", "open_postgres_readonly"]


def open_postgres(
    url: str, *, deployment_id: str | None = None, shard_count: int = 16
) -> PostgresJournal:
    """Open a journal for writing, making its tables as needed; blocks, for some seconds at most.

    Args:
        url: `postgresql://user:password@host:port/database?…`, whatever libpq takes.
        deployment_id: whose journal it must be; a new one is given this id, or a drawn one.
        shard_count: of a new journal; one that exists keeps its own.

    Raises:
        ConfigurationError: psycopg is not installed, or this is no URL.
        JournalLocked: it is another deployment's.
        JournalUnavailable: the server cannot be reached, or refuses us.
        FormatMismatch: another version wrote it.
    """
    _require_psycopg()
    from .journal import open_for_writing

    return open_for_writing(url, deployment_id=deployment_id, shard_count=shard_count)


def open_postgres_readonly(url: str, *, older: bool = False) -> PostgresReader:
    """Open a journal for reading, beside those who write it; blocks, for some seconds at most.

    Args:
        older: also one that a writer would upgrade; only its `info` and owners are read then.

    Raises:
        ConfigurationError: psycopg is not installed, or this is no URL.
        JournalUnavailable: the server cannot be reached, or has no journal in this database.
        FormatMismatch: another version wrote it.
    """
    _require_psycopg()
    from .journal import open_for_reading

    return open_for_reading(url, older=older)


def _require_psycopg() -> None:
    try:
        import psycopg  # noqa: F401 – whether it can be imported is the question
    except ImportError as error:  # also where it finds no libpq
        raise ConfigurationError(
            f"the PostgreSQL journal needs psycopg, which cannot be imported ({error}); "
            f"install heliostat[postgres], on every node"
        ) from error
