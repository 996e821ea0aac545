"""How memory grows with work: a straight line through samples, and how sure its slope is."""

from __future__ import annotations

import math
from collections.abc import Sequence


def slope(xs: Sequence[float], ys: Sequence[float]) -> tuple[float, float]:
    """The least-squares slope, and half the width of its 95 % confidence interval.

    Samples of memory follow each other, so neighbours are alike and the interval is too narrow;
    it tells a leak from noise all the same, since a leak goes on.
    """
    n = len(xs)
    if n < 3:
        raise ValueError(f"{n} samples have no slope with a confidence; take 3 at least")
    x_mean, y_mean = sum(xs) / n, sum(ys) / n
    spread = sum((x - x_mean) ** 2 for x in xs)
    by = sum((x - x_mean) * (y - y_mean) for x, y in zip(xs, ys, strict=True)) / spread
    left = sum((y - y_mean - by * (x - x_mean)) ** 2 for x, y in zip(xs, ys, strict=True))
    error = math.sqrt(left / (n - 2) / spread)
    return by, T_95 * error


T_95 = 2.0
"""Student's t for a two-sided 95 %, of some twenty samples or more."""
