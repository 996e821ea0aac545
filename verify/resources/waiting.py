"""Whether semaphores that are taken in no order can leave an execution waiting for ever.

Permits are given in the order of arrival, and nobody overtakes another who waits for some of the
same. So more gets stuck than permits alone say: who wants `a` may wait behind one who wants `a` and
`b`, while that one waits for a `b` which the first one holds.

It needs no queue in the net. How long anything takes is free, and who waits does nothing. So each
run has another one that leads to the same marking, in which whoever is granted something arrives
when it is granted, and those who wait at the end arrive at the end, in any order. A marking is
*stuck* where nothing but waiting goes on, and that order can be chosen so that each of them is held
up when it comes: some lack permits, the others want what one of those before them wants.

Items of a `foreach` that hold nothing count as waiting wherever that holds somebody up, since a
list has any length. Items side by side are alike: of markings that differ in their order one is
explored. Copies that are enough for any number: more items than there are permits cannot hold any,
and of items that hold none and wait for the same, one holds up as much as two.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.nets.net import Marking, Net, NetTransition, TooManyTokens
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.nets.visits import VISITS_MAX
from heliostat.verify.resources.order import Tangled, in_use

STATES_MAX: Final = 20_000
"""Markings of all explorations together: each is made without reduction."""

ITEMS_MAX: Final = 6
"""Items of a body side by side; with more the markings pass any bound."""

ASKED_MAX: Final = 8
"""Stuck runs of which it is asked whether executions have them."""

GRASPED_MAX: Final = 64
"""Likewise where one run alone is looked at."""

MOVES_MAX: Final = 5_000
"""Of that run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiter:
    """Somebody who waits for ever."""

    step: str
    transition: int
    semaphores: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stuck:
    """A run after which all that is left waits for permits."""

    translation: Translation
    run: tuple[int, ...]
    marking: Marking
    waiters: tuple[Waiter, ...]  # in an order of arrival that holds all of them up
    items: int
    alone: bool
    """Whether nothing else may happen there, also of what a list or a completed item would do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Free:
    """No run gets stuck at semaphores."""

    markings: int
    items: int


def explore_waiting(
    plan: Plan,
    tangled: Tangled,
    *,
    seen_by: Callable[[Stuck], bool] = lambda _: True,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Stuck | Free | str:
    """Look for a run that gets stuck at these semaphores, with more and more items side by side.

    Returns a sentence that names the bound, where one was reached.

    Args:
        seen_by: whether the run is one that executions have. The first of some for which it says
            so is told, else the first of all.
    """
    until = None if time_max_ms is None or now_ms is None else now_ms() + time_max_ms

    def late() -> bool:
        return until is not None and now_ms is not None and now_ms() > until

    semaphores = tangled.semaphores | tangled.beside
    enough = _enough(plan, semaphores)
    left = states_max
    reached = f"{enough} items side by side would show it, and {ITEMS_MAX} were looked at"
    try:
        for items in range(min(2, enough), min(enough, ITEMS_MAX) + 1):
            made = translate(plan, "proof", semaphores=semaphores, items=items)
            found = _Exploration(plan, made, items).explore(left, late, seen_by)
            if isinstance(found, Stuck):
                return found
            if isinstance(found, str):
                beside = f", with {items} items side by side" if enough > 1 else ""
                reached = f"{found}{beside}"
                break
            left -= found
        else:
            if enough <= ITEMS_MAX:
                return Free(markings=states_max - left, items=enough)
        items = min(enough, GRASPED_MAX)
        made = translate(plan, "proof", semaphores=semaphores, items=items)
        return _Exploration(plan, made, items).grasp(late) or reached
    except TooManyTokens as error:
        return str(error)


def _enough(plan: Plan, semaphores: frozenset[str]) -> int:
    """Items of one body beyond which more change nothing; 1 where none are side by side."""
    users = [step for step in in_use(plan) if any(name in semaphores for name, _ in step.uses)]
    held = sum(
        plan.semaphores[name]
        // min(count for step in users for each, count in step.uses if each == name)
        for name in semaphores
    )
    bodies = [step for step in plan.steps if step.foreach and step.scopes and not step.retired]
    widest = max((step.foreach.concurrency for step in bodies if step.foreach), default=1)
    return min(widest, held + len(users))


class _Exploration:
    """Of one net, breadth first, so that the run is a shortest one."""

    def __init__(self, plan: Plan, translation: Translation, items: int) -> None:
        self._translation, self._items = translation, items
        self._net = net = translation.net
        self._step_of: Mapping[str, StepPlan] = {step.id: step for step in plan.steps}
        self._taking = {
            number: frozenset(p for p, _ in each.inputs if _is_resource(net, p))
            for number, each in enumerate(net.transitions)
            if any(_is_resource(net, place) for place, _ in each.inputs)
        }
        self._moves = [
            number
            for number, each in enumerate(net.transitions)
            if number not in self._taking and not each.outside and not self._is_early(each)
        ]

    def explore(
        self, states_max: int, late: Callable[[], bool], seen_by: Callable[[Stuck], bool]
    ) -> Stuck | str | int:
        """A stuck marking; the bound that was reached, in words; or how many markings there are."""
        net, alike = self._net, _Alike(self._net)
        parents: dict[Marking, tuple[Marking, int] | None] = {net.initial: None}
        seen = {alike.key(net.initial)}
        todo = deque([net.initial])
        overflown: str | None = None
        first, asked = None, 0
        while todo:
            marking = todo.popleft()
            if net.is_final(marking):
                continue
            for place, step in self._translation.overflows.items():
                if marking[place]:
                    overflown = step
            waiters = self._stuck(marking)
            if waiters is not None and not self._overflows(marking):
                found = self._found(_run(parents, marking), marking, waiters)
                first = first or found
                asked += 1
                if seen_by(found):
                    return found
                if asked == ASKED_MAX:
                    return first
                continue
            for number, each in enumerate(net.transitions):
                if each.ending == "failed" or not net.enabled(marking, number):
                    continue
                try:
                    after = net.fire(marking, number)
                except TooManyTokens as error:
                    return first or str(error)
                key = alike.key(after)
                if key not in seen:
                    seen.add(key)
                    parents[after] = (marking, number)
                    todo.append(after)
            if len(seen) > states_max:
                return first or f"the bound of {states_max} markings was reached"
            if late():
                return first or "the time was over"
        if first is not None:
            return first
        if overflown is not None:
            return f"more than {VISITS_MAX} visits of {overflown!r} may be open at once"
        return len(seen)

    def grasp(self, late: Callable[[], bool]) -> Stuck | None:
        """One run on which all is taken that can be before anything is given back.

        It finds what no exploration comes to, as tens of items that hold one permit each, and shows
        nothing where it finds none.
        """
        net, marking, run = self._net, self._net.initial, list[int]()
        seen = {marking}
        while len(run) < MOVES_MAX and not late() and not net.is_final(marking):
            waiters = self._stuck(marking)
            if waiters is not None and not self._overflows(marking):
                return self._found(tuple(run), marking, waiters)
            ways = sorted(
                (self._eagerness(number), number)
                for number, each in enumerate(net.transitions)
                if each.ending != "failed" and net.enabled(marking, number)
            )
            following = ((n, net.fire(marking, n)) for _, n in ways)
            way = next(((n, after) for n, after in following if after not in seen), None)
            if way is None:
                return None
            run.append(way[0])
            marking = way[1]
            seen.add(marking)
        return None

    def _eagerness(self, number: int) -> int:
        """What holds permits while more goes on comes first, what gives some back last."""
        each, net = self._net.transitions[number], self._net
        step = self._step_of.get(each.step or owner(net, each))
        if each.drains or each.outside or "fails" in each.act or "skips" in each.act:
            return 4
        if number in self._taking:
            return 0 if step is not None and step.scopes else 2
        return 3 if any(_is_resource(net, place) for place, _ in each.outputs) else 1

    def _found(self, run: tuple[int, ...], marking: Marking, waiters: list[Waiter]) -> Stuck:
        return Stuck(
            translation=self._translation,
            run=run,
            marking=marking,
            waiters=tuple(waiters),
            items=self._items,
            alone=self._alone(marking, waiters),
        )

    def _alone(self, marking: Marking, waiters: list[Waiter]) -> bool:
        """Whether whatever may happen would take what a waiter has."""
        net, held_up = self._net, {waiter.transition for waiter in waiters}
        kept = {
            p for n in held_up for p, _ in net.transitions[n].inputs if not _is_resource(net, p)
        }
        others = (
            each
            for n, each in enumerate(net.transitions)
            if n not in held_up and not each.outside and net.enabled(marking, n)
        )
        return all(not kept.isdisjoint(p for p, _ in each.inputs) for each in others)

    def _overflows(self, marking: Marking) -> bool:
        return any(marking[place] for place in self._translation.overflows)

    def _stuck(self, marking: Marking) -> list[Waiter] | None:
        """Those who wait, where nothing else goes on and each of them can be held up."""
        net = self._net
        waiting = [number for number in self._taking if self._waits(marking, number)]
        if not waiting:
            return None
        held_up = [number for number in waiting if not net.enabled(marking, number)]
        if not held_up:
            return None
        wanted = frozenset[int]().union(*(self._taking[number] for number in held_up))
        rest = [number for number in waiting if number not in held_up]
        while behind := [number for number in rest if self._taking[number] & wanted]:
            held_up += behind
            wanted = wanted.union(*(self._taking[number] for number in behind))
            rest = [number for number in rest if number not in behind]
        if any(self._must_wait(number) for number in rest):
            return None
        kept = {
            place
            for number in held_up
            if not self._must_wait(number)
            for place, _ in net.transitions[number].inputs
            if not _is_resource(net, place)
        }
        for number in self._moves:
            each = net.transitions[number]
            if net.enabled(marking, number) and kept.isdisjoint(p for p, _ in each.inputs):
                return None
        return [self._waiter(number) for number in held_up]

    def _waits(self, marking: Marking, number: int) -> bool:
        """Whether it lacks nothing but perhaps permits."""
        each, net = self._net.transitions[number], self._net
        return all(
            marking[place] >= weight or _is_resource(net, place) for place, weight in each.inputs
        ) and not any(marking[place] for place in each.inhibitors)

    def _must_wait(self, number: int) -> bool:
        """Whether it is a visit, and not an item that the list may or may not have."""
        net = self._net
        inputs = self._net.transitions[number].inputs
        return any(net.places[place].id.startswith("queued_") for place, _ in inputs)

    def _is_early(self, each: NetTransition) -> bool:
        """Whether it ends a `foreach` before all items have: it needs one that has completed, and
        a run that gets stuck without those items is a run too."""
        step = self._step_of.get(each.step or "")
        if step is None or step.foreach is None or len(each.inputs) > 1 or not each.drains:
            return False
        return step.foreach.completion.kind in ("any", "at_least")

    def _waiter(self, number: int) -> Waiter:
        each, net = self._net.transitions[number], self._net
        names = tuple(
            net.places[p].id.removeprefix("resource_") for p in sorted(self._taking[number])
        )
        return Waiter(step=each.step or owner(net, each), transition=number, semaphores=names)


def owner(net: Net, each: NetTransition) -> str:
    """The step that a net transition without one belongs to, by its places."""
    found = (net.places[p].step or _named(net.places[p].id) for p, _ in each.inputs)
    return next((step for step in found if step), each.id)


def _named(place: str) -> str:
    """Of `slot_each_0` and `item_each`, `each`; copies of a scope stand before it."""
    match = re.fullmatch(r"(?:slot|item)_(?:.*/)?(\w+?)(?:_\d+)?", place)
    return match[1] if match else ""


def _is_resource(net: Net, place: int) -> bool:
    return net.places[place].role == "resource"


def _run(
    parents: Mapping[Marking, tuple[Marking, int] | None], marking: Marking
) -> tuple[int, ...]:
    found = []
    while (parent := parents[marking]) is not None:
        marking, number = parent
        found.append(number)
    return tuple(reversed(found))


class _Alike:
    """Which markings differ only in the order of items side by side."""

    _COPY: Final = re.compile(r"(.*)\[(\d+)\]/(.*)")
    _SLOT: Final = re.compile(r"((?:slot|item)_.*)_(\d+)")

    def __init__(self, net: Net) -> None:
        self._net = net

    @cached_property
    def _groups(self) -> list[list[list[int]]]:
        """For each body's items, the innermost first, the places of each copy, in one order."""
        places: dict[str, dict[int, dict[str, int]]] = {}
        for number, place in enumerate(self._net.places):
            for body, copy, key in self._copies(place.id):
                places.setdefault(body, {}).setdefault(copy, {})[key] = number
        found = []
        for body in sorted(places, key=lambda each: -each.count("/")):
            copies = [places[body][copy] for copy in sorted(places[body])]
            if len(copies) > 1 and all(each.keys() == copies[0].keys() for each in copies):
                found.append([[each[key] for key in sorted(each)] for each in copies])
        return found

    def _copies(self, id: str) -> Iterator[tuple[str, int, str]]:
        """Each body whose item a place belongs to, the number of the item, the place in it."""
        rest = id
        if slot := self._SLOT.fullmatch(id):
            kind, _, body = slot[1].partition("_")
            yield body, int(slot[2]), kind
        while match := self._COPY.fullmatch(rest):
            kind, _, body = match[1].partition("_")
            yield body, int(match[2]), f"{kind} {id[len(match[1]) :].partition('/')[2]}"
            rest = match[1]

    def key(self, marking: Marking) -> Marking:
        if not self._groups:
            return marking
        sorted_ = bytearray(marking)
        for copies in self._groups:
            parts = sorted(bytes(sorted_[n] for n in copy) for copy in copies)
            for copy, part in zip(copies, parts, strict=True):
                for place, count in zip(copy, part, strict=True):
                    sorted_[place] = count
        return bytes(sorted_)
