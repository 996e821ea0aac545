"""The contract of `Journal`, a class for each clause; every backend runs it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliostat.engine.errors import JournalError
from heliostat.engine.journal.protocol import (
    Append,
    AppendResult,
    ExecutionQuery,
    Journal,
    OwnerRow,
    SnapshotRow,
)
from tests.conformance.support import Owner, bodies, created, key, message, more, row


class TestAtomic:
    """A shard's batch is stored whole, but for the executions that conflict, or not at all."""

    async def test_events_row_snapshot_and_messages_come_together(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        append = Append(
            key=key("a"),
            after_seq=0,
            events=(b"1", b"2"),
            row=row("a", status="Waiting"),
            snapshot=SnapshotRow(seq=1, body=b"state"),
            sent=(message("m"),),
        )
        result = await owner.append(append)
        assert result == AppendResult(next_positions={"0": 3})
        stored = await journal.load(key("a"))
        assert stored is not None
        assert stored.row == append.row
        assert stored.snapshot == append.snapshot
        assert stored.events == (b"2",)
        assert stored.last_seq == 2
        assert await journal.outgoing("0") == [message("m")]

    async def test_conflict_leaves_out_one_execution_with_all_it_has(
        self, journal: Journal
    ) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"), created("b"))
        result = await owner.append(
            more("a", 1, b"x", sent=(message("from-a"),)),
            more("b", 1, b"y"),
            # fits what came before it, but not the journal: the whole execution is left out
            more("a", 1, b"z", row=row("a", status="Failed")),
        )
        assert result.conflicts == {key("a")}
        assert await bodies(journal, "a") == [b"started"]
        assert await bodies(journal, "b") == [b"started", b"y"]
        assert await journal.outgoing("0") == []
        stored = await journal.get_row(key("a"))
        assert stored is not None
        assert stored.status == "Running"

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param([more("n", 0, b"x")], id="created without a row"),
            pytest.param([Append(key=key("n"), after_seq=0, events=(), row=row("n"))], id="empty"),
            pytest.param([more("n", -1, b"x", row=row("n"))], id="negative seq"),
            pytest.param([more("a", 1, b"x", row=row("b"))], id="row of another execution"),
            pytest.param([more("a", 1, b"x", row=row("a", "1"))], id="row of another shard"),
            pytest.param(
                [more("a", 1, b"x", snapshot=SnapshotRow(seq=3, body=b""))], id="snapshot ahead"
            ),
            pytest.param(
                [more("a", 1, b"x", sent=(message("m", shard="1"),))], id="message of another shard"
            ),
        ],
    )
    async def test_contradictions_are_refused_whole(
        self, journal: Journal, wrong: list[Append]
    ) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        with pytest.raises(JournalError):
            await owner.append(more("a", 1, b"y"), created("c"), *wrong)
        assert await bodies(journal, "a") == [b"started"]
        assert await journal.load(key("c")) is None

    async def test_one_batch_a_shard_and_one_shard_an_execution(self, journal: Journal) -> None:
        first, second = await Owner.of(journal, "0"), await Owner.of(journal, "1")
        with pytest.raises(JournalError, match="twice"):
            await journal.append([first.batch(created("a")), first.batch(created("b"))])
        with pytest.raises(JournalError, match="two shards"):
            await journal.append([first.batch(created("a")), second.batch(created("a", shard="1"))])
        await first.append(created("a"))
        assert (await second.append(created("a", shard="1"))).conflicts == {key("a")}
        assert (await second.append(more("a", 1, b"x"))).conflicts == {key("a")}


class TestDurable:
    """What `append` returned is there after the journal was closed and opened again."""

    async def test_everything_survives(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(
            created("a", b"1", b"2", tags={"k": "v"}, wake_at_ms=7, failure_message="äß\0"),
            more("a", 2, b"3", snapshot=SnapshotRow(seq=2, body=b"s"), sent=(message("m"),)),
        )
        before = await journal.load(key("a"))
        info = journal.info
        journal = await backend.reopen(journal)
        assert journal.info == info
        assert await journal.load(key("a")) == before
        assert await journal.outgoing("0") == [message("m")]
        assert [each.epoch for each in await journal.shards()] == [1, 0, 0, 0]
        assert (await Owner.of(journal)).next_position == 4
        await journal.close()

    async def test_sequences_go_on_after_reopening(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        owner.journal = journal = await backend.reopen(journal)
        assert (await owner.append(created("a", b"x"))).conflicts == {key("a")}
        assert not (await owner.append(more("a", 1, b"x"), created("b"))).conflicts
        assert await bodies(journal, "a") == [b"started", b"x"]
        await journal.close()

    async def test_what_was_accepted_is_finished_by_close(self, backend: Any) -> None:
        journal = backend.open()
        owner = await Owner.of(journal)
        accepted = asyncio.ensure_future(owner.append(created("a")))
        await asyncio.sleep(0)  # lets it be accepted, not be stored
        await journal.close()
        assert (await accepted).next_positions == {"0": 2}

    async def test_closed_journal_refuses(self, backend: Any) -> None:
        journal = backend.open()
        await journal.close()
        await journal.close()
        for call in (
            journal.append([]),
            journal.load(key("a")),
            journal.claim("0", owner="x", after_epoch=0),
            journal.list_executions(ExecutionQuery(namespace="default")),
        ):
            with pytest.raises(JournalError, match="closed"):
                await call


class TestOrdered:
    """The events of an execution are read in `seq` order, never with a gap."""

    async def test_pages_of_a_history(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", b"1", b"2"), created("b"), more("a", 2, b"3"))
        await owner.append(more("a", 3, b"4", b"5"), more("b", 1, b"x"))
        assert await journal.read(key("a"), after_seq=0, limit=2) == [(1, b"1"), (2, b"2")]
        assert await journal.read(key("a"), after_seq=2, limit=2) == [(3, b"3"), (4, b"4")]
        assert await journal.read(key("a"), after_seq=4, limit=2) == [(5, b"5")]
        assert await journal.read(key("a"), after_seq=5) == []
        assert await journal.read(key("nobody"), after_seq=0) == []

    async def test_load_begins_after_the_latest_snapshot(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", b"1", b"2", b"3"))
        await owner.append(more("a", 3, b"4", snapshot=SnapshotRow(seq=2, body=b"two")))
        stored = await journal.load(key("a"))
        assert stored is not None
        assert (stored.events, stored.last_seq) == ((b"3", b"4"), 4)
        await owner.append(more("a", 4, snapshot=SnapshotRow(seq=4, body=b"four")))
        stored = await journal.load(key("a"))
        assert stored is not None
        assert (stored.snapshot, stored.events) == (SnapshotRow(seq=4, body=b"four"), ())
        assert stored.last_seq == 4
        assert await journal.load(key("nobody")) is None


class TestDense:
    """Positions of a shard are 1, 2, 3, …; a follower misses none and sees none twice."""

    async def test_followers_keep_a_cursor(self, journal: Journal) -> None:
        owner, other = await Owner.of(journal), await Owner.of(journal, "2")
        await owner.append(created("a", b"1", b"2"), created("b", b"3"))
        await other.append(created("c", b"elsewhere", shard="2"))
        seen = list(await journal.follow("0", after_position=0, limit=2))
        await owner.append(more("a", 2, b"4"))
        seen += await journal.follow("0", after_position=seen[-1].position, limit=2)
        assert [(e.position, e.key, e.seq, e.body) for e in seen] == [
            (1, key("a"), 1, b"1"),
            (2, key("a"), 2, b"2"),
            (3, key("b"), 1, b"3"),
            (4, key("a"), 3, b"4"),
        ]
        assert await journal.follow("0", after_position=4) == []
        assert await journal.follow("never claimed", after_position=0) == []

    async def test_positions_close_up_over_conflicts(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        result = await owner.append(created("a"), more("x", 5, b"1", b"2"), created("b"))
        assert result == AppendResult(conflicts=frozenset({key("x")}), next_positions={"0": 3})
        followed = await journal.follow("0", after_position=0)
        assert [(event.position, event.key) for event in followed] == [(1, key("a")), (2, key("b"))]

    @pytest.mark.parametrize("first_position", [1, 3])
    async def test_miscounted_positions_are_refused(
        self, journal: Journal, first_position: int
    ) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        owner.next_position = first_position
        with pytest.raises(JournalError, match="position"):
            await owner.append(created("b"))
        owner.next_position = 2
        await owner.append(created("b"))

    async def test_new_owner_goes_on_where_the_old_one_ended(self, journal: Journal) -> None:
        await (await Owner.of(journal)).append(created("a", b"1", b"2", b"3"))
        assert (await Owner.of(journal)).next_position == 4


class TestFenced:
    """An owner that lost its shard, and does not know it yet, cannot change history."""

    async def test_older_epoch_is_refused(self, journal: Journal) -> None:
        old = await Owner.of(journal)
        await old.append(created("a"))
        new = await Owner.of(journal)
        result = await old.append(more("a", 1, b"late", sent=(message("m"),)))
        assert result == AppendResult(fenced=frozenset({"0"}))
        assert not (await new.append(more("a", 1, b"taken over"))).fenced
        assert await bodies(journal, "a") == [b"started", b"taken over"]
        assert await journal.outgoing("0") == []

    async def test_epoch_that_nobody_claimed_is_refused(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        owner.epoch += 1
        assert (await owner.append(created("a"))).fenced == {"0"}
        unclaimed = Owner(journal, "3", 0, 1)
        assert (await unclaimed.append(created("b", shard="3"))).fenced == {"3"}
        unknown = Owner(journal, "dedicated", 1, 1)
        assert (await unknown.append(created("c", shard="dedicated"))).fenced == {"dedicated"}

    async def test_other_shards_of_the_call_are_stored(self, journal: Journal) -> None:
        lost, kept = await Owner.of(journal, "0"), await Owner.of(journal, "1")
        await Owner.of(journal, "0")
        result = await journal.append(
            [lost.batch(created("a")), kept.batch(created("b", shard="1"))]
        )
        assert result == AppendResult(fenced=frozenset({"0"}), next_positions={"1": 2})

    async def test_what_the_new_owner_appended_is_seen_by_the_check(self, journal: Journal) -> None:
        first = await Owner.of(journal)
        await first.append(created("a"))
        second = await Owner.of(journal)
        await second.append(more("a", 1, b"2"))
        third = await Owner.of(journal)
        assert (await third.append(more("a", 1, b"x"))).conflicts == {key("a")}
        assert not (await third.append(more("a", 2, b"3"))).conflicts

    async def test_one_of_two_claimants_wins(self, journal: Journal) -> None:
        claims = await asyncio.gather(
            *(journal.claim("1", owner=f"host-{n}", after_epoch=0) for n in range(8))
        )
        (won,) = [claim for claim in claims if claim is not None]
        assert (won.shard, won.epoch, won.next_position) == ("1", 1, 1)
        winner = claims.index(won)
        assert (await journal.shards())[1].owner == f"host-{winner}"

    async def test_any_text_may_be_a_shard(self, journal: Journal) -> None:
        assert await journal.claim("exec/ä", owner="x", after_epoch=1) is None
        owner = await Owner.of(journal, "exec/ä")
        await owner.append(created("a", shard="exec/ä"))
        assert [each.shard for each in await journal.shards()] == ["0", "1", "2", "3", "exec/ä"]
        (event,) = await journal.follow("exec/ä", after_position=0)
        assert event.key == key("a")

    async def test_hosts_taking_a_shard_from_each_other(self, journal: Journal) -> None:
        """Each claims and counts up one history until it is fenced: no count is lost or doubled."""
        await (await Owner.of(journal)).append(created("counter", b"0"))

        async def host() -> None:
            for _ in range(5):
                owner = await claimed()
                for _ in range(4):
                    history = await bodies(journal, "counter")
                    count = str(len(history)).encode()
                    result = await owner.append(more("counter", len(history), count))
                    if result.fenced:
                        break

        async def claimed() -> Owner:
            while True:
                epoch = (await journal.shards())[0].epoch
                claim = await journal.claim("0", owner="host", after_epoch=epoch)
                if claim is not None:
                    return Owner(journal, "0", claim.epoch, claim.next_position)

        await asyncio.gather(*(host() for _ in range(3)))
        history = await bodies(journal, "counter")
        assert history == [str(n).encode() for n in range(len(history))]


class TestUnique:
    """Two appends with the same `after_seq` for one execution are not both stored."""

    async def test_second_of_two_equal_appends_conflicts(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        assert not (await owner.append(created("a"))).conflicts
        assert (await owner.append(created("a"))).conflicts == {key("a")}
        assert not (await owner.append(more("a", 1, b"x"))).conflicts
        assert (await owner.append(more("a", 1, b"x"))).conflicts == {key("a")}
        assert (await owner.append(more("a", 3, b"x"))).conflicts == {key("a")}
        assert (await owner.append(more("nobody", 1, b"x"))).conflicts == {key("nobody")}
        assert await bodies(journal, "a") == [b"started", b"x"]

    async def test_several_appends_of_one_execution_in_a_batch(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        result = await owner.append(
            created("a", b"1"),
            more("a", 1, b"2", b"3", row=row("a", tags={"now": "yes"}, definition="other")),
            more("a", 3, b"4", row=row("a", status="Completed", busy=0)),
        )
        assert result == AppendResult(next_positions={"0": 5})
        assert await bodies(journal, "a") == [b"1", b"2", b"3", b"4"]
        assert await journal.get_row(key("a")) == row("a", status="Completed", busy=0)

    async def test_the_same_id_in_two_namespaces(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        result = await owner.append(created(key("a", "one"), b"1"), created(key("a", "two"), b"2"))
        assert not result.conflicts
        assert await journal.read(key("a", "two"), after_seq=0) == [(1, b"2")]


class TestManyAtOnce:
    """Concurrent calls share commits, and each still gets its own result."""

    async def test_many_owners_append_and_read(self, journal: Journal) -> None:
        async def live(id: str) -> None:
            owner = await Owner.of(journal, id)
            await owner.append(created(id, shard=id))
            for seq in range(1, 6):
                assert not (await owner.append(more(id, seq, str(seq).encode()))).conflicts
                assert len(await bodies(journal, id)) == seq + 1, "what was appended can be read"

        await asyncio.gather(*(live(f"e-{n}") for n in range(60)))
        assert await journal.count_executions() == {"Running": 60}

    async def test_results_of_one_group_do_not_mix(self, journal: Journal) -> None:
        """Right, conflicting, fenced and impossible calls, all accepted in the same moment."""
        owners = [await Owner.of(journal, f"s-{n}") for n in range(20)]
        for owner in owners:
            await owner.append(created(owner.shard, shard=owner.shard))
        for owner in owners[1::4]:
            owner.epoch -= 1
        for owner in owners[2::4]:
            owner.next_position += 7
        results = await asyncio.gather(
            *(
                owner.append(more(owner.shard, 1 if index % 4 != 3 else 9, b"x"))
                for index, owner in enumerate(owners)
            ),
            return_exceptions=True,
        )
        for index, (owner, result) in enumerate(zip(owners, results, strict=True)):
            if index % 4 == 2:
                assert isinstance(result, JournalError)
                continue
            assert isinstance(result, AppendResult)
            assert result.fenced == ({owner.shard} if index % 4 == 1 else set())
            assert result.conflicts == ({key(owner.shard)} if index % 4 == 3 else set())
            assert len(await bodies(journal, owner.shard)) == (2 if index % 4 == 0 else 1)

    async def test_caller_that_gives_up_takes_nothing_along(self, journal: Journal) -> None:
        owner, other = await Owner.of(journal), await Owner.of(journal, "1")
        given_up = asyncio.ensure_future(owner.append(created("a")))
        await asyncio.sleep(0)
        given_up.cancel()
        await other.append(created("b", shard="1"))
        assert await bodies(journal, "a") in ([], [b"started"])
        assert await bodies(journal, "b") == [b"started"]


class TestMessages:
    """A message is read by `outgoing` until an append that `received` it is stored."""

    async def test_sent_then_received(self, journal: Journal) -> None:
        owner, receiver = await Owner.of(journal), await Owner.of(journal, "1")
        await owner.append(
            Append(
                key=key("a"),
                after_seq=0,
                events=(b"1",),
                row=row("a"),
                sent=(message("m1"), message("m2")),
            )
        )
        await receiver.append(created("b", shard="1"))
        assert await journal.outgoing("0") == [message("m1"), message("m2")]
        assert await journal.outgoing("1") == []
        await receiver.append(more("b", 1, b"got", received=("m1", "never sent")))
        assert await journal.outgoing("0") == [message("m2")]

    async def test_receipt_of_a_refused_append_does_not_count(self, journal: Journal) -> None:
        owner, old = await Owner.of(journal), await Owner.of(journal, "1")
        await owner.append(created("a"))
        await owner.append(more("a", 1, b"2", sent=(message("m"),)))
        await old.append(created("b", shard="1"))
        new = await Owner.of(journal, "1")
        assert (await old.append(more("b", 1, b"got", received=("m",)))).fenced
        assert (await new.append(more("b", 7, b"got", received=("m",)))).conflicts
        assert await journal.outgoing("0") == [message("m")]

    async def test_sent_again_it_is_one_message(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a"))
        for seq in (1, 2):
            await owner.append(more("a", seq, b"x", sent=(message("m", sent_at_ms=seq),)))
        assert await journal.outgoing("0") == [message("m", sent_at_ms=1)]

    async def test_pages(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        sent = [message(f"m{n}", sent_at_ms=n // 2) for n in range(6)]
        await owner.append(created("a"), more("a", 1, b"x", sent=tuple(reversed(sent))))
        assert await journal.outgoing("0", limit=2) == sent[:2]
        assert await journal.outgoing("0", after=sent[2], limit=2) == sent[3:5]
        assert await journal.outgoing("0", after=sent[5]) == []


class TestTimers:
    """`due` names every execution whose row wants to wake at or before the instant."""

    async def test_earliest_first(self, journal: Journal) -> None:
        owner, other = await Owner.of(journal), await Owner.of(journal, "1")
        await owner.append(
            created("c", wake_at_ms=30),
            created("b", wake_at_ms=10),
            created("a", wake_at_ms=10),
            created("never"),
        )
        await other.append(created("elsewhere", shard="1", wake_at_ms=5))
        due = await journal.due("0", until_ms=30, limit=9)
        assert due == [(10, key("a")), (10, key("b")), (30, key("c"))]
        assert await journal.due("0", until_ms=29, limit=1) == [(10, key("a"))]
        assert await journal.due("0", until_ms=9, limit=9) == []

    async def test_a_later_row_replaces_the_instant(self, journal: Journal) -> None:
        owner = await Owner.of(journal)
        await owner.append(created("a", wake_at_ms=10), created("b", wake_at_ms=20))
        await owner.append(
            more("a", 1, b"x", row=row("a", wake_at_ms=40)), more("b", 1, b"x", row=row("b"))
        )
        assert await journal.due("0", until_ms=99, limit=9) == [(40, key("a"))]
        await owner.append(more("a", 2, b"y"))  # no row: the instant stays
        assert await journal.due("0", until_ms=99, limit=9) == [(40, key("a"))]


class TestTakeOver:
    """A new owner loads what has attempts outstanding, in bulk."""

    async def test_busy_executions_in_key_order(self, journal: Journal) -> None:
        owner, other = await Owner.of(journal), await Owner.of(journal, "1")
        await owner.append(
            *(created(id, b"1", b"2") for id in ("d", "b", "a", "c")), created("idle", busy=0)
        )
        await other.append(created("elsewhere", shard="1"))
        await owner.append(
            more("b", 2, b"3", row=row("b", status="Completed", busy=0)),
            more("idle", 1, b"x", row=row("idle", busy=2)),
        )
        loaded = list(await journal.load_busy("0", after=None, limit=2))
        loaded += await journal.load_busy("0", after=loaded[-1].row.key, limit=9)
        assert [each.row.key.execution_id for each in loaded] == ["a", "c", "d", "idle"]
        for each in loaded:
            assert each == await journal.load(each.row.key)
        assert await journal.load_busy("unknown", after=None, limit=9) == []


class TestOwners:
    """Hosts enter, beat, drain and leave."""

    async def test_life_of_an_owner(self, journal: Journal) -> None:
        owner = OwnerRow(
            incarnation="i-1", name="host/1", pid=7, node="n", started_at_ms=1, beat_at_ms=1
        )
        await journal.register_owner(owner)
        await journal.beat("i-1", at_ms=5, draining=True)
        await journal.beat("gone", at_ms=5)
        (seen,) = await journal.owners()
        assert (seen.beat_at_ms, seen.draining, seen.pid) == (5, True, 7)
        await journal.register_owner(owner)
        assert await journal.owners() == [owner]
        await journal.remove_owner("i-1")
        await journal.remove_owner("i-1")
        await journal.beat("i-1", at_ms=6)
        assert await journal.owners() == []

    async def test_shards_are_there_from_the_beginning(self, journal: Journal) -> None:
        assert journal.info.shard_count == 4
        shards = await journal.shards()
        assert [(s.shard, s.epoch, s.owner) for s in shards] == [
            (str(n), 0, None) for n in range(4)
        ]
