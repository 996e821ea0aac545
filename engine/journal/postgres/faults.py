"""What psycopg and the server report, in the words of `heliostat.engine.errors`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import psycopg
from psycopg import errors

from ...errors import JournalError, JournalUnavailable, OutcomeUnknown

_CURES: Final[Mapping[str, str]] = {
    "53100": "its disk is full; free some space there, nothing else needs to be done",
    "53200": "the server has no memory left; see its log",
    "53300": "the server has no connection left; raise its `max_connections`, or end some clients",
    "28": "the server refuses this user; check user, password and its `pg_hba.conf`",
    "3D": "the database does not exist; create it with `createdb`, or name another one",
    "42501": "this user may not do that; let it own the database",
    "25006": "this server is read-only, a standby; name the primary, or several hosts in the URL",
    "55P03": "another session has held a lock for too long; see `pg_stat_activity`",
    "57014": "a statement took too long, or was canceled; look at the server's load",
    "57": "the server is starting, ending or was told to end this session",
    "58": "the server failed to read or write; look at its disk and its log",
    "53": "the server has run out of something; see its log",
    "54": "the server cannot hold something that large",
    "25P0": "the transaction was open for too long, as of a process that was stopped meanwhile",
    "08": "the connection failed",
    "XX": "the server failed inside; see its log, its files may be damaged",
}
"""What an operator can do about conditions that are not the caller's fault, by SQLSTATE, the
longest prefix first."""

_REFUSALS: Final = ("54",)
"""Of these the caller is told as of a mistake: they would come again."""

RETRIED: Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
"""Another host did something at the same moment; the same statements find it done."""


def is_environment(error: Exception) -> bool:
    """Whether the store is at fault, so that the same statement may succeed another time."""
    return _cure(error) is not None and not _is_refusal(error)


def is_broken(error: Exception) -> bool:
    """Whether the connection is of no use any more, whatever psycopg thinks of it."""
    if not isinstance(error, psycopg.Error):
        return False
    state = error.sqlstate
    if state is None:
        return isinstance(error, psycopg.OperationalError)
    # 26000: its prepared statements are gone; 25006: it became a standby, another is primary now.
    return state.startswith(("08", "57P", "25P0", "26000", "25006"))


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, psycopg.Error) and (error.sqlstate or "").startswith(_REFUSALS)


def _cure(error: Exception) -> str | None:
    if not isinstance(error, psycopg.Error):
        return None
    if error.sqlstate is None:
        if not isinstance(error, psycopg.OperationalError):
            return None
        # While a session begins, libpq gives the server's words without their SQLSTATE.
        if "authentication failed" in str(error) or "no password supplied" in str(error):
            return _CURES["28"] + "; see `Passwords` in docs/postgres.md"
        return _CURES["08"]
    if isinstance(error, errors.SerializationFailure | errors.DeadlockDetected):
        return "other sessions were in the way, again and again; see `pg_stat_activity`"
    for size in (5, 4, 2):
        cure = _CURES.get(error.sqlstate[:size])
        if cure is not None:
            return cure
    return None


def told(error: Exception) -> str:
    """The report in one line, without the parameters, which may be anybody's data."""
    state = getattr(error, "sqlstate", None)
    first = str(error).strip().partition("\n")[0]
    return f"{state}: {first}" if state else first or type(error).__name__


def translated(error: Exception, place: str, *, unknown: bool = False) -> Exception:
    """The error to raise from `error`; what does not come from psycopg stays as it is.

    `unknown`: the connection broke when a COMMIT was under way.
    """
    if not isinstance(error, psycopg.Error):
        return error
    if unknown:
        return OutcomeUnknown(
            f"the connection to the journal in {place} broke in a commit ({told(error)}); "
            f"read what is stored before anything else"
        )
    cure = _cure(error)
    if cure is None or _is_refusal(error):
        return JournalError(f"the journal in {place} refused a statement ({told(error)})")
    return JournalUnavailable(f"the journal in {place} is unavailable ({told(error)}): {cure}")
