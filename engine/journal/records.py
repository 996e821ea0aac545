"""The records of the `Journal` port: what a journal is given, keeps and answers.

The journal does not know what an event means: bodies are bytes that `engine/kernel/codec.py` made.
"""

from __future__ import annotations

from collections.abc import Mapping

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

    `shard`, `created_at_ms`, `parent`, `priority` and `correlation_id` are those of its first
    commit, whatever a later row says.
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
    parent: str | None = None
    """The execution whose step started it and waits for it."""
    priority: int = 5
    correlation_id: str | None = None


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
    task_type: str = "human"
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
    blobs: tuple[str, ...] = ()  # names of the blobs that these events, or the snapshot, refer to


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
    """A registered version; immutable, but for whether it is deleted.

    Its histories need a deleted version: it is not listed and not the latest, and still there.
    """

    namespace: str
    id: str
    version: str
    content_hash: str
    body: bytes  # the definition as canonical JSON
    compiled: bytes  # what registration fixed for ever: numbering, merged options, code bundle
    registered_at_ms: int
    deleted_at_ms: int | None = None


class DefinitionSummary(Struct, frozen=True, kw_only=True):
    """What a list of definitions shows of a version."""

    namespace: str
    id: str
    version: str
    name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] = {}
    steps: int = 0  # those in branches and bodies too
    registered_at_ms: int


class DefinitionQuery(Struct, frozen=True, kw_only=True):
    """A page of definitions, the one registered last first; every filter given must hold."""

    namespace: str
    id: str | None = None
    filter: str | None = None  # a part of id, name or description, in any case
    tag: tuple[str, str] | None = None
    versions: bool = False  # all of them; otherwise of each id the one registered last
    limit: int = 100  # 1 … 1,000
    offset: int = 0  # rows to leave out, behind the cursor
    cursor: str | None = None  # `DefinitionPage.next_cursor` of the page before
    count: bool = False  # say how many there are in all


class DefinitionPage(Struct, frozen=True, kw_only=True):
    """One page; `next_cursor` is None on the last."""

    rows: tuple[DefinitionSummary, ...]
    next_cursor: str | None
    total: int | None = None  # where it was asked for


class Deletion(Struct, frozen=True, kw_only=True):
    """What became of a deletion: so many versions are deleted; or none, for what needs them."""

    versions: tuple[str, ...] = ()
    executions: tuple[str, ...] = ()  # that have not ended, by their ids; some of them
    definitions: tuple[str, ...] = ()  # `id@version`, that call it; some of them


class ExecutionQuery(Struct, frozen=True, kw_only=True):
    """A page of executions, newest first; every filter that is given must hold."""

    namespace: str
    definition: str | None = None
    version: str | None = None
    status: tuple[ExecutionStatus, ...] = ()
    created_from_ms: int | None = None
    created_before_ms: int | None = None
    tags: Mapping[str, str] = {}
    correlation_id: str | None = None
    q: str | None = None  # a part of its id or its definition's, in any case
    limit: int = 100  # 1 … 1,000
    offset: int = 0  # rows to leave out, behind the cursor: each costs as if it were shown
    cursor: str | None = None  # `ExecutionPage.next_cursor` of the page before
    count: bool = False  # say how many there are in all


class TaskQuery(Struct, frozen=True, kw_only=True):
    """A page of human tasks, newest first; every filter that is given must hold."""

    namespace: str
    execution_id: str | None = None
    definition: str | None = None
    status: tuple[TaskStatus, ...] = ()
    task_type: str | None = None
    person: str | None = None
    """Among `assignees` or `candidates`, or `claimed_by`; a group is written `group:<name>`."""
    limit: int = 100  # 1 … 1,000
    offset: int = 0  # rows to leave out, behind the cursor: each costs as if it were shown
    cursor: str | None = None  # `TaskPage.next_cursor` of the page before
    count: bool = False  # say how many there are in all


class TaskPage(Struct, frozen=True, kw_only=True):
    """One page; `next_cursor` is None on the last."""

    rows: tuple[TaskRow, ...]
    next_cursor: str | None
    total: int | None = None  # where it was asked for; counted up to `paging.TOTAL_MAX`


class ExecutionPage(Struct, frozen=True, kw_only=True):
    """One page; `next_cursor` is None on the last."""

    rows: tuple[ExecutionRow, ...]
    next_cursor: str | None
    total: int | None = None  # where it was asked for; counted up to `paging.TOTAL_MAX`
