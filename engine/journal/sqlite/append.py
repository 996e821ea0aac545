"""The statements of an append; what they are made from, and what is checked: `sql/append.py`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ...identity import ExecutionKey
from ..admission import is_dedicated
from ..protocol import ExecutionRow, ShardBatch
from ..sql.append import SqlAppender, Writes, row_values
from ..sql.executions import encode_tags, encode_texts
from ..sql.known import Known
from .blobs import name_blobs
from .bulk import Bulk
from .bus import publish, set_subscriptions
from .connections import Database
from .known import find_executions
from .schema import LANDMARK_EVERY
from .tasks import put_tasks

_PUT_EXECUTION: Final = Bulk(
    "INSERT INTO executions (number, namespace, id, shard, definition, version, status, run, busy,"
    " wake_at_ms, created_at_ms, ended_at_ms, failure_type, failure_message, tags,"
    " awaits, parent, priority, correlation_id) VALUES {rows}"
    " ON CONFLICT (number) DO UPDATE SET status = excluded.status,"
    " run = excluded.run, busy = excluded.busy, wake_at_ms = excluded.wake_at_ms,"
    " ended_at_ms = excluded.ended_at_ms, failure_type = excluded.failure_type,"
    " failure_message = excluded.failure_message",
    columns=19,
)
# Rare, and kept apart: setting them would write their index again in every commit.
_DESCRIBE_EXECUTION: Final = (
    "UPDATE executions SET definition = ?, version = ?, tags = ?, awaits = ? WHERE number = ?"
)
_INSERT_EVENT: Final = Bulk(
    "INSERT INTO events (number, shard, position, execution, seq, body) VALUES {rows}", columns=6
)
_INSERT_LANDMARK: Final = Bulk(
    "INSERT INTO landmarks (shard, position, event) VALUES {rows}", columns=3
)
_PUT_SNAPSHOT: Final = Bulk(
    "INSERT OR REPLACE INTO snapshots (execution, seq, body) VALUES {rows}", columns=3
)
# The same id is the same message: a sender that repeats itself has sent it once.
_INSERT_MESSAGE: Final = Bulk(
    "INSERT OR IGNORE INTO messages (id, sender_shard, namespace, execution_id, sent_at_ms, body,"
    " sender) VALUES {rows}",
    columns=7,
)
_DELETE_MESSAGE: Final = Bulk("DELETE FROM messages WHERE id IN ({rows})", columns=1)
_INSERT_TAG: Final = Bulk(
    "INSERT INTO tags (namespace, name, value, created_at_ms, execution) VALUES {rows}", columns=5
)
DELETE_TAG: Final = (
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
_LAST_EVENT: Final = (
    "SELECT max(ifnull((SELECT max(number) FROM events), 0),"
    " ifnull((SELECT max(event) FROM landmarks), 0))"
)
_FIND_SHARDS: Final = Bulk(
    "SELECT json_group_array(json_array(name, number, epoch, next_position)) FROM shards"
    " WHERE name IN ({rows})",
    columns=1,
)


class _Shard(NamedTuple):
    """What `_FIND_SHARDS` says of a shard."""

    name: str
    number: int
    epoch: int
    next_position: int


_decode_shards: Final = msgspec.json.Decoder(list[_Shard]).decode


class _Writes(Writes):
    """The rows of an append, by statement."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[int, tuple[Any, ...]] = {}  # the last one of an execution is its row
        self.descriptions: list[tuple[Any, ...]] = []
        self.dedicated: set[int] = set()  # shards

    def create(self, number: int, shard: int, row: ExecutionRow) -> None:
        self.rows[number] = row_values(number, shard, row, row.created_at_ms)

    def change(self, known: Known, row: ExecutionRow, *, described: bool) -> None:
        number = known.number
        self.rows[number] = row_values(number, known.shard, row, known.created_at_ms)
        if described:
            tags, awaits = encode_tags(row.tags), encode_texts(row.awaits)
            self.descriptions.append((row.definition, row.version, tags, awaits, number))

    def run(self, connection: Database, first_event: int) -> None:
        """In an order in which each finds what it needs; events are numbered from the first on."""
        _PUT_EXECUTION.write(connection, list(self.rows.values()))
        connection.executemany(_DESCRIBE_EXECUTION, self.descriptions)
        if self.tags:
            connection.executemany(DELETE_TAG, self.tags_gone())
            _INSERT_TAG.write(connection, self.tags_come())
        events = [(number, *event) for number, event in enumerate(self.events, first_event)]
        _INSERT_EVENT.write(connection, events)
        _INSERT_LANDMARK.write(
            connection,
            [
                (shard, position, number)
                for number, shard, position, *_ in events
                if position % LANDMARK_EVERY == 1 and shard not in self.dedicated
            ],
        )
        _PUT_SNAPSHOT.write(connection, list(self.snapshots.values()))
        _INSERT_MESSAGE.write(connection, self.sent)
        _DELETE_MESSAGE.write(connection, self.received)
        if self.subscriptions:
            set_subscriptions(connection, self.subscriptions)
        if self.tasks:
            put_tasks(connection, self.tasks)
        if self.published:
            publish(connection, self.published)
        if self.blobs:
            name_blobs(connection, list(self.blobs))
        counts: dict[tuple[str, str], int] = {}  # of all shards together
        for (_, namespace, status), change in self.counts.items():
            counts[namespace, status] = counts.get((namespace, status), 0) + change
        _COUNT.write(connection, [(*name, change) for name, change in counts.items() if change])


class Appender(SqlAppender[Database, _Writes, _Shard]):
    """Stores appends in the writer's transaction; lives in its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._next_number: int | None = None  # of an execution
        self._next_event: int | None = None

    def forget(self) -> None:
        super().forget()
        self._next_number = self._next_event = None

    def forget_executions(self, keys: Sequence[ExecutionKey]) -> None:
        """They were deleted; what appends to them now finds nothing."""
        for key in keys:
            self._known.pop(key, None)

    def _find(self, connection: Database, batches: Sequence[ShardBatch]) -> Mapping[str, _Shard]:
        """Those that were ever claimed, or always were."""
        found: dict[str, _Shard] = {}
        for cursor in _FIND_SHARDS.run(connection, [(batch.shard,) for batch in batches]):
            (text,) = cursor.fetchone()
            found |= {shard.name: shard for shard in _decode_shards(text)}
        return found

    def _learn(self, connection: Database, accepted: Sequence[tuple[ShardBatch, _Shard]]) -> None:
        unknown: dict[ExecutionKey, int] = {}
        for batch, shard in accepted:
            epoch, number = batch.epoch, shard.number
            for append in batch.appends:
                known = self._known.get(append.key)
                if known is None or known.epoch != epoch or known.shard != number:
                    unknown[append.key] = epoch
        for key, known in find_executions(connection, unknown):
            self._known[key] = known

    def _draw(self, connection: Database) -> int:
        if self._next_number is None:
            (last,) = connection.execute("SELECT max(number) FROM executions").fetchone()
            self._next_number = (last or 0) + 1
        number = self._next_number
        self._next_number += 1
        return number

    def _draw_events(self, connection: Database, count: int) -> int:
        """The first of so many numbers, above those of events that were purged and may be
        landmarks."""
        if self._next_event is None:
            (last,) = connection.execute(_LAST_EVENT).fetchone()
            self._next_event = last + 1
        first = self._next_event
        self._next_event += count
        return first

    def _new_writes(self) -> _Writes:
        return _Writes()

    def _write(
        self, connection: Database, writes: _Writes, moved: Iterable[tuple[ShardBatch, _Shard, int]]
    ) -> None:
        moved = list(moved)
        writes.dedicated = {shard.number for _, shard, _ in moved if is_dedicated(shard.name)}
        writes.run(connection, self._draw_events(connection, len(writes.events)))
        _GO_ON.write(
            connection,
            [
                (shard.number, shard.name, shard.epoch, next_position)
                for _, shard, next_position in moved
            ],
        )
