"""What an append writes, and the checks that stand between a caller and the history.

Everything runs inside the writer's transaction. The last `seq` of an execution is remembered while
the shard stays under the epoch at which it was stored: nobody else can have appended since. Any
doubt (another epoch, a failed transaction, a full memory) costs a query and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Generic, Protocol, TypeVar

from ...identity import ExecutionKey
from ..admission import check_position, conflicts_in, heard
from ..protocol import Append, AppendResult, BusEvent, ExecutionRow, ShardBatch, TaskRow
from .bus import Subscription
from .database import Database
from .executions import encode_tags, encode_texts
from .known import KNOWN_MAX, Known

Values = tuple[Any, ...]


class StoredShard(Protocol):
    """A shard as this transaction finds it."""

    @property
    def number(self) -> int: ...

    @property
    def epoch(self) -> int: ...

    @property
    def next_position(self) -> int: ...


class Tags:
    """What an append makes of an execution's tags."""

    def __init__(
        self, key: ExecutionKey, number: int, created_at_ms: int, before: Mapping[str, str]
    ) -> None:
        self._namespace, self._rest = key.namespace, (created_at_ms, number)
        self._before = before
        self.after = before

    def gone(self) -> list[Values]:
        """Rows of `tags` that go."""
        return self._rows(self._before, self.after)

    def come(self) -> list[Values]:
        """Rows of `tags` that come."""
        return self._rows(self.after, self._before)

    def _rows(self, these: Mapping[str, str], those: Mapping[str, str]) -> list[Values]:
        return [
            (self._namespace, name, value, *self._rest)
            for name, value in these.items()
            if those.get(name) != value
        ]


class Writes:
    """The rows of an append, by statement; a backend says how those of executions are written."""

    def __init__(self) -> None:
        self.events: list[Values] = []  # shard, position, execution, seq, body
        self.tags: dict[int, Tags] = {}
        self.snapshots: dict[int, Values] = {}
        self.sent: list[Values] = []
        self.received: list[tuple[str]] = []
        self.subscriptions: dict[Subscription, bool] = {}  # the last word on each
        self.tasks: list[TaskRow] = []
        self.published: list[BusEvent] = []
        self.blobs: dict[tuple[str, int], None] = {}  # with the executions that name them
        self.counts: dict[tuple[int, str, str], int] = {}  # by shard, namespace and status

    def create(self, number: int, shard: int, row: ExecutionRow) -> None:
        """An execution that was not there."""
        raise NotImplementedError

    def change(self, known: Known, row: ExecutionRow, *, described: bool) -> None:
        """One that is `known` as it was; `described`: more of it changes than how far it is."""
        raise NotImplementedError

    def count(self, shard: int, namespace: str, status: str, change: int) -> None:
        """So many more, or fewer, have this status."""
        name = (shard, namespace, status)
        self.counts[name] = self.counts.get(name, 0) + change

    def subscribe(
        self, shard: int, key: ExecutionKey, before: tuple[str, ...], after: tuple[str, ...]
    ) -> None:
        """Other types of events are heard than before."""
        if before == after:
            return
        for name in before:
            self.subscriptions[shard, key.namespace, name, key.execution_id] = False
        for name in after:
            self.subscriptions[shard, key.namespace, name, key.execution_id] = True

    def tags_gone(self) -> list[Values]:
        """Rows of `tags` that go; before those that come."""
        return [row for tags in self.tags.values() for row in tags.gone()]

    def tags_come(self) -> list[Values]:
        """Rows of `tags` that come."""
        return [row for tags in self.tags.values() for row in tags.come()]


D = TypeVar("D", bound=Database)
W = TypeVar("W", bound=Writes)
S = TypeVar("S", bound=StoredShard)


class SqlAppender(Generic[D, W, S]):
    """Stores appends in the writer's transaction; lives in its thread."""

    def __init__(self) -> None:
        self._known: dict[ExecutionKey, Known] = {}  # the one used last is last

    def forget(self) -> None:
        """A transaction failed: what it left in memory is not in the database."""
        self._known.clear()

    def _find(self, connection: D, batches: Sequence[ShardBatch]) -> Mapping[str, S]:
        """The shards that there are, as they stay until the transaction ends."""
        raise NotImplementedError

    def _learn(self, connection: D, accepted: Sequence[tuple[ShardBatch, S]]) -> None:
        """Remember the executions whose last append was not made here, under this epoch."""
        raise NotImplementedError

    def _draw(self, connection: D) -> int:
        """The number of a new execution."""
        raise NotImplementedError

    def _new_writes(self) -> W:
        raise NotImplementedError

    def _write(self, connection: D, writes: W, moved: Iterable[tuple[ShardBatch, S, int]]) -> None:
        """Run the statements; `moved` has the shards with their next positions."""
        raise NotImplementedError

    def store(self, connection: D, batches: Sequence[ShardBatch]) -> AppendResult:
        """Everything is checked before the first row is written."""
        if not batches:
            return AppendResult()
        fenced: set[str] = set()
        conflicts: frozenset[ExecutionKey] = frozenset()
        accepted: list[tuple[ShardBatch, S]] = []
        shards = self._find(connection, batches)
        for batch in batches:
            shard = shards.get(batch.shard)
            if shard is None or shard.epoch == 0 or shard.epoch != batch.epoch:
                fenced.add(batch.shard)
                continue
            check_position(batch, shard.next_position)
            accepted.append((batch, shard))
        self._learn(connection, accepted)
        writes = self._new_writes()
        next_positions: dict[str, int] = {}
        for batch, shard in accepted:
            refused = conflicts_in(batch.appends, partial(self._last_seq, shard.number))
            conflicts |= refused
            next_positions[batch.shard] = self._collect(
                connection, writes, batch, shard.number, refused
            )
        self._write(
            connection,
            writes,
            [(batch, shard, next_positions[batch.shard]) for batch, shard in accepted],
        )
        self._bound()
        return AppendResult(
            fenced=frozenset(fenced), conflicts=conflicts, next_positions=next_positions
        )

    def _last_seq(self, shard: int, key: ExecutionKey) -> int:
        known = self._known.get(key)
        if known is None:
            return 0
        # One of another shard conflicts always: its owner alone may append to it.
        return known.last_seq if known.shard == shard else -1

    def _collect(
        self,
        connection: D,
        writes: W,
        batch: ShardBatch,
        shard: int,
        refused: frozenset[ExecutionKey],
    ) -> int:
        """Turn a batch into rows; return the shard's next position."""
        known, events = self._known, writes.events
        position = batch.first_position
        for append in batch.appends:
            key = append.key
            if key in refused:
                continue
            execution = known.pop(key, None)
            if execution is None:
                execution = self._create(connection, writes, append, shard, batch.epoch)
            elif append.row is not None:
                _update(writes, execution, append.row)
            known[key] = execution  # at the end: used last
            number, seq = execution.number, execution.last_seq
            assert seq == append.after_seq, f"{key} goes on at {seq}, not {append.after_seq}"
            for body in append.events:
                seq += 1
                events.append((shard, position, number, seq, body))
                position += 1
            execution.last_seq = seq
            if append.snapshot is not None:
                writes.snapshots[number] = (number, append.snapshot.seq, append.snapshot.body)
            for message in append.sent:
                writes.sent.append(
                    (
                        message.id,
                        message.sender_shard,
                        *message.receiver,
                        message.sent_at_ms,
                        message.body,
                        number,
                    )
                )
            for id in append.received:
                writes.received.append((id,))
            if append.tasks:
                writes.tasks += append.tasks
            if append.published:
                writes.published += append.published
            for name in append.blobs:
                writes.blobs[name, number] = None
        return position

    def _create(self, connection: D, writes: W, append: Append, shard: int, epoch: int) -> Known:
        row = append.row
        assert row is not None  # check_batches
        number = self._draw(connection)
        writes.create(number, shard, row)
        writes.count(shard, row.key.namespace, row.status, 1)
        if row.tags:
            tags = writes.tags[number] = Tags(row.key, number, row.created_at_ms, {})
            tags.after = row.tags
        if row.awaits:
            writes.subscribe(shard, row.key, (), heard(row))
        known = Known(number, epoch, 0, shard)
        known.describe(
            row.status, row.definition, row.version, row.tags, row.awaits, row.created_at_ms
        )
        return known

    def _bound(self) -> None:
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


def _update(writes: Writes, known: Known, row: ExecutionRow) -> None:
    number, created_at_ms = known.number, known.created_at_ms  # fixed at creation
    if row.status != known.status:
        writes.count(known.shard, row.key.namespace, known.status, -1)
        writes.count(known.shard, row.key.namespace, row.status, 1)
    if row.awaits or known.awaits:
        writes.subscribe(known.shard, row.key, heard(known), heard(row))
    retagged = row.tags != known.tags
    if retagged:
        tags = writes.tags.get(number)
        if tags is None:
            tags = writes.tags[number] = Tags(row.key, number, created_at_ms, known.tags)
        tags.after = row.tags
    described = (
        retagged
        or row.version != known.version
        or row.definition != known.definition
        or row.awaits != known.awaits
    )
    writes.change(known, row, described=described)
    if described:
        known.describe(row.status, row.definition, row.version, row.tags, row.awaits, created_at_ms)
    else:
        known.status = row.status


def row_values(number: int, shard: int, row: ExecutionRow, created_at_ms: int) -> Values:
    """A value for each column of `executions`."""
    return (
        number,
        *row.key,
        shard,
        row.definition,
        row.version,
        row.status,
        row.run,
        row.busy,
        row.wake_at_ms,
        created_at_ms,
        row.ended_at_ms,
        row.failure_type,
        row.failure_message,
        encode_tags(row.tags),
        encode_texts(row.awaits),
        row.parent,
        row.priority,
        row.correlation_id,
    )
