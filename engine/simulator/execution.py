"""One simulated execution: what its host does in a turn, and what may go wrong in between.

A host, a store and runners without any I/O: each turn lets the kernel decide, and treats its events
and commands as a real host does (commit, then acknowledge, then dispatch), but for the faults that
it puts between any two of these. After every turn the state is held against its replay and against
`invariants.py`, every event against `chronicle.py` and, as a real host does it, against its plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from heliostat.engine.errors import HistoryMisfit
from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import (
    decode_event,
    decode_snapshot,
    encode_event,
    encode_snapshot,
    fold,
)
from heliostat.engine.kernel.commands import Command, StopAttempt
from heliostat.engine.kernel.events import (
    AttemptEnded,
    AttemptFailed,
    AttemptLost,
    ExecutionEvent,
    Failure,
    OwnerChanged,
    RegionCanceling,
    StepCompleted,
    StepFailed,
    TaskOpened,
)
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Start,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
    TakenOver,
    Woke,
)
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.monitor.conformance import Conformance
from heliostat.engine.monitor.restored import marking_of
from heliostat.engine.monitor.tables import Tables
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.chronicle import Chronicle
from heliostat.engine.simulator.faults import INJECTED, HostFault
from heliostat.engine.simulator.invariants import (
    Broken,
    check_equal,
    check_outstanding,
    check_state,
    require,
)
from heliostat.engine.simulator.outcomes import Call, outcome_of
from heliostat.engine.simulator.runners import Runners

if TYPE_CHECKING:
    from heliostat.engine.simulator.world import Letter, World


class Place(Struct, frozen=True):
    """Where an attempt is, as its author would name it."""

    visit: int
    indices: tuple[int, ...]  # of the items around, from the inside out


class _Decided(Struct):
    """What one stimulus led to, before it is committed."""

    stimulus: AnyStimulus
    letter: Letter | None
    decision: Decision
    commands: list[tuple[Command, Place]]
    seq: int  # the state's, behind it


class _Crash(Exception):
    """The host ends here."""


class SimulatedExecution:
    """One execution of a world: its journal, its host's memory, its runners."""

    def __init__(
        self,
        world: World,
        plan: Plan,
        start: Start,
        *,
        history: Sequence[bytes] = (),
        strike: tuple[int, HostFault] | None = None,
    ) -> None:
        self._world, self.plan, self._start = world, plan, start
        self.id = start.execution_id
        self._random, self._faults, self._agenda = world.random, world.faults, world.agenda
        self._strike = strike
        self.inbox: list[tuple[AnyStimulus, Letter | None]] = []
        self.turns = 0
        self._epoch = 1
        # the store
        self.stored: list[bytes] = []
        self._snapshot: tuple[int, bytes] | None = None
        # the host's memory, and what it is held against
        self.state = ExecutionState()
        self._replay = ExecutionState()
        self._chronicle = Chronicle(plan)
        self._conformance = Conformance(Tables(plan))
        self._expected: dict[Address, Command] = {}
        self._expected_stored: dict[Address, Command] = {}
        self._unscripted: dict[tuple[int, int, int], int] = {}
        """By visit, the attempts that are repetitions in the eyes of a script."""
        self.runners = Runners(
            random=self._random,
            faults=self._faults,
            now_ms=lambda: self._agenda.now_ms,
            later=self._agenda.later,
            report=self._report,
        )
        if history:
            self._store([decode_event(body) for body in history], list(history))
            self.inbox.append((self._take_over(known=frozenset()), None))
        else:
            self._agenda.later(self._agenda.now_ms, self._begin)

    @property
    def hangs(self) -> bool:
        """Whether nothing can happen here but the end of attempts that never end."""
        return bool(self._expected) and self._expected.keys() <= self.runners.running.keys()

    # -- what reaches the host

    def receive(self, stimulus: AnyStimulus, letter: Letter | None = None) -> None:
        """Have a stimulus in the next turn."""
        self.inbox.append((stimulus, letter))

    def _begin(self) -> None:
        if not self.stored:
            self.receive(self._start)

    def _report(self, at: Address, report: AnyStimulus) -> None:
        now_ms, latency = self._agenda.now_ms, self._world.latency
        self._agenda.later(now_ms + latency(), lambda: self.receive(report))
        if self._chance(self._faults.duplicate):
            self._world.coverage.hit("fault", "duplicate")
            self._agenda.later(now_ms + 3 * latency(), lambda: self.receive(report))

    def _wake(self) -> None:
        wake_at_ms = self.state.wake_at_ms
        if wake_at_ms is not None and wake_at_ms <= self._agenda.now_ms:
            self.receive(Woke(now_ms=self._agenda.now_ms))

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    # -- one turn of the host

    def turn(self) -> None:
        """Settle what has gathered, in one commit."""
        self.turns += 1
        gathered, self.inbox = self.inbox, []
        try:
            self._settle_and_store(gathered)
        except _Crash:
            self._recover()
        wake_at_ms = self.state.wake_at_ms
        if wake_at_ms is not None:
            at_ms = max(wake_at_ms, self._agenda.now_ms) + self._world.latency()
            self._agenda.later(at_ms, self._wake)
        if self._chance(self._faults.clock_jump):
            self._world.coverage.hit("fault", "clock_jump")
            self._agenda.now_ms += self._random.randint(1, self._faults.clock_jump_ms_max)
        if self._chance(self._faults.foreign):
            self._probe()

    def _settle_and_store(self, gathered: list[tuple[AnyStimulus, Letter | None]]) -> None:
        faults = self._faults
        decided = self._decide(gathered)
        if self._strikes("commit_lost", faults.commit_lost):
            self._tell("the commit is lost; the state is folded again")
            self._load()
            decided = self._decide(gathered)
        if self._strikes("crash_before_commit", faults.crash_before_commit):
            raise _Crash
        events = [event for each in decided for event in each.decision.events]
        self._store(events, [encode_event(event) for event in events])
        self._expected_stored = dict(self._expected)
        check_equal(self._replay, self.state, "replay differs from live")
        for each in decided:
            self._world.committed(self, each.decision, each.letter)
        if self._chance(faults.snapshot):
            self._take_snapshot()
        if self._strikes("crash_after_commit", faults.crash_after_commit):
            raise _Crash
        for each in decided:
            for command, place in each.commands:
                self._chronicle.command(command)
                self._dispatch(command, place)
        if self._strikes("crash_before_ack", faults.crash_before_ack):
            raise _Crash
        for stimulus, _ in gathered:
            if isinstance(stimulus, StepReturned | StepRaised):
                self.runners.acknowledge(stimulus.at)
        if self._chance(faults.duplicate):
            self._repeat(decided)

    def _decide(self, gathered: list[tuple[AnyStimulus, Letter | None]]) -> list[_Decided]:
        decided = []
        for stimulus, letter in gathered:
            now = replace(stimulus, now_ms=self._agenda.now_ms)
            self._world.coverage.hit("stimulus", type(now).__name__)
            self._tell(f"← {now}")
            decision = settle(self.plan, self.state, now)
            for event in decision.events:
                self._tell(f"   {event}")
            for command in decision.commands:
                self._tell(f"   → {command}")
            for message in decision.messages:
                self._tell(f"   ✉ {message}")
            if decision.refused is not None:
                self._tell(f"   ✗ {decision.refused}")
            commands = [(command, self.place(command.at)) for command in decision.commands]
            decided.append(_Decided(stimulus, letter, decision, commands, self.state.seq))
            self._expect(decision.events, decision.commands)
            check_state(self.plan, self.state)
            check_outstanding(self.plan, self.state, self._expected)
        return decided

    def _expect(self, events: Sequence[ExecutionEvent], commands: Sequence[Command]) -> None:
        over: set[Address] = set()
        for event in events:
            match event:
                case (
                    StepCompleted(at=at)
                    | StepFailed(at=at)
                    | AttemptEnded(at=at)
                    | RegionCanceling(at=at)
                    | TaskOpened(at=at)
                ):
                    over.add(at)
                case AttemptFailed(at=at) | AttemptLost(at=at):
                    over.add(at)
                case OwnerChanged(reissued=reissued):
                    over.update(reissued)
                case _:
                    pass
        self._expected.update((command.at, command) for command in commands)
        for at in over:  # be it that it was told to stop, and given up, in this very turn
            self._expected.pop(at, None)
        if self.state.ended:
            self._expected.clear()

    def _store(self, events: list[ExecutionEvent], bodies: list[bytes]) -> None:
        self.stored += bodies
        for event, body in zip(events, bodies, strict=True):
            self._world.coverage.event(self.plan, event)
            self._chronicle.event(event)
            self._follow(event)
            fold(self.plan, (body,), self._replay)
            again: tuple[Address, ...] = ()
            if isinstance(event, OwnerChanged):
                again = event.reissued
            elif isinstance(event, AttemptLost) and event.cause == INJECTED:
                again = (event.at,)
            for at in again:
                key = (at.scope, at.step, at.visit)
                self._unscripted[key] = self._unscripted.get(key, 0) + 1

    def _follow(self, event: ExecutionEvent) -> None:
        conformance = self._conformance
        if conformance.lost:  # `_replay` is as after the event before this one
            marking = marking_of(self.plan, self._replay)
            conformance.go_on(Tables(self.plan), marking, self._replay.seq)
        try:
            conformance.follow((event,))
        except HistoryMisfit as misfit:
            raise Broken(f"{misfit}: {event}") from misfit
        require(conformance.fault is None, f"conformance: {conformance.fault}: {event}")

    def _dispatch(self, command: Command, place: Place) -> None:
        coverage = self._world.coverage
        coverage.hit("command", type(command).__name__)
        at = command.at
        if isinstance(command, StopAttempt):
            self.runners.stop(at, command.grace_ms)
            return
        call = self.call(at, place, command.input)
        script = self._world.script_of(self.plan)
        outcome = outcome_of(script, call, self._world.functions)
        coverage.hit("outcome", type(outcome).__name__)
        self.runners.run(at, outcome, self.plan.steps[at.step].timeout_ms)

    def call(self, at: Address, place: Place, input: object = None) -> Call:
        """An attempt, a task or a wait as a script sees it."""
        step = self.plan.steps[at.step]
        return Call(
            step=step.id,
            visit=place.visit,
            item_index=place.indices[0] if place.indices else None,
            nth=at.attempt - self._unscripted.get((at.scope, at.step, at.visit), 0),
            input=input,
            indices=place.indices,
            target=step.activity.target if step.activity is not None else None,
            workflow=self.plan.id,
            execution=self.id,
            scope=at.scope,
        )

    def place(self, at: Address) -> Place:
        """Where an address is, by visits and items."""
        scope = self.state.scopes.get(at.scope)
        visit = at.visit
        if scope is not None and scope.plan_scope is None and scope.parent is not None:
            visit = scope.parent[2]  # of the `foreach` that the item belongs to
        indices: list[int] = []
        while scope is not None and scope.parent is not None:
            if scope.plan_scope is None and scope.index is not None:
                indices.append(scope.index)
            scope = self.state.scopes.get(scope.parent[0])
        return Place(visit, tuple(indices))

    # -- faults

    def _strikes(self, fault: HostFault, probability: float) -> bool:
        strikes = self._strike == (self.turns, fault) or self._chance(probability)
        if strikes:
            self._world.coverage.hit("fault", fault)
            self._tell(f"fault: {fault}")
        return strikes

    def _recover(self) -> None:
        """Another host becomes the owner: what the earlier one had in memory is gone."""
        self._load()
        self.inbox = []
        now_ms = self._agenda.now_ms
        if not self.stored:
            self._agenda.later(now_ms + 1, self._begin)
        elif self.state.busy or self._chance(0.5):
            known = frozenset(at for at in self.runners.known if not self._forgets(at))
            self.receive(self._take_over(known=known))
        self.runners.repeat()
        for at in list(self.runners.running):
            self.runners.watch(at)
        self._world.deliver_again(self.id)

    def _forgets(self, at: Address) -> bool:
        forgets = self._chance(self._faults.forget_known)
        if forgets:
            self._world.coverage.hit("fault", "forget_known")
        return forgets

    def _take_over(self, *, known: frozenset[Address]) -> TakenOver:
        self._load()
        self._epoch += 1
        now_ms = self._agenda.now_ms
        return TakenOver(now_ms=now_ms, epoch=self._epoch, owner="sim", known=known)

    def _load(self) -> None:
        """Fold the stored history again, from a snapshot if there is one."""
        state, after = None, 0
        if self._snapshot is not None:
            after, body = self._snapshot
            state = decode_snapshot(body)
        self.state = fold(self.plan, self.stored[after:], state)
        self._expected = dict(self._expected_stored)
        check_equal(self._replay, self.state, "the fold from a snapshot differs")

    def _take_snapshot(self) -> None:
        self._world.coverage.hit("fault", "snapshot")
        body = encode_snapshot(self.state)
        self._snapshot = (len(self.stored), body)
        state = decode_snapshot(body)
        assert state is not None
        self.state = state

    def _repeat(self, decided: list[_Decided]) -> None:
        """What was decided is not decided again."""
        if self.state.ready:
            return  # the kernel has work of its own left
        for each in decided:
            if isinstance(each.stimulus, Woke | TakenOver):
                continue
            if each.decision.refused is not None and self.state.seq != each.seq:
                continue  # a refusal is no decision: what could not be followed then may be now
            self._decides_nothing(each.stimulus)

    def _probe(self) -> None:
        """Send something that belongs to nothing outstanding."""
        if self.state.ready or not self.state.seq:
            return
        at = Address(
            self._random.randint(1, self.state.next_scope),
            self._random.randrange(len(self.plan.steps)),
            self._random.randint(1, 3),
            self._random.randint(1, 4),
        )
        if self.state.awaits(at) is not None:
            return
        self._world.coverage.hit("fault", "foreign")
        failure = Failure(type="Foreign", message="")
        stimuli: list[AnyStimulus] = [
            StepReturned(now_ms=0, at=at, output="foreign"),
            StepRaised(now_ms=0, at=at, failure=failure),
            StepLost(now_ms=0, at=at, cause="foreign", counted=True),
            StepTimedOut(now_ms=0, at=at),
            StepStopped(now_ms=0, at=at),
        ]
        self._decides_nothing(self._random.choice(stimuli))

    def _decides_nothing(self, stimulus: AnyStimulus) -> None:
        now = replace(stimulus, now_ms=self._agenda.now_ms)
        decision = settle(self.plan, self.state, now)
        quiet = not decision.events and not decision.commands and not decision.messages
        require(quiet, f"{now} is repeated, late or foreign, and decided {decision}")

    def _tell(self, line: str) -> None:
        self._world.tell(self.id, line)
