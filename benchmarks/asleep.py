"""W5: many executions asleep on durable timers, or on a signal or an event; then all wake."""

from __future__ import annotations

import datetime
import time
from typing import Any

from benchmarks.deployment import (
    FOLDER,
    RESULT_TIMEOUT_S,
    host_pid,
    resident_mib,
)

WARM = 10_000
"""As many as rest in a host's memory at most: what the host needs for its work itself, however many
sleep, is not the sleepers' share."""
BATCH = 5_000
SETTLE_S = 120.0
"""Bound of the wait until all sleep and have left the host's memory."""
START_RATE_FLOOR = 700
"""Starts/s on a slow machine, by which the common instant is chosen: all must sleep before it."""


def warm(client: Any) -> None:
    """Let the host's memory grow to what its work needs."""
    on_bells(client, WARM)


def on_timers(client: Any, count: int) -> dict[str, float]:
    """All wake at one instant, which is later than the timers that a host has in memory."""
    until = time.time() + 90 + count / START_RATE_FLOOR
    text = datetime.datetime.fromtimestamp(until, datetime.UTC).isoformat()

    def wake() -> float:
        time.sleep(max(0.0, until - time.time()))
        return until

    return _measured(client, [{"n": n, "until": text} for n in range(count)], wake)


def on_bells(client: Any, count: int) -> dict[str, float]:
    """All wait for a signal of their own or an event; one event wakes them all."""

    def wake() -> float:
        client.publish("bench.bell", {})
        return time.time()

    return _measured(client, [{"n": n, "until": None} for n in range(count)], wake)


def _measured(client: Any, inputs: list[dict[str, Any]], wake: Any) -> dict[str, float]:
    definition = client.register(FOLDER / "asleep.yaml")
    pid = host_pid(client)
    _all_asleep(client)  # what rested before has left
    empty_mib = resident_mib(pid)
    begun = time.perf_counter()
    handles = []
    for first in range(0, len(inputs), BATCH):
        handles += client.start_many(definition, inputs[first : first + BATCH])
    started_s = time.perf_counter() - begun
    asleep_s = _all_asleep(client) - begun
    asleep_mib = resident_mib(pid)
    woken = wake()
    first_s = 0.0
    for _handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
        first_s = first_s or time.time() - woken
    woken_s = time.time() - woken
    _all_asleep(client)
    return {
        "starts_per_s": len(inputs) / started_s,
        "asleep_s": asleep_s,
        "resident_bytes_each": (asleep_mib - empty_mib) * 2**20 / len(inputs),
        "first_woken_s": first_s,
        "woken_s": woken_s,
        "woken_per_s": len(inputs) / woken_s,
        "host_mib_empty": empty_mib,
        "host_mib_asleep": asleep_mib,
        "host_mib_after": resident_mib(pid),
    }


def _all_asleep(client: Any) -> float:
    """Until nothing is at a runner and nothing rests in memory; when that was."""
    end_at = time.perf_counter() + SETTLE_S
    while True:
        (host,) = client.info()["hosts"]
        if not host["resident"] and not host["starts_queued"]:
            return time.perf_counter()
        if time.perf_counter() > end_at:
            raise TimeoutError(f"{host['resident']} executions are still in memory: {host}")
        time.sleep(0.5)
