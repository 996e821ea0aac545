"""One execution, run to its end in virtual time, among faults drawn from a seed.

A host, a store and runners without any I/O: the loop takes the next thing that happens, lets the
kernel decide, and treats its events and commands as a real host does (commit, then acknowledge,
then dispatch), but for the faults that it puts between any two of these. After every turn the
state is held against its replay and against `invariants.py`, every event against `chronicle.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

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
    StepCompleted,
    StepFailed,
)
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import (
    AnyStimulus,
    Cancel,
    Start,
    StepLost,
    StepRaised,
    StepReturned,
    StepStopped,
    StepTimedOut,
    TakenOver,
    Woke,
)
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.chronicle import Chronicle
from heliostat.engine.simulator.coverage import Coverage
from heliostat.engine.simulator.faults import INJECTED, QUIET, Faults, HostFault
from heliostat.engine.simulator.invariants import (
    Broken,
    check_equal,
    check_outstanding,
    check_state,
    require,
)
from heliostat.engine.simulator.outcomes import Call, Script, outcome_of
from heliostat.engine.simulator.runners import Runners
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Value

EPOCH_MS: Final = 1_767_225_600_000
"""When virtual time begins, unless told otherwise: 2026-01-01T00:00:00Z."""

TURNS_MAX: Final = 20_000
"""Turns after which a simulation gives up; its result then says `ended=False`."""


class SimulationResult(Struct, kw_only=True):
    """How a simulated execution went."""

    status: ExecutionStatus
    ended: bool  # False: an attempt hangs for ever, or it was still going after `turns_max` turns
    output: Value
    failure: Failure | None
    elapsed_ms: int  # of virtual time
    turns: int
    events: list[ExecutionEvent]
    history: list[bytes]  # the events as a journal keeps them
    state: ExecutionState
    coverage: Coverage


class SimulationFailure(AssertionError):
    """The kernel broke a promise. Names the seed, and tells what led there."""

    def __init__(self, seed: int, what: str, story: Sequence[str]) -> None:
        super().__init__(seed, what, tuple(story))
        self.seed, self.what, self.story = seed, what, tuple(story)

    def __str__(self) -> str:
        return "\n".join([f"seed {self.seed}: {self.what}", "what led there:", *self.story[-60:]])


class _Decided(Struct):
    """What one stimulus led to, before it is committed."""

    events: list[ExecutionEvent]
    commands: list[tuple[Command, tuple[int, int | None]]]
    """Each with the visit, and the item, that its author would name it by."""


class _Crash(Exception):
    """The host ends here."""


class Simulation:
    """Runs one execution of a plan; one object, one run.

    Args:
        plan: the plan to run.
        input: the execution's input.
        outcomes: what becomes of attempts; see `outcomes.py`.
        seed: the same seed gives the same run, to the event.
        faults: what goes wrong; by default nothing does.
        cancel_at_ms: ask for the end of the execution, so long after its start.
        history: begin as a new owner of this history, instead of with a start.
        strike: one fault at one turn, counted from 1: to try them all instead of drawing some.
        start_at_ms: the instant at which virtual time begins.
    """

    def __init__(
        self,
        plan: Plan,
        input: Value = None,
        outcomes: Script | None = None,
        *,
        seed: int = 0,
        faults: Faults = QUIET,
        cancel_at_ms: int | None = None,
        history: Sequence[bytes] = (),
        strike: tuple[int, HostFault] | None = None,
        start_at_ms: int = EPOCH_MS,
        turns_max: int = TURNS_MAX,
    ) -> None:
        self._plan, self._input, self._seed = plan, input, seed
        self._outcomes: Script = outcomes if outcomes is not None else {}
        self._faults, self._random = faults, Random(seed)
        self._turns_max, self._strike = turns_max, strike
        self.coverage = Coverage()
        self._now_ms = self._began_ms = start_at_ms
        self._agenda: list[tuple[int, float, int, Callable[[], None]]] = []
        self._agenda_count = 0
        self._inbox: list[AnyStimulus] = []
        self._turns = 0
        self._story: list[str] = []
        self._epoch = 1
        # the store
        self._stored: list[bytes] = []
        self._snapshot: tuple[int, bytes] | None = None
        # the host's memory, and what it is held against
        self._state = ExecutionState()
        self._replay = ExecutionState()
        self._chronicle = Chronicle(plan)
        self._expected: dict[Address, Command] = {}
        self._expected_stored: dict[Address, Command] = {}
        self._unscripted: dict[tuple[int, int, int], int] = {}
        """By visit, the attempts that are repetitions in the eyes of a script."""
        self._runners = Runners(
            random=self._random,
            faults=faults,
            now_ms=lambda: self._now_ms,
            later=self._later,
            report=self._report,
        )
        self._cancel = Cancel(now_ms=0, message_id=f"cancel-{seed}")
        self._canceling = False
        if history:
            self._began_ms = self._now_ms = max(start_at_ms, decode_event(history[-1]).at_ms)
            self._store([decode_event(body) for body in history], list(history))
            self._inbox = [self._take_over(known=frozenset())]
        else:
            self._later(self._now_ms, self._start)
        if cancel_at_ms is not None:
            self._later(self._now_ms + cancel_at_ms, self._ask_to_cancel)

    def run(self) -> SimulationResult:
        """Run to the end of the execution, while anything happens, for `turns_max` turns at most.

        Raises:
            SimulationFailure: the kernel broke a promise.
        """
        try:
            self._run()
        except Broken as broken:
            raise SimulationFailure(self._seed, str(broken), self._story) from None
        state = self._state
        self.coverage.hit("end", state.status if state.ended else "going on")
        return SimulationResult(
            status=state.status,
            ended=state.ended,
            output=state.resolve(state.output) if state.ended else None,
            failure=state.failure,
            elapsed_ms=(state.ended_at_ms or self._now_ms) - state.created_at_ms,
            turns=self._turns,
            events=[decode_event(body) for body in self._stored],
            history=self._stored,
            state=state,
            coverage=self.coverage,
        )

    # -- the loop

    def _run(self) -> None:
        while self._turns < self._turns_max:
            while self._inbox:
                self._turn()
            if self._state.ended and not self._agenda:
                return
            if not self._agenda:
                hang = self._expected and self._expected.keys() <= self._runners.running.keys()
                require(bool(hang), "nothing will ever happen, and no attempt hangs")
                return
            if self._state.ended:
                self._now_ms = max(self._now_ms, self._agenda[0][0])
            self._next()

    def _next(self) -> None:
        """Let the next thing happen, and often what happens at the same instant."""
        at_ms, _, _, action = heappop(self._agenda)
        self._now_ms = max(self._now_ms, at_ms)
        action()
        while self._agenda and self._agenda[0][0] <= self._now_ms and self._chance(0.5):
            heappop(self._agenda)[3]()

    def _later(self, at_ms: int, action: Callable[[], None]) -> None:
        self._agenda_count += 1
        entry = (at_ms, self._random.random(), self._agenda_count, action)
        heappush(self._agenda, entry)

    def _chance(self, probability: float) -> bool:
        return probability > 0 and self._random.random() < probability

    def _latency(self) -> int:
        return self._random.randint(0, self._faults.latency_ms_max)

    # -- what reaches the host

    def _start(self) -> None:
        start = Start(now_ms=self._now_ms, execution_id=f"sim-{self._seed}", input=self._input)
        self._inbox.append(start)

    def _ask_to_cancel(self) -> None:
        self._canceling = True
        if self._stored:
            self._inbox.append(self._cancel)
        else:  # nobody knows the execution yet: the client asks again
            self._later(self._now_ms + 1, self._ask_to_cancel)

    def _report(self, at: Address, report: AnyStimulus) -> None:
        self._later(self._now_ms + self._latency(), lambda: self._inbox.append(report))
        if self._chance(self._faults.duplicate):
            self.coverage.hit("fault", "duplicate")
            self._later(self._now_ms + 3 * self._latency(), lambda: self._inbox.append(report))

    def _wake(self) -> None:
        wake_at_ms = self._state.wake_at_ms
        if wake_at_ms is not None and wake_at_ms <= self._now_ms:
            self._inbox.append(Woke(now_ms=self._now_ms))

    # -- one turn of the host

    def _turn(self) -> None:
        self._turns += 1
        stimuli, self._inbox = self._inbox, []
        try:
            self._settle_and_store(stimuli)
        except _Crash:
            self._recover()
        wake_at_ms = self._state.wake_at_ms
        if wake_at_ms is not None:
            self._later(max(wake_at_ms, self._now_ms) + self._latency(), self._wake)
        if self._chance(self._faults.clock_jump):
            self.coverage.hit("fault", "clock_jump")
            self._now_ms += self._random.randint(1, self._faults.clock_jump_ms_max)
        if self._chance(self._faults.foreign):
            self._probe()

    def _settle_and_store(self, stimuli: list[AnyStimulus]) -> None:
        faults = self._faults
        decided = self._decide(stimuli)
        if self._strikes("commit_lost", faults.commit_lost):
            self._tell("the commit is lost; the state is folded again")
            self._load()
            decided = self._decide(stimuli)
        if self._strikes("crash_before_commit", faults.crash_before_commit):
            raise _Crash
        events = [event for each in decided for event in each.events]
        self._store(events, [encode_event(event) for event in events])
        self._expected_stored = dict(self._expected)
        check_equal(self._replay, self._state, "replay differs from live")
        if self._chance(faults.snapshot):
            self._take_snapshot()
        if self._strikes("crash_after_commit", faults.crash_after_commit):
            raise _Crash
        for each in decided:
            for command, place in each.commands:
                self._chronicle.command(command)
                self._dispatch(command, *place)
        if self._strikes("crash_before_ack", faults.crash_before_ack):
            raise _Crash
        for stimulus in stimuli:
            if isinstance(stimulus, StepReturned | StepRaised):
                self._runners.acknowledge(stimulus.at)
        if self._chance(faults.duplicate):
            self._repeat(stimuli)

    def _decide(self, stimuli: list[AnyStimulus]) -> list[_Decided]:
        decided = []
        for stimulus in stimuli:
            now = replace(stimulus, now_ms=self._now_ms)
            self.coverage.hit("stimulus", type(now).__name__)
            self._tell(f"← {now}")
            decision = settle(self._plan, self._state, now)
            for event in decision.events:
                self._tell(f"   {event}")
            for command in decision.commands:
                self._tell(f"   → {command}")
            commands = [(command, self._place(command.at)) for command in decision.commands]
            decided.append(_Decided(decision.events, commands))
            self._expect(decision.events, decision.commands)
            check_state(self._plan, self._state)
            check_outstanding(self._plan, self._state, self._expected)
        return decided

    def _expect(self, events: Sequence[ExecutionEvent], commands: Sequence[Command]) -> None:
        over: set[Address] = set()
        for event in events:
            match event:
                case StepCompleted(at=at) | StepFailed(at=at) | AttemptEnded(at=at):
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
        if self._state.ended:
            self._expected.clear()

    def _store(self, events: list[ExecutionEvent], bodies: list[bytes]) -> None:
        self._stored += bodies
        for event, body in zip(events, bodies, strict=True):
            self.coverage.event(self._plan, event)
            self._chronicle.event(event)
            fold(self._plan, (body,), self._replay)
            again: tuple[Address, ...] = ()
            if isinstance(event, OwnerChanged):
                again = event.reissued
            elif isinstance(event, AttemptLost) and event.cause == INJECTED:
                again = (event.at,)
            for at in again:
                key = (at.scope, at.step, at.visit)
                self._unscripted[key] = self._unscripted.get(key, 0) + 1

    def _dispatch(self, command: Command, visit: int, item_index: int | None) -> None:
        self.coverage.hit("command", type(command).__name__)
        at = command.at
        step = self._plan.steps[at.step]
        if isinstance(command, StopAttempt):
            self._runners.stop(at, command.grace_ms)
            return
        call = Call(
            step=step.id,
            visit=visit,
            item_index=item_index,
            nth=at.attempt - self._unscripted.get((at.scope, at.step, at.visit), 0),
            input=command.input,
        )
        outcome = outcome_of(self._outcomes, call)
        self.coverage.hit("outcome", type(outcome).__name__)
        self._runners.run(at, outcome, step.timeout_ms)

    def _place(self, at: Address) -> tuple[int, int | None]:
        scope = self._state.scopes.get(at.scope)
        if scope is None or scope.parent is None:
            return at.visit, None
        return scope.parent[2], scope.index

    # -- faults

    def _strikes(self, fault: HostFault, probability: float) -> bool:
        strikes = self._strike == (self._turns, fault) or self._chance(probability)
        if strikes:
            self.coverage.hit("fault", fault)
            self._tell(f"fault: {fault}")
        return strikes

    def _recover(self) -> None:
        """Another host becomes the owner: what the earlier one had in memory is gone."""
        self._load()
        self._inbox = []
        if not self._stored:
            self._later(self._now_ms + 1, self._start)
        elif self._state.busy or self._chance(0.5):
            known = {at for at in self._runners.known if not self._forgets(at)}
            self._inbox.append(self._take_over(known=frozenset(known)))
        self._runners.repeat()
        for at in list(self._runners.running):
            self._runners.watch(at)
        if self._canceling and not self._state.cancel_ids:
            self._later(self._now_ms + 1, self._ask_to_cancel)

    def _forgets(self, at: Address) -> bool:
        forgets = self._chance(self._faults.forget_known)
        if forgets:
            self.coverage.hit("fault", "forget_known")
        return forgets

    def _take_over(self, *, known: frozenset[Address]) -> TakenOver:
        self._load()
        self._epoch += 1
        return TakenOver(now_ms=self._now_ms, epoch=self._epoch, owner="sim", known=known)

    def _load(self) -> None:
        """Fold the stored history again, from a snapshot if there is one."""
        state, after = None, 0
        if self._snapshot is not None:
            after, body = self._snapshot
            state = decode_snapshot(body)
        self._state = fold(self._plan, self._stored[after:], state)
        self._expected = dict(self._expected_stored)
        check_equal(self._replay, self._state, "the fold from a snapshot differs")

    def _take_snapshot(self) -> None:
        self.coverage.hit("fault", "snapshot")
        body = encode_snapshot(self._state)
        self._snapshot = (len(self._stored), body)
        state = decode_snapshot(body)
        assert state is not None
        self._state = state

    def _repeat(self, stimuli: list[AnyStimulus]) -> None:
        """What was decided is not decided again."""
        if self._state.ready:
            return  # the kernel has work of its own left
        for stimulus in stimuli:
            if not isinstance(stimulus, Woke | TakenOver):
                self._decides_nothing(stimulus)

    def _probe(self) -> None:
        """Send something that belongs to nothing outstanding."""
        if self._state.ready or not self._state.seq:
            return
        at = Address(
            self._random.randint(1, self._state.next_scope),
            self._random.randrange(len(self._plan.steps)),
            self._random.randint(1, 3),
            self._random.randint(1, 4),
        )
        if self._state.awaits(at) is not None:
            return
        self.coverage.hit("fault", "foreign")
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
        now = replace(stimulus, now_ms=self._now_ms)
        decision = settle(self._plan, self._state, now)
        quiet = not decision.events and not decision.commands
        require(quiet, f"{now} is repeated, late or foreign, and decided {decision}")

    def _tell(self, line: str) -> None:
        self._story.append(f"{self._now_ms - self._began_ms:>8} {line}")
        if len(self._story) > 2_000:
            del self._story[:1_000]
