"""The tables and what they mean, their version, and how a database becomes a journal.

- All of them are in the schema `heliostat` of the database that the URL names.
- Executions and shards have a number each; events and indexes carry numbers in place of texts,
  which makes them smaller and the inserts cheaper. Numbers come from sequences: several hosts
  create executions at once, and a number may be left out.
- Events are named by shard and position, so that an append writes at as many places of the index
  as shards take part, not at random ones.
- `shards` is what a commit locks, in the order of names, before it reads or writes anything else of
  a shard: two owners of one shard never meet behind it. `purged` counts the executions that were
  taken out of a shard by whoever keeps to the retention, so that its owner forgets them.
- `status_counts` is kept with the rows, by shard: by namespace alone, every commit of every host
  would wait for the same few rows.
- `bus_end` has one row: who publishes locks it until his commit, so that positions are given in
  the order of the commits and no reader sees a later one first.
- Texts compare by code points everywhere, whatever the database's locale: order is part of what
  is promised.
- The indexes of lists begin with the namespace under another collation, which orders as well: a
  statement that looks for one row by its key cannot use them. While a table has no statistics, the
  planner would sometimes take one, and read all of the namespace for each row.
- `fillfactor` leaves room where rows are rewritten all the time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from psycopg import Connection

from ...errors import FormatMismatch, JournalLocked, NoJournal
from ...ids import new_id
from ..protocol import JournalInfo
from ..sql.definitions import make_heads

if TYPE_CHECKING:
    from .connections import Database

_log = logging.getLogger(__name__)

FORMAT_VERSION: Final = 2
"""Raised when an older release could not read, or would damage, what this one writes."""

OLDEST: Final = 1
"""The oldest format that is upgraded."""

SCHEMA: Final = "heliostat"

NUMBERS: Final = 1_000
"""Numbers of executions that a writer draws at once: one trip to the server for as many starts."""

_LOCK: Final = 0x48454C49
"""The advisory lock under which tables are made: "HELI"."""

_TABLES: Final = f"""
CREATE TABLE facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE shards (
    number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    epoch bigint NOT NULL DEFAULT 0,
    owner TEXT,
    next_position bigint NOT NULL DEFAULT 1,
    bus_cursor bigint NOT NULL DEFAULT 0,
    purged bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);

CREATE TABLE owners (
    incarnation TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    pid bigint NOT NULL,
    node TEXT NOT NULL,
    started_at_ms bigint NOT NULL,
    beat_at_ms bigint NOT NULL,
    draining boolean NOT NULL
) WITH (fillfactor = 10);

CREATE SEQUENCE execution_numbers INCREMENT BY {NUMBERS};

CREATE TABLE executions (
    number bigint PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    shard integer NOT NULL,
    definition TEXT NOT NULL,
    version TEXT NOT NULL,
    status TEXT NOT NULL,
    run bigint NOT NULL,
    busy bigint NOT NULL,
    wake_at_ms bigint,
    created_at_ms bigint NOT NULL,
    ended_at_ms bigint,
    failure_type TEXT,
    failure_message TEXT,
    tags TEXT,
    awaits TEXT,
    parent TEXT,
    priority bigint NOT NULL DEFAULT 5,
    correlation_id TEXT
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX executions_by_key ON executions (namespace, id);
CREATE INDEX executions_by_creation
    ON executions (namespace COLLATE "POSIX", created_at_ms, number);
CREATE INDEX executions_by_definition
    ON executions (namespace COLLATE "POSIX", definition, created_at_ms, number);
CREATE INDEX executions_by_status
    ON executions (namespace COLLATE "POSIX", status, created_at_ms, number)
    WHERE status <> 'Completed';
CREATE INDEX executions_by_wake ON executions (shard, wake_at_ms, namespace, id)
    WHERE wake_at_ms IS NOT NULL;
CREATE INDEX executions_busy ON executions (shard, namespace, id) WHERE busy > 0;
CREATE INDEX executions_by_end ON executions (ended_at_ms) WHERE ended_at_ms IS NOT NULL;

CREATE TABLE tags (
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    created_at_ms bigint NOT NULL,
    execution bigint NOT NULL
);
CREATE INDEX tags_by_value
    ON tags (namespace, name, left(value, 200), created_at_ms, execution);

CREATE TABLE status_counts (
    shard integer NOT NULL,
    namespace TEXT NOT NULL,
    status TEXT NOT NULL,
    executions bigint NOT NULL,
    PRIMARY KEY (shard, namespace, status)
) WITH (fillfactor = 20);

CREATE TABLE events (
    shard integer NOT NULL,
    position bigint NOT NULL,
    execution bigint NOT NULL,
    seq bigint NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (shard, position)
);
CREATE UNIQUE INDEX events_by_execution ON events (execution, seq);

CREATE TABLE snapshots (
    execution bigint PRIMARY KEY,
    seq bigint NOT NULL,
    body bytea NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE messages (
    sender_shard TEXT NOT NULL,
    sent_at_ms bigint NOT NULL,
    id TEXT NOT NULL UNIQUE,
    sender bigint NOT NULL,
    namespace TEXT NOT NULL,
    execution_id TEXT NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (sender_shard, sent_at_ms, id)
);
CREATE INDEX messages_by_sender ON messages (sender);

CREATE TABLE bus_end (position bigint NOT NULL) WITH (fillfactor = 10);

CREATE TABLE bus (
    position bigint PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    published_at_ms bigint NOT NULL,
    body bytea NOT NULL
);
CREATE UNIQUE INDEX bus_by_id ON bus (namespace, id);
CREATE INDEX bus_by_time ON bus (published_at_ms);

CREATE TABLE subscriptions (
    shard integer NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    id TEXT NOT NULL,
    PRIMARY KEY (shard, namespace, name, id)
);

CREATE TABLE tasks (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
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
    created_at_ms bigint NOT NULL,
    deadline_at_ms bigint,
    ended_at_ms bigint,
    body bytea NOT NULL,
    task_type TEXT NOT NULL DEFAULT 'human'
);
CREATE UNIQUE INDEX tasks_by_key ON tasks (namespace, execution_id, task_id);
CREATE INDEX tasks_by_creation ON tasks (namespace COLLATE "POSIX", created_at_ms, number);
CREATE INDEX tasks_by_definition
    ON tasks (namespace COLLATE "POSIX", definition, created_at_ms, number);
CREATE INDEX tasks_by_status ON tasks (namespace COLLATE "POSIX", status, created_at_ms, number);

CREATE TABLE task_people (
    namespace TEXT NOT NULL,
    person TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at_ms bigint NOT NULL,
    task bigint NOT NULL,
    PRIMARY KEY (namespace, person, status, created_at_ms, task)
);
CREATE INDEX task_people_by_task ON task_people (task);

CREATE TABLE definitions (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    content_hash TEXT NOT NULL,
    body bytea NOT NULL,
    compiled bytea NOT NULL,
    registered_at_ms bigint NOT NULL,
    UNIQUE (namespace, id, version)
);
CREATE INDEX definitions_by_namespace ON definitions (namespace COLLATE "POSIX", number);
CREATE INDEX definitions_by_id ON definitions (namespace, id, number);

CREATE TABLE blob_names (
    name TEXT NOT NULL,
    execution bigint NOT NULL,
    PRIMARY KEY (name, execution)
);
CREATE INDEX blob_names_by_execution ON blob_names (execution);

INSERT INTO bus_end VALUES (0)
"""

_LISTED: Final = """
CREATE INDEX executions_by_correlation
    ON executions (namespace COLLATE "POSIX", correlation_id, created_at_ms, number)
    WHERE correlation_id IS NOT NULL;

CREATE TABLE definition_heads (
    number bigint PRIMARY KEY,
    namespace TEXT NOT NULL,
    id TEXT NOT NULL,
    version TEXT NOT NULL,
    name TEXT,
    description TEXT,
    tags TEXT,
    steps bigint NOT NULL,
    registered_at_ms bigint NOT NULL,
    deleted_at_ms bigint,
    calls TEXT NOT NULL,
    searched TEXT NOT NULL
);
CREATE INDEX definition_heads_by_id ON definition_heads (namespace, id, number)
"""
"""What format 2 added, beside these columns."""

_COLUMNS: Final = """
ALTER TABLE executions ADD COLUMN parent TEXT, ADD COLUMN priority bigint NOT NULL DEFAULT 5,
    ADD COLUMN correlation_id TEXT;
ALTER TABLE tasks ADD COLUMN task_type TEXT NOT NULL DEFAULT 'human'
"""


def is_blank(connection: Connection[Any]) -> bool:
    """Whether the database has no journal."""
    # Not by `to_regclass`, which may answer as before a lock was waited for.
    found = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_class JOIN pg_catalog.pg_namespace"
        f" ON pg_namespace.oid = relnamespace WHERE nspname = '{SCHEMA}' AND relname = 'facts'"
    ).fetchone()
    assert found is not None
    return bool(found[0] == 0)


def create(connection: Connection[Any], *, deployment_id: str | None, shard_count: int) -> None:
    """Make a blank database a journal, in one transaction; one that came first is left as it is."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if not is_blank(connection):
            return
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {SCHEMA}")
        _run(connection, f"{_TABLES};{_LISTED}")
        facts = {
            "format_version": str(FORMAT_VERSION),
            "deployment_id": deployment_id or new_id(),
            "shard_count": str(shard_count),
        }
        for fact in facts.items():
            connection.execute("INSERT INTO facts (name, value) VALUES (%s, %s)", fact)
        for index in range(shard_count):
            connection.execute("INSERT INTO shards (name) VALUES (%s)", (str(index),))


def _run(connection: Connection[Any], statements: str) -> None:
    connection.execute(statements.replace(" TEXT", ' text COLLATE "C"'), prepare=False)


def make_present(connection: Database) -> None:
    """Give an earlier format's database the present one, in one transaction; blocks its hosts."""
    with connection.transaction():
        if connection.row("SELECT value FROM facts WHERE name = 'format_version'") != ("1",):
            return
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        if connection.row("SELECT value FROM facts WHERE name = 'format_version'") != ("1",):
            return  # another host did
        _log.warning("the journal has format 1 and becomes one of format %d", FORMAT_VERSION)
        _run(connection, f"{_COLUMNS};{_LISTED}")
        make_heads(connection)
        connection.execute(
            "UPDATE facts SET value = %s WHERE name = 'format_version'", (str(FORMAT_VERSION),)
        )


def read_info(
    connection: Connection[Any],
    place: str,
    *,
    deployment_id: str | None = None,
    older: bool = False,
) -> JournalInfo:
    """What was fixed at creation; refuses other versions' journals and other deployments'."""
    if is_blank(connection):
        raise NoJournal(
            f"{place} has no journal; name the database of a deployment, or start one that uses it"
        )
    found = connection.execute("SELECT name, value FROM facts", binary=True)
    facts: dict[str, str] = dict(found.fetchall())
    version = int(facts["format_version"])
    if not (OLDEST if older else FORMAT_VERSION) <= version <= FORMAT_VERSION:
        raise FormatMismatch(
            f"the journal in {place} has format {version}, this heliostat reads and writes format "
            f"{FORMAT_VERSION}; `heliostat up` brings an earlier one there, else run the version "
            f"that wrote it"
        )
    if deployment_id is not None and facts["deployment_id"] != deployment_id:
        raise JournalLocked(
            f"the journal in {place} belongs to deployment {facts['deployment_id']}, "
            f"not to {deployment_id}; every deployment has a database of its own"
        )
    return JournalInfo(
        deployment_id=facts["deployment_id"],
        format_version=version,
        shard_count=int(facts["shard_count"]),
        single_node=False,
    )
