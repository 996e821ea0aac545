"""Opening and closing a database, and the two classes that speak the `Journal` protocol.

A `PostgresReader` reads, in threads of its own; a `PostgresJournal` also writes, in another. What
a host needs and what people look at have a connection each, so that no long list delays a turn.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, TypeVar

import psycopg

from ...errors import JournalError, JournalUnavailable
from ..protocol import AppendResult, JournalInfo, ShardBatch
from ..sql.journal import SqlJournal, SqlReader, Tables
from ..threads import ServiceThread
from . import blobs, bus, reads, retention, schema
from .append import Appender
from .commit import Committer, Locking, ReadTransactions
from .connections import Database, Session, Target, Watch, check_server
from .faults import translated

T = TypeVar("T")

_TABLES: Final = Tables[Database](
    load=reads.load,
    load_busy=reads.load_busy,
    follow=reads.follow,
    bus_end=bus.bus_end,
    publish=bus.publish,
    purge_bus=bus.purge_part,
    named_blobs=blobs.named_blobs,
)


class _Sessions:
    """The connections of a journal and what watches over them."""

    def __init__(self, target: Target) -> None:
        self._target, self._watch = target, Watch()
        self._all: list[Session] = []

    def __iter__(self) -> Iterator[Session]:
        return iter(self._all)

    def session(self, *, writes: bool) -> Session:
        """One more connection, opened when it is first used."""
        session = Session(self._target, writes=writes, watch=self._watch)
        self._all.append(session)
        return session

    def reading(self, name: str) -> ServiceThread[Database]:
        """A thread that reads over a connection of its own."""
        transactions = ReadTransactions(self.session(writes=False))
        return ServiceThread(f"heliostat-journal-{name}", transactions.serve)

    def close(self) -> None:
        """When no thread uses them any more; twice is harmless."""
        for session in self._all:
            session.close()
        self._watch.close()


class PostgresReader(SqlReader[Database]):
    """The reading half of a journal, whoever writes it; made by `open_postgres_readonly`."""

    def __init__(self, target: Target, info: JournalInfo) -> None:
        self._sessions = _Sessions(target)
        super().__init__(
            info,
            _TABLES,
            reader=self._sessions.reading("reader"),
            lister=self._sessions.reading("lister"),
        )

    def _close(self) -> None:
        super()._close()
        self._sessions.close()


class PostgresJournal(SqlJournal[Database]):
    """`heliostat.engine.journal.protocol.Journal` in PostgreSQL; made by `open_postgres`."""

    def __init__(self, target: Target, info: JournalInfo) -> None:
        self._sessions = _Sessions(target)
        self._writing = self._sessions.session(writes=True)
        self._appender = Appender()
        committer = Committer(self._writing, self._appender.forget)
        super().__init__(
            info,
            _TABLES,
            reader=self._sessions.reading("reader"),
            lister=self._sessions.reading("lister"),
            writer=ServiceThread("heliostat-journal-writer", committer.serve),
        )

    def _locking(self, shards: Iterable[str], work: Callable[[Database], T]) -> Locking[T]:
        return Locking(shards, work)

    def _store(self, connection: Database, batches: Sequence[ShardBatch]) -> AppendResult:
        return self._appender.store(connection, batches)

    def _purge(self, connection: Database, ended_before_ms: int, limit: int) -> int:
        return retention.purge_part(connection, ended_before_ms, limit)

    def _close(self) -> None:
        super()._close()
        self._sessions.close()


def open_for_writing(url: str, *, deployment_id: str | None, shard_count: int) -> PostgresJournal:
    """See `open_postgres`."""
    target = Target(url)
    info = _open(target, writes=True, deployment_id=deployment_id, shard_count=shard_count)
    return PostgresJournal(target, info)


def open_for_reading(url: str, *, older: bool) -> PostgresReader:
    """See `open_postgres_readonly`."""
    target = Target(url)
    return PostgresReader(target, _open(target, writes=False, older=older))


def _open(
    target: Target,
    *,
    writes: bool,
    deployment_id: str | None = None,
    shard_count: int = 0,
    older: bool = False,
) -> JournalInfo:
    connection = target.connect(writes=writes)
    try:
        if writes:
            check_server(connection, target.place)
            if schema.is_blank(connection):
                schema.create(connection, deployment_id=deployment_id, shard_count=shard_count)
            schema.make_present(connection)
        return schema.read_info(connection, target.place, deployment_id=deployment_id, older=older)
    except psycopg.Error as error:
        told = translated(error, target.place)
        if isinstance(told, JournalError) and not isinstance(told, JournalUnavailable):
            told = JournalUnavailable(str(told))
        raise told from error
    finally:
        connection.close()
