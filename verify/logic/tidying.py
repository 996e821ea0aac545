"""The same net with less in it: what empties places that are empty, and what follows other places.

Neither changes which net transitions may happen. Both are seen in the structure: weights of places
that nothing makes heavier bound the tokens on them, and places that always gain and lose together
hold as many tokens (place invariants: T. Murata, "Petri nets: Properties, analysis and
applications", 1989).

A body whose errors are caught has a net transition that empties all of it when something in it
fails; where its steps come one after the other there is nothing left to empty then.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.nets.net import Arcs, Net, NetTransition

OTHERS_MAX: Final = 4
"""Places that one is held against, to see whether it follows them."""


_VISITS: Final = "step_"
"""How places begin that say that a step is open: of those with steps in them others say it too."""


def tidied(net: Net, watched: Collection[int], budget: Budget = UNBOUNDED) -> Net:
    """A net that behaves alike, with the same places and net transitions in the same order.

    Args:
        watched: places that keep their tokens.

    Raises:
        OutOfTime: the budget is used up.
    """
    return without_followers(without_idle_drains(net, budget), watched, budget)


def without_idle_drains(net: Net, budget: Budget = UNBOUNDED) -> Net:
    """Leave away the drains of places that are empty whenever the drain happens."""
    if not any(each.drains for each in net.transitions):
        return net
    tokens = _Tokens(net, budget)
    transitions = tuple(
        replace(each, drains=()) if each.drains and _idle(tokens, each) else each
        for each in net.transitions
    )
    return replace(net, transitions=transitions)


def _idle(tokens: _Tokens, drainer: NetTransition) -> bool:
    """Whether all its places and one that it takes from hold one token at most, together."""
    drained = [place for place, _ in drainer.drains]
    return any(
        weight == 1 and tokens.one_at_most({place, *drained}) for place, weight in drainer.inputs
    )


class _Tokens:
    """Which places never hold more than one token together."""

    def __init__(self, net: Net, budget: Budget) -> None:
        self._net, self._budget = net, budget
        self._known: list[frozenset[int]] = []

    def one_at_most(self, places: Collection[int]) -> bool:
        """Whether some never do, as far as weights show it."""
        if any(known.issuperset(places) for known in self._known):
            return True
        self._budget.check()
        weights = _weights(self._net, places)
        if weights is None:
            return False
        self._known.append(frozenset(weights))
        return True


def _weights(net: Net, places: Collection[int]) -> dict[int, int] | None:
    """Weights of 1, of some places and others, that nothing makes heavier and that are 1 in all at
    the start; they are found backwards, from what puts to what is taken for it."""
    weights = dict.fromkeys(places, 1)
    todo = list(places)
    while todo:
        for number in net.producers[todo.pop()]:
            each = net.transitions[number]
            if any(place in weights for _, back in each.drains for place, _ in back):
                return None
            gain = _weight(each.outputs, weights) - _weight(each.inputs, weights)
            if gain <= 0:
                continue
            free = [
                place
                for place, weight in each.inputs
                if place not in weights and weight == 1 and net.places[place].role == "control"
            ]
            if not free or gain > 1:
                return None  # more than one token comes of nothing, or of one
            weights[free[0]] = gain
            todo.append(free[0])
    heavy = sum(weight * net.initial[place] for place, weight in weights.items()) > 1
    return None if heavy else weights


def without_followers(net: Net, watched: Collection[int], budget: Budget = UNBOUNDED) -> Net:
    """Leave away the arcs of places that hold a token just when one of some others does, and that
    are asked for only beside those."""
    kept = {*watched, *(place for each in net.transitions for place in each.inhibitors)}
    drained = {place for each in net.transitions for place, _ in each.drains}
    drained |= {p for each in net.transitions for _, back in each.drains for p, _ in back}
    kept |= drained
    tokens, gone = _Tokens(net, budget), set[int]()
    for place in reversed(net.control):  # what is proven of later ones holds of earlier
        if not net.places[place].id.startswith(_VISITS) or place in kept:
            continue
        if _follows(net, place, tokens, drained | gone):
            gone.add(place)
    return _without(net, gone) if gone else net


def _follows(net: Net, place: int, tokens: _Tokens, but_for: Collection[int]) -> bool:
    """Whether others, but for some, hold as many tokens as a place that holds one at most."""
    if all(len(net.transitions[n].inputs) == 1 for n in net.consumers[place]):
        return False  # what is asked for alone is not asked for beside others
    first = next(iter(net.producers[place]), None)
    if first is None or not tokens.one_at_most({place}):
        return False
    others = [
        other
        for other, _ in net.transitions[first].outputs
        if other != place and other not in but_for and net.places[other].role == "control"
    ]
    return any(_alike(net, place, other, but_for) for other in others[:OTHERS_MAX])


def _alike(net: Net, place: int, other: int, but_for: Collection[int]) -> bool:
    """Whether a place holds what others hold together, which are found forwards from one."""
    others, todo = {other}, [other]
    while todo:
        for number in net.consumers[todo.pop()]:
            each = net.transitions[number]
            lacking = _change(each, {place}) - _change(each, others)
            targets = [
                target
                for target, weight in each.outputs
                if weight == 1
                and target not in others
                and target not in but_for
                and target != place
                and net.places[target].role == "control"
            ]
            if lacking == 1 and targets:
                others.add(targets[0])
                todo.append(targets[0])
            elif lacking:
                return False
    if net.initial[place] != sum(net.initial[each] for each in others):
        return False
    members = dict.fromkeys(others, 1)
    touching = {
        number
        for each in (place, *others)
        for number in (*net.consumers[each], *net.producers[each])
    }
    return all(
        _change(each, {place}) == _change(each, others)
        and dict(each.inputs).get(place, 0) <= _weight(each.inputs, members)
        for each in (net.transitions[number] for number in touching)
    )


def _without(net: Net, places: Collection[int]) -> Net:
    initial = bytearray(net.initial)
    for place in places:
        initial[place] = 0
    return replace(
        net,
        initial=bytes(initial),
        transitions=tuple(
            replace(
                each,
                inputs=tuple(arc for arc in each.inputs if arc[0] not in places),
                outputs=tuple(arc for arc in each.outputs if arc[0] not in places),
            )
            for each in net.transitions
        ),
    )


def _change(each: NetTransition, places: Collection[int]) -> int:
    """By how many tokens it changes what some places hold together, but for drains."""
    taken = sum(weight for place, weight in each.inputs if place in places)
    return sum(weight for place, weight in each.outputs if place in places) - taken


def _weight(arcs: Arcs, weights: dict[int, int]) -> int:
    return sum(weight * weights.get(place, 0) for place, weight in arcs)
