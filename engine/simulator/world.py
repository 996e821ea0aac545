"""A world of executions in virtual time: what they tell one another, people, and the event bus.

One agenda orders everything. What one execution tells another is a letter: sent in the commit of
the events that it follows from, delivered again until its receiver has journaled it, now and then
twice or late. Events go to every execution of the namespace that waits for their type. People do
what the script says of their tasks. The world decides nothing about a workflow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from random import Random
from typing import Any, Final

from msgspec import Struct

from heliostat.engine.identity import Address
from heliostat.engine.kernel.events import Activation
from heliostat.engine.kernel.messages import (
    AnyMessage,
    Outgoing,
    StartChild,
    TaskView,
    TellCancel,
    TellChildEnded,
    TellPause,
    TellResume,
    TellSignal,
)
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    ChildEnded,
    EventArrived,
    Pause,
    Resume,
    Signal,
    Start,
    TaskAction,
)
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.agenda import Agenda
from heliostat.engine.simulator.children import StandIn
from heliostat.engine.simulator.coverage import Coverage
from heliostat.engine.simulator.execution import SimulatedExecution
from heliostat.engine.simulator.faults import Faults, HostFault
from heliostat.engine.simulator.invariants import Broken, require
from heliostat.engine.simulator.outcomes import Arrives, Functions, Person, Script, scripted

EPOCH_MS: Final = 1_767_225_600_000
"""When virtual time begins, unless told otherwise: 2026-01-01T00:00:00Z."""

TURNS_MAX: Final = 20_000
"""Turns after which a simulation gives up; its result then says `ended=False`."""

_STORY_LINES_MAX: Final = 2_000


class Letter(Struct, frozen=True, kw_only=True):
    """Something on its way to an execution, until that has journaled `id`."""

    id: str
    receiver: str
    stimulus: AnyStimulus
    client: bool = False  # it may be refused
    workflow: str | None = None  # of a start: what to start
    version: str | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """A request that an execution did not follow."""

    at_ms: int
    execution_id: str
    stimulus: AnyStimulus
    code: str
    message: str


class SimulationFailure(AssertionError):
    """The kernel broke a promise. Names the seed, and tells what led there."""

    def __init__(self, seed: int, what: str, story: Iterable[str]) -> None:
        super().__init__(seed, what, tuple(story))
        self.seed, self.what, self.story = seed, what, self.args[2]

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}: {self.what}", "what led there:", *self.story[-60:]])


class World:
    """All that happens in one simulation, in an order that the seed fixes."""

    def __init__(
        self,
        plans: Iterable[Plan],
        scripts: Mapping[str, Script],
        *,
        functions: Functions | None,
        seed: int,
        faults: Faults,
        start_at_ms: int,
        turns_max: int,
    ) -> None:
        self._seed, self.faults, self._turns_max = seed, faults, turns_max
        self.random = Random(seed)
        self.agenda = Agenda(self.random, start_at_ms)
        self._began_ms = start_at_ms
        self.coverage = Coverage()
        self._plans: dict[str, list[Plan]] = {}
        for plan in plans:
            self._plans.setdefault(plan.id, []).append(plan)
        self._scripts, self.functions = scripts, functions
        self.executions: dict[str, SimulatedExecution] = {}
        self._stand_ins: dict[str, StandIn] = {}
        self._letters: dict[tuple[str, str], Letter] = {}
        """All that are not journaled by their receivers yet, by receiver and id."""
        self._early: list[Letter] = []
        self._sent: dict[str, Outgoing] = {}
        self._published: set[str] = set()
        self.published: list[tuple[str, str, Any]] = []
        self.signals: list[tuple[str, str, Any]] = []
        self.tasks: dict[tuple[str, Address], TaskView] = {}
        self.refusals: list[Refusal] = []
        self._requests = 0
        self.turns = 0
        self._lines: list[str] = []

    # -- running

    def start(
        self,
        plan: Plan,
        start: Start,
        *,
        history: Iterable[bytes] = (),
        strike: tuple[int, HostFault] | None = None,
    ) -> SimulatedExecution:
        """Have an execution begin now, or go on from a stored history."""
        execution = SimulatedExecution(self, plan, start, history=tuple(history), strike=strike)
        self.executions[execution.id] = execution
        return execution

    def run(self) -> None:
        """Go on until nothing happens any more, for `turns_max` turns and to the year 9999 at most.

        Raises:
            SimulationFailure: the kernel broke a promise.
        """
        try:
            while self.turns < self._turns_max:
                waiting = [each for each in self.executions.values() if each.inbox]
                if waiting:
                    self.turns += 1
                    self.random.choice(waiting).turn()
                elif self.agenda.is_over:
                    return
                elif self.agenda:
                    self.agenda.happen()
                else:
                    self._nothing_happens()
                    return
        except Broken as broken:
            raise SimulationFailure(self._seed, str(broken), self._lines) from None

    def _nothing_happens(self) -> None:
        for execution in self.executions.values():
            state = execution.state
            if not state.ended and not execution.hangs and state.seq:
                patient = state.paused or any(
                    visit.phase in ("waiting", "human", "child", "queued", "held")
                    for scope in state.scopes.values()
                    for visit in scope.active.values()
                )
                what = f"execution {execution.id}: nothing will ever happen, and no attempt hangs"
                require(patient, what)

    def latency(self) -> int:
        """How long something is under way."""
        return self.random.randint(0, self.faults.latency_ms_max)

    def script_of(self, plan: Plan) -> Script:
        """What the attempts of a workflow come to."""
        return self._scripts.get(plan.id, {})

    def tell(self, execution_id: str, line: str) -> None:
        """Note what happens, for whoever has to find out why a promise was broken."""
        self._lines.append(f"{self.agenda.now_ms - self._began_ms:>8} {execution_id} {line}")
        if len(self._lines) > _STORY_LINES_MAX:
            del self._lines[: _STORY_LINES_MAX // 2]

    # -- clients

    def request(self, execution_id: str, stimulus: AnyStimulus) -> None:
        """Have a client ask an execution for something; its id is in the stimulus."""
        id = getattr(stimulus, "message_id")  # noqa: B009 - of each of the requests
        self._post(Letter(id=id, receiver=execution_id, stimulus=stimulus, client=True))

    def new_id(self, what: str) -> str:
        """An id for a client's request."""
        self._requests += 1
        return f"{what}-{self._requests}"

    def publish(self, name: str, data: Any, id: str | None = None) -> None:
        """Have an event on the bus: each execution that waits for its type is told."""
        event_id = id if id is not None else self.new_id("event")
        require(event_id not in self._published, f"published twice: {event_id}")
        self._published.add(event_id)
        self.published.append((event_id, name, data))
        now_ms = self.agenda.now_ms
        arrived = EventArrived(
            now_ms=0, event_id=event_id, name=name, data=data, published_at_ms=now_ms
        )
        self.agenda.later(now_ms + self.latency(), lambda: self._hand_out(arrived))

    def _hand_out(self, event: EventArrived) -> None:
        for execution in list(self.executions.values()):
            wanted = execution.plan.awaited | execution.plan.handled
            if event.name in wanted and not execution.state.ended:
                self._post(Letter(id=event.event_id, receiver=execution.id, stimulus=event))

    # -- letters

    def committed(
        self, sender: SimulatedExecution, decision: Decision, letter: Letter | None
    ) -> None:
        """A decision is durable: what it says to others is under way, what it took has arrived."""
        if letter is not None:
            self._arrived(sender, decision, letter)
        if self._early:
            self._let_in(sender.id)
        for message in decision.messages:
            known = self._sent.get(message.id)
            require(known is None, f"sent twice: {message}, before: {known}")
            self._sent[message.id] = message
            if isinstance(message.body, TellSignal):
                self.signals.append((message.receiver, message.body.name, message.body.data))
            self.coverage.hit("message", type(message.body).__name__)
            self._post(_letter(message))
        for published in decision.published:
            self.publish(published.name, published.data, published.id)
        self._read_script(
            sender, decision
        )  # a wait of a decision may be over before its task opens
        for task in decision.tasks:
            self._task(sender, task)

    def _arrived(self, receiver: SimulatedExecution, decision: Decision, letter: Letter) -> None:
        if decision.refused is not None:
            lost = letter.client or receiver.state.ended or decision.refused.code == "OVERLOADED"
            require(lost, f"refused, but nobody waits for an answer: {letter}")
            self.coverage.hit("refused", decision.refused.code)
            self.refusals.append(
                Refusal(
                    at_ms=self.agenda.now_ms,
                    execution_id=receiver.id,
                    stimulus=letter.stimulus,
                    code=decision.refused.code,
                    message=decision.refused.message,
                )
            )
        else:
            taken = letter.id in decision.taken or letter.workflow is not None
            require(taken or receiver.state.ended, f"neither taken nor refused: {letter}")
        self._letters.pop((letter.receiver, letter.id), None)

    def tell_parent(self, parent: str, ended: ChildEnded) -> None:
        """The child that a stand-in plays has ended."""
        self._post(Letter(id=ended.message_id, receiver=parent, stimulus=ended))

    def _post(self, letter: Letter) -> None:
        self._letters[letter.receiver, letter.id] = letter
        self._carry(letter)

    def _carry(self, letter: Letter) -> None:
        now_ms = self.agenda.now_ms
        self.agenda.later(now_ms + self.latency(), lambda: self._deliver(letter))
        if self.faults.duplicate and self.random.random() < self.faults.duplicate:
            self.coverage.hit("fault", "doubled letter")
            late_ms = now_ms + self.random.randint(0, self.faults.late_ms_max)
            self.agenda.later(late_ms, lambda: self._deliver(letter))

    def _deliver(self, letter: Letter) -> None:
        receiver = self.executions.get(letter.receiver)
        if receiver is not None and receiver.stored:
            receiver.receive(letter.stimulus, letter)
        elif letter.receiver in self._stand_ins:
            self._letters.pop((letter.receiver, letter.id), None)
            self._stand_ins[letter.receiver].receive(letter.stimulus)
        elif isinstance(letter.stimulus, Start):
            self._start_child(letter, letter.stimulus)
        elif receiver is not None or self._is_awaited(letter.receiver):
            self._early.append(letter)  # it comes before the start that it follows
        else:
            self.coverage.hit("letter", "to nobody")
            self._letters.pop((letter.receiver, letter.id), None)

    def _is_awaited(self, receiver: str) -> bool:
        return any(
            letter.receiver == receiver and isinstance(letter.stimulus, Start)
            for letter in self._letters.values()
        )

    def deliver_again(self, receiver: str) -> None:
        """A host is gone, and what it had been told with it: whoever sent it, sends it again."""
        for letter in list(self._letters.values()):
            if letter.receiver == receiver:
                self._carry(letter)

    def _start_child(self, letter: Letter, start: Start) -> None:
        if letter.receiver in self.executions:
            return  # it is about to begin
        plan = self._plan_of(letter.workflow or "", letter.version)
        if plan is not None:
            self.start(plan, start)
            return
        self._letters.pop((letter.receiver, letter.id), None)
        if start.parent is None:
            return
        parent = self.executions[start.parent.execution_id]
        at = start.parent.at
        call = parent.call(at, parent.place(at), start.input)
        told = scripted(self.script_of(parent.plan), call)
        self._stand_ins[letter.receiver] = StandIn(self, letter.receiver, start.parent, told)
        self._let_in(letter.receiver)

    def _let_in(self, receiver: str) -> None:
        """Whoever was told something before it had begun hears of it now."""
        early = [letter for letter in self._early if letter.receiver == receiver]
        self._early = [letter for letter in self._early if letter.receiver != receiver]
        for letter in early:
            self._deliver(letter)

    def _plan_of(self, workflow: str, version: str | None) -> Plan | None:
        known = self._plans.get(workflow, [])
        if version is None:
            return known[-1] if known else None
        return next((plan for plan in known if plan.version == version), None)

    # -- people, and what a script says of waits

    def _task(self, execution: SimulatedExecution, task: TaskView) -> None:
        self.coverage.hit("task", task.status)
        key = (execution.id, task.at)
        opened = key not in self.tasks
        self.tasks[key] = task
        if not opened or task.status != "Open":
            return
        call = execution.call(task.at, execution.place(task.at), task.input)
        told = scripted(self.script_of(execution.plan), call)
        if not isinstance(told, Person):
            return
        for act in told.acts:
            action = TaskAction(
                now_ms=0,
                message_id=self.new_id(act.verb),
                at=task.at,
                verb=act.verb,
                user=act.user,
                assignees=act.assignees,
                candidates=act.candidates,
                data=act.data,
                error=act.error,
                progress=act.progress,
                force=act.force,
            )
            self._ask_later(act.after_ms, execution.id, action)

    def _ask_later(self, after_ms: int, execution_id: str, stimulus: AnyStimulus) -> None:
        at_ms = self.agenda.now_ms + after_ms
        self.agenda.later(at_ms, lambda: self.request(execution_id, stimulus))

    def _read_script(self, execution: SimulatedExecution, decision: Decision) -> None:
        script = self.script_of(execution.plan)
        for event in decision.events:
            for activation in getattr(event, "activated", ()):
                step = execution.plan.steps[activation.step]
                if step.kind == "wait" and not activation.skipped:
                    self._wait(execution, script, activation)

    def _wait(self, execution: SimulatedExecution, script: Script, activation: Activation) -> None:
        at = Address(activation.scope, activation.step, activation.visit)
        told = scripted(script, execution.call(at, execution.place(at)))
        if not isinstance(told, Arrives):
            return
        if told.kind == "signal":
            id = self.new_id("signal")
            signal = Signal(now_ms=0, message_id=id, name=told.name, data=told.data)
            self._ask_later(told.after_ms, execution.id, signal)
            return
        at_ms = self.agenda.now_ms + told.after_ms
        self.agenda.later(at_ms, lambda: self.publish(told.name, told.data))


def _letter(message: Outgoing) -> Letter:
    """A message as what its receiver is told."""
    body: AnyMessage = message.body
    id, receiver = message.id, message.receiver
    told: AnyStimulus
    match body:
        case StartChild():
            start = Start(
                now_ms=0,
                execution_id=receiver,
                input=body.input,
                parent=body.parent,
                inherited=body.priority,
            )
            return Letter(
                id=id,
                receiver=receiver,
                stimulus=start,
                workflow=body.definition,
                version=body.version,
            )
        case TellChildEnded():
            ended = ChildEnded(
                now_ms=0,
                message_id=id,
                at=body.at,
                status=body.status,
                output=body.output,
                output_bytes=body.output_bytes,
                extracts=body.extracts,
                failure=body.failure,
            )
            return Letter(id=id, receiver=receiver, stimulus=ended)
        case TellSignal():
            told = Signal(now_ms=0, message_id=id, name=body.name, data=body.data)
        case TellCancel():
            told = Cancel(now_ms=0, message_id=id, reason=body.reason)
        case TellPause():
            told = Pause(now_ms=0, message_id=id)
        case TellResume():
            told = Resume(now_ms=0, message_id=id)
    return Letter(id=id, receiver=receiver, stimulus=told)
