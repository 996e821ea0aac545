"""Place/transition nets with inhibitors and drains: what plans become before they are proved.

A *net transition* is not a definition's transition: it is one thing that may happen. It takes
`inputs`, puts `outputs`, may happen only while its `inhibitors` are empty, and empties what it
`drains`; a drained token gives back what is written beside it, so that a withdrawn step returns
its permits. Inputs are taken first, drains follow, outputs come last.

Whatever does not come from outside takes something from a place that must be empty at the end, so
that nothing happens of itself after that.

Everything is indexed by integers and immutable. A marking is a `bytes`, one count a place: cheap to
hash, to keep and to compare. A count beyond `TOKENS_MAX` raises `TooManyTokens`, which explorations
turn into a verdict that names the bound.

Where a net has neither inhibitors nor drains (`plain`) the theory of place/transition nets holds
without reserve; engines that need that ask for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from heliostat.verify.budget import UNBOUNDED, Budget

TOKENS_MAX: Final = 255
"""Tokens on one place of a marking; what a byte holds."""

Marking: TypeAlias = bytes
Arcs: TypeAlias = tuple[tuple[int, int], ...]
"""Places and weights, ordered by place, each once."""

Role = Literal["control", "resource", "auxiliary"]
"""Control must be empty at the end; a resource keeps permits; auxiliary tokens may stay behind."""

Ending = Literal["", "completed", "failed"]


class TooManyTokens(Exception):
    """A place came to hold more tokens than a marking can count: the net may be unbounded."""

    def __init__(self, place: str) -> None:
        super().__init__(place)
        self.place = place

    def __str__(self) -> str:
        return f"place {self.place!r} came to hold more than {TOKENS_MAX} tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where tokens lie."""

    id: str
    name: str
    role: Role = "control"
    step: str | None = None  # the user's step that it belongs to

    @property
    def visit(self) -> bool:
        """Whether a token on it is a visit of its step, be it one that waits to begin."""
        return self.id.startswith(("step_", "ready_"))


@dataclass(frozen=True, slots=True, kw_only=True)
class NetTransition:
    """One thing that may happen."""

    id: str
    name: str
    inputs: Arcs
    outputs: Arcs = ()
    inhibitors: tuple[int, ...] = ()
    drains: tuple[tuple[int, Arcs], ...] = ()  # the place, and what each of its tokens gives back
    ending: Ending = ""
    """Of one that ends the whole execution; `failed` ones need not be explored, see `space`."""
    step: str | None = None  # the user's step that it speaks of
    act: str = ""  # what the step does: completes, fails, is skipped …; empty: bookkeeping
    outside: bool = False
    """Of a deadline that passes, or an event that a handler takes: nothing waits for it, and a
    marking in which nothing else may happen is dead all the same."""
    guard: str | None = None  # a condition, as written: true or false to the net


@dataclass(frozen=True, kw_only=True)
class Net:
    """A net with its initial marking; final is every marking without a token on control places."""

    id: str
    places: tuple[Place, ...]
    transitions: tuple[NetTransition, ...]
    initial: Marking
    capacities: dict[int, int] = field(default_factory=dict)  # of resource places

    @property
    def plain(self) -> bool:
        """Whether it has neither inhibitors nor drains, and nothing comes from outside."""
        return not any(each.inhibitors or each.drains or each.outside for each in self.transitions)

    @cached_property
    def free(self) -> frozenset[int]:
        """What comes from outside whatever is under way, but not after the end."""
        return frozenset(
            number
            for number, each in enumerate(self.transitions)
            if each.outside
            and not any(self.places[place].role == "control" for place, _ in each.inputs)
        )

    @cached_property
    def control(self) -> tuple[int, ...]:
        """The places that must be empty at the end."""
        return tuple(n for n, place in enumerate(self.places) if place.role == "control")

    @cached_property
    def place_index(self) -> dict[str, int]:
        return {place.id: number for number, place in enumerate(self.places)}

    @cached_property
    def transition_index(self) -> dict[str, int]:
        return {each.id: number for number, each in enumerate(self.transitions)}

    @cached_property
    def consumers(self) -> tuple[tuple[int, ...], ...]:
        """By place, the net transitions that take from it."""
        return self._touching(lambda each: [place for place, _ in each.inputs])

    @cached_property
    def producers(self) -> tuple[tuple[int, ...], ...]:
        """By place, those that may put something there, also by a drain."""
        return self._touching(
            lambda each: (
                [place for place, _ in each.outputs]
                + [place for _, back in each.drains for place, _ in back]
            )
        )

    @cached_property
    def inhibited(self) -> tuple[tuple[int, ...], ...]:
        """By place, those that may happen only while it is empty."""
        return self._touching(lambda each: list(each.inhibitors))

    @cached_property
    def drainers(self) -> tuple[tuple[int, ...], ...]:
        """By place, those that empty it."""
        return self._touching(lambda each: [place for place, _ in each.drains])

    def watching(self, number: int) -> frozenset[int]:
        """The net transitions that may become enabled or disabled when this one happens."""
        found = self._watching.get(number)
        if found is None:
            each = self.transitions[number]
            touched = {place for place, _ in (*each.inputs, *each.outputs)}
            for place, back in each.drains:
                touched.add(place)
                touched.update(target for target, _ in back)
            found = self._watching[number] = frozenset(
                n for place in touched for n in (*self.consumers[place], *self.inhibited[place])
            )
        return found

    @cached_property
    def _watching(self) -> dict[int, frozenset[int]]:
        return {}

    def _touching(self, places_of) -> tuple[tuple[int, ...], ...]:  # type: ignore[no-untyped-def]
        found: list[list[int]] = [[] for _ in self.places]
        for number, each in enumerate(self.transitions):
            for place in dict.fromkeys(places_of(each)):
                found[place].append(number)
        return tuple(tuple(each) for each in found)

    def enabled(self, marking: Marking, number: int) -> bool:
        """Whether a net transition may happen."""
        each = self.transitions[number]
        for place, weight in each.inputs:
            if marking[place] < weight:
                return False
        return not any(marking[place] for place in each.inhibitors)

    def fire(self, marking: Marking, number: int) -> Marking:
        """The marking after an enabled net transition.

        Raises:
            TooManyTokens: a place would hold more than a marking can count.
        """
        each = self.transitions[number]
        after = bytearray(marking)
        for place, weight in each.inputs:
            after[place] -= weight
        gains = list(each.outputs)
        for place, back in each.drains:
            count = after[place]
            if count:
                after[place] = 0
                gains += [(target, weight * count) for target, weight in back]
        for place, weight in gains:
            if after[place] + weight > TOKENS_MAX:
                raise TooManyTokens(self.places[place].id)
            after[place] += weight
        return bytes(after)

    def is_final(self, marking: Marking) -> bool:
        """Whether nothing is under way any more."""
        return not any(marking[place] for place in self.control)

    def tokens(self, marking: Marking) -> dict[str, int]:
        """A marking for people: the places that hold something."""
        return {self.places[n].id: count for n, count in enumerate(marking) if count}

    @cached_property
    def content_hash(self) -> str:
        """Of all that decides how it behaves."""
        parts = (self.places, self.transitions, self.initial)
        return sha256(repr(parts).encode()).hexdigest()


class NetBuilder:
    """Gathers places and net transitions by name; ids are made distinct by a number behind them.

    What takes longer than the budget ends as `OutOfTime`.
    """

    def __init__(self, id: str, budget: Budget = UNBOUNDED) -> None:
        self._id, self._budget = id, budget
        self._places: list[Place] = []
        self._transitions: list[NetTransition] = []
        self._taken: set[str] = set()
        self._by_id: dict[str, int] = {}
        self._marked: dict[int, int] = {}
        self._capacities: dict[int, int] = {}

    def place(
        self,
        id: str,
        name: str = "",
        *,
        role: Role = "control",
        step: str | None = None,
        tokens: int = 0,
    ) -> int:
        """A new place."""
        self._places.append(Place(id=self._distinct(id), name=name or id, role=role, step=step))
        number = len(self._places) - 1
        self._by_id[id] = number
        if tokens > TOKENS_MAX:
            raise TooManyTokens(id)
        if tokens:
            self._marked[number] = tokens
        if role == "resource":
            self._capacities[number] = tokens
        return number

    def find(self, id: str) -> int:
        """The place of this id."""
        return self._by_id[id]

    def mark(self, places: Sequence[int]) -> None:
        """Let the net begin with a token on each of these."""
        for place in places:
            self._marked[place] = self._marked.get(place, 0) + 1

    def transition(
        self,
        id: str,
        inputs: Sequence[tuple[int, int]],
        outputs: Sequence[tuple[int, int]] = (),
        *,
        inhibitors: Sequence[int] = (),
        drains: Sequence[tuple[int, Arcs]] = (),
        name: str = "",
        ending: Ending = "",
        step: str | None = None,
        act: str = "",
        outside: bool = False,
        guard: str | None = None,
    ) -> int:
        """A new net transition; arcs to one place are added up."""
        self._budget.check()
        drained: dict[int, Arcs] = dict(drains)
        self._transitions.append(
            NetTransition(
                id=self._distinct(id),
                name=name or id,
                inputs=_added(inputs),
                outputs=_added(outputs),
                inhibitors=tuple(dict.fromkeys(inhibitors)),
                drains=tuple(sorted(drained.items())),
                ending=ending,
                step=step,
                act=act,
                outside=outside,
                guard=guard,
            )
        )
        return len(self._transitions) - 1

    def net(self) -> Net:
        """What was gathered."""
        initial = bytearray(len(self._places))
        for place, count in self._marked.items():
            initial[place] = count
        return Net(
            id=self._id,
            places=tuple(self._places),
            transitions=tuple(self._transitions),
            initial=bytes(initial),
            capacities=self._capacities,
        )

    def _distinct(self, id: str) -> str:
        chosen, number = id, 1
        while chosen in self._taken:
            number += 1
            chosen = f"{id}#{number}"
        self._taken.add(chosen)
        return chosen


def _added(arcs: Sequence[tuple[int, int]]) -> Arcs:
    sums: dict[int, int] = {}
    for place, weight in arcs:
        sums[place] = sums.get(place, 0) + weight
    return tuple(sorted(sums.items()))
