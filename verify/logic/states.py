"""All states that formulas speak of: markings, with what has happened on the way to them.

A marking does not say what has completed. So a state is a marking and, of the atoms that a formula
asks for, those that have come true. The end is a happening of its own, `ENDS`: behind a final
marking, and behind a failure that nothing catches. Where an execution has ended nothing is open.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from heliostat.engine.properties.atoms import Atom
from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.logic.projection import Projection
from heliostat.verify.nets.net import Marking, Net, NetTransition, TooManyTokens
from heliostat.verify.space.explore import Inconclusive

State = tuple[Marking, frozenset[Atom]]

ENDS: Final = -2
"""In place of a net transition: the execution ends."""

_VERBS: Final = {"completes": "completed", "fails": "failed", "skips": "skipped"}
_OPEN: Final = ("step_", "ready_", "queued_")
"""How places begin that hold a token while a step is open."""

_DONE: Final = Atom("done")
_FAILED: Final = Atom("failed")
_FAILING: Final = Atom("failing")
"""Something failed that nothing catches: the end is all that follows."""

_OVER: Final = b""
"""In place of a marking, once nothing but the end matters."""


@dataclass(kw_only=True)
class States:
    """A graph; state 0 is the initial one. What happens is a net transition of `net`, or `ENDS`."""

    net: Net
    asked: frozenset[Atom] = frozenset()
    states: list[State] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)  # net transition, target
    unexplored: set[int] = field(default_factory=set)
    """The states whose edges are not known."""
    stopped: Inconclusive | None = None
    projection: Projection | None = None
    settling: dict[tuple[int, int], tuple[int, ...]] = field(default_factory=dict)
    """By a state and what happens there, what follows on it at once; (-1, ENDS): at the start."""

    def holds(self, atom: Atom, number: int) -> bool:
        """Whether an atom is true of a state."""
        marking, happened = self.states[number]
        if atom.name == "open":
            return any(
                count and place.step == atom.step and place.id.startswith(_OPEN)
                for count, place in zip(marking, self.net.places, strict=False)
            )
        match atom.name:
            case "ended":
                return _DONE in happened or _FAILED in happened
            case "true":
                return True
            case "stuck":
                return not (
                    {_DONE, _FAILED, _FAILING} & happened or self.net.is_final(marking)
                ) and all(self._outside(fired) for fired, _ in self.edges[number])
            case _:
                return atom in happened

    def own_edges(self, number: int) -> list[tuple[int, int]]:
        """What comes about in the end: what waits for something outside need not, nor need a visit
        of a step fail that can do anything else."""
        going_on = {
            (self.net.transitions[fired].step, place)
            for fired, _ in self.edges[number]
            if fired != ENDS and not self._fails(fired)
            for place, _ in self.net.transitions[fired].inputs
        }
        return [
            (fired, target)
            for fired, target in self.edges[number]
            if fired == ENDS or not (self._outside(fired) or self._avoids(fired, going_on))
        ]

    def own(self, number: int) -> list[int]:
        """Where that leads."""
        return [target for _, target in self.own_edges(number)]

    def spelled(self, at: int, fired: int) -> tuple[int, ...]:
        """What happens at a state, in net transitions of the whole net."""
        if self.projection is None:
            return (fired,)
        then = self.settling.get((at, fired), ())
        return tuple(
            each for one in (fired, *then) if one >= 0 for each in self.projection.spelled[one]
        )

    def _avoids(self, fired: int, going_on: Collection[tuple[str | None, int]]) -> bool:
        """Whether it is the failure of a visit that can do something else: of the same step, with
        one of the same tokens."""
        each = self.net.transitions[fired]
        return (
            self._fails(fired)
            and each.step is not None
            and any((each.step, place) in going_on for place, _ in each.inputs)
        )

    def _fails(self, fired: int) -> bool:
        each = self.net.transitions[fired]
        return each.ending == "failed" or each.act.startswith("fails")

    def _outside(self, fired: int) -> bool:
        return fired != ENDS and self.net.transitions[fired].outside


class Exploration:
    """Explores the states of a net, as far as some atoms tell them apart.

    Breadth first, or depth first if `deep`. Ends are explored as soon as they are found, since what
    breaks a formula is often one.
    """

    def __init__(
        self,
        projection: Projection,
        asked: Iterable[Atom],
        *,
        start: State | None = None,
        deep: bool = False,
        budget: Budget = UNBOUNDED,
    ) -> None:
        net = projection.net
        self._asked = frozenset(asked)
        self.states = States(net=net, asked=self._asked, projection=projection)
        self._projection = projection
        self._sees_open = any(atom.name == "open" for atom in self._asked)
        self._numbers: dict[State, int] = {}
        self._todo: deque[int] = deque()
        self._budget, self._deep = budget, deep
        if start is None:
            try:
                marking, self.states.settling[-1, ENDS] = projection.settled(net.initial)
            except TooManyTokens:
                marking = net.initial  # told of when it is explored
            start = (marking, frozenset())
        self._number(start)

    def explore(self, states_max: int) -> States:
        """Go on until all is explored, or there are more states than that."""
        found = self.states
        found.stopped = None
        while self._todo:
            at = self._todo.pop() if self._deep else self._todo.popleft()
            try:
                found.edges[at] = list(self._edges(at))
            except TooManyTokens as error:
                found.stopped = Inconclusive(bound="tokens", limit=255, place=error.place)
                break
            found.unexplored.discard(at)
            if len(found.states) > states_max:
                found.stopped = Inconclusive(bound="states", limit=states_max)
                break
            if self._budget.over:
                found.stopped = Inconclusive(bound="time", limit=self._budget.time_max_ms or 0)
                break
        return found

    def _edges(self, at: int) -> Iterator[tuple[int, int]]:
        net = self.states.net
        marking, happened = self.states.states[at]
        for fired, each in enumerate(net.transitions):
            if not net.enabled(marking, fired):
                continue
            now = happened | (coming_true(each) & self._asked)
            if each.ending == "failed":
                after = marking if self._sees_open else _OVER
                yield fired, self._number((after, now | {_FAILING}))
                continue
            after, settled = self._projection.settled(net.fire(marking, fired))
            if settled:
                self.states.settling[at, fired] = settled
            yield fired, self._number((after, now))

    def _number(self, state: State) -> int:
        found = self.states
        number = self._numbers.get(state)
        if number is None:
            number = self._numbers[state] = len(found.states)
            found.states.append(state)
            found.edges.append([])
            marking, happened = state
            if _FAILING in happened:
                over = (_OVER, happened - {_FAILING} | {_FAILED})
                found.edges[number].append((ENDS, self._number(over)))
            elif not (_DONE in happened or _FAILED in happened):
                if found.net.is_final(marking):
                    over = (_OVER, happened | {_DONE})
                    found.edges[number].append((ENDS, self._number(over)))
                else:
                    found.unexplored.add(number)
                    self._todo.append(number)
        return number


def coming_true(each: NetTransition) -> frozenset[Atom]:
    """The atoms that come true when a net transition happens, but for the end."""
    found = set[Atom]()
    name = _VERBS.get(each.act.split(" ")[0])
    if name is not None and each.step is not None:
        found.add(Atom(name, each.step))
    if name == "failed":
        found.add(Atom("error_occurred"))
    return frozenset(found)


def touching(net: Net, asked: Iterable[Atom]) -> frozenset[int]:
    """The places that atoms look at."""
    steps = {atom.step for atom in asked if atom.name == "open"}
    return frozenset(
        number
        for number, place in enumerate(net.places)
        if place.step in steps and place.id.startswith(_OPEN)
    )
