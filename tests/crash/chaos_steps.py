"""Steps of chaos.yaml: before anything else each notes, durably, that it has an effect."""

from __future__ import annotations

import os

import heliostat as hs


class NotYet(Exception):
    """The first attempt of some executions."""


def note(ledger: str) -> None:
    """One line, one write: `idempotency key`, `attempt`. What a killed process wrote stays."""
    current = hs.current()
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{current.idempotency_key} {current.attempt}\n".encode())
    finally:
        os.close(descriptor)


def add(n: int, ledger: str) -> int:
    note(ledger)
    return n + 1


def double(n: int, ledger: str) -> int:
    note(ledger)
    if n % 5 == 0 and hs.current().attempt == 1:
        raise NotYet(f"{n} is not ready")
    return 2 * n


def expected(n: int) -> dict[str, int]:
    """What the definition leads to, whatever is killed meanwhile."""
    first = n + 1
    return {"value": 2 * sum(first + index + 1 for index in range(3)) + 1}
