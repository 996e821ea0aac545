"""What clients and hosts say to each other: requests, answers, and the names of the calls.

Every call of an `ExecutionHost` takes and returns the bytes of these (actors/calls.py).
An answer is either the value or a `Refusal`, since a Ray exception would lose the code.
The table of all calls is in `questions.py`.

A request that changes an execution names it by `key` and carries a `message_id` that the client
drew before the first send: repeated, it is answered again and changes nothing. Its answer comes
when what it led to is durable. It is refused, and nothing changed, with

    NOT_FOUND      there is no such execution, step or task
    CONFLICT       the execution, or the task, is not in a state for it
    UNMAPPED       it has something that the version moved to has not
    INVALID_INPUT  what it carries breaks a form, or is too large
    OVERLOADED     a queue or a buffer is full; later it may be accepted
    NOT_OWNER      another host has the execution; `details["owner"]` names it
    UNREACHABLE    the host cannot serve just now
    INTERNAL       a fault of ours; the host's log has it
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.scheduling.protocol import PRIORITY
from heliostat.engine.status import ExecutionStatus, TaskStatus
from heliostat.engine.values import Value


class Refusal(Struct, frozen=True, kw_only=True, tag="refusal"):
    """A request that was not accepted; `code` as in engine/errors.py."""

    code: str
    message: str
    details: dict[str, Any] = {}


class StartRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One execution to start. The id is drawn by the client before the first send, so that a
    repeated request is the same start."""

    key: ExecutionKey
    definition: str
    version: str | None = None  # None: the one registered last
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None
    tags: dict[str, str] = {}
    priority: int | None = None  # 1–10; None: the definition's
    correlation_id: str | None = None


class StartMany(Struct, frozen=True, kw_only=True):
    """Starts, and the client whose result stream wants their ends (None: nobody)."""

    client: str | None
    starts: tuple[StartRequest, ...]


class Started(Struct, frozen=True, kw_only=True, tag="started"):
    """The start is durable; `existed` when an equal one was there before."""

    key: ExecutionKey
    version: str
    existed: bool = False


class StartAnswers(Struct, frozen=True, kw_only=True):
    """One answer per start, in order."""

    answers: tuple[Started | Refusal, ...]


class Ended(Struct, frozen=True, kw_only=True):
    """An execution's end, as the result streams carry it; readable in the journal before."""

    key: ExecutionKey
    status: ExecutionStatus
    run: int = 1  # which one ended: a failed execution may be retried
    output: Value = None
    failure: Failure | None = None


class Watch(Struct, frozen=True, kw_only=True):
    """Adds executions to a client's result stream; those that ended already come at once."""

    client: str
    keys: tuple[ExecutionKey, ...]


class Request(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asks something of one execution; `message_id` makes a repetition harmless."""

    key: ExecutionKey
    message_id: str


class CancelRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`cancel`: ask an execution to end. One that has ended is a `CONFLICT`."""

    reason: str | None = None


class PauseRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`pause`: start nothing new. Paused already: accepted; ended: `CONFLICT`."""

    reason: str | None = None


class ResumeRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`resume`: go on after a pause. Not paused: `CONFLICT`."""


class RetryRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`retry`: a new run of a failed execution, from where it failed or from a step of the root.

    Any other status is a `CONFLICT`, an unknown step `NOT_FOUND`.
    """

    from_step: str | None = None  # its id


class MigrateRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`migrate`: go on with another version of the definition, or only say whether it would.

    What does not map is `UNMAPPED`, with `obstacles` in the details; ended, or at that version
    already: `CONFLICT`; no such version: `NOT_FOUND`.
    """

    version: str | None = None  # None: the one registered last
    reason: str | None = None
    dry_run: bool = False


class SignalRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`signal`: give an execution a signal, for a wait that is open or will be.

    Ended: `CONFLICT`; a full buffer: `OVERLOADED`; more than `HostBounds.request_bytes`:
    `INVALID_INPUT`.
    """

    name: str
    data: Value = None


class TaskActionRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`act_on_task`: a person claims, releases, assigns, completes or fails a human task, or says
    how far it is.

    An unknown task is `NOT_FOUND`; one that has ended, or that another person has claimed,
    `CONFLICT`; `data` that breaks the form `INVALID_INPUT`.
    """

    task_id: str
    verb: TaskVerb
    user: str
    assignees: tuple[str, ...] = ()  # of `assign`
    candidates: tuple[str, ...] = ()
    data: Value = None  # of `complete`; of `fail` and `progress`: details
    error: str = ""  # of `fail`
    progress: int | None = None  # of `progress`
    force: bool = False  # complete, fail or release what another person has claimed


class MetadataRequest(Request, frozen=True, kw_only=True, omit_defaults=True):
    """`set_metadata`: what people note about an execution, also of one that has ended; replaces
    what was noted. More than `metadata.py` allows: `INVALID_INPUT`."""

    metadata: dict[str, str]


AnyRequest = (
    CancelRequest
    | PauseRequest
    | ResumeRequest
    | RetryRequest
    | MigrateRequest
    | SignalRequest
    | TaskActionRequest
    | MetadataRequest
)


class Accepted(Struct, frozen=True, kw_only=True):
    """A request is durable, now or by an earlier one with its id; `status` is what it led to."""

    key: ExecutionKey
    status: ExecutionStatus
    run: int = 1


class PublishRequest(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`publish`: an event for all executions of a namespace that wait for its type, or handle it.

    The id is drawn by the client and unique in the namespace: an event published again under its
    id is the same event. Refused with `INVALID_INPUT` or `OVERLOADED`.
    """

    namespace: str
    id: str
    name: str  # its type
    data: Value = None
    correlation_id: str | None = None  # what it belongs to; `$.event.correlation_id`


class EventAccepted(Struct, frozen=True, kw_only=True):
    """The event is durable; those that wait for it hear of it soon."""

    id: str


class TaskRequest(Struct, frozen=True, kw_only=True):
    """`get_task`: one human task; `NOT_FOUND` where there is none."""

    key: ExecutionKey
    task_id: str


class TaskInfo(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A human task as it is now; `get_task` and `list_tasks` answer these.

    `task_id` is unique in its execution: the task's address, `scope:step:visit:attempt`.
    """

    key: ExecutionKey
    task_id: str
    definition: str
    step: str
    name: str | None = None
    point: str | None = None  # the intervention point
    task_type: str = "human"  # `intervention`: it decides about a failed step
    status: TaskStatus
    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    claimed_by: str | None = None
    created_at_ms: int
    deadline_at_ms: int | None = None
    ended_at_ms: int | None = None
    level: int = 0  # escalations so far
    input: Value = None  # what the person is shown
    form: dict[str, Any] | None = None  # a JSON Schema of what is to be submitted
    failure: Failure | None = None  # of a task that decides about a failed step
    progress: int | None = None  # of 100, as who works at it said last
    details: Value = None  # likewise
    output: Value = None  # what its step completed with
    error: Failure | None = None  # what it failed with


class TaskInfos(Struct, frozen=True, kw_only=True):
    """A page of human tasks, newest first; asked for with a `TaskQuery` of the journal."""

    tasks: tuple[TaskInfo, ...]
    next_cursor: str | None = None  # of the next page's query; None on the last
    total: int | None = None  # where the query wants it


class ExecutionView(Struct, frozen=True, kw_only=True):
    """What `status` answers."""

    key: ExecutionKey
    definition: str
    version: str
    status: ExecutionStatus
    run: int = 1
    seq: int
    created_at_ms: int
    ended_at_ms: int | None = None
    wake_at_ms: int | None = None
    parent: str | None = None
    """The execution whose step started it and waits for it."""
    priority: int = PRIORITY
    tags: dict[str, str] = {}
    correlation_id: str | None = None
    metadata: dict[str, str] = {}
    """What people noted about it."""
    failure: Failure | None = None
    output: Value = None
    violated: tuple[str, ...] = ()
    """Declared properties that it has broken, by id."""
    misfit: str | None = None
    """The event that its plan does not allow, and why: it does not go on. What else is said here is
    as before that."""
    active: tuple[dict[str, Any], ...] = ()
    """Active visits, 100 at most: `step`, `scope`, `visit`, `attempt`, `phase`; of one that waits
    for another execution its id as `child`, of one that waits for a person the `task_id`, of an
    attempt that has no capacity yet the reason as `waiting`."""
