"""Is a process stopped, by a signal or a debugger? The kernel tells that apart from being busy."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def is_stopped(pid: int | None) -> bool:
    """Whether a process of this machine is stopped; False for one that is gone."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    # The command in the second field may hold spaces and brackets: count from its end.
    return status.rpartition(")")[2].split()[0] in ("T", "t")


def kill_stopped(pid: int, title: str) -> bool:
    """SIGKILL a stopped process of this machine whose title has `title`; tells whether."""
    try:
        handle = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
        if title not in command.lower() or not is_stopped(pid):
            return False
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        os.close(handle)
