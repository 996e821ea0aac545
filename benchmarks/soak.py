"""Load for minutes, and what of it stays in the host's memory: nothing should.

Executions of the usual kinds come in rounds; each round ends before the next begins, so that a
sample of memory is taken with nothing under way. What a host keeps of work that has ended shows as
a slope over the rounds behind the warm-up.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S, host_pid, resident_mib
from benchmarks.growth import slope

ROUND = 1_000
WARM = 60_000
"""Executions by which SQLite's page caches (80 MiB in the host) are full and the allocator has
found its size. Of a short soak half is warm-up, and the slope is then partly that of the caches."""


def soak(client: Any, seconds: int) -> dict[str, float]:
    """Rounds for `seconds`; MiB that the host's memory grows by for every 10,000 executions."""
    done, memory = rounds(client, seconds)
    first = min(sum(count < WARM for count in done), len(done) // 2)
    by, sure = slope(done[first:], memory[first:])
    return {
        "mib_per_10k": by * 10_000,
        "mib_per_10k_plus_minus": sure * 10_000,
        "executions": done[-1],
        "executions_per_s": done[-1] / seconds,
        "host_mib_first": memory[0],
        "host_mib_warm": memory[first],
        "host_mib_last": memory[-1],
    }


def rounds(client: Any, seconds: float) -> tuple[list[float], list[float]]:
    """How many executions had ended at each sample, and the host's memory then."""
    definition = client.register(FOLDER / "soak.yaml")
    pid = host_pid(client)
    done: list[float] = []
    memory: list[float] = []
    end_at = time.perf_counter() + seconds
    count = 0
    while time.perf_counter() < end_at:
        handles = client.start_many(definition, [{"n": n} for n in range(ROUND)])
        for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
            handle.result()
        count += ROUND
        done.append(count)
        memory.append(resident_mib(pid))
    return done, memory
