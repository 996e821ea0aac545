"""The same random definitions, drawn by Hypothesis: what fails is shrunk to what matters."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import STORMY, simulate
from tests.simulation.choices import Drawn
from tests.simulation.definitions import Limits, parsed, random_definition, random_input
from tests.simulation.reference import Undetermined, interpret
from tests.simulation.worlds import random_outcomes


@st.composite
def definitions(
    draw: st.DrawFn, *, deterministic: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A random definition and an input for it."""
    choices = Drawn(draw)
    return random_definition(choices, Limits(deterministic=deterministic)), random_input(choices)


UNHURRIED = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@UNHURRIED
@given(drawn=definitions(), seed=st.integers(0, 10**6))
def test_every_run_keeps_the_rules(drawn: tuple[dict[str, Any], dict[str, Any]], seed: int) -> None:
    tree, given_input = drawn
    definition = parsed(tree)
    assume(definition is not None)
    assert definition is not None
    plan = compile_plan(definition)
    outcomes = random_outcomes(plan, seed)
    assert simulate(plan, given_input, outcomes, seed=seed, faults=STORMY).ended


@UNHURRIED
@given(drawn=definitions(deterministic=True), seed=st.integers(0, 10**6))
def test_the_result_is_the_naive_one(
    drawn: tuple[dict[str, Any], dict[str, Any]], seed: int
) -> None:
    tree, given_input = drawn
    definition = parsed(tree)
    assume(definition is not None)
    assert definition is not None
    plan = compile_plan(definition)
    outcomes = random_outcomes(plan, seed, deterministic=True)
    try:
        wanted = interpret(tree, given_input, outcomes)
    except Undetermined:
        return
    result = simulate(plan, given_input, outcomes, seed=seed)
    failure = result.failure.type if result.failure is not None else None
    assert (result.status, result.output if failure is None else failure) == wanted
