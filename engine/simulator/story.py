"""A history as a story: one line for each thing that happened, indented by scope.

Made from the events alone, so it can be told of any execution's history. Times are virtual, from
the start of the first execution.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import (
    Activation,
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    AttemptStarted,
    AttemptStopping,
    BranchCompleted,
    BranchFailed,
    CancelRequested,
    EventKept,
    ExecutionCanceled,
    ExecutionCompleted,
    ExecutionEvent,
    ExecutionFailed,
    ExecutionMigrated,
    ExecutionPaused,
    ExecutionRedirected,
    ExecutionResumed,
    ExecutionRetried,
    ExecutionStarted,
    Failure,
    HandlerFired,
    JoinReopened,
    MessageTaken,
    MetadataChanged,
    OwnerChanged,
    PropertyViolated,
    RegionCanceling,
    RetryDue,
    ScopeClosing,
    ScopesOpened,
    SignalKept,
    StepCompleted,
    StepFailed,
    StepSkipped,
    TaskAssigned,
    TaskClaimed,
    TaskFailed,
    TaskOpened,
    TaskProgressed,
    TaskReleased,
)
from heliostat.engine.plan.plan import END, Plan, StepPlan
from heliostat.engine.values import Value, to_json

if TYPE_CHECKING:
    from heliostat.engine.simulator.simulation import SimulationResult

VALUE_CHARS_MAX: Final = 100
"""Of a value in the story; the rest of it is left out."""

_BEGINS: Final = {
    "activity": "begins",
    "decision": "is decided",
    "timer": "waits",
    "wait": "waits",
    "human": "asks",
    "body": "opens",
    "parallel": "opens its branches",
    "sub_workflow": "starts",
}


def tell(result: SimulationResult) -> str:
    """The story of an execution and of those that it started, in the order of time."""
    began_ms = result.state.created_at_ms
    everyone = [result, *result.others.values()]
    tellers = [
        _Teller(each.plan, each.execution_id, began_ms, named=len(everyone) > 1)
        for each in everyone
    ]
    told: list[tuple[int, int, int, list[str]]] = []
    for number, (each, teller) in enumerate(zip(everyone, tellers, strict=True)):
        for nth, event in enumerate(each.events):
            told.append((event.at_ms, number, nth, list(teller.lines(event))))
    lines = [line for *_, some in sorted(told) for line in some]
    if not result.ended:
        lines.append(_left(result))
    return "\n".join(lines)


def tell_events(plan: Plan, events: Iterable[ExecutionEvent], *, began_ms: int) -> str:
    """The story of one execution's events."""
    teller = _Teller(plan, "", began_ms, named=False)
    return "\n".join(line for event in events for line in teller.lines(event))


def _left(result: SimulationResult) -> str:
    """What an execution that has not ended is waiting for."""
    waiting = [
        f"{result.plan.steps[visit.step].id} ({visit.phase})"
        for scope in result.state.scopes.values()
        for visit in scope.active.values()
        if visit.phase not in ("items", "body")
    ]
    return f"it has not ended: {result.status}; {', '.join(waiting) or 'nothing is active'}"


class _Teller:
    """Tells the events of one execution, knowing which scopes they have opened so far."""

    def __init__(self, plan: Plan, id: str, began_ms: int, *, named: bool) -> None:
        self._plan, self._began_ms = plan, began_ms
        self._name = f"[{id}] " if named else ""
        self._scopes: dict[int, tuple[str, ...]] = {1: ()}
        self._items: set[int] = set()

    def lines(self, event: ExecutionEvent) -> Iterator[str]:
        """The event, and the visits that it opened."""
        scope, text = self._told(event)
        time = clock(event.at_ms - self._began_ms)
        if text is not None:
            yield f"{time}  {self._name}{self._indent(scope)}{text}"
        if isinstance(event, ScopesOpened):
            self._open(event.at, event.first_scope)
        for activation in getattr(event, "activated", ()):
            opened = self._opened(activation)
            inner = self._indent(activation.scope)
            yield f"{' ' * len(time)}  {self._name}{inner}· {opened}"

    def _indent(self, scope: int) -> str:
        return "  " * len(self._scopes.get(scope, ()))

    def _step(self, step: int) -> StepPlan:
        return self._plan.steps[step]

    def _label(self, scope: int, step: int, visit: int = 1) -> str:
        path = self._scopes.get(scope, ())
        own = path if scope in self._items else (*path, self._step(step).id)
        again = f" (visit {visit})" if visit > 1 else ""
        return "/".join(own) + again

    def _scope(self, scope: int) -> str:
        return "/".join(self._scopes.get(scope, ())) or "the execution"

    def _at(self, at: Address) -> str:
        return self._label(at.scope, at.step, at.visit)

    def _open(self, at: Address, first: int) -> None:
        step, path = self._step(at.step), self._scopes.get(at.scope, ())
        for index, number in enumerate(step.scopes):
            name = self._plan.scopes[number].name
            own = path if at.scope in self._items else (*path, step.id)
            self._scopes[first + index] = own if name is None else (*own, name)

    def _opened(self, activation: Activation) -> str:
        step = self._step(activation.step)
        at = Address(activation.scope, activation.step, activation.visit)
        path = self._scopes.get(activation.scope, ())
        label = self._at(at)
        if activation.width is not None:
            first = activation.first_scope or 0
            for index in range(activation.width):
                own = path if activation.scope in self._items else (*path, step.id)
                self._scopes[first + index] = (*own[:-1], f"{own[-1]}[{index}]")
                self._items.add(first + index)
            return f"{label} runs for {activation.width} items"
        if activation.first_scope is not None:
            self._open(at, activation.first_scope)
        if activation.skipped:
            return f"{label} will be skipped"
        if activation.failure is not None:
            return f"{label} cannot begin: {_failure(activation.failure)}"
        if activation.received is not None:
            return f"{label} takes what had been kept for it"
        words = [label, _BEGINS[step.kind]]
        if step.child is not None:
            words.append(step.child.workflow)
        if activation.task is not None:
            words.append(", ".join((*activation.task.assignees, *activation.task.candidates)))
        if step.input is not None:
            words.append(f"with {value(activation.input)}")
        if activation.due_at_ms is not None:
            words.append(f"until {clock(activation.due_at_ms - self._began_ms)}")
        if activation.deadline_at_ms is not None:
            words.append(f"(deadline {clock(activation.deadline_at_ms - self._began_ms)})")
        return " ".join(word for word in words if word)

    def _ways(self, taken: Iterable[int]) -> str:
        targets = [self._plan.edges[number].target for number in taken]
        ways = ["end" if target == END else self._step(target).id for target in targets]
        return f" → {', '.join(ways)}" if ways else ""

    def _told(self, event: ExecutionEvent) -> tuple[int, str | None]:
        """The scope that an event belongs to, and what it says."""
        at = getattr(event, "at", None)
        scope = at.scope if isinstance(at, Address) else getattr(event, "scope", 1)
        return scope, self._said(event)

    def _said(self, event: ExecutionEvent) -> str | None:
        match event:
            case ExecutionStarted():
                given = "" if event.input is None else f" with {value(event.input)}"
                unfit = "" if event.failure is None else f": {_failure(event.failure)}"
                return f"{event.definition} {event.version} starts{given}{unfit}"
            case StepCompleted():
                ways = self._ways(event.taken)
                output = "" if event.output is None else f": {value(event.output)}"
                caught = f" instead of {event.recovered.type}" if event.recovered else ""
                assigned = "".join(f"; {k} = {value(v)}" for k, v in event.assigned.items())
                added = "".join(f"; {k} += {value(v)}" for k, v in event.appended.items())
                return f"{self._at(event.at)} completes{caught}{output}{assigned}{added}{ways}"
            case StepSkipped():
                return f"{self._at(event.at)} is skipped{self._ways(event.taken)}"
            case StepFailed():
                ways = self._ways(event.taken) or (" (tolerated)" if event.tolerated else "")
                return f"{self._at(event.at)} fails: {_failure(event.failure)}{ways}"
            case AttemptStarted():
                return f"{self._at(event.at)} is recorded as begun"
            case AttemptFailed():
                again = clock(event.retry_at_ms - self._began_ms)
                nth = event.at.attempt
                failure = _failure(event.failure)
                return f"{self._at(event.at)} attempt {nth} fails: {failure}; again at {again}"
            case RetryDue():
                return f"{self._at(event.at)} attempt {event.at.attempt} begins"
            case AttemptLost():
                return f"{self._at(event.at)} loses its runner: {event.cause}; made again"
            case AttemptStopping():
                return f"{self._at(event.at)} is told to stop: {event.failure.type}"
            case AttemptEnded():
                late = f", returning {value(event.output)}" if event.returned else ""
                return f"{self._at(event.at)} has stopped{late}"
            case ScopesOpened():
                return f"{self._at(event.at)} opens"
            case BranchCompleted():
                return f"{self._scope(event.scope)} completes"
            case BranchFailed():
                return f"{self._scope(event.scope)} fails: {_failure(event.failure)}"
            case ScopeClosing():
                why = "canceled" if event.canceled else "decided early"
                if event.failure is not None:
                    why = _failure(event.failure)
                what = (
                    self._scope(event.scope)
                    if event.step is None
                    else self._label(event.scope, event.step, event.visit or 1)
                )
                stopping = f", {len(event.withdrawn)} still to stop" if event.withdrawn else ""
                return f"{what} closes: {why}{stopping}"
            case RegionCanceling():
                names = ", ".join(
                    self._step(number).id for number in self._step(event.at.step).cancels
                )
                return f"{self._at(event.at)} cancels {names}, and waits for its end"
            case SignalKept():
                return f"signal {event.name} is kept: {value(event.data)}"
            case EventKept():
                return f"event {event.name} is kept: {value(event.data)}"
            case HandlerFired():
                return f"handler {self._plan.handlers[event.handler].name} fires"
            case MessageTaken():
                return None
            case TaskOpened():
                return f"{self._at(event.at)} asks a person about {_failure(event.failure)}"
            case TaskClaimed():
                return f"{self._at(event.at)} is claimed by {event.user}"
            case TaskReleased():
                return f"{self._at(event.at)} is given back by {event.user}"
            case TaskAssigned():
                to = ", ".join((*event.assignees, *event.candidates))
                return f"{self._at(event.at)} is given to {to}"
            case TaskProgressed():
                return f"{self._at(event.at)} is worked at by {event.user}: {event.progress} %"
            case TaskFailed():
                return f"{self._at(event.at)} is given up by {event.user}"
            case MetadataChanged():
                return f"metadata: {value(dict(event.metadata))}"
            case PropertyViolated():
                return f"property {event.property} is violated by event {event.number}"
            case ExecutionPaused():
                return "paused" + (f": {event.reason}" if event.reason else "")
            case ExecutionResumed():
                return "resumed"
            case ExecutionRetried():
                since = event.from_step
                where = "" if since is None else f" from {self._step(since).id}"
                return f"run {event.run} begins{where}"
            case ExecutionMigrated():
                return f"goes on with version {event.version}" + (
                    f": {event.reason}" if event.reason else ""
                )
            case CancelRequested():
                return "somebody cancels" + (f": {event.reason}" if event.reason else "")
            case ExecutionRedirected():
                return f"goes on after {_failure(event.failure)}"
            case ExecutionCompleted():
                return f"Completed: {value(event.output)}"
            case ExecutionFailed():
                return f"Failed: {_failure(event.failure)}"
            case ExecutionCanceled():
                return "Canceled" + (f": {event.reason}" if event.reason else "")
            case JoinReopened():
                return f"join {self._label(event.scope, event.step)} starts afresh"
            case OwnerChanged():
                return f"another host takes over; {len(event.reissued)} attempts are made again"


def clock(ms: int) -> str:
    """An instant of virtual time, from the start: `2d 03:04:05.006`."""
    seconds, millis = divmod(max(0, ms), 1_000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    return f"{f'{days}d ' if days else ''}{hour:02}:{minute:02}:{second:02}.{millis:03}"


def value(what: Value) -> str:
    """A value as one line of JSON, cut where it is long."""
    text = msgspec.json.encode(to_json(what), enc_hook=str).decode()
    return text if len(text) <= VALUE_CHARS_MAX else text[: VALUE_CHARS_MAX - 1] + "…"


def _failure(failure: Failure) -> str:
    return f"{failure.type}: {failure.message}" if failure.message else failure.type
