"""Lengths of time as people write them."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from heliostat.verify.timing.timing import Timing

NAMED_MAX: Final = 3
"""Steps that a line names; of more, the first."""

_UNITS: Final = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000))


def amount(ms: float | None) -> str:
    """As `2d 3h` or `1.5s`: the two largest units; `no bound` where there is none."""
    if ms is None or ms == inf:
        return "no bound"
    whole = round(ms)
    if whole < 1_000:
        return f"{whole}ms"
    if whole < 60_000:
        return f"{whole / 1_000:.3f}".rstrip("0").rstrip(".") + "s"
    parts = []
    for unit, size in _UNITS:
        count, whole = divmod(whole, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2])


def few(ids: Sequence[str]) -> str:
    """Names as a line has them, of many the first."""
    shown = ", ".join(f"`{id}`" for id in ids[:NAMED_MAX])
    return shown if len(ids) <= NAMED_MAX else f"{shown} and {len(ids) - NAMED_MAX} more"


def totals(found: Timing) -> str:
    """The least, what is expected, and the most, as a phrase."""
    total = found.bounds.total
    told = [f"at least {amount(total.least)}"]
    if found.expected is not None:
        told.append(f"expected {amount(found.expected.mean_ms)}")
        if found.expected.runs > 1:
            told[-1] += f", 95 % of runs within {amount(found.expected.p95_ms)}"
        sources = [each.source for id, each in found.durations.items() if id in found.tags]
        guessed = sources.count("default")
        if guessed:
            told[-1] += f" ({guessed} of {len(sources)} durations are defaults)"
    told.append("at most: no bound" if total.most == inf else f"at most {amount(total.most)}")
    return ", ".join(told)
