"""Events: the only truth about an execution.

Each is a fact that `decide` chose and the journal keeps for ever. Fields are added with a default,
never renamed or given another meaning; a new meaning is a new event. What can be derived is not
stored: a step costs one event on the happy path, its completion, which carries the choices that
followed from it (edges taken, values assigned, visits activated with their inputs), so that
folding needs no expression. Steps and edges are the numbers stored with the version.

`tests/journals/` keeps recorded histories; they must fold for ever.
"""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.plan.plan import EdgeNumber, StepNumber
from heliostat.engine.scheduling.protocol import PRIORITY
from heliostat.engine.values import Value


class Failure(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an attempt, a step or an execution failed with: text, never an exception object."""

    type: str  # the class name, or a reserved name such as `Timeout`
    message: str
    mro: tuple[str, ...] = ()  # class names from `type` upwards, for `on_error` and `retry`
    step: str | None = None
    attempt: int | None = None
    item_index: int | None = None
    details: Value = None  # what a person who failed a task says beside
    traceback: str | None = None
    stdout: str | None = None
    stderr: str | None = None
    place: str | None = None  # `file:line:column` of the step; told to people, never recorded


class TaskFacts(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a human task is about, as fixed when it is opened."""

    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    escalate_at_ms: tuple[int, ...] = ()  # the instants of its escalations


class Activation(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A visit that opens, with all that its attempts depend on; fixed here once and for ever."""

    scope: int
    step: StepNumber
    visit: int
    input: Value = None
    due_at_ms: int | None = None  # a timer's instant
    deadline_at_ms: int | None = None
    items: Value = None  # a `foreach`'s list, or where it is held
    width: int | None = None  # of that list; opens the scopes `first_scope … + width - 1`
    first_scope: int | None = None  # a body's one scope, the first of a parallel's branches
    variables: tuple[dict[str, Value], ...] = ()  # of those scopes, in order, as they begin
    due_name: str | None = None  # of a wait: the alternative that `due_at_ms` belongs to
    task: TaskFacts | None = None
    received: str | None = None  # a wait that a signal or event kept for it ends at once: its id
    output: Value = None  # of such a wait
    parent: tuple[int, int, int] | None = None  # of an item: the `foreach` visit that opens it
    holds: bool = False  # `input` or `items` has `Held` leaves
    skipped: bool = False  # its `when` was false, or its needs are out of reach
    failure: Failure | None = None  # `when`, `foreach` or `input` had no value


class Event(Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """A fact in the journal of one execution. Never edited; a field added later has a default."""

    at_ms: int  # UTC milliseconds, copied from the stimulus: replay reads no clock


class Parent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The execution whose `sub_workflow` step started this one, and waits for its end."""

    execution_id: str
    at: Address
    depth: int = 1  # 1: a child, 2: a grandchild


class ExecutionStarted(Event, frozen=True, kw_only=True, tag="execution.started"):
    """An execution of a definition's version exists, with its input."""

    execution_id: str
    definition: str
    version: str
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None  # what expressions read of a large input, by path
    variables: dict[str, Value] = {}
    deadline_at_ms: int | None = None
    tags: dict[str, str] = {}
    parent: Parent | None = None
    priority: int = PRIORITY  # of its attempts, among those that wait for capacity
    correlation_id: str | None = None
    activated: tuple[Activation, ...] = ()
    failure: Failure | None = None  # `vars` or `deadline` had no value: nothing begins


class StepCompleted(Event, frozen=True, kw_only=True, tag="step.completed"):
    """A visit's output became history, and with it every choice that followed.

    Of an activity's attempt, of a timer, of a decision, or of a `foreach` as a whole (then
    `collected`: the output is the list of its items' outputs, derived by the fold).
    """

    at: Address
    started_at_ms: int | None = None
    elapsed_ms: int | None = None  # time at the runner, without time spent queued
    runner: str | None = None
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    collected: bool = False
    holds: bool = False  # `output` has `Held` leaves
    message_id: str | None = None  # of the signal, event, child's end or submission it came with
    recovered: Failure | None = None  # `on_error` gave the output in place of this failure
    stdout: str | None = None
    stderr: str | None = None
    assigned: dict[str, Value] = {}
    appended: dict[str, Value] = {}
    skipped: tuple[StepNumber, ...] = ()  # of a DAG: cancelled before they could start
    taken: tuple[EdgeNumber, ...] = ()
    activated: tuple[Activation, ...] = ()


class StepSkipped(Event, frozen=True, kw_only=True, tag="step.skipped"):
    """A visit did not run because its `when` was false or its needs are out of reach."""

    at: Address
    taken: tuple[EdgeNumber, ...] = ()
    activated: tuple[Activation, ...] = ()


class StepFailed(Event, frozen=True, kw_only=True, tag="step.failed"):
    """A visit failed for good; `taken` is the way that its `on_error` opened, if any.

    `output` is what an attempt returned although its visit failed: behind it, in `assign` or
    `next` (of a `foreach`: `collected`). What came within the grace of a `timeout` or `deadline`
    is in `AttemptEnded`.
    """

    at: Address
    failure: Failure
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    collected: bool = False
    tolerated: bool = False  # all that depends on it can do without: the DAG goes on
    message_id: str | None = None
    taken: tuple[EdgeNumber, ...] = ()
    activated: tuple[Activation, ...] = ()


class AttemptStarted(Event, frozen=True, kw_only=True, tag="attempt.started"):
    """Recorded before a step with `effects: at_most_once` runs: it is never issued again."""

    at: Address


class AttemptFailed(Event, frozen=True, kw_only=True, tag="attempt.failed"):
    """An attempt failed and another follows at `retry_at_ms`, jitter included."""

    at: Address
    failure: Failure
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    retry_at_ms: int
    message_id: str | None = None  # of the submission in which a person said so


class RetryDue(Event, frozen=True, kw_only=True, tag="attempt.retry_due"):
    """The back-off is over; the attempt `at` is outstanding from here on."""

    at: Address


class ScopesOpened(Event, frozen=True, kw_only=True, tag="scopes.opened"):
    """A body or a parallel step begins, not with its activation: it waited for a semaphore, or for
    the back-off before another try."""

    at: Address
    first_scope: int
    variables: tuple[dict[str, Value], ...] = ()
    activated: tuple[Activation, ...] = ()
    failure: Failure | None = None  # a variable had no value


class BranchCompleted(Event, frozen=True, kw_only=True, tag="branch.completed"):
    """A branch of a parallel step, or the scope of a handler's custom action, ended well."""

    scope: int
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    holds: bool = False


class BranchFailed(Event, frozen=True, kw_only=True, tag="branch.failed"):
    """A branch of a parallel step, or the scope of a custom action, failed."""

    scope: int
    failure: Failure


class AttemptLost(Event, frozen=True, kw_only=True, tag="attempt.lost"):
    """The runner ended before it reported; the attempt number rises, so a late report is void."""

    at: Address
    cause: str
    counted: bool = False  # it ran alone, and neither node, host nor an operator ended it


class AttemptStopping(Event, frozen=True, kw_only=True, tag="attempt.stopping"):
    """A running attempt was told to stop, for the reason given (`Timeout`, `DeadlineExceeded`)."""

    at: Address
    failure: Failure
    grace_until_ms: int


class ScopeClosing(Event, frozen=True, kw_only=True, tag="scope.closing"):
    """A scope's outcome is settled and what still ran in it was told to stop.

    `visit` names the `foreach` whose items close, or is None for the scope itself. What follows
    begins when all of `withdrawn` have ended or their grace is over. `failure` None: completed
    early, by `any`, `at_least` or `end: terminate`.
    """

    scope: int
    step: StepNumber | None = None
    visit: int | None = None
    failure: Failure | None = None
    canceled: bool = False
    withdrawn: tuple[Address, ...] = ()
    grace_until_ms: int = 0


class AttemptEnded(Event, frozen=True, kw_only=True, tag="attempt.ended"):
    """An attempt that was told to stop is over; an output that came in time can be read."""

    at: Address
    returned: bool = False
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None


class RegionCanceling(Event, frozen=True, kw_only=True, tag="region.canceling"):
    """A step with `cancels` has its output, and what runs in its region was told to stop.

    Its completion, and all that follows it, comes when `withdrawn` have ended or their grace is
    over.
    """

    at: Address
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    started_at_ms: int | None = None
    elapsed_ms: int | None = None
    runner: str | None = None
    collected: bool = False
    holds: bool = False
    message_id: str | None = None
    recovered: Failure | None = None
    skipped: tuple[StepNumber, ...] = ()  # of a DAG: cancelled before they could start
    withdrawn: tuple[Address, ...] = ()
    grace_until_ms: int = 0


class SignalKept(Event, frozen=True, kw_only=True, tag="signal.kept"):
    """A signal came that no open wait takes; it waits for the first that does."""

    message_id: str
    name: str
    data: Value = None


class EventKept(Event, frozen=True, kw_only=True, tag="event.kept"):
    """An event came that the plan waits for, and no wait that it fits was open."""

    event_id: str
    name: str
    data: Value = None
    published_at_ms: int
    expires_at_ms: int
    dropped: tuple[str, ...] = ()  # the oldest, where the buffer was full
    correlation_id: str | None = None


class HandlerFired(Event, frozen=True, kw_only=True, tag="handler.fired"):
    """A handler took an event; its actions follow from this record."""

    handler: int
    event_id: str
    sent: tuple[str, ...] = ()  # ids of the messages that its actions sent
    activated: tuple[Activation, ...] = ()
    scopes: tuple[tuple[int, int], ...] = ()  # of custom actions: (scope instance, plan's scope)
    failure: Failure | None = None  # an action had no value; those before it were done


class MessageTaken(Event, frozen=True, kw_only=True, tag="message.taken"):
    """A message decided nothing else; its id is remembered, so that a repetition is known."""

    message_id: str


class TaskClaimed(Event, frozen=True, kw_only=True, tag="task.claimed"):
    """A person has taken a human task on."""

    at: Address
    user: str
    message_id: str


class TaskReleased(Event, frozen=True, kw_only=True, tag="task.released"):
    """The person who had claimed a human task gave it back."""

    at: Address
    user: str | None = None
    message_id: str


class TaskAssigned(Event, frozen=True, kw_only=True, tag="task.assigned"):
    """A human task was given to others, by somebody (`user`) or by an escalation (`level`)."""

    at: Address
    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    user: str | None = None
    message_id: str | None = None
    level: int | None = None  # of the escalation, from 1


class TaskProgressed(Event, frozen=True, kw_only=True, tag="task.progressed"):
    """Who works at a human task says how far it is."""

    at: Address
    user: str
    progress: int | None = None  # of 100
    details: Value = None
    message_id: str


class TaskFailed(Event, frozen=True, kw_only=True, tag="task.failed"):
    """A person gave a human task up; what follows from the failure is recorded behind it."""

    at: Address
    user: str
    failure: Failure
    message_id: str


class TaskOpened(Event, frozen=True, kw_only=True, tag="task.opened"):
    """A step failed, and its `on_error` asks a person how to go on."""

    at: Address
    failure: Failure
    clause: int  # of the step's `on_error`
    task: TaskFacts
    deadline_at_ms: int | None = None  # for the person


class MetadataChanged(Event, frozen=True, kw_only=True, tag="metadata.changed"):
    """Somebody wrote the execution's metadata: what there was is replaced by this."""

    message_id: str
    metadata: dict[str, str] = {}


class ExecutionPaused(Event, frozen=True, kw_only=True, tag="execution.paused"):
    """Nothing new starts until `ExecutionResumed`; what runs ends and is recorded."""

    message_id: str
    reason: str | None = None


class ExecutionResumed(Event, frozen=True, kw_only=True, tag="execution.resumed"):
    """What was held starts now."""

    message_id: str


class ExecutionRetried(Event, frozen=True, kw_only=True, tag="execution.retried"):
    """A failed execution goes on in a new run, from where it failed or from a step of the root."""

    message_id: str
    run: int
    deadline_at_ms: int | None = None
    from_step: StepNumber | None = None
    deadlines: tuple[tuple[Address, int], ...] = ()  # of visits that had one: afresh
    activated: tuple[Activation, ...] = ()


class ExecutionMigrated(Event, frozen=True, kw_only=True, tag="execution.migrated"):
    """The execution goes on with another version of its definition.

    What comes after speaks in that version's numbers; what came before means in them what it
    meant, since versions share their numbers.
    """

    message_id: str
    from_version: str
    version: str
    reason: str | None = None
    variables: dict[int, dict[str, Value]] = {}  # those that are new, by scope instance
    activated: tuple[Activation, ...] = ()  # of DAGs: what the version begins where this one is


class PropertyViolated(Event, frozen=True, kw_only=True, tag="property.violated"):
    """A declared property is broken, whatever follows; or by the run's end, until a retry."""

    property: str
    number: int  # of the event by which it was


class CancelRequested(Event, frozen=True, kw_only=True, tag="execution.cancel_requested"):
    """Somebody asked the execution to end; the message's id makes the request idempotent."""

    message_id: str
    reason: str | None = None


class ExecutionRedirected(Event, frozen=True, kw_only=True, tag="execution.redirected"):
    """The definition's own `on_error` sent a failed root scope on to a step; once a run."""

    failure: Failure
    activated: tuple[Activation, ...] = ()


class ExecutionCompleted(Event, frozen=True, kw_only=True, tag="execution.completed"):
    """The root scope ended; the output is final."""

    output: Value = None
    recovered: Failure | None = None


class ExecutionFailed(Event, frozen=True, kw_only=True, tag="execution.failed"):
    """The execution ended without an output."""

    failure: Failure


class ExecutionCanceled(Event, frozen=True, kw_only=True, tag="execution.canceled"):
    """The execution ended because somebody asked for it."""

    reason: str | None = None


class JoinReopened(Event, frozen=True, kw_only=True, tag="join.reopened"):
    """An `at_least` join that had fired starts afresh: nothing on its way can still arrive."""

    scope: int
    step: StepNumber


class OwnerChanged(Event, frozen=True, kw_only=True, tag="owner.changed"):
    """A new owner issued attempts again that no runner knew of: these may have run twice."""

    epoch: int
    owner: str
    reissued: tuple[Address, ...]


ExecutionEvent: TypeAlias = (
    ExecutionStarted
    | StepCompleted
    | StepSkipped
    | StepFailed
    | AttemptStarted
    | AttemptFailed
    | RetryDue
    | AttemptLost
    | AttemptStopping
    | ScopeClosing
    | AttemptEnded
    | CancelRequested
    | ExecutionRedirected
    | ExecutionCompleted
    | ExecutionFailed
    | ExecutionCanceled
    | JoinReopened
    | OwnerChanged
    | ScopesOpened
    | BranchCompleted
    | BranchFailed
    | RegionCanceling
    | SignalKept
    | EventKept
    | HandlerFired
    | MessageTaken
    | TaskOpened
    | TaskClaimed
    | TaskReleased
    | TaskAssigned
    | TaskProgressed
    | TaskFailed
    | MetadataChanged
    | ExecutionPaused
    | ExecutionResumed
    | ExecutionRetried
    | ExecutionMigrated
    | PropertyViolated
)
