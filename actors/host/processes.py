"""Is the process of an owner row still there, and is it still the same one?

A process id is given again. What tells a process from a stranger is when it started: one that
started after its row was written cannot have written it.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Final

from heliostat.engine.journal.protocol import OwnerRow

SLACK_MS: Final = 2_000
"""How far a process's start as the kernel tells it may lie behind the row's own clock: the boot
instant has a resolution of one second, and clocks are corrected."""


def started_at_ms(pid: int) -> int | None:
    """When a process of this machine started, UTC milliseconds; None when there is none."""
    try:
        # The command in the second field may hold spaces and brackets: count from its end.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    if fields[0] in ("Z", "X"):  # a zombie holds no lock and writes no row
        return None
    ticks = int(fields[19])
    return _booted_at_ms() + ticks * 1000 // os.sysconf("SC_CLK_TCK")


def _booted_at_ms() -> int:
    for line in Path("/proc/stat").read_text().splitlines():
        if line.startswith("btime "):
            return int(line.split()[1]) * 1000
    raise AssertionError("/proc/stat has no btime")


def is_running(owner: OwnerRow) -> bool:
    """Whether the process that wrote the row, on this machine, is still there."""
    started = started_at_ms(owner.pid)
    return started is not None and started <= owner.started_at_ms + SLACK_MS


def kill(owner: OwnerRow) -> bool:
    """SIGKILL the process that wrote the row, never a stranger; tells whether it was there.

    The handle is taken before the check, so that the id cannot pass to another process between.
    """
    try:
        handle = os.pidfd_open(owner.pid)
    except (ProcessLookupError, FileNotFoundError):  # newer kernels say so while it is reaped
        return False
    try:
        if not is_running(owner):
            return False
        signal.pidfd_send_signal(handle, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True
