"""What SQLite and the file system report, in the words of `heliostat.engine.errors`."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ...errors import JournalError, JournalUnavailable, OutcomeUnknown

_CURES: Final = {
    sqlite3.SQLITE_FULL: "its disk is full; free some space there, nothing else needs to be done",
    sqlite3.SQLITE_READONLY: (
        "its file or folder cannot be written; let this user write both, or name another path"
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "its file cannot be opened; let this user read and write the file and its folder, "
        "or name another path"
    ),
    sqlite3.SQLITE_PERM: "its file cannot be opened; let this user read and write it",
    sqlite3.SQLITE_IOERR: "its disk failed to read or write; look at the disk and the system's log",
    sqlite3.SQLITE_CORRUPT: (
        "its file is damaged; keep a copy, restore a backup or rescue it with `sqlite3 .recover`"
    ),
    sqlite3.SQLITE_NOTADB: "its file is not an SQLite database; name another path",
    sqlite3.SQLITE_BUSY: (
        "another program has held it locked for too long; end that program, "
        "or let it read with `mode=ro`"
    ),
    sqlite3.SQLITE_LOCKED: "another connection of this process holds it locked",
    sqlite3.SQLITE_NOMEM: "there is no memory left for it",
}
"""What an operator can do about the conditions that are not the caller's fault."""


def is_environment(error: Exception) -> bool:
    """Whether the store is at fault, so that the same statement may succeed another time."""
    return isinstance(error, sqlite3.Error) and _primary(error) in _CURES


def outcome_is_unknown(error: Exception) -> bool:
    """Whether a COMMIT that failed so may yet turn out to be stored, after a crash at least."""
    return isinstance(error, sqlite3.Error) and _primary(error) == sqlite3.SQLITE_IOERR


def _primary(error: sqlite3.Error) -> int:
    # Errors of the Python module itself (a closed connection) carry no code.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def translated(error: Exception, path: Path, *, in_commit: bool = False) -> Exception:
    """The error to raise from `error`; what does not come from SQLite stays as it is."""
    if not isinstance(error, sqlite3.Error):
        return error
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    if in_commit and outcome_is_unknown(error):
        return OutcomeUnknown(
            f"the disk of journal {path} failed while it committed ({name}); "
            f"read what is stored before anything else"
        )
    cure = _CURES.get(_primary(error))
    if cure is None:
        return JournalError(f"journal {path} refused a statement ({name}): {error}")
    return JournalUnavailable(f"journal {path} is unavailable ({name}: {error}): {cure}")


def unusable_path(error: OSError, path: Path) -> JournalUnavailable:
    """For the files that are not SQLite's: the folder and the lock file."""
    return JournalUnavailable(
        f"journal {path} is unavailable ({error.strerror} at {error.filename}): "
        f"let this user write its folder, or name another path"
    )
