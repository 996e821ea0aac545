"""The steps that the benchmarks run: as small as a step can be, so that only the engine is seen."""

import os
from pathlib import Path


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
