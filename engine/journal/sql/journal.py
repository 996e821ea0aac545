"""The `Journal` protocol above the statements of a backend: its reading and its writing half.

Calls run in threads of their own and never block the event loop. A backend brings the threads with
their connections, and the few calls that its tables make differ.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ...identity import ExecutionKey
from ..admission import check_batches
from ..protocol import (
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
from ..threads import ServiceThread
from . import bus, definitions, executions, ownership, reads, tasks
from .database import Database

PURGE_PART: Final = 1_000
"""Events of the bus that one transaction deletes: a few milliseconds of the writer's time."""

D = TypeVar("D", bound=Database)
T = TypeVar("T")


@dataclass(frozen=True)
class Tables(Generic[D]):
    """The calls that a backend answers with statements of its own, inside a transaction."""

    load: Callable[[D, ExecutionKey], StoredExecution | None]
    load_busy: Callable[[D, str, ExecutionKey | None, int], Sequence[StoredExecution]]
    follow: Callable[[D, str, int, int], Sequence[FollowedEvent]]
    bus_end: Callable[[D], int]
    publish: Callable[[D, Sequence[BusEvent]], None]
    purge_bus: Callable[[D, int, int], int]
    """Deletes so many of the events before an instant at most; how many."""
    named_blobs: Callable[[D, Sequence[str]], frozenset[str]]


class SqlReader(Generic[D]):
    """The reading half of a journal, whoever writes it.

    What a host needs is read in one thread, what people look at in another, where the backend has
    two: no long list delays a turn.
    """

    def __init__(
        self,
        info: JournalInfo,
        tables: Tables[D],
        *,
        reader: ServiceThread[D],
        lister: ServiceThread[D],
    ) -> None:
        self._info, self._tables = info, tables
        self._reader, self._lister = reader, lister

    @property
    def info(self) -> JournalInfo:
        """What was fixed when the journal was created."""
        return self._info

    async def owners(self) -> Sequence[OwnerRow]:
        """All that are registered, alive or not, in the order of their incarnations."""
        return await self._reader.call(ownership.owners)

    async def shards(self) -> Sequence[ShardRow]:
        """All shards there are, with the epoch of their last claim; 0 for none."""
        return await self._reader.call(ownership.shards)

    async def load(self, key: ExecutionKey) -> StoredExecution | None:
        """Row, snapshot and the events behind it as of one instant; None if there is none."""
        return await self._reader.call(lambda db: self._tables.load(db, key))

    async def load_busy(
        self, shard: str, *, after: ExecutionKey | None, limit: int
    ) -> Sequence[StoredExecution]:
        """In the order of keys, so that the last one begins the next page."""
        return await self._reader.call(lambda db: self._tables.load_busy(db, shard, after, limit))

    async def due(
        self, shard: str, *, until_ms: int, limit: int
    ) -> Sequence[tuple[int, ExecutionKey]]:
        """The earliest first; the same again until their executions are written."""
        return await self._reader.call(lambda db: reads.due(db, shard, until_ms, limit))

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]:
        """In the order of `seq`, never with a gap; nothing for an execution that is not there."""
        return await self._reader.call(lambda db: reads.read(db, key, after_seq, limit))

    async def follow(
        self, shard: str, *, after_position: int, limit: int = 1_000
    ) -> Sequence[FollowedEvent]:
        """A shard's events in the order of their positions; purged ones are left out."""
        return await self._reader.call(
            lambda db: self._tables.follow(db, shard, after_position, limit)
        )

    async def outgoing(
        self, shard: str, *, after: Message | None = None, limit: int = 1_000
    ) -> Sequence[Message]:
        """What receivers have not journaled yet, in the order `(sent_at_ms, id)`."""
        return await self._reader.call(lambda db: reads.outgoing(db, shard, after, limit))

    async def bus(
        self, *, after_position: int, limit: int = 1_000
    ) -> Sequence[tuple[int, BusEvent]]:
        """In the order of positions; a reader that sees one sees all before it that are kept."""
        return await self._reader.call(lambda db: bus.bus(db, after_position, limit))

    async def bus_end(self) -> int:
        """Never goes back, also when all events are purged."""
        return await self._reader.call(self._tables.bus_end)

    async def bus_cursor(self, shard: str) -> int:
        """How far the shard's executions have been told; 0 for a shard that is not there."""
        return await self._reader.call(lambda db: bus.bus_cursor(db, shard))

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
        return await self._reader.call(
            lambda db: bus.awaiting(db, shard, namespace, name, after, limit)
        )

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None:
        """The task as the last append left it."""
        return await self._lister.call(lambda db: tasks.get_task(db, key, task_id))

    async def list_tasks(self, query: TaskQuery) -> TaskPage:
        """The newest first; pages neither repeat nor skip while others are added.

        Raises:
            InputError: its limit or cursor cannot be used.
        """
        return await self._lister.call(lambda db: tasks.list_tasks(db, query))

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        """Without a version the one that was registered last."""
        return await self._reader.call(
            lambda db: definitions.get_definition(db, namespace, id, version)
        )

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        """The one registered last first; raises `InputError` for a limit that cannot be used."""
        return await self._lister.call(
            lambda db: definitions.list_definitions(db, namespace, id, limit, offset)
        )

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """The one registered last first.

        Raises:
            InputError: its limit, offset or cursor cannot be used.
        """
        return await self._lister.call(lambda db: definitions.definitions_page(db, query))

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None:
        """The row as the last append left it."""
        return await self._reader.call(lambda db: executions.get_row(db, key))

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage:
        """The newest first; pages neither repeat nor skip while others are added.

        Raises:
            InputError: its limit or cursor cannot be used.
        """
        return await self._lister.call(lambda db: executions.list_executions(db, query))

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        """By status, exact as of the last commit; a status without executions is left out."""
        return await self._lister.call(lambda db: executions.count_executions(db, namespace))

    async def named_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """Those of the names that may not be swept: a stored history or definition holds them."""
        return await self._lister.call(lambda db: self._tables.named_blobs(db, names))

    async def close(self) -> None:
        """Finish what was accepted; closing twice is harmless."""
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        self._reader.close()
        self._lister.close()


class SqlJournal(SqlReader[D]):
    """The whole protocol: what gathers while the writer commits goes into its next commit."""

    def __init__(
        self,
        info: JournalInfo,
        tables: Tables[D],
        *,
        reader: ServiceThread[D],
        lister: ServiceThread[D],
        writer: ServiceThread[D],
    ) -> None:
        super().__init__(info, tables, reader=reader, lister=lister)
        self._writer = writer

    def _locking(self, shards: Iterable[str], work: Callable[[D], T]) -> Callable[[D], T]:
        """Work that begins behind the locks of its shards, where several hosts write."""
        return work

    def _store(self, connection: D, batches: Sequence[ShardBatch]) -> AppendResult:
        raise NotImplementedError

    def _purge(self, connection: D, ended_before_ms: int, limit: int) -> int:
        raise NotImplementedError

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
        """Returns behind the COMMIT; all batches go into one.

        Raises:
            JournalError: what no state of the journal could make right; nothing is stored.
            JournalUnavailable: the store is at fault; nothing is stored, offer it again.
            OutcomeUnknown: it may be stored; claim the shard again and read what is there.
        """
        check_batches(batches)
        shards = [batch.shard for batch in batches]
        return await self._writer.call(self._locking(shards, lambda db: self._store(db, batches)))

    async def register_owner(self, owner: OwnerRow) -> None:
        """Enter or replace the row of an incarnation."""
        await self._writer.call(lambda db: ownership.register_owner(db, owner))

    async def beat(self, incarnation: str, *, at_ms: int, draining: bool = False) -> None:
        """Say that an incarnation lives; nothing happens if its row is gone."""
        await self._writer.call(lambda db: ownership.beat(db, incarnation, at_ms, draining))

    async def remove_owner(self, incarnation: str) -> None:
        """Twice is harmless; its shards stay as they are."""
        await self._writer.call(lambda db: ownership.remove_owner(db, incarnation))

    async def claim(self, shard: str, *, owner: str, after_epoch: int) -> Claim | None:
        """Of several with the same `after_epoch` one gets the shard, the others None."""
        return await self._writer.call(
            self._locking([shard], lambda db: ownership.claim(db, shard, owner, after_epoch))
        )

    async def publish(self, events: Sequence[BusEvent]) -> None:
        """Returns behind the COMMIT; an id that is on the bus already is not published again."""
        await self._writer.call(lambda db: self._tables.publish(db, events))

    async def advance_bus(self, shard: str, *, epoch: int, position: int) -> bool:
        """Never goes back; False, and nothing is stored, where the epoch is another one.

        Raises:
            JournalError: the bus ends before that position.
        """
        return await self._writer.call(
            self._locking(
                [shard],
                lambda db: bus.advance_bus(db, shard, epoch, position, self._tables.bus_end(db)),
            )
        )

    async def purge_bus(self, *, before_ms: int) -> int:
        """In parts: commits of others go between, whose callers would wait for all of it."""
        total = 0
        while True:
            count = await self._writer.call(
                lambda db: self._tables.purge_bus(db, before_ms, PURGE_PART)
            )
            total += count
            if count < PURGE_PART:
                return total

    async def put_definition(self, definition: DefinitionRow) -> DefinitionRow:
        """What is stored under its name: this one, or the one that came first."""
        return await self._writer.call(lambda db: definitions.put_definition(db, definition))

    async def delete_definition(
        self, namespace: str, id: str, version: str | None, *, at_ms: int
    ) -> Deletion:
        """One transaction; a version that is deleted stays for the histories that need it."""
        return await self._writer.call(
            lambda db: definitions.delete_definition(db, namespace, id, version, at_ms)
        )

    async def purge_executions(self, *, ended_before_ms: int, limit: int = 100) -> int:
        """One transaction of a bounded size; 0 when none is left that may go."""
        return await self._writer.call(lambda db: self._purge(db, ended_before_ms, limit))

    def _close(self) -> None:
        self._writer.close()
        super()._close()
