"""A net as far as a formula sees it: what it cannot tell apart is one, what it does not see goes
on at once.

For formulas whose truth does not change when a moment lasts longer (without `X`), and of which a
run that breaks them comes to rest in one state of their automaton: those say nothing but what can
be reached, and what can be reached by itself from there, which all of the following keep.

- *Fusing*: what nothing else can take, and that goes on by itself unseen, has gone on already.
- *Choices*: of two ways on that do the same unseen one is left; one that changes nothing is none.
- *Settling*: of what may happen in a marking, a net transition that is unseen, comes about by
  itself and stands in nobody's way, now or later, happens first. It is confluent: J. F. Groote,
  J. van de Pol, "State Space Reduction Using Partial τ-Confluence" (2000); a circle of such is
  left to be explored, as S. Blom and J. van de Pol ask for (2002). It is the case of one net
  transition alone of ample sets for branching time (R. Gerth, R. Kuiper, D. Peled, W. Penczek,
  1995).

Each keeps branching bisimilarity, of what comes about by itself too. Failures that end the
execution are left out where the caller says that they cannot break the formula.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.logic.tidying import tidied
from heliostat.verify.nets.net import TOKENS_MAX, Arcs, Marking, Net, NetTransition
from heliostat.verify.space.stubborn import absorbs

ROUNDS_MAX: Final = 60
"""Rounds over all places; most nets need three or four."""


@dataclass(frozen=True, kw_only=True)
class Projection:
    """A smaller net with the places of the whole one."""

    net: Net
    spelled: tuple[tuple[int, ...], ...]  # by net transition, those of the whole net
    confluent: tuple[int, ...] = ()
    before: tuple[int, ...] = ()  # of the whole net, what has happened at the start

    def settled(self, marking: Marking) -> tuple[Marking, tuple[int, ...]]:
        """Where confluent net transitions lead, and which happen on the way."""
        if not self.confluent:
            return marking, ()
        happened: list[int] = []
        seen = {marking}
        while True:
            number = next((n for n in self.confluent if self.net.enabled(marking, n)), None)
            if number is None:
                return marking, tuple(happened)
            marking = self.net.fire(marking, number)
            happened.append(number)
            if marking in seen:
                return marking, tuple(happened)  # a circle: explored as it is
            seen.add(marking)


def whole(net: Net) -> Projection:
    """The net itself."""
    return Projection(net=net, spelled=tuple((n,) for n in range(len(net.transitions))))


def project(
    net: Net,
    *,
    seen: Callable[[NetTransition], bool],
    watched: Collection[int],
    failing: bool,
    budget: Budget = UNBOUNDED,
) -> Projection:
    """The net as far as it is seen.

    Args:
        seen: whether a net transition makes something true that is asked for.
        watched: places whose tokens are asked for.
        failing: whether failures of the execution matter; else those beside which the same step
            can do something else are left out.

    Raises:
        OutOfTime: the budget is used up.
    """
    if net.free:
        return whole(net)  # what may come until the very end commutes with nothing
    search = _Search(tidied(net, watched, budget), seen, frozenset(watched))
    if not failing:
        search.drop_failures()
    for _ in range(ROUNDS_MAX):
        budget.check()
        if not (search.join_choices() | search.fuse()):
            break
    return search.projection()


class _Search:
    def __init__(
        self, net: Net, seen: Callable[[NetTransition], bool], watched: frozenset[int]
    ) -> None:
        self._net, self._watched = net, watched
        self._transitions: dict[int, NetTransition] = dict(enumerate(net.transitions))
        self._spelled: dict[int, tuple[int, ...]] = {n: (n,) for n in self._transitions}
        self._initial = bytearray(net.initial)
        self._before: tuple[int, ...] = ()
        self._seen = {
            n
            for n, each in self._transitions.items()
            if each.ending or seen(each) or self._touched(each) & watched
        }
        self._guarded = frozenset(p for each in net.transitions for p in each.inhibitors)
        """Places that must be empty for something."""
        self._given_back = frozenset(
            place for each in net.transitions for _, gives in each.drains for place, _ in gives
        )
        self._drained = {place: drainers for place, drainers in enumerate(net.drainers) if drainers}

    @staticmethod
    def _touched(each: NetTransition) -> set[int]:
        back = {place for _, gives in each.drains for place, _ in gives}
        taken = {place for place, _ in (*each.inputs, *each.outputs, *each.drains)}
        return taken | back

    def drop_failures(self) -> None:
        """Those beside which their own step can always do something else."""
        going_on: dict[str, list[NetTransition]] = {}
        for each in self._transitions.values():
            if each.step is not None and not _fails(each) and not each.outside:
                going_on.setdefault(each.step, []).append(each)
        for number, each in list(self._transitions.items()):
            if each.ending == "failed" and any(
                set(other.inhibitors) <= set(each.inhibitors) and _within(other.inputs, each.inputs)
                for other in going_on.get(each.step or "", ())
            ):
                self._remove(number)

    def join_choices(self) -> bool:
        """Leave one of each that do the same unseen, and none that changes nothing."""
        kept: dict[object, int] = {}
        changed = False
        failing = {each.step for each in self._transitions.values() if _fails(each)}
        for number, each in list(self._transitions.items()):
            if number in self._seen:
                continue
            forced = not _fails(each) and not each.outside
            if each.inputs == each.outputs and not each.drains:
                if not forced or each.step not in failing:
                    self._remove(number)
                    changed = True
                continue
            effect = (each.inputs, each.outputs, each.inhibitors, each.drains, each.outside)
            like = kept.setdefault((effect, each.step), number)
            if like == number:
                continue
            if _fails(self._transitions[like]) and forced:
                like, number = number, like
                kept[effect, each.step] = like
            self._remove(number)
            changed = True
        return changed

    def fuse(self) -> bool:
        """Let what passes through a place unseen have passed."""
        takers: dict[int, set[int]] = {}
        putters: dict[int, set[int]] = {}
        for number, each in self._transitions.items():
            for place, _ in each.inputs:
                takers.setdefault(place, set()).add(number)
            for place, _ in each.outputs:
                putters.setdefault(place, set()).add(number)
        changed = False
        for place, found in takers.items():
            if len(found) != 1:
                continue
            (number,) = found
            each = self._transitions[number]
            if each.inputs != ((place, 1),) or dict(each.outputs).get(place):
                continue
            if number in self._seen or not self._confluent(number, takers):
                continue
            if place in self._given_back or self._initial[place] > 1:
                continue
            if self._initial[place] and any(
                self._initial[target] + weight > TOKENS_MAX for target, weight in each.outputs
            ):
                continue
            self._pass(place, number, putters, takers)
            changed = True
        return changed

    def _pass(
        self,
        place: int,
        number: int,
        putters: dict[int, set[int]],
        takers: dict[int, set[int]],
    ) -> None:
        each = self._transitions.pop(number)
        then = self._spelled.pop(number)
        count = self._initial[place]
        if count:
            self._initial[place] = 0
            for target, weight in each.outputs:
                self._initial[target] += weight * count
            self._before += then * count
        for first in putters.pop(place, ()):
            before = self._transitions[first]
            outputs = dict(before.outputs)
            weight = outputs.pop(place)
            for target, gain in each.outputs:
                outputs[target] = outputs.get(target, 0) + gain * weight
            self._transitions[first] = replace(before, outputs=tuple(sorted(outputs.items())))
            self._spelled[first] += then * weight
            for target, _ in each.outputs:
                putters.setdefault(target, set()).add(first)
        for target, _ in each.outputs:
            putters.get(target, set()).discard(number)
        takers[place] = set()

    def _confluent(self, number: int, takers: dict[int, set[int]]) -> bool:
        """Whether it comes about by itself, and neither it nor anything else is in the way of the
        other, now or later."""
        each = self._transitions[number]
        if each.outside or each.ending or each.inhibitors or each.drains:
            return False  # a failure with nothing else to take its tokens comes about too
        if any(takers[place] != {number} for place, _ in each.inputs):
            return False
        touched = self._touched(each)
        if touched & (self._guarded | self._watched):
            return False
        drainers = {d for place in touched for d in self._drained.get(place, ())}
        return not drainers or self._absorbed(each, drainers)

    def _absorbed(self, each: NetTransition, drainers: Collection[int]) -> bool:
        """Whether what empties these places comes to the same before and after."""
        present = [self._transitions.get(d) for d in drainers]
        listed = [d for d in present if d is not None]
        net = replace(self._net, transitions=(each, *listed))
        return all(absorbs(net, other + 1, 0) for other in range(len(listed)))

    def _remove(self, number: int) -> None:
        del self._transitions[number]
        del self._spelled[number]

    def projection(self) -> Projection:
        """What is left."""
        numbers = sorted(self._transitions)
        takers: dict[int, set[int]] = {}
        for number in numbers:
            for place, _ in self._transitions[number].inputs:
                takers.setdefault(place, set()).add(number)
        confluent = tuple(
            at
            for at, number in enumerate(numbers)
            if number not in self._seen and self._confluent(number, takers)
        )
        net = replace(
            self._net,
            transitions=tuple(self._transitions[number] for number in numbers),
            initial=bytes(self._initial),
        )
        return Projection(
            net=net,
            spelled=tuple(self._spelled[number] for number in numbers),
            confluent=confluent,
            before=self._before,
        )


def _fails(each: NetTransition) -> bool:
    return each.ending == "failed" or each.act.startswith("fails")


def _within(some: Arcs, others: Arcs) -> bool:
    """Whether what these take is part of what the others take."""
    there = dict(others)
    return all(weight <= there.get(place, 0) for place, weight in some)
