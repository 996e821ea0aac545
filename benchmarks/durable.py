"""The same work as durable workflows: registered, journaled, each step dispatched and committed
on its own, results read through the client. Run as a process of its own, as `raw_ray.py`.
Prints one JSON object.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

from benchmarks import asleep, door, overload, soak, sockets, traces, wide  # noqa: E402 – the clock runs first
from benchmarks.chains import chains  # noqa: E402
from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S, connect  # noqa: E402


def long_chain(client: Any, links: int) -> dict[str, float]:
    """W4: one execution of `links` sequential steps."""
    definition = client.register(FOLDER / "long_chain.yaml")
    begun = time.perf_counter()
    handle = client.start(definition, {"links": links})
    assert handle.result(timeout=RESULT_TIMEOUT_S) == links
    return {"ms_per_step": 1000 * (time.perf_counter() - begun) / links}


def cold_start() -> dict[str, float]:
    """W6: from the start of the interpreter to the first execution's result, embedded."""
    client = connect()
    definition = client.register(FOLDER / "chain.yaml")
    assert client.start(definition, {"n": 0}).result(timeout=RESULT_TIMEOUT_S) == 3
    elapsed = time.perf_counter() - STARTED
    client.close()
    return {"seconds": elapsed}


def killed_host(client: Any, count: int) -> dict[str, float]:
    """W7: the host is killed with -9 when a fifth has ended; how long until the next end is seen,
    and whether anything was lost or doubled."""
    definition = client.register(FOLDER / "noted_chain.yaml")
    ledger = Path(tempfile.mkdtemp(prefix="heliostat-bench-")) / "ledger"
    inputs = [{"n": index, "ledger": str(ledger)} for index in range(count)]
    handles = client.start_many(definition, inputs)
    expected = {handle.id: index + 3 for index, handle in enumerate(handles)}
    killed_at = resumed_s = 0.0
    seen: dict[str, int] = {}
    for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
        assert handle.id not in seen, "an end was delivered twice"
        seen[handle.id] = handle.result()
        if killed_at and not resumed_s and time.perf_counter() - killed_at > 0.1:
            resumed_s = time.perf_counter() - killed_at
        if not killed_at and len(seen) >= count // 5:
            for host in client.info()["hosts"]:
                os.kill(host["pid"], signal.SIGKILL)
            killed_at = time.perf_counter()
    lines = ledger.read_text().split()
    effects = {f"{handle.id}:{step}" for handle in handles for step in "abc"}
    return {
        "resumed_s": resumed_s,
        "lost": sum(1 for key in expected if key not in seen),
        "wrong": sum(1 for key, value in seen.items() if value != expected[key]),
        "effects_missing": len(effects.difference(lines)),
        "effects_repeated": len(lines) - len(set(lines)),
    }


MEASURES: dict[str, Callable[[Any, int], dict[str, float]]] = {
    "w1": chains,
    "w3": wide.fan_out,
    "wide": wide.fan_out,
    "w4": long_chain,
    "w5": asleep.on_timers,
    "w5-bells": asleep.on_bells,
    "bells": asleep.on_bells,
    "w7": killed_host,
    "w8": traces.w8,
    "overload": overload.overload,
    "flood": overload.overload,
    "soak": soak.soak,
    "sockets": sockets.sockets,
}
COLD = ("w7", "overload", "flood", "soak", "sockets")
"""What is not warmed by a small round of itself."""


def main() -> None:
    which, size, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if which == "w6":
        print(json.dumps([cold_start()]))
        return
    if which in ("w2", "http", "stored"):
        print(json.dumps(door.main(which, size, repeats)))
        return
    if which == "finished":
        from benchmarks import beside  # with much that a cold start need not wait for

        print(json.dumps([beside.finished(size) for _ in range(repeats)]))
        return
    if which == "w1-function":
        from benchmarks import functions  # neither need it wait for that

        MEASURES[which] = functions.chain_by_both
    client = connect(runners=traces.CONCURRENCY) if which == "w8" else connect()
    measure = MEASURES[which]
    if measure in (asleep.on_timers, asleep.on_bells):
        asleep.warm(client)
    elif which not in COLD:
        measure(client, min(size, 200))  # warm the runners and the code paths
    figures = [measure(client, size) for _ in range(repeats)]
    client.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
