"""One turn of one execution: events booked as they are chosen, and the commands that follow.

A stimulus may lead to a chain (a completion, the decision behind it, the end of the execution);
each link must see the ones before it. So a turn books an event as soon as it is chosen and chooses
the next from the state that results. Seen from outside that is still pure: the same plan, state
and stimulus give the same turn.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from msgspec import Struct, field

from heliostat.engine.identity import Address
from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.commands import Command, RunStep, StopAttempt
from heliostat.engine.kernel.events import Activation, AttemptStarted, ExecutionEvent
from heliostat.engine.kernel.messages import Outgoing, Published, TaskView
from heliostat.engine.kernel.state import ExecutionState, ScopeState, Visit
from heliostat.engine.plan.plan import Plan, StepPlan


class Refused(Struct, frozen=True):
    """A request that an execution cannot follow, in words for its client."""

    code: Literal["CONFLICT", "OVERLOADED", "INVALID_INPUT", "NOT_FOUND"]
    message: str


class Decision(Struct):
    """What became true, and what should now be in flight because of it."""

    events: list[ExecutionEvent] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    messages: list[Outgoing] = field(default_factory=list)
    """To be stored in the commit of the events, and delivered until their receivers have them."""
    published: list[Published] = field(default_factory=list)
    """Likewise, for the event bus."""
    tasks: list[TaskView] = field(default_factory=list)
    """Human tasks that changed, each as it is now."""
    taken: list[str] = field(default_factory=list)
    """Ids of messages and events that need not be delivered again once this is durable."""
    refused: Refused | None = None
    """Why a request decided nothing; None where it did, or had done so before."""


class Turn:
    """The decision under way, over a state that keeps up with it."""

    __slots__ = ("commands", "events", "now_ms", "plan", "state")

    def __init__(self, plan: Plan, state: ExecutionState, now_ms: int) -> None:
        self.plan, self.state, self.now_ms = plan, state, now_ms
        self.events: list[ExecutionEvent] = []
        self.commands: list[Command] = []

    def emit(self, event: ExecutionEvent, activated: Iterable[Activation] = ()) -> None:
        """Record an event; have the attempts made that its activations ask for."""
        apply(self.plan, self.state, event)
        self.events.append(event)
        for activation in activated:
            if activation.skipped or activation.failure is not None:
                continue
            if activation.width is None and self.plan.steps[activation.step].kind == "activity":
                self.launch(Address(activation.scope, activation.step, activation.visit))

    def launch(self, at: Address) -> None:
        """Have an attempt made, with the input that its visit was activated with."""
        _, visit, step = self.locate(at)
        activity = step.activity
        if activity is not None and activity.effects == "at_most_once":
            self.emit(AttemptStarted(at_ms=self.now_ms, at=at))
        recorded = self.state.resolve(visit.input) if visit.holds else visit.input
        self.commands.append(RunStep(at, recorded, visit.alone))

    def stop(self, at: Address, grace_ms: int) -> None:
        """Tell an attempt to stop."""
        self.commands.append(StopAttempt(at, grace_ms))

    def locate(self, at: Address) -> tuple[ScopeState, Visit, StepPlan]:
        """The scope instance, the active visit and the plan's step of an address."""
        scope = self.state.scopes[at.scope]
        return scope, scope.active[at.step, at.visit], self.plan.steps[at.step]
