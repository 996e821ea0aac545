"""What expressions will read of an output that lies in blobs, taken while the value is here.

Registration lists the paths that the plan reads (`Read`). Those that lead into a blob are
evaluated here, by the same expression language, on the value as it was returned. A part that is
only passed along may itself be a reference. What is larger than `EXTRACT_BYTES_MAX`, or asks more
than an evaluation may do, is left out: reading it then fails where it is read, naming the path.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

import msgspec

from heliostat.engine.expressions import (
    MISSING,
    EvaluationContext,
    Expression,
    ExpressionError,
    Missing,
    Read,
    parse_expression,
)
from heliostat.engine.values import (
    EXTRACT_BYTES_MAX,
    INLINE_BYTES_MAX,
    Reference,
    Value,
    decoder,
    encoder,
)

from .encoding import Encoded

_pack: Final = encoder().encode
_unpack: Final = decoder().decode


def extracts(
    reads: Sequence[Read], result: Encoded, put: Callable[[bytes], str]
) -> dict[str, Value] | None:
    """By path, the parts of a result that cannot be found in what travels; None without any."""
    value, tree = _unpack(result.packed), _unpack(result.tree)
    found: dict[str, Value] = {}
    for read in reads:
        if read.path in found or not _leads_outside(read, value):
            continue
        try:
            part = _expression(read.path).evaluate(EvaluationContext(output=tree))
        except ExpressionError:
            continue
        if isinstance(part, Reference):
            continue
        packed = _pack(part)
        if read.whole and len(packed) > INLINE_BYTES_MAX:
            passed = _outside(part, put)
            if passed is not None and read.path != "$":
                found[read.path] = passed
        elif len(packed) <= EXTRACT_BYTES_MAX:
            found[read.path] = part
    return found or None


def _outside(part: Value, put: Callable[[bytes], str]) -> Reference | None:
    try:
        content = msgspec.json.encode(part)
    except TypeError:  # it holds objects, and a blob may not name blobs
        return None
    return Reference(put(content), "json", len(content))


def _leads_outside(read: Read, value: Value) -> bool:
    asked = False

    def extract(root: tuple[str, ...], path: str) -> Value | Missing:
        nonlocal asked
        asked = True
        return MISSING

    with contextlib.suppress(ExpressionError):
        _expression(read.path).evaluate(EvaluationContext(output=value, extract=extract))
    return asked


@lru_cache(maxsize=1_000)
def _expression(path: str) -> Expression:
    return parse_expression(f"$.output{path[1:]}")
