"""A definition's text, and where in it every key and value stands.

Paths are those of the tree that the text was read into: `("steps", 0, "input", "doc")`. A path
that leads further than the text does — a shorthand, a missing field — is answered with the place
of the nearest value around it.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import Final, TypeAlias

from msgspec import Struct

Path: TypeAlias = tuple[str | int, ...]

_PROPERTIES: Final = re.compile(r"(?:[&!]\S*\s+)*")
_ESCAPE: Final = re.compile(r"\\(?:x..|u....(?:\\u[dD][c-fC-F]..)?|U........|.)", re.DOTALL)


class Place(Struct, frozen=True):
    """Offsets of a key and its value, end exclusive; `style` is a scalar's quote or `|`, `>`."""

    value: tuple[int, int]
    key: tuple[int, int] | None = None
    style: str = ""
    scalar: str | None = None  # the value of a string, as read


class Source:
    """A file's text with the places found in it."""

    def __init__(self, name: str, text: str) -> None:
        self.name, self.text = name, text
        self.places: dict[Path, Place] = {}
        self._starts = [0] + [match.end() for match in re.finditer(r"\r\n|\r|\n", text)]

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 0."""
        line = bisect_right(self._starts, offset) - 1
        return line, offset - self._starts[line]

    def line(self, number: int) -> str:
        """The text of a line (from 0), without its end."""
        end = self._starts[number + 1] if number + 1 < len(self._starts) else len(self.text)
        return self.text[self._starts[number] : end].rstrip("\r\n")

    def extent(
        self, path: Path, *, key: bool = False, span: tuple[int, int] | None = None
    ) -> tuple[int, int]:
        """Where the value at `path` stands, or its key, or the characters `span` of its string."""
        depth = len(path)
        while path[:depth] not in self.places and depth:
            depth -= 1
        place = self.places.get(path[:depth], Place((0, 1)))
        if key and place.key is not None and depth == len(path):
            return place.key
        if depth < len(path) and place.scalar is None:
            # about something that is not there: the key of what should have it says more than
            # a whole block, and an element of a list is shown by its first key
            return place.key or self._first_line(place)
        if span is None or place.scalar is None:
            return place.value if place.scalar is not None else self._first_line(place)
        return self._within(place, place.scalar, span)

    def _first_line(self, place: Place) -> tuple[int, int]:
        """What a block or a list shows of itself: its first line, without a comment behind it."""
        start, end = place.value
        line, column = self.position(start)
        shown = self.line(line)[column:]
        if shown[:1] not in ("{", "["):
            shown = shown.partition(" #")[0].rstrip()
        return start, max(start + 1, min(end, start + len(shown)))

    def _within(self, place: Place, scalar: str, span: tuple[int, int]) -> tuple[int, int]:
        start, end = place.value
        offsets = offsets_of(self.text[start:end], scalar, place.style)
        first = offsets[min(span[0], len(offsets) - 1)]
        last = offsets[min(max(span[1] - 1, span[0]), len(offsets) - 1)]
        return start + first, start + max(last, first) + 1


def offsets_of(raw: str, scalar: str, style: str) -> list[int]:
    """For each character of a scalar, and for its end, the offset in the text it was read from.

    Walks both in step. Folding, indentation and escapes make the text longer than the value, and
    never reorder it: so white space of the value follows white space of the text loosely, and
    every other character brings the two together again.
    """
    properties = _PROPERTIES.match(raw)
    at = properties.end() if properties else 0
    if style in ("|", ">"):
        at = raw.find("\n", at) + 1
    elif style:
        at += 1
    offsets: list[int] = []
    for char in scalar:
        if not char.isspace():
            while at < len(raw) and raw[at].isspace():
                at += 1
        offsets.append(min(at, len(raw) - 1))
        if style == '"' and raw.startswith("\\", at):
            escape = _ESCAPE.match(raw, at)
            at = escape.end() if escape else at + 1
        elif style == "'" and raw.startswith("''", at):
            at += 2
        elif not char.isspace() or raw[at : at + 1].isspace():
            at += 1
    offsets.append(min(at, max(len(raw) - 1, 0)))
    return offsets
