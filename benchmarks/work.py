"""The steps that the benchmarks run: as small as a step can be, so that only the engine is seen."""

import os
import time
from pathlib import Path
from typing import Any

LARGE = 250_000
"""Numbers of a value that is large enough to pass by Ray's object store."""


def increment(n: int) -> int:
    return n + 1


def noted_increment(n: int, ledger: str, key: str) -> int:
    """One that leaves a trace: an `O_APPEND` line, which a kill cannot tear."""
    descriptor = os.open(Path(ledger), os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    try:
        os.write(descriptor, f"{key}\n".encode())
    finally:
        os.close(descriptor)
    return n + 1


def sometimes(n: int) -> int:
    """Fails at its first attempt for every tenth."""
    import heliostat as hs

    if n % 10 == 0 and hs.current().attempt == 1:
        raise ValueError(f"{n} is not ready")
    return n


def noted(n: int, ledger: str) -> int:
    """Two milliseconds of work, and a line that says which effect it had, and when."""
    import heliostat as hs

    time.sleep(0.002)
    line = f"{hs.current().idempotency_key} {time.time_ns()}\n"
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, line.encode())
    finally:
        os.close(descriptor)
    return n + 1


def noted_large(n: int, ledger: str) -> Any:
    """As `noted`, and returns 2 MB of numbers that no other has."""
    import numpy as np

    noted(n, ledger)
    return np.full(LARGE, float(n))


def noted_weighed(n: int, ledger: str, numbers: Any) -> int:
    """As `noted`, with what `noted_large` returned.

    Raises:
        ValueError: it is something else.
    """
    if numbers.shape != (LARGE,) or numbers.sum() != float(n) * LARGE:
        raise ValueError(f"these are not the numbers of {n}")
    return noted(n, ledger)


def mixed(n: int, ledger: str, seconds: float = 0.0) -> int:
    """Ten milliseconds at least, and a line that says which attempt had its effect; where it takes
    longer, one more from when to when, in a clock of the machine that all its processes share."""
    import heliostat as hs

    began = time.monotonic()
    time.sleep(max(seconds, 0.01))
    current = hs.current()
    line = f"{current.idempotency_key} {current.attempt}\n"
    lines = {ledger: line} | (
        {f"{ledger}.held": f"{began} {time.monotonic()}\n"} if seconds else {}
    )
    for file, line in lines.items():
        descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(descriptor, line.encode())
        finally:
            os.close(descriptor)
    return n + 1
