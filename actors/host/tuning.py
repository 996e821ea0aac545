"""What a process that others wait for, a host or a door, does with Python and Linux first."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path


def calm_collector() -> None:
    """Have Python look for cycles of garbage rarely: a turn makes thousands of objects and hardly
    a cycle, and the default looks through them all again and again (a sixth of a host's CPU, and
    of a door's)."""
    gc.collect()
    gc.freeze()  # modules and their constants
    gc.set_threshold(100_000, 20, 100)


def share_the_lock() -> None:
    """Have the turn loop, while it decides ahead, hand over Python's lock sooner: the journal's
    thread needs it for an instant after each statement of a commit, and with Python's default it
    waits 5 ms each time, so that the two take turns instead of working side by side."""
    sys.setswitchinterval(0.0005)


def take_cpu_first() -> None:
    """Undo the niceness that Ray gives its workers (15), where that is allowed: beside runners that
    are busy, a recovering host must get the CPU. Linux keeps it by thread; new ones inherit it."""
    for thread in Path("/proc/self/task").iterdir():
        try:
            if os.getpriority(os.PRIO_PROCESS, int(thread.name)) > 0:
                os.setpriority(os.PRIO_PROCESS, int(thread.name), 0)
        except (PermissionError, ProcessLookupError):
            return  # without the right to, Ray itself must be told: RAY_worker_niceness=0
