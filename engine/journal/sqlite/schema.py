"""The tables and what they mean, their version, and how a file becomes a journal.

- Executions and shards have a number each; events and indexes carry numbers in place of texts,
  which makes them a third smaller and the inserts as much cheaper.
- `events.place` is `shard number << 40 | position`: the rowid itself, so that events of a shard lie
  in position order and an append writes at as many places as shards take part, not at random ones.
- `status_counts` is kept with the rows: counting a million executions would take a second.
- Two indexes of executions are partial, since most executions have ended: who is busy or waits for
  an instant is a small set, and finishing leaves it.
- `subscriptions` has a row for each type that an execution which has not ended awaits, in the order
  in which `awaiting` pages; `executions.awaits` is what its row says, also when it has ended.
- `bus` loses its oldest events to retention; the fact `bus_end` then says where positions go on.
- `task_people` has the status and the instant of its task, so that what is open for somebody is
  one walk, however much he has done already.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from ...errors import FormatMismatch, JournalLocked, JournalUnavailable
from ...ids import new_id
from ..protocol import JournalInfo

FORMAT_VERSION: Final = 2
"""Raised when an older release could not read, or would damage, what this one writes."""

APPLICATION_ID: Final = 0x48454C49  # "HELI": tells our files from other SQLite databases

POSITION_BITS: Final = 40
"""A trillion events a shard, eight million shards."""

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
    awaits TEXT
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

CREATE TABLE events (
    place INTEGER PRIMARY KEY,
    execution INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX events_by_execution ON events (execution, seq);

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
    body BLOB NOT NULL
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


def place_of(shard: int, position: int) -> int:
    """The rowid of an event; that of a shard's position 0 lies before all of its events."""
    return shard << POSITION_BITS | position


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the file is new; what died while creating a journal left a file like that, too."""
    (count,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return bool(count == 0)


def create(connection: sqlite3.Connection, *, deployment_id: str | None, shard_count: int) -> None:
    """Make a blank file a journal, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    for statement in _TABLES.split(";\n"):
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


def check_format(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse other people's databases and other versions' journals, before anything is written."""
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application_id != APPLICATION_ID:
        raise JournalUnavailable(
            f"{path} is an SQLite database of another program; name another path"
        )
    if version != FORMAT_VERSION:
        raise FormatMismatch(
            f"journal {path} has format {version}, this heliostat reads and writes format "
            f"{FORMAT_VERSION}; run the version that wrote it, or name another path"
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
        format_version=FORMAT_VERSION,
        shard_count=int(facts["shard_count"]),
        single_node=True,
    )


def write_holder(connection: sqlite3.Connection, holder: str) -> None:
    """Enter who writes the file: copied away from its lock file it still says whose it was."""
    connection.execute("INSERT OR REPLACE INTO facts (name, value) VALUES ('holder', ?)", (holder,))
