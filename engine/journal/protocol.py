"""The `Journal` port: what every store of histories promises, and the records it keeps.

The journal does not know what an event means: bodies are bytes that `engine/kernel/codec.py` made.
It knows executions, their order, who owns them, when they want to wake, and what may be asked
about them. Blobs have a port of their own in `blobs.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.status import ExecutionStatus, TaskStatus


class JournalInfo(Struct, frozen=True, kw_only=True):
    """What a journal knows about itself; fixed when it is created."""

    deployment_id: str
    format_version: int
    shard_count: int
    single_node: bool  # one writing process on one node (SQLite), or shared (PostgreSQL)


class Claim(Struct, frozen=True, kw_only=True):
    """Ownership of a shard by one incarnation, until a later claim raises the epoch."""

    shard: str
    epoch: int
    next_position: int  # the owner numbers the shard's events from here, without a gap


class ShardRow(Struct, frozen=True, kw_only=True):
    """Who owns a shard, as far as the journal knows."""

    shard: str
    epoch: int
    owner: str | None  # an incarnation


class OwnerRow(Struct, frozen=True, kw_only=True):
    """One process life of an execution host; `beat_at_ms` moves while its turns do."""

    incarnation: str
    name: str
    pid: int
    node: str
    started_at_ms: int
    beat_at_ms: int
    draining: bool = False


class ExecutionRow(Struct, frozen=True, kw_only=True):
    """The searchable projection of one execution; written whole, in the commit that changes it.

    `shard` and `created_at_ms` are those of its first commit, whatever a later row says.
    """

    key: ExecutionKey
    shard: str
    definition: str
    version: str
    status: ExecutionStatus
    run: int = 1
    busy: int = 0
    """Attempts outstanding: a take-over loads the executions where this is not zero."""
    wake_at_ms: int | None = None
    """The earliest of its timers: the durable index that wakes hibernated executions."""
    created_at_ms: int
    ended_at_ms: int | None = None
    failure_type: str | None = None
    failure_message: str | None = None
    tags: Mapping[str, str] = {}
    awaits: tuple[str, ...] = ()
    """Types of the events that it wants to hear of; those of a row that has ended do not count."""


class TaskRow(Struct, frozen=True, kw_only=True):
    """The searchable projection of one human task; written whole, in the commit that changes it.

    `created_at_ms` is that of its first commit, whatever a later row says.
    """

    key: ExecutionKey  # that of the append which carries it
    task_id: str  # unique in its execution
    definition: str
    step: str
    name: str | None = None
    point: str | None = None
    status: TaskStatus
    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    claimed_by: str | None = None
    created_at_ms: int
    deadline_at_ms: int | None = None
    ended_at_ms: int | None = None
    body: bytes = b""  # what the person is shown, and the form; the journal does not look into it


class BusEvent(Struct, frozen=True, kw_only=True):
    """A published event; its id is unique in its namespace, for as long as the bus keeps it."""

    id: str
    namespace: str
    name: str
    published_at_ms: int
    body: bytes


class Message(Struct, frozen=True, kw_only=True):
    """What one execution tells another; kept until the receiver has journaled its id."""

    id: str
    sender_shard: str
    receiver: ExecutionKey
    sent_at_ms: int
    body: bytes


class SnapshotRow(Struct, frozen=True, kw_only=True):
    """The state after event `seq`; the latest one replaces the earlier ones."""

    seq: int
    body: bytes


class Append(Struct, frozen=True, kw_only=True):
    """What one turn adds to one execution; stored whole or, on a conflict, not at all."""

    key: ExecutionKey
    after_seq: int  # 0 creates the execution, and conflicts when it exists
    events: tuple[bytes, ...]
    row: ExecutionRow | None = None  # None leaves the row as it is; never None where after_seq is 0
    snapshot: SnapshotRow | None = None
    sent: tuple[Message, ...] = ()
    received: tuple[str, ...] = ()  # message ids that these events journal: their rows are deleted
    tasks: tuple[TaskRow, ...] = ()  # replace the rows of the same tasks
    published: tuple[BusEvent, ...] = ()  # an id that the bus keeps is left as it is


class ShardBatch(Struct, frozen=True, kw_only=True):
    """The atomic unit: all that one turn adds to one shard."""

    shard: str
    epoch: int
    first_position: int  # of the first event of the first append, then dense in the order given
    """The shard's next; anything else is the owner's mistake and raises `JournalError`."""
    appends: tuple[Append, ...]


class AppendResult(Struct, frozen=True, kw_only=True):
    """What was refused; the rest is stored.

    `fenced`: shards with a newer owner (drop their state, never retry). `conflicts`: executions
    whose `after_seq` is not their last (load again, decide again). Where executions of a shard
    conflict, the positions of the appends stored after them close up, so that they stay dense;
    `next_positions` says where each stored shard goes on.
    """

    fenced: frozenset[str] = frozenset()
    conflicts: frozenset[ExecutionKey] = frozenset()
    next_positions: Mapping[str, int] = {}


class StoredExecution(Struct, frozen=True, kw_only=True):
    """All that is needed to fold an execution's state again."""

    row: ExecutionRow
    snapshot: SnapshotRow | None
    events: tuple[bytes, ...]  # those after the snapshot, in order
    last_seq: int


class FollowedEvent(Struct, frozen=True, kw_only=True):
    """An event as a follower of its shard sees it."""

    position: int
    key: ExecutionKey
    seq: int
    body: bytes


class DefinitionRow(Struct, frozen=True, kw_only=True):
    """A registered version; immutable."""

    namespace: str
    id: str
    version: str
    content_hash: str
    body: bytes  # the definition as canonical JSON
    compiled: bytes  # what registration fixed for ever: numbering, merged options, code bundle
    registered_at_ms: int


class ExecutionQuery(Struct, frozen=True, kw_only=True):
    """A page of executions, newest first; every filter that is given must hold."""

    namespace: str
    definition: str | None = None
    version: str | None = None
    status: tuple[ExecutionStatus, ...] = ()
    created_from_ms: int | None = None
    created_before_ms: int | None = None
    tags: Mapping[str, str] = {}
    limit: int = 100  # 1 … 1,000
    cursor: str | None = None  # `ExecutionPage.next_cursor` of the page before


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A page of human tasks, newest first; every filter that is given must hold."""

    namespace: str
    execution_id: str | None = None
    definition: str | None = None
    status: tuple[TaskStatus, ...] = ()
    person: str | None = None
    """Among `assignees` or `candidates`, or `claimed_by`; a group is written `group:<name>`."""
    limit: int = 100  # 1 … 1,000
    cursor: str | None = None  # `TaskPage.next_cursor` of the page before


class TaskPage(Struct, frozen=True, kw_only=True):
    """One page; `next_cursor` is None on the last."""

    rows: tuple[TaskRow, ...]
    next_cursor: str | None


class ExecutionPage(Struct, frozen=True, kw_only=True):
    """One page; `next_cursor` is None on the last."""

    rows: tuple[ExecutionRow, ...]
    next_cursor: str | None


class Journal(Protocol):
    """Append-only events, one gapless sequence per execution; `seq` and `position` count from 1.

    Guaranteed by every backend, each clause being a class in tests/conformance/:

    - Atomic: a shard's batch is stored whole (but for the executions named in `conflicts`, each of
      which is left out whole) or not at all, whatever is killed meanwhile.
    - Durable: once `append` returns, its events survive the loss of this process.
      (The memory backend promises this for the life of its object only.)
    - Ordered: readers see the events of an execution in `seq` order, never with a gap.
    - Dense: the events of a shard have the positions 1, 2, 3, …; a follower that asks again after
      the last position it saw misses none and sees none twice.
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
        """Store a version, or return the one that is there already; the caller compares hashes."""
        ...

    async def get_definition(
        self, namespace: str, id: str, version: str | None = None
    ) -> DefinitionRow | None:
        """A version; None asks for the one registered last."""
        ...

    async def list_definitions(
        self, namespace: str, *, id: str | None = None, limit: int = 100, offset: int = 0
    ) -> Sequence[DefinitionRow]:
        """Every version, the one registered last first."""
        ...

    # visibility

    async def get_row(self, key: ExecutionKey) -> ExecutionRow | None: ...

    async def list_executions(self, query: ExecutionQuery) -> ExecutionPage: ...

    async def count_executions(self, namespace: str | None = None) -> Mapping[str, int]:
        """How many executions have each status (None: of all namespaces)."""
        ...

    async def close(self) -> None:
        """Give up the journal and its locks; every later call raises `JournalError`."""
        ...


class BlobStore(Protocol):
    """Large values by content: `namespace/hash`, written once, read whole.

    - A blob that `put` returned survives the loss of this process; a half-written one is never
      read.
    - Every `put` refreshes the blob's time, also where the content is there already.
    - `sweep` spares what is younger than its bound, so that a blob written before the event that
      will name it is never lost.
    """

    def put(self, namespace: str, content: bytes) -> str:
        """Store; return the name `namespace/sha256`."""
        ...

    def get(self, name: str) -> bytes:
        """Raises `NotFound`."""
        ...

    def exists(self, name: str) -> bool: ...

    def sweep(self, keep: frozenset[str], *, older_than_s: float) -> int:
        """Delete what is not kept and not younger than the bound; return how many."""
        ...
