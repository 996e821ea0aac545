"""Steps of chaos.yaml: before anything else each notes, durably, that it has an effect."""

from __future__ import annotations

import os
from typing import Any

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


def expected(n: int) -> dict[str, Any]:
    """What the definition leads to, whatever is killed meanwhile."""
    first = n + 1
    value = 2 * sum(first + index + 1 for index in range(3)) + 1
    nothing = dict.fromkeys(("told", "both", "box", "ask", "most", "hears", "race"))
    parts: list[dict[str, Any]] = [
        {"child": [n + 2, n + 1]},
        {"told": {"n": n}},
        {"both": {"left": 2, "right": n + 1}},
        {"box": [1, 2, 3]},
        {"ask": {"n": n + 1, "completed_by": "ann"}},
        {"most": [2, None, 4]},
        {"hears": n + 1},
        {"race": {"quick": 7}},
    ]
    return {"value": value, "child": [None, None]} | nothing | parts[n % 8]


def expected_steps(n: int) -> dict[str, int]:
    """How often each step completes; a `foreach` counts its items and itself."""
    parts: list[dict[str, int]] = [
        {"child": 1, "report": 1},
        {"told": 1},
        {"both": 1, "left": 1, "sleep": 1, "right": 1},
        {"box": 4, "inside": 3, "nap": 3, "out": 3},
        {"ask": 1},
        {"most": 3},
        {"hears": 1},
        {"race": 1, "quick": 1},
    ]
    last = "even" if (expected(n)["value"] - 1) % 4 == 0 else "odd"
    heavy = {"heavy": 1} if n % 16 == 0 else {}
    always = ("first", "pause", "choose", "flaky", "route", last)
    return dict.fromkeys(always, 1) | {"wide": 4} | heavy | parts[n % 8]
