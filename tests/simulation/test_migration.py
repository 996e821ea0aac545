"""Random executions of random definitions are moved to random edits of them, wherever they are."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import HealthCheck, assume, event, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from heliostat.engine.kernel.codec import encode_snapshot
from heliostat.engine.kernel.events import ExecutionMigrated, ExecutionStarted, StepCompleted
from heliostat.engine.kernel.outstanding import outstanding
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.mapping import map_plans
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.invariants import check_equal, check_state
from tests.engine.kernel.versions import fold_on, plans_of
from tests.simulation.choices import Choices, Drawn, Seeded
from tests.simulation.definitions import Limits, parsed, random_definition, random_input
from tests.simulation.driven import Driven
from tests.simulation.edits import edited
from tests.simulation.seeds import replay_hint, seeds

LIMITS = Limits(without=frozenset({"handlers", "jitter"}))

UNHURRIED = settings(
    max_examples=60,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)


def two_versions(choices: Choices) -> dict[str, Plan] | None:
    """A random definition and an edit of it; None where the checks refuse one."""
    tree = random_definition(choices, LIMITS)
    before, after = parsed(tree), parsed(edited(choices, tree, version="2"))
    return None if before is None or after is None else plans_of((before, after))


def under_way(plan: Plan, input: Any, seed: int, share: int) -> Driven | None:
    """An execution after so many percent of the turns that it takes to its end; None where it has
    ended by then."""
    whole = Driven(plan, input, seed)
    turns = 0
    while whole.turn():
        turns += 1
    run = Driven(plan, input, seed)
    for _ in range(turns * share // 100):
        run.turn()
    return None if run.state.ended else run


def moved(plans: dict[str, Plan], input: Any, seed: int, share: int) -> str:
    """Drive an execution for a share of its turns, move it, and on to its end; what became of
    that."""
    run = under_way(plans["1"], input, seed, share)
    if run is None:
        return "ended at once"
    before = encode_snapshot(run.state)
    flying = {each.at for each in outstanding(plans["1"], run.state)}
    decision = run.migrate(plans["2"])
    if decision.refused is not None:
        assert encode_snapshot(run.state) == before, "a refusal changes nothing"
        assert not decision.events
        assert not decision.commands
        if run.state.closing is None:
            assert decision.refused.obstacles, decision.refused
        return "refused"
    first, *_ = decision.events
    assert isinstance(first, ExecutionMigrated)
    if not run.state.ended:
        check_state(run.plan, run.state)
    commanded = {each.at for each in decision.commands}
    assert {each.at for each in outstanding(run.plan, run.state)} <= flying | commanded
    run.finish()
    replayed = ExecutionState()
    fold_on(plans, plans["1"], run.events, replayed)
    check_equal(replayed, run.state, "folded through the move")
    return "moved"


@st.composite
def drawn(draw: st.DrawFn) -> tuple[dict[str, Plan] | None, Any]:
    """A definition with an edit of it, and an input."""
    choices = Drawn(draw)
    return two_versions(choices), random_input(choices)


@UNHURRIED
@given(drawn(), st.integers(0, 10**6), st.integers(0, 99))
def test_whatever_is_moved_keeps_the_rules_to_its_end(
    given: tuple[dict[str, Plan] | None, Any], seed: int, share: int
) -> None:
    plans, input = given
    assume(plans is not None)
    assert plans is not None
    event(moved(plans, input, seed, share))


def test_so_it_is_for_many_seeds() -> None:
    became: Counter[str] = Counter()
    for seed in seeds(0.15):
        choices = Seeded(seed)
        plans = two_versions(choices)
        if plans is None:
            continue
        try:
            became[moved(plans, random_input(choices), seed, choices.integer(0, 99))] += 1
        except Exception as error:
            raise AssertionError(replay_hint(seed)) from error
    assert len(seeds(0.15)) < 100 or min(became["moved"], became["refused"]) > 20, became


def test_where_nothing_was_otherwise_so_far_it_is_as_if_the_version_had_been_there() -> None:
    """The history of an execution of the later version is the same up to here: then the state is
    that one's, and so is all that follows."""
    compared = 0
    for seed in seeds(0.3):
        choices = Seeded(seed)
        plans = two_versions(choices)
        if plans is None:
            continue
        input = random_input(choices)
        run = under_way(plans["1"], input, seed, choices.integer(0, 99))
        if run is None:
            continue
        wanted = Driven(plans["2"], input, seed)
        while len(wanted.events) < len(run.events) and wanted.turn():
            pass
        if _told(run) != _told(wanted):
            continue
        if run.migrate(plans["2"]).refused is not None:
            continue
        compared += 1
        try:
            _check_same(run, wanted)
            run.finish()
            wanted.finish()
            assert (run.state.status, run.state.output) == (
                wanted.state.status,
                wanted.state.output,
            )
        except AssertionError as error:
            raise AssertionError(replay_hint(seed)) from error
    assert len(seeds(0.3)) < 100 or compared > 20, compared


def _told(run: Driven) -> list[Any]:
    """The history, whatever the version is called."""
    return [
        replace(each, version="") if isinstance(each, ExecutionStarted) else each
        for each in run.history
    ]


def _check_same(run: Driven, wanted: Driven) -> None:
    """The same state but for what says that it was moved; edges are in no state."""
    here, there = run.state, wanted.state
    seq, moves, seen = here.seq, here.moves, here.seen
    here.seq, here.moves, here.seen = there.seq, there.moves, there.seen
    check_equal(here, there, "moved")
    here.seq, here.moves, here.seen = seq, moves, seen


DAG_STEPS = "abcdefgh"


@st.composite
def dags(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Activities that need one another."""
    ids = draw(st.lists(st.sampled_from(DAG_STEPS), min_size=1, max_size=7, unique=True))
    return [
        {
            "id": id,
            "type": "activity",
            "activity": "m:f",
            "needs": [] if not place else draw(st.lists(st.sampled_from(ids[:place]), unique=True)),
        }
        for place, id in enumerate(ids)
    ]


@UNHURRIED
@given(dags(), dags(), st.integers(0, 10**6), st.integers(0, 7))
def test_a_dag_comes_to_what_the_later_version_comes_to(
    before: list[dict[str, Any]], after: list[dict[str, Any]], seed: int, turns: int
) -> None:
    """What its steps return does not depend on when they run: so all of the later version's have
    run in the end, each once, whatever had run before."""
    trees = [
        {
            "id": "dag",
            "version": version,
            "steps": steps,
            "output": {step["id"]: f"$.steps.{step['id']}.output" for step in steps},
        }
        for version, steps in (("1", before), ("2", after))
    ]
    definitions = [parsed(tree) for tree in trees]
    assume(all(definitions))
    plans = plans_of([each for each in definitions if each is not None])
    run = Driven(plans["1"], None, seed, failing=0)
    for _ in range(turns):
        run.turn()
    assume(not run.state.ended)
    refused = run.migrate(plans["2"]).refused
    if refused is not None:
        running = {plans["1"].steps[step].id for step, _ in run.state.scopes[1].active}
        gone = running - {step["id"] for step in after}
        assert {each.place for each in refused.obstacles} == {f"step `{id}`" for id in gone}
        return
    wanted = Driven(plans["2"], None, seed, failing=0)
    run.finish()
    wanted.finish()
    assert (run.state.status, run.state.output) == ("Completed", wanted.state.output)
    _check_needs(run, plans["2"])
    assert map_plans(plans["1"], plans["2"]).whole == ()


def _check_needs(run: Driven, plan: Plan) -> None:
    """From the move on, whatever begins has all that the later version has it need."""
    completed: set[int] = set()
    is_moved = False
    for each in run.history:
        if isinstance(each, StepCompleted):
            completed.add(each.at.step)
        is_moved = is_moved or isinstance(each, ExecutionMigrated)
        for activation in getattr(each, "activated", ()) if is_moved else ():
            assert completed.issuperset(plan.steps[activation.step].needs)
