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
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()

FOLDER = Path(__file__).parent
RESULT_TIMEOUT_S = 300.0


def connect() -> Any:
    import heliostat as hs

    return hs.connect(tempfile.mkdtemp(prefix="heliostat-bench-"))


def chains(client: Any, count: int) -> dict[str, float]:
    """W1: `count` three-step executions, all started at once; ends as the client sees them."""
    definition = client.register(FOLDER / "chain.yaml")
    begun = time.perf_counter()
    handles = client.start_many(definition, [{"n": index} for index in range(count)])
    expected = {handle.id: index + 3 for index, handle in enumerate(handles)}
    ends = []
    for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
        assert handle.result() == expected[handle.id]
        ends.append(time.perf_counter() - begun)
    assert len(ends) == count
    return {
        "workflows_per_s": count / ends[-1],
        "elapsed_s": ends[-1],
        "completion_p50_s": ends[len(ends) // 2],
        "completion_p99_s": ends[int(len(ends) * 0.99)],
    }


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


def main() -> None:
    which, size, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if which == "w6":
        print(json.dumps([cold_start()]))
        return
    client = connect()
    measure = {"w1": chains, "w4": long_chain, "w7": killed_host}[which]
    if which != "w7":
        measure(client, min(size, 200))  # warm the runners and the code paths
    figures = [measure(client, size) for _ in range(repeats)]
    client.close()
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
