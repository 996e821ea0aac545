"""Regular expressions of JSON Schemas as the solver's: those that describe a regular language.

Literals, classes, groups, choices, repetitions and anchors at the ends are read; look-around, back
references, word boundaries and anchors elsewhere are not. `\\d`, `\\w`, `\\s` and their like differ
between dialects beyond ASCII, where they are taken to hold: what is made describes at least what a
pattern does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

CHARS_MAX: Final = 200
"""Of a pattern that is read; the solver takes long for more."""

REPEATS_MAX: Final = 100
"""Up to which a repetition is counted: each is a state of an automaton."""

DEPTH_MAX: Final = 20
"""Groups within one another."""

LAST: Final = 0x2FFFF
"""The last character that the solver knows."""

Ranges: TypeAlias = tuple[tuple[int, int], ...]
"""Characters, as ranges of code points with both ends, ascending."""


@dataclass(frozen=True, slots=True)
class Chars:
    """One character of these."""

    ranges: Ranges


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other; nothing at all where there are none."""

    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    options: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again and again; without end where `most` is None."""

    part: Part
    least: int
    most: int | None


Part: TypeAlias = Chars | Sequence | Choice | Repeat

ANYTHING: Final = Repeat(Chars(((0, LAST),)), 0, None)

_DIGITS: Final[Ranges] = ((0x30, 0x39),)
_WORD: Final[Ranges] = ((0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
_SPACE: Final[Ranges] = ((0x09, 0x0D), (0x20, 0x20))
_CLASSES: Final[dict[str, Ranges]] = {"d": _DIGITS, "w": _WORD, "s": _SPACE}
_BEYOND: Final[Ranges] = ((0x80, LAST),)
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v"}
_ALONE: Final = frozenset("^$\\.*+?()[]{}|/-\"'#&~@%!:;=,<> _")


class Irregular(Exception):
    """The pattern is none that is read here."""


def pattern(text: str) -> Part:
    """What a pattern describes that is looked for anywhere in a text, as the whole of the text.

    Raises:
        Irregular: it is not read.
    """
    if len(text) > CHARS_MAX:
        raise Irregular(text)
    return _Reader(text).whole()


class _Reader:
    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def whole(self) -> Part:
        found = Choice(tuple(self._anchored()))
        if self._at < len(self._text):
            raise Irregular(self._text)
        return found

    def _anchored(self) -> list[Part]:
        """The choices at the top: each may be bound to the begin or the end of the text."""
        options = list[Part]()
        while True:
            first = () if self._take("^") else (ANYTHING,)
            middle = self._sequence()
            last = () if self._take("$") else (ANYTHING,)
            options.append(Sequence((*first, middle, *last)))
            if not self._take("|"):
                return options

    def _choice(self) -> Part:
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Choice(tuple(options))

    def _sequence(self) -> Part:
        parts = list[Part]()
        while self._at < len(self._text) and self._text[self._at] not in "|)$":
            parts.append(self._repeated(self._atom()))
        return parts[0] if len(parts) == 1 else Sequence(tuple(parts))

    def _atom(self) -> Part:
        char = self._next()
        match char:
            case "(":
                return self._group()
            case "[":
                return Chars(self._set())
            case ".":
                return Chars(_without(((0x0A, 0x0A), (0x0D, 0x0D))))
            case "\\":
                return Chars(self._escaped())
            case "^" | "*" | "+" | "?" | "{" | "}" | "]":
                raise Irregular(self._text)
        return Chars(_one(char))

    def _group(self) -> Part:
        if self._take("?") and not self._take(":"):
            raise Irregular(self._text)
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise Irregular(self._text)
        found = self._choice()
        self._depth -= 1
        if not self._take(")"):
            raise Irregular(self._text)
        return found

    def _repeated(self, part: Part) -> Part:
        for sign, least, most in (("*", 0, None), ("+", 1, None), ("?", 0, 1)):
            if self._take(sign):
                return self._once(Repeat(part, least, most))
        if self._take("{"):
            low, comma, high = self._until("}").partition(",")
            if not low.isdecimal() or (high and not high.isdecimal()):
                raise Irregular(self._text)
            least = int(low)
            most = (int(high) if high else None) if comma else least
            if max(least, most or 0) > REPEATS_MAX or (most is not None and most < least):
                raise Irregular(self._text)
            return self._once(Repeat(part, least, most))
        return part

    def _once(self, repeat: Repeat) -> Repeat:
        """Without the sign that says how much is tried first; another one is not read."""
        self._take("?")
        if self._at < len(self._text) and self._text[self._at] in "*+?{":
            raise Irregular(self._text)
        return repeat

    def _set(self) -> Ranges:
        others, found = self._take("^"), list[tuple[int, int]]()
        while not self._take("]"):
            low = self._member()
            if self._text[self._at : self._at + 1] == "-" and self._text[
                self._at + 1 : self._at + 2
            ] not in ("]", ""):
                self._at += 1
                high = self._member()
                if len(low) != 1 or len(high) != 1 or low[0][0] > high[0][1]:
                    raise Irregular(self._text)
                found.append((low[0][0], high[0][1]))
            else:
                found += low
        if not found:
            raise Irregular(self._text)
        if not others:
            return tuple(sorted(found))
        # of a class that is at least what it says, others are at least all beyond ASCII
        told = [(low, high) for low, high in found if (low, high) not in _BEYOND]
        beyond = _BEYOND if len(told) < len(found) else ()
        return tuple(sorted((*_without(tuple(sorted(told))), *beyond)))

    def _member(self) -> Ranges:
        char = self._next()
        if char == "[":  # sets within sets mean something else in some dialects
            raise Irregular(self._text)
        return self._escaped() if char == "\\" else _one(char)

    def _escaped(self) -> Ranges:
        char = self._next()
        if char in _CLASSES:
            return (*_CLASSES[char], *_BEYOND)
        if char.lower() in _CLASSES:
            return _without(_CLASSES[char.lower()])
        if char in _CONTROLS:
            return _one(_CONTROLS[char])
        if char not in _ALONE:
            raise Irregular(self._text)
        return _one(char)

    def _until(self, end: str) -> str:
        stop = self._text.find(end, self._at)
        if stop < 0:
            raise Irregular(self._text)
        found, self._at = self._text[self._at : stop], stop + 1
        return found

    def _next(self) -> str:
        if self._at == len(self._text):
            raise Irregular(self._text)
        self._at += 1
        return self._text[self._at - 1]

    def _take(self, char: str) -> bool:
        there = self._text[self._at : self._at + 1] == char
        self._at += there
        return there


def _one(char: str) -> Ranges:
    if ord(char) > LAST:
        raise Irregular(char)
    return ((ord(char), ord(char)),)


def _without(ranges: Ranges) -> Ranges:
    """All other characters."""
    found, first = list[tuple[int, int]](), 0
    for low, high in ranges:
        if first < low:
            found.append((first, low - 1))
        first = max(first, high + 1)
    return (*found, (first, LAST)) if first <= LAST else tuple(found)
