"""The functions of the language: one table, an entry each.

An entry gives the types of the parameters and of the result, for the checker, and what to do. A
function gets values of which at least one kind fits each parameter; no argument is a reference.
`has` and `uuid` are in the table for the checker and compiled where paths and places are known.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec import Struct

from ..values import Value
from .errors import Failure
from .limits import RANGE_ITEMS_MAX
from .operators import add, bounded, duration, is_in, order
from .strict import ARRAYS, BOOLEANS, STRICT, STRINGS_MADE
from .time import Duration, Instant, parse_duration, parse_instant
from .types import (
    ANY,
    ARRAY,
    BOOLEAN,
    DURATION,
    INSTANT,
    NUMBER,
    NUMBERS,
    OBJECT,
    STRING,
    STRINGS,
    Type,
    array_type,
    union,
)
from .values import KINDS, NOT_HERE, Budget, article, as_text, kind, scan, text, work

Implementation: TypeAlias = Callable[..., Value]


class Function(Struct, frozen=True):
    """`parameters` of which the first `least` must be given; the last repeats if `repeats`."""

    parameters: tuple[Type, ...]
    result: Type
    run: Implementation  # (budget, *arguments)
    least: int
    repeats: bool = False

    def parameter(self, position: int) -> Type:
        return self.parameters[min(position, len(self.parameters) - 1)]

    def accepts(self, count: int) -> bool:
        return self.least <= count and (self.repeats or count <= len(self.parameters))

    @property
    def arity(self) -> str:
        """How many arguments, for people."""
        if self.repeats:
            return f"at least {self.least} argument{'' if self.least == 1 else 's'}"
        most = len(self.parameters)
        count = str(most) if most == self.least else f"{self.least} to {most}"
        return f"{count} argument{'' if count == '1' else 's'}"


def _len(budget: Budget, of: Value) -> int:
    return len(of)


def _sum(budget: Budget, of: list[Value]) -> Value:
    """Of numbers or of durations; 0 if there are none."""
    work(budget, len(of))
    total: Value = 0
    for position, item in enumerate(of):
        if type(item) not in (int, float, Duration):
            raise Failure(f"`sum` adds numbers or durations, and meets {article(item)}")
        total = item if position == 0 else add(total, item, budget)
    return total


def _extreme(name: str, op: str) -> Implementation:
    def run(budget: Budget, *of: Value) -> Value:
        values = of[0] if len(of) == 1 else of
        if type(values) not in (list, tuple):
            raise Failure(f"`{name}` takes an array or several values, not {article(values)}")
        if not values:
            raise Failure(f"`{name}` of nothing: write `{name}(…) if len(…) > 0 else …`")
        _orderable(name, values, budget)
        best = values[0]
        for value in values:
            if order(op, value, best, budget):
                best = value
        return best

    return run


def _orderable(name: str, values: list[Value] | tuple[Value, ...], budget: Budget) -> None:
    """Refuse values that cannot all be ordered against each other, nulls among them."""
    work(budget, len(values))
    first = kind(values[0])
    for value in values:
        if kind(value) != first or first not in ("number", "string", "instant", "duration"):
            raise Failure(
                f"`{name}` orders numbers, strings, instants or durations, and meets "
                f"{article(values[0])} and {article(value)}"
            )


def _abs(budget: Budget, of: Value) -> Value:
    return Duration(abs(of.ms)) if type(of) is Duration else bounded(abs(of))


def _round(budget: Budget, number: int | float, digits: int = 0) -> int | float:
    """Half to even, as Python; an integer unless digits are asked for."""
    if type(digits) is not int or not 0 <= digits <= 15:
        raise Failure("`round` keeps 0 to 15 digits")
    return bounded(round(number) if digits == 0 else round(number, digits))


def _range(budget: Budget, *bounds: Value) -> list[int]:
    if any(type(bound) is not int for bound in bounds):
        raise Failure("`range` takes integers")
    if len(bounds) == 3 and bounds[2] == 0:
        raise Failure("`range` cannot go by steps of 0")
    numbers = range(*bounds)
    # Neither `len` nor `range` bounds itself: both ends may be 64 bits apart.
    if numbers and abs(numbers[-1] - numbers[0]) // abs(numbers.step) >= RANGE_ITEMS_MAX:
        raise Failure(f"`range` has at most {RANGE_ITEMS_MAX:,} items")
    work(budget, len(numbers))
    return list(numbers)


def _keys(budget: Budget, of: dict[str, Value]) -> list[str]:
    work(budget, len(of))
    return list(of)


def _values(budget: Budget, of: dict[str, Value]) -> list[Value]:
    work(budget, len(of))
    return list(of.values())


def _sorted(budget: Budget, of: list[Value]) -> list[Value]:
    if of:
        _orderable("sorted", of, budget)
        # Comparisons are counted ahead: n log n, and strings by their length.
        work(budget, len(of) * len(of).bit_length())
        if type(of[0]) is str:
            scan(budget, sum(map(len, of)) * len(of).bit_length())
    return sorted(of)


def _concat(budget: Budget, *lists: list[Value]) -> list[Value]:
    work(budget, sum(map(len, lists)))
    return [item for each in lists for item in each]


def _contains(budget: Budget, container: Value, element: Value) -> bool:
    return is_in(element, container, budget)


def _split(budget: Budget, subject: str, separator: str) -> list[str]:
    if not separator:
        raise Failure("`split` needs a separator")
    scan(budget, len(subject))
    work(budget, subject.count(separator) + 1)
    text(budget, len(subject))
    return subject.split(separator)


def _join(budget: Budget, parts: list[Value], separator: str = "") -> str:
    work(budget, len(parts))
    for part in parts:
        if type(part) is not str:
            raise Failure(f"`join` joins strings, and meets {article(part)}: use `string(…)`")
    text(budget, sum(map(len, parts)) + len(separator) * max(len(parts) - 1, 0))
    return separator.join(parts)


def _lower(budget: Budget, of: str) -> str:
    text(budget, len(of))
    return of.lower()


def _upper(budget: Budget, of: str) -> str:
    text(budget, len(of))
    return of.upper()


def _replace(budget: Budget, subject: str, old: str, new: str) -> str:
    if not old:
        raise Failure("`replace` needs a text to look for")
    scan(budget, len(subject))
    count = subject.count(old)
    work(budget, count)
    text(budget, len(subject) + count * (len(new) - len(old)))
    return subject.replace(old, new)


def _format(budget: Budget, template: str, *arguments: Value) -> str:
    """`{}` and `{0}` stand for arguments, `{:.2f}` for a number's digits, `{{` for a brace.

    Not Python's `format`: it reaches no attribute and no item, and pads nothing.
    """
    printed: list[str] = []
    at, taken = 0, 0
    while at < len(template):
        brace = min(
            (found for found in (template.find("{", at), template.find("}", at)) if found >= 0),
            default=len(template),
        )
        text(budget, brace - at)
        printed.append(template[at:brace])
        at = brace
        if template[at : at + 2] in ("{{", "}}"):
            text(budget, 1)
            printed.append(template[at])
            at += 2
        elif at < len(template):
            end = template.find("}", at)
            if template[at] == "}" or end < 0:
                raise Failure("`format` meets a single brace: write it twice")
            field, _, digits = template[at + 1 : end].partition(":")
            position = int(field) if field.isdecimal() and len(field) < 4 else taken
            if (field and not field.isdecimal()) or position >= len(arguments):
                raise Failure(f"`format` has no argument for {template[at : end + 1]!r}")
            printed.append(_formatted(budget, arguments[position], digits))
            taken += not field
            at = end + 1
    return "".join(printed)


def _formatted(budget: Budget, value: Value, digits: str) -> str:
    if not digits:
        return as_text(value, budget)
    wanted = digits[1:-1]
    if digits[0] != "." or digits[-1] != "f" or not wanted.isdecimal() or len(wanted) > 2:
        raise Failure(f"`format` knows `:.2f` and its like, not {':' + digits!r}")
    if type(value) not in (int, float) or int(wanted) > 15:
        raise Failure("`format` gives digits, 15 at most, to numbers only")
    shown = f"{value:.{int(wanted)}f}"
    text(budget, len(shown))
    return shown


def _number(budget: Budget, of: Value) -> int | float:
    if type(of) is not str:
        return bounded(of)
    if len(of) <= 400:  # the longest float printed in full is shorter
        stripped = of.strip()
        try:
            if stripped.lstrip("+-").isdecimal() and stripped.isascii():
                return bounded(int(stripped))
            if "_" not in stripped and stripped.isascii():
                return bounded(float(stripped))
        except ValueError:
            pass
    raise Failure("`number` meets a string that is no number")


def _bool(budget: Budget, of: Value) -> bool:
    if of in ("true", "false"):
        return bool(of == "true")
    if type(of) is not bool:
        raise Failure("`bool` reads 'true' and 'false' only: compare instead")
    return of


def _type(budget: Budget, of: Value) -> str:
    return kind(of)


def _instant(budget: Budget, of: Value) -> Instant:
    if type(of) is Instant:
        return of
    try:
        return Instant(parse_instant(of[:64], signed=True))
    except ValueError as wrong:
        raise Failure(f"`instant`: {wrong}") from None


def _duration(budget: Budget, of: Value) -> Duration:
    if type(of) is Duration:
        return of
    try:
        return Duration(parse_duration(of[:64], signed=True))
    except ValueError as wrong:
        raise Failure(f"`duration`: {wrong}") from None


def _seconds(budget: Budget, of: Value) -> Value:
    """A number as a duration; a duration as a number."""
    if type(of) is Duration:
        return of.ms // 1000 if of.ms % 1000 == 0 else of.ms / 1000
    return duration(round(bounded(of * 1000)))


def _special(budget: Budget, *arguments: Value) -> Value:
    raise AssertionError("compiled as a form of its own")


_SIZED: Final = union(STRING, ARRAY, OBJECT)
_COMPARABLE: Final = union(NUMBER, STRING, INSTANT, DURATION)

FUNCTIONS: Final[dict[str, Function]] = {
    "len": Function((_SIZED,), NUMBER, _len, 1),
    "sum": Function((ARRAY,), union(NUMBER, DURATION), _sum, 1),
    "min": Function((union(_COMPARABLE, ARRAY),), _COMPARABLE, _extreme("min", "<"), 1, True),
    "max": Function((union(_COMPARABLE, ARRAY),), _COMPARABLE, _extreme("max", ">"), 1, True),
    "abs": Function((union(NUMBER, DURATION),), union(NUMBER, DURATION), _abs, 1),
    "round": Function((NUMBER, NUMBER), NUMBER, _round, 1),
    "range": Function((NUMBER, NUMBER, NUMBER), NUMBERS, _range, 1),
    "keys": Function((OBJECT,), STRINGS, _keys, 1),
    "values": Function((OBJECT,), ARRAY, _values, 1),
    "sorted": Function((ARRAY,), array_type(_COMPARABLE), _sorted, 1),
    "concat": Function((ARRAY,), ARRAY, _concat, 1, True),
    "contains": Function((_SIZED, ANY), BOOLEAN, _contains, 2),
    "split": Function((STRING, STRING), STRINGS, _split, 2),
    "join": Function((ARRAY, STRING), STRING, _join, 1),
    "lower": Function((STRING,), STRING, _lower, 1),
    "upper": Function((STRING,), STRING, _upper, 1),
    "replace": Function((STRING, STRING, STRING), STRING, _replace, 3),
    "format": Function((STRING, ANY), STRING, _format, 1, True),
    "string": Function((ANY,), STRING, lambda budget, of: as_text(of, budget), 1),
    "number": Function((union(NUMBER, STRING),), NUMBER, _number, 1),
    "bool": Function((union(BOOLEAN, STRING),), BOOLEAN, _bool, 1),
    "has": Function((ANY,), BOOLEAN, _special, 1),
    "type": Function((ANY,), STRING, _type, 1),
    "instant": Function((union(STRING, INSTANT),), INSTANT, _instant, 1),
    "duration": Function((union(STRING, DURATION),), DURATION, _duration, 1),
    "seconds": Function((union(NUMBER, DURATION),), union(DURATION, NUMBER), _seconds, 1),
    "uuid": Function((), STRING, _special, 0),
}
"""Every function by its name."""


def _strict_result(name: str) -> Type:
    if name in BOOLEANS:
        return BOOLEAN
    if name in ARRAYS:
        return ARRAY
    return STRING if name in STRINGS_MADE else ANY


FUNCTIONS.update(
    {
        name: Function(
            (ANY,) * (least + 1 if most is None else most),
            _strict_result(name),
            run,
            least,
            most is None,
        )
        for name, (run, least, most) in STRICT.items()
    }
)


def call(name: str, function: Function, budget: Budget, arguments: list[Value]) -> Value:
    """Apply a function to values, each of a kind that its parameter has."""
    for position, argument in enumerate(arguments):
        if type(argument) not in KINDS:
            raise Failure(f"`{name}` meets {NOT_HERE}")
        if kind(argument) not in function.parameter(position).kinds:
            wanted = " or ".join(sorted(function.parameter(position).kinds))
            raise Failure(f"`{name}` takes {wanted} here, not {article(argument)}")
    return function.run(budget, *arguments)
