"""Functions shipped by value inside a code bundle. The one place that unpickles functions."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from heliostat.engine.authoring.bundle import FUNCTIONS


def function_by_value(folder: Path, target: str) -> Callable[..., Any] | None:
    """The function that an unpacked bundle holds under a registered name, if it holds one.

    Raises:
        Exception: whatever unpickling raises, such as a module that is missing here.
    """
    file = folder / FUNCTIONS / f"{target}.pickle"
    if ":" in target or not file.is_file():
        return None
    function: Callable[..., Any] = pickle.loads(file.read_bytes())
    return function
