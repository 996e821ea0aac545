"""Siphons and traps: sets of places that stay empty, and such that never become so.

Every net transition that puts on a *siphon* takes from it too: once it is empty it stays empty, and
what takes from it never happens again. Every one that takes from a *trap* puts on it too: once it
holds a token it always does (Commoner 1972). Of the siphons among some places there is a largest
one, and so of the traps; both are found by leaving out, one after the other, what cannot belong to
them. Only of nets without inhibitors and drains.
"""

from __future__ import annotations

from collections.abc import Collection

from heliostat.verify.nets.net import Marking, Net


def empty_siphon(net: Net, marking: Marking) -> frozenset[int]:
    """The largest siphon that holds no token."""
    found = {place for place, count in enumerate(marking) if not count}
    todo = list(found)
    while todo:
        place = todo.pop()
        if place not in found:
            continue
        for number in net.producers[place]:
            each = net.transitions[number]
            if not any(source in found for source, _ in each.inputs):
                found.discard(place)
                # what needed this place to be in it has to be looked at again
                todo += [
                    target
                    for taker in net.consumers[place]
                    for target, _ in net.transitions[taker].outputs
                ]
                break
    return frozenset(found)


def trap_among(net: Net, places: Collection[int], dead: Collection[int]) -> frozenset[int]:
    """The largest trap among these places, where some net transitions never happen again."""
    found = set(places)
    todo = list(found)
    while todo:
        place = todo.pop()
        if place not in found:
            continue
        for number in net.consumers[place]:
            each = net.transitions[number]
            if number not in dead and not any(target in found for target, _ in each.outputs):
                found.discard(place)
                todo += [
                    source
                    for putter in net.producers[place]
                    for source, _ in net.transitions[putter].inputs
                ]
                break
    return frozenset(found)
