"""The search for a fair run that an automaton accepts: a way to a loop, and the loop.

Runs are those of a graph of states, side by side with a run of a Büchi automaton. **Fair** is a run
that again and again does everything that it could do again and again by itself (`own_edges`);
nothing else is ever forced. So a run may stay for ever where nothing comes about by itself, and
what waits for something outside may wait for ever.

A loop that is fair is a strongly connected part of the product that has all own edges of the states
in it, of each an occurrence, and a state of each accepting set. A state one of whose own edges
leads out of its part lies on no fair loop there; it is taken out, and what is left is looked
through anew, as for the emptiness of Streett automata (Z. Manna, A. Pnueli, "Completing the
Temporal Picture", 1991; O. Lichtenstein, A. Pnueli, POPL 1985).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from heliostat.engine.properties.atoms import Atom
from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.logic.buchi import Automaton

GOALS_MAX: Final = 300
"""Own edges that a loop is led through one by one; a larger one is not spelled out."""

STAYS: Final = -1
"""In a run: nothing happens any more."""


class Graph(Protocol):
    """What is searched; state 0 is the initial one."""

    @property
    def edges(self) -> Sequence[Sequence[tuple[int, int]]]:
        """By state: what happens, and where that leads."""

    @property
    def unexplored(self) -> Collection[int]:
        """States of which not all edges are known, and that no answer may rest on."""

    def own_edges(self, number: int) -> list[tuple[int, int]]:
        """Those that come about by themselves."""

    def holds(self, atom: Atom, number: int) -> bool:
        """Whether an atom is true of a state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lasso:
    """A run: states and what happens, first to a loop, then round it for ever."""

    prefix: tuple[tuple[int, int], ...]  # the state, and what happens there
    loop: tuple[tuple[int, int], ...]  # `STAYS`: nothing, for ever
    entry: tuple[int, int]  # the state and the automaton's state between the two
    decided: bool = False  # by the prefix: whatever follows is accepted, and there is no loop
    whole: bool = True  # False: too large to be spelled out; what is told only begins it


@dataclass(slots=True)
class _Product:
    """Pairs of a state and an automaton's state; a state is `~n` where it is never left."""

    pairs: list[tuple[int, int]] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)
    parents: list[tuple[int, int]] = field(default_factory=list)  # pair, what happened
    decided: int | None = None
    """The first pair from which every run is accepted; nothing behind it is made."""


def fair_lasso(graph: Graph, automaton: Automaton, *, budget: Budget = UNBOUNDED) -> Lasso | None:
    """The nearest fair run that the automaton accepts.

    Raises:
        OutOfTime: the budget is used up.
    """
    own = [graph.own_edges(n) if n not in graph.unexplored else [] for n in range(len(graph.edges))]
    made = _product(graph, automaton, own, budget)
    if made.decided is not None:
        way, pair = _way_to(made, made.decided), made.pairs[made.decided]
        return Lasso(prefix=tuple(way), loop=(), entry=pair, decided=True)
    best: list[int] | None = None
    todo: list[Collection[int]] = [range(len(made.pairs))]
    while todo:
        for part in _components(made, todo.pop(), budget):
            if best is not None and min(part) >= min(best):
                continue
            if not all(any(made.pairs[n][1] in each for n in part) for each in automaton.accepting):
                continue
            left_out = _unfair(made, part, own)
            if not left_out:
                best = part
            elif len(left_out) < len(part):
                todo.append([n for n in part if n not in left_out])
    return None if best is None else _lasso(made, automaton, own, best)


def _product(
    graph: Graph,
    automaton: Automaton,
    own: Sequence[Sequence[tuple[int, int]]],
    budget: Budget,
) -> _Product:
    made, numbers = _Product(), dict[tuple[int, int], int]()
    allowed: list[list[bool] | None] = [None] * len(graph.edges)

    def allows(state: int, wanted: int) -> bool:
        found = allowed[state]
        if found is None:
            found = allowed[state] = [
                automaton.allows(each, lambda atom: graph.holds(atom, state))
                for each in range(len(automaton.wants))
            ]
        return found[wanted]

    def discover(pair: tuple[int, int], parent: tuple[int, int]) -> int:
        number = numbers.get(pair)
        if number is None:
            number = numbers[pair] = len(made.pairs)
            made.pairs.append(pair)
            made.edges.append([])
            made.parents.append(parent)
            if pair[1] in automaton.decided and made.decided is None:
                made.decided = number
        return number

    for first in automaton.initial:
        if allows(0, first):
            discover((0, first), (-1, STAYS))
    at = 0
    while at < len(made.pairs) and made.decided is None:
        state, wanted = made.pairs[at]
        steps: list[tuple[int, int]] = []  # what happens, the state after it
        if state < 0:
            steps = [(STAYS, state)]
        elif state not in graph.unexplored:
            steps = list(graph.edges[state])
            if not own[state]:
                steps.append((STAYS, ~state))
        for fired, target in steps:
            real = target if target >= 0 else ~target
            for following in automaton.edges[wanted]:
                if allows(real, following):
                    made.edges[at].append((fired, discover((target, following), (at, fired))))
        at += 1
        if at % 500 == 0:
            budget.check()
    return made


def _unfair(
    made: _Product, part: Sequence[int], own: Sequence[Sequence[tuple[int, int]]]
) -> set[int]:
    """The pairs of a part whose states have an own edge that the part has not."""
    members = set(part)
    taken = {
        (made.pairs[n][0], fired, made.pairs[target][0])
        for n in part
        for fired, target in made.edges[n]
        if target in members
    }
    lacking = {
        state
        for state in {made.pairs[n][0] for n in part}
        if state >= 0 and any((state, fired, target) not in taken for fired, target in own[state])
    }
    return {n for n in part if made.pairs[n][0] in lacking}


def _components(made: _Product, among: Collection[int], budget: Budget) -> Iterator[list[int]]:
    """The strongly connected parts that have an edge (R. Tarjan, 1972), within some pairs."""
    members = among if isinstance(among, range) else set(among)
    index: dict[int, int] = {}
    low: dict[int, int] = {}
    stack: list[int] = []
    on_stack: set[int] = set()
    for root in among:
        if root in index:
            continue
        index[root] = low[root] = len(index)
        stack.append(root)
        on_stack.add(root)
        work = [(root, iter(made.edges[root]))]
        while work:
            node, following = work[-1]
            for _, target in following:
                if target not in members:
                    continue
                if target not in index:
                    index[target] = low[target] = len(index)
                    if len(index) % 500 == 0:
                        budget.check()
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(made.edges[target])))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    part = []
                    while True:
                        each = stack.pop()
                        on_stack.discard(each)
                        part.append(each)
                        if each == node:
                            break
                    if len(part) > 1 or any(target == node for _, target in made.edges[node]):
                        yield part


def _lasso(
    made: _Product,
    automaton: Automaton,
    own: Sequence[Sequence[tuple[int, int]]],
    part: Sequence[int],
) -> Lasso:
    entry = min(part)  # the first that was found is the nearest
    loop, whole = _round(made, automaton, own, part, entry)
    state, wanted = made.pairs[entry]
    pair = (state if state >= 0 else ~state, wanted)
    way = _way_to(made, entry)
    return Lasso(prefix=tuple(way), loop=tuple(loop), entry=pair, whole=whole)


def _way_to(made: _Product, pair: int) -> list[tuple[int, int]]:
    found = list[tuple[int, int]]()
    while made.parents[pair][0] >= 0:
        before, fired = made.parents[pair]
        if fired != STAYS:
            found.append((made.pairs[before][0], fired))
        pair = before
    return found[::-1]


def _round(
    made: _Product,
    automaton: Automaton,
    own: Sequence[Sequence[tuple[int, int]]],
    part: Sequence[int],
    entry: int,
) -> tuple[list[tuple[int, int]], bool]:
    """A closed walk through all that the loop owes, each time to what is nearest."""
    members = set(part)
    states = {made.pairs[n][0] for n in part}
    owed = {
        (state, fired, target) for state in states if state >= 0 for fired, target in own[state]
    }
    whole = len(owed) <= GOALS_MAX
    if not whole:
        owed = set()
    sets = [each for each in automaton.accepting if made.pairs[entry][1] not in each]
    walk: list[tuple[int, int]] = []
    at = entry
    while True:
        way = _nearest(made, members, at, owed, sets, entry)
        for number, fired, target in way:
            state = made.pairs[number][0]
            walk.append((state if state >= 0 else ~state, fired))
            owed.discard((state, fired, made.pairs[target][0]))
            sets = [each for each in sets if made.pairs[target][1] not in each]
            at = target
        if not owed and not sets and at == entry:
            return walk, whole


def _nearest(
    made: _Product,
    members: set[int],
    at: int,
    owed: set[tuple[int, int, int]],
    sets: Sequence[frozenset[int]],
    entry: int,
) -> list[tuple[int, int, int]]:
    """The shortest walk to something that is owed; back to the entry where nothing is."""
    done = not owed and not sets
    ways: dict[int, tuple[int, int]] = {}
    todo = deque([at])
    seen = {at}
    while todo:
        number = todo.popleft()
        state = made.pairs[number][0]
        for fired, target in made.edges[number]:
            if target not in members:
                continue
            reached = (
                target == entry
                if done
                else (state, fired, made.pairs[target][0]) in owed
                or any(made.pairs[target][1] in each for each in sets)
            )
            if reached:
                found = [(number, fired, target)]
                while number != at:
                    before, happened = ways[number]
                    found.append((before, happened, number))
                    number = before
                return found[::-1]
            if target not in seen:
                seen.add(target)
                ways[target] = (number, fired)
                todo.append(target)
    raise AssertionError("a part is strongly connected")
