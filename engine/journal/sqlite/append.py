"""What an append writes, and the checks that stand between a caller and the history.

Everything runs inside the writer's transaction. Epochs are read from `shards` there. The last `seq`
of an execution is remembered while the shard stays under the epoch at which it was stored: nobody
else can have appended since. Any doubt (another epoch, a failed transaction, a full memory) costs a
query and nothing else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from ...identity import ExecutionKey
from ..admission import check_position, conflicts_in, heard
from ..protocol import Append, AppendResult, BusEvent, ExecutionRow, ShardBatch, TaskRow
from .bulk import Bulk
from .bus import Subscription, publish, set_subscriptions
from .known import Known, find_executions
from .schema import POSITION_BITS
from .tasks import put_tasks

KNOWN_MAX: Final = 20_000
"""Executions remembered, about 600 bytes each: those in motion; others are looked up."""

_PUT_EXECUTION: Final = Bulk(
    "INSERT INTO executions (number, namespace, id, shard, definition, version, status, run, busy,"
    " wake_at_ms, created_at_ms, ended_at_ms, failure_type, failure_message, tags,"
    " awaits) VALUES {rows} ON CONFLICT (number) DO UPDATE SET status = excluded.status,"
    " run = excluded.run, busy = excluded.busy, wake_at_ms = excluded.wake_at_ms,"
    " ended_at_ms = excluded.ended_at_ms, failure_type = excluded.failure_type,"
    " failure_message = excluded.failure_message",
    columns=16,
)
# Rare, and kept apart: setting them would write their index again in every commit.
_DESCRIBE_EXECUTION: Final = (
    "UPDATE executions SET definition = ?, version = ?, tags = ?, awaits = ? WHERE number = ?"
)
_INSERT_EVENT: Final = Bulk(
    "INSERT INTO events (place, execution, seq, body) VALUES {rows}", columns=4
)
_PUT_SNAPSHOT: Final = Bulk(
    "INSERT OR REPLACE INTO snapshots (execution, seq, body) VALUES {rows}", columns=3
)
# The same id is the same message: a sender that repeats itself has sent it once.
_INSERT_MESSAGE: Final = Bulk(
    "INSERT OR IGNORE INTO messages (id, sender_shard, namespace, execution_id, sent_at_ms, body)"
    " VALUES {rows}",
    columns=6,
)
_DELETE_MESSAGE: Final = Bulk("DELETE FROM messages WHERE id IN ({rows})", columns=1)
_INSERT_TAG: Final = Bulk(
    "INSERT INTO tags (namespace, name, value, created_at_ms, execution) VALUES {rows}", columns=5
)
_DELETE_TAG: Final = (
    "DELETE FROM tags WHERE namespace = ? AND name = ? AND value = ? AND created_at_ms = ?"
    " AND execution = ?"
)
_COUNT: Final = Bulk(
    "INSERT INTO status_counts (namespace, status, executions) VALUES {rows}"
    " ON CONFLICT DO UPDATE SET executions = executions + excluded.executions",
    columns=3,
)
_GO_ON: Final = Bulk(
    "INSERT INTO shards (number, name, epoch, next_position) VALUES {rows}"
    " ON CONFLICT (number) DO UPDATE SET next_position = excluded.next_position",
    columns=4,
)
_FIND_SHARDS: Final = Bulk(
    "SELECT json_group_array(json_array(name, number, epoch, next_position)) FROM shards"
    " WHERE name IN ({rows})",
    columns=1,
)
_decode_shards: Final = msgspec.json.Decoder(list[tuple[str, int, int, int]]).decode


class _Writes:
    """The rows of an append, by statement."""

    def __init__(self) -> None:
        self.events: list[tuple[Any, ...]] = []
        self.rows: dict[int, tuple[Any, ...]] = {}  # the last one of an execution is its row
        self.descriptions: list[tuple[Any, ...]] = []
        self.tags: list[tuple[Any, ...]] = []  # of new executions
        self.retagged: list[tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]] = []
        self.snapshots: dict[int, tuple[Any, ...]] = {}
        self.sent: list[tuple[Any, ...]] = []
        self.received: list[tuple[str]] = []
        self.subscriptions: dict[Subscription, bool] = {}  # the last word on each
        self.tasks: list[TaskRow] = []
        self.published: list[BusEvent] = []
        self.counts: dict[tuple[str, str], int] = {}

    def count(self, namespace: str, status: str, change: int) -> None:
        name = (namespace, status)
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

    def run(self, connection: sqlite3.Connection) -> None:
        _PUT_EXECUTION.write(connection, list(self.rows.values()))
        connection.executemany(_DESCRIBE_EXECUTION, self.descriptions)
        _INSERT_TAG.write(connection, self.tags)
        for old, new in self.retagged:  # in order: a tag may go and come back
            connection.executemany(_DELETE_TAG, old)
            _INSERT_TAG.write(connection, new)
        _INSERT_EVENT.write(connection, self.events)
        _PUT_SNAPSHOT.write(connection, list(self.snapshots.values()))
        _INSERT_MESSAGE.write(connection, self.sent)
        _DELETE_MESSAGE.write(connection, self.received)
        if self.subscriptions:
            set_subscriptions(connection, self.subscriptions)
        if self.tasks:
            put_tasks(connection, self.tasks)
        if self.published:
            publish(connection, self.published)
        counts = [(*name, change) for name, change in self.counts.items() if change]
        _COUNT.write(connection, counts)


class Appender:
    """Stores appends in the writer's transaction; lives in its thread."""

    def __init__(self) -> None:
        self._known: dict[ExecutionKey, Known] = {}  # the one used last is last
        self._next_number: int | None = None

    def forget(self) -> None:
        """A transaction failed: what it left in memory is not in the database."""
        self._known.clear()
        self._next_number = None

    def store(self, connection: sqlite3.Connection, batches: Sequence[ShardBatch]) -> AppendResult:
        """Everything is checked before the first row is written."""
        fenced: set[str] = set()
        conflicts: frozenset[ExecutionKey] = frozenset()
        accepted: list[tuple[ShardBatch, int]] = []
        shards = _find_shards(connection, batches)
        for batch in batches:
            number, epoch, next_position = shards.get(batch.shard, (0, 0, 1))
            if epoch == 0 or epoch != batch.epoch:
                fenced.add(batch.shard)
                continue
            check_position(batch, next_position)
            accepted.append((batch, number))
        self._look_up(connection, [batch for batch, _ in accepted])
        writes = _Writes()
        next_positions: dict[str, int] = {}
        for batch, number in accepted:
            refused = conflicts_in(batch.appends, partial(self._last_seq, batch.shard))
            conflicts |= refused
            next_positions[batch.shard] = self._collect(connection, writes, batch, number, refused)
        writes.run(connection)
        _GO_ON.write(
            connection,
            [
                (number, batch.shard, batch.epoch, next_positions[batch.shard])
                for batch, number in accepted
            ],
        )
        self._bound()
        return AppendResult(
            fenced=frozenset(fenced), conflicts=conflicts, next_positions=next_positions
        )

    def _look_up(self, connection: sqlite3.Connection, batches: Sequence[ShardBatch]) -> None:
        """Learn of the executions whose last append was not made here, under this epoch."""
        unknown: dict[ExecutionKey, int] = {}
        for batch in batches:
            epoch = batch.epoch
            for append in batch.appends:
                known = self._known.get(append.key)
                if known is None or known.epoch != epoch or known.shard != batch.shard:
                    unknown[append.key] = epoch
        for key, known in find_executions(connection, unknown):
            self._known[key] = known

    def _last_seq(self, shard: str, key: ExecutionKey) -> int:
        known = self._known.get(key)
        if known is None:
            return 0
        # One of another shard conflicts always: its owner alone may append to it.
        return known.last_seq if known.shard == shard else -1

    def _collect(
        self,
        connection: sqlite3.Connection,
        writes: _Writes,
        batch: ShardBatch,
        shard: int,
        refused: frozenset[ExecutionKey],
    ) -> int:
        """Turn a batch into rows; return the shard's next position."""
        known, events = self._known, writes.events
        place = shard << POSITION_BITS | batch.first_position
        first_place = place
        for append in batch.appends:
            key = append.key
            if key in refused:
                continue
            execution = known.pop(key, None)
            if execution is None:
                execution = self._create(connection, writes, append, shard, batch.epoch)
            elif append.row is not None:
                self._update(writes, execution, append.row, shard)
            known[key] = execution  # at the end: used last
            number, seq = execution.number, execution.last_seq
            assert seq == append.after_seq, f"{key} goes on at {seq}, not {append.after_seq}"
            for body in append.events:
                seq += 1
                events.append((place, number, seq, body))
                place += 1
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
                    )
                )
            for id in append.received:
                writes.received.append((id,))
            if append.tasks:
                writes.tasks += append.tasks
            if append.published:
                writes.published += append.published
        return batch.first_position + place - first_place

    def _create(
        self,
        connection: sqlite3.Connection,
        writes: _Writes,
        append: Append,
        shard: int,
        epoch: int,
    ) -> Known:
        row = append.row
        assert row is not None  # check_batches
        if self._next_number is None:
            (last,) = connection.execute("SELECT max(number) FROM executions").fetchone()
            self._next_number = (last or 0) + 1
        number = self._next_number
        self._next_number += 1
        writes.rows[number] = _row_values(number, shard, row, row.created_at_ms)
        writes.count(row.key.namespace, row.status, 1)
        if row.tags:
            writes.tags += _tag_rows(row.key, row.tags, number, row.created_at_ms)
        if row.awaits:
            writes.subscribe(shard, row.key, (), heard(row))
        known = Known(number, epoch, 0, row.shard)
        known.describe(
            row.status, row.definition, row.version, row.tags, row.awaits, row.created_at_ms
        )
        return known

    def _update(self, writes: _Writes, known: Known, row: ExecutionRow, shard: int) -> None:
        number, created_at_ms = known.number, known.created_at_ms  # fixed at creation
        writes.rows[number] = _row_values(number, shard, row, created_at_ms)
        if row.status != known.status:
            writes.count(row.key.namespace, known.status, -1)
            writes.count(row.key.namespace, row.status, 1)
        if row.awaits or known.awaits:
            writes.subscribe(shard, row.key, heard(known), heard(row))
        if row.tags != known.tags:
            old = _tag_rows(row.key, known.tags, number, created_at_ms)
            new = _tag_rows(row.key, row.tags, number, created_at_ms)
            writes.retagged.append((old, new))
        elif (
            row.version == known.version
            and row.definition == known.definition
            and row.awaits == known.awaits
        ):
            known.status = row.status
            return
        writes.descriptions.append(
            (row.definition, row.version, _tags_text(row), _awaits_text(row), number)
        )
        known.describe(row.status, row.definition, row.version, row.tags, row.awaits, created_at_ms)

    def _bound(self) -> None:
        while len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]


def _find_shards(
    connection: sqlite3.Connection, batches: Sequence[ShardBatch]
) -> dict[str, tuple[int, int, int]]:
    """Number, epoch and next position of the shards that were ever claimed, or always were."""
    found: dict[str, tuple[int, int, int]] = {}
    for cursor in _FIND_SHARDS.run(connection, [(batch.shard,) for batch in batches]):
        (text,) = cursor.fetchone()
        for name, number, epoch, next_position in _decode_shards(text):
            found[name] = (number, epoch, next_position)
    return found


def _row_values(number: int, shard: int, row: ExecutionRow, created_at_ms: int) -> tuple[Any, ...]:
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
        _tags_text(row),
        _awaits_text(row),
    )


def _tags_text(row: ExecutionRow) -> str | None:
    return msgspec.json.encode(row.tags).decode() if row.tags else None


def _awaits_text(row: ExecutionRow) -> str | None:
    return msgspec.json.encode(row.awaits).decode() if row.awaits else None


def _tag_rows(
    key: ExecutionKey, tags: Mapping[str, str], number: int, created_at_ms: int
) -> list[tuple[Any, ...]]:
    return [(key.namespace, name, value, created_at_ms, number) for name, value in tags.items()]
