"""The reference: the same chains as plain Ray tasks, warm, pipelined and all in flight.

Nothing is durable here; a killed worker or driver loses what it did. Run as a process of its own
(`python -m benchmarks.raw_ray w1 5000`), so that it has the whole machine and a cluster to itself.
Prints one JSON object.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import time

STARTED = time.perf_counter()

from benchmarks import traces  # noqa: E402 – the clock runs first


def start(num_cpus: int | None = None) -> None:
    os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    import ray

    ray.init(
        address="local",  # whatever else runs, or ran, on this machine
        num_cpus=num_cpus,  # absent, what the machine has
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def chains(count: int) -> dict[str, float]:
    """W1: `count` chains of three tasks, all submitted before the first is awaited."""
    import ray

    @ray.remote
    def increment(n: int) -> int:
        return n + 1

    ray.get([increment.remote(0) for _ in range(200)])  # warm workers
    begun = time.perf_counter()
    ends = [increment.remote(increment.remote(increment.remote(index))) for index in range(count)]
    results = ray.get(ends)
    elapsed = time.perf_counter() - begun
    assert results == [index + 3 for index in range(count)]
    return {"workflows_per_s": count / elapsed, "elapsed_s": elapsed}


def alone(count: int) -> dict[str, float]:
    """W2: one chain of three tasks after the other, each from its submission to its result."""
    import ray

    @ray.remote
    def increment(n: int) -> int:
        return n + 1

    ray.get([increment.remote(0) for _ in range(200)])
    seconds = []
    for number in range(count):
        begun = time.perf_counter()
        chain = increment.remote(increment.remote(increment.remote(number)))
        assert ray.get(chain) == number + 3
        seconds.append(time.perf_counter() - begun)
    seconds.sort()
    return {
        "client_p50_ms": 1_000 * seconds[count // 2],
        "client_p99_ms": 1_000 * seconds[int(count * 0.99)],
    }


def long_chain(links: int) -> dict[str, float]:
    """W4: one chain of tasks, each waiting for the one before; submitted at once."""
    import ray

    @ray.remote
    def increment(n: int) -> int:
        return n + 1

    ray.get([increment.remote(0) for _ in range(200)])
    begun = time.perf_counter()
    value = increment.remote(0)
    for _ in range(links - 1):
        value = increment.remote(value)
    assert ray.get(value) == links
    elapsed = time.perf_counter() - begun
    return {"ms_per_step": 1000 * elapsed / links}


def fan_out(width: int) -> dict[str, float]:
    """W3: `width` tasks at once, and the sum of what they return."""
    import ray

    @ray.remote
    def increment(n: int) -> int:
        return n + 1

    ray.get([increment.remote(0) for _ in range(200)])
    begun = time.perf_counter()
    total = sum(ray.get([increment.remote(index) for index in range(width)]))
    seconds = time.perf_counter() - begun
    assert total == width * (width + 1) // 2
    return {"seconds": seconds, "us_per_item": seconds / width * 1e6}


def cold_start() -> dict[str, float]:
    """W6: from the start of the interpreter to the first task's result."""
    start()
    import ray

    @ray.remote
    def increment(n: int) -> int:
        return n + 1

    assert ray.get(increment.remote(1)) == 2
    return {"seconds": time.perf_counter() - STARTED}


def main() -> None:
    which, size, repeats = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    if which == "w6":
        print(json.dumps([cold_start()]))
        return
    start(traces.CONCURRENCY if which == "w8" else None)
    measure = {"w1": chains, "w2": alone, "w3": fan_out, "w4": long_chain, "w8": traces.w8_raw}[
        which
    ]
    print(json.dumps([measure(size) for _ in range(repeats)]))


if __name__ == "__main__":
    main()
