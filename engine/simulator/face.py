"""`simulate`: what users call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from heliostat.engine.authoring.loading import load_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import InputError
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.faults import QUIET, Faults
from heliostat.engine.simulator.outcomes import Functions, Script
from heliostat.engine.simulator.script import read_outcomes
from heliostat.engine.simulator.simulation import (
    EPOCH_MS,
    TURNS_MAX,
    Simulation,
    SimulationResult,
)
from heliostat.engine.simulator.timeline import read_timeline
from heliostat.engine.values import Value

Simulated = Definition | Plan | str | Path


def simulate(
    definition: Simulated,
    input: Value = None,
    outcomes: Script | None = None,
    *,
    timeline: Iterable[Any] = (),
    definitions: Iterable[Simulated] = (),
    functions: Functions | None = None,
    seed: int = 0,
    faults: Faults = QUIET,
    cancel_at_ms: int | None = None,
    execution_id: str | None = None,
    tags: Mapping[str, str] | None = None,
    start_at_ms: int = EPOCH_MS,
    turns_max: int = TURNS_MAX,
) -> SimulationResult:
    """Run one execution while anything happens, skipping all waiting.

    Args:
        definition: what to run: a definition, the path of a file with one, or a plan.
        input: the execution's input.
        outcomes: what attempts, child executions and people do, by step id; see
            `docs/simulator.md`. An activity that is not named calls its function in `functions`,
            or returns null; a child whose definition is not given completes with null; people that
            are not named do nothing.
        timeline: signals, events, pauses, resumes, cancels and retries, each at its instant.
        definitions: workflows that `sub_workflow` steps and handlers start: these run too.
        functions: by the name that a definition calls them by, what stands for activities.
        seed: draws the order of what happens at the same time, and the faults.
        faults: what goes wrong; by default nothing does.
        cancel_at_ms: ask for the end of the execution, so many milliseconds after its start.
        execution_id: the execution's id; `sim-<seed>` by default.
        tags: the execution's tags.
        start_at_ms: the instant at which virtual time begins; UTC milliseconds.
        turns_max: turns after which the simulation gives up; the result then says `ended=False`.

    Raises:
        DefinitionError: a definition has faults.
        InputError: the input does not fit `input_schema`, or outcomes or timeline have faults.
        SimulationFailure: the kernel broke one of its promises; names the seed that shows it.
    """
    plan = plan_of(definition)
    others = tuple(plan_of(other) for other in definitions)
    unfit = plan.validate_input(input) if plan.validate_input is not None else None
    if unfit is not None:
        raise InputError(f"the input does not fit {plan.id}'s `input_schema`: {unfit}")
    scripts = read_outcomes(outcomes, (plan, *others))
    return Simulation(
        plan,
        input,
        scripts.get(plan.id),
        seed=seed,
        faults=faults,
        cancel_at_ms=cancel_at_ms,
        happenings=read_timeline(timeline, plan),
        others=others,
        scripts=scripts,
        functions=functions,
        execution_id=execution_id,
        tags=tags,
        start_at_ms=start_at_ms,
        turns_max=turns_max,
    ).run()


def plan_of(what: Simulated) -> Plan:
    """The plan of what somebody wants simulated."""
    if isinstance(what, Plan):
        return what
    if isinstance(what, Definition):
        return compile_plan(what)
    return compile_plan(load_definition(what))
