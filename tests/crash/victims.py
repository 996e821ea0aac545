"""Finds the processes of one deployment by their kind, and no others, and harms them."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Final

from heliostat.cluster.processes import Process, descendants, is_alive
from heliostat.cluster.record import DeploymentRecord, read_record

KINDS: Final = {
    "host": "ray::HostProcess",
    "runner": "ray::RunnerActor",
    "supervisor": "ray::SupervisorProcess",
    "launcher": "ray::Launcher",
    "raylet": "/raylet ",
    "gcs": "/gcs_server ",
}
"""What a process of a kind has in its command line."""


class Victims:
    """The processes below a data directory's deployment, as they are at each moment."""

    def __init__(self, data_dir: Path, chance: random.Random) -> None:
        self._data_dir, self._chance = data_dir, chance
        self._frozen: set[Process] = set()
        self.harmed: Counter[str] = Counter()

    def kill_one(self, kind: str) -> bool:
        """`kill -9` one of a kind; False when there is none now."""
        return self._harm(kind, signal.SIGKILL)

    def freeze_one(self, kind: str) -> bool:
        """`SIGSTOP` one of a kind until `thaw`; False when there is none now."""
        return self._harm(kind, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let go on what was frozen and still lives."""
        for process in self._frozen:
            _send(process, signal.SIGCONT)
        self._frozen.clear()

    def kill_all(self) -> None:
        """`kill -9` every process of the deployment, in any order."""
        everything = self._everything()
        self._chance.shuffle(everything)
        for process in everything:
            _send(process, signal.SIGKILL)
        self.harmed["everything"] += 1

    def _harm(self, kind: str, number: signal.Signals) -> bool:
        candidates = [each for each in self._everything() if KINDS[kind] in _command(each)]
        if not candidates:
            return False
        process = self._chance.choice(candidates)
        if number == signal.SIGSTOP:
            self._frozen.add(process)
        _send(process, number)
        self.harmed[f"{kind} {number.name}"] += 1
        return True

    def _everything(self) -> list[Process]:
        record = self._record()
        holder = record.ray.holder
        assert holder is not None
        found = {holder, *descendants(holder), *record.ray.processes}
        return sorted((each for each in found if is_alive(each)), key=lambda each: each.pid)

    def _record(self) -> DeploymentRecord:
        record = read_record(self._data_dir)
        assert record is not None, f"no deployment is up in {self._data_dir}"
        return record


def _send(process: Process, number: signal.Signals) -> None:
    """By a pidfd, so that a pid that is used again is not hit."""
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(process.pid)
        try:
            if is_alive(process):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)


def _command(process: Process) -> str:
    try:
        content = Path(f"/proc/{process.pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return content.replace(b"\0", b" ").decode(errors="replace")
