"""The `Journal` port: what every store of histories promises; its records are in `records.py`.

It knows executions, their order, who owns them, when they want to wake, and what may be asked
about them. Blobs have a port of their own, `BlobStore`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from heliostat.engine.identity import ExecutionKey

from .records import (
    Append,
    AppendResult,
    BusEvent,
    Claim,
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    DefinitionSummary,
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
    SnapshotRow,
    StoredExecution,
    TaskPage,
    TaskQuery,
    TaskRow,
)

__all__ = [
    "Append",
    "AppendResult",
    "BlobStore",
    "BusEvent",
    "Claim",
    "DefinitionPage",
    "DefinitionQuery",
    "DefinitionRow",
    "DefinitionSummary",
    "Deletion",
    "ExecutionPage",
    "ExecutionQuery",
    "ExecutionRow",
    "FollowedEvent",
    "Journal",
    "JournalInfo",
    "Message",
    "OwnerRow",
    "ShardBatch",
    "ShardRow",
    "SnapshotRow",
    "StoredExecution",
    "TaskPage",
    "TaskQuery",
    "TaskRow",
]


class Journal(Protocol):
    """Append-only events, one gapless sequence per execution; `seq` and `position` count from 1.

    Guaranteed by every backend, each clause being a class in tests/conformance/:

    - Atomic: a shard's batch is stored whole (but for the executions named in `conflicts`, each of
      which is left out whole) or not at all, whatever is killed meanwhile.
    - Durable: once `append` returns, its events survive the loss of this process.
      (The memory backend promises this for the life of its object only.)
    - Ordered: readers see the events of an execution in `seq` order, never with a gap.
    - Dense: the events of a shard have the positions 1, 2, 3, …, without those of purged
      executions; a follower that asks again after the last position it saw misses none and sees
      none twice.
    - Fenced: after a claim of a shard at epoch N, every append at another epoch is refused.
    - Unique: two appends with the same `after_seq` for one execution are not both stored.
    - Messages: a message sent in a stored append is read by `outgoing` until an append that
      `received` its id is stored; both are part of the atomic unit.
    - Bus: published events have the positions 1, 2, 3, …, in one order for all readers: whoever
      has seen a position will see none before it for the first time. Those of an append are part
      of the atomic unit. A namespace has an id once, however often it is published, until the
      event is purged; a position is never given again. A cursor moves under the epoch of its
      shard's owner, and only forwards.
    - Subscriptions: `awaiting` names each execution whose row `awaits` the type and has not ended,
      and no other: from the commit that says so to the one that says otherwise. One that leaves
      its end again is named again.
    - Tasks: a row in `tasks` replaces that of the same task; it is part of the atomic unit.
    - Timers: `due` names every execution whose row has `wake_at_ms` at or before the instant.
    - Blobs: a name in `blobs` is part of the atomic unit, and is named until the execution is
      purged; the code of a definition is named for ever.

    Not guaranteed: atomicity or any order across shards, or that a read shows an append in flight.

    Every method may raise `JournalUnavailable` (nothing was stored; retry with back-off) and
    `OutcomeUnknown` (the connection broke in the commit; read `seq` before anything else).
    """

    @property
    def info(self) -> JournalInfo: ...

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
        """Store each shard's batch under its epoch; in one commit where the backend can.

        A shard has one batch in a call. A call that contradicts itself or the shard's next position
        raises `JournalError` and nothing of it is stored.
        """
        ...

    # ownership

    async def register_owner(self, owner: OwnerRow) -> None:
        """Enter an incarnation into the list of live hosts, or renew its row."""
        ...

    async def beat(self, incarnation: str, *, at_ms: int, draining: bool = False) -> None:
        """Show that an owner's turns move; a row that is gone stays gone."""
        ...

    async def remove_owner(self, incarnation: str) -> None:
        """Take an incarnation off the list: it ended, or was seen dead."""
        ...

    async def owners(self) -> Sequence[OwnerRow]: ...

    async def claim(self, shard: str, *, owner: str, after_epoch: int) -> Claim | None:
        """Become the owner by raising the epoch; None when the epoch is not `after_epoch` any more.

        Any text may be a shard; one that was never claimed has epoch 0.
        """
        ...

    async def shards(self) -> Sequence[ShardRow]:
        """All shards `0 … shard_count - 1`, and every other that was ever claimed."""
        ...

    # executions

    async def load(self, key: ExecutionKey) -> StoredExecution | None: ...

    async def load_busy(
        self, shard: str, *, after: ExecutionKey | None, limit: int
    ) -> Sequence[StoredExecution]:
        """Executions of a shard with attempts outstanding, in key order, in bulk."""
        ...

    async def due(
        self, shard: str, *, until_ms: int, limit: int
    ) -> Sequence[tuple[int, ExecutionKey]]:
        """`(wake_at_ms, key)` of executions that want to wake, earliest first."""
        ...

    async def read(
        self, key: ExecutionKey, *, after_seq: int, limit: int = 1_000
    ) -> Sequence[tuple[int, bytes]]:
        """`(seq, event)` of a history, in order."""
        ...

    async def follow(
        self, shard: str, *, after_position: int, limit: int = 1_000
    ) -> Sequence[FollowedEvent]:
        """Events of a shard in position order: publishers and followers keep a cursor into it."""
        ...

    async def outgoing(
        self, shard: str, *, after: Message | None = None, limit: int = 1_000
    ) -> Sequence[Message]:
        """Messages sent from executions of a shard and not yet journaled by their receivers.

        In the order `(sent_at_ms, id)`, from the one following `after`: those that cannot be
        delivered do not hide the others.
        """
        ...

    # events

    async def publish(self, events: Sequence[BusEvent]) -> None:
        """Put events on the bus that no execution's commit carries: a client published them.

        All of them or none, in the order given. Repeating it is harmless: an id that the bus keeps
        is left as it is, whatever the repetition says of it.
        """
        ...

    async def bus(
        self, *, after_position: int, limit: int = 1_000
    ) -> Sequence[tuple[int, BusEvent]]:
        """`(position, event)` in the bus's order; what was purged is left out."""
        ...

    async def bus_end(self) -> int:
        """The position of the latest event, purged or not; 0 where there never was one."""
        ...

    async def bus_cursor(self, shard: str) -> int:
        """Up to where a shard's executions have been told; 0 for a shard that was never moved."""
        ...

    async def advance_bus(self, shard: str, *, epoch: int, position: int) -> bool:
        """Move a shard's cursor; False, and it stays, when the shard has another epoch by now.

        A position that it has passed leaves it where it is, and is True. One behind the bus's end
        is the owner's mistake and raises `JournalError`: events would go by untold.
        """
        ...

    async def awaiting(
        self,
        shard: str,
        *,
        namespace: str,
        name: str,
        after: ExecutionKey | None = None,
        limit: int = 1_000,
    ) -> Sequence[ExecutionKey]:
        """Executions of a shard that want to hear of an event's type, in key order.

        From the key following `after`, which need not be one that awaits, or awaits still. An
        execution that awaits the type from the first page to the last is named once; one that
        begins or ends meanwhile may be or not.
        """
        ...

    async def purge_bus(self, *, before_ms: int) -> int:
        """Delete events published before an instant; how many. Positions are not given again.

        Whether all shards' cursors have passed them is the caller's to know. Not one commit: what
        was deleted before an error stays deleted.
        """
        ...

    # human tasks

    async def get_task(self, key: ExecutionKey, task_id: str) -> TaskRow | None: ...

    async def list_tasks(self, query: TaskQuery) -> TaskPage:
        """A page that neither repeats nor skips a task which matched from the first page on."""
        ...

    # definitions

    async def put_definition(self, definition: DefinitionRow) -> DefinitionRow:
        """Store a version, or return the one that is there already; the caller compares hashes.

        One that was deleted is there; with the same hash it is not deleted any more, and was
        registered when this one says.
        """
        ...

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        """A version, also a deleted one; None asks for the one registered last that is not."""
        ...

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        """Every version that is not deleted, the one registered last first."""
        ...

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """A page of summaries; costs by how many there are, not by how large they are."""
        ...

    async def delete_definition(
        self, namespace: str, id: str, version: str | None, *, at_ms: int
    ) -> Deletion:
        """Delete a version, or all of them: whole, or not at all.

        Nothing is deleted while an execution of them has not ended, or a version of another
        definition calls them. An execution that is started meanwhile, by who had looked before,
        goes on with its version.
        """
        ...

    # visibility

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None: ...

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage: ...

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        """How many executions have each status (None: of all namespaces)."""
        ...

    # retention

    async def purge_executions(self, *, ended_before_ms: int, limit: int = 100) -> int:
        """Delete executions that ended before an instant, the earliest end first; how many.

        One commit of at most `limit` executions, fewer where they are large, each with its events,
        snapshot, tasks and blob names; 0 says that none is left. In the shard of a dedicated
        execution nothing is left, and so is the shard. One of whose messages one is not taken yet
        is left out. Positions are not given again, and `follow` goes on after the gap. An append
        that follows conflicts, as for one that never was; one that creates it again is stored.
        """
        ...

    async def named_blobs(self, names: Sequence[str]) -> frozenset[str]:
        """Of these blobs, those that a stored history or a definition's code names."""
        ...

    async def close(self) -> None:
        """Give up the journal and its locks; every later call raises `JournalError`."""
        ...


class BlobStore(Protocol):
    """Large values by content: `namespace/hash`, written once, read whole.

    - A blob that `put` returned survives the loss of this process; a half-written one is never
      read.
    - Every `put` refreshes the blob's time, also where the content is there already.
    - `delete` spares what is younger than its bound, so that a blob written before the event that
      will name it is never lost.
    """

    def put(self, namespace: str, content: bytes) -> str:
        """Store; return the name `namespace/sha256`."""
        ...

    def get(self, name: str) -> bytes:
        """Raises `NotFound`."""
        ...

    def exists(self, name: str) -> bool: ...

    def aged(self, *, older_than_s: float) -> Iterator[Sequence[str]]:
        """The names of all blobs not younger than a bound, in parts of bounded size.

        What a killed writer left, and is as old, is cleared on the way.
        """
        ...

    def delete(self, names: Sequence[str], *, older_than_s: float) -> int:
        """Delete those that are still not younger than the bound; how many."""
        ...
