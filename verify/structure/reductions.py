"""The search for structural reductions: makes a net small before it is explored.

What may be reduced, and why, is said by `certificates.shrinking`; here is only what is tried and in
which order, and how a run of the reduced net is spelled out in the whole one. A definition whose
branches and choices close again is left with next to nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice, product
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.certificates.shrinking import (
    Dropped,
    Eased,
    Fired,
    Forgotten,
    Implied,
    Merged,
    Postponed,
    Shrinking,
    Step,
)
from heliostat.verify.nets.net import Net

ROUNDS_MAX: Final = 60
"""Rounds over the whole net; most nets need three or four."""

PARTS_MAX: Final = 16
"""Parts of a place that is their sum."""

GUESSES_MAX: Final = 4
"""Ways to choose these parts."""

GROWTH_MAX: Final = 4
"""More net transitions than this are made from as many as there were before, or fewer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reduction:
    """A reduced net, how it was made, and how its runs are read."""

    net: Net
    steps: tuple[Step, ...]
    before: tuple[int, ...]  # net transitions of the whole net that have happened at the start
    spelled: tuple[tuple[int, ...], ...]  # by net transition, those that it was made from
    alike: dict[int, frozenset[int]]
    """By net transition, those of the whole net that may happen where it does."""
    idle: frozenset[int]
    """Net transitions of the whole net that were left out since they change nothing."""

    def run(self, reduced: Iterable[int]) -> tuple[int, ...]:
        """A run of the reduced net as one of the whole net."""
        return (*self.before, *(each for number in reduced for each in self.spelled[number]))


def reduce(net: Net, budget: Budget = UNBOUNDED) -> Reduction:
    """Reduce a net as far as the search comes within the budget."""
    search = _Search(net, budget)
    search.search()
    shrinking = search.shrinking
    return Reduction(
        net=shrinking.net(),
        steps=tuple(search.steps),
        before=tuple(search.spell(search.before)),
        spelled=tuple(tuple(search.spell([n])) for n in sorted(shrinking.transitions)),
        alike=search.alike(),
        idle=frozenset(each for number in search.idle for each in search.spell([number])),
    )


def unreduced(net: Net) -> Reduction:
    """The net itself."""
    numbers = range(len(net.transitions))
    alike = {-1: frozenset[int](), **{number: frozenset({number}) for number in numbers}}
    return Reduction(
        net=net,
        steps=(),
        before=(),
        spelled=tuple((number,) for number in numbers),
        alike=alike,
        idle=frozenset(),
    )


class _Search:
    def __init__(self, net: Net, budget: Budget) -> None:
        self._budget = budget
        self._places = range(len(net.places))
        self._is_control = [place.role == "control" for place in net.places]
        self.shrinking = Shrinking(net)
        self.steps: list[Step] = []
        self.before: list[int] = []
        self._made_from: dict[int, list[int]] = {}
        self._next = len(net.transitions)
        self._fired: set[int] = set()
        self._doubles: dict[int, list[int]] = {}
        self.idle: list[int] = []

    def search(self) -> None:
        self._ease()
        self._drop_failures()
        for _ in range(ROUNDS_MAX):
            count = len(self.steps)
            self._drop_doubles()
            self._forget_doubles()
            for place in self._places:  # what makes no more of them comes first
                if self._is_between(place, 2):
                    self._merge(place)
            for place in self._places:
                if self._is_between(place, GROWTH_MAX):
                    self._merge(place) or self._postpone(place)
                elif self.shrinking.initial[place] and len(self.shrinking.takers[place]) == 1:
                    self._merge(place)
            self._fire()
            if len(self.steps) == count and self._goes_on():
                self._forget_sums()  # dearer, and most nets need it not
            if len(self.steps) == count:
                break

    def _goes_on(self) -> bool:
        """Whether anything but a failure may happen first: else one marking is all there is."""
        initial = self.shrinking.initial
        return any(
            each.ending != "failed"
            and all(initial[place] >= weight for place, weight in each.inputs)
            and not any(initial[place] for place in each.inhibitors)
            for each in self.shrinking.transitions.values()
        )

    def spell(self, numbers: Sequence[int]) -> list[int]:
        """Net transitions of the whole net, in order."""
        found, todo = [], list(reversed(numbers))
        while todo:
            number = todo.pop()
            parts = self._made_from.get(number)
            if parts is None:
                found.append(number)
            else:
                todo += reversed(parts)
        return found

    def alike(self) -> dict[int, frozenset[int]]:
        """By each net transition that is left, and -1 for the start, all that stands for it."""
        return {
            position: frozenset(self._behind(numbers))
            for position, numbers in [
                (-1, self.before),
                *((at, [n]) for at, n in enumerate(sorted(self.shrinking.transitions))),
            ]
        }

    def _behind(self, numbers: Sequence[int]) -> set[int]:
        found, todo = set[int](), list(numbers)
        while todo:
            number = todo.pop()
            if number not in found:
                found.add(number)
                todo += [*self._made_from.get(number, ()), *self._doubles.get(number, ())]
        return {number for number in found if number not in self._made_from}

    def _attempt(self, step: Step) -> bool:
        if self._budget.over or self.shrinking.attempt(step) is not None:
            return False
        self.steps.append(step)
        return True

    def _is_between(self, place: int, growth_max: int) -> bool:
        takers, putters = len(self.shrinking.takers[place]), len(self.shrinking.putters[place])
        return bool(takers and putters) and takers * putters <= (
            2 if growth_max == 2 else max(growth_max, takers + putters)
        )

    def _ease(self) -> None:
        """Withdrawals of what has ended are none; then the rest finds nothing in its way."""
        for number, each in list(self.shrinking.transitions.items()):
            if each.drains:
                self._attempt(Eased(number, "drains"))
            if each.inhibitors:
                self._attempt(Eased(number, "inhibitors"))

    def _drop_failures(self) -> None:
        """A failure beside which something else may always happen decides nothing."""
        for number, each in list(self.shrinking.transitions.items()):
            if each.ending != "failed" or not each.inputs:
                continue
            for other in sorted(self.shrinking.takers[each.inputs[0][0]]):
                if self._attempt(Dropped(number, other)):
                    break

    def _drop_doubles(self) -> None:
        kept: dict[object, int] = {}
        for number, each in sorted(self.shrinking.transitions.items()):
            if each.inputs == each.outputs and self._attempt(Dropped(number)):
                self.idle.append(number)
                continue
            effect = (
                each.inputs,
                each.outputs,
                frozenset(each.inhibitors),
                each.drains,
                each.ending,
                each.outside,
            )
            like = kept.setdefault(effect, number)
            if like != number and self._attempt(Dropped(number, like)):
                self._doubles.setdefault(like, []).append(number)

    def _forget_doubles(self) -> None:
        alike: dict[object, list[int]] = {}
        for place in self._places:
            takers, putters = self.shrinking.takers[place], self.shrinking.putters[place]
            if not (takers or putters):
                continue
            if not self._is_control[place] and self._attempt(Forgotten(place)):
                continue
            key = self.shrinking.initial[place], frozenset(takers), frozenset(putters)
            alike.setdefault(key, []).append(place)
        for like, *others in alike.values():
            for place in others:
                if not self._attempt(Forgotten(place, like)):
                    self._attempt(Forgotten(like, place))

    def _forget_sums(self) -> None:
        """Places that are the sum of others, and taken from along with them."""
        for place in self._places:
            takers = self.shrinking.takers[place]
            if not takers or len(takers) > PARTS_MAX or not self.shrinking.putters[place]:
                continue
            ways = [self._inputs(number, {place}) for number in sorted(takers)]
            if all(ways):
                for parts in islice(product(*ways), GUESSES_MAX):
                    whole = self._completed(place, {*parts})
                    if whole is not None and self._attempt(Implied(place, whole)):
                        break

    def _completed(self, place: int, parts: set[int]) -> tuple[int, ...] | None:
        """Add to the parts what becomes one of them."""
        todo = list(parts)
        while todo:
            for number in sorted(self.shrinking.putters[todo.pop()]):
                each = self.shrinking.transitions[number]
                gain = sum(n if at in parts else -n if at == place else 0 for at, n in each.outputs)
                gain -= sum(n if at in parts else -n if at == place else 0 for at, n in each.inputs)
                if gain <= 0:
                    continue
                more = self._inputs(number, {place, *parts})
                if not more or len(parts) == PARTS_MAX:
                    return None
                parts.add(more[0])
                todo.append(more[0])
        return tuple(sorted(parts))

    def _inputs(self, number: int, without: set[int]) -> list[int]:
        inputs = self.shrinking.transitions[number].inputs
        return [at for at, _ in inputs if at not in without and self._is_control[at]]

    def _merge(self, place: int) -> bool:
        transitions = self.shrinking.transitions
        if any(len(transitions[n].inputs) > 1 for n in self.shrinking.takers[place]):
            return False  # most attempts, seen before anything is gathered
        takers, putters = self._around(place)
        at_start = self.shrinking.initial[place]
        weights = [dict(self.shrinking.transitions[n].outputs)[place] for n in putters]
        if not self._attempt(Merged(place)):
            return False
        self.before += takers[:1] * at_start
        for first, weight in zip(putters, weights, strict=True):
            for second in takers:
                self._note(first, *[second] * weight)
        return True

    def _postpone(self, place: int) -> bool:
        transitions = self.shrinking.transitions
        if any(len(transitions[n].outputs) > 1 for n in self.shrinking.putters[place]):
            return False
        takers, putters = self._around(place)
        if any(self.shrinking.transitions[n].ending == "failed" for n in takers):
            return False  # failures are not explored: that a step was visited before would be lost
        if not self._attempt(Postponed(place)):
            return False
        for first in putters:
            for second in takers:
                self._note(first, second)
        return True

    def _around(self, place: int) -> tuple[list[int], list[int]]:
        return sorted(self.shrinking.takers[place]), sorted(self.shrinking.putters[place])

    def _note(self, *parts: int) -> None:
        self._made_from[self._next] = list(parts)
        self._next += 1

    def _fire(self) -> None:
        """What the start leads to with nobody in the way, each once."""
        todo = [place for place in self._places if self.shrinking.initial[place]]
        while todo:
            place = todo.pop()
            for number in sorted(self.shrinking.takers[place]):
                each = self.shrinking.transitions[number]
                if number not in self._fired and self._attempt(Fired(number)):
                    self._fired.add(number)
                    self.before.append(number)
                    todo += [at for at, _ in each.outputs]
