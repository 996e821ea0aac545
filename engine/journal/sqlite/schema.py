"""The tables and what they mean, their version, and how a file becomes a journal.

- Executions and shards have a number each; events and indexes carry numbers in place of texts,
  which makes them a third smaller and the inserts as much cheaper.
- Events are numbered, and lie, in the order of commits, so that an append writes at the end of the
  table, however many shards take part. `landmarks` has the numbers of each shard's first event, its
  1,001st and so on: whoever follows a shard walks on from the one before his position. A dedicated
  shard has none, and is read by its execution.
- `status_counts` is kept with the rows: counting a million executions would take a second.
- Two indexes of executions are partial, since most executions have ended: who is busy or waits for
  an instant is a small set, and finishing leaves it.
- `subscriptions` has a row for each type that an execution which has not ended awaits, in the order
  in which `awaiting` pages; `executions.awaits` is what its row says, also when it has ended.
- `bus` loses its oldest events to retention; the fact `bus_end` then says where positions go on.
- `blob_names` says which executions hold which blobs, and goes with them; `messages.sender` is the
  number of the execution that may not go before its message.
- `definition_heads` has of each definition what lists show and search, under its number: bodies are
  large, and lie in the way of whoever reads past them.
- `task_people` has the status and the instant of its task, so that what is open for somebody is
  one walk, however much he has done already.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ...errors import FormatMismatch, JournalLocked, JournalUnavailable
from ...ids import new_id
from ..protocol import JournalInfo
from .upgrade import OLDEST, upgrade

if TYPE_CHECKING:
    from .connections import Database

FORMAT_VERSION: Final = 5
"""Raised when an older release could not read, or would damage, what this one writes."""

APPLICATION_ID: Final = 0x48454C49  # "HELI": tells our files from other SQLite databases

LANDMARK_EVERY: Final = 1_000
"""Positions from one landmark of a shard to the next."""

PAGE_BYTES: Final = 4096

_TABLES: Final = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE shards (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch INTEGER NOT NULL,
    owner TEXT,
    next_position INTEGER NOT NULL,
    bus_cursor INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE owners (
    incarnation TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    pid INTEGER NOT NULL,
    node TEXT NOT NULL,
    started_at_ms INTEGER NOT NULL,
    beat_at_ms INTEGER NOT NULL,
    draining INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE executions (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    shard INTEGER NOT NULL,
    definition TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    run INTEGER NOT NULL,
    busy INTEGER NOT NULL,
    wake_at_ms INTEGER,
    created_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER,
    failure_type TEXT,
    failure_message TEXT,
    tags TEXT,
    awaits TEXT,
    parent TEXT,
    priority INTEGER NOT NULL DEFAULT 5,
    correlation_id TEXT
) STRICT;
CREATE UNIQUE INDEX executions_by_key ON executions (namespace, id);
CREATE INDEX executions_by_creation ON executions (namespace, created_at_ms);
CREATE INDEX executions_by_definition ON executions (namespace, definition, created_at_ms);
CREATE INDEX executions_by_status ON executions (namespace, status, created_at_ms)
    WHERE status <> 'Completed';
CREATE INDEX executions_by_wake ON executions (shard, wake_at_ms) WHERE wake_at_ms IS NOT NULL;
CREATE INDEX executions_busy ON executions (shard, namespace, id) WHERE busy > 0;

CREATE TABLE tags (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    execution INTEGER NOT NULL,
    PRIMARY KEY (namespace, name, value, created_at_ms, execution)
) STRICT, WITHOUT ROWID;

CREATE TABLE status_counts (
    namespace TEXT NOT NULL,
    status TEXT NOT NULL,
    executions INTEGER NOT NULL,
    PRIMARY KEY (namespace, status)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    execution INTEGER PRIMARY KEY,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE messages (
    sender_shard TEXT NOT NULL,
    sent_at_ms INTEGER NOT NULL,
    id TEXT NOT NULL UNIQUE,
    namespace TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    body BLOB NOT NULL,
    sender INTEGER,
    PRIMARY KEY (sender_shard, sent_at_ms, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE bus (
    position INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    published_at_ms INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX bus_by_id ON bus (namespace, id);
CREATE INDEX bus_by_time ON bus (published_at_ms);

CREATE TABLE subscriptions (
    number INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    UNIQUE (shard, namespace, name, id)
) STRICT;

CREATE TABLE tasks (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    task_id TEXT NOT NULL,
    definition TEXT NOT NULL,
    step TEXT NOT NULL,
    name TEXT,
    point TEXT,
    status TEXT NOT NULL,
    assignees TEXT,
    candidates TEXT,
    claimed_by TEXT,
    created_at_ms INTEGER NOT NULL,
    deadline_at_ms INTEGER,
    ended_at_ms INTEGER,
    body BLOB NOT NULL,
    task_type TEXT NOT NULL DEFAULT 'human'
) STRICT;
CREATE UNIQUE INDEX tasks_by_key ON tasks (namespace, execution_id, task_id);
CREATE INDEX tasks_by_creation ON tasks (namespace, created_at_ms);
CREATE INDEX tasks_by_definition ON tasks (namespace, definition, created_at_ms);
CREATE INDEX tasks_by_status ON tasks (namespace, status, created_at_ms);

CREATE TABLE task_people (
    namespace TEXT NOT NULL,
    person TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    task INTEGER NOT NULL,
    PRIMARY KEY (namespace, person, status, created_at_ms, task)
) STRICT, WITHOUT ROWID;
CREATE INDEX task_people_by_task ON task_people (task);

CREATE TABLE definitions (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    body BLOB NOT NULL,
    compiled BLOB NOT NULL,
    registered_at_ms INTEGER NOT NULL,
    UNIQUE (namespace, id, version)
) STRICT;
CREATE INDEX definitions_by_namespace ON definitions (namespace);
"""

_RETENTION: Final = """
CREATE TABLE blob_names (
    name TEXT NOT NULL,
    execution INTEGER NOT NULL,
    PRIMARY KEY (name, execution)
) STRICT, WITHOUT ROWID;
CREATE INDEX blob_names_by_execution ON blob_names (execution);
CREATE INDEX executions_by_end ON executions (ended_at_ms) WHERE ended_at_ms IS NOT NULL;
"""
"""What format 3 added."""

_LISTED: Final = """
CREATE INDEX executions_by_correlation ON executions (namespace, correlation_id, created_at_ms)
    WHERE correlation_id IS NOT NULL;

CREATE TABLE definition_heads (
    number INTEGER PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT,
    description TEXT,
    tags TEXT,
    steps INTEGER NOT NULL,
    registered_at_ms INTEGER NOT NULL,
    deleted_at_ms INTEGER,
    calls TEXT NOT NULL,
    searched TEXT NOT NULL
) STRICT;
CREATE INDEX definition_heads_by_id ON definition_heads (namespace, id, number);
"""
"""What format 4 added, beside columns that `upgrade.py` names."""

_EVENTS: Final = """
CREATE TABLE events (
    number INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    shard INTEGER NOT NULL,
    position INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE landmarks (
    shard INTEGER NOT NULL,
    position INTEGER NOT NULL,
    event INTEGER NOT NULL,
    PRIMARY KEY (shard, position)
) STRICT, WITHOUT ROWID;
"""
_EVENTS_INDEX: Final = "CREATE UNIQUE INDEX events_by_execution ON events (execution, seq);\n"
"""As format 5 has them."""


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file is new; what died while creating a journal left a file like that, too."""
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count == 0)


def create(connection: sqlite3.Connection, *, deployment_id: str | None, shard_count: int) -> None:
    """Make a blank file a journal, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in (_TABLES + _EVENTS + _EVENTS_INDEX + _RETENTION + _LISTED).split(";\n"):
        connection.execute(statement)
    connection.executemany(
        "INSERT INTO facts (name, value) VALUES (?, ?)",
        [("deployment_id", deployment_id or new_id()), ("shard_count", str(shard_count))],
    )
    connection.executemany(
        "INSERT INTO shards (number, name, epoch, next_position) VALUES (?, ?, 0, 1)",
        [(index, str(index)) for index in range(shard_count)],
    )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {FORMAT_VERSION}")
    connection.execute("COMMIT")


def check_format(connection: sqlite3.Connection, path: Path, *, oldest: int = OLDEST) -> int:
    """The file's format; other people's databases and later versions' journals are refused."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise JournalUnavailable(
            f"{path} is an SQLite database of another program; name another path"
        )
    if OLDEST <= version < oldest:
        raise FormatMismatch(
            f"journal {path} has format {version}, and this heliostat reads format "
            f"{FORMAT_VERSION}; `heliostat up` brings it there, or read it with the version that "
            f"wrote it"
        )
    if not oldest <= version <= FORMAT_VERSION:
        raise FormatMismatch(
            f"journal {path} has format {version}, this heliostat reads and writes format "
            f"{FORMAT_VERSION}; run the version that wrote it, or name another path"
        )
    return int(version)


def make_present(connection: Database, path: Path) -> None:
    """Give an earlier format's file the present one."""
    version = check_format(connection, path)
    if version < FORMAT_VERSION:
        upgrade(
            connection,
            version=version,
            retention=_RETENTION,
            listed=_LISTED,
            events=_EVENTS,
            events_index=_EVENTS_INDEX,
        )


def read_info(
    connection: sqlite3.Connection, path: Path, *, deployment_id: str | None = None
) -> JournalInfo:
    """What was fixed at creation; raises `JournalLocked` when it is another deployment's."""
    facts: dict[str, str] = dict(connection.execute("SELECT name, value FROM facts").fetchall())
    if deployment_id is not None and facts["deployment_id"] != deployment_id:
        raise JournalLocked(
            f"journal {path} belongs to deployment {facts['deployment_id']}, "
            f"not to {deployment_id}; every deployment has a journal of its own"
        )
    return JournalInfo(
        deployment_id=facts["deployment_id"],
        format_version=connection.execute("PRAGMA user_version").fetchone()[0],
        shard_count=int(facts["shard_count"]),
        single_node=True,
    )


def write_holder(connection: sqlite3.Connection, holder: str) -> None:
    """Enter who writes the file: copied away from its lock file it still says whose it was."""
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('holder', ?)", (holder,))
