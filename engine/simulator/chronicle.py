"""What must hold of a history as a whole, checked event by event as they are committed.

A second, independent bookkeeping: it knows which scopes and visits were opened, how they ended and
what was told to stop, and nothing of the kernel's state.
"""

from __future__ import annotations

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.commands import Command, RunStep
from heliostat.engine.kernel.events import (
    Activation,
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    BranchCompleted,
    BranchFailed,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionRedirected,
    ExecutionRetried,
    ExecutionStarted,
    HandlerFired,
    MetadataChanged,
    OwnerChanged,
    PropertyViolated,
    RegionCanceling,
    RetryDue,
    ScopeClosing,
    ScopesOpened,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskOpened,
)
from heliostat.engine.kernel.state import ROOT
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.invariants import require

_Key = tuple[int, int, int]
_ENDS = ExecutionCompleted | ExecutionFailed | ExecutionCanceled
_UNKNOWN = -1
"""An attempt number that a retry of the execution has raised, by how much will be seen."""


class _Closing(Struct, frozen=True):
    """A scope, or the items of a visit, whose outcome is settled."""

    scope: int
    owner: _Key | None  # of items; None: the scope itself
    until_ms: int


class Chronicle:
    """Follows the events and commands of one execution, and objects to what may not be."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._visits: dict[tuple[int, int], int] = {}  # (scope, step) -> the latest visit opened
        self._parents: dict[int, _Key | None] = {ROOT: None}  # of scope instances
        self._next_scope = ROOT + 1
        self._open: dict[_Key, int] = {}  # visit -> its current attempt
        self._settled: set[_Key] = set()
        self._failed: set[_Key] = set()
        self._stopping: dict[_Key, int] = {}  # visit -> when its grace is over
        self._closing: list[_Closing] = []
        self._regions: dict[_Key, tuple[frozenset[_Key], int]] = {}
        self._dispatched: dict[_Key, int] = {}  # visit -> the highest attempt dispatched
        self._once: set[Address] = set()
        self._started: set[Address] = set()
        self._ended: ExecutionEvent | None = None
        self._redirected = False

    def event(self, event: ExecutionEvent) -> None:
        """Book one committed event. Raises `Broken` when it may not follow what came before."""
        after = ExecutionRetried | MetadataChanged | PropertyViolated  # people may still note
        if not isinstance(event, after):
            require(self._ended is None, f"after the end: {event}")
        self._is_timely(event)
        match event:
            case ExecutionStarted():
                require(not self._visits, "started twice")
            case StepCompleted() | StepSkipped() | StepFailed():
                self._settle(event)
            case AttemptStarted():
                require(event.at not in self._started, f"started twice: {event.at}")
                self._started.add(event.at)
            case AttemptFailed() | AttemptLost():
                self._next_attempt(event.at)
            case AttemptStopping():
                self._current(event.at)
                self._stopping[_key(event.at)] = event.grace_until_ms
            case AttemptEnded():
                self._current(event.at)
                require(_key(event.at) in self._stopping, f"nobody stopped {event.at}")
                del self._stopping[_key(event.at)]
            case RetryDue() | TaskOpened():
                self._current(event.at)
            case OwnerChanged():
                for at in event.reissued:
                    require(at not in self._started, f"at_most_once issued again: {at}")
                    self._next_attempt(at)
            case ScopeClosing() | RegionCanceling():
                self._withdraw(event)
            case ScopesOpened():
                self._current(event.at)
                if event.failure is None:
                    self._open_scopes(event.at, event.first_scope)
            case ExecutionRedirected():
                require(not self._redirected, "redirected twice in a run")
                self._redirected = True
            case ExecutionRetried():
                self._retry(event)
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCanceled():
                self._ended = event
            case _:
                pass  # signals, events, people: they follow nothing that is known here
        sides = [number for number, _ in event.scopes] if isinstance(event, HandlerFired) else []
        self._activate(getattr(event, "activated", ()), sides)
        require(not sides, f"opened, and nothing starts there: {sides}")

    def command(self, command: Command) -> None:
        """Book a command that left. Raises `Broken` when it is for a visit that has settled."""
        if not isinstance(command, RunStep):
            return
        key = _key(command.at)
        require(key not in self._settled, f"dispatched after it settled: {command.at}")
        require(key in self._open, f"dispatched, but never opened: {command.at}")
        last = self._dispatched.get(key, 0)
        require(command.at.attempt >= last, f"attempt {command.at.attempt} after {last}")
        self._dispatched[key] = command.at.attempt
        activity = self._plan.steps[command.at.step].activity
        if activity is not None and activity.effects == "at_most_once":
            require(command.at in self._started, f"ran before it was recorded: {command.at}")
            require(command.at not in self._once, f"at_most_once issued twice: {command.at}")
            self._once.add(command.at)

    # -- what closes

    def _withdraw(self, event: ScopeClosing | RegionCanceling) -> None:
        for at in event.withdrawn:
            self._current(at)
            self._stopping.setdefault(_key(at), event.grace_until_ms)
        if isinstance(event, RegionCanceling):
            self._current(event.at)
            withdrawn = frozenset(map(_key, event.withdrawn))
            self._regions[_key(event.at)] = (withdrawn, event.grace_until_ms)
            return
        owner = None
        if event.step is not None and event.visit is not None:
            owner = (event.scope, event.step, event.visit)
        self._closing.append(_Closing(event.scope, owner, event.grace_until_ms))

    def _is_timely(self, event: ExecutionEvent) -> None:
        """Nothing follows in what closes, and nothing follows it before its work has ended."""
        if isinstance(event, AttemptEnded):
            return
        at = getattr(event, "at", None)
        settles: _Key | None = None
        if isinstance(event, StepCompleted | StepFailed | AttemptFailed | TaskOpened):
            settles = _key(event.at)
        elif isinstance(event, BranchCompleted | BranchFailed):
            self._is_over(event, event.scope, None)
        elif isinstance(event, _ENDS | ExecutionRedirected):
            self._is_over(event, ROOT, None)
            self._closing = []
        if settles is not None:
            self._is_over(event, None, settles)
            if isinstance(event, StepCompleted) and settles in self._regions:
                withdrawn, until_ms = self._regions.pop(settles)
                left = [key for key in withdrawn if key in self._stopping]
                require(not left or event.at_ms >= until_ms, f"before {left} ended: {event}")
        if isinstance(at, Address) and not isinstance(event, OwnerChanged):
            for closing in self._closing:
                require(not self._lies_in(at, closing), f"in what closes, {closing}: {event}")

    def _is_over(self, event: ExecutionEvent, scope: int | None, owner: _Key | None) -> None:
        """What the event settles: its closing parts have ended, or their grace is over."""
        for closing in list(self._closing):
            ends = scope is not None and closing.owner is None and closing.scope == scope
            if owner is not None:
                ends = closing.owner == owner or (
                    closing.owner is None and self._parents.get(closing.scope) == owner
                )
            if not ends:
                continue
            left = [key for key in self._stopping if self._lies_in(Address(*key), closing)]
            over = event.at_ms >= closing.until_ms
            require(not left or over, f"before {left} ended: {event}")
            self._closing.remove(closing)
            for key in left:
                del self._stopping[key]

    def _lies_in(self, at: Address, closing: _Closing) -> bool:
        """Whether an address is in a closing scope, or among the closing items of a visit."""
        scope: int | None = at.scope
        while scope is not None:
            parent = self._parents.get(scope)
            if closing.owner is None and scope == closing.scope:
                return True
            if closing.owner is not None and parent == closing.owner:
                return True
            scope = parent[0] if parent is not None else None
        return False

    def _retry(self, event: ExecutionRetried) -> None:
        require(isinstance(self._ended, ExecutionFailed), f"retried, but not failed: {event}")
        self._ended, self._redirected = None, False
        self._closing, self._regions = [], {}
        self._stopping.clear()
        self._settled -= self._failed
        self._failed.clear()
        for key in self._open:
            if key not in self._settled:
                self._open[key] = _UNKNOWN

    # -- what opens and settles

    def _activate(self, activated: tuple[Activation, ...], sides: list[int]) -> None:
        """Book opened visits; a scope of `sides`, which a handler opens beside the workflow, opens
        before the first visit in it, since its actions take numbers in the order written."""
        for activation in activated:
            if activation.scope in sides:
                sides.remove(activation.scope)
                self._open_scope(activation.scope, None)
            known = activation.scope in self._parents
            require(known, f"in a scope that nobody opened: {activation}")
            for closing in self._closing:
                at = Address(activation.scope, activation.step, activation.visit)
                require(not self._lies_in(at, closing), f"opened in what closes: {activation}")
            place = (activation.scope, activation.step)
            last = self._visits.get(place, 0)
            require(activation.visit > last, f"visit {activation.visit} after {last}")
            self._visits[place] = activation.visit
            key = (*place, activation.visit)
            require(key not in self._open, f"opened twice: {key}")
            self._open[key] = 1
            if activation.width is not None:
                first = activation.first_scope
                require(first == self._next_scope, f"scope {first}, not {self._next_scope}")
                for _ in range(activation.width):
                    self._open_scope(self._next_scope, key)
            elif activation.first_scope is not None:
                self._open_scopes(Address(*key), activation.first_scope)

    def _open_scopes(self, at: Address, first: int) -> None:
        for index in range(len(self._plan.steps[at.step].scopes)):
            self._open_scope(first + index, _key(at))

    def _open_scope(self, number: int, parent: _Key | None) -> None:
        require(number == self._next_scope, f"scope {number}, not {self._next_scope}")
        self._next_scope += 1
        self._parents[number] = parent

    def _current(self, at: Address) -> None:
        key = _key(at)
        require(key not in self._settled, f"after it settled: {at}")
        if self._open.get(key) == _UNKNOWN:
            self._open[key] = at.attempt
        require(self._open.get(key) == at.attempt, f"{at}, attempt {self._open.get(key)} runs")

    def _next_attempt(self, at: Address) -> None:
        self._current(at)
        self._open[_key(at)] = at.attempt + 1

    def _settle(self, event: StepCompleted | StepSkipped | StepFailed) -> None:
        key = _key(event.at)
        require(key not in self._settled, f"settled twice: {event.at}")
        require(key in self._open, f"settled, but never opened: {event.at}")
        require(key not in self._stopping, f"settled while it is told to stop: {event.at}")
        self._settled.add(key)
        if isinstance(event, StepFailed):
            self._failed.add(key)
        skipped = event.skipped if isinstance(event, StepCompleted) else ()
        for step in skipped:
            place = (event.at.scope, step)
            self._visits[place] = self._visits.get(place, 0) + 1


def _key(at: Address) -> _Key:
    return (at.scope, at.step, at.visit)
