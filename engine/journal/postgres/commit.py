"""The writer: one connection, one thread, one transaction for all that gathered.

- A call's result leaves only after the COMMIT that made it durable.
- Shards are locked first, all that the group needs in the order of their names, so that commits of
  several hosts never wait for each other in a circle. Whatever else two hosts could both write has
  its place behind that, the end of the bus last.
- Statements travel together where their results are not needed in between: the COMMIT goes out with
  the writes, so that a commit costs two trips to the server.
- A group that fails for a fault of one call is run again call by call, so that the others do not
  suffer; one that met another host is run again as it is; one that fails because the store does,
  fails whole and is the callers' to retry.
- Whatever is remembered between transactions is dropped when one fails.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Generic, TypeVar

import psycopg

from ..threads import Job
from .connections import Database, Session
from .faults import RETRIED, is_broken, is_environment, translated
from .ownership import lock_shards

TRIES: Final = 5
"""How often a group that met another host's is run; each time one of the two got through."""

T = TypeVar("T")


class Locking(Generic[T]):
    """Work on shards, which are locked before any work of its group begins."""

    def __init__(self, shards: Iterable[str], work: Callable[[Database], T]) -> None:
        self.shards = frozenset(shards)
        self._work = work

    def __call__(self, connection: Database) -> T:
        return self._work(connection)


class _Broken(Exception):
    """The connection broke; `unknown` when a COMMIT was on its way."""

    def __init__(self, unknown: bool) -> None:
        self.unknown = unknown


class Committer:
    """Serves the writing thread; `forget` drops what is remembered of the database."""

    def __init__(self, session: Session, forget: Callable[[], None]) -> None:
        self._session = session
        self._forget = forget

    def serve(self, jobs: Sequence[Job[Database]]) -> None:
        """Run the jobs in one transaction, in the order in which they were accepted."""
        try:
            results = self._results(jobs)
        except Exception as error:  # noqa: BLE001 – the thread's outer edge: a caller waits
            if len(jobs) > 1 and not _is_everyones(error):
                for job in jobs:
                    self.serve([job])
                return
            for job in jobs:
                job.fail(self._told(error))
            return
        for job, result in zip(jobs, results, strict=True):
            job.succeed(result)

    def _told(self, error: Exception) -> Exception:
        if isinstance(error, _Broken):
            cause = error.__cause__
            assert isinstance(cause, Exception)
            return _caused(translated(cause, self._session.place, unknown=error.unknown), cause)
        return _caused(translated(error, self._session.place), error)

    def _results(self, jobs: Sequence[Job[Database]]) -> Sequence[Any]:
        was_open = self._session.is_open
        for left in reversed(range(TRIES)):
            try:
                return self._run(jobs)
            except _Broken as broken:
                # One that was idle may have broken long ago, as in a restart of the server.
                if broken.unknown or not was_open:
                    raise
                was_open = False
            except RETRIED:
                if not left:
                    raise
        raise AssertionError("the last try raises")

    def _run(self, jobs: Sequence[Job[Database]]) -> Sequence[Any]:
        connection = self._session.connection()
        committing = False
        try:
            with self._session.bounded(), connection.together():
                connection.execute("BEGIN")
                if len(jobs) > 1:
                    _lock(connection, jobs)
                results = [job.work(connection) for job in jobs]
                committing = True
                commit = connection.execute("COMMIT", prepare=False)
        except Exception as error:
            self._forget()
            if connection.closed or is_broken(error):
                self._session.drop()
                raise _Broken(committing and not _was_refused(error)) from error
            self._roll_back(connection)
            raise
        assert commit.statusmessage == "COMMIT", commit.statusmessage
        return results

    def _roll_back(self, connection: Database) -> None:
        try:
            with self._session.bounded():
                connection.execute("ROLLBACK")
        except psycopg.Error:  # then the server rolls back, having lost us
            self._session.drop()


def _was_refused(error: Exception) -> bool:
    """Whether the server said so itself before the connection went: a standby commits nothing."""
    return isinstance(error, psycopg.errors.ReadOnlySqlTransaction)


def _is_everyones(error: Exception) -> bool:
    return isinstance(error, _Broken) or is_environment(error)


def _lock(connection: Database, jobs: Sequence[Job[Database]]) -> None:
    shards: set[str] = set()
    for job in jobs:
        if isinstance(job.work, Locking):
            shards |= job.work.shards
    if shards:
        lock_shards(connection, shards)


class ReadTransactions:
    """Serves the reading thread: a call is one statement, which sees one state of the database."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def serve(self, jobs: Sequence[Job[Database]]) -> None:
        """Run the jobs one by one; a read over a connection that broke is made again."""
        for job in jobs:
            try:
                job.succeed(self._result(job))
            except Exception as error:  # noqa: BLE001 – the thread's outer edge: a caller waits
                job.fail(_caused(translated(error, self._session.place), error))

    def _result(self, job: Job[Database]) -> Any:
        was_open = self._session.is_open
        try:
            return self._run(job)
        except psycopg.Error:
            if self._session.is_open or not was_open:
                raise
        return self._run(job)  # over a new connection: reading is harmless to repeat

    def _run(self, job: Job[Database]) -> Any:
        connection = self._session.connection()
        try:
            with self._session.bounded():
                return job.work(connection)
        except Exception as error:
            if connection.closed or is_broken(error):
                self._session.drop()
            raise


def _caused(error: Exception, cause: Exception) -> Exception:
    if error is not cause:
        error.__cause__ = cause
    return error
