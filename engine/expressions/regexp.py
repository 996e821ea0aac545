"""I-Regexp (RFC 9485), the patterns of `match` and `search`, in time linear in the text.

A pattern becomes an automaton whose states are followed all at once (Thompson's construction), so
that no pattern can be made to backtrack. Python's `re` does backtrack; checking a pattern against
the I-Regexp grammar first would not help, for `(a*)*b` is within it.

Sets of states already met are remembered with where each character leads from them.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from msgspec import Struct

from .limits import PATTERN_STATES_MAX
from .values import Budget, work

NESTING_MAX: Final = 50
REMEMBERED_MAX: Final = 10_000
"""Transitions that a pattern remembers before it forgets all of them: about a megabyte."""

Accepts: TypeAlias = Callable[[str], bool]


class _Chars(Struct, frozen=True):
    accepts: Accepts


class _Sequence(Struct, frozen=True):
    parts: tuple[_Part, ...]


class _Choice(Struct, frozen=True):
    options: tuple[_Part, ...]


class _Repeat(Struct, frozen=True):
    part: _Part
    least: int
    most: int | None


_Part: TypeAlias = _Chars | _Sequence | _Choice | _Repeat


@lru_cache(maxsize=512)
def pattern(text: str) -> Pattern:
    """The compiled pattern.

    Raises:
        ValueError: it is not an I-Regexp, or needs more than `PATTERN_STATES_MAX` states.
    """
    return Pattern(_Reader(text).whole())


class Pattern:
    """A compiled pattern; remembers what it met, and always answers the same."""

    def __init__(self, part: _Part) -> None:
        self._accepts: list[Accepts | None] = []
        self._next: list[tuple[int, ...]] = []
        accept = self._state(None, ())
        assert accept == 0
        self._start = self._reached({self._build(part, accept)})
        self._known: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def matches(self, text: str, budget: Budget) -> bool:
        """Whether the pattern describes all of `text`."""
        states = self._start
        work(budget, len(text))
        for char in text:
            states = self._step(states, char, budget)
            if not states:
                return False
        return 0 in states

    def occurs(self, text: str, budget: Budget) -> bool:
        """Whether the pattern describes some part of `text`."""
        states = self._start
        work(budget, len(text))
        for char in text:
            if 0 in states:
                return True
            states = self._step(states, char, budget) | self._start
        return 0 in states

    def _step(self, states: frozenset[int], char: str, budget: Budget) -> frozenset[int]:
        key = (states, char)
        known = self._known.get(key)
        if known is not None:
            return known
        work(budget, len(states))
        left = set[int]()
        for state in states:
            accepts = self._accepts[state]
            if accepts is not None and accepts(char):
                left.update(self._next[state])
        if len(self._known) >= REMEMBERED_MAX:
            self._known.clear()
        reached = self._known[key] = self._reached(left)
        return reached

    def _reached(self, states: set[int]) -> frozenset[int]:
        """These states and all that follow without a character."""
        reached, pending = set(states), list(states)
        while pending:
            state = pending.pop()
            if self._accepts[state] is None:
                fresh = [after for after in self._next[state] if after not in reached]
                reached.update(fresh)
                pending.extend(fresh)
        return frozenset(reached)

    def _state(self, accepts: Accepts | None, after: tuple[int, ...]) -> int:
        if len(self._next) >= PATTERN_STATES_MAX:
            raise ValueError(f"the pattern needs more than {PATTERN_STATES_MAX:,} states")
        self._accepts.append(accepts)
        self._next.append(after)
        return len(self._next) - 1

    def _build(self, part: _Part, after: int) -> int:
        """Add the states of `part`, which end in `after`; the state that it begins with."""
        match part:
            case _Chars(accepts=accepts):
                return self._state(accepts, (after,))
            case _Sequence(parts=parts):
                for each in reversed(parts):
                    after = self._build(each, after)
                return after
            case _Choice(options=options):
                return self._state(None, tuple(self._build(each, after) for each in options))
            case _Repeat(part=inner, least=least, most=most):
                if most is None:
                    loop = self._state(None, ())
                    self._next[loop] = (self._build(inner, loop), after)
                    after = loop
                else:
                    end = after
                    for _ in range(most - least):
                        after = self._state(None, (self._build(inner, after), end))
                for _ in range(least):
                    after = self._build(inner, after)
                return after


_SPECIAL: Final = frozenset("()*+.?[\\]{|}")
_ESCAPED: Final = frozenset("()*+-.?[\\]^{|}")
_CONTROLS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_CATEGORIES: Final = {
    "L": "ltmou",
    "M": "nce",
    "N": "dlo",
    "P": "cdseifo",
    "Z": "slp",
    "S": "mcko",
    "C": "cfon",
}


class _Reader:
    """Reads a pattern from left to right, as the grammar of RFC 9485 §4 is written."""

    def __init__(self, text: str) -> None:
        self._text, self._at, self._depth = text, 0, 0

    def whole(self) -> _Part:
        part = self._choice()
        if self._at < len(self._text):
            raise self._wrong("cannot stand here")
        return part

    def _choice(self) -> _Part:
        self._depth += 1
        if self._depth > NESTING_MAX:
            raise ValueError(f"the pattern is nested deeper than {NESTING_MAX} levels")
        options = [self._sequence()]
        while self._take("|"):
            options.append(self._sequence())
        self._depth -= 1
        return options[0] if len(options) == 1 else _Choice(tuple(options))

    def _sequence(self) -> _Part:
        parts = []
        while self._peek() not in ("", "|", ")"):
            parts.append(self._piece())
        return _Sequence(tuple(parts))

    def _piece(self) -> _Part:
        part = self._atom()
        if self._take("*"):
            return _Repeat(part, 0, None)
        if self._take("+"):
            return _Repeat(part, 1, None)
        if self._take("?"):
            return _Repeat(part, 0, 1)
        if not self._take("{"):
            return part
        least = self._count()
        most: int | None = least
        if self._take(","):
            most = None if self._peek() == "}" else self._count()
        if not self._take("}") or (most is not None and most < least):
            raise self._wrong("is no count of repetitions")
        return _Repeat(part, least, most)

    def _count(self) -> int:
        start = self._at
        while "0" <= self._peek() <= "9":
            self._at += 1
        if not 0 < self._at - start <= 4:
            raise self._wrong("is no count of repetitions")
        return int(self._text[start : self._at])

    def _atom(self) -> _Part:
        if self._take("("):
            part = self._choice()
            if not self._take(")"):
                raise self._wrong("comes where `)` is missing")
            return part
        if self._take("["):
            return _Chars(self._class())
        if self._take("."):
            return _Chars(lambda char: char not in "\n\r")
        if self._peek() == "\\":
            return _Chars(self._escape())
        if self._peek() in _SPECIAL:
            raise self._wrong("must be escaped by `\\`")
        return _Chars(_one(self._next()))

    def _escape(self) -> Accepts:
        """`\\n`, `\\.`, or `\\p{Lu}`."""
        self._next()
        char = self._next()
        if char not in ("p", "P"):
            return _one(self._escaped(char))
        name = ""
        if self._take("{"):
            while self._peek() not in ("", "}"):
                name += self._next()
        major, minor = name[:1], name[1:]
        if not self._take("}") or major not in _CATEGORIES or len(name) > 2:
            raise self._wrong("ends no category such as `\\p{Lu}`")
        if minor and minor not in _CATEGORIES[major]:
            raise self._wrong("ends no category such as `\\p{Lu}`")
        wanted = char == "p"
        return lambda c: unicodedata.category(c).startswith(name) is wanted

    def _escaped(self, char: str) -> str:
        if char in _CONTROLS:
            return _CONTROLS[char]
        if char == "" or char not in _ESCAPED:
            raise ValueError(f"`\\{char}` is no escape of a pattern")
        return char

    def _class(self) -> Accepts:
        negative = self._take("^")
        parts: list[Accepts] = []
        if self._take("-"):
            parts.append(_one("-"))
        while self._peek() != "]":
            if self._peek() == "-" and self._text[self._at + 1 : self._at + 2] == "]":
                parts.append(_one(self._next()))
            elif self._text[self._at : self._at + 2] in ("\\p", "\\P"):
                parts.append(self._escape())
            else:
                parts.append(self._range())
        self._next()
        if not parts:
            raise self._wrong("comes after an empty `[]`")
        members = tuple(parts)
        return lambda char: any(accepts(char) for accepts in members) is not negative

    def _range(self) -> Accepts:
        first = self._class_char()
        if self._peek() != "-" or self._text[self._at + 1 : self._at + 2] == "]":
            return _one(first)
        self._next()
        last = self._class_char()
        if last < first:
            raise self._wrong("comes after a range that is upside down")
        return lambda char: first <= char <= last

    def _class_char(self) -> str:
        char = self._next()
        if char == "\\":
            return self._escaped(self._next())
        if char in ("", "-", "[", "]"):
            raise self._wrong("comes where `]` is missing")
        return char

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _next(self) -> str:
        char = self._peek()
        self._at += 1
        return char

    def _take(self, char: str) -> bool:
        if self._peek() != char:
            return False
        self._at += 1
        return True

    def _wrong(self, what: str) -> ValueError:
        char = self._peek()
        return ValueError(f"{char!r} {what}" if char else "the pattern ends too early")


def _one(wanted: str) -> Accepts:
    return lambda char: char == wanted
