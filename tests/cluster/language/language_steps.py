"""What the definitions beside this file call. Each notes first, durably, that it has an effect.

An execution's input says where: `ledger` is the file of the notes, `gate` a file that the test
makes when an attempt may go on.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import heliostat as hs

BOUND_S = 90.0
"""No attempt waits longer for its gate."""


class Declined(Exception):
    """What a step says that fails for good."""


class NotYet(Exception):
    """What a step says that may be asked again."""


class Overlap(Exception):
    """Two were inside at once, where one is allowed."""


def note(ledger: str) -> None:
    """One line, one write: `idempotency key`, `attempt`. What a killed process wrote stays."""
    current = hs.current()
    descriptor = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(descriptor, f"{current.idempotency_key} {current.attempt}\n".encode())
    finally:
        os.close(descriptor)


def work(ledger: str, value: Any = None) -> Any:
    note(ledger)
    return value


def hold(ledger: str, gate: str, value: Any = None) -> Any:
    """Goes on when its gate is there, or when it is told to stop."""
    note(ledger)
    return value if _opened(gate) else "stopped"


def alone(ledger: str, gate: str, value: Any = None) -> Any:
    """As `hold`; raises where another attempt of the same ledger is inside."""
    note(ledger)
    inside = f"{ledger}.inside"
    try:
        os.close(os.open(inside, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        raise Overlap(f"{value} came in while another was inside") from None
    try:
        _opened(gate)
    finally:
        Path(inside).unlink()
    return value


def decline(ledger: str) -> None:
    note(ledger)
    raise Declined("no")


def decline_odd(ledger: str, n: int) -> int:
    note(ledger)
    if n % 2:
        raise Declined(f"{n} is odd")
    return n


def not_before(ledger: str, attempt: int, value: Any = None) -> Any:
    """Raises in the attempts before this one."""
    note(ledger)
    if hs.current().attempt < attempt:
        raise NotYet(f"attempt {hs.current().attempt}")
    return value


def if_open(ledger: str, gate: str, value: Any = None) -> Any:
    """Raises while its gate is not there."""
    note(ledger)
    if not Path(gate).exists():
        raise NotYet("the gate is closed")
    return value


def _opened(gate: str) -> bool:
    """Wait for the gate; False when told to stop before."""
    end_at = time.monotonic() + BOUND_S
    while not Path(gate).exists():
        if hs.current().cancelled:
            return False
        assert time.monotonic() < end_at, f"{gate} stayed closed"
        time.sleep(0.01)
    return True
