"""The checker's table of operators against the operators, for every pair of kinds."""

from __future__ import annotations

import subprocess
import sys
from itertools import product
from typing import Any

import pytest

from heliostat.engine.expressions import Duration, Instant
from heliostat.engine.expressions.errors import Failure
from heliostat.engine.expressions.operators import ARITHMETIC, COMPARE
from heliostat.engine.expressions.signatures import ARITHMETIC_KINDS, comparable
from heliostat.engine.expressions.types import Type
from heliostat.engine.expressions.values import kind, new_budget

SAMPLES: list[Any] = [None, True, 3, 1.5, "k", [3], {"k": 1}, Instant(9_000), Duration(2_000)]


@pytest.mark.parametrize("op", ARITHMETIC)
def test_arithmetic(op: str) -> None:
    for left, right in product(SAMPLES, SAMPLES):
        expected = ARITHMETIC_KINDS[op].get((kind(left), kind(right)))
        try:
            found = kind(ARITHMETIC[op](left, right, new_budget()))
        except Failure:
            found = None
        assert found == expected, (left, right)


@pytest.mark.parametrize("op", COMPARE)
def test_comparisons(op: Any) -> None:
    for left, right in product(SAMPLES, SAMPLES):
        expected = comparable(op, Type(frozenset({kind(left)})), Type(frozenset({kind(right)})))
        try:
            found = type(COMPARE[op](left, right, new_budget())) is bool
        except Failure:
            found = False
        assert found is expected, (left, right)


def test_importing_the_language_does_not_load_the_parser() -> None:
    code = "import sys, heliostat.engine.expressions; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
