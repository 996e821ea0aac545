"""Events lie in the order of commits; a shard is followed among the others' without reading all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from heliostat.engine.journal.sqlite import SqliteJournal, open_sqlite
from heliostat.engine.journal.sqlite.connections import Database
from tests.conformance.support import Owner, created, more, row

EVERY = 10
"""Positions from one landmark to the next, here."""


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("heliostat.engine.journal.sqlite.append.LANDMARK_EVERY", EVERY)
    return tmp_path / "journal.db"


@pytest.fixture
async def journal(path: Path) -> AsyncIterator[SqliteJournal]:
    journal = open_sqlite(path, shard_count=4)
    yield journal
    await journal.close()


async def interleaved(journal: SqliteJournal, commits: int) -> list[Owner]:
    """Shards that take turns, the first with one event a commit, the others with five."""
    owners = [await Owner.of(journal, str(shard)) for shard in range(4)]
    for n in range(commits):
        batches = [
            owner.batch(created(f"{owner.shard}-{n}", *[b"e"] * count, shard=owner.shard))
            for owner, count in zip(owners, (1, 5, 5, 5), strict=True)
        ]
        result = await journal.append(batches)
        for owner in owners:
            owner.next_position = result.next_positions[owner.shard]
    return owners


async def steps(journal: SqliteJournal, shard: str, after: int, limit: int) -> tuple[int, int]:
    """How many events are found, and how many steps SQLite's machine makes for it."""
    made = 0

    def count() -> None:
        nonlocal made
        made += 1

    def watched(connection: Database, on: bool) -> None:
        connection.set_progress_handler(count if on else None, 1)

    await journal._reader.call(lambda connection: watched(connection, True))
    found = await journal.follow(shard, after_position=after, limit=limit)
    await journal._reader.call(lambda connection: watched(connection, False))
    return len(found), made


async def test_what_a_follower_reads_does_not_grow_with_the_journal(
    journal: SqliteJournal,
) -> None:
    await interleaved(journal, 50)
    near = [await steps(journal, "0", after, 5) for after in (20, 45, 50)]
    await interleaved(journal, 0)  # claimed again, as after a restart
    for owner in [await Owner.of(journal, str(shard)) for shard in range(1, 4)]:
        await owner.append(created(f"{owner.shard}-late", *[b"e"] * 2_000, shard=owner.shard))
    far = [await steps(journal, "0", after, 5) for after in (20, 45, 50)]
    assert [found for found, _ in far] == [found for found, _ in near] == [5, 5, 0]
    assert [made for _, made in far] == pytest.approx([made for _, made in near], abs=50)


async def test_a_dedicated_shard_is_read_by_its_execution(journal: SqliteJournal) -> None:
    alone = await Owner.of(journal, "execution:default/alone")
    await alone.append(created("alone", b"1", shard=alone.shard))
    near = await steps(journal, alone.shard, 0, 100)
    await interleaved(journal, 100)
    await alone.append(more("alone", 1, b"2"))
    found, made = await steps(journal, alone.shard, 0, 100)
    assert found == 2
    assert made < near[1] + 100


async def test_landmarks_hold_when_the_newest_events_were_purged(
    journal: SqliteJournal, path: Path
) -> None:
    owner = await Owner.of(journal)
    await owner.append(
        created("old", *[b"e"] * (2 * EVERY + 1), status="Completed", busy=0, ended_at_ms=1)
    )
    assert await journal.purge_executions(ended_before_ms=2) == 1
    await journal.close()
    again = open_sqlite(path)  # its numbers begin anew, above the landmarks
    owner = await Owner.of(again)
    await owner.append(created("new", *[b"n"] * EVERY))
    for after in (0, EVERY + 3, 2 * EVERY + 1, 2 * EVERY + 4):
        followed = await again.follow("0", after_position=after)
        assert [each.position for each in followed] == list(
            range(max(after, 2 * EVERY + 1) + 1, 3 * EVERY + 2)
        )
    await again.close()


async def test_a_commit_writes_at_the_end_whatever_shards_take_part(
    journal: SqliteJournal,
) -> None:
    owners = await interleaved(journal, 30)
    numbers = await journal._reader.call(
        lambda db: db.rows("SELECT number, shard, position FROM events ORDER BY number")
    )
    assert [number for number, *_ in numbers] == list(range(1, len(numbers) + 1))
    last = numbers[-16:]  # of the last commit: by shard, each in the order of positions
    assert last == sorted(last, key=lambda each: (each[1], each[2]))
    assert {shard: position for _, shard, position in last} == {
        int(owner.shard): owner.next_position - 1 for owner in owners
    }


async def test_an_append_that_is_refused_leaves_no_gap(journal: SqliteJournal) -> None:
    owner = await Owner.of(journal)
    await owner.append(created("a"))
    refused = await owner.append(more("a", 7, b"no"), created("b"))
    assert refused.conflicts
    await owner.append(more("a", 1, b"yes", row=row("a")))
    followed = await journal.follow("0", after_position=0)
    assert [(each.key.execution_id, each.position) for each in followed] == [
        ("a", 1),
        ("b", 2),
        ("a", 3),
    ]
