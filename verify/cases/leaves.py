"""Leaves: places in the input, and in what steps come to; what is known of each, what hangs on it.

A `Leaf` is `$.input.total`, or `approved` in what a person submits.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

from heliostat.engine.values import Json

ELEMENT: Final = "[]"
"""In a place: any element of a list."""

Place: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Leaf:
    """A part of the input (`step` is empty), of what a step returns, or of what comes to a wait."""

    step: str
    place: Place
    alternative: str = ""  # of a wait


@dataclass(slots=True)
class Uses:
    """What is known of a leaf from the expressions that read it."""

    candidates: dict[str, Json] = field(default_factory=dict)  # by their text: 1 is not true
    lengths: bool = False  # a list: run over, or counted
    text: bool = False  # printed, where a null would be an error
    number: bool = False

    def add(self, *values: Json) -> None:
        """Note values worth trying."""
        for value in values:
            self.candidates.setdefault(repr(value), value)


@dataclass(frozen=True, slots=True)
class Origins:
    """What a value hangs on."""

    leaves: tuple[Leaf, ...] = ()
    steps: frozenset[str] = frozenset()  # whose end matters: how they fail, which event came

    def __add__(self, other: Origins) -> Origins:
        leaves = tuple(dict.fromkeys((*self.leaves, *other.leaves)))
        return Origins(leaves, self.steps | other.steps)
