"""A journal in dictionaries: every guarantee but durability, for tests and simulations.

Several hosts of one process may share it and take shards from each other. Methods never suspend,
so each is atomic among the tasks of an event loop; it is not meant for several threads.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from ..errors import JournalError
from ..identity import ExecutionKey
from ..ids import new_id
from .admission import (
    check_batches,
    check_bus_position,
    check_position,
    conflicts_in,
    is_dedicated,
)
from .memory_blobs import MemoryBlobNames
from .memory_bus import MemoryBus, Subscriptions
from .memory_definitions import MemoryDefinitions
from .memory_executions import MemoryExecutions
from .memory_tasks import MemoryTasks
from .paging import check_limit
from .protocol import (
    AppendResult,
    BusEvent,
    Claim,
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    Deletion,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    FollowedEvent,
    JournalInfo,
    Message,
    OwnerRow,
    ShardBatch,
    ShardRow,
    StoredExecution,
    TaskPage,
    TaskQuery,
    TaskRow,
)


@dataclass(slots=True)
class _Shard:
    epoch: int = 0
    owner: str | None = None
    events: list[FollowedEvent] = field(default_factory=list)
    next_position: int = 1
    outgoing: dict[str, tuple[ExecutionKey, Message]] = field(default_factory=dict)  # with senders
    bus_cursor: int = 0


class MemoryJournal:
    """Keeps the contract of `Journal` for as long as the object lives."""

    def __init__(self, *, deployment_id: str | None = None, shard_count: int = 16) -> None:
        self._info = JournalInfo(
            deployment_id=deployment_id or new_id(),
            format_version=1,
            shard_count=shard_count,
            single_node=True,
        )
        self._shards: defaultdict[str, _Shard] = defaultdict(_Shard)
        for index in range(shard_count):
            self._shards[str(index)] = _Shard()
        self._executions = MemoryExecutions()
        self._message_shards: dict[str, _Shard] = {}
        self._bus = MemoryBus()
        self._subscriptions = Subscriptions()
        self._tasks = MemoryTasks()
        self._blobs = MemoryBlobNames()
        self._owners: dict[str, OwnerRow] = {}
        self._definitions = MemoryDefinitions()
        self._closed = False

    @property
    def info(self) -> JournalInfo:
        """What was fixed when it was made."""
        return self._info

    # append

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
        """All batches at once: nothing else runs between the first check and the last write."""
        self._check_open()
        check_batches(batches)
        fenced: set[str] = set()
        conflicts: set[ExecutionKey] = set()
        accepted: list[tuple[ShardBatch, frozenset[ExecutionKey]]] = []
        for batch in batches:
            shard = self._shards.get(batch.shard)
            if shard is None or shard.epoch == 0 or shard.epoch != batch.epoch:
                fenced.add(batch.shard)
                continue
            check_position(batch, shard.next_position)
            refused = conflicts_in(batch.appends, partial(self._last_seq, batch.shard))
            conflicts |= refused
            accepted.append((batch, refused))
        for batch, refused in accepted:
            self._store(batch, refused)
        return AppendResult(
            fenced=frozenset(fenced),
            conflicts=frozenset(conflicts),
            next_positions={
                batch.shard: self._shards[batch.shard].next_position for batch, _ in accepted
            },
        )

    def _last_seq(self, shard: str, key: ExecutionKey) -> int:
        execution = self._executions.get(key)
        if execution is None:
            return 0
        # One of another shard conflicts always: its owner alone may append to it.
        return len(execution.events) if execution.row.shard == shard else -1

    def _store(self, batch: ShardBatch, refused: frozenset[ExecutionKey]) -> None:
        shard = self._shards[batch.shard]
        for append in batch.appends:
            key = append.key
            if key in refused:
                continue
            execution = self._executions.get(key)
            if execution is None:
                assert append.row is not None  # check_batches
                execution = self._executions.add(append.row)
                self._subscriptions.change(None, append.row)
            elif append.row is not None:
                self._subscriptions.change(execution.row, append.row)
                self._executions.change(execution, append.row)
            for body in append.events:
                execution.events.append(body)
                shard.events.append(
                    FollowedEvent(
                        position=shard.next_position,
                        key=key,
                        seq=len(execution.events),
                        body=body,
                    )
                )
                shard.next_position += 1
            if append.snapshot is not None:
                execution.snapshot = append.snapshot
            for message in append.sent:
                if message.id not in self._message_shards:
                    shard.outgoing[message.id] = (key, message)
                    self._message_shards[message.id] = shard
            for id in append.received:
                sender = self._message_shards.pop(id, None)
                if sender is not None:
                    del sender.outgoing[id]
            for task in append.tasks:
                self._tasks.put(task)
            self._bus.publish(append.published)
            self._blobs.add(key, append.blobs)

    # ownership

    async def register_owner(self, owner: OwnerRow) -> None:
        """Enter or replace the row of an incarnation."""
        self._check_open()
        self._owners[owner.incarnation] = owner

    async def beat(self, incarnation: str, *, at_ms: int, draining: bool = False) -> None:
        """Nothing happens if the row is gone."""
        self._check_open()
        owner = self._owners.get(incarnation)
        if owner is not None:
            self._owners[incarnation] = replace(owner, beat_at_ms=at_ms, draining=draining)

    async def remove_owner(self, incarnation: str) -> None:
        """Twice is harmless; its shards stay as they are."""
        self._check_open()
        self._owners.pop(incarnation, None)

    async def owners(self) -> Sequence[OwnerRow]:
        """All that are registered, in the order of their incarnations."""
        self._check_open()
        return sorted(self._owners.values(), key=lambda owner: owner.incarnation)

    async def claim(self, shard: str, *, owner: str, after_epoch: int) -> Claim | None:
        """Of several with the same `after_epoch` one gets the shard, the others None."""
        self._check_open()
        state = self._shards.get(shard, _Shard())
        if state.epoch != after_epoch:
            return None
        self._shards[shard] = state
        state.epoch += 1
        state.owner = owner
        return Claim(shard=shard, epoch=state.epoch, next_position=state.next_position)

    async def shards(self) -> Sequence[ShardRow]:
        """All there are, with the epoch of their last claim; 0 for none."""
        self._check_open()
        return [
            ShardRow(shard=name, epoch=shard.epoch, owner=shard.owner)
            for name, shard in self._shards.items()
        ]

    # executions

    async def load(self, key: ExecutionKey) -> StoredExecution | None:
        """As of the last append; None if there is none."""
        self._check_open()
        execution = self._executions.get(key)
        return None if execution is None else execution.stored()

    async def load_busy(
        self, shard: str, *, after: ExecutionKey | None, limit: int
    ) -> Sequence[StoredExecution]:
        """In the order of keys, so that the last one begins the next page."""
        self._check_open()
        return self._executions.busy(shard, after, limit)

    async def due(
        self, shard: str, *, until_ms: int, limit: int
    ) -> Sequence[tuple[int, ExecutionKey]]:
        """The earliest first; the same again until their executions are written."""
        self._check_open()
        return self._executions.due(shard, until_ms, limit)

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]:
        """In the order of `seq`, never with a gap."""
        self._check_open()
        execution = self._executions.get(key)
        events = [] if execution is None else execution.events[after_seq : after_seq + limit]
        return list(enumerate(events, start=after_seq + 1))

    async def follow(
        self, shard: str, *, after_position: int, limit: int = 1_000
    ) -> Sequence[FollowedEvent]:
        """In the order of positions; purged events are left out."""
        self._check_open()
        state = self._shards.get(shard)
        if state is None:
            return []
        begin = bisect_right(state.events, after_position, key=lambda event: event.position)
        return state.events[begin : begin + limit]

    async def outgoing(
        self, shard: str, *, after: Message | None = None, limit: int = 1_000
    ) -> Sequence[Message]:
        """What receivers have not journaled yet, in the order `(sent_at_ms, id)`."""
        self._check_open()
        state = self._shards.get(shard)
        sent = () if state is None else state.outgoing.values()
        return heapq.nsmallest(
            limit,
            (each for _, each in sent if after is None or _sent(each) > _sent(after)),
            key=_sent,
        )

    # events

    async def publish(self, events: Sequence[BusEvent]) -> None:
        """An id that is on the bus already is not published again."""
        self._check_open()
        self._bus.publish(events)

    async def bus(
        self, *, after_position: int, limit: int = 1_000
    ) -> Sequence[tuple[int, BusEvent]]:
        """In the order of positions."""
        self._check_open()
        return self._bus.after(after_position, limit)

    async def bus_end(self) -> int:
        """Never goes back, also when all events are purged."""
        self._check_open()
        return self._bus.end

    async def bus_cursor(self, shard: str) -> int:
        """0 for a shard that is not there."""
        self._check_open()
        state = self._shards.get(shard)
        return 0 if state is None else state.bus_cursor

    async def advance_bus(self, shard: str, *, epoch: int, position: int) -> bool:
        """Never goes back; False, and nothing is stored, where the epoch is another one."""
        self._check_open()
        check_bus_position(shard, position, self._bus.end)
        state = self._shards.get(shard)
        if state is None or not state.epoch == epoch > 0:
            return False
        state.bus_cursor = max(state.bus_cursor, position)
        return True

    async def awaiting(
        self,
        shard: str,
        *,
        namespace: str,
        name: str,
        after: ExecutionKey | None = None,
        limit: int = 1_000,
    ) -> Sequence[ExecutionKey]:
        """In the order of ids; executions that have ended are not among them."""
        self._check_open()
        return self._subscriptions.awaiting(shard, namespace, name, after, limit)

    async def purge_bus(self, *, before_ms: int) -> int:
        """All at once; how many."""
        self._check_open()
        return self._bus.purge(before_ms)

    # human tasks

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None:
        """The task as the last append left it."""
        self._check_open()
        return self._tasks.get(key, task_id)

    async def list_tasks(self, query: TaskQuery) -> TaskPage:
        """The newest first; pages neither repeat nor skip."""
        self._check_open()
        return self._tasks.list(query)

    # definitions

    async def put_definition(self, definition: DefinitionRow) -> DefinitionRow:
        """What is stored under its name: this one, or the one that came first."""
        self._check_open()
        stored = self._definitions.put(definition)
        self._blobs.add_code(stored)
        return stored

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        """Without a version the one that was registered last."""
        self._check_open()
        return self._definitions.get(namespace, id, version)

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        """The one registered last first."""
        self._check_open()
        check_limit(limit, offset)
        return list(self._definitions.newest_first(namespace, id))[offset : offset + limit]

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """The one registered last first."""
        self._check_open()
        return self._definitions.page(query)

    async def delete_definition(
        self, namespace: str, id: str, version: str | None, *, at_ms: int
    ) -> Deletion:
        """At once; a version that is deleted stays for the histories that need it."""
        self._check_open()
        unfinished = self._executions.unfinished(namespace, id, version)
        return self._definitions.delete(namespace, id, version, unfinished, at_ms=at_ms)

    # visibility

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None:
        """The row as the last append left it."""
        self._check_open()
        execution = self._executions.get(key)
        return None if execution is None else execution.row

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """The newest first; pages neither repeat nor skip."""
        self._check_open()
        return self._executions.page(query)

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        """By status; one without executions is left out."""
        self._check_open()
        return self._executions.count(namespace)

    # retention

    async def purge_executions(self, *, ended_before_ms: int, limit: int = 100) -> int:
        """So many at most; 0 when none is left that may go."""
        self._check_open()
        untaken = {key for shard in self._shards.values() for key, _ in shard.outgoing.values()}
        gone = self._executions.purge(ended_before_ms, limit, untaken)
        self._tasks.drop(gone.keys())
        self._blobs.drop(gone.keys())
        for name in set(gone.values()):
            shard = self._shards[name]
            shard.events = [event for event in shard.events if event.key not in gone]
            if is_dedicated(name) and not (shard.events or shard.outgoing):
                del self._shards[name]
        return len(gone)

    async def named_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that a stored history or definition holds."""
        self._check_open()
        return self._blobs.named(names)

    async def close(self) -> None:
        """Everything is gone with the object; closing twice is harmless."""
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")


def _sent(message: Message) -> tuple[int, str]:
    return (message.sent_at_ms, message.id)
