"""The embedded journal: one SQLite file, one writing process, no server.

`journal.py` opens it and is what the rest sees. `commit.py` has the group commit, `append.py` what
an append writes; `reads.py`, `visibility.py`, `definitions.py` and `ownership.py` hold the
statements of their tables; `schema.py` says what the tables mean. Start with `schema.py`.
"""

from .journal import (
    SqliteJournal,
    SqliteReader,
    open_sqlite,
    open_sqlite_readonly,
)

__all__ = ["SqliteJournal", "SqliteReader", "open_sqlite", "open_sqlite_readonly"]
