"""W3: one execution that fans out over many tiny steps and joins them."""

from __future__ import annotations

import time
from typing import Any

from benchmarks.deployment import (
    FOLDER,
    RESULT_TIMEOUT_S,
    forget_peak,
    host_pid,
    peak_mib,
    resident_now_mib,
)


def fan_out(client: Any, width: int) -> dict[str, float]:
    """From the call to the joined result; and what the host's memory rose by meanwhile."""
    definition = client.register(FOLDER / "wide.yaml")
    pid = host_pid(client)
    forget_peak(pid)
    before_mib = resident_now_mib(pid)
    begun = time.perf_counter()
    handle = client.start(definition, {"width": width})
    assert handle.result(timeout=RESULT_TIMEOUT_S) == width * (width + 1) // 2
    seconds = time.perf_counter() - begun
    return {
        "seconds": seconds,
        "us_per_item": seconds / width * 1e6,
        "host_mib_before": before_mib,
        "host_mib_more": peak_mib(pid) - before_mib,
    }
