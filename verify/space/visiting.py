"""Runs that visit each step, as one tree: what shows that no step is dead.

A walk that prefers what has not happened yet, and goes back to the last marking where something
else could have been new. It is no search of all markings: what it does not find within its bound
has no certificate, and the verdict rests on the exploration alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from functools import partial
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.certificates.certificates import Unvisited, Visited
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.space.explore import explore, kept_max
from heliostat.verify.structure.siphons import empty_siphon

FIRINGS_MAX: Final = 20_000
"""Net transitions in the tree of runs."""

MARKINGS_MAX: Final = 2_000
"""Markings that show together that a step is never visited."""


def visits(net: Net, steps: Collection[str], budget: Budget = UNBOUNDED) -> Visited:
    """Runs of the whole net that visit these steps, but for those that the walk does not find."""
    walk = _Walk(net, steps)
    firings_max = kept_max(net, FIRINGS_MAX)
    while walk.missing and len(walk.tree) < firings_max and not budget.over:
        if not walk.go_on():
            break
    seen = tuple(step for step in steps if step not in walk.missing)
    return Visited(net=net.content_hash, steps=seen, tree=tuple(walk.tree))


def unvisited(net: Net, steps: Collection[str], budget: Budget = UNBOUNDED) -> Unvisited | None:
    """Why none of these steps is ever visited, but for those that are: a siphon that is empty, or
    all markings. None where these are too many."""
    siphon, taken = empty_siphon(net, net.initial), set[int]()
    for place in siphon:
        taken.update(net.consumers[place])
    places = {n for n, place in enumerate(net.places) if place.step in steps and place.visit}
    acting = {
        number
        for number, each in enumerate(net.transitions)
        if each.step in steps and each.act and each.ending != "failed"
    }
    shown = partial(Unvisited, net=net.content_hash)
    if siphon and places <= siphon and acting <= taken:
        return shown(steps=tuple(steps), siphon=tuple(sorted(siphon)), markings=())
    whole = explore(
        net,
        reduce=False,
        states_max=MARKINGS_MAX,
        time_max_ms=budget.left_ms(),
        now_ms=budget.now_ms,
    )
    if whole.stopped is not None:
        return None
    seen = {net.transitions[n].step for edges in whole.edges for n, _ in edges if n in acting}
    seen |= {net.places[n].step for n in places if any(each[n] for each in whole.markings)}
    left = tuple(step for step in steps if step not in seen)
    return shown(steps=left, siphon=(), markings=tuple(whole.markings))


class _Walk:
    def __init__(self, net: Net, steps: Collection[str]) -> None:
        self._net = net
        self.missing: set[str | None] = {*steps}
        self.tree: list[tuple[int, int]] = []  # the one before, the net transition
        self._live = [each.ending != "failed" for each in net.transitions]
        self._count: Counter[int] = Counter()
        self._known = {net.initial}
        first = {n for n, live in enumerate(self._live) if live and net.enabled(net.initial, n)}
        self._stack: list[tuple[int, Marking, set[int]]] = [(-1, net.initial, first)]
        self._see_places(net.initial, range(len(net.places)))

    def go_on(self) -> bool:
        """One net transition more; whether there was one."""
        while self._stack:
            at, marking, enabled = self._stack[-1]
            new = [n for n in enabled if not self._count[n]]
            fresh = self._leads_on(marking, new)
            if fresh is None:
                self._stack.pop()
                # nothing new here: go on once, by what has happened least
                often = sorted(enabled, key=self._count.__getitem__)
                fresh = self._leads_on(marking, often)
            if fresh is not None:
                self._fire(at, enabled, *fresh)
                return True
        return False

    def _leads_on(self, marking: Marking, numbers: Collection[int]) -> tuple[int, Marking] | None:
        for number in numbers:
            try:
                after = self._net.fire(marking, number)
            except TooManyTokens:
                continue
            if not self._count[number] or after not in self._known:
                return number, after
        return None

    def _fire(self, at: int, enabled: set[int], number: int, after: Marking) -> None:
        net, each = self._net, self._net.transitions[number]
        self._count[number] += 1
        self._known.add(after)
        self.tree.append((at, number))
        if each.act:
            self.missing.discard(each.step)
        self._see_places(after, [place for place, _ in each.outputs])
        if not net.is_final(after):
            near = net.watching(number)
            now = {n for n in near if self._live[n] and net.enabled(after, n)}
            self._stack.append((len(self.tree) - 1, after, (enabled - near) | now))

    def _see_places(self, marking: Marking, places: Collection[int]) -> None:
        for number in places:
            place = self._net.places[number]
            if marking[number] and place.visit:
                self.missing.discard(place.step)
