"""What the steps of an imported trace do in place of the recorded programs.

Runners find these functions by name: a definition that was imported says
`heliostat.api.importing.work:sleep`. Neither their names nor their parameters may change, since
registered versions hold them. Both answer how long they took, and neither has an effect, so that
an attempt may be made again at any time.
"""

from __future__ import annotations

import time
from typing import Final

_PASSES: Final = 2_000
"""Of the loop between two looks at the clock: some 50 µs, so that burning is exact to that."""


def sleep(seconds: float) -> float:
    """Wait so long, and use no CPU; answers the seconds that passed."""
    begun = time.perf_counter()
    time.sleep(max(0.0, seconds))
    return round(time.perf_counter() - begun, 6)


def burn(seconds: float) -> float:
    """Compute until this thread has used so much CPU; answers the seconds that passed.

    CPU and not time: where steps share a core each takes longer, as the recorded programs would.
    """
    begun, used = time.perf_counter(), time.thread_time()
    value = 1
    while time.thread_time() - used < seconds:
        for _ in range(_PASSES):
            value = (value * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
    return round(time.perf_counter() - begun, 6)
