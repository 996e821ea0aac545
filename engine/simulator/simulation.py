"""A simulation: one execution, those that it starts, and what reaches them, in virtual time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from heliostat.engine.identity import Address
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import ExecutionEvent, Failure
from heliostat.engine.kernel.messages import TaskView
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.kernel.stimuli import AnyStimulus, Cancel, Start
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.coverage import Coverage
from heliostat.engine.simulator.execution import SimulatedExecution
from heliostat.engine.simulator.faults import QUIET, Faults, HostFault
from heliostat.engine.simulator.outcomes import Functions, Script
from heliostat.engine.simulator.story import tell
from heliostat.engine.simulator.tracing import trace
from heliostat.engine.simulator.world import (
    EPOCH_MS,
    TURNS_MAX,
    Refusal,
    SimulationFailure,
    World,
)
from heliostat.engine.status import ExecutionStatus
from heliostat.engine.values import Value

__all__ = [
    "EPOCH_MS",
    "TURNS_MAX",
    "Happening",
    "Simulation",
    "SimulationFailure",
    "SimulationResult",
]


class Happening(Struct, frozen=True, kw_only=True):
    """Something that comes from outside at an instant: a client's request, or an event.

    The `message_id` of a stimulus is given by the simulation where it is empty.
    """

    at_ms: int  # from the start of the simulation
    stimulus: AnyStimulus | None = None
    event: tuple[str, Value] | None = None  # type and data of one that somebody publishes
    execution: str | None = None  # for whom the stimulus is; None: the execution simulated


class SimulationResult(Struct, kw_only=True):
    """How a simulated execution went."""

    execution_id: str
    status: ExecutionStatus
    ended: bool
    """False: it waits for something that nobody sends, an attempt hangs for ever, or it was still
    going after `turns_max` turns, or when the year 9999 was over."""
    output: Value
    failure: Failure | None
    elapsed_ms: int  # of virtual time
    turns: int
    events: list[ExecutionEvent]
    history: list[bytes]  # the events as a journal keeps them
    state: ExecutionState
    coverage: Coverage
    plan: Plan
    others: dict[str, SimulationResult]
    """The executions that it started, and those that they did, by id."""
    published: list[tuple[str, str, Value]]  # events: id, type, data
    signals: list[tuple[str, str, Value]]  # that executions sent: to whom, name, data
    tasks: list[TaskView]  # human tasks, as they were last
    refusals: list[Refusal]  # requests that could not be followed

    @property
    def story(self) -> str:
        """The history, readable: a line for each thing that happened, indented by scope."""
        return tell(self)

    @property
    def trace(self) -> list[str]:
        """The visits that ended, in order: `a` completed, `a!` failed, `a?` was skipped."""
        return trace(self.plan, self.events)

    def __repr__(self) -> str:
        """How it ended; all else is long, and asked for by name."""
        ends = f"output={self.output!r}"
        if self.failure is not None:
            ends = f"failure={self.failure.type}: {self.failure.message}"
        return (
            f"<{self.execution_id} of {self.plan.id} {self.plan.version}: {self.status}, {ends}, "
            f"{len(self.events)} events in {self.elapsed_ms:,} ms>"
        )


class Simulation:
    """One execution, run to its end; of `scripts`, those of other workflows by their id."""

    def __init__(
        self,
        plan: Plan,
        input: Value = None,
        outcomes: Script | None = None,
        *,
        seed: int = 0,
        faults: Faults = QUIET,
        cancel_at_ms: int | None = None,
        happenings: Iterable[Happening] = (),
        others: Sequence[Plan] = (),
        scripts: Mapping[str, Script] | None = None,
        functions: Functions | None = None,
        history: Sequence[bytes] = (),
        strike: tuple[int, HostFault] | None = None,
        execution_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at_ms: int = EPOCH_MS,
        turns_max: int = TURNS_MAX,
    ) -> None:
        if history:
            start_at_ms = max(start_at_ms, decode_event(history[-1]).at_ms)
        self._began_ms = start_at_ms
        self.world = World(
            (plan, *others),
            {plan.id: outcomes if outcomes is not None else {}, **(scripts or {})},
            functions=functions,
            seed=seed,
            faults=faults,
            start_at_ms=start_at_ms,
            turns_max=turns_max,
        )
        id = execution_id if execution_id is not None else f"sim-{seed}"
        start = Start(now_ms=start_at_ms, execution_id=id, input=input, tags=dict(tags or {}))
        self._main = self.world.start(plan, start, history=history, strike=strike)
        for happening in happenings:
            self._expect(happening)
        if cancel_at_ms is not None:
            cancel = Cancel(now_ms=0, message_id=f"cancel-{seed}")
            self._expect(Happening(at_ms=cancel_at_ms, stimulus=cancel))

    def _expect(self, happening: Happening) -> None:
        self.world.agenda.later(
            self._began_ms + happening.at_ms, lambda: self._let_happen(happening)
        )

    def _let_happen(self, happening: Happening) -> None:
        if happening.event is not None:
            self.world.publish(*happening.event)
        stimulus = happening.stimulus
        if stimulus is None:
            return
        if not getattr(stimulus, "message_id", "-"):
            id = self.world.new_id(type(stimulus).__name__.lower())
            stimulus = replace(stimulus, message_id=id)
        self.world.request(happening.execution or self._main.id, stimulus)

    def run(self) -> SimulationResult:
        """Run while anything happens, for `turns_max` turns and to the year 9999 at most.

        Raises:
            SimulationFailure: the kernel broke a promise.
        """
        self.world.run()
        executions = self.world.executions.values()
        others = {each.id: self._result(each) for each in executions if each is not self._main}
        return self._result(self._main, others)

    def _result(
        self, execution: SimulatedExecution, others: dict[str, SimulationResult] | None = None
    ) -> SimulationResult:
        state, world = execution.state, self.world
        world.coverage.hit("end", state.status if state.ended else "going on")
        tasks: list[tuple[Address, TaskView]] = [
            (at, task) for (id, at), task in world.tasks.items() if id == execution.id
        ]
        return SimulationResult(
            execution_id=execution.id,
            status=state.status,
            ended=state.ended,
            output=state.resolve(state.output) if state.ended else None,
            failure=state.failure,
            elapsed_ms=(state.ended_at_ms or world.agenda.now_ms) - state.created_at_ms,
            turns=execution.turns,
            events=[decode_event(body) for body in execution.stored],
            history=execution.stored,
            state=state,
            coverage=world.coverage,
            plan=execution.plan,
            others=others or {},
            published=world.published,
            signals=world.signals,
            tasks=[task for _, task in tasks],
            refusals=[each for each in world.refusals if each.execution_id == execution.id],
        )
