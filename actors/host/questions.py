"""What clients may ask a host beyond `api.py`, and how an answer is told from a refusal.

Requests and answers are packed with `api.pack` like those. Every call answers either the value
named here or a `Refusal`; `answer` takes the two apart.

    call              request             answer
    start_many        StartMany           StartAnswers
    watch             Watch               WatchAnswers
    results(client)   the client's id     a stream of ResultBatch
    cancel            CancelRequest       Accepted
    pause             PauseRequest        Accepted
    resume            ResumeRequest       Accepted
    retry             RetryRequest        Accepted
    migrate           MigrateRequest      Accepted
    signal            SignalRequest       Accepted
    act_on_task       TaskActionRequest   Accepted
    set_metadata      MetadataRequest     Accepted
    publish           PublishRequest      EventAccepted
    list_tasks        TaskQuery           TaskInfos
    get_task          TaskRequest         TaskInfo
    deliver           Deliveries          DeliveryAnswers (between hosts)
    status            ExecutionKey        ExecutionView
    variables         ExecutionKey        VariablesView
    attempts          ExecutionKey        Attempts
    history           HistoryRequest      HistoryPage
    follow            FollowRequest       a stream of FollowBatch
    subscribe         Subscribe           Subscribed
    feed(client)      the client's id     a stream of FeedBatch
    stored            StoredRequest       StoredPage
    list_executions   ExecutionQuery      ExecutionPage
    count_executions  CountRequest        dict of status -> count
    put_definition    DefinitionRow       DefinitionRow
    get_definition    DefinitionRequest   DefinitionRow
    list_definitions  DefinitionsRequest  list of DefinitionRow
    definitions_page  DefinitionQuery     DefinitionPage
    delete_definition DeleteDefinition    Deletion
    forget_definition Forgotten           None
    directory                             Directory
    locate            ExecutionKey        Located
    info                                  HostInfo
    drain             DrainRequest        HostInfo
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from heliostat.actors.calls import unpack
from heliostat.actors.host.api import Ended, ExecutionView, Refusal
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.values import Value

_T = TypeVar("_T")


class ResultBatch(Struct, frozen=True, kw_only=True):
    """What a result stream says at once.

    Empty when there is nothing to say, at least once a second. `resync`: ends may have been left
    out; ask with `Watch` for all that are still awaited.
    """

    ended: tuple[Ended, ...] = ()
    resync: bool = False


class Directory(Struct, frozen=True, kw_only=True):
    """Who has which executions, as far as the host that is asked knows.

    A client keeps it, and follows `NOT_OWNER` where it is old. Shards that nobody has just now are
    left out, or are named with the host that they fall to.
    """

    shard_count: int
    shards: dict[str, str]  # shard -> the name of its host
    hosts: tuple[str, ...]  # that live and are not being drained


class Located(Struct, frozen=True, kw_only=True):
    """`locate`: who carries an execution, as far as the host that is asked knows."""

    exists: bool
    carrier: str
    """An actor's name. Of a dedicated execution without an actor just now, that of its guard."""
    dedicated: bool = False


class WatchAnswers(Struct, frozen=True, kw_only=True):
    """What a `Watch` could not do; all its other executions are watched, or have ended already."""

    unknown: tuple[ExecutionKey, ...] = ()
    elsewhere: tuple[tuple[ExecutionKey, str], ...] = ()  # with the owner's name
    unowned: tuple[ExecutionKey, ...] = ()  # no host has them just now; ask again soon


class HistoryRequest(Struct, frozen=True, kw_only=True):
    """A page of a history, from the event after `after_seq`."""

    key: ExecutionKey
    after_seq: int = 0
    limit: int = 1_000  # 1 … 1,000


class HistoryPage(Struct, frozen=True, kw_only=True):
    """Events as `rendering.py` writes them, each with its `seq`; None: there are no more yet."""

    events: tuple[dict[str, Any], ...]
    next_after_seq: int | None


class FollowRequest(Struct, frozen=True, kw_only=True):
    """`follow`: how an execution is, and its events from the one after `after_seq` on, live.

    None: those that follow the state which is told first. A stream may end before the execution
    does, and is then opened anew after the last event that it told.
    """

    key: ExecutionKey
    after_seq: int | None = 0


class FollowBatch(Struct, frozen=True, kw_only=True):
    """What following says at once; empty when there is nothing to say, at least once a second.

    The first has the `view`. `ended`: the execution has ended, and all its events were told.
    """

    view: ExecutionView | None = None
    events: tuple[dict[str, Any], ...] = ()
    ended: bool = False


class Subscribe(Struct, frozen=True, kw_only=True):
    """Have the events of executions sent by a client's feed; of those in `drop` no more."""

    client: str
    keys: tuple[ExecutionKey, ...] = ()
    drop: tuple[ExecutionKey, ...] = ()


class Subscribed(Struct, frozen=True, kw_only=True):
    """What a `Subscribe` could not do; the events of all its other executions are sent."""

    feed: str
    """The host's memory of the client: batches that name another one know nothing of this."""
    unknown: tuple[ExecutionKey, ...] = ()
    elsewhere: tuple[tuple[ExecutionKey, str], ...] = ()  # with the owner's name
    unowned: tuple[ExecutionKey, ...] = ()  # no host has them just now; ask again soon


class Recorded(Struct, frozen=True, kw_only=True):
    """Events of one execution that became durable, as they are stored: those after `after_seq`."""

    key: ExecutionKey
    after_seq: int
    bodies: tuple[msgspec.Raw, ...]


class FeedBatch(Struct, frozen=True, kw_only=True):
    """What a feed says at once.

    Empty when there is nothing to say, at least once a second. `resync`: events may have been left
    out; read what is missing. `lost`: executions that others carry now, whose events are not sent
    any more; subscribe again. `notices` are not recorded anywhere, and some may be left out.
    """

    feed: str
    """As in `Subscribed`. A host that died, or forgot a client that was long away, has another."""
    recorded: tuple[Recorded, ...] = ()
    notices: tuple[tuple[ExecutionKey, dict[str, Any]], ...] = ()
    lost: tuple[ExecutionKey, ...] = ()
    resync: bool = False


class StoredRequest(Struct, frozen=True, kw_only=True):
    """A page of a history as it is stored, from the event after `after_seq`."""

    key: ExecutionKey
    after_seq: int = 0
    limit: int = 1_000  # 1 … 1,000


class StoredPage(Struct, frozen=True, kw_only=True):
    """Stored events, one after the other without a gap, and the version that they speak of."""

    definition: str
    version: str
    bodies: tuple[msgspec.Raw, ...]
    more: bool
    """Whether there may be more."""


class VariablesView(Struct, frozen=True, kw_only=True):
    """The variables of an execution's root scope, as they are now.

    Of 4 MiB together: those beyond are named in `left_out`, and their values are in the history.
    """

    variables: dict[str, Value] = {}
    left_out: tuple[str, ...] = ()


class CountRequest(Struct, frozen=True, kw_only=True):
    """How many executions have each status; None: of all namespaces."""

    namespace: str | None = None


class DefinitionRequest(Struct, frozen=True, kw_only=True):
    """A registered version; None: the one registered last."""

    namespace: str
    id: str
    version: str | None = None
    deleted: bool = False  # a version that is named, also where it is deleted


class DeleteDefinition(Struct, frozen=True, kw_only=True):
    """`delete_definition`: a version, None: all of them. Nothing is deleted that is needed:
    `DEPENDENCY_ERROR`; what is not there, or deleted already, is `NOT_FOUND`."""

    namespace: str
    id: str
    version: str | None = None


class Forgotten(Struct, frozen=True, kw_only=True):
    """`forget_definition`: another host has deleted these."""

    namespace: str
    id: str
    versions: tuple[str, ...]


class DefinitionsRequest(Struct, frozen=True, kw_only=True):
    """Every registered version, the one registered last first."""

    namespace: str
    id: str | None = None
    limit: int = 100
    offset: int = 0


class DrainRequest(Struct, frozen=True, kw_only=True):
    """Stop taking starts and give up the shards; wait so long for attempts at runners to end."""

    wait_ms: int = 0


class ShardInfo(Struct, frozen=True, kw_only=True):
    """A shard that this host owns."""

    shard: str
    epoch: int
    next_position: int
    serving: bool


class HostInfo(Struct, frozen=True, kw_only=True):
    """A host as it sees itself; answered without the journal."""

    name: str
    incarnation: str
    pid: int
    node: str
    """The machine's name."""
    state: str  # opening | running | draining | stopped
    trouble: str | None
    """Why the journal cannot be opened, read or written just now; None: all is well."""
    moved_ms_ago: int
    """Since the turn loop last went round."""
    uptime_ms: int
    ray_node: str = ""
    """Ray's id of the node it is on."""
    data_dir: str = ""
    """The data directory that it works for; empty where it has none."""
    shards: tuple[ShardInfo, ...] = ()
    resident: int = 0
    idle: int = 0
    turns: int = 0
    stimuli: int = 0
    events: int = 0
    started: int = 0
    ended: int = 0
    commit_ms_mean: float = 0.0
    commit_ms_max: float = 0.0
    starts_queued: int = 0
    reports_queued: int = 0
    requests_queued: int = 0
    loads_queued: int = 0
    messages_pending: int = 0
    """From executions of this host to others, not taken yet; of these, what is in memory."""
    messages_dropped: int = 0
    """That could not be delivered; the log says which, and why."""
    events_passed: int = 0
    """Events that were brought to an execution, once for each."""
    timers: int = 0
    clients: int = 0
    clock_jumps: int = 0
    faults: tuple[str, ...] = ()


class _Tag(Struct):
    type: str | None = None


def answer(body: bytes, type: type[_T]) -> _T | Refusal:
    """An answer's value, or the refusal that came in its place."""
    try:
        tag = unpack(body, _Tag).type
    except msgspec.ValidationError:  # a list, or a map with a `type` of its own
        tag = None
    return unpack(body, Refusal) if tag == "refusal" else unpack(body, type)
