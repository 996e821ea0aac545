"""The state of one execution: the fold of its events, and nothing else.

Mutable on purpose: the fold owns its state and books in place, since a copy per event would be
quadratic in a wide `foreach`. Only `apply.py` writes here. All classes are msgspec Structs, so that
a snapshot is the state itself, encoded.

    ExecutionState ── scopes ──> ScopeState ── active ──> Visit ── items ──> Items
                                            ├─ settled ─> Settled
                                            └─ fallen ──> Fallen

A scope instance is the root (1), a body, a branch of a parallel step, or an item of a `foreach`: a
scope without steps of its own, around the one visit of the step for this item. (A body that runs
per item is a scope within the item's.)

What cannot be needed again is dropped: an inner scope when it settles, a visit when it settles. So
memory is bound by what is in flight and by the latest output of each step, not by history. Only
what an uncaught failure ended stays as it was, until somebody catches the failure: if nobody does,
a retry of the execution goes on from there.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure, Parent
from heliostat.engine.scheduling.protocol import PRIORITY
from heliostat.engine.status import TERMINAL, ExecutionStatus, TaskStatus
from heliostat.engine.values import Held, Value

ROOT: Final = 1
"""The number of the root scope's instance."""

VisitKey: TypeAlias = tuple[int, int]
"""`(step, visit)`, within a scope instance."""

VisitRef: TypeAlias = tuple[int, int, int]
"""`(scope instance, step, visit)`."""

Phase = Literal[
    "ready",
    "running",
    "backoff",
    "timer",
    "items",
    "body",
    "waiting",
    "human",
    "child",
    "queued",
    "held",
    "canceling",
    "stopping",
]
"""What an active visit waits for.

`ready`: the kernel itself goes on with it (a decision, a skip, an early failure); `running`: a
report; `backoff`, `timer`: an instant; `items`: the items of a `foreach` or the branches of a
parallel step; `body`: its inner scope; `waiting`: an event, a signal, an instant; `human`: a
person; `child`: the end of another execution; `queued`: a semaphore; `held`: the end of a pause;
`canceling`: it has its output, and the region that it cancels has not ended yet; `stopping`: the
end of an attempt, or of a child, that was told to stop."""

SettledStatus = Literal["Completed", "Failed", "Canceled", "Skipped"]

TimerKind = Literal["due", "deadline"]


class Items(Struct, kw_only=True, omit_defaults=True):
    """The progress of a `foreach`, or of a parallel step whose items are its branches: item `i`
    runs in scope instance `first_scope + i`."""

    values: Value  # the list as recorded: inline, or where it is held; None once settled
    width: int
    first_scope: int
    next_index: int = 0
    in_flight: int = 0
    completed: int = 0
    failed: int = 0
    outputs: list[Value]  # by index, None where there is none (yet)
    statuses: bytearray  # by index: 0 none yet, else `ITEM_STATUS` + 1
    failures: dict[int, Failure] = {}
    extracts: dict[int, dict[str, Value]] = {}
    output_bytes: int = 0
    closing: bool = False  # its outcome is settled; the items told to stop are awaited
    failure: Failure | None = None  # of that outcome
    names: tuple[str, ...] = ()  # of branches
    order: list[int] = []  # of branches, as they completed

    @property
    def value(self) -> Value:
        """The output as a whole: a list by index, of branches a map of those that completed."""
        if not self.names:
            return self.outputs
        return {
            name: self.outputs[index]
            for index, name in enumerate(self.names)
            if self.statuses[index] == COMPLETED
        }


ITEM_STATUS: Final[tuple[SettledStatus, ...]] = ("Completed", "Failed", "Canceled", "Skipped")


COMPLETED: Final = ITEM_STATUS.index("Completed") + 1


class Task(Struct, kw_only=True, omit_defaults=True):
    """A human task that is open."""

    assignees: tuple[str, ...] = ()
    candidates: tuple[str, ...] = ()
    escalate_at_ms: tuple[int, ...] = ()
    level: int = 0  # escalations so far
    claimed_by: str | None = None
    progress: int | None = None  # as who works at it said last
    details: Value = None
    said: int = 0  # how often something was said of that
    opened_at_ms: int = 0
    deadline_at_ms: int | None = None
    clause: int | None = None  # of `on_error`: a person decides about a failure
    failure: Failure | None = None  # that one


class TaskChange(Struct, kw_only=True):
    """A human task that an event opened, changed or ended."""

    at: Address
    task: Task
    status: TaskStatus
    at_ms: int
    shown: Value = None  # what the person is shown
    output: Value = None  # what its step completed with
    error: Failure | None = None  # what it failed with


class Kept(Struct, kw_only=True, omit_defaults=True):
    """What a visit will complete with when the region that it cancels has ended."""

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


class Visit(Struct, kw_only=True, omit_defaults=True):
    """One arrival at a step that has not settled yet."""

    step: int
    visit: int
    phase: Phase
    attempt: int = 1
    failures: int = 0  # attempts that failed; losses raise `attempt` but not this
    counted_losses: int = 0
    input: Value = None  # as recorded: large parts may be `Held`
    holds: bool = False  # they are
    due_at_ms: int | None = None  # of the timer, the back-off, or the grace
    deadline_at_ms: int | None = None
    closing_deadline_at_ms: int | None = None  # it bounds another try, while this one closes
    alone: bool = False
    started: bool = False  # recorded as started: `effects: at_most_once`
    skipped: bool = False
    failure: Failure | None = None  # before it began, or why it is stopping
    output: Value = None  # returned within the grace of that
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    items: Items | None = None
    inner: int | None = None  # a body's scope instance
    withdrawn: bool = False  # what runs in it was told to stop, and nothing follows it
    kept_phase: Phase | None = None  # of one withdrawn by a failure: what it waited for before
    permits: bool = False  # it holds the semaphores of its step's `uses`
    due_name: str | None = None  # of a wait: the alternative that `due_at_ms` belongs to
    child: str | None = None  # the id of the execution that it started and waits for
    detached: str | None = None  # the id of the execution that it is to start
    task: Task | None = None
    kept: Kept | None = None
    received: str | None = None  # a wait that is over before it began: the message's id


class Fallen(Struct, kw_only=True, omit_defaults=True):
    """A visit that an uncaught failure ended: its own, or one around or beside it."""

    visit: Visit
    phase: Phase  # before it was told to stop
    before: Settled | None = None  # how the step's latest visit before it had ended


class Settled(Struct, kw_only=True, omit_defaults=True):
    """How the latest visit of a step ended, as expressions may read it."""

    visit: int
    status: SettledStatus
    output: Value = None
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    failure: Failure | None = None
    items: Items | None = None
    collected: bool = False  # the output is the list of the items' outputs, kept there only
    holders: int = 0  # active visits whose recorded input points here

    @property
    def value(self) -> Value:
        """The output, wherever it is kept."""
        if self.collected and self.items is not None:
            return self.items.value
        return self.output


class Tally(Struct, array_like=True):
    """What a DAG step knows of its needs."""

    settled: int = 0
    completed: int = 0
    failed: int = 0  # the number of failed needs; tolerated, or the scope would be failing


class Waiting(Struct, array_like=True):
    """A state machine's join: its arrivals, and whether it has fired this time round."""

    arrived: dict[int, int] = field(default_factory=dict)  # by the step that each came from
    fired: bool = False


class Closing(Struct, kw_only=True, omit_defaults=True):
    """A scope's outcome is settled; what was told to stop in it is awaited."""

    failure: Failure | None = None
    canceled: bool = False
    withdrawn: bool = False  # from outside: what is around it ends, nothing follows it


class ScopeState(Struct, kw_only=True, omit_defaults=True):
    """One opened scope instance."""

    number: int
    plan_scope: int | None  # None: an item of a step that has no body
    parent: tuple[int, int, int] | None = None  # (scope instance, step, visit) that opened it
    index: int | None = None  # of the item
    variables: dict[str, Value] = {}
    visits: dict[int, int] = {}  # step -> visits so far
    active: dict[VisitKey, Visit] = {}
    settled: dict[int, Settled] = {}  # step -> its latest visit that ended
    replaced: dict[VisitKey, Settled] = {}  # older ones that recorded inputs still point to
    tallies: dict[int, Tally] = {}
    joins: dict[int, Waiting] = {}
    failing: Failure | None = None  # nobody caught it: the scope is about to close
    terminated: bool = False  # a step with `end: terminate` completed: likewise
    closing: Closing | None = None
    canceling: list[VisitKey] = []  # visits that wait for the region they cancel
    fallen: dict[VisitKey, Fallen] = {}


class Buffered(Struct, kw_only=True, omit_defaults=True):
    """A signal, or an event, that came before a wait that takes it."""

    id: str
    name: str
    data: Value = None
    at_ms: int = 0  # a signal came, an event was published
    expires_at_ms: int | None = None
    correlation_id: str | None = None  # of an event: what it belongs to


class Watched(Struct, kw_only=True, omit_defaults=True):
    """What the monitors of declared properties have seen."""

    states: dict[str, int] = {}  # by property: where its table is
    digests: dict[str, str] = {}  # by property: of the monitor that these are states of
    happened: dict[str, None] = {}  # what lasts of what they speak of: `completed:3`
    people: dict[str, list[tuple[str, int, int]]] = {}
    """By property: who completed what; person, scope instance (0 where it is all one), step."""
    ended: str = ""  # `done`, `failed` or `stuck`
    broken: dict[str, int] = {}  # by property, the event; not recorded yet
    told: list[str] = []  # recorded, each once
    at_end: list[str] = []  # of these, those that a retry may mend: only the run's end broke them


class ExecutionState(Struct, kw_only=True, omit_defaults=True):
    """The fold of an execution's events. The empty one is an execution that does not exist."""

    seq: int = 0
    status: ExecutionStatus = "Pending"
    run: int = 1
    execution_id: str = ""
    definition: str = ""
    version: str = ""
    moves: int = 0  # how often it was moved to another version
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None
    tags: dict[str, str] = {}
    created_at_ms: int = 0
    at_ms: int = 0  # of the latest event
    ended_at_ms: int | None = None
    output: Value = None  # as recorded: may be `Held`
    failure: Failure | None = None
    deadline_at_ms: int | None = None
    redirected: bool = False
    cancel_ids: list[str] = []
    cancel_reason: str | None = None
    parent: Parent | None = None
    priority: int = PRIORITY
    correlation_id: str | None = None
    metadata: dict[str, str] = {}
    paused: bool = False
    seen: dict[str, None] = {}  # ids of messages and events, the latest ones
    signals: dict[str, list[Buffered]] = {}  # by name, in the order they came
    signals_kept: int = 0
    events: dict[str, list[Buffered]] = {}  # by type
    events_kept: int = 0
    waits: dict[str, dict[VisitRef, None]] = {}  # open waits by `signal:name` or `event:type`
    permits: dict[str, int] = {}  # semaphores: how many are held
    queues: dict[tuple[tuple[str, int], ...], dict[VisitRef, int]] = {}
    """Visits that wait for semaphores, by what they want, each with its number in the order of
    arrival."""
    arrivals: int = 0  # those numbers so far
    watched: Watched | None = None
    begun: list[Address] = []
    """Attempts and children that events made outstanding; whoever acts on it empties it."""
    task_changes: list[TaskChange] = []
    """Human tasks that events changed; likewise."""
    next_scope: int = ROOT + 1
    scopes: dict[int, ScopeState] = {}
    ready: dict[tuple[int, int, int], None] = {}  # visits the kernel itself goes on with, in order
    busy: int = 0
    """Attempts outstanding: running, or told to stop and not over yet."""
    stopping: int = 0
    timers: list[tuple[int, int, int, int, TimerKind]] = []  # a heap; entries may be stale
    timers_swept: int = 0  # how many were left after the last sweep of stale ones

    @property
    def ended(self) -> bool:
        """Whether the run has reached its terminal state."""
        return self.status in TERMINAL

    @property
    def inherited(self) -> int | None:
        """The priority that goes on to what it starts; None where it is the usual one."""
        return None if self.priority == PRIORITY else self.priority

    @property
    def closing(self) -> Closing | None:
        """How the execution is about to end, if its outcome is settled."""
        root = self.scopes.get(ROOT)
        return None if root is None else root.closing

    @property
    def wake_at_ms(self) -> int | None:
        """The instant at which the kernel wants to be woken: of the earliest timer, or at once
        when a long chain of pure steps was interrupted."""
        if self.ended:
            return None
        if self.ready:
            return 0
        heap = self.timers
        while heap:
            if self.is_live(heap[0]):
                return heap[0][0]
            heappop(heap)
        return None

    def is_live(self, timer: tuple[int, int, int, int, TimerKind]) -> bool:
        """Whether a heap entry still stands for what its visit waits for."""
        instant, scope_number, step, visit_number, kind = timer
        if scope_number == 0:
            return self.deadline_at_ms == instant and self.closing is None
        scope = self.scopes.get(scope_number)
        visit = scope.active.get((step, visit_number)) if scope is not None else None
        if visit is None:
            return False
        if kind == "deadline":
            return visit.deadline_at_ms == instant
        if self.paused and visit.phase != "stopping":
            return False  # held; booked again when the execution resumes
        return visit.due_at_ms == instant

    def add_timer(self, instant: int, scope: int, step: int, visit: int, kind: TimerKind) -> None:
        """Book a timer. Stale entries are swept when they may outnumber the live ones."""
        heappush(self.timers, (instant, scope, step, visit, kind))
        if len(self.timers) > max(64, 2 * self.timers_swept):
            self.timers = [timer for timer in self.timers if self.is_live(timer)]
            heapify(self.timers)
            self.timers_swept = len(self.timers)

    def next_due(self, now_ms: int) -> tuple[int, int, int, int, TimerKind] | None:
        """Take the earliest live timer at or before `now_ms` off the heap.

        It must be answered by an event that ends what it stands for, so that the heap stays a
        function of the events but for stale entries.
        """
        while self.timers and self.timers[0][0] <= now_ms:
            timer = heappop(self.timers)
            if self.is_live(timer):
                return timer
        return None

    def visit_at(self, at: Address) -> Visit | None:
        """The active visit of an address, whatever the attempt."""
        scope = self.scopes.get(at.scope)
        return None if scope is None else scope.active.get((at.step, at.visit))

    def awaits(self, at: Address) -> Visit | None:
        """The visit whose attempt `at` is outstanding, or None: then a report of it is void."""
        scope = self.scopes.get(at.scope)
        visit = None if scope is None else scope.active.get((at.step, at.visit))
        if visit is None or visit.attempt != at.attempt or visit.child is not None:
            return None
        return visit if visit.phase in ("running", "stopping") else None

    def held(self, held: Held) -> Value:
        """The value that a recorded input points to."""
        value: Value
        if held.at is None:
            value = self.input
        else:
            scope_number, step, visit = held.at
            scope = self.scopes[scope_number]
            settled = scope.settled.get(step)
            if settled is None or settled.visit != visit:
                settled = scope.replaced[step, visit]
            value = settled.value
        for part in held.path:
            value = value[part]
        return value

    def resolve(self, recorded: Value) -> Value:
        """A recorded value with every `Held` replaced by what it points to."""
        if isinstance(recorded, Held):
            return self.held(recorded)
        if isinstance(recorded, dict):
            return {key: self.resolve(item) for key, item in recorded.items()}
        if isinstance(recorded, list):
            return [self.resolve(item) for item in recorded]
        return recorded
