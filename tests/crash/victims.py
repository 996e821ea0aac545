"""Finds the processes of one deployment by their kind, and no others, and harms them."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

from benchmarks.victims import Processes, is_of, send
from benchmarks.victims import command as command_of
from heliostat.cluster.processes import Process


class Victims:
    """The processes below a data directory's deployment, as they are at each moment."""

    def __init__(self, data_dir: Path, chance: random.Random) -> None:
        self._data_dir, self._chance = data_dir, chance
        self._processes = Processes(data_dir)
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
            send(process, signal.SIGCONT)
        self._frozen.clear()

    def kill_all(self) -> None:
        """`kill -9` every process of the deployment, in any order."""
        everything = self._everything()
        self._chance.shuffle(everything)
        for process in everything:
            send(process, signal.SIGKILL)
        self.harmed["everything"] += 1

    def _harm(self, kind: str, number: signal.Signals) -> bool:
        candidates = [each for each in self._everything() if is_of(kind, command_of(each))]
        if not candidates:
            return False
        process = self._chance.choice(candidates)
        if number == signal.SIGSTOP:
            self._frozen.add(process)
        send(process, number)
        self.harmed[f"{kind} {number.name}"] += 1
        return True

    def _everything(self) -> list[Process]:
        found = self._processes.everything()
        assert found, f"no deployment is up in {self._data_dir}"
        return sorted(found, key=lambda each: each.pid)
