"""Whether what is said of a free-choice net shows that it can always come to its end.

A part of the checker: it closes the net and counts clusters itself, multiplies what is claimed with
each net transition, and eliminates once more, modulo a prime. What follows from which theorem is
said by `structure.free_choice`, which looks for the claims.

That the closed net is live and bounded shows that the net always ends: from each marking of it some
net transition that empties it can be reached, as from one of the closed net. When that happens the
closed net marks its start again; were anything left beside, it would be left each time, and the
closed net unbounded. So it leaves nothing. Each net transition happens before the first end or
after one, hence in some run from the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from heliostat.verify.certificates.certificates import FreeChoice
from heliostat.verify.nets.net import Net, NetTransition

__all__ = ["flaw"]

PRIME: Final = 2**61 - 1
"""Columns that are independent modulo a prime are so."""


def flaw(net: Net, certificate: FreeChoice) -> str | None:
    """Why the certificate shows nothing; None where it does."""
    going = {n: each for n, each in enumerate(net.transitions) if each.ending != "failed"}
    control = {n for n, place in enumerate(net.places) if place.role == "control"}
    start = {place for place in control if net.initial[place]}
    clusters: dict[int, frozenset[int]] = {}
    for each in going.values():
        wrong = _unfit(each, control) or _unfree(each, clusters)
        if wrong is not None:
            return wrong
    if not start or any(net.initial[place] != 1 for place in start):
        return "it does not begin with single tokens that must be gone at its end"
    if not start <= {*clusters}:
        return "it begins with a token that nothing takes"
    if all(each.outputs for each in going.values()):
        return "nothing ends it"
    changes = {number: _changes(each, start) for number, each in going.items()}
    if any(place not in clusters for change in changes.values() for place in change):
        return "a token comes where nothing takes it"
    return (
        _invariants(certificate, clusters.keys(), changes)
        or _cycles(certificate, changes, len(changes) + 1 - len({*clusters.values()}))
        or _lacking(going, start, {*clusters})
    )


def _unfit(each: NetTransition, control: set[int]) -> str | None:
    if each.inhibitors or each.drains or each.outside or not each.inputs:
        return f"{each.id!r} is more than what takes some tokens and puts some"
    arcs = (*each.inputs, *each.outputs)
    if any(weight != 1 or place not in control for place, weight in arcs):
        return f"{each.id!r} moves more than single tokens that must be gone at the end"
    return None


def _unfree(each: NetTransition, clusters: dict[int, frozenset[int]]) -> str | None:
    takes = frozenset(place for place, _ in each.inputs)
    if any(clusters.setdefault(place, takes) != takes for place in takes):
        return f"{each.id!r} shares some inputs with another one, and not all"
    return None


def _changes(each: NetTransition, start: set[int]) -> dict[int, int]:
    found: dict[int, int] = {}
    for place in {place for place, _ in each.outputs} or start:
        found[place] = 1
    for place, _ in each.inputs:
        found[place] = found.get(place, 0) - 1
    return found


def _invariants(
    certificate: FreeChoice, places: Iterable[int], changes: dict[int, dict[int, int]]
) -> str | None:
    weights, counts = certificate.weights, certificate.counts
    if any(not 0 <= place < len(weights) or weights[place] < 1 for place in places):
        return "not every place has a weight"
    if any(not 0 <= number < len(counts) or counts[number] < 1 for number in changes):
        return "not every net transition has a count"
    if any(sum(weights[at] * n for at, n in change.items()) for change in changes.values()):
        return "the weights make a sum that changes"
    if not _returns({number: counts[number] for number in changes}, changes):
        return "the counts leave something changed"
    return None


def _returns(times: dict[int, int], changes: dict[int, dict[int, int]]) -> bool:
    """Whether nothing is changed where each net transition happens so often."""
    sums: dict[int, int] = {}
    for number, count in times.items():
        for place, change in changes[number].items():
            sums[place] = sums.get(place, 0) + count * change
    return not any(sums.values())


def _cycles(certificate: FreeChoice, changes: dict[int, dict[int, int]], count: int) -> str | None:
    """The rank is the number of net transitions less that of independent cycles: no more by those
    that there are, no less by what elimination finds of the others."""
    cycles = [dict(cycle) for cycle in certificate.cycles]
    if len(cycles) != count:
        return "these are not as many cycles as the rank asks for"
    seen: dict[int, int] = {}
    for cycle in cycles:
        if not {*cycle} <= {*changes} or not _returns(cycle, changes):
            return "a cycle leaves something changed"
        for number, times in cycle.items():
            seen[number] = seen.get(number, 0) + bool(times)
    own = set[int]()
    for cycle in cycles:
        alone = [number for number, times in cycle.items() if times and seen[number] == 1]
        if not alone:
            return "the cycles may depend on one another"
        own.add(alone[0])
    if not _independent(change for number, change in changes.items() if number not in own):
        return "the rank is less than the number of clusters less one"
    return None


def _independent(vectors: Iterable[dict[int, int]]) -> bool:
    leading: dict[int, dict[int, int]] = {}
    for each in vectors:
        vector = {at: value % PRIME for at, value in each.items() if value % PRIME}
        while vector:
            at = min(vector)
            known = leading.get(at)
            if known is None:
                inverse = pow(vector[at], -1, PRIME)
                leading[at] = {to: value * inverse % PRIME for to, value in vector.items()}
                break
            factor = vector[at]
            for to, value in known.items():
                left = (vector.get(to, 0) - factor * value) % PRIME
                if left:
                    vector[to] = left
                else:
                    vector.pop(to, None)
        else:
            return False
    return True


def _lacking(going: dict[int, NetTransition], start: set[int], places: set[int]) -> str | None:
    """That no siphon is empty at the start: whatever takes what may be there leads everywhere.

    Since the closed net begins again with all of the start, it is then connected too.
    """
    found, grown = set(start), True
    left = list(going.values())
    while grown:
        may = [each for each in left if all(place in found for place, _ in each.inputs)]
        left = [each for each in left if not all(place in found for place, _ in each.inputs)]
        before = len(found)
        found.update(place for each in may for place, _ in each.outputs)
        grown = len(found) > before
    return None if found >= places else "a siphon is empty at the start"
