"""The ledger of the demonstration: one line for each attempt that began."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct


class Entry(Struct, frozen=True):
    """An attempt began."""

    key: str  # the idempotency key: the same for all attempts at one visit
    step: str
    attempt: int
    pid: int
    at: float


def read_ledger(path: Path) -> Sequence[Entry]:
    """The entries so far, in order; empty while there is no file."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    return [Entry(**json.loads(line)) for line in lines]


def repeated(entries: Sequence[Entry]) -> list[str]:
    """`step ×n` for each visit whose step began more than once."""
    counts = Counter(entry.key for entry in entries)
    steps = {entry.key: entry.step for entry in entries}
    return [f"{steps[key]} ×{count}" for key, count in counts.items() if count > 1]
