"""The statements of an append, behind the locks of its shards; the rest: `sql/append.py`.

What is remembered of a shard's executions holds while nothing was purged from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ...identity import ExecutionKey
from ..protocol import ExecutionRow, ShardBatch
from ..sql.append import SqlAppender, Writes, row_values
from ..sql.executions import encode_tags, encode_texts
from ..sql.known import Known
from .blobs import name_blobs
from .bulk import Bulk
from .bus import publish, set_subscriptions
from .connections import Database
from .known import ask_for, found
from .ownership import LockedShard, lock_shards, locked
from .schema import NUMBERS
from .tasks import put_tasks

_INSERT_EXECUTION: Final = Bulk(
    "INSERT INTO executions (number, namespace, id, shard, definition, version, status, run, busy,"
    " wake_at_ms, created_at_ms, ended_at_ms, failure_type, failure_message, tags, awaits,"
    " parent, priority, correlation_id)"
    " SELECT * FROM {rows}",
    columns="ittitttiiiiitttttit",
)
_UPDATE_EXECUTION: Final = Bulk(
    "UPDATE executions SET definition = new.definition, version = new.version,"
    " status = new.status, run = new.run, busy = new.busy, wake_at_ms = new.wake_at_ms,"
    " ended_at_ms = new.ended_at_ms, failure_type = new.failure_type,"
    " failure_message = new.failure_message, tags = new.tags, awaits = new.awaits"
    " FROM {rows} AS new (number, definition, version, status, run, busy, wake_at_ms,"
    " ended_at_ms, failure_type, failure_message, tags, awaits)"
    " WHERE executions.number = new.number",
    columns="itttiiiitttt",
)
_INSERT_EVENT: Final = Bulk(
    "INSERT INTO events (shard, position, execution, seq, body) SELECT * FROM {rows}",
    columns="iiiib",
)
_PUT_SNAPSHOT: Final = Bulk(
    "INSERT INTO snapshots (execution, seq, body) SELECT * FROM {rows}"
    " ON CONFLICT (execution) DO UPDATE SET seq = excluded.seq, body = excluded.body",
    columns="iib",
)
# The same id is the same message: a sender that repeats itself has sent it once.
_INSERT_MESSAGE: Final = Bulk(
    "INSERT INTO messages (id, sender_shard, namespace, execution_id, sent_at_ms, body, sender)"
    " SELECT * FROM {rows} ON CONFLICT DO NOTHING",
    columns="ttttibi",
)
_DELETE_MESSAGE: Final = Bulk(
    "DELETE FROM messages USING {rows} AS received (id) WHERE messages.id = received.id",
    columns="t",
)
_INSERT_TAG: Final = Bulk(
    "INSERT INTO tags (namespace, name, value, created_at_ms, execution) SELECT * FROM {rows}",
    columns="tttii",
)
DELETE_TAG: Final = Bulk(
    "DELETE FROM tags USING {rows} AS old (namespace, name, value, created_at_ms, execution)"
    " WHERE tags.namespace = old.namespace AND tags.name = old.name"
    " AND left(tags.value, 200) = left(old.value, 200)"
    " AND tags.created_at_ms = old.created_at_ms AND tags.execution = old.execution",
    columns="tttii",
)
_COUNT: Final = Bulk(
    "INSERT INTO status_counts (shard, namespace, status, executions) SELECT * FROM {rows}"
    " ON CONFLICT (shard, namespace, status)"
    " DO UPDATE SET executions = status_counts.executions + excluded.executions",
    columns="itti",
)
_GO_ON: Final = Bulk(
    "UPDATE shards SET next_position = new.next_position"
    " FROM {rows} AS new (number, next_position) WHERE shards.number = new.number",
    columns="ii",
)


class _Writes(Writes):
    """The rows of an append, by statement."""

    def __init__(self) -> None:
        super().__init__()
        self.born: dict[int, tuple[Any, ...]] = {}
        self.rows: dict[int, tuple[Any, ...]] = {}  # the last one of an execution is its row

    def create(self, number: int, shard: int, row: ExecutionRow) -> None:
        self.born[number] = row_values(number, shard, row, row.created_at_ms)

    def change(self, known: Known, row: ExecutionRow, *, described: bool) -> None:
        number = known.number
        if number in self.born:
            self.born[number] = row_values(number, known.shard, row, known.created_at_ms)
        else:
            self.rows[number] = _changed_values(number, row)

    def run(self, connection: Database) -> None:
        """What two hosts could both write comes last: messages, blob names, the bus."""
        _INSERT_EXECUTION.write(connection, list(self.born.values()))
        _UPDATE_EXECUTION.write(connection, list(self.rows.values()))
        DELETE_TAG.write(connection, self.tags_gone())
        _INSERT_TAG.write(connection, self.tags_come())
        _INSERT_EVENT.write(connection, self.events)
        _PUT_SNAPSHOT.write(connection, list(self.snapshots.values()))
        if self.subscriptions:
            set_subscriptions(connection, self.subscriptions)
        if self.tasks:
            put_tasks(connection, self.tasks)
        _COUNT.write(
            connection, [(*name, change) for name, change in self.counts.items() if change]
        )
        _INSERT_MESSAGE.write(connection, sorted(self.sent))
        _DELETE_MESSAGE.write(connection, sorted(self.received))
        if self.blobs:
            name_blobs(connection, list(self.blobs))
        if self.published:
            publish(connection, self.published)


class Appender(SqlAppender[Database, _Writes, LockedShard]):
    """Stores appends in the writer's transaction; lives in its thread."""

    def __init__(self) -> None:
        super().__init__()
        self._purged: dict[str, int] = {}  # of a shard, when its executions were remembered
        self._numbers: list[int] = []  # drawn and not used yet, the next one last

    def forget(self) -> None:
        super().forget()
        self._purged.clear()

    def _find(
        self, connection: Database, batches: Sequence[ShardBatch]
    ) -> Mapping[str, LockedShard]:
        """Lock the shards, and learn of the executions whose last append was not made here, under
        this epoch; in one trip to the server."""
        unknown: dict[ExecutionKey, int] = {}
        for batch in batches:
            epoch = batch.epoch
            for append in batch.appends:
                known = self._known.get(append.key)
                if known is None or known.epoch != epoch:
                    unknown[append.key] = epoch
        locking = lock_shards(connection, [batch.shard for batch in batches])
        asking = ask_for(connection, unknown) if unknown else None
        shards = locked(locking)
        if asking is not None:
            self._known |= found(asking, unknown)
        purged = {
            batch.shard
            for batch in batches
            if batch.shard in shards
            and self._purged.get(batch.shard, shards[batch.shard].purged)
            != shards[batch.shard].purged
        }
        self._purged |= {name: shard.purged for name, shard in shards.items()}
        if purged:
            epochs = {a.key: b.epoch for b in batches if b.shard in purged for a in b.appends}
            numbers = {shards[name].number for name in purged}
            self._known = {k: v for k, v in self._known.items() if v.shard not in numbers}
            self._known |= found(ask_for(connection, epochs), epochs)
        return shards

    def _learn(
        self, connection: Database, accepted: Sequence[tuple[ShardBatch, LockedShard]]
    ) -> None:
        """Done with the locks."""

    def _draw(self, connection: Database) -> int:
        if not self._numbers:
            drawn = connection.row("SELECT nextval('execution_numbers')")
            assert drawn is not None
            self._numbers = list(range(drawn[0] + NUMBERS - 1, drawn[0] - 1, -1))
        return self._numbers.pop()

    def _new_writes(self) -> _Writes:
        return _Writes()

    def _write(
        self,
        connection: Database,
        writes: _Writes,
        moved: Iterable[tuple[ShardBatch, LockedShard, int]],
    ) -> None:
        _GO_ON.write(
            connection,
            [
                (shard.number, next_position)
                for batch, shard, next_position in moved
                if next_position != batch.first_position
            ],
        )
        writes.run(connection)


def _changed_values(number: int, row: ExecutionRow) -> tuple[Any, ...]:
    return (
        number,
        row.definition,
        row.version,
        row.status,
        row.run,
        row.busy,
        row.wake_at_ms,
        row.ended_at_ms,
        row.failure_type,
        row.failure_message,
        encode_tags(row.tags),
        encode_texts(row.awaits),
    )
