"""The contract of `Journal` for published events and who awaits them, a class for each clause."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.status import TERMINAL
from tests.conformance.support import Owner, bodies, created, event, key, more, row


async def ids(journal: Journal, *, after: int = 0, limit: int = 100) -> list[tuple[int, str]]:
    return [(n, each.id) for n, each in await journal.bus(after_position=after, limit=limit)]


class TestBus:
    """Positions are 1, 2, 3, … in one order for all readers; an id is stored once."""

    async def test_events_of_clients_and_of_commits_are_in_one_order(
        self, journal: Journal
    ) -> None:
        owner = await Owner.of(journal)
        assert await journal.bus_end() == 0
        assert await journal.bus(after_position=0) == []
        await journal.publish([event("c"), event("a", "shipped", at_ms=9)])
        await owner.append(
            created("x"), more("x", 1, b"2", published=(event("d"), event("b", "äß\0")))
        )
        await journal.publish([event("e", namespace="other")])
        assert await journal.bus(after_position=0) == [
            (1, event("c")),
            (2, event("a", "shipped", at_ms=9)),
            (3, event("d")),
            (4, event("b", "äß\0")),
            (5, event("e", namespace="other")),
        ]
        assert await journal.bus_end() == 5

    async def test_pages(self, journal: Journal) -> None:
        await journal.publish([event(f"e{n}") for n in range(5)])
        assert await ids(journal, limit=2) == [(1, "e0"), (2, "e1")]
        assert await ids(journal, after=2, limit=2) == [(3, "e2"), (4, "e3")]
        assert await ids(journal, after=4, limit=2) == [(5, "e4")]
        assert await ids(journal, after=5) == []

    async def test_an_id_is_stored_once_and_leaves_no_gap(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await journal.publish([event("a"), event("b"), event("a", "repeated")])
        await owner.append(created("x"), more("x", 1, b"2", published=(event("b"), event("c"))))
        await owner.append(more("x", 2, b"3", published=(event("c"), event("d"), event("d"))))
        await journal.publish([event("a", "other", at_ms=9), event("a", namespace="two")])
        found = await journal.bus(after_position=0)
        assert [position for position, _ in found] == [1, 2, 3, 4, 5]
        assert [each for _, each in found] == [
            event("a"),
            event("b"),
            event("c"),
            event("d"),
            event("a", namespace="two"),
        ]

    async def test_what_is_published_with_a_commit_is_part_of_it(self, journal: Journal) -> None:
        old = await Owner.of(journal)
        await old.append(created("x"), created("y"))
        result = await old.append(
            more("x", 7, b"late", published=(event("of a conflict"),)),
            more("y", 1, b"2", published=(event("stored"),)),
        )
        assert result.conflicts == {key("x")}
        await Owner.of(journal)
        assert (await old.append(more("y", 2, b"3", published=(event("fenced"),)))).fenced
        assert await ids(journal) == [(1, "stored")]

    async def test_a_repeated_commit_publishes_once(self, journal: Journal) -> None:
        """As an owner does that does not know what became of it."""
        owner = await Owner.of(journal)
        batch = owner.batch(created("x"), more("x", 1, b"2", published=(event("e"),)))
        assert not (await journal.append([batch])).conflicts
        owner.next_position = 3
        assert (await owner.append(*batch.appends)).conflicts
        assert not (await owner.append(more("x", 2, b"3", published=(event("e"),)))).conflicts
        assert await ids(journal) == [(1, "e")]
        assert await bodies(journal, "x") == [b"started", b"2", b"3"]

    async def test_publishers_at_once(self, journal: Journal) -> None:
        """No position is doubled or left out, and each publisher's own order stays."""
        owners = [await Owner.of(journal, f"s-{n}") for n in range(5)]
        for owner in owners:
            await owner.append(created(owner.shard, shard=owner.shard))

        async def live(owner: Owner) -> None:
            for n in range(1, 6):
                mine = event(f"{owner.shard} {n}")
                both = event(f"everybody {n}")
                await journal.publish([event(f"client of {mine.id}"), both])
                await owner.append(more(owner.shard, n, b"x", published=(mine, both)))

        await asyncio.gather(*map(live, owners))
        found = await ids(journal, limit=1_000)
        assert [position for position, _ in found] == list(range(1, 5 * 5 * 2 + 5 + 1))
        for owner in owners:
            mine = [id for _, id in found if id.startswith(f"{owner.shard} ")]
            assert mine == [f"{owner.shard} {n}" for n in range(1, 6)]

    async def test_many_in_a_call(self, journal: Journal) -> None:
        await journal.publish([event(f"e{n}") for n in range(0, 700, 2)])
        await journal.publish([event(f"e{n}") for n in range(700)])
        found = await ids(journal, limit=1_000)
        even = [f"e{n}" for n in range(0, 700, 2)]
        odd = [f"e{n}" for n in range(1, 700, 2)]
        assert found == list(enumerate(even + odd, start=1))
        await journal.publish([])
        assert await journal.bus_end() == 700

    async def test_all_of_it_survives(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(created("x", awaits=("paid",)))
        await journal.publish([event("a"), event("b")])
        assert await journal.advance_bus("0", epoch=1, position=1)
        journal = await backend.reopen(journal)
        await journal.publish([event("b"), event("c")])
        assert await ids(journal) == [(1, "a"), (2, "b"), (3, "c")]
        assert await journal.bus_cursor("0") == 1
        assert await journal.awaiting("0", namespace="default", name="paid") == [key("x")]
        await journal.close()

    async def test_closed_bus_refuses(self, backend: Any) -> None:
        journal = backend.open()
        await journal.close()
        for call in (
            journal.publish([event("a")]),
            journal.bus(after_position=0),
            journal.bus_end(),
            journal.bus_cursor("0"),
            journal.advance_bus("0", epoch=1, position=0),
            journal.awaiting("0", namespace="default", name="paid"),
            journal.purge_bus(before_ms=9),
        ):
            with pytest.raises(JournalError, match="closed"):
                await call


class TestBusCursors:
    """A cursor moves under the epoch of its shard's owner, and only forwards."""

    @pytest.fixture(autouse=True)
    async def events(self, journal: Journal) -> None:
        await journal.publish([event(f"e{n}") for n in range(5)])

    async def test_each_shard_has_its_own(self, journal: Journal) -> None:
        for shard in ("0", "own"):
            await Owner.of(journal, shard)
        assert await journal.advance_bus("0", epoch=1, position=3)
        assert await journal.advance_bus("own", epoch=1, position=5)
        cursors = [await journal.bus_cursor(each) for each in ("0", "1", "own", "unknown")]
        assert cursors == [3, 0, 5, 0]

    async def test_never_backwards(self, journal: Journal) -> None:
        await Owner.of(journal)
        assert await journal.advance_bus("0", epoch=1, position=3)
        assert await journal.advance_bus("0", epoch=1, position=2)
        assert await journal.bus_cursor("0") == 3

    async def test_former_owners_do_not_move_it(self, journal: Journal) -> None:
        await Owner.of(journal)
        await Owner.of(journal)
        assert not await journal.advance_bus("0", epoch=1, position=4)
        assert not await journal.advance_bus("0", epoch=3, position=4)
        assert not await journal.advance_bus("1", epoch=0, position=4)
        assert not await journal.advance_bus("unknown", epoch=0, position=4)
        assert await journal.bus_cursor("0") == 0
        assert await journal.advance_bus("0", epoch=2, position=4)

    async def test_a_new_owner_and_its_commits_leave_it(self, journal: Journal) -> None:
        await Owner.of(journal)
        assert await journal.advance_bus("0", epoch=1, position=4)
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        assert await journal.bus_cursor("0") == 4

    async def test_behind_the_end_is_a_mistake(self, journal: Journal) -> None:
        await Owner.of(journal)
        with pytest.raises(JournalError, match="up to position 6 of the bus, which ends at 5"):
            await journal.advance_bus("0", epoch=1, position=6)
        assert await journal.bus_cursor("0") == 0


class TestBusRetention:
    """What was published before an instant goes; its position is never given again."""

    async def test_by_the_instant_of_publication(self, journal: Journal) -> None:
        await journal.publish([event(f"e{n}", at_ms=at) for n, at in enumerate((5, 10, 4, 9, 10))])
        assert await journal.purge_bus(before_ms=4) == 0
        assert await journal.purge_bus(before_ms=10) == 3
        assert await ids(journal) == [(2, "e1"), (5, "e4")]
        assert await ids(journal, after=2) == [(5, "e4")]
        assert await journal.purge_bus(before_ms=10) == 0

    async def test_positions_go_on_when_the_end_was_purged(self, backend: Any) -> None:
        journal = backend.open()
        await Owner.of(journal)
        await journal.publish([event("a", at_ms=9), event("b"), event("c")])
        assert await journal.purge_bus(before_ms=5) == 2
        assert await journal.bus_end() == 3
        assert await journal.advance_bus("0", epoch=1, position=3)
        journal = await backend.reopen(journal)
        assert await journal.bus_end() == 3
        await journal.publish([event("d")])
        assert await journal.purge_bus(before_ms=100) == 2
        await journal.publish([event("e")])
        assert await ids(journal) == [(5, "e")]
        await journal.close()

    async def test_an_id_is_free_again(self, journal: Journal) -> None:
        await journal.publish([event("a"), event("b", at_ms=9)])
        await journal.purge_bus(before_ms=5)
        await journal.publish([event("b"), event("a", at_ms=9)])
        assert await ids(journal) == [(2, "b"), (3, "a")]

    async def test_more_than_one_part(self, journal: Journal) -> None:
        await journal.publish([event(f"e{n}", at_ms=n) for n in range(2_500)])
        assert await journal.purge_bus(before_ms=2_400) == 2_400
        assert [n for n, _ in await ids(journal, limit=1_000)] == list(range(2_401, 2_501))


class TestSubscriptions:
    """`awaiting` names each execution whose row awaits the type and has not ended, no other."""

    async def awaiting(
        self, journal: Journal, name: str = "paid", *, shard: str = "0", **page: Any
    ) -> list[str]:
        found = await journal.awaiting(shard, **({"namespace": "default"} | page), name=name)
        return [each.execution_id for each in found]

    async def test_by_shard_namespace_and_type(self, journal: Journal) -> None:
        owner, other = await Owner.of(journal), await Owner.of(journal, "1")
        await owner.append(
            created("b", awaits=("paid", "shipped")),
            created("a", awaits=("paid",)),
            created("nothing"),
            created(key("a", "two"), awaits=("paid",)),
        )
        await other.append(created("c", shard="1", awaits=("paid",)))
        assert await self.awaiting(journal) == ["a", "b"]
        assert await self.awaiting(journal, "shipped") == ["b"]
        assert await self.awaiting(journal, "unknown") == []
        assert await self.awaiting(journal, shard="1") == ["c"]
        assert await self.awaiting(journal, shard="unknown") == []
        assert await journal.awaiting("0", namespace="two", name="paid") == [key("a", "two")]

    async def test_the_row_says_what_it_said(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        first = created("a", awaits=("shipped", "paid", "äß"))
        await owner.append(first)
        stored = await journal.load(key("a"))
        assert stored is not None
        assert stored.row == first.row == await journal.get_row(key("a"))

    async def test_until_the_end_and_again_after_a_retry(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", awaits=("paid",)), created("b", awaits=("paid",)))
        failed = row("a", status="Failed", busy=0, ended_at_ms=5, failure_type="Boom")
        await owner.append(more("a", 1, b"failed", row=failed))
        assert await self.awaiting(journal) == ["b"]
        await owner.append(more("a", 2, b"retried", row=row("a", awaits=("paid", "shipped"))))
        assert await self.awaiting(journal) == ["a", "b"]
        assert await self.awaiting(journal, "shipped") == ["a"]
        await owner.append(more("a", 3, b"completed", row=row("a", status="Completed")))
        assert await self.awaiting(journal) == ["b"]
        assert await self.awaiting(journal, "shipped") == []

    @pytest.mark.parametrize("status", sorted(TERMINAL))
    async def test_one_that_ended_hears_nothing_whatever_its_row_awaits(
        self, journal: Journal, status: str
    ) -> None:
        owner = await Owner.of(journal)
        ended = row("a", status=status, awaits=("paid",))
        await owner.append(
            created("a", awaits=("paid",)),
            more("a", 1, b"end", row=ended),
            created("b", awaits=("paid",), status=status),
        )
        assert await self.awaiting(journal) == []
        assert await journal.get_row(key("a")) == ended
        await owner.append(more("a", 2, b"retried", row=row("a", awaits=("paid",))))
        assert await self.awaiting(journal) == ["a"]

    @pytest.mark.parametrize("status", ["Pending", "Running", "Waiting", "Paused", "Compensating"])
    async def test_one_that_goes_on_does(self, journal: Journal, status: str) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", awaits=("paid",), status=status))
        assert await self.awaiting(journal) == ["a"]

    async def test_born_and_ended_in_one_batch(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(
            created("a", awaits=("paid",)),
            more("a", 1, b"end", row=row("a", status="Completed")),
            created("b", awaits=("paid",)),
            more("b", 1, b"end", row=row("b", status="Failed")),
            more("b", 2, b"retried", row=row("b", awaits=("paid",))),
        )
        assert await self.awaiting(journal) == ["b"]

    async def test_other_types_than_before(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", awaits=("paid", "shipped")))
        await owner.append(more("a", 1, b"2"))  # no row: nothing changes
        assert await self.awaiting(journal) == ["a"]
        moved = row("a", awaits=("shipped", "returned", "returned"))
        await owner.append(more("a", 2, b"3", row=moved))
        assert await self.awaiting(journal) == []
        assert await self.awaiting(journal, "shipped") == ["a"]
        assert await self.awaiting(journal, "returned") == ["a"]

    async def test_a_new_owner_knows_what_was_awaited(self, journal: Journal) -> None:
        """What it did not append itself it has to look up before it can take it away."""
        await (await Owner.of(journal)).append(created("a", awaits=("paid",), tags={"k": "v"}))
        owner = await Owner.of(journal)
        await owner.append(more("a", 1, b"end", row=row("a", status="Completed")))
        assert await self.awaiting(journal) == []

    async def test_refused_appends_change_nothing(self, journal: Journal) -> None:
        old = await Owner.of(journal)
        await old.append(created("a", awaits=("paid",)))
        await Owner.of(journal)
        assert (await old.append(created("b", awaits=("paid",)))).fenced
        assert (await old.append(more("a", 1, b"end", row=row("a", status="Failed")))).fenced
        assert await self.awaiting(journal) == ["a"]

    async def test_pages_in_key_order(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        names = ["é", "a", "B", "aa", "😀", "b", "\uffee"]
        await owner.append(*(created(id, awaits=("paid",)) for id in names))
        assert await self.awaiting(journal, limit=3) == sorted(names)[:3]
        second = await self.awaiting(journal, limit=3, after=key("aa"))
        assert second == sorted(names)[3:6]
        assert await self.awaiting(journal, limit=3, after=key(second[-1])) == sorted(names)[6:]
        await owner.append(more("aa", 1, b"end", row=row("aa", status="Completed")))
        assert await self.awaiting(journal, limit=3, after=key("aa")) == second
        assert await self.awaiting(journal, after=ExecutionKey("a", "zz")) == sorted(
            {*names} - {"aa"}
        )
        assert await self.awaiting(journal, after=ExecutionKey("z", "")) == []

    async def test_many_end_in_one_commit(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        names = [f"e{n:03}" for n in range(300)]
        await owner.append(*(created(id, awaits=("paid", "shipped")) for id in names))
        assert await self.awaiting(journal) == names
        await owner.append(
            *(more(id, 1, b"end", row=row(id, status="Completed")) for id in names[:299])
        )
        assert await self.awaiting(journal) == await self.awaiting(journal, "shipped") == ["e299"]
