"""Whether a part of a value lies elsewhere: then whoever holds the value must bring the part."""

from __future__ import annotations

import contextlib
from functools import lru_cache

from ..errors import ExpressionError
from ..values import Value
from .context import MISSING, EvaluationContext, Missing
from .data import Expression, parse_expression
from .reads import Read


def leads_outside(read: Read, value: Value) -> bool:
    """Whether reading this part of the value comes to a reference in it."""
    asked = False

    def extract(root: tuple[str, ...], path: str) -> Value | Missing:
        nonlocal asked
        asked = True
        return MISSING

    with contextlib.suppress(ExpressionError):
        of_output(read.path).evaluate(EvaluationContext(output=value, extract=extract))
    return asked


@lru_cache(maxsize=1_000)
def of_output(path: str) -> Expression:
    """The expression for a part of `$.output`, by its path within."""
    return parse_expression(f"$.output{path[1:]}")
