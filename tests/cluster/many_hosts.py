"""Steps that write a ledger. Copied beside the definitions of test_many_hosts.py, and shipped."""

from __future__ import annotations

import os
import time

import heliostat as hs


def work(n: int, ledger: str, seconds: float = 0.0) -> int:
    current = hs.current()
    time.sleep(seconds)
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{current.idempotency_key} {current.attempt}\n".encode())
    finally:
        os.close(descriptor)
    return n + 1
