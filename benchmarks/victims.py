"""The processes of a benchmark's deployment by their kind, and no others; harming one of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from heliostat.cluster.processes import Process, descendants, identify, is_alive
from heliostat.cluster.record import read_record

ACTORS = {
    "host": "HostProcess",
    "runner": "RunnerActor",
    "launcher": "Launcher",
    "scheduler": "Scheduler",
    "supervisor": "Supervisor",
    "keeper": "Keeper",
}
"""The class of an actor: its process calls itself `ray::Class`, or by name and method in a call."""
DOOR = {
    "replica": "ServeReplica:heliostat:door",
    "proxy": "HAProxyManager",
    "haproxy": "",
    "controller": "ServeController",
}
"""The same of the HTTP door's; haproxy is the manager's program, and no actor."""
PROGRAMS = {"raylet": "/raylet ", "gcs": "/gcs_server ", "haproxy": "/haproxy "}
"""What Ray's own processes have in their command line."""


def is_of(kind: str, line: str) -> bool:
    """Whether a command line is that of a process of the kind."""
    if kind in PROGRAMS:
        return PROGRAMS[kind] in line
    return line.startswith("ray::") and (ACTORS | DOOR)[kind] in line


class Processes:
    """What runs below the holder of a data directory's Ray, and below other given processes."""

    def __init__(self, data_dir: Path, more: Iterable[int] = ()) -> None:
        self._data_dir = data_dir
        self._more = [each for pid in more if (each := identify(pid)) is not None]

    def everything(self) -> list[Process]:
        """All that live now."""
        roots = list(self._more)
        record = read_record(self._data_dir)
        if record is not None and record.ray.holder is not None:
            roots += [record.ray.holder, *record.ray.processes]
        found = {each for root in roots for each in (root, *descendants(root))}
        return [each for each in found if is_alive(each)]

    def of(self, kind: str) -> list[Process]:
        """Those of a kind, the oldest first."""
        found = [each for each in self.everything() if is_of(kind, command(each))]
        return sorted(found, key=lambda each: each.started)


def send(process: Process, number: signal.Signals) -> None:
    """By a pidfd, so that a pid that is used again is not hit."""
    with suppress(ProcessLookupError, FileNotFoundError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if is_alive(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def command(process: Process) -> str:
    """Its command line, or the title that it gave itself."""
    try:
        content = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return content.replace(b"\0", b" ").decode(errors="replace")
