"""Connections: what they are set to, how they are opened again, and that no wait is endless.

A server can vanish without a word, and a frozen one keeps its connections open. So the server
bounds what it does for us, TCP bounds how long it goes unheard, and where both fail a watch cuts
the connection: whoever waits on it is told that it broke.

The server's own bound on idle transactions matters most: a host that is stopped in the middle of a
commit holds its shards locked, and those who take them over wait until the server ends it.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from typing import Any, Final

import psycopg
from psycopg import Connection, Cursor, Pipeline, conninfo

from ...errors import ConfigurationError, JournalUnavailable
from ..sql.database import Dialect, Row, Values
from .faults import translated
from .schema import SCHEMA
from .values import prepare_adapters

CONNECT_S: Final = 5
"""How long each address of a server is tried."""

ANSWER_S: Final = 30.0
"""How long an answer is waited for, all statements of a commit together; then the connection is
cut. Above the server's own bounds, which say what it was."""

_WATCH_S: Final = 1.0

_SESSION: Final = {
    "search_path": SCHEMA,
    "client_encoding": "UTF8",
    "statement_timeout": "20s",
    "lock_timeout": "10s",
    "idle_in_transaction_session_timeout": "5s",
    "client_connection_check_interval": "2s",
    # Every statement here walks an index; with one plan for ever, made when the tables were empty,
    # the planner would read them whole for as long as nobody has analyzed them.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}
"""Settings of a session. Those of durability are the server's, but `synchronous_commit` is not
let be off."""

_TCP: Final = {
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}

_log = logging.getLogger(__name__)

DIALECT: Final = Dialect(
    join="JOIN",
    greatest="greatest",
    # As the indexes of lists have it, see `schema.py`.
    in_namespace=lambda table: f'{table}.namespace COLLATE "POSIX" = ?',
    by_key=lambda table: table,
    has_part=lambda column: f"lower({column}) LIKE ? ESCAPE '!'",
    # Long values are indexed by how they begin.
    has_tag=lambda alias, name, value: (
        f"{alias}.name = ? AND left({alias}.value, 200) = left(?, 200) AND {alias}.value = ?",
        (name, value, value),
    ),
)

STATEMENTS_MAX: Final = 500
"""Statements whose text is kept as psycopg wants it: more than there are, but for lists by many
tags."""


@lru_cache(STATEMENTS_MAX)
def _native(statement: str) -> str:
    return statement.replace("?", "%s")


class Rows(Cursor[Row]):
    """The rows of a statement; in a transaction that sends its statements together, whoever wants
    them ends the trip.

    psycopg by itself would only ask the server to answer so far. It would then go on waiting in the
    midst of a trip, where its bound on idle transactions does not hold.
    """

    def fetchone(self) -> Row | None:
        """The next row; ends the trip."""
        self._settle()
        return super().fetchone()

    def fetchall(self) -> list[Row]:
        """All rows; ends the trip."""
        self._settle()
        return super().fetchall()

    def _settle(self) -> None:
        connection = self.connection
        if self.pgresult is None and isinstance(connection, Database) and connection.trip:
            connection.trip.sync()


class Database(Connection[Row]):
    """A connection as the statements of this package want it."""

    dialect = DIALECT
    trip: Pipeline | None = None

    def rows(self, statement: str, values: Values = ()) -> list[Row]:
        """All rows of a statement that has a `?` for each value."""
        return self.execute(_native(statement), values, binary=True).fetchall()

    def row(self, statement: str, values: Values = ()) -> Row | None:
        """The first row of such a statement, or None."""
        return self.execute(_native(statement), values, binary=True).fetchone()

    def run(self, statement: str, values: Values = ()) -> None:
        """Such a statement when nobody wants its rows: it travels with those that follow."""
        self.execute(_native(statement), values)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Within it statements are sent together, until the rows of one are wanted."""
        with self.pipeline() as self.trip:
            try:
                yield
            finally:
                self.trip = None


class Target:
    """Where a journal is; never shows the password."""

    def __init__(self, url: str) -> None:
        try:
            self._parameters: dict[str, Any] = dict(conninfo.conninfo_to_dict(url))
        except psycopg.ProgrammingError:
            # Its own message shows parts of the URL, and with them perhaps of the password.
            raise ConfigurationError(
                "the journal's URL cannot be read; write postgresql://user@host:5432/database"
            ) from None
        self.place = _place(self._parameters)

    def connect(self, *, writes: bool) -> Database:
        """A connection with our settings; raises `JournalUnavailable`."""
        defaults: dict[str, Any] = {
            "connect_timeout": CONNECT_S,
            "application_name": "heliostat",
            **_TCP,
        }
        if writes:  # of several hosts in the URL, the primary
            defaults["target_session_attrs"] = "read-write"
        try:
            connection = Database.connect(
                **(defaults | self._parameters), autocommit=True, prepare_threshold=0
            )
        except psycopg.Error as error:
            raise translated(error, self.place) from error
        try:
            _settle(connection)
        except psycopg.Error as error:
            connection.close()
            raise translated(error, self.place) from error
        return connection


def _settle(connection: Connection[Any]) -> None:
    settings = ", ".join(
        f"set_config('{name}', '{value}', false)" for name, value in _SESSION.items()
    )
    connection.execute(f"SELECT {settings}", prepare=False)
    connection.execute(
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') = 'off'",
        prepare=False,
    )
    connection.cursor_factory = Rows
    prepare_adapters(connection)


def _place(parameters: dict[str, Any]) -> str:
    host = parameters.get("host") or parameters.get("hostaddr") or os.environ.get("PGHOST", "")
    port = parameters.get("port")
    name = parameters.get("dbname") or parameters.get("user") or ""
    return f"PostgreSQL database {name!r} at {host or 'the local socket'}" + (
        f":{port}" if port else ""
    )


class Session:
    """A connection that is opened again after it broke; for one thread."""

    def __init__(self, target: Target, *, writes: bool, watch: Watch) -> None:
        self._target, self._writes, self._watch = target, writes, watch
        self._connection: Database | None = None
        self._lock = threading.Lock()  # between the thread that serves and the watch
        self._deadline: float | None = None
        self.answer_s = ANSWER_S
        watch.add(self)

    @property
    def place(self) -> str:
        """The server and the database, without a password."""
        return self._target.place

    @property
    def is_open(self) -> bool:
        """Whether it was connected, as far as is known."""
        return self._connection is not None and not self._connection.closed

    def connection(self) -> Database:
        """Connected; raises `JournalUnavailable`."""
        if self._connection is None or self._connection.closed:
            self.drop()
            connection = self._target.connect(writes=self._writes)
            with self._lock:
                self._connection = connection
        assert self._connection is not None
        return self._connection

    def drop(self) -> None:
        """Close what there is; the next call opens another."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def close(self) -> None:
        """For good."""
        self._watch.remove(self)
        self.drop()

    @contextmanager
    def bounded(self) -> Iterator[None]:
        """Within it the connection is cut when the server does not answer in time."""
        self._deadline = time.monotonic() + self.answer_s
        try:
            yield
        finally:
            self._deadline = None

    def cut_if_late(self, now: float) -> None:
        """Called by the watch, from its thread."""
        deadline = self._deadline
        if deadline is None or now < deadline:
            return
        with self._lock:
            if self._connection is None or self._connection.closed or self._deadline is None:
                return
            _log.error("the journal in %s does not answer, its connection is cut", self.place)
            with suppress(OSError):
                duplicate = socket.socket(fileno=os.dup(self._connection.fileno()))
                with duplicate:
                    duplicate.shutdown(socket.SHUT_RDWR)


class Watch:
    """A thread that cuts connections on which a server has not answered in time."""

    def __init__(self) -> None:
        self._sessions: list[Session] = []
        self._end = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="heliostat-journal-watch", daemon=True
        )
        self._thread.start()

    def add(self, session: Session) -> None:
        """Look after a session from now on."""
        self._sessions.append(session)

    def remove(self, session: Session) -> None:
        """Twice is harmless."""
        with suppress(ValueError):
            self._sessions.remove(session)

    def close(self) -> None:
        """Blocks until it has ended."""
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._end.wait(_WATCH_S):
            now = time.monotonic()
            for session in tuple(self._sessions):
                session.cut_if_late(now)


def check_server(connection: Connection[Any], place: str) -> None:
    """Refuse a server that cannot keep what is promised; warn of one that may not."""
    found = connection.execute(
        "SELECT current_setting('server_encoding'), current_setting('fsync'),"
        " current_setting('server_version_num')::int",
        prepare=False,
        binary=True,
    ).fetchone()
    assert found is not None
    encoding, fsync, version = found
    if encoding != "UTF8":
        raise JournalUnavailable(
            f"{place} has the encoding {encoding}; create the database with `--encoding=UTF8`"
        )
    if version < 140_000:
        raise JournalUnavailable(
            f"{place} is of PostgreSQL {version // 10_000}; 14 is the oldest that will do"
        )
    if fsync != "on":
        _log.warning(
            "%s has fsync off: a crash of its machine may lose what it said is stored", place
        )
