"""The strict functions: what Python's operators, built-ins and methods do, errors included.

Compiled Python uses these where the language's own operators are kinder or stricter than Python:
`truthy` instead of a boolean, `at` instead of a path that gives null, `lt_strict` instead of a
comparison that is false for null. A failure has the name and the words of the error that Python
raises, so that `except KeyError as error` sees what it would see.

Where the language must differ it raises what Python raises of its own bounds: an integer beyond 64
bits is an `OverflowError`, as is a float without an end. Values are JSON: a tuple is a list.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, Final

from ..values import Value
from .errors import Failure
from .limits import INTEGER_MAX, INTEGER_MIN, RANGE_ITEMS_MAX
from .time import Duration, Instant
from .values import Budget, scan, text, work

Strict = Callable[..., Value]

_RAISED: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    TypeError,
    ValueError,
)
POWER_BITS_MAX: Final = 64
"""Of an exponent's effect: what is larger has no value in the language."""


def python_error(error: BaseException) -> Failure:
    """The failure that stands for an error of Python's own."""
    names = tuple(each.__name__ for each in type(error).__mro__ if each is not object)
    return Failure(str(error), names)


def strict(run: Strict) -> Strict:
    """The function, with what Python raises in it as a failure of that name."""

    def guarded(budget: Budget, *arguments: Value) -> Value:
        try:
            return run(budget, *arguments)
        except _RAISED as error:
            raise python_error(error) from None

    return guarded


def _bounded(value: Any, budget: Budget) -> Value:
    """A result, if the language has such a value."""
    kind = type(value)
    if kind is int and not INTEGER_MIN <= value <= INTEGER_MAX:
        raise OverflowError("the result is an integer of more than 64 bits")
    if kind is float and not math.isfinite(value):
        raise OverflowError("the result is not a finite number")
    if kind is complex:
        raise ValueError("the result is a complex number")
    if kind is str:
        text(budget, len(value))
    elif kind is list:
        work(budget, len(value))
    return value


def _binary(operate: Callable[[Any, Any], Any], inplace: Callable[[Any, Any], Any]) -> Strict:
    """An operator; with a third argument its assigning form, as `+=`.

    That argument is "shared" where something else may hold the left side: Python would change a
    list for that as well, and values are copies here.
    """

    def run(budget: Budget, left: Any, right: Any, assigning: Any = None) -> Value:
        if type(left) in (list, str):
            scan(budget, len(left))
        if assigning is None:
            return _bounded(operate(left, right), budget)
        if type(left) is list:
            if assigning == "shared":
                raise TypeError("a list that may have another name is not changed in place")
            work(budget, len(left))
            left = list(left)
        return _bounded(inplace(left, right), budget)

    return strict(run)


def _compared(operate: Callable[[Any, Any], bool]) -> Strict:
    def run(budget: Budget, left: Any, right: Any) -> bool:
        for side in (left, right):
            if type(side) in (list, str, dict):
                work(budget, len(side))
        return bool(operate(left, right))

    return strict(run)


def _multiply(budget: Budget, left: Any, right: Any, assigning: Any = None) -> Value:
    for many, count in ((left, right), (right, left)):
        if type(many) in (str, list) and type(count) in (int, bool):
            (text if type(many) is str else work)(budget, max(0, len(many) * count))
    return _TIMES(budget, left, right, assigning)


def _remainder(budget: Budget, left: Any, right: Any, assigning: Any = None) -> Value:
    if type(left) is str:
        raise TypeError("the % of strings is not compiled: write an f-string")
    return _MODULO(budget, left, right, assigning)


def _power(budget: Budget, left: Any, right: Any, assigning: Any = None) -> Value:
    whole = type(left) in (int, bool) and type(right) in (int, bool) and right > 0
    bits = int(left).bit_length() if whole else 0
    if bits > 1 and bits * right > 2 * POWER_BITS_MAX:
        raise OverflowError("the result is an integer of more than 64 bits")
    return _RAISED_TO(budget, left, right, assigning)


_TIMES: Final = _binary(operator.mul, operator.imul)
_MODULO: Final = _binary(operator.mod, operator.imod)
_RAISED_TO: Final = _binary(operator.pow, operator.ipow)


def _truthy(budget: Budget, of: Value) -> bool:
    return bool(of)


def _at(budget: Budget, of: Any, key: Any) -> Value:
    if type(of) is dict and type(key) is not str:
        if type(key) in (list, dict):
            raise TypeError(f"unhashable type: '{type(key).__name__}'")
        raise KeyError(key)
    return of[key]


def _attribute(budget: Budget, of: Any, name: str) -> Value:
    if type(of) is dict and name in of:
        return of[name]
    shown = "NoneType" if of is None else type(of).__name__
    raise AttributeError(f"'{shown}' object has no attribute '{name}'")


def _slice(budget: Budget, of: Any, start: Any, stop: Any, step: Any = None) -> Value:
    if type(of) is dict:
        raise TypeError("unhashable type: 'slice'")
    return _bounded(of[slice(start, stop, step)], budget)


def _iterate(budget: Budget, of: Any) -> list[Value]:
    if type(of) in (Instant, Duration):
        raise TypeError(f"'{type(of).__name__.lower()}' object is not iterable")
    if type(of) is list:
        return of
    if type(of) in (str, dict):
        work(budget, len(of))
    return list(of)


def _unpack(budget: Budget, of: Any, count: int) -> list[Value]:
    if of is None or type(of) in (bool, int, float):
        shown = "NoneType" if of is None else type(of).__name__
        raise TypeError(f"cannot unpack non-iterable {shown} object")
    items = _iterate(budget, of)
    if len(items) > count:
        raise ValueError(f"too many values to unpack (expected {count})")
    if len(items) < count:
        raise ValueError(f"not enough values to unpack (expected {count}, got {len(items)})")
    return items


def _range(budget: Budget, *bounds: Any) -> list[int]:
    numbers = range(*bounds)
    if numbers and abs(numbers[-1] - numbers[0]) // abs(numbers.step) >= RANGE_ITEMS_MAX:
        raise Failure(f"`range` has at most {RANGE_ITEMS_MAX:,} items")
    work(budget, len(numbers))
    return list(numbers)


def _converted(convert: Callable[..., Any]) -> Strict:
    def run(budget: Budget, *of: Any) -> Value:
        for each in of:
            if type(each) in (str, list, dict):
                work(budget, len(each))
        return _bounded(convert(*of), budget)

    return strict(run)


def _integer(of: Any) -> int:
    if type(of) is str and len(of) > 400:
        raise ValueError("the text is too long for a number")
    return int(of)


def _sorted(of: Iterable[Any], reverse: Any = False) -> list[Any]:
    return sorted(of, reverse=bool(reverse))


def _enumerate(of: Iterable[Any], start: int = 0) -> list[Any]:
    return [[number, each] for number, each in enumerate(of, start)]


def _zip(*of: Iterable[Any]) -> list[Any]:
    return [list(each) for each in zip(*of, strict=False)]


def _merge(budget: Budget, *parts: Any) -> dict[str, Value]:
    """`{**a, "k": b}`: each part an object, the later wins."""
    merged: dict[str, Value] = {}
    for part in parts:
        if type(part) is not dict:
            shown = "NoneType" if part is None else type(part).__name__
            raise TypeError(f"'{shown}' object is not a mapping")
        work(budget, len(part))
        merged.update(part)
    return merged


def _entry(budget: Budget, key: Any, value: Value) -> dict[str, Value]:
    """`{key: value}` with a computed key."""
    if type(key) is not str:
        raise TypeError(f"keys are strings in JSON, not {type(key).__name__}")
    return {key: value}


def _without(budget: Budget, of: Any, key: str) -> dict[str, Value]:
    """The object but for one of its members, whether it has it or not."""
    if type(of) is not dict:
        raise TypeError(f"'{type(of).__name__}' object is not a mapping")
    work(budget, len(of))
    return {name: value for name, value in of.items() if name != key}


def _spread(budget: Budget, *parts: Any) -> list[Value]:
    """`[*a, b]`: each part a list to be laid out."""
    spread: list[Value] = []
    for part in parts:
        spread += _iterate(budget, part)
    return _bounded(spread, budget)  # type: ignore[no-any-return]


FORMAT_WIDTH_MAX: Final = 1_000


def _formatted(budget: Budget, of: Any, spec: str) -> str:
    """One `{…:spec}` of an f-string."""
    width = "".join(ch if ch.isdigit() else " " for ch in spec).split()
    if any(int(number) > FORMAT_WIDTH_MAX for number in width):
        raise ValueError(f"a width or precision of more than {FORMAT_WIDTH_MAX}")
    return _bounded(format(of, spec), budget)  # type: ignore[no-any-return]


def _text(budget: Budget, *parts: str) -> str:
    """An f-string's parts, each a text by now."""
    return _bounded("".join(parts), budget)  # type: ignore[no-any-return]


METHODS: Final[dict[type, frozenset[str]]] = {
    str: frozenset(
        {
            "capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
            "isdigit", "islower", "isspace", "isupper", "join", "lower", "lstrip", "removeprefix",
            "removesuffix", "replace", "rfind", "rsplit", "rstrip", "split", "splitlines",
            "startswith", "strip", "title", "upper",
        }
    ),
    dict: frozenset({"get", "items", "keys", "values"}),
    list: frozenset({"count", "index"}),
}  # fmt: skip
"""The methods that can be called, by the type they belong to; none of them changes anything."""

METHOD_NAMES: Final = frozenset().union(*METHODS.values())


def _method(budget: Budget, of: Any, name: str, *arguments: Any) -> Value:
    if name not in METHODS.get(type(of), ()):
        shown = "NoneType" if of is None else type(of).__name__
        raise AttributeError(f"'{shown}' object has no attribute '{name}'")
    for each in (of, *arguments):
        if type(each) in (str, list, dict):
            work(budget, len(each))
    if name == "replace":
        text(budget, max(0, (of.count(arguments[0]) + 1) * len(arguments[1]) + len(of)))
    if name == "join":
        text(budget, len(of) * len(arguments[0]))
    result = getattr(of, name)(*arguments)
    if type(of) is dict and name != "get":
        result = [list(each) if type(each) is tuple else each for each in result]
    return _bounded(result, budget)


STRICT: Final[dict[str, tuple[Strict, int, int | None]]] = {
    "truthy": (_truthy, 1, 1),
    "at": (strict(_at), 2, 2),
    "attribute": (strict(_attribute), 2, 2),
    "slice": (strict(_slice), 3, 4),
    "iterate": (strict(_iterate), 1, 1),
    "unpack": (strict(_unpack), 2, 2),
    "eq_strict": (_compared(operator.eq), 2, 2),
    "lt_strict": (_compared(operator.lt), 2, 2),
    "le_strict": (_compared(operator.le), 2, 2),
    "gt_strict": (_compared(operator.gt), 2, 2),
    "ge_strict": (_compared(operator.ge), 2, 2),
    "in_strict": (_compared(lambda element, within: element in within), 2, 2),
    "add_strict": (_binary(operator.add, operator.iadd), 2, 3),
    "sub_strict": (_binary(operator.sub, operator.isub), 2, 3),
    "mul_strict": (strict(_multiply), 2, 3),
    "div_strict": (_binary(operator.truediv, operator.itruediv), 2, 3),
    "floordiv_strict": (_binary(operator.floordiv, operator.ifloordiv), 2, 3),
    "mod_strict": (strict(_remainder), 2, 3),
    "pow_strict": (strict(_power), 2, 3),
    "neg_strict": (_converted(operator.neg), 1, 1),
    "pos_strict": (_converted(operator.pos), 1, 1),
    "abs_strict": (_converted(abs), 1, 1),
    "all_strict": (_converted(all), 1, 1),
    "any_strict": (_converted(any), 1, 1),
    "enumerate_strict": (_converted(_enumerate), 1, 2),
    "float_strict": (_converted(float), 0, 1),
    "int_strict": (_converted(_integer), 1, 1),
    "len_strict": (_converted(len), 1, 1),
    "list_strict": (_converted(list), 1, 1),
    "max_strict": (_converted(max), 1, None),
    "min_strict": (_converted(min), 1, None),
    "range_strict": (strict(_range), 1, 3),
    "reversed_strict": (_converted(lambda of: list(reversed(of))), 1, 1),
    "round_strict": (_converted(round), 1, 2),
    "sorted_strict": (_converted(_sorted), 1, 2),
    "str_strict": (_converted(str), 1, 1),
    "repr_strict": (_converted(repr), 1, 1),
    "sum_strict": (_converted(sum), 1, 2),
    "zip_strict": (_converted(_zip), 1, None),
    "merge": (strict(_merge), 0, None),
    "entry": (strict(_entry), 2, 2),
    "without": (strict(_without), 2, 2),
    "spread": (strict(_spread), 0, None),
    "format_strict": (strict(_formatted), 2, 2),
    "text": (strict(_text), 0, None),
    "method": (strict(_method), 2, None),
}
"""By name: what runs, and how many arguments it takes at least and at most."""

BOOLEANS: Final = frozenset({
    "truthy", "eq_strict", "lt_strict", "le_strict", "gt_strict", "ge_strict", "in_strict",
    "all_strict", "any_strict",
})  # fmt: skip
ARRAYS: Final = frozenset({
    "iterate", "unpack", "enumerate_strict", "list_strict", "range_strict", "reversed_strict",
    "sorted_strict", "zip_strict", "spread",
})  # fmt: skip
STRINGS_MADE: Final = frozenset({"format_strict", "str_strict", "repr_strict", "text"})
