"""Random definitions, schedules and faults; each seed is a world and what is left of it."""

from __future__ import annotations

import json
from random import Random

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import STEP_TYPES
from heliostat.engine.errors import DefinitionError
from heliostat.engine.kernel.settle import settle
from heliostat.engine.kernel.turn import Decision
from heliostat.engine.simulator import (
    QUIET,
    STORMY,
    Coverage,
    Simulation,
    SimulationFailure,
    SimulationResult,
)
from heliostat.verify.reference import Undetermined, interpret
from tests.simulation.choices import Seeded
from tests.simulation.definitions import Limits, parsed, random_definition
from tests.simulation.seeds import are_usual, replay_hint, replayed, seeds
from tests.simulation.worlds import World, result_of

TIES = 120
"""Orders of what happens at one instant that the reference tries before it says no."""


def run(world: World, **how: object) -> SimulationResult:
    """Run a world; a failure says how to see it again."""
    try:
        given = {**world.how, **how}
        return Simulation(world.plan, world.input, world.outcomes, seed=world.seed, **given).run()
    except SimulationFailure as failure:
        raise AssertionError(f"{replay_hint(world.seed)}\n{failure}") from None


@pytest.fixture(scope="module")
def walked() -> list[tuple[World, SimulationResult]]:
    """Random executions among faults; the simulator holds each turn against its rules."""
    runs = []
    for seed in seeds(0.8):
        world = World(seed)
        runs.append((world, run(world, faults=world.faults)))
    return runs


class TestAnyHistory:
    """Invariants of states, histories and replays hold in every turn of every run."""

    def test_holds_its_promises(self, walked: list[tuple[World, SimulationResult]]) -> None:
        for world, result in walked:
            assert result.ended, f"never ends; {replay_hint(world.seed)}\n{result.story}"
            assert result.state.busy == 0, replay_hint(world.seed)

    def test_any_prefix_folds_and_can_be_gone_on_with(
        self, walked: list[tuple[World, SimulationResult]]
    ) -> None:
        for world, result in walked[:: 1 if len(walked) == 1 else 4]:
            length = Random(world.seed).randint(1, len(result.history))
            again = run(world, history=result.history[:length], happenings=(), faults=QUIET)
            assert again.history[:length] == result.history[:length], replay_hint(world.seed)

    def test_the_same_seed_gives_the_same_run(
        self, walked: list[tuple[World, SimulationResult]]
    ) -> None:
        for world, result in walked[:50]:
            again = run(world, faults=world.faults)
            assert again.history == result.history, replay_hint(world.seed)

    def test_not_only_the_easy_road_was_walked(
        self, walked: list[tuple[World, SimulationResult]]
    ) -> None:
        coverage = Coverage()
        for _, result in walked:
            coverage.add(result.coverage)
        print(f"{len(walked)} worlds reached\n{coverage}")
        missing = coverage.missing(WANTED)
        if are_usual():
            assert missing == [], f"not reached; what was:\n{coverage}"
        else:  # fewer seeds, and drawn ones, need not reach the rare things
            assert len(missing) < len(WANTED), "these seeds reach nothing at all"


class TestResult:
    """What a definition leads to is what a second, naive reading of its meaning says."""

    @pytest.mark.long
    def test_equals_that_of_the_reference_interpreter(self) -> None:
        compared = 0
        for seed in seeds(0.8):
            world = World(seed, Limits(timed=True))
            try:
                wanted = [_wanted(world, None)]
                result = run(world, faults=QUIET, execution_id="sim")
                got = result_of(result)
                ties = iter(range(-1, TIES))
                while got not in wanted and (tie := next(ties, None)) is not None:
                    wanted.append(_wanted(world, tie))
            except Undetermined:
                continue
            compared += 1
            said = f"wanted {wanted[0]}, got {got}; {replay_hint(seed)}"
            assert got in wanted, f"{said}\n{world.tree}\n{world.told}\n{result.story}"
        assert compared or replayed() is not None

    def test_is_the_same_in_a_storm_where_nothing_races(self) -> None:
        compared = 0
        for seed in seeds(0.2):
            world = World(seed, Limits(timed=True, without=RACES))
            if any(each.kind in ("cancel", "pause", "resume") for each in world.told):
                continue
            calm = run(world, faults=QUIET, execution_id="sim")
            orders = {str(_wanted(world, tie)[:2]) for tie in range(8)}
            if len(orders) > 1 or not calm.ended:
                continue
            compared += 1
            stormy = run(world, faults=STORMY, execution_id="sim")
            assert result_of(stormy)[0] == result_of(calm)[0], replay_hint(seed)
        assert compared or replayed() is not None


RACES = frozenset(("deadline", "timeout", "wait", "human", "cancels", "terminate", "at_most_once"))


def _wanted(world: World, tie: int | None) -> tuple[str, object, int]:
    ended = interpret(world.tree, world.input, world.outcomes, world.told, seed=tie)
    return ended.status, ended.output, ended.elapsed_ms


def test_a_tree_is_read_as_its_text_would_be() -> None:
    read = 0
    for seed in range(30):
        tree = random_definition(Seeded(seed))
        found = parsed(tree)
        try:
            assert found == parse_definition(json.dumps(tree), "random.json")
            read += 1
        except DefinitionError:
            assert found is None
    assert 10 < read < 30


class TestTheComparison:
    """A reference that nothing could differ from would be of no use."""

    def test_notices_a_kernel_that_forgets_a_message(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def forgetful(*arguments: object) -> Decision:
            decision = settle(*arguments)  # type: ignore[arg-type]
            return Decision(decision.events, decision.commands, tasks=decision.tasks)

        monkeypatch.setattr("heliostat.engine.simulator.execution.settle", forgetful)

        def run_some() -> None:
            for seed in range(200):
                run(World(seed, Limits(timed=True)))

        with pytest.raises(AssertionError, match="neither taken nor refused"):
            run_some()


EVENTS = (
    "execution.started execution.completed execution.failed execution.canceled "
    "execution.cancel_requested execution.redirected execution.paused execution.resumed "
    "execution.retried step.completed step.failed step.skipped attempt.started attempt.failed "
    "attempt.retry_due attempt.lost attempt.stopping attempt.ended scopes.opened branch.completed "
    "branch.failed scope.closing region.canceling join.reopened owner.changed signal.kept "
    "event.kept handler.fired message.taken task.opened task.claimed task.released task.assigned "
    "task.progressed task.failed metadata.changed"
)
STIMULI = (
    "Start StepReturned StepRaised StepLost StepTimedOut StepStopped Woke Cancel TakenOver Pause "
    "Resume Retry Signal EventArrived ChildEnded TaskAction SetMetadata"
)
FAULTS = (
    "commit_lost crash_before_commit crash_after_commit crash_before_ack forget_known duplicate "
    "foreign snapshot clock_jump"
)
CONSTRUCTS = (
    "state_machine dag when deadline timeout terminate assign append retry split:all "
    "at_most_once tolerated uses cancels publish signal detached on_error:output on_error:next "
    "on_error:human foreach:all foreach:any foreach:at_least foreach:all_done "
    "parallel:all parallel:any parallel:at_least parallel:all_done "
    "join:state_machine:all join:state_machine:at_least "
    "join:dag:all join:dag:any join:dag:at_least join:dag:all_done "
    + " ".join(f"type:{name}" for name in STEP_TYPES)
)
FAILURES = "A B C Timeout DeadlineExceeded RunnerLost ExpressionError NoWayOn TooFewItems"
WANTED = [
    f"{kind}:{name}"
    for kind, names in (
        ("event", EVENTS),
        ("stimulus", STIMULI),
        ("fault", FAULTS),
        ("construct", CONSTRUCTS),
        ("failure", FAILURES),
        ("command", "RunStep StopAttempt"),
        ("message", "StartChild TellChildEnded TellSignal TellCancel"),
        ("task", "Open Claimed Completed Canceled Failed"),
        ("outcome", "Returns Raises LosesRunner Hangs"),
        ("child", "Returns Raises IsCanceled"),
        ("end", "Completed Failed Canceled"),
    )
    for name in names.split()
]
"""What the default seeds must reach."""


ELSEWHERE = {"execution.migrated", "Migrate", "property.violated"}
"""A world has one version of each definition, and declares nothing: `test_migration.py` moves
executions, `engine/monitor/test_watching.py` has properties."""


def test_every_event_and_stimulus_is_wanted() -> None:
    from typing import get_args

    from heliostat.engine.kernel.events import ExecutionEvent
    from heliostat.engine.kernel.stimuli import AnyStimulus

    events = {str(event.__struct_config__.tag) for event in get_args(ExecutionEvent)}
    assert events - ELSEWHERE == set(EVENTS.split())
    stimuli = {stimulus.__name__ for stimulus in get_args(AnyStimulus)}
    assert stimuli - ELSEWHERE == set(STIMULI.split())
