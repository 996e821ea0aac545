"""Operating system processes by an identity that is never reused, and how to end exactly them.

A pid alone may have been given to another process meanwhile, also after a reboot; with the boot
and the start time it names one process for ever. Reads `/proc`, so Linux only, as Ray on one node
bound to the loopback interface is. Knows nothing of Ray.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct


class Process(Struct, frozen=True):
    """One process: its pid, and when it started, in clock ticks since the boot named."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process | None:
    """The process that has the pid now; None when there is none, or only its exit code is left."""
    stat = _stat(pid)
    return None if stat is None else Process(pid, stat[1], _boot())


def is_alive(process: Process) -> bool:
    """True while exactly this process runs."""
    return identify(process.pid) == process


def name_of(process: Process) -> str:
    """What the process calls itself; empty when it has ended."""
    try:
        return Path(f"/proc/{process.pid}/comm").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def descendants(process: Process) -> Sequence[Process]:
    """Children, their children and so on, as they are now."""
    children: dict[int, list[Process]] = {}
    boot = _boot()
    for path in Path("/proc").iterdir():
        name = path.name
        if name.isdigit() and (stat := _stat(int(name))) is not None:
            parent, started = stat
            children.setdefault(parent, []).append(Process(int(name), started, boot))
    found: list[Process] = []
    waiting = [process.pid]
    while waiting:
        for child in children.get(waiting.pop(), ()):
            found.append(child)
            waiting.append(child.pid)
    return found


def end(processes: Iterable[Process], *, grace_ms: int) -> Sequence[Process]:
    """Ask each to end, and kill those that have not within the grace; returns the killed ones.

    When it returns none of them runs. Processes that ended already, or whose pid another process
    has by now, are left alone.
    """
    open_files = {fd: process for process in processes if (fd := _open(process)) is not None}
    try:
        _signal(open_files, signal.SIGTERM)
        left = _wait(open_files, grace_ms=grace_ms)
        _signal(left, signal.SIGKILL)
        _wait(left, grace_ms=_KILLED_WITHIN_MS)
        return [open_files[fd] for fd in left]
    finally:
        for fd in open_files:
            os.close(fd)


_KILLED_WITHIN_MS = 10_000
"""A killed process is gone when the kernel has freed its memory; only uninterruptible I/O lasts."""


def _open(process: Process) -> int | None:
    """A pidfd; from here on a signal through it cannot reach another process."""
    try:
        fd = os.pidfd_open(process.pid)
    except (ProcessLookupError, FileNotFoundError):  # newer kernels say so while it is reaped
        return None
    if is_alive(process):
        return fd
    os.close(fd)
    return None


def _signal(fds: Iterable[int], number: signal.Signals) -> None:
    for fd in fds:
        with suppress(ProcessLookupError):  # it ended meanwhile, which is what we want
            signal.pidfd_send_signal(fd, number)


def _wait(fds: Iterable[int], *, grace_ms: int) -> list[int]:
    """Those that have not ended when the grace is over; a pidfd is readable once it has."""
    waiting = set(fds)
    poll = select.poll()
    for fd in waiting:
        poll.register(fd, select.POLLIN)
    end_at = time.monotonic() + grace_ms / 1_000
    while waiting and (left_s := end_at - time.monotonic()) > 0:
        for fd, _ in poll.poll(left_s * 1_000):
            poll.unregister(fd)
            waiting.discard(fd)
    return sorted(waiting)


def _stat(pid: int) -> tuple[int, int] | None:
    """`(parent's pid, start time)`; None for what does not run."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces and brackets
    if fields[0] in "ZX":
        return None
    return int(fields[1]), int(fields[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
