"""The simulator: a workflow run in virtual time, with scripted outcomes and seeded faults.

    result = simulate(definition, {"order": 7}, {"charge": Attempts(Raises("Busy"), "ok")})
    assert result.status == "Completed"

No cluster, no clock: a timer of a month takes no time at all. The same seed gives the same run.
Here is also the kernel's main test bed: with `faults=STORMY` hosts crash between any two of
deciding, storing and sending, reports come twice or late, and every turn is held against its
replay, against naive walks of the state and against the rules for histories.

Start with `simulation.py`; `outcomes.py` says how to script attempts, `faults.py` what may go
wrong. Imports the kernel and plans; nothing here knows Ray, a database or a real clock.
"""

from __future__ import annotations

from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.simulator.coverage import Coverage
from heliostat.engine.simulator.faults import QUIET, STORMY, Faults, HostFault
from heliostat.engine.simulator.outcomes import (
    Attempts,
    Call,
    Hangs,
    Items,
    LosesRunner,
    Outcome,
    Raises,
    Returns,
    Script,
    Visits,
)
from heliostat.engine.simulator.simulation import (
    EPOCH_MS,
    TURNS_MAX,
    Simulation,
    SimulationFailure,
    SimulationResult,
)
from heliostat.engine.values import Value

__all__ = [
    "EPOCH_MS",
    "QUIET",
    "STORMY",
    "Attempts",
    "Call",
    "Coverage",
    "Faults",
    "Hangs",
    "HostFault",
    "Items",
    "LosesRunner",
    "Outcome",
    "Raises",
    "Returns",
    "Script",
    "Simulation",
    "SimulationFailure",
    "SimulationResult",
    "Visits",
    "simulate",
]


def simulate(
    definition: Definition | Plan,
    input: Value = None,
    outcomes: Script | None = None,
    *,
    seed: int = 0,
    faults: Faults = QUIET,
    cancel_at_ms: int | None = None,
    start_at_ms: int = EPOCH_MS,
    turns_max: int = TURNS_MAX,
) -> SimulationResult:
    """Run one execution to its end, skipping all waiting.

    Args:
        definition: what to run; a plan may be given in its place, so as to compile it once.
        input: the execution's input.
        outcomes: what each step's attempts do, by step id; a step that is not named returns null.
        seed: draws the order of what happens at the same time, and the faults.
        faults: what goes wrong; by default nothing does.
        cancel_at_ms: ask for the end of the execution, so many milliseconds after its start.
        start_at_ms: the instant at which virtual time begins; UTC milliseconds.
        turns_max: turns after which the simulation gives up; the result then says `ended=False`.

    Raises:
        SimulationFailure: the kernel broke one of its promises; names the seed that shows it.
    """
    plan = definition if isinstance(definition, Plan) else compile_plan(definition)
    return Simulation(
        plan,
        input,
        outcomes,
        seed=seed,
        faults=faults,
        cancel_at_ms=cancel_at_ms,
        start_at_ms=start_at_ms,
        turns_max=turns_max,
    ).run()
