"""Which seeds a run of the simulation takes, and how a failure says to replay one.

The tests take the same ones every time: what they find does not depend on luck, and coverage can be
asked for. `make sim` draws as many new ones (`HELIOSTAT_SIM_NEW`), `make sim SEED=…` replays one
(`HELIOSTAT_SIM_SEED`); `HELIOSTAT_SIM_RUNS` sets how many there are.
"""

from __future__ import annotations

import os
from random import SystemRandom

RUNS_DEFAULT = 1_500


def replayed() -> int | None:
    """The one seed to replay, if somebody named it."""
    named = os.environ.get("HELIOSTAT_SIM_SEED")
    return None if not named else int(named)


def are_usual() -> bool:
    """Whether these are the seeds of every test run, which reach everything."""
    return replayed() is None and not os.environ.get("HELIOSTAT_SIM_NEW")


def seeds(share: float = 1.0) -> list[int]:
    """The seeds of one test; `share` of the usual number."""
    named = replayed()
    if named is not None:
        return [named]
    count = max(2, int(int(os.environ.get("HELIOSTAT_SIM_RUNS") or RUNS_DEFAULT) * share))
    if not are_usual():
        random = SystemRandom()
        return [random.randrange(10**9) for _ in range(count)]
    return list(range(count))


def replay_hint(seed: int) -> str:
    """One command that shows the same again."""
    return f"replay it: make sim SEED={seed}"
