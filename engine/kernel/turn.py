"""One turn of one execution: events booked as they are chosen, and what follows from them.

A stimulus may lead to a chain (a completion, the decision behind it, the end of the execution);
each link must see the ones before it. So a turn books an event as soon as it is chosen and chooses
the next from the state that results. Seen from outside that is still pure: the same plan, state
and stimulus give the same turn.

What an event may have brought to an end is put on the turn's *agenda*: a scope, or a visit with
items. `looking.py` takes it from there, and reads the state only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

from msgspec import Struct, field

from heliostat.engine.identity import Address
from heliostat.engine.kernel.apply import apply
from heliostat.engine.kernel.commands import Command, RunStep, StopAttempt
from heliostat.engine.kernel.events import (
    AttemptStarted,
    ExecutionEvent,
    Parent,
    PropertyViolated,
)
from heliostat.engine.kernel.messages import (
    AnyMessage,
    Outgoing,
    Published,
    StartChild,
    TaskView,
    TellCancel,
)
from heliostat.engine.kernel.state import ExecutionState, ScopeState, Visit
from heliostat.engine.kernel.tasks import task_views
from heliostat.engine.plan.mapping import Obstacle
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.values import Value


class Refused(Struct, frozen=True):
    """A request that an execution cannot follow, in words for its client."""

    code: Literal["CONFLICT", "OVERLOADED", "INVALID_INPUT", "NOT_FOUND"]
    message: str
    field: str | None = None  # of what the request carries, that is at fault
    obstacles: tuple[Obstacle, ...] = ()  # to moving it to another version


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


Matter: TypeAlias = tuple[int, tuple[int, int] | None, bool]
"""Something to look at: a scope instance, or a visit of it; and whether a step of the scope may
have come out of reach."""


class Turn:
    """The decision under way, over a state that keeps up with it."""

    __slots__ = (
        "agenda",
        "commands",
        "events",
        "messages",
        "now_ms",
        "plan",
        "published",
        "refused",
        "state",
        "taken",
    )

    def __init__(self, plan: Plan, state: ExecutionState, now_ms: int) -> None:
        self.plan, self.state, self.now_ms = plan, state, now_ms
        self.agenda: list[Matter] = []
        self.events: list[ExecutionEvent] = []
        self.commands: list[Command] = []
        self.messages: list[Outgoing] = []
        self.published: list[Published] = []
        self.taken: list[str] = []
        self.refused: Refused | None = None

    @property
    def decision(self) -> Decision:
        """All that was decided."""
        return Decision(
            self.events,
            self._in_flight(),
            self.messages,
            self.published,
            task_views(self.plan, self.state) if self.state.task_changes else [],
            self.taken,
            self.refused,
        )

    def _in_flight(self) -> list[Command]:
        """The commands, but for attempts that this turn has seen begin and end.

        Where the clock jumps, a back-off and the deadline behind it are due at once; and a grace of
        0 is over as it begins. Nothing may run any more for what has settled.
        """
        stopped = {each.at for each in self.commands if type(each) is StopAttempt}
        begun = {each.at for each in self.commands if stopped and type(each) is RunStep}
        over = {at for at in stopped & begun if self.state.awaits(at) is None}
        return [each for each in self.commands if each.at not in over] if over else self.commands

    # -- recording

    def emit(self, event: ExecutionEvent) -> None:
        """Record an event, and have the attempts and children begin that it makes outstanding."""
        state = self.state
        apply(self.plan, state, event)
        self.events.append(event)
        if state.watched is not None and state.watched.broken:
            for property, number in list(state.watched.broken.items()):
                violated = PropertyViolated(at_ms=self.now_ms, property=property, number=number)
                apply(self.plan, state, violated)
                self.events.append(violated)
        if state.begun:
            begun, state.begun = state.begun, []
            for at in begun:
                self._begin(at)

    def look_at(self, scope: ScopeState, *, out_of_reach: bool = False) -> None:
        """The scope may have ended; one that plainly goes on is not worth a look."""
        if (
            out_of_reach
            or not scope.active
            or scope.joins
            or scope.closing is not None
            or scope.failing is not None
            or scope.canceling
            or scope.terminated
        ):
            self.agenda.append((scope.number, None, out_of_reach))

    def look_at_visit(self, scope: ScopeState, visit: Visit) -> None:
        """The items or branches of a visit may have ended."""
        self.agenda.append((scope.number, (visit.step, visit.visit), False))

    def knows(self, message_id: str) -> bool:
        """Whether a message has decided already; either way it need not come again."""
        self.taken.append(message_id)
        return message_id in self.state.seen

    def refuse(
        self,
        code: Literal["CONFLICT", "OVERLOADED", "INVALID_INPUT", "NOT_FOUND"],
        message: str,
        field: str | None = None,
        obstacles: Sequence[Obstacle] = (),
    ) -> None:
        """The request cannot be followed; nothing was decided."""
        self.refused = Refused(code, message, field, tuple(obstacles))

    # -- what should be in flight

    def _begin(self, at: Address) -> None:
        _, visit, step = self.locate(at)
        if step.child is None:
            self._launch(at, visit, step)
            return
        assert visit.child is not None
        self.start_child(visit.child, at, detached=False)

    def launch(self, at: Address) -> None:
        """Have an attempt made, with the input that its visit was activated with."""
        _, visit, step = self.locate(at)
        self._launch(at, visit, step)

    def _launch(self, at: Address, visit: Visit, step: StepPlan) -> None:
        activity = step.activity
        if activity is not None and activity.effects == "at_most_once":
            self.emit(AttemptStarted(at_ms=self.now_ms, at=at))
        recorded = self.state.resolve(visit.input) if visit.holds else visit.input
        self.commands.append(RunStep(at, recorded, visit.alone))

    def start_child(self, child_id: str, at: Address, *, detached: bool) -> None:
        """Start the execution of a `sub_workflow` step."""
        state = self.state
        _, visit, step = self.locate(at)
        assert step.child is not None
        parent = None
        if not detached:
            depth = 1 if state.parent is None else state.parent.depth + 1
            parent = Parent(execution_id=state.execution_id, at=at, depth=depth)
        body = StartChild(
            definition=step.child.workflow,
            version=step.child.version,
            input=state.resolve(visit.input) if visit.holds else visit.input,
            parent=parent,
            priority=state.inherited,
        )
        self.messages.append(Outgoing(id=f"{child_id}#start", receiver=child_id, body=body))

    def stop(self, at: Address, visit: Visit, step: StepPlan) -> None:
        """Tell an attempt, or a child, to stop."""
        if visit.child is None:
            self.commands.append(StopAttempt(at, step.grace_ms))
            return
        cancel = TellCancel(reason=f"withdrawn by {self.state.execution_id}")
        self.messages.append(
            Outgoing(id=f"{visit.child}#cancel", receiver=visit.child, body=cancel)
        )

    def stop_within(self, at: Address, grace_ms: int) -> None:
        """Tell an attempt to stop that was told so before, with what is left of its grace."""
        self.commands.append(StopAttempt(at, grace_ms))

    def send(self, receiver: str, body: AnyMessage) -> str:
        """Tell another execution something that follows from the latest event; the message's id."""
        number = len(self.messages)
        id = f"{self.state.execution_id}#{self.state.seq}.{number}"
        self.messages.append(Outgoing(id=id, receiver=receiver, body=body))
        return id

    def publish(self, name: str, data: Value) -> None:
        """Publish what follows from the latest event."""
        # Not as messages are named: a receiver knows both by their ids.
        id = f"{self.state.execution_id}#{self.state.seq}.e{len(self.published)}"
        self.published.append(Published(id=id, name=name, data=data))

    def locate(self, at: Address) -> tuple[ScopeState, Visit, StepPlan]:
        """The scope instance, the active visit and the plan's step of an address."""
        scope = self.state.scopes[at.scope]
        return scope, scope.active[at.step, at.visit], self.plan.steps[at.step]
