"""Steps of test_retention.py: arrays that are large enough to be shared. Shipped with it."""

from __future__ import annotations

import os
from typing import Any


def make(seed: int) -> Any:
    import numpy

    return numpy.full(1_000_000, float(seed))


def total(array: Any) -> dict[str, float]:
    return {"total": float(array.sum()), "pid": os.getpid()}
