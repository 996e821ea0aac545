"""Structural reductions, each with the conditions under which it may be made.

A reduced net answers for the whole one: if it has no dead marking and can always come to an end,
so has and can the whole net; and a run of it spelled out in the net transitions it was made from is
a run of the whole net. The rules are Berthelot's ("Transformations and decompositions of nets",
1987), with the conditions that inhibitors, drains, ends and what comes from outside add to them:

    Merged     what takes from a place takes nothing else: it follows at once on what put there
    Postponed  what puts on a place puts nothing else and is in nobody's way: it waits for its use
    Fired      what may happen at the start and is in nobody's way has happened
    Dropped    a net transition that another one is like, or that changes nothing
    Forgotten  a place that another one is like, or that nothing hangs on
    Implied    a place that always holds as much as some others together, and never lacks a token
    Eased      what drains and inhibits nothing that is ever marked where it may happen

This module is a part of the checker and trusts nobody; `structure.reductions` looks for what to
try and asks here whether it may. Numbers of net transitions stay; new ones count on.

Of `Merged` (the others likewise): let u take from p what t put there. A run in which u comes later
than t becomes one in which it comes at once, since u needs nothing else and whatever comes between
does not mind: it is not inhibited by what u puts, unless p inhibited it as well, and it drains what
u moves only if it leads to the same marking with u before it or without. So from each marking of
the whole net, emptying p by such u leads to one of the reduced net, and from there to an end.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from heliostat.verify.certificates.together import PLACES_MAX, Together
from heliostat.verify.nets.net import Arcs, Net, NetTransition

__all__ = [
    "Dropped",
    "Eased",
    "Fired",
    "Forgotten",
    "Implied",
    "Merged",
    "Postponed",
    "Shrinking",
    "Step",
    "swallows",
]


@dataclass(frozen=True, slots=True)
class Merged:
    """What takes from the place follows at once."""

    place: int


@dataclass(frozen=True, slots=True)
class Postponed:
    """What puts on the place waits until that is used."""

    place: int


@dataclass(frozen=True, slots=True)
class Fired:
    """It has happened, at the start."""

    transition: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """It is like another net transition; without one it changes nothing."""

    transition: int
    like: int | None = None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """It holds what another place holds; without one nothing hangs on it."""

    place: int
    like: int | None = None


@dataclass(frozen=True, slots=True)
class Implied:
    """It always holds as much as these together, and whatever takes from it takes from them too."""

    place: int
    parts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Eased:
    """Its drains, or its inhibitors, are never marked where it may happen."""

    transition: int
    of: Literal["drains", "inhibitors"]


Step: TypeAlias = Merged | Postponed | Fired | Dropped | Forgotten | Implied | Eased


class Shrinking:
    """A net while it is reduced: makes one reduction after the other, and refuses what is none."""

    def __init__(self, net: Net) -> None:
        self._net = net
        self.initial = bytearray(net.initial)
        self.transitions = dict(enumerate(net.transitions))
        size = len(net.places)
        self.takers: list[set[int]] = [set() for _ in range(size)]
        self.putters: list[set[int]] = [set() for _ in range(size)]
        self._stopped: list[set[int]] = [set() for _ in range(size)]
        self._emptiers: list[set[int]] = [set() for _ in range(size)]
        self._returned: list[set[int]] = [set() for _ in range(size)]  # by drains, onto the place
        for number in self.transitions:
            self._enter(number)
        self._control = [place.role == "control" for place in net.places]
        self._free = any(
            each.outside and not any(self._control[place] for place, _ in each.inputs)
            for each in net.transitions
        )
        self._next = len(net.transitions)
        # of other nets there is next to nothing to know, and it takes time
        self._withdraws = len(net.places) <= PLACES_MAX and any(
            self._control[place] for each in net.transitions for place, _ in each.drains
        )
        self._known: Together | None = None

    def attempt(self, step: Step) -> str | None:
        """Make a reduction, or say why it is none."""
        match step:
            case Merged(place):
                return self._merge(place)
            case Postponed(place):
                return self._postpone(place)
            case Fired(number):
                return self._fire(number)
            case Dropped(number, like):
                return self._drop(number, like)
            case Forgotten(place, like):
                return self._forget(place, like)
            case Implied(place, parts):
                return self._imply(place, parts)
            case Eased(number, of):
                return self._ease(number, of)

    def net(self) -> Net:
        """The net as it is now; its places keep their numbers, its transitions are counted anew."""
        return replace(
            self._net,
            transitions=tuple(self.transitions[n] for n in sorted(self.transitions)),
            initial=bytes(self.initial),
            capacities={},
        )

    # -- the rules

    def _merge(self, place: int) -> str | None:
        takers, putters = sorted(self.takers[place]), sorted(self.putters[place])
        if not self._control[place] or self._returned[place] or not takers:
            return "it is no place between net transitions"
        if self.initial[place] and len(takers) > 1:
            return "it is chosen at the start what takes from it"
        for number in takers:
            each = self.transitions[number]
            if not _simple(each) or each.inputs != ((place, 1),):
                return f"{each.id!r} takes more than that"
            if place in _places(each.outputs):
                return f"{each.id!r} puts it back"
            if self._minds(each, [place]):
                return f"it is seen when {each.id!r} comes earlier"
        for number in putters:
            weight = dict(self.transitions[number].outputs)[place]
            if self.transitions[number].ending == "failed" or (weight > 1 and len(takers) > 1):
                return f"what {self.transitions[number].id!r} puts is not taken at once"
        made = []
        for first in putters:
            one = self.transitions[first]
            weight = dict(one.outputs)[place]
            rest = [arc for arc in one.outputs if arc[0] != place]
            for second in takers:
                follows = [(at, n * weight) for at, n in self.transitions[second].outputs]
                made.append(replace(one, outputs=_sum([*rest, *follows])))
        if self.initial[place]:
            for at, weight in self.transitions[takers[0]].outputs:
                if self.initial[at] + weight * self.initial[place] > 255:
                    return "a marking cannot count that"
                self.initial[at] += weight * self.initial[place]
            self.initial[place] = 0
        self._exchange(place, {*takers, *putters}, made)
        return None

    def _postpone(self, place: int) -> str | None:
        takers, putters = sorted(self.takers[place]), sorted(self.putters[place])
        if not self._control[place] or self._returned[place] or self.initial[place]:
            return "it is no place between net transitions"
        if not takers or not putters or {*takers} & {*putters}:
            return "it is no place between net transitions"
        before: set[int] = set()
        for number in putters:
            each = self.transitions[number]
            if not _simple(each) or each.outputs != ((place, 1),):
                return f"{each.id!r} puts more than that"
            own = _places(each.inputs)
            if not any(self._control[at] for at in own):
                return f"{each.id!r} needs nothing that must go"
            if any(self.takers[at] != {number} for at in own):
                return f"{each.id!r} is in the way of others"
            if any(self._stopped[place] ^ self._stopped[at] for at in own):
                return f"it is seen when {each.id!r} comes later"
            if any(
                not swallows(self.transitions[other], each)
                for at in (place, *own)
                for other in self._emptiers[at]
            ):
                return f"it is seen when {each.id!r} comes later"
            before |= own
        made = []
        for first in putters:
            for second in takers:
                one, other = self.transitions[first], self.transitions[second]
                if dict(other.inputs)[place] != 1 or {place, *before} & {*other.inhibitors}:
                    return f"{other.id!r} does not take one"
                rest = [arc for arc in other.inputs if arc[0] != place]
                made.append(replace(other, inputs=_sum([*one.inputs, *rest])))
        self._exchange(place, {*takers, *putters}, made)
        return None

    def _fire(self, number: int) -> str | None:
        each = self.transitions[number]
        if not _simple(each) or any(self.initial[at] < n for at, n in each.inputs):
            return f"{each.id!r} may not happen at the start"
        own = sorted(_places(each.inputs))
        if not any(self._control[at] for at in own):
            return f"{each.id!r} needs nothing that must go"
        if any(self.takers[at] != {number} for at in own):
            return f"{each.id!r} is in the way of others"
        if self._minds(each, own):
            return f"it is seen when {each.id!r} comes earlier"
        after = bytearray(self.initial)
        for at, weight in each.inputs:
            after[at] -= weight
        for at, weight in each.outputs:
            if after[at] + weight > 255:
                return "a marking cannot count that"
            after[at] += weight
        self.initial = after
        return None

    def _drop(self, number: int, like: int | None) -> str | None:
        each = self.transitions[number]
        if like is None:
            if each.inputs != each.outputs or not each.inputs or each.drains or each.ending:
                return f"{each.id!r} changes something"
            if any(other.ending == "failed" for other in self.transitions.values()):
                return "beside a failure it makes a difference whether anything goes on"
        else:
            other = self.transitions[like]
            if number == like:
                return "it is the same net transition"
            if each.ending == "failed" and not other.outside and other.ending != "failed":
                few = all(dict(each.inputs).get(at, 0) >= n for at, n in other.inputs)
                if not few or not {*other.inhibitors} <= {*each.inhibitors}:
                    return f"where {each.id!r} may happen {other.id!r} need not"
            elif _effect(each) != _effect(other):
                return f"{each.id!r} and {other.id!r} differ"
        self._leave(number)
        del self.transitions[number]
        return None

    def _forget(self, place: int, like: int | None) -> str | None:
        if like is None and (self._control[place] or self._stopped[place]):
            return "it is looked at"
        if any(_back(self.transitions[number], place) for number in self._emptiers[place]):
            return "what is drained there is given back"
        if like is None:
            around = [self.transitions[n] for n in self.takers[place] | self.putters[place]]
            least = self.initial[place]
            unused = not self.takers[place]
            steady = not self._emptiers[place] and not self._returned[place]
            for each in around:
                taken, put = dict(each.inputs).get(place, 0), dict(each.outputs).get(place, 0)
                steady = steady and taken == put <= least
            if not unused and not steady:
                return "it changes"
        else:
            if place == like or self.initial[place] != self.initial[like]:
                return "it holds something else at the start"
            if self._control[place] and not self._control[like]:
                return "it must be empty at the end"
            if not self._stopped[place] <= self._stopped[like]:
                return "it inhibits more"
            near = {*self._near(place), *self._near(like)}
            for each in (self.transitions[n] for n in near):
                for arcs in (each.inputs, each.outputs, *(back for _, back in each.drains)):
                    if dict(arcs).get(place) != dict(arcs).get(like):
                        return f"{each.id!r} makes a difference"
            if self._emptiers[place] != self._emptiers[like]:
                return "one is drained without the other"
        self._strip(place)
        self.initial[place] = 0
        return None

    def _imply(self, place: int, parts: tuple[int, ...]) -> str | None:
        if place in parts or len({*parts}) != len(parts) or not parts:
            return "it is no sum of others"
        if self.initial[place] != sum(self.initial[part] for part in parts):
            return "it holds something else at the start"
        if self._stopped[place] or self._returned[place]:
            return "it is looked at"
        if any(self._returned[part] for part in parts):
            return "what it is the sum of is given back"
        if self._control[place] and not all(self._control[part] for part in parts):
            return "it must be empty at the end"
        if any(self._emptiers[part] != self._emptiers[place] for part in parts):
            return "one is drained without the other"
        if any(_back(self.transitions[number], place) for number in self._emptiers[place]):
            return "what is drained there is given back"
        near = set[int]().union(*(self._near(each) for each in (place, *parts)))
        for each in (self.transitions[number] for number in sorted(near)):
            takes, puts = dict(each.inputs), dict(each.outputs)
            taken = sum(takes.get(part, 0) for part in parts)
            put = sum(puts.get(part, 0) for part in parts)
            if takes.get(place, 0) > taken:
                return f"{each.id!r} may lack a token there"
            if puts.get(place, 0) - takes.get(place, 0) != put - taken:
                return f"{each.id!r} changes the one and not the other"
            if place in dict(each.drains) and puts.get(place, 0) != put:
                return f"{each.id!r} drains and puts something else"
        self._strip(place)
        self.initial[place] = 0
        return None

    def _ease(self, number: int, of: Literal["drains", "inhibitors"]) -> str | None:
        each = self.transitions[number]
        if of == "inhibitors" and _places(each.inputs) & {*each.inhibitors}:
            return f"{each.id!r} is inhibited by what it takes"  # inhibitors are asked first
        beside = self._beside(each)
        drained = tuple(place for place, _ in each.drains)
        for place in drained if of == "drains" else each.inhibitors:
            if beside >> place & 1:
                return f"{each.id!r} may happen where {self._net.places[place].id!r} is marked"
        self._leave(number)
        self.transitions[number] = (
            replace(each, drains=()) if of == "drains" else replace(each, inhibitors=())
        )
        self._enter(number)
        return None

    def _minds(self, each: NetTransition, own: list[int]) -> bool:
        """Whether anything notices that it comes earlier, `own` being empty sooner."""
        puts = _places(each.outputs)
        if self._free and not any(self._control[place] for place in puts):
            return True
        covered = set[int]().union(*(self._stopped[place] for place in own))
        if any(not self._stopped[place] <= covered for place in puts):
            return True
        others = {other for place in (*own, *puts) for other in self._emptiers[place]}
        return any(
            not swallows(self.transitions[other], each)
            and all(self._beside(self.transitions[other]) >> place & 1 for place in own)
            for other in others
        )

    def _beside(self, each: NetTransition) -> int:
        """The places, as bits, that may be marked where it happens, beside what it takes.

        Each marking of a reduced net is one of the whole net, but for the places that are gone:
        what is never marked together stays so.
        """
        if not self._withdraws:
            return -1
        if self._known is None:
            self._known = Together(bytes(self.initial), self.transitions)
        found = self._known.beside(each)
        return 0 if found is None else found

    # -- bookkeeping

    def _near(self, place: int) -> set[int]:
        return {
            *self.takers[place],
            *self.putters[place],
            *self._stopped[place],
            *self._emptiers[place],
            *self._returned[place],
        }

    def _exchange(self, place: int, old: set[int], made: list[NetTransition]) -> None:
        for number in old:
            self._leave(number)
            del self.transitions[number]
        for each in made:
            self.transitions[self._next] = each
            self._enter(self._next)
            self._next += 1
        self._strip(place)

    def _strip(self, place: int) -> None:
        """Take a place out of all arcs.

        Net transitions that withdraw a whole scope have thousands of drains, and nothing but this
        place changes in what is indexed of them.
        """
        for number in self._near(place):
            each = self.transitions[number]
            drains = each.drains
            if number in self._returned[place]:
                drains = tuple((at, _without(back, place)) for at, back in drains)
            back: Arcs = ()
            if number in self._emptiers[place]:
                back = _back(each, place)
                drains = tuple(drain for drain in drains if drain[0] != place)
            self.transitions[number] = replace(
                each,
                inputs=_without(each.inputs, place),
                outputs=_without(each.outputs, place),
                inhibitors=tuple(at for at in each.inhibitors if at != place)
                if number in self._stopped[place]
                else each.inhibitors,
                drains=drains,
            )
            for target, _ in back:
                if not any(target in _places(gives) for _, gives in drains):
                    self._returned[target].discard(number)
        for index in (self.takers, self.putters, self._stopped, self._emptiers, self._returned):
            index[place].clear()

    def _enter(self, number: int) -> None:
        for places, index in self._indexed(number):
            for place in places:
                index[place].add(number)

    def _leave(self, number: int) -> None:
        for places, index in self._indexed(number):
            for place in places:
                index[place].discard(number)

    def _indexed(self, number: int) -> Iterable[tuple[set[int], list[set[int]]]]:
        each = self.transitions[number]
        yield _places(each.inputs), self.takers
        yield _places(each.outputs), self.putters
        yield set(each.inhibitors), self._stopped
        yield {place for place, _ in each.drains}, self._emptiers
        yield {place for _, back in each.drains for place, _ in back}, self._returned


def swallows(one: NetTransition, other: NetTransition) -> bool:
    """Whether `one` leads to the same marking with `other` before it or without."""
    for place, back in other.drains:
        if _given_back(one, place) != back:
            return False
    change: dict[int, int] = {}
    for arcs, sign in ((other.inputs, -1), (other.outputs, 1)):
        for place, weight in arcs:
            change[place] = change.get(place, 0) + sign * weight
    left: dict[int, int] = {}
    for place, delta in change.items():
        given_back = _given_back(one, place)
        if given_back is None:
            left[place] = left.get(place, 0) + delta
            continue
        if delta < 0 and any(place == taken for taken, _ in one.inputs):
            return False
        for target, weight in given_back:
            left[target] = left.get(target, 0) + weight * delta
    return not any(left.values())


def _simple(each: NetTransition) -> bool:
    return not (each.inhibitors or each.drains or each.ending or each.outside)


def _effect(each: NetTransition) -> tuple[object, ...]:
    return (
        each.inputs,
        each.outputs,
        set(each.inhibitors),
        each.drains,
        each.ending,
        each.outside,
    )


def _given_back(each: NetTransition, place: int) -> Arcs | None:
    """What it gives back for each token that it drains from the place; None where it drains none.

    Drains are in the order of their places, and may be thousands.
    """
    at = bisect_left(each.drains, (place,))
    found = at < len(each.drains) and each.drains[at][0] == place
    return each.drains[at][1] if found else None


def _back(each: NetTransition, place: int) -> Arcs:
    """What it gives back for each token that it drains from the place."""
    back = _given_back(each, place)
    assert back is not None
    return back


def _places(arcs: Arcs) -> set[int]:
    return {place for place, _ in arcs}


def _without(arcs: Arcs, place: int) -> Arcs:
    return tuple(arc for arc in arcs if arc[0] != place)


def _sum(arcs: Iterable[tuple[int, int]]) -> Arcs:
    sums: dict[int, int] = {}
    for place, weight in arcs:
        sums[place] = sums.get(place, 0) + weight
    return tuple(sorted(sums.items()))
