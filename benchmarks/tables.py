"""The steps of `tables.yaml`: they make, change and add up tables of which the store holds few."""

from __future__ import annotations

import numpy as np
import pyarrow as pa


def made(n: int, bytes: int) -> pa.Table:
    """A table of so many bytes, which no other is like."""
    return pa.table({"n": np.arange(bytes // 8, dtype=np.float64) + n})


def doubled(table: pa.Table) -> pa.Table:
    """Another of the same size."""
    return pa.table({"n": table["n"].to_numpy() * 2})


def summed(table: pa.Table) -> float:
    """Of all its numbers: reads every page of it."""
    return float(table["n"].to_numpy().sum())
