"""The writer: one connection, one thread, one transaction for all that gathered.

- A call's result leaves only after the COMMIT that made it durable.
- A group that fails for a fault of one call is run again call by call, so that the others do not
  suffer; a group that fails because the store does, fails whole and is the callers' to retry.
- Whatever is remembered between transactions is dropped when one fails.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ..threads import Job
from .connections import Database
from .faults import is_environment, translated


class Committer:
    """Serves the writing thread; `forget` drops what is remembered of the database."""

    def __init__(self, connection: Database, path: Path, forget: Callable[[], None]) -> None:
        self._connection = connection
        self._path = path
        self._forget = forget

    def serve(self, jobs: Sequence[Job[Database]]) -> None:
        """Run the jobs in one transaction, in the order in which they were accepted."""
        in_commit = False
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            results = [job.work(self._connection) for job in jobs]
            in_commit = True
            self._connection.execute("COMMIT")
        except Exception as error:  # noqa: BLE001 – the thread's outer edge: a caller waits
            self._roll_back()
            if len(jobs) > 1 and not is_environment(error):
                for job in jobs:
                    self.serve([job])
                return
            for job in jobs:
                job.fail(_caused(translated(error, self._path, in_commit=in_commit), error))
            return
        for job, result in zip(jobs, results, strict=True):
            job.succeed(result)

    def _roll_back(self) -> None:
        self._forget()
        if self._connection.in_transaction:  # SQLite has rolled back itself when its disk failed
            # The error that led here is told; the next BEGIN will report what is still wrong.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")


class ReadTransactions:
    """Serves the reading thread: a call sees one state of the database, and holds it briefly."""

    def __init__(self, connection: Database, path: Path) -> None:
        self._connection = connection
        self._path = path

    def serve(self, jobs: Sequence[Job[Database]]) -> None:
        """Run the jobs one by one, each in a transaction of its own."""
        for job in jobs:
            try:
                self._connection.execute("BEGIN")
                try:
                    job.succeed(job.work(self._connection))
                finally:
                    self._connection.execute("ROLLBACK")
            except Exception as error:  # noqa: BLE001 – the thread's outer edge: a caller waits
                job.fail(_caused(translated(error, self._path), error))


def _caused(error: Exception, cause: Exception) -> Exception:
    if error is not cause:
        error.__cause__ = cause
    return error
