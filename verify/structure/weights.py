"""Weights of places by which no net transition puts more than it takes: the net is bounded.

The tokens of a marking, each counted by the weight of its place, never come to more than at the
start (a place sub-invariant: Memmi & Roucairol 1980). Inhibitors only forbid, so they may stay;
what a drained token gives back must not outweigh it.

The search begins with 1 everywhere and lifts, wherever a net transition puts more than it takes, an
input until it does not. Which of several inputs is a guess, tried in a few ways: the search is no
decision procedure, and what it does not find is left to exploration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Final, TypeAlias

from heliostat.verify.nets.net import Arcs, Net

ROUNDS_MAX: Final = 40
"""Liftings for each net transition, on average, before the search is given up."""

WEIGHT_MAX: Final = 10**9
"""A loop that leaves tokens behind lifts for ever."""


Choice: TypeAlias = Callable[[Arcs], tuple[int, int]]


def weights(net: Net, least: Sequence[int] | None = None) -> tuple[int, ...] | None:
    """Weights that show the net bounded, or None where none were found.

    Args:
        least: what each place weighs at least; 1 where nothing is said. No marking weighs more by
            these than the initial one does by what is found.
    """
    first: Choice = itemgetter(0)
    last: Choice = itemgetter(-1)
    for choose in (first, last):
        found = _lifted(net, choose, [1] * len(net.places) if least is None else list(least))
        if found is not None:
            return found
    return None


def _lifted(net: Net, choose: Choice, found: list[int]) -> tuple[int, ...] | None:
    todo = list(range(len(net.transitions)))
    waiting = set(todo)
    left = ROUNDS_MAX * len(todo)
    while todo:
        number = todo.pop()
        waiting.discard(number)
        each = net.transitions[number]
        lifted: list[int] = []
        for place, back in each.drains:
            due = sum(found[target] * weight for target, weight in back)
            if due > found[place]:
                found[place] = due
                lifted.append(place)
        lacking = sum(found[place] * weight for place, weight in each.outputs)
        lacking -= sum(found[place] * weight for place, weight in each.inputs)
        if lacking > 0:
            outputs = {place for place, _ in each.outputs}
            fit = tuple(arc for arc in each.inputs if arc[0] not in outputs) or each.inputs
            if not fit:
                return None
            place, weight = choose(fit)
            found[place] += -(-lacking // weight)
            lifted.append(place)
        left -= len(lifted)
        if left < 0 or any(found[place] > WEIGHT_MAX for place in lifted):
            return None
        for place in lifted:
            for other in (*net.producers[place], *net.drainers[place], number):
                if other not in waiting:
                    waiting.add(other)
                    todo.append(other)
    return tuple(found)
