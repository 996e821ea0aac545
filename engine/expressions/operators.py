"""What operators do with values. No coercion: a clash of types is a `Failure`.

One function an operator, listed in `ARITHMETIC` and `COMPARE`. Strict variants that other
languages need are further functions of the language (`functions.py`), not modes of these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

from ..values import Value
from .errors import Failure
from .limits import INTEGER_BITS, INTEGER_MAX, INTEGER_MIN
from .time import DURATION_MS_MAX, INSTANT_MS_MAX, INSTANT_MS_MIN, Duration, Instant
from .values import Budget, article, equal, is_reference, scan, text, work

Operator = Callable[[Value, Value, Budget], Value]

_NUMBERS: Final = frozenset({int, float})
_ORDERED: Final = frozenset({str, Instant, Duration})


def bounded(number: int | float) -> int | float:
    """The result of arithmetic, if the language has such a number."""
    if type(number) is int:
        if not INTEGER_MIN <= number <= INTEGER_MAX:
            raise Failure(f"the result is an integer of more than {INTEGER_BITS} bits")
    elif not math.isfinite(number):
        raise Failure("the result is not a finite number")
    return number


def instant(ms: int) -> Instant:
    """The instant, if there is one."""
    if not INSTANT_MS_MIN <= ms <= INSTANT_MS_MAX:
        raise Failure("the result lies outside the years 1 to 9999")
    return Instant(ms)


def duration(ms: int) -> Duration:
    """The duration, if it can lie between two instants."""
    if not -DURATION_MS_MAX <= ms <= DURATION_MS_MAX:
        raise Failure("the result is longer than all of time from year 1 to 9999")
    return Duration(ms)


def _clash(op: str, left: Value, right: Value) -> Failure:
    for value in (left, right):
        if is_reference(value):
            return Failure(f"`{op}` meets {article(value)}")
    return Failure(f"`{op}` cannot be applied to {article(left)} and {article(right)}")


def add(left: Value, right: Value, budget: Budget) -> Value:
    """Numbers, strings, arrays, durations, or an instant and a duration."""
    match left, right:
        case _ if type(left) in _NUMBERS and type(right) in _NUMBERS:
            return bounded(_float_safe("+", left, right))
        case str(), str():
            text(budget, len(left) + len(right))
            return left + right
        case list(), list():
            work(budget, len(left) + len(right))
            return left + right
        case (Instant(ms=a), Duration(ms=b)) | (Duration(ms=a), Instant(ms=b)):
            return instant(a + b)
        case Duration(ms=a), Duration(ms=b):
            return duration(a + b)
    raise _clash("+", left, right)


def subtract(left: Value, right: Value, budget: Budget) -> Value:
    """Numbers, instants, durations, or a duration from an instant."""
    match left, right:
        case _ if type(left) in _NUMBERS and type(right) in _NUMBERS:
            return bounded(_float_safe("-", left, right))
        case Instant(ms=a), Instant(ms=b):
            return duration(a - b)
        case Instant(ms=a), Duration(ms=b):
            return instant(a - b)
        case Duration(ms=a), Duration(ms=b):
            return duration(a - b)
    raise _clash("-", left, right)


def multiply(left: Value, right: Value, budget: Budget) -> Value:
    """Numbers, or a duration by a number."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bounded(_float_safe("*", left, right))
    if type(left) is Duration and type(right) in _NUMBERS:
        return _scaled(left, right)
    if type(right) is Duration and type(left) in _NUMBERS:
        return _scaled(right, left)
    raise _clash("*", left, right)


def divide(left: Value, right: Value, budget: Budget) -> Value:
    """True division of numbers; of a duration by a number or by a duration."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bounded(_float_safe("/", left, right))
    if type(left) is Duration and type(right) in _NUMBERS:
        quotient = _float_safe("/", left.ms, right)
        return duration(round(bounded(quotient)))
    if type(left) is Duration and type(right) is Duration:
        return bounded(_float_safe("/", left.ms, right.ms))
    raise _clash("/", left, right)


def floor_divide(left: Value, right: Value, budget: Budget) -> Value:
    """Rounded down; of numbers, or of durations into a number."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bounded(_float_safe("//", left, right))
    if type(left) is Duration and type(right) is Duration:
        return bounded(_float_safe("//", left.ms, right.ms))
    raise _clash("//", left, right)


def remainder(left: Value, right: Value, budget: Budget) -> Value:
    """As Python's: the sign of the divisor."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return bounded(_float_safe("%", left, right))
    if type(left) is Duration and type(right) is Duration:
        return duration(int(_float_safe("%", left.ms, right.ms)))
    raise _clash("%", left, right)


def negate(operand: Value) -> Value:
    """The opposite of a number or of a duration."""
    if type(operand) in _NUMBERS:
        return bounded(-operand)
    if type(operand) is Duration:
        return Duration(-operand.ms)
    raise Failure(f"`-` cannot be applied to {article(operand)}")


_PLAIN_ARITHMETIC: Final[dict[str, Callable[[int | float, int | float], int | float]]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "//": lambda a, b: a // b,
    "%": lambda a, b: a % b,
}


def _float_safe(op: str, left: int | float, right: int | float) -> int | float:
    try:
        return _PLAIN_ARITHMETIC[op](left, right)
    except ZeroDivisionError:
        raise Failure("division by zero") from None
    except OverflowError:  # an integer that came from outside and exceeds every float
        raise Failure("the result is not a finite number") from None


def _scaled(length: Duration, factor: int | float) -> Duration:
    product = bounded(_float_safe("*", length.ms, factor))
    return duration(round(product))


def order(op: str, left: Value, right: Value, budget: Budget) -> bool:
    """`<` and its kin: within a type; false if either side is null."""
    if type(left) in _NUMBERS and type(right) in _NUMBERS:
        return _ORDER[op](left, right)
    if left is None or right is None:
        other = right if left is None else left
        if is_reference(other):
            raise _clash(op, left, right)
        return False
    if type(left) is type(right) and type(left) in _ORDERED:
        if type(left) is str:
            scan(budget, min(len(left), len(right)))
        return _ORDER[op](left, right)
    raise _clash(op, left, right)


_ORDER: Final[dict[str, Callable[[Value, Value], bool]]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def is_in(element: Value, container: Value, budget: Budget) -> bool:
    """An element of a list, a key of an object, or a part of a string."""
    if type(container) is list:
        work(budget, len(container))
        return any(equal(element, item, budget) for item in container)
    if type(element) is str and type(container) is dict:
        return element in container
    if type(element) is str and type(container) is str:
        scan(budget, len(container))
        return element in container
    raise _clash("in", element, container)


ARITHMETIC: Final[dict[str, Operator]] = {
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "//": floor_divide,
    "%": remainder,
}

COMPARE: Final[dict[str, Callable[[Value, Value, Budget], bool]]] = {
    "==": equal,
    "!=": lambda a, b, budget: not equal(a, b, budget),
    "<": lambda a, b, budget: order("<", a, b, budget),
    "<=": lambda a, b, budget: order("<=", a, b, budget),
    ">": lambda a, b, budget: order(">", a, b, budget),
    ">=": lambda a, b, budget: order(">=", a, b, budget),
    "in": is_in,
    "not in": lambda a, b, budget: not is_in(a, b, budget),
}
