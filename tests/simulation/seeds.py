"""Which seeds a run of the simulation takes, and how a failure says to replay one.

`HELIOSTAT_SIM_SEED` replays one seed (`make sim SEED=…`), `HELIOSTAT_SIM_RUNS` sets how many are
drawn otherwise. Half of them are the same every time, so that coverage can be asked for; the
others are new.
"""

from __future__ import annotations

import os
from random import SystemRandom

RUNS_DEFAULT = 1_500


def replayed() -> int | None:
    """The one seed to replay, if somebody named it."""
    named = os.environ.get("HELIOSTAT_SIM_SEED")
    return None if not named else int(named)


def seeds(share: float = 1.0) -> list[int]:
    """The seeds of one test; `share` of the usual number."""
    named = replayed()
    if named is not None:
        return [named]
    count = max(2, int(int(os.environ.get("HELIOSTAT_SIM_RUNS") or RUNS_DEFAULT) * share))
    random = SystemRandom()
    return [*range(count // 2), *(random.randrange(10**9) for _ in range(count - count // 2))]


def replay_hint(seed: int) -> str:
    """One command that shows the same again."""
    return f"replay it: make sim SEED={seed}"
