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
    signal            SignalRequest       Accepted
    act_on_task       TaskActionRequest   Accepted
    publish           PublishRequest      EventAccepted
    list_tasks        TaskQuery           TaskInfos
    get_task          TaskRequest         TaskInfo
    deliver           Deliveries          DeliveryAnswers (between hosts)
    status            ExecutionKey        ExecutionView
    history           HistoryRequest      HistoryPage
    list_executions   ExecutionQuery      ExecutionPage
    count_executions  CountRequest        dict of status -> count
    put_definition    DefinitionRow       DefinitionRow
    get_definition    DefinitionRequest   DefinitionRow
    list_definitions  DefinitionsRequest  list of DefinitionRow
    info                                  HostInfo
    drain             DrainRequest        HostInfo
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from heliostat.actors.calls import unpack
from heliostat.actors.host.api import Ended, Refusal
from heliostat.engine.identity import ExecutionKey

_T = TypeVar("_T")


class ResultBatch(Struct, frozen=True, kw_only=True):
    """What a result stream says at once.

    Empty when there is nothing to say, at least once a second. `resync`: ends may have been left
    out; ask with `Watch` for all that are still awaited.
    """

    ended: tuple[Ended, ...] = ()
    resync: bool = False


class WatchAnswers(Struct, frozen=True, kw_only=True):
    """What a `Watch` could not do; all its other executions are watched, or have ended already."""

    unknown: tuple[ExecutionKey, ...] = ()
    elsewhere: tuple[tuple[ExecutionKey, str], ...] = ()  # with the owner's name


class HistoryRequest(Struct, frozen=True, kw_only=True):
    """A page of a history, from the event after `after_seq`."""

    key: ExecutionKey
    after_seq: int = 0
    limit: int = 1_000  # 1 … 1,000


class HistoryPage(Struct, frozen=True, kw_only=True):
    """Events as `rendering.py` writes them, each with its `seq`; None: there are no more yet."""

    events: tuple[dict[str, Any], ...]
    next_after_seq: int | None


class CountRequest(Struct, frozen=True, kw_only=True):
    """How many executions have each status; None: of all namespaces."""

    namespace: str | None = None


class DefinitionRequest(Struct, frozen=True, kw_only=True):
    """A registered version; None: the one registered last."""

    namespace: str
    id: str
    version: str | None = None


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
    state: str  # opening | running | draining | stopped
    trouble: str | None
    """Why the journal cannot be opened, read or written just now; None: all is well."""
    moved_ms_ago: int
    """Since the turn loop last went round."""
    uptime_ms: int
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
