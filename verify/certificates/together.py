"""Which places may hold tokens at the same time: the concurrency relation, or more than that.

Kovalyov's relation ("Concurrency relations and the safety problem for Petri nets", 1992), with what
inhibitors and drains add: the least one that holds of the places marked at the start and is kept by
each net transition. One whose inputs may be marked together relates its outputs to one another and
to whatever may be marked beside its inputs, but for what it drains and what would inhibit it. A
place is related to itself where it may hold more than one token. It takes polynomial time, and
never less than what happens: so of what it leaves out a checker may be sure.

This module is a part of the checker: it knows nets as data, and none of the engines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from heliostat.verify.nets.net import NetTransition

PLACES_MAX = 500
"""Of a net that is looked at; the relation has a bit for each two of its places."""


class Together:
    """The relation of a net, from its first marking."""

    def __init__(self, initial: bytes, transitions: Mapping[int, NetTransition]) -> None:
        self._masks = [0] * len(initial)
        marked = _mask(place for place, count in enumerate(initial) if count)
        for place, count in enumerate(initial):
            if count:
                self._masks[place] = marked if count > 1 else marked & ~(1 << place)
        self._seen = marked
        looking: list[list[int]] = [[] for _ in initial]
        for number, each in transitions.items():
            for place, _ in each.inputs:
                looking[place].append(number)
        due = dict.fromkeys(transitions)
        while due:
            number = next(iter(due))
            del due[number]
            for place in self._happen(transitions[number]):
                due.update(dict.fromkeys(looking[place]))

    def beside(self, each: NetTransition) -> int | None:
        """The places that may hold a token beside what it takes, as bits; None if it never can."""
        found = -1
        for place, weight in each.inputs:
            if not self._seen >> place & 1 or (weight > 1 and not self._masks[place] >> place & 1):
                return None
            found &= self._masks[place]
        for place, _ in each.inputs:
            for other, _ in each.inputs:
                if place != other and not self._masks[place] >> other & 1:
                    return None
        return found & self._seen

    def _happen(self, each: NetTransition) -> set[int]:
        """Relate what it puts; the places of which more is known now."""
        beside = self.beside(each)
        if beside is None:
            return set()
        drained = _mask(place for place, _ in each.drains)
        left = beside & ~drained & ~_mask(each.inhibitors)
        returned = {place for _, back in each.drains for place, _ in back}
        outputs = dict(each.outputs)
        puts = {*outputs, *returned}
        whole = _mask(puts)
        changed = set[int]()
        for place in puts:
            many = outputs.get(place, 0) > 1 or place in returned
            more = left | (whole if many else whole & ~(1 << place))
            fresh = more & ~self._masks[place]
            if not self._seen >> place & 1:
                self._seen |= 1 << place
                changed.add(place)
            if fresh:
                self._masks[place] |= fresh
                changed.add(place)
                for other in _places(fresh):
                    if not self._masks[other] >> place & 1:
                        self._masks[other] |= 1 << place
                        changed.add(other)
        return changed


def _mask(places: Iterable[int]) -> int:
    found = 0
    for place in places:
        found |= 1 << place
    return found


def _places(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest
