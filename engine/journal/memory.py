"""A journal in dictionaries: every guarantee but durability, for tests and simulations.

Several hosts of one process may share it and take shards from each other. Methods never suspend,
so each is atomic among the tasks of an event loop; it is not meant for several threads.
"""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from msgspec.structs import replace

from ..errors import JournalError
from ..identity import ExecutionKey
from ..ids import new_id
from .admission import check_batches, check_bus_position, check_position, conflicts_in
from .memory_bus import MemoryBus, Subscriptions
from .memory_tasks import MemoryTasks
from .paging import Cursor, check_limit, check_query
from .protocol import (
    AppendResult,
    BusEvent,
    Claim,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    FollowedEvent,
    JournalInfo,
    Message,
    OwnerRow,
    ShardBatch,
    ShardRow,
    SnapshotRow,
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
    outgoing: dict[str, Message] = field(default_factory=dict)
    bus_cursor: int = 0


@dataclass(slots=True)
class _Execution:
    number: int
    row: ExecutionRow
    events: list[bytes] = field(default_factory=list)
    snapshot: SnapshotRow | None = None

    def stored(self) -> StoredExecution:
        after = 0 if self.snapshot is None else self.snapshot.seq
        return StoredExecution(
            row=self.row,
            snapshot=self.snapshot,
            events=tuple(self.events[after:]),
            last_seq=len(self.events),
        )


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
        self._executions: dict[ExecutionKey, _Execution] = {}
        self._newest_last: list[tuple[Cursor, _Execution]] = []
        self._message_shards: dict[str, _Shard] = {}
        self._bus = MemoryBus()
        self._subscriptions = Subscriptions()
        self._tasks = MemoryTasks()
        self._owners: dict[str, OwnerRow] = {}
        self._definitions: dict[tuple[str, str, str], DefinitionRow] = {}
        self._closed = False

    @property
    def info(self) -> JournalInfo:
        return self._info

    # append

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
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
            check_position(batch, len(shard.events) + 1)
            refused = conflicts_in(batch.appends, partial(self._last_seq, batch.shard))
            conflicts |= refused
            accepted.append((batch, refused))
        for batch, refused in accepted:
            self._store(batch, refused)
        return AppendResult(
            fenced=frozenset(fenced),
            conflicts=frozenset(conflicts),
            next_positions={
                batch.shard: len(self._shards[batch.shard].events) + 1 for batch, _ in accepted
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
                execution = _Execution(number=len(self._executions) + 1, row=append.row)
                self._executions[key] = execution
                cursor = Cursor(append.row.created_at_ms, execution.number)
                insort(self._newest_last, (cursor, execution), key=lambda entry: entry[0])
                self._subscriptions.change(None, append.row)
            elif append.row is not None:
                self._subscriptions.change(execution.row, append.row)
                execution.row = replace(
                    append.row, created_at_ms=execution.row.created_at_ms
                )  # fixed when it was created
            for body in append.events:
                execution.events.append(body)
                shard.events.append(
                    FollowedEvent(
                        position=len(shard.events) + 1,
                        key=key,
                        seq=len(execution.events),
                        body=body,
                    )
                )
            if append.snapshot is not None:
                execution.snapshot = append.snapshot
            for message in append.sent:
                if message.id not in self._message_shards:
                    shard.outgoing[message.id] = message
                    self._message_shards[message.id] = shard
            for id in append.received:
                sender = self._message_shards.pop(id, None)
                if sender is not None:
                    del sender.outgoing[id]
            for task in append.tasks:
                self._tasks.put(task)
            self._bus.publish(append.published)

    # ownership

    async def register_owner(self, owner: OwnerRow) -> None:
        self._check_open()
        self._owners[owner.incarnation] = owner

    async def beat(self, incarnation: str, *, at_ms: int, draining: bool = False) -> None:
        self._check_open()
        owner = self._owners.get(incarnation)
        if owner is not None:
            self._owners[incarnation] = replace(owner, beat_at_ms=at_ms, draining=draining)

    async def remove_owner(self, incarnation: str) -> None:
        self._check_open()
        self._owners.pop(incarnation, None)

    async def owners(self) -> Sequence[OwnerRow]:
        self._check_open()
        return sorted(self._owners.values(), key=lambda owner: owner.incarnation)

    async def claim(self, shard: str, *, owner: str, after_epoch: int) -> Claim | None:
        self._check_open()
        state = self._shards.get(shard, _Shard())
        if state.epoch != after_epoch:
            return None
        self._shards[shard] = state
        state.epoch += 1
        state.owner = owner
        return Claim(shard=shard, epoch=state.epoch, next_position=len(state.events) + 1)

    async def shards(self) -> Sequence[ShardRow]:
        self._check_open()
        return [
            ShardRow(shard=name, epoch=shard.epoch, owner=shard.owner)
            for name, shard in self._shards.items()
        ]

    # executions

    async def load(self, key: ExecutionKey) -> StoredExecution | None:
        self._check_open()
        execution = self._executions.get(key)
        return None if execution is None else execution.stored()

    async def load_busy(
        self, shard: str, *, after: ExecutionKey | None, limit: int
    ) -> Sequence[StoredExecution]:
        self._check_open()
        keys = (
            key
            for key, execution in self._executions.items()
            if execution.row.busy > 0
            and execution.row.shard == shard
            and (after is None or key > after)
        )
        return [self._executions[key].stored() for key in heapq.nsmallest(limit, keys)]

    async def due(
        self, shard: str, *, until_ms: int, limit: int
    ) -> Sequence[tuple[int, ExecutionKey]]:
        self._check_open()
        waking = (
            (execution.row.wake_at_ms, key)
            for key, execution in self._executions.items()
            if execution.row.shard == shard
            and execution.row.wake_at_ms is not None
            and execution.row.wake_at_ms <= until_ms
        )
        return heapq.nsmallest(limit, waking)

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]:
        self._check_open()
        execution = self._executions.get(key)
        events = [] if execution is None else execution.events[after_seq : after_seq + limit]
        return list(enumerate(events, start=after_seq + 1))

    async def follow(
        self, shard: str, *, after_position: int, limit: int = 1_000
    ) -> Sequence[FollowedEvent]:
        self._check_open()
        state = self._shards.get(shard)
        return [] if state is None else state.events[after_position : after_position + limit]

    async def outgoing(
        self, shard: str, *, after: Message | None = None, limit: int = 1_000
    ) -> Sequence[Message]:
        self._check_open()
        state = self._shards.get(shard)
        messages: Iterable[Message] = () if state is None else state.outgoing.values()
        return heapq.nsmallest(
            limit,
            (each for each in messages if after is None or _sent(each) > _sent(after)),
            key=_sent,
        )

    # events

    async def publish(self, events: Sequence[BusEvent]) -> None:
        self._check_open()
        self._bus.publish(events)

    async def bus(
        self, *, after_position: int, limit: int = 1_000
    ) -> Sequence[tuple[int, BusEvent]]:
        self._check_open()
        return self._bus.after(after_position, limit)

    async def bus_end(self) -> int:
        self._check_open()
        return self._bus.end

    async def bus_cursor(self, shard: str) -> int:
        self._check_open()
        state = self._shards.get(shard)
        return 0 if state is None else state.bus_cursor

    async def advance_bus(self, shard: str, *, epoch: int, position: int) -> bool:
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
        self._check_open()
        return self._subscriptions.awaiting(shard, namespace, name, after, limit)

    async def purge_bus(self, *, before_ms: int) -> int:
        self._check_open()
        return self._bus.purge(before_ms)

    # human tasks

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None:
        self._check_open()
        return self._tasks.get(key, task_id)

    async def list_tasks(self, query: TaskQuery) -> TaskPage:
        self._check_open()
        return self._tasks.list(query)

    # definitions

    async def put_definition(self, definition: DefinitionRow) -> DefinitionRow:
        self._check_open()
        name = (definition.namespace, definition.id, definition.version)
        return self._definitions.setdefault(name, definition)

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        self._check_open()
        if version is not None:
            return self._definitions.get((namespace, id, version))
        return next(self._definitions_newest_first(namespace, id), None)

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        self._check_open()
        check_limit(limit)
        return list(self._definitions_newest_first(namespace, id))[offset : offset + limit]

    def _definitions_newest_first(self, namespace: str, id: str | None) -> Iterator[DefinitionRow]:
        for definition in reversed(self._definitions.values()):
            if definition.namespace == namespace and (id is None or definition.id == id):
                yield definition

    # visibility

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None:
        self._check_open()
        execution = self._executions.get(key)
        return None if execution is None else execution.row

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        self._check_open()
        begin = check_query(query)
        found = [
            (cursor, execution.row)
            for cursor, execution in reversed(self._newest_last)
            if (begin is None or cursor < begin) and _matches(query, execution.row)
        ]
        page = found[: query.limit]
        more = len(found) > query.limit
        return ExecutionPage(
            rows=tuple(row for _, row in page),
            next_cursor=page[-1][0].encode() if more else None,
        )

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        self._check_open()
        return Counter(
            execution.row.status
            for key, execution in self._executions.items()
            if namespace is None or key.namespace == namespace
        )

    async def close(self) -> None:
        self._closed = True

    def _check_open(self) -> None:
        if self._closed:
            raise JournalError("the journal is closed")


def _sent(message: Message) -> tuple[int, str]:
    return (message.sent_at_ms, message.id)


def _matches(query: ExecutionQuery, row: ExecutionRow) -> bool:
    return (
        row.key.namespace == query.namespace
        and (query.definition is None or row.definition == query.definition)
        and (query.version is None or row.version == query.version)
        and (not query.status or row.status in query.status)
        and (query.created_from_ms is None or row.created_at_ms >= query.created_from_ms)
        and (query.created_before_ms is None or row.created_at_ms < query.created_before_ms)
        and all(row.tags.get(name) == value for name, value in query.tags.items())
    )
