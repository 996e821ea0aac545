"""What must hold of a history as a whole, checked event by event as they are committed.

A second, independent bookkeeping: it knows which visits were opened and how they ended, and
nothing of the kernel's state.
"""

from __future__ import annotations

from heliostat.engine.identity import Address
from heliostat.engine.kernel.commands import Command, RunStep
from heliostat.engine.kernel.events import (
    Activation,
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionRedirected,
    ExecutionStarted,
    OwnerChanged,
    RetryDue,
    ScopeClosing,
    StepCompleted,
    StepFailed,
    StepSkipped,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.invariants import require

_Key = tuple[int, int, int]


class Chronicle:
    """Follows the events and commands of one execution, and objects to what may not be."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._visits: dict[tuple[int, int], int] = {}  # (scope, step) -> the latest visit opened
        self._next_scope = 2
        self._open: dict[_Key, int] = {}  # visit -> its current attempt
        self._settled: set[_Key] = set()
        self._stopping: set[_Key] = set()
        self._closing_until_ms: int | None = None
        self._dispatched: dict[_Key, int] = {}  # visit -> the highest attempt dispatched
        self._once: set[Address] = set()
        self._started: set[Address] = set()
        self._ended = False
        self._redirected = False

    def event(self, event: ExecutionEvent) -> None:
        """Book one committed event. Raises `Broken` when it may not follow what came before."""
        require(not self._ended, f"after the end: {event}")
        self._closed_scope(event)
        match event:
            case ExecutionStarted():
                require(not self._visits, "started twice")
                self._activate(event.activated)
            case StepCompleted() | StepSkipped() | StepFailed():
                self._settle(event.at)
                self._activate(event.activated)
            case AttemptStarted():
                require(event.at not in self._started, f"started twice: {event.at}")
                self._started.add(event.at)
            case AttemptFailed() | AttemptLost():
                self._next_attempt(event.at)
            case AttemptStopping():
                self._current(event.at)
                self._stopping.add(_key(event.at))
            case AttemptEnded():
                self._current(event.at)
                require(_key(event.at) in self._stopping, f"nobody stopped {event.at}")
                self._stopping.discard(_key(event.at))
            case RetryDue():
                self._current(event.at)
            case OwnerChanged():
                for at in event.reissued:
                    require(at not in self._started, f"at_most_once issued again: {at}")
                    self._next_attempt(at)
            case ScopeClosing():
                for at in event.withdrawn:
                    self._current(at)
                    self._stopping.add(_key(at))
                if event.step is None:
                    self._closing_until_ms = event.grace_until_ms
            case ExecutionRedirected():
                require(not self._redirected, "redirected twice")
                self._redirected = True
                self._closing_until_ms = None
                self._activate(event.activated)
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCanceled():
                self._ended = True

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

    def _closed_scope(self, event: ExecutionEvent) -> None:
        """Nothing follows a closing scope before its attempts ended or their grace was over."""
        if self._closing_until_ms is None:
            return
        match event:
            case AttemptEnded():
                return
            case ExecutionCompleted() | ExecutionFailed() | ExecutionCanceled():
                pass
            case ExecutionRedirected():
                pass
            case _:
                # a cancel request, and the ends of attempts, are all that may come meanwhile
                tag = type(event).__name__
                require(tag == "CancelRequested", f"in a closing scope: {event}")
                return
        over = event.at_ms >= self._closing_until_ms
        require(over or not self._stopping, f"before {self._stopping} ended: {event}")

    def _activate(self, activated: tuple[Activation, ...]) -> None:
        for activation in activated:
            place = (activation.scope, activation.step)
            last = self._visits.get(place, 0)
            require(activation.visit == last + 1, f"visit {activation.visit} after {last}")
            self._visits[place] = activation.visit
            key = (*place, activation.visit)
            require(key not in self._open, f"opened twice: {key}")
            self._open[key] = 1
            if activation.width is not None:
                first = activation.first_scope
                require(first == self._next_scope, f"scope {first}, not {self._next_scope}")
                self._next_scope += activation.width

    def _current(self, at: Address) -> None:
        key = _key(at)
        require(key not in self._settled, f"after it settled: {at}")
        require(self._open.get(key) == at.attempt, f"{at}, attempt {self._open.get(key)} runs")

    def _next_attempt(self, at: Address) -> None:
        self._current(at)
        self._open[_key(at)] = at.attempt + 1

    def _settle(self, at: Address) -> None:
        key = _key(at)
        require(key not in self._settled, f"settled twice: {at}")
        require(key in self._open, f"settled, but never opened: {at}")
        require(key not in self._stopping, f"settled while it is told to stop: {at}")
        self._settled.add(key)


def _key(at: Address) -> _Key:
    return (at.scope, at.step, at.visit)
