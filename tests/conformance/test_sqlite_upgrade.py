"""A file of an earlier format becomes one of the present, in place; nothing of it is lost."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec
import pytest

from heliostat.engine.errors import FormatMismatch, JournalError
from heliostat.engine.journal.protocol import DefinitionQuery, DefinitionRow, ExecutionQuery
from heliostat.engine.journal.sqlite import open_sqlite, open_sqlite_readonly, schema, upgrade
from heliostat.engine.journal.sqlite.connections import Database
from heliostat.engine.values import Reference, encoder
from tests.conformance.support import Owner, bodies, created, key, message, more

CODE, OUTPUT, LONG = (
    "default/" + "c" * 64,
    "default/" + "d" * 64,
    f"{'n' * 200}/{'e' * 64}",  # the longest name there can be
)


WITHOUT_5 = (
    "CREATE TABLE events_4 (place INTEGER PRIMARY KEY, execution INTEGER NOT NULL,"
    " seq INTEGER NOT NULL, body BLOB NOT NULL) STRICT;"
    "INSERT INTO events_4 SELECT shard << 40 | position, execution, seq, body FROM events;"
    "DROP TABLE events; DROP TABLE landmarks; ALTER TABLE events_4 RENAME TO events;"
    "CREATE UNIQUE INDEX events_by_execution ON events (execution, seq); PRAGMA user_version = 4;"
)
WITHOUT_4 = (
    "DROP TABLE definition_heads; DROP INDEX executions_by_correlation;"
    "ALTER TABLE executions DROP COLUMN parent; ALTER TABLE executions DROP COLUMN priority;"
    "ALTER TABLE executions DROP COLUMN correlation_id;"
    "ALTER TABLE tasks DROP COLUMN task_type; PRAGMA user_version = 3;"
)
WITHOUT_3 = (
    "DROP TABLE blob_names; DROP INDEX executions_by_end;"
    "ALTER TABLE messages DROP COLUMN sender; PRAGMA user_version = 2"
)


async def format_2(path: Path, without: str = WITHOUT_5 + WITHOUT_4 + WITHOUT_3) -> None:
    """As an earlier release wrote it: without what later formats added."""
    journal = open_sqlite(path, deployment_id="d-1", shard_count=4)
    owner = await Owner.of(journal)
    outputs = {"output": [Reference(OUTPUT, "json", 9)], "other": Reference(LONG, "arrow", 70_000)}
    body = encoder().encode(outputs)
    await owner.append(
        created("a", b"started", body, status="Completed", busy=0, ended_at_ms=10),
        created("b", b"started", status="Completed", busy=0, ended_at_ms=10),
        more("b", 1, b"2", sent=(message("m", to="b"),)),
    )
    await journal.put_definition(
        DefinitionRow(
            namespace="default",
            id="order",
            version="1",
            content_hash="h",
            body=b'{"name": "The order", "steps": [{"id": "a"}, {"id": "b"}]}',
            compiled=msgspec.msgpack.encode({"code": CODE}),
            registered_at_ms=1,
        )
    )
    await journal.close()
    with sqlite3.connect(path) as file:
        file.executescript(without)
    file.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


async def test_what_histories_and_definitions_name_is_known_afterwards(path: Path) -> None:
    await format_2(path)
    journal = open_sqlite(path, deployment_id="d-1")
    assert journal.info.format_version == schema.FORMAT_VERSION
    assert await journal.named_blobs([CODE, OUTPUT, LONG]) == {CODE, OUTPUT, LONG}
    # who sent the message is not known: until it is taken nothing of its shard goes
    assert await journal.purge_executions(ended_before_ms=11) == 0
    owner = await Owner.of(journal)
    await owner.append(more("b", 2, b"3", received=("m",)))
    assert await journal.purge_executions(ended_before_ms=11) == 2
    assert await journal.named_blobs([CODE, OUTPUT, LONG]) == {CODE}
    await journal.close()
    again = open_sqlite(path, deployment_id="d-1")
    assert await again.load(key("a")) is None
    await again.close()


@pytest.mark.parametrize(
    "without", [WITHOUT_5 + WITHOUT_4, WITHOUT_5 + WITHOUT_4 + WITHOUT_3], ids=["3", "2"]
)
async def test_definitions_are_listed_afterwards(path: Path, without: str) -> None:
    await format_2(path, without)
    journal = open_sqlite(path, deployment_id="d-1")
    page = await journal.definitions_page(DefinitionQuery(namespace="default", filter="THE"))
    (row,) = page.rows
    assert (row.id, row.version, row.name, row.steps) == ("order", "1", "The order", 2)
    found = await journal.get_row(key("a"))
    assert found is not None
    assert (found.parent, found.priority, found.correlation_id) == (None, 5, None)
    owner = await Owner.of(journal)
    await owner.append(created("new", parent="a", priority=9, correlation_id="c"))
    query = ExecutionQuery(namespace="default", correlation_id="c")
    assert [each.priority for each in (await journal.list_executions(query)).rows] == [9]
    await journal.close()


@pytest.mark.parametrize("interrupted", [False, True])
async def test_events_are_followed_from_before_the_upgrade_to_behind_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    journal = open_sqlite(path, deployment_id="d-1", shard_count=4)
    shards = ("0", "3", "execution:default/alone")
    owners = [await Owner.of(journal, shard) for shard in shards]
    ids = ("a", "b", "alone")
    for owner, id in zip(owners, ids, strict=True):
        await owner.append(created(id, *[b"early"] * 2_500, shard=owner.shard))
    await journal.close()
    with sqlite3.connect(path) as file:
        file.executescript(WITHOUT_5)
    file.close()
    if interrupted:
        move, parts = upgrade._move_events, [1_000, 1_000]

        def move_or_fail(connection: Database) -> int:
            if not parts:
                raise sqlite3.OperationalError("it was interrupted")
            assert move(connection) == parts.pop()
            return 1_000

        monkeypatch.setattr(upgrade, "EVENTS_MOVED", 1_000)
        with monkeypatch.context() as patched:
            patched.setattr(upgrade, "_move_events", move_or_fail)
            with pytest.raises(JournalError, match="it was interrupted"):
                open_sqlite(path, deployment_id="d-1")
        with pytest.raises(FormatMismatch, match=r"format 4.*`heliostat up` brings it there"):
            open_sqlite_readonly(path)
    journal = open_sqlite(path, deployment_id="d-1")
    owners = [await Owner.of(journal, shard) for shard in shards]
    for owner, id in zip(owners, ids, strict=True):
        assert owner.next_position == 2_501
        await owner.append(more(id, 2_500, b"late"))
        for after in (0, 999, 1_000, 1_001, 2_499, 2_500):
            followed = await journal.follow(owner.shard, after_position=after, limit=10_000)
            assert [each.position for each in followed] == list(range(after + 1, 2_502))
            assert [each.seq for each in followed] == list(range(after + 1, 2_502))
            assert {each.key for each in followed} == {key(id)}
            assert followed[-1].body == b"late"
    with sqlite3.connect(path) as file:
        found = file.execute("SELECT shard, position FROM landmarks").fetchall()
    file.close()
    assert found == [(shard, at) for shard in (0, 3) for at in (1, 1_001, 2_001)]
    await journal.close()


async def test_a_failed_upgrade_leaves_the_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await format_2(path)

    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("it was interrupted")

    with monkeypatch.context() as patched:
        patched.setattr(upgrade, "name_blobs", fail)
        with pytest.raises(JournalError):
            open_sqlite(path, deployment_id="d-1")
    with sqlite3.connect(path) as file:
        assert file.execute("PRAGMA user_version").fetchone() == (2,)
        assert "'sender'" not in str(file.execute("PRAGMA table_info(messages)").fetchall())
    file.close()
    journal = open_sqlite(path, deployment_id="d-1")
    assert await bodies(journal, "b") == [b"started", b"2"]
    await journal.close()


async def test_a_reader_of_an_earlier_format_is_told_what_brings_it_up(path: Path) -> None:
    await format_2(path)
    with pytest.raises(FormatMismatch, match=r"format 2.*`heliostat up` brings it there"):
        open_sqlite_readonly(path)
    earlier = open_sqlite_readonly(path, older=True)
    assert (earlier.info.deployment_id, earlier.info.format_version) == ("d-1", 2)
    await earlier.close()
    await open_sqlite(path, deployment_id="d-1").close()
    reader = open_sqlite_readonly(path)
    stored = await reader.load(key("b"))
    assert stored is not None
    assert stored.events == (b"started", b"2")
    await reader.close()


async def test_format_1_is_refused(path: Path) -> None:
    await format_2(path)
    with sqlite3.connect(path) as file:
        file.execute("PRAGMA user_version = 1")
    file.close()
    with pytest.raises(FormatMismatch, match="format 1"):
        open_sqlite(path, deployment_id="d-1")
