"""W1: executions of three tiny steps, all started at once."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S


def chains(client: Any, count: int) -> dict[str, float]:
    """`count` three-step executions at once; their ends are when the client sees them."""
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
