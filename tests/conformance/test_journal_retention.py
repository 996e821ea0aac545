"""The contract of `Journal` for blob names, and for executions that are past their retention."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    Append,
    DefinitionRow,
    ExecutionQuery,
    Journal,
    SnapshotRow,
    TaskQuery,
)
from tests.conformance.support import Owner, bodies, created, key, message, more, row, task


def blob(letter: str, namespace: str = "default") -> str:
    return f"{namespace}/{letter * 64}"


def ended(id: str | ExecutionKey, at_ms: int, shard: str = "0", **changes: Any) -> Append:
    """An execution that began and ended."""
    fields = {"status": "Completed", "busy": 0, "ended_at_ms": at_ms} | changes
    return created(id, b"started", b"ended", shard=shard, **fields)


async def purge(journal: Journal, before_ms: int) -> int:
    """All that ended before an instant."""
    total = 0
    while count := await journal.purge_executions(ended_before_ms=before_ms):
        total += count
    return total


async def named(journal: Journal, *letters: str) -> str:
    found = await journal.named_blobs([blob(letter) for letter in letters])
    return "".join(letter for letter in letters if blob(letter) in found)


class TestBlobNames:
    """A name in `blobs` is part of the atomic unit, and is named until its execution is purged."""

    async def test_names_come_with_the_events(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        assert await journal.named_blobs([]) == frozenset()
        await owner.append(created("a"), more("a", 1, b"2", blobs=(blob("a"), blob("b"))))
        await owner.append(more("a", 2, b"3", blobs=(blob("a"),)))
        assert await named(journal, "a", "b", "c") == "ab"
        assert await journal.named_blobs([blob("a", "other"), "what is no name"]) == frozenset()

    async def test_a_conflict_names_nothing(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        await owner.append(more("a", 7, b"2", blobs=(blob("a"),)))
        assert await named(journal, "a") == ""

    async def test_code_of_definitions_stays(self, journal: Journal) -> None:
        def version(number: str, **compiled: Any) -> DefinitionRow:
            return DefinitionRow(
                namespace="default",
                id="order",
                version=number,
                content_hash="h",
                body=b"{}",
                compiled=msgspec.msgpack.encode(compiled),
                registered_at_ms=1,
            )

        await journal.put_definition(version("1", code=blob("a"), format=1))
        await journal.put_definition(version("2", code=None))
        await journal.put_definition(version("1", code=blob("b")))  # not stored: "1" is there
        assert await named(journal, "a", "b") == "a"
        assert await purge(journal, 1_000_000) == 0
        assert await named(journal, "a") == "a"

    async def test_what_two_name_stays_until_both_are_gone(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        for id, at_ms in (("a", 1), ("b", 2)):
            append = ended(id, at_ms)
            await owner.append(append, more(id, 2, b"3", blobs=(blob("a"),)))
        assert await purge(journal, 2) == 1
        assert await named(journal, "a") == "a"
        assert await purge(journal, 3) == 1
        assert await named(journal, "a") == ""

    async def test_they_survive(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(created("a"), more("a", 1, b"2", blobs=(blob("a"),)))
        journal = await backend.reopen(journal)
        assert await named(journal, "a") == "a"
        await journal.close()


class TestPurge:
    """Executions that ended before an instant go with all they have; nothing else does."""

    async def test_the_earliest_end_first_and_only_the_ended(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(
            ended("c", 30), ended("a", 10), ended("b", 20, status="Failed"), created("running")
        )
        assert await journal.purge_executions(ended_before_ms=30, limit=1) == 1
        assert await journal.load(key("a")) is None
        assert await journal.purge_executions(ended_before_ms=30, limit=5) == 1
        assert await journal.purge_executions(ended_before_ms=30) == 0
        page = await journal.list_executions(ExecutionQuery(namespace="default"))
        assert {each.key for each in page.rows} == {key("c"), key("running")}
        assert await journal.count_executions() == {"Completed": 1, "Running": 1}

    async def test_nothing_of_it_is_left(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(
            ended("a", 10, tags={"k": "v"}, awaits=("paid",)),
            more(
                "a",
                2,
                b"3",
                snapshot=SnapshotRow(seq=2, body=b"state"),
                tasks=(task("t", candidates=("ann",)),),
                blobs=(blob("a"),),
            ),
            ended("b", 99, tags={"k": "v"}),
            more("b", 2, b"3", tasks=(task("t", of="b", candidates=("ann",)),)),
        )
        assert await purge(journal, 11) == 1
        assert await journal.load(key("a")) is None
        assert await journal.get_row(key("a")) is None
        assert await journal.read(key("a"), after_seq=0) == []
        assert await journal.get_task(key("a"), "t") is None
        tasks = await journal.list_tasks(TaskQuery(namespace="default", person="ann"))
        assert [each.key for each in tasks.rows] == [key("b")]
        tagged = await journal.list_executions(ExecutionQuery(namespace="default", tags={"k": "v"}))
        assert [each.key for each in tagged.rows] == [key("b")]
        assert await named(journal, "a") == ""

    async def test_an_execution_that_goes_on_again_is_not_ended(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(ended("a", 10, status="Failed"))
        await owner.append(more("a", 2, b"3", row=row("a", run=2)))
        assert await purge(journal, 1_000) == 0
        assert await bodies(journal, "a") == [b"started", b"ended", b"3"]

    async def test_positions_are_not_given_again(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(ended("a", 10), created("b"), ended("c", 20))
        assert await purge(journal, 1_000) == 2
        assert [each.position for each in await journal.follow("0", after_position=0)] == [3]
        result = await owner.append(created("d"))
        assert result.next_positions == {"0": 7}
        followed = await journal.follow("0", after_position=1)
        assert [(each.position, each.key) for each in followed] == [(3, key("b")), (6, key("d"))]
        assert await journal.follow("0", after_position=3, limit=1) == followed[1:]
        assert (await Owner.of(journal)).next_position == 7

    async def test_a_purged_execution_is_as_one_that_never_was(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(ended("a", 10))
        assert await purge(journal, 11) == 1
        result = await owner.append(more("a", 2, b"late", blobs=(blob("a"),)))
        assert result.conflicts == {key("a")}
        assert await named(journal, "a") == ""
        assert (await owner.append(created("a", b"again"))).conflicts == frozenset()
        assert await bodies(journal, "a") == [b"again"]
        assert await journal.count_executions() == {"Running": 1}

    async def test_one_with_an_untaken_message_stays(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(ended("a", 10), more("a", 2, b"3", sent=(message("m", to="b"),)))
        await owner.append(ended("c", 20), created("b"))
        assert await journal.purge_executions(ended_before_ms=1_000, limit=1) == 1
        assert await journal.load(key("c")) is None
        assert await purge(journal, 1_000) == 0
        await owner.append(more("b", 1, b"2", received=("m",)))
        assert await purge(journal, 1_000) == 1
        assert await journal.load(key("a")) is None

    async def test_the_shard_of_a_dedicated_execution_goes_with_it(self, journal: Journal) -> None:
        name = "execution:default/own"
        owner = await Owner.of(journal, name)
        await owner.append(ended("own", 10, name))
        await (await Owner.of(journal)).append(ended("a", 10))
        assert await purge(journal, 11) == 2
        assert name not in [each.shard for each in await journal.shards()]
        assert [each.epoch for each in await journal.shards()] == [1, 0, 0, 0]
        again = await Owner.of(journal, name)
        assert (again.epoch, again.next_position) == (1, 1)

    async def test_it_stays_deleted(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(created("b"), ended("a", 10))
        assert await purge(journal, 11) == 1
        journal = await backend.reopen(journal)
        assert await journal.load(key("a")) is None
        again = await Owner.of(journal)
        assert again.next_position == 4
        await again.append(created("c"))
        assert [each.position for each in await journal.follow("0", after_position=0)] == [1, 4]
        await journal.close()

    @pytest.mark.parametrize("count", [1, 130])
    async def test_many_at_once(self, journal: Journal, count: int) -> None:
        owner = await Owner.of(journal)
        await owner.append(*(ended(f"e{n}", n) for n in range(count)))
        assert await journal.purge_executions(ended_before_ms=1_000, limit=1_000) == count
        assert await journal.follow("0", after_position=0) == []
        assert await journal.count_executions() == {}
