"""Steps that need capacity, and note when they began and ended. Shipped with test_capacity.py."""

from __future__ import annotations

import os
import time
from pathlib import Path


def note(file: str, line: str) -> None:
    """Append a line, as one write: attempts in several processes do not mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{line}\n".encode())
    finally:
        os.close(descriptor)


def until(gate: str, ledger: str, name: str) -> str:
    """Runs until the gate is open."""
    note(ledger, name)
    while not Path(gate).exists():
        time.sleep(0.02)
    return name


def spend(ledger: str, name: str, seconds: float) -> str:
    """Takes a while; its interval is in the ledger, in one clock of the machine."""
    began = time.monotonic()
    time.sleep(seconds)
    note(ledger, f"{name} {began} {time.monotonic()}")
    return name
