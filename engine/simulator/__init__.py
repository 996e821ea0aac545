"""The simulator: workflows run in virtual time, with scripted outcomes and seeded faults.

    result = simulate("order.yaml", {"order": 7}, {"charge": [{"raise": "Busy"}, {"output": "ok"}]})
    assert result.status == "Completed"
    print(result.story)

No cluster, no clock: a timer of a month takes no time at all. The same seed gives the same run.
Here is also the kernel's main test bed: with `faults=STORMY` hosts crash between any two of
deciding, storing and sending, reports and messages come twice or late, and every turn is held
against its replay, against naive walks of the state and against the rules for histories.

Start with `face.py`. `script.py` and `timeline.py` say how outcomes and happenings are written,
`world.py` is where executions meet, `execution.py` is one of them, `faults.py` says what may go
wrong, `story.py` tells a history. Imports the kernel and plans; nothing here knows Ray, a database
or a real clock.
"""

from __future__ import annotations

from heliostat.engine.simulator.coverage import Coverage
from heliostat.engine.simulator.face import simulate
from heliostat.engine.simulator.faults import QUIET, STORMY, Faults, HostFault
from heliostat.engine.simulator.outcomes import (
    Acts,
    Arrives,
    Attempts,
    Call,
    Hangs,
    IsCanceled,
    Items,
    LosesRunner,
    Outcome,
    Person,
    Raises,
    Returns,
    Script,
    Visits,
)
from heliostat.engine.simulator.schema import OUTCOMES_SCHEMA, TIMELINE_SCHEMA
from heliostat.engine.simulator.simulation import (
    EPOCH_MS,
    TURNS_MAX,
    Happening,
    Simulation,
    SimulationFailure,
    SimulationResult,
)

__all__ = [
    "EPOCH_MS",
    "OUTCOMES_SCHEMA",
    "QUIET",
    "STORMY",
    "TIMELINE_SCHEMA",
    "TURNS_MAX",
    "Acts",
    "Arrives",
    "Attempts",
    "Call",
    "Coverage",
    "Faults",
    "Hangs",
    "Happening",
    "HostFault",
    "IsCanceled",
    "Items",
    "LosesRunner",
    "Outcome",
    "Person",
    "Raises",
    "Returns",
    "Script",
    "Simulation",
    "SimulationFailure",
    "SimulationResult",
    "Visits",
    "simulate",
]
