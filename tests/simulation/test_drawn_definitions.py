"""The same random definitions, drawn by Hypothesis: what fails is shrunk to what matters."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import STORMY, Simulation
from heliostat.verify.reference import Told, Undetermined, interpret
from tests.simulation.choices import Drawn
from tests.simulation.definitions import CHILD, Limits, parsed, random_definition, random_input
from tests.simulation.worlds import (
    CHILD_PLAN,
    happenings,
    random_happenings,
    random_outcomes,
    result_of,
)

TIES = 40


@st.composite
def worlds(
    draw: st.DrawFn, *, timed: bool = False
) -> tuple[dict[str, Any], dict[str, Any], list[Told]]:
    """A random definition, an input for it, and what comes from outside."""
    choices = Drawn(draw)
    tree = random_definition(choices, Limits(timed=timed))
    return tree, random_input(choices), random_happenings(choices, timed=timed)


UNHURRIED = settings(
    max_examples=60,
    suppress_health_check=[
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
        HealthCheck.data_too_large,
        HealthCheck.large_base_example,
    ],
)


@UNHURRIED
@given(drawn=worlds(), seed=st.integers(0, 10**6))
def test_every_run_keeps_the_rules(
    drawn: tuple[dict[str, Any], dict[str, Any], list[Told]], seed: int
) -> None:
    tree, given_input, told = drawn
    definition = parsed(tree)
    assume(definition is not None)
    assert definition is not None
    plan = compile_plan(definition)
    outcomes = random_outcomes(plan, seed)
    result = Simulation(
        plan,
        given_input,
        outcomes,
        seed=seed,
        faults=STORMY,
        happenings=happenings(told),
        others=(CHILD_PLAN,),
        scripts={CHILD: outcomes},
    ).run()
    assert result.ended, result.story


@UNHURRIED
@given(drawn=worlds(timed=True), seed=st.integers(0, 10**6))
def test_the_result_is_that_of_the_reference(
    drawn: tuple[dict[str, Any], dict[str, Any], list[Told]], seed: int
) -> None:
    tree, given_input, told = drawn
    definition = parsed(tree)
    assume(definition is not None)
    assert definition is not None
    plan = compile_plan(definition)
    outcomes = random_outcomes(plan, seed, timed=True)
    result = Simulation(
        plan, given_input, outcomes, seed=seed, happenings=happenings(told), execution_id="sim"
    ).run()
    wanted = []
    for tie in (None, *range(-1, TIES)):
        try:
            ended = interpret(tree, given_input, outcomes, told, seed=tie)
        except Undetermined:
            return
        wanted.append((ended.status, ended.output, ended.elapsed_ms))
        if wanted[-1] == result_of(result):
            return
    raise AssertionError(f"wanted {wanted[0]}, got {result_of(result)}\n{result.story}")
