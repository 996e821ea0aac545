"""What operators do with kinds: the results that are possible, for the checker.

The mirror of `operators.py`, which does the same with values; a test compares the two.
"""

from __future__ import annotations

from typing import Final

from .ast import CompareOp
from .types import BOOLEAN, NULL, NUMBER, STRING, Type

_N, _S, _A, _I, _D = "number", "string", "array", "instant", "duration"
ARITHMETIC_KINDS: Final[dict[str, dict[tuple[str, str], str]]] = {
    "+": {(_N, _N): _N, (_S, _S): _S, (_A, _A): _A, (_I, _D): _I, (_D, _I): _I, (_D, _D): _D},
    "-": {(_N, _N): _N, (_I, _I): _D, (_I, _D): _I, (_D, _D): _D},
    "*": {(_N, _N): _N, (_D, _N): _D, (_N, _D): _D},
    "/": {(_N, _N): _N, (_D, _N): _D, (_D, _D): _N},
    "//": {(_N, _N): _N, (_D, _D): _N},
    "%": {(_N, _N): _N, (_D, _D): _D},
}
_ORDERED: Final = frozenset({_N, _S, _I, _D})
TIMES: Final = frozenset({_I, _D})

LITERAL_TYPES: Final[dict[type, Type]] = {
    type(None): NULL,
    bool: BOOLEAN,
    int: NUMBER,
    float: NUMBER,
    str: STRING,
}


def comparable(op: CompareOp, left: Type, right: Type) -> bool:
    """Whether some values of these types can be compared so without an error."""
    if op in ("==", "!="):
        return True
    if op in ("in", "not in"):
        text = _S in left.kinds and right.kinds & {_S, "object"}
        return _A in right.kinds or bool(text)
    nullable = (left.kinds | right.kinds) & NULL.kinds
    return bool(nullable or left.kinds & right.kinds & _ORDERED)
