"""What expressions will read of an output that lies in blobs, taken while the value is here.

Registration lists the paths that the plan reads (`Read`). Those that lead into a blob are
evaluated here, by the same expression language, on the value as it was returned. A part that is
only passed along may itself be a reference. What is larger than `EXTRACT_BYTES_MAX`, or asks more
than an evaluation may do, is left out: reading it then fails where it is read, naming the path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from heliostat.engine.expressions import (
    EvaluationContext,
    ExpressionError,
    Read,
    leads_outside,
    of_output,
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
        if read.path in found or not leads_outside(read, value):
            continue
        try:
            part = of_output(read.path).evaluate(EvaluationContext(output=tree))
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
