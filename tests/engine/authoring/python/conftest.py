"""Loads workflows from text, as a file or notebook cell would hold them."""

from __future__ import annotations

import itertools
import linecache
import textwrap
from collections.abc import Callable
from typing import Any

import pytest

import heliostat as hs

_NUMBERS = itertools.count()
HEADER = """import heliostat as hs
from datetime import timedelta, datetime
import random, time
from pydantic import BaseModel

class Order(BaseModel):
    id: str
    total: float
    lines: list[str] = []

class Boom(Exception): ...

CACHE: dict = {}
LIMIT = 10

@hs.step
def fetch(line: str) -> str: ...

@hs.step
def total(order: Order) -> float: ...

def helper(x): return x

@hs.block
def block_of(x): return fetch(x)

"""

Load = Callable[[str], dict[str, Any]]


@pytest.fixture
def load() -> Load:
    """Runs a text as a module whose source can be found; the header above stands before it."""

    def loaded(text: str) -> dict[str, Any]:
        whole = HEADER + textwrap.dedent(text)
        file = f"/work/cell-{next(_NUMBERS)}.py"
        linecache.cache[file] = (len(whole), None, whole.splitlines(keepends=True), file)
        space: dict[str, Any] = {"__name__": "cell", "hs": hs}
        exec(compile(whole, file, "exec", dont_inherit=True), space)  # noqa: S102
        return space

    return loaded
