"""The embedded journal: one SQLite file, one writing process, no server.

`journal.py` opens it and is what the rest sees; most of what it does stands in `sql/`, which
PostgreSQL shares. Here is what differs: `commit.py` has the group commit, `append.py` the
statements of an append; `known.py`, `reads.py`, `tasks.py`, `bus.py`, `blobs.py` and `purge.py`
hold those of their tables; `schema.py` says what the tables mean. Start with `schema.py`.
"""

from .journal import (
    SqliteJournal,
    SqliteReader,
    open_sqlite,
    open_sqlite_readonly,
)

__all__ = ["SqliteJournal", "SqliteReader", "open_sqlite", "open_sqlite_readonly"]
