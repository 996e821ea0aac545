"""The values of the language: their kinds, their equality, their form at rest, and the budget.

A value is JSON, an `Instant`, a `Duration`, or something that is not here (a `Reference`), which
may be passed on but not looked into.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec

from ..values import Value
from .context import Context
from .errors import Failure
from .limits import (
    SCAN_CHARS_PER_UNIT,
    TEXT_CHARS_MAX,
    VALUE_DEPTH_MAX,
    WORK_UNITS_MAX,
)
from .time import Duration, Instant, format_duration, format_instant

Budget: TypeAlias = list[int]
"""What one evaluation may still do: `[units of work, characters]`; a list, as that is made fast."""

Run: TypeAlias = Callable[[Context, Budget], Value]
"""A compiled expression."""

KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    Instant: "instant",
    Duration: "duration",
}

_PLAIN: Final = frozenset({bool, str, type(None), Instant, Duration})
_NUMBERS: Final = frozenset({int, float})
NOT_HERE: Final = "a value that is not here: return the figure as a field beside it"


def new_budget() -> Budget:
    """All that one evaluation may do."""
    return [WORK_UNITS_MAX, TEXT_CHARS_MAX]


def work(budget: Budget, units: int) -> None:
    """Count elements about to be touched."""
    budget[0] -= units
    if budget[0] < 0:
        raise Failure(
            f"the evaluation would touch more than {WORK_UNITS_MAX:,} elements: do it in a step"
        )


def text(budget: Budget, chars: int) -> None:
    """Count characters about to be produced."""
    budget[1] -= chars
    if budget[1] < 0:
        raise Failure(
            f"the evaluation would produce more than {TEXT_CHARS_MAX:,} characters: do it in a step"
        )


def scan(budget: Budget, chars: int) -> None:
    """Count characters about to be searched or compared."""
    if chars >= SCAN_CHARS_PER_UNIT:
        work(budget, chars // SCAN_CHARS_PER_UNIT)


def kind(value: Value) -> str:
    """The name that messages and `type` give to a value's type."""
    return KINDS.get(type(value), "reference")


def article(value: Value) -> str:
    """`a number`, `an array`, `null`: a value's kind in a sentence."""
    if type(value) not in KINDS:
        return NOT_HERE
    name = kind(value)
    if name == "null":
        return name
    return f"{'an' if name[0] in 'aoi' else 'a'} {name}"


def equal(left: Value, right: Value, budget: Budget) -> bool:
    """Deep equality as JSON means it: never across kinds, `1 == 1.0`, `true != 1`.

    Walks by a stack of its own, so that no depth of a value can exhaust the interpreter's.
    """
    pairs = [(left, right)]
    while pairs:
        a, b = pairs.pop()
        type_a, type_b = type(a), type(b)
        if type_a is str and type_b is str:
            scan(budget, min(len(a), len(b)))
        if type_a in _NUMBERS and type_b in _NUMBERS:
            same = a == b
        elif type_a not in KINDS or type_b not in KINDS:
            raise Failure(f"`==` meets {NOT_HERE}")
        elif type_a is not type_b:
            return False
        elif type_a in _PLAIN:
            same = a == b
        elif len(a) != len(b):
            return False
        else:
            work(budget, len(a))
            same = True
            if type_a is list:
                pairs.extend(zip(a, b, strict=True))
            elif a.keys() != b.keys():
                return False
            else:
                pairs.extend((value, b[key]) for key, value in a.items())
        if not same:
            return False
    return True


def resting(value: Value) -> Value:
    """The value with every instant and duration in its form at rest; shares what has none.

    Raises:
        Failure: nested too deeply.
    """
    return _resting(value, 0)


def _resting(value: Value, depth: int) -> Value:
    match value:
        case Instant(ms=ms):
            return format_instant(ms)
        case Duration(ms=ms):
            return format_duration(ms)
        case list() | dict() if depth >= VALUE_DEPTH_MAX:
            raise Failure(f"the value is nested deeper than {VALUE_DEPTH_MAX} levels")
        case list():
            return [_resting(item, depth + 1) for item in value]
        case dict():
            return {key: _resting(item, depth + 1) for key, item in value.items()}
    return value


def as_text(value: Value, budget: Budget) -> str:
    """Text for a template, `string` and `format`: strings as they are, all else as compact JSON."""
    if type(value) is str:
        printed = value
    elif type(value) in (Instant, Duration):
        printed = resting(value)
    else:
        _count(value, budget, 0)
        try:
            printed = _encode(resting(value)).decode()
        except (OverflowError, UnicodeEncodeError):  # neither can be made here, only handed in
            raise Failure("the value has an integer or a character that JSON lacks") from None
    text(budget, len(printed))
    return printed


_encode: Final = msgspec.json.Encoder().encode


def _count(value: Value, budget: Budget, depth: int) -> None:
    """Count what printing will produce at least, before it does; refuse what JSON cannot hold."""
    if type(value) not in KINDS:
        raise Failure(f"text cannot be made of {NOT_HERE}")
    if type(value) is str:
        scan(budget, len(value))
    if type(value) not in (list, dict):
        return
    if depth >= VALUE_DEPTH_MAX:
        raise Failure(f"the value is nested deeper than {VALUE_DEPTH_MAX} levels")
    work(budget, len(value))
    for item in value.values() if type(value) is dict else value:
        _count(item, budget, depth + 1)


def is_reference(value: Value) -> bool:
    """Whether a value is not here, but named by a foreign leaf such as a `Reference`."""
    return type(value) not in KINDS
