"""Load for minutes, and what of it stays in memory, the host's above all: nothing should.

Executions of the usual kinds come in rounds; each round ends before the next begins, so that a
sample of memory is taken with nothing under way. What a host keeps of work that has ended shows as
a slope over the rounds behind the warm-up. The deployment's other processes, Ray's own and the
client that asks for it all are looked at beside it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S, data_dir, host_pid, resident_mib
from benchmarks.growth import slope
from benchmarks.victims import Processes

ROUND = 1_000
WARM = 60_000
"""Executions by which SQLite's page caches (80 MiB in the host) are full and the allocator has
found its size. Of a short soak half is warm-up, and the slope is then partly that of the caches."""


BESIDE = ("runner", "scheduler", "launcher", "supervisor", "gcs", "raylet")
"""Kinds of process whose memory is looked at beside the host's: of each the oldest."""


def soak(client: Any, seconds: int) -> dict[str, float]:
    """Rounds for `seconds`; MiB that each process's memory grows by for every 10,000 executions."""
    done, memory = rounds(client, seconds)
    first = min(sum(count < WARM for count in done), len(done) // 2)
    host = memory.pop("host")
    by, sure = slope(done[first:], host[first:])
    return {
        "mib_per_10k": by * 10_000,
        "mib_per_10k_plus_minus": sure * 10_000,
        "executions": done[-1],
        "executions_per_s": done[-1] / seconds,
        "host_mib_first": host[0],
        "host_mib_warm": host[first],
        "host_mib_last": host[-1],
        "host_mib_max": max(host),
        **_beside(done[first:], {kind: each[first:] for kind, each in memory.items()}),
    }


def _beside(done: Sequence[float], memory: Mapping[str, Sequence[float]]) -> dict[str, float]:
    figures = {}
    for kind, each in memory.items():
        by, sure = slope(done, each)
        figures[f"{kind}_mib_last"] = each[-1]
        figures[f"{kind}_mib_per_10k"] = by * 10_000
        figures[f"{kind}_mib_per_10k_plus_minus"] = sure * 10_000
    return figures


def rounds(client: Any, seconds: float) -> tuple[list[float], dict[str, list[float]]]:
    """How many executions had ended at each sample, and each process's memory then, by its kind."""
    definition = client.register(FOLDER / "soak.yaml")
    processes = Processes(data_dir(), [os.getpid()])
    pids = {"host": host_pid(client), "client": os.getpid()}
    done: list[float] = []
    memory: dict[str, list[float]] = {}
    end_at = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end_at:
        handles = client.start_many(definition, [{"n": n} for n in range(ROUND)])
        for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
            handle.result()
        if not count:  # by now all that the work needs is there
            pids |= {kind: found[0].pid for kind in BESIDE if (found := processes.of(kind))}
        count += ROUND
        done.append(count)
        for kind, pid in pids.items():
            memory.setdefault(kind, []).append(resident_mib(pid))
    return done, memory
