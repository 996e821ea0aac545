"""Any sequence of claims, appends right and wrong, and reopenings: the journal follows a model."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.protocol import (
    Append,
    AppendResult,
    BusEvent,
    ExecutionQuery,
    ExecutionRow,
    Journal,
    Message,
    ShardBatch,
    TaskQuery,
    TaskRow,
)
from heliostat.engine.journal.sqlite import open_sqlite
from heliostat.engine.status import TERMINAL
from tests.conformance.conftest import PostgresBackend

SHARDS = ("0", "1", "own")
HOMES = {"a": "0", "b": "0", "c": "1", "d": "own"}  # executions and the shards they hash to
STATUSES = ("Running", "Waiting", "Completed")
TYPES = ("paid", "shipped")  # of events
BLOBS = ("default/" + "a" * 64, "default/" + "b" * 64)
TASK_STATUSES = ("Open", "Claimed", "Completed")
PEOPLE = ("ann", "bob")

event_ids = st.sampled_from(["e1", "e2", "e3", "fresh"])  # most are repeated sooner or later

wishes = st.lists(
    # what a turn appends: execution, is `after_seq` off, events, status, are messages sent and
    # received, types awaited, events published, tasks
    st.tuples(
        st.sampled_from(sorted(HOMES)),
        st.sampled_from([0, 0, 0, 0, 1, -1]),
        st.integers(0, 3),
        st.sampled_from([*STATUSES, None]),
        st.booleans(),
        st.booleans(),
        st.sampled_from([(), (), TYPES[:1], TYPES]),
        st.lists(event_ids, max_size=2),
        st.lists(
            st.tuples(
                st.sampled_from(["t1", "t2"]),
                st.sampled_from(TASK_STATUSES),
                st.sampled_from([(), PEOPLE[:1], PEOPLE]),
            ),
            max_size=2,
        ),
    ),
    max_size=4,
)


class Model:
    """What a journal is, but for being a journal."""

    def __init__(self) -> None:
        self.epochs = dict.fromkeys(SHARDS, 0)
        # at its position; None where it was purged
        self.events: dict[str, list[tuple[str, bytes] | None]] = {shard: [] for shard in SHARDS}
        self.rows: dict[str, ExecutionRow] = {}
        self.messages: dict[str, Message] = {}
        self.senders: dict[str, str] = {}  # of messages
        self.blobs: dict[str, set[str]] = {id: set() for id in HOMES}
        self.bus: list[BusEvent | None] = []  # at its position; None where it was purged
        self.cursors = dict.fromkeys(SHARDS, 0)
        self.tasks: dict[tuple[ExecutionKey, str], TaskRow] = {}  # in the order of their creation

    def publish(self, event: BusEvent) -> None:
        if event.id not in {each.id for each in self.bus if each is not None}:
            self.bus.append(event)

    def history(self, id: str) -> list[bytes]:
        return [each[1] for each in self.events[HOMES[id]] if each is not None and each[0] == id]

    def purge(self, before_ms: int, limit: int) -> int:
        untaken = {self.senders[message] for message in self.messages}
        ended = sorted(
            (row.ended_at_ms, id)
            for id, row in self.rows.items()
            if row.ended_at_ms is not None and row.ended_at_ms < before_ms and id not in untaken
        )
        for _, id in ended[:limit]:
            events = self.events[HOMES[id]]
            self.events[HOMES[id]] = [None if e is None or e[0] == id else e for e in events]
            del self.rows[id]
            self.blobs[id].clear()
            self.tasks = {k: v for k, v in self.tasks.items() if k[0].execution_id != id}
        return len(ended[:limit])

    def append(self, batch: ShardBatch) -> tuple[bool, set[ExecutionKey]]:
        """Whether it is fenced, and the conflicts."""
        if not batch.epoch == self.epochs[batch.shard] > 0:
            return True, set()
        seqs = {a.key: len(self.history(a.key.execution_id)) for a in batch.appends}
        conflicts = set()
        for append in batch.appends:
            if append.after_seq != seqs[append.key]:
                conflicts.add(append.key)
            seqs[append.key] += len(append.events)
        for append in (a for a in batch.appends if a.key not in conflicts):
            id = append.key.execution_id
            self.events[batch.shard] += [(id, body) for body in append.events]
            self.rows[id] = append.row or self.rows[id]
            self.messages |= {message.id: message for message in append.sent}
            self.senders |= {message.id: id for message in append.sent}
            self.blobs[id] |= set(append.blobs)
            self.messages = {k: v for k, v in self.messages.items() if k not in append.received}
            for event in append.published:
                self.publish(event)
            self.tasks |= {(task.key, task.task_id): task for task in append.tasks}
        return False, conflicts


class JournalMachine(RuleBasedStateMachine):
    """Two claimants hold epochs of all shards, and do not hear when they lose them.

    Where several hosts may share a journal, each of the two has opened it for itself.
    """

    durable: ClassVar[bool]
    shared: ClassVar[PostgresBackend | None] = None

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = Path(tempfile.mkdtemp())
        self.model = Model()
        self.held = [dict.fromkeys(SHARDS, 0), dict.fromkeys(SHARDS, 0)]
        self.fresh = 0
        if self.shared is not None:
            self.runner.run(self.shared.empty())
        self.open()

    def open(self) -> None:
        if self.shared is not None:
            self.journals = [self.shared.open(), self.shared.open()]
        elif self.durable:
            self.journals = [open_sqlite(self.folder / "journal.db", shard_count=2)] * 2
        else:
            self.journals = [MemoryJournal(shard_count=2)] * 2

    @property
    def journal(self) -> Journal:
        """Either of them."""
        return self.journals[self.fresh % 2]

    def close(self) -> None:
        for journal in self.journals:
            self.runner.run(journal.close())

    def teardown(self) -> None:
        self.close()
        self.runner.close()
        shutil.rmtree(self.folder)

    @rule(
        host=st.sampled_from([0, 1]), shard=st.sampled_from(SHARDS), off=st.sampled_from([0, 0, 1])
    )
    def claim(self, host: int, shard: str, off: int) -> None:
        epoch = self.model.epochs[shard] + off
        claim = self.runner.run(
            self.journals[host].claim(shard, owner=f"host-{host}", after_epoch=epoch)
        )
        assert (claim is None) == (off != 0)
        if claim is not None:
            self.model.epochs[shard] += 1
            self.held[host][shard] = claim.epoch
            assert claim.epoch == self.model.epochs[shard]
            assert claim.next_position == len(self.model.events[shard]) + 1

    @rule(host=st.sampled_from([0, 1]), wishes=wishes)
    def append(self, host: int, wishes: list[Any]) -> None:
        self.expect(self.journals[host], [self.batches(host, wishes)])

    @rule(wishes=st.tuples(wishes, wishes, wishes))
    def append_at_once(self, wishes: tuple[list[Any], ...]) -> None:
        """Three calls to three shards each, accepted in one moment, in this order."""
        calls = []
        for shard, wish in zip(SHARDS, wishes, strict=True):
            mine = [each for each in wish if HOMES[each[0]] == shard]
            calls.append(self.batches(0, mine))
        self.expect(self.journals[0], calls)

    def expect(self, journal: Journal, calls: list[list[ShardBatch]]) -> None:
        async def all_calls() -> list[AppendResult]:
            return await asyncio.gather(*(journal.append(call) for call in calls))

        for call, result in zip(calls, self.runner.run(all_calls()), strict=True):
            fenced, conflicts = set(), set()
            for batch in call:
                is_fenced, conflicting = self.model.append(batch)
                conflicts |= conflicting
                if is_fenced:
                    fenced.add(batch.shard)
            stored = {batch.shard for batch in call} - fenced
            assert result == AppendResult(
                fenced=frozenset(fenced),
                conflicts=frozenset(conflicts),
                next_positions={s: len(self.model.events[s]) + 1 for s in stored},
            )

    def batches(self, host: int, wishes: list[Any]) -> list[ShardBatch]:
        appends: dict[str, list[Append]] = {}
        seqs = {id: len(self.model.history(id)) for id in HOMES}
        for id, off, count, status, *rest in wishes:
            after_seq = max(seqs[id] + off, 0)
            if after_seq == 0:  # creates
                count, status = max(count, 1), status or "Running"
            appends.setdefault(HOMES[id], []).append(
                self.one_append(id, after_seq, count, status, *rest)
            )
            seqs[id] += count
        return [
            ShardBatch(
                shard=shard,
                epoch=self.held[host][shard],
                first_position=len(self.model.events[shard]) + 1,
                appends=tuple(of_shard),
            )
            for shard, of_shard in appends.items()
        ]

    def one_append(
        self,
        id: str,
        after_seq: int,
        count: int,
        status: Any,
        sends: bool,
        receives: bool,
        awaits: tuple[str, ...],
        published: list[str],
        tasks: list[Any],
    ) -> Append:
        key = ExecutionKey("default", id)
        self.fresh += 1
        row = None
        if status is not None:
            row = ExecutionRow(
                key=key,
                shard=HOMES[id],
                definition="d",
                version=str(self.fresh),
                status=status,
                busy=count,
                ended_at_ms=self.fresh if status == "Completed" else None,
                wake_at_ms=self.fresh if status == "Waiting" else None,
                created_at_ms=ord(id),
                tags={"status": status},
                awaits=awaits,
            )
        sent: tuple[Message, ...] = ()
        if sends:
            sent = (
                Message(
                    id=f"m-{self.fresh}",
                    sender_shard=HOMES[id],
                    receiver=ExecutionKey("default", "a"),
                    sent_at_ms=self.fresh,
                    body=b"",
                ),
            )
        return Append(
            key=key,
            after_seq=after_seq,
            events=tuple(f"{id}{self.fresh}.{n}".encode() for n in range(count)),
            row=row,
            sent=sent,
            received=tuple(list(self.model.messages)[:1]) if receives else (),
            published=tuple(map(self.one_event, published)),
            blobs=BLOBS[: self.fresh % 3],
            tasks=tuple(
                TaskRow(
                    key=key,
                    task_id=task_id,
                    definition="d",
                    step=str(self.fresh),
                    status=task_status,
                    candidates=people,
                    created_at_ms=ord(id),
                )
                for task_id, task_status, people in tasks
            ),
        )

    def one_event(self, id: str) -> BusEvent:
        self.fresh += 1
        return BusEvent(
            id=f"e-{self.fresh}" if id == "fresh" else id,
            namespace="default",
            name=TYPES[self.fresh % 2],
            published_at_ms=self.fresh,
            body=b"",
        )

    @rule(ids=st.lists(event_ids, max_size=3))
    def publish(self, ids: list[str]) -> None:
        events = list(map(self.one_event, ids))
        self.runner.run(self.journal.publish(events))
        for event in events:
            self.model.publish(event)

    @rule(ago=st.integers(0, 10), limit=st.integers(1, 3))
    def purge_executions(self, ago: int, limit: int) -> None:
        before_ms = self.fresh - ago
        purge = self.journal.purge_executions(ended_before_ms=before_ms, limit=limit)
        assert self.runner.run(purge) == self.model.purge(before_ms, limit)

    @rule(ago=st.integers(0, 20))
    def purge(self, ago: int) -> None:
        before_ms = self.fresh - ago
        bus = self.model.bus
        gone = [n for n, e in enumerate(bus) if e is not None and e.published_at_ms < before_ms]
        for n in gone:
            bus[n] = None
        assert self.runner.run(self.journal.purge_bus(before_ms=before_ms)) == len(gone)

    @rule(host=st.sampled_from([0, 1]), shard=st.sampled_from(SHARDS), back=st.integers(0, 3))
    def advance(self, host: int, shard: str, back: int) -> None:
        position = max(len(self.model.bus) - back, 0)
        epoch = self.held[host][shard]
        mine = epoch == self.model.epochs[shard] > 0
        moved = self.runner.run(
            self.journals[host].advance_bus(shard, epoch=epoch, position=position)
        )
        assert moved == mine
        if mine:
            self.model.cursors[shard] = max(self.model.cursors[shard], position)

    @rule()
    def reopen(self) -> None:
        if self.durable:
            self.close()
            self.open()

    @invariant()
    def same_histories(self) -> None:
        self.runner.run(self.compare())

    async def compare(self) -> None:
        journal, model = self.journal, self.model
        for id in HOMES:
            stored = await journal.load(ExecutionKey("default", id))
            assert (stored.row if stored else None) == model.rows.get(id)
            assert list(stored.events if stored else ()) == model.history(id)
        for shard in SHARDS:
            followed = await journal.follow(shard, after_position=0)
            assert [(e.position, (e.key.execution_id, e.body)) for e in followed] == [
                (n, e) for n, e in enumerate(model.events[shard], start=1) if e is not None
            ]
            outgoing = await journal.outgoing(shard)
            assert outgoing == [m for m in model.messages.values() if m.sender_shard == shard]
            rows = [r for r in model.rows.values() if r.shard == shard]
            busy = await journal.load_busy(shard, after=None, limit=9)
            assert {each.row.key for each in busy} == {r.key for r in rows if r.busy}
            due = await journal.due(shard, until_ms=self.fresh, limit=9)
            assert due == sorted((r.wake_at_ms, r.key) for r in rows if r.wake_at_ms is not None)
            assert await journal.bus_cursor(shard) == model.cursors[shard]
            for name in TYPES:
                awaiting = await journal.awaiting(shard, namespace="default", name=name)
                hearing = [r for r in rows if name in r.awaits and r.status not in TERMINAL]
                assert list(awaiting) == sorted(r.key for r in hearing)
        bus = await journal.bus(after_position=0)
        assert list(bus) == [(n, e) for n, e in enumerate(model.bus, start=1) if e is not None]
        assert await journal.bus_end() == len(model.bus)
        named = {name for names in model.blobs.values() for name in names}
        assert await journal.named_blobs(BLOBS) == named
        await self.compare_tasks()
        for status in STATUSES:
            query = ExecutionQuery(namespace="default", tags={"status": status})
            listed = (await journal.list_executions(query)).rows
            tagged = [r for r in model.rows.values() if r.tags == {"status": status}]
            assert list(listed) == sorted(tagged, key=lambda r: -r.created_at_ms)
        counts = {s: sum(r.status == s for r in model.rows.values()) for s in STATUSES}
        assert await journal.count_executions() == {s: n for s, n in counts.items() if n}

    async def compare_tasks(self) -> None:
        newest_first = list(reversed(self.model.tasks.values()))  # also of one instant
        tasks = sorted(newest_first, key=lambda t: -t.created_at_ms)
        for task in tasks:
            assert await self.journal.get_task(task.key, task.task_id) == task
        for person in (None, *PEOPLE):
            for status in ((), TASK_STATUSES[:1], TASK_STATUSES[1:]):
                query = TaskQuery(namespace="default", person=person, status=status)  # type: ignore[arg-type]
                listed = (await self.journal.list_tasks(query)).rows
                assert list(listed) == [
                    t
                    for t in tasks
                    if (person is None or person in t.candidates)
                    and (not status or t.status in status)
                ]


@pytest.mark.parametrize(
    "backend", ["memory", "sqlite", "sqlite that forgets", "postgres", "postgres that forgets"]
)
def test_journal_follows_the_model(
    backend: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    name, _, forgets = backend.partition(" ")
    if forgets:  # what it appended itself, too, has to be looked up
        monkeypatch.setattr("heliostat.engine.journal.sql.append.KNOWN_MAX", 1)
    shared = None
    if name == "postgres":
        shared = PostgresBackend(request.getfixturevalue("conformance_url"))
    machine = type("Machine", (JournalMachine,), {"durable": name != "memory", "shared": shared})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples={"memory": 60, "sqlite": 30, "postgres": 8}[name],
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
