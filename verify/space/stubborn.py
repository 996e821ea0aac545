"""Stubborn sets: which of the enabled net transitions must be tried in a marking.

Most interleavings of concurrent steps lead to the same markings. A strong stubborn set S of a
marking M obeys (Valmari 1989; Valmari & Hansen, "Stubborn set intuition explained", 2017)

    D1  whatever outsiders do first, a member of S that can follow them could have come first
    D2  an enabled member of S stays enabled, whatever outsiders do

and holds an enabled one unless M is dead. A marking is dead where only what is `outside` may
happen, so that enabled one is none of these; and it holds all enabled ones that are `free`, since
they are cut off by any last step to an end. Exploring only S then reaches every dead marking, and
each run to a dead marking has a permutation among the explored ones: the property that a final
marking can always be reached (Valmari, "Stop it, and be stubborn!", 2017, Theorem 4 and its
corollaries) is that of the whole net. Not preserved are the bounds of places, which markings occur
and, where one absorbs another (below), which net transitions ever happen.

The rules by which `closed` sees that a set is stubborn are local to the net:

    an enabled member brings all that take from its inputs or empty them, all that put on places
    that inhibit it, all that it would inhibit, and all that touch what it drains
    a disabled member brings all that put on one place which lacks tokens, or all that take from or
    empty one place which inhibits it

A net transition t *absorbs* u if t empties whatever u changes, so that t leads to the same marking
whether u came first or not. Neither then brings the other. For u first and t among the outsiders:
a run to a dead marking stays one when u is put before it. For t first: outsiders that it absorbs
are left out of the run. So withdrawing a region costs no interleavings of what goes on in it. The
argument for dead markings needs that the explored graph can always come to an end (take a run σ to
a dead marking; where σ has a member of S that is not absorbed before, it moves to the front; where
it has none, follow the shortest explored way to an end: what is left of σ at that end is nothing);
`properties` asks for exactly that and claims nothing otherwise.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from typing import Final

from heliostat.verify.nets.net import Marking, Net


class Stubborn:
    """Finds small stubborn sets of a net's markings."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self._brings: dict[int, tuple[int, ...]] = {}
        self._rank = _ranks(net)

    def of(self, marking: Marking, enabled: AbstractSet[int]) -> tuple[list[int], frozenset[int]]:
        """Its enabled members, and the whole set: the smallest found of those around a few seeds.

        Failures that end the execution are no members: they lead out of all that is explored.
        """
        free = self._net.free & enabled
        best: tuple[list[int], frozenset[int]] | None = None
        tried: set[int] = set()
        own = (number for number in enabled if not self._net.transitions[number].outside)
        for seed in sorted(own, key=self._order):
            if seed in tried:
                continue
            found = self._around({seed, *free}, marking)
            members = sorted(found & enabled)
            tried.update(members)
            if best is None or len(members) < len(best[0]):
                best = members, frozenset(found)
            if len(members) == 1 or len(tried) >= SEEDS_MAX:
                break
        assert best is not None
        return best

    def _order(self, number: int) -> tuple[bool, bool, int, int]:
        """Withdrawals first, since they leave less to explore; then bookkeeping, which stands
        alone more often than what steps do; then branch by branch."""
        each = self._net.transitions[number]
        return not each.drains, bool(each.act), self._rank[number], number

    def _around(self, seeds: set[int], marking: Marking) -> set[int]:
        net, found, todo = self._net, set(seeds), list(seeds)
        while todo:
            number = todo.pop()
            for other in self._needed(number, marking):
                if other not in found and net.transitions[other].ending != "failed":
                    found.add(other)
                    todo.append(other)
        return found

    def _needed(self, number: int, marking: Marking) -> tuple[int, ...]:
        net = self._net
        each = net.transitions[number]
        for place in each.inhibitors:
            if marking[place]:
                return (*net.consumers[place], *net.drainers[place])
        for place, weight in each.inputs:
            if marking[place] < weight:
                return net.producers[place]
        known = self._brings.get(number)
        if known is None:
            known = self._brings[number] = brought(net, number)
        return known


def _ranks(net: Net) -> list[int]:
    """Net transitions in the order of a walk that goes to the end of a branch before the next.

    By whichever order sets are chosen, they are stubborn; but where branches take turns, all
    combinations of the ways through them are met, and where one comes after the other each is met
    by itself. How a net is written down says nothing of that.
    """
    marked = [place for place, count in enumerate(net.initial) if count]
    marked.sort(key=lambda place: (net.places[place].role == "control", -place))
    todo = [number for place in marked for number in reversed(net.consumers[place])]
    ranks, seen = dict[int, int](), set(marked)
    while todo:
        number = todo.pop()
        if number in ranks:
            continue
        ranks[number] = len(ranks)
        fresh = [place for place in _puts(net, number) if place not in seen]
        seen.update(fresh)
        todo += (each for place in reversed(fresh) for each in reversed(net.consumers[place]))
    return [ranks.get(number, len(ranks)) for number in range(len(net.transitions))]


SEEDS_MAX: Final = 64
"""Enabled net transitions around which a set is sought, unless one of them stands alone before."""


def brought(net: Net, number: int) -> tuple[int, ...]:
    """What an enabled member of a stubborn set brings with it."""
    each = net.transitions[number]
    found: dict[int, None] = {}
    for place, _ in each.inputs:
        found.update(dict.fromkeys(net.consumers[place]))
    for place in each.inhibitors:
        found.update(dict.fromkeys(net.producers[place]))
    empties: dict[int, None] = {}
    for place in (*(place for place, _ in each.inputs), *_puts(net, number)):
        empties.update(dict.fromkeys(net.drainers[place]))
    for place in _puts(net, number):
        found.update(dict.fromkeys(net.inhibited[place]))
    for other in empties:
        if other not in found and not absorbs(net, other, number):
            found[other] = None
    touching: dict[int, None] = {}
    for place, _ in each.drains:
        for those in (net.consumers[place], net.producers[place], net.drainers[place]):
            touching.update(dict.fromkeys(those))
    for other in touching:
        if other in found or absorbs(net, number, other) or absorbs(net, other, number):
            continue
        found[other] = None
    found.pop(number, None)
    return tuple(found)


def absorbs(net: Net, drainer: int, other: int) -> bool:
    """Whether the drainer leads to the same marking with the other before it or without.

    What the other moves must be emptied, and what is given back for it must make up for the rest
    that it changes: permits that it took or returned.
    """
    emptied = dict(net.transitions[drainer].drains)
    each = net.transitions[other]
    changes: dict[int, int] = {}
    for place, weight in each.inputs:
        changes[place] = changes.get(place, 0) - weight
    for place, weight in each.outputs:
        changes[place] = changes.get(place, 0) + weight
    for place, back in each.drains:
        # as many tokens as there are: they must be emptied, and give back the same, either way
        if place not in emptied or emptied[place] != back:
            return False
    owed: dict[int, int] = {}
    taken = {place for place, _ in net.transitions[drainer].inputs}
    for place, change in changes.items():
        if place in emptied:
            if place in taken and change < 0:
                return False  # it may disable the drainer
            for target, weight in emptied[place]:
                owed[target] = owed.get(target, 0) + weight * change
        elif change:
            owed[place] = owed.get(place, 0) + change
    return not any(owed.values())


def _puts(net: Net, number: int) -> list[int]:
    each = net.transitions[number]
    return [place for place, _ in each.outputs] + [p for _, back in each.drains for p, _ in back]
