"""The state of one execution: the fold of its events, and nothing else.

Mutable on purpose: the fold owns its state and books in place, since a copy per event would be
quadratic in a wide `foreach`. Only `apply.py` writes here. All classes are msgspec Structs, so that
a snapshot is the state itself, encoded.

    ExecutionState ── scopes ──> ScopeState ── active ──> Visit ── items ──> Items
                                            └─ settled ─> Settled

A scope instance is the root (1), or an item of a `foreach`; bodies and branches will be others.
What cannot be needed again is dropped: an item's scope when it settles, a visit when it settles.
So memory is bound by what is in flight and by the latest output of each step, not by history.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import Final, Literal, TypeAlias

from msgspec import Struct, field

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Failure
from heliostat.engine.status import TERMINAL, ExecutionStatus
from heliostat.engine.values import Held, Value

ROOT: Final = 1
"""The number of the root scope's instance."""

VisitKey: TypeAlias = tuple[int, int]
"""`(step, visit)`, within a scope instance."""

Phase = Literal["ready", "running", "backoff", "timer", "items", "stopping"]
"""What an active visit waits for: the kernel itself (`ready`: a decision, a skip, an early
failure), a report, an instant, its items, or the end of an attempt that was told to stop."""

SettledStatus = Literal["Completed", "Failed", "Canceled", "Skipped"]

TimerKind = Literal["due", "deadline"]


class Items(Struct, kw_only=True, omit_defaults=True):
    """The progress of a `foreach`: item `i` runs in scope instance `first_scope + i`."""

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


ITEM_STATUS: Final[tuple[SettledStatus, ...]] = ("Completed", "Failed", "Canceled", "Skipped")


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
    alone: bool = False
    started: bool = False  # recorded as started: `effects: at_most_once`
    skipped: bool = False
    failure: Failure | None = None  # before it began, or why it is stopping
    output: Value = None  # returned within the grace of that
    output_bytes: int = 0
    extracts: dict[str, Value] | None = None
    items: Items | None = None


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
            return self.items.outputs
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


class Closing(Struct, kw_only=True, omit_defaults=True):
    """The root scope's outcome is settled; what was told to stop is awaited."""

    failure: Failure | None = None
    canceled: bool = False


class ExecutionState(Struct, kw_only=True, omit_defaults=True):
    """The fold of an execution's events. The empty one is an execution that does not exist."""

    seq: int = 0
    status: ExecutionStatus = "Pending"
    run: int = 1
    execution_id: str = ""
    definition: str = ""
    version: str = ""
    input: Value = None
    input_bytes: int = 0
    extracts: dict[str, Value] | None = None
    tags: dict[str, str] = {}
    created_at_ms: int = 0
    ended_at_ms: int | None = None
    output: Value = None  # as recorded: may be `Held`
    failure: Failure | None = None
    deadline_at_ms: int | None = None
    redirected: bool = False
    cancel_ids: list[str] = []
    cancel_reason: str | None = None
    closing: Closing | None = None
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
        visit = self.visit_at(at)
        if visit is None or visit.attempt != at.attempt:
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
