"""A mixture of everything on nodes that leave, while processes are killed at random moments.

    python -m benchmarks.mixture [--size 2000] [--faults 12] [--seed 1] [--hosts 2]

Three nodes of two CPUs (raylets on this machine), a PostgreSQL journal, hosts on several nodes.
Executions of three tiny steps of ten priorities; every sixth has one more step that asks the
scheduler, for part of a CPU or for one of three permits. Meanwhile hosts, runners, launcher and
scheduler get `kill -9`, drawn by the seed, and in the middle a node is lost with all that is on it.

Ends with an error if anything was lost, was recorded twice or had an effect that its history does
not explain, or if more permits were held at once than there are. Without faults it tells which
share of the steps asked the scheduler.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from threading import Event, Thread
from typing import Any

from benchmarks.deployment import FOLDER
from benchmarks.victims import send

SEATS = 3
"""Of the deployment's semaphore."""
EVERY = 6
"""One execution of so many has a step that asks the scheduler."""
BOUND_S = 420.0
"""Until the last has ended."""
PAUSE_S = (0.3, 2.5)
"""Between two faults."""
LOOK_S = 0.2
"""Between two looks at how many effects there are."""
KINDS = {"host": 3, "runner": 4, "launcher": 1, "scheduler": 2}
"""What is killed, by weight."""


class Work:
    """Executions, and what must be true of them in the end."""

    def __init__(self, client: Any, folder: Path, size: int, chance: random.Random) -> None:
        self.client, self.ledger = client, folder / "ledger"
        client.register(FOLDER / "mixed.yaml")
        self._priorities: dict[int, list[int]] = {}
        for n in range(size):
            self._priorities.setdefault(chance.randint(1, 10), []).append(n)
        self.handles: dict[int, Any] = {}

    def start(self) -> None:
        """Start them all; each is durable when this returns."""
        for priority, numbers in sorted(self._priorities.items()):
            inputs = [{"n": n, "ledger": str(self.ledger), "kind": kind_of(n)} for n in numbers]
            ids = [f"m{n}" for n in numbers]
            started = self.client.start_many("bench-mixed", inputs, ids=ids, priority=priority)
            self.handles |= dict(zip(numbers, started, strict=True))

    def effects(self) -> int:
        """Lines so far."""
        return self.ledger.read_bytes().count(b"\n") if self.ledger.exists() else 0

    def faults(self, bound_s: float = BOUND_S) -> Iterator[str]:
        """Everything that is not as it must be, a sentence each."""
        from heliostat.engine.errors import ResultTimeout
        from tests.cluster.histories import History, read_effects

        ended = set()
        with suppress(ResultTimeout):
            for handle in self.client.results(self.handles.values(), bound_s):
                ended.add(handle.id)
        effects = read_effects(self.ledger)
        for n, handle in self.handles.items():
            if handle.id not in ended:
                view = handle.status()
                yield f"{handle.id} is {view.status} at {view.active}"
                continue
            if (output := handle.result(BOUND_S)) != n + 3:
                yield f"{handle.id} ended with {output}, not {n + 3}"
            history = History(handle.id, handle.history())
            wanted = Counter(["a", "b", "c", *([kind_of(n)] if kind_of(n) else [])])
            if history.completed() != wanted:
                yield f"{handle.id} completed {history.completed()}, not {wanted}"
            yield from history.faults(effects.pop(handle.id, Counter()))
        yield from (f"{id} had effects and was not started" for id in effects)
        if (most := self.held_at_once()) > SEATS:
            yield f"{most} permits of {SEATS} were held at once"

    def held_at_once(self) -> int:
        """The most permits at one instant, by what the steps noted."""
        path = self.ledger.with_name("ledger.held")
        lines = path.read_text().splitlines() if path.exists() else []
        spans = [tuple(map(float, line.split())) for line in lines]
        return max((sum(a <= at < b for a, b in spans) for at, _ in spans), default=0)

    def repeated(self) -> int:
        """Effects that were had again."""
        keys = [line.split()[0] for line in self.ledger.read_text().splitlines()]
        return len(keys) - len(set(keys))


def kind_of(n: int) -> str:
    """Of the step that asks the scheduler; "" where there is none."""
    return "" if n % EVERY else ("held" if n // EVERY % 2 else "heavy")


class Progress:
    """How the number of effects grew: looked at now and then, from when it is made."""

    def __init__(self, work: Work) -> None:
        self._work, self._begun_s = work, time.monotonic()
        self._rises = [0.0]
        self._over = Event()
        self._thread = Thread(target=self._look, daemon=True)
        self._thread.start()

    def now(self) -> str:
        """When it is, and how many effects there are."""
        return f"{self.elapsed_s():.0f} s, {self._work.effects()} effects"

    def elapsed_s(self) -> float:
        return time.monotonic() - self._begun_s

    def end(self) -> tuple[float, float]:
        """The longest time in which no effect came, and when that began."""
        self._over.set()
        self._thread.join()
        return max((later - earlier, earlier) for earlier, later in pairwise(self._rises))

    def _look(self) -> None:
        before = 0
        while not self._over.wait(LOOK_S):
            if (effects := self._work.effects()) > before:
                self._rises.append(self.elapsed_s())
                before = effects


def harm(nodes: Any, progress: Progress, chance: random.Random, faults: int) -> list[str]:
    """Kill processes at random moments, and lose a node in the middle; what was hit."""
    hit = []
    for fault in range(faults):
        time.sleep(chance.uniform(*PAUSE_S))
        if fault == faults // 2:
            hit.append(f"node ({progress.now()})")
            nodes.kill(chance.choice(nodes.all[1:]))
            continue
        (kind,) = chance.choices([*KINDS], [*KINDS.values()])
        found = [each for node in nodes.all for each in nodes.living(node, kind)]
        if found:
            send(chance.choice(found), signal.SIGKILL)
            hit.append(f"{kind} ({progress.now()})")
    return hit


@contextmanager
def deployed(count: int, hosts: int) -> Iterator[tuple[Any, Any, Path]]:
    """Nodes with a deployment on them, and a folder."""
    from heliostat.cluster.config import load_configuration
    from heliostat.cluster.deployment import down, up
    from tests.nodes.conftest import Nodes
    from tests.postgres_server import postgres_server

    home = Path(tempfile.mkdtemp(prefix="hb-"))
    nodes = Nodes()
    try:
        with postgres_server() as server:
            for _ in range(count - 1):
                nodes.add()
            configuration = load_configuration(
                {
                    "data_dir": home / "data",
                    "journal": server.url_of(server.new_database()),
                    "ray_address": nodes.address,
                    "hosts": hosts,
                    "semaphores": {"seat": SEATS},
                    "drain_timeout_ms": 1_000,
                },
                environment={},
                directory=home,
            )
            up(configuration)
            yield nodes, configuration, home
            down(configuration)
    finally:
        nodes.end()
        shutil.rmtree(home, ignore_errors=True)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mixture", description=__doc__)
    parser.add_argument("--size", type=int, default=2_000, help="executions (default 2000)")
    parser.add_argument("--faults", type=int, default=12, help="0: none (default 12)")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(2)))
    parser.add_argument("--hosts", type=int, default=2)
    options = parser.parse_args(arguments)
    chance = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    from heliostat.cluster.connect import attach
    from heliostat.cluster.queue import deployment_queue

    with deployed(3, options.hosts) as (nodes, configuration, home):
        with attach(configuration) as client:
            work = Work(client, home, options.size, chance)
            progress = Progress(work)
            with ThreadPoolExecutor(1) as pool:  # what is killed is killed while they are started
                started = pool.submit(work.start)
                while not started.done() and not work.effects():
                    time.sleep(0.05)
                hit = harm(nodes, progress, chance, options.faults)
                started.result(BOUND_S)
            found = list(work.faults())
            took_s = progress.elapsed_s()
            idle_s, idle_at_s = progress.end()
            again, most = work.repeated(), work.held_at_once()
        queue = deployment_queue(configuration)
    print(f"{options.size:,} executions in {took_s:.0f} s; killed: {', '.join(hit) or 'nothing'}")
    print(f"no effect for {idle_s:.1f} s at most, from {idle_at_s:.0f} s on")
    print(f"effects had again: {again}; permits held at once: {most} of {SEATS}")
    if not options.faults:
        share = queue.asked / max(1, queue.steps)
        print(f"{queue.asked:,} of {queue.steps:,} steps asked the scheduler: {share:.1%}")
    if found:
        sys.exit(f"seed {options.seed}: {len(found)} faults:\n" + "\n".join(found[:20]))


if __name__ == "__main__":
    main(sys.argv[1:])
