"""Certificates: facts about a net from which a verdict follows, each quick to check.

They speak in the numbers of the net's places and net transitions and name the net by its hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from heliostat.verify.certificates.shrinking import Step


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRun:
    """A firing sequence from the initial marking to one that is dead and not final."""

    net: str
    run: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explored:
    """All that an exploration came to, and the stubborn set by which that was enough.

    Shows that every dead marking is final and that an end can always be reached: `ends[n]` is the
    number of steps from marking n to an end, along explored edges. Without `ends` it shows only the
    first, and only of a net without inhibitors and drains.
    """

    net: str
    markings: tuple[bytes, ...]
    stubborn: tuple[frozenset[int] | None, ...]  # None: everything was tried
    ends: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FreeChoice:
    """That a free-choice net, closed to begin again where it ends, is live and bounded.

    Shows that an end can always be reached, that it is an empty net, and that no net transition is
    dead. `cycles` are so many independent ones that the rank of the closed net's incidence matrix
    is no more than the number of its clusters less one: each has a net transition of its own.
    """

    net: str
    weights: tuple[int, ...]  # of places; nothing changes their sum
    counts: tuple[int, ...]  # of net transitions; each so often changes nothing
    cycles: tuple[tuple[tuple[int, int], ...], ...]  # net transitions and counts, be it below 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduced:
    """Reductions one after the other, and what is known of the net that they leave.

    Shows of the whole net what `then` shows of that one.
    """

    net: str
    steps: tuple[Step, ...]
    then: Explored | FreeChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """A run to a marking, and all that can be reached from it, without reduction: nothing ends."""

    net: str
    run: tuple[int, ...]
    markings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trapped:
    """A run to a marking behind which there is no end: a siphon is empty, hence what takes from it
    never happens again, and a trap of all else holds a token that must be gone at an end."""

    net: str
    run: tuple[int, ...]
    siphon: tuple[int, ...]
    trap: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """An order of the net transitions in which none puts tokens for itself or an earlier one.

    Then each happens a bounded number of times, and the net is bounded and ends.
    """

    net: str
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Weighted:
    """A weight for each place, by which no net transition puts more than it takes: bounded."""

    net: str
    weights: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finite:
    """All markings that can be reached: the net is bounded."""

    net: str
    markings: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pump:
    """A run, and a cycle that can be repeated behind it and leaves more tokens each time."""

    net: str
    run: tuple[int, ...]
    cycle: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldUp:
    """A run after which nothing but waiting for permits goes on: net transitions that lack some, or
    want what one that came before them wants, in the order in which they come."""

    net: str
    run: tuple[int, ...]
    waiters: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenBack:
    """For each of some resources, how much of it a token of each place stands for.

    Nothing that happens changes the sum, so what is free and what is held are as many as there
    are; and where nothing is under way, all of it is free.
    """

    net: str
    weights: tuple[tuple[int, tuple[int, ...]], ...]  # the resource's place; by place


@dataclass(frozen=True, slots=True, kw_only=True)
class Emptied:
    """That an end can always be reached, and is an empty net that just one net transition makes,
    once: then the net is bounded, for what a cycle left behind would still be there at its end."""

    net: str
    ends: Explored | FreeChoice | Reduced
    end: int  # the net transition


@dataclass(frozen=True, slots=True, kw_only=True)
class Visited:
    """Runs in which each of the steps is visited, as a tree: each node names the one before it, or
    -1, and the net transition that happens."""

    net: str
    steps: tuple[str, ...]
    tree: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unvisited:
    """That none of the steps is ever visited: a siphon that is empty from the start holds all of
    their places, or there are all markings that can be reached."""

    net: str
    steps: tuple[str, ...]
    siphon: tuple[int, ...]
    markings: tuple[bytes, ...]


Certificate: TypeAlias = (
    DeadRun
    | Explored
    | FreeChoice
    | Reduced
    | CutOff
    | Trapped
    | Ordered
    | Weighted
    | Finite
    | Pump
    | HeldUp
    | GivenBack
    | Emptied
    | Visited
    | Unvisited
)
