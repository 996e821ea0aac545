"""From a formula in LTL to a table that says when an execution has broken it for good.

The construction is that of three-valued monitors (A. Bauer, M. Leucker, C. Schallhart, "Runtime
Verification for LTL and TLTL", 2011): an automaton of what the formula still asks for; of it those
states from which some word is accepted; and what of that is left after each letter, made
deterministic. Where nothing is left, no future can mend it. The automaton is a tableau whose
acceptance is on transitions, one condition for each `U` (J.-M. Couvreur, 1999).

A word's letters are the truths of the formula's atoms, a bit each, in the order of `atoms`. Those
that are true for ever once they are (`lasting`) are known to be so. A word that ends repeats its
last letter.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from heliostat.engine.properties import ltl
from heliostat.engine.properties.atoms import FALSE, TRUE, Atom

ATOMS_MAX: Final = 6
STATES_MAX: Final = 300
"""Of a table; a formula that needs more is not watched."""

WAYS_MAX: Final = 32
EDGES_MAX: Final = 8_000
"""Of the automaton, from a state by one letter, and in all: 0.1 s of CPU where a plan is made."""

_Set: TypeAlias = frozenset[ltl.Formula]
_Node: TypeAlias = tuple[_Set, int]
"""What is asked for, and the lasting atoms that are true."""
_Way: TypeAlias = tuple[_Set, frozenset[ltl.Formula]]
"""What is asked for next, and the `U` put off."""

BROKEN: Final = -1


class TooLarge(Exception):
    """The formula needs more states or atoms than a table may have."""


@dataclass(frozen=True, slots=True)
class Table:
    """A deterministic monitor: begins in state 0, and reads letter after letter."""

    atoms: tuple[Atom, ...]
    next: tuple[tuple[int, ...], ...]
    """By state and letter; `BROKEN`: violated, whatever comes."""
    ends: tuple[int, ...]
    """By state: a bit for each letter that violates the formula when the word ends with it, which
    has been read by then."""


def table_of(formula: ltl.Formula, lasting: Iterable[Atom] = ()) -> Table:
    """The monitor of a formula without `X`.

    Raises:
        TooLarge: it has more than `ATOMS_MAX` atoms, or needs more than `STATES_MAX` states.
    """
    whole = ltl.normal(formula)
    atoms = tuple(sorted(_named(whole), key=str))
    if len(atoms) > ATOMS_MAX:
        raise TooLarge(f"{len(atoms)} atoms, at most {ATOMS_MAX}")
    kept = frozenset(lasting)
    return _Builder(atoms, sum(1 << n for n, each in enumerate(atoms) if each in kept)).table(whole)


def _named(formula: ltl.Formula) -> set[Atom]:
    return {atom for atom in ltl.atoms(formula) if atom not in (TRUE, FALSE)}


class _Builder:
    def __init__(self, atoms: tuple[Atom, ...], lasting: int) -> None:
        self._atoms, self._lasting = atoms, lasting
        self._bits = {atom: 1 << number for number, atom in enumerate(atoms)}
        self._letters = range(1 << len(atoms))
        self._known: dict[tuple[_Set, int], frozenset[_Way]] = {}
        self._untils: frozenset[ltl.Formula] = frozenset()

    def table(self, whole: ltl.Formula) -> Table:
        self._untils = frozenset(_untils(whole))
        first: _Set = frozenset({whole})
        live = self._live(first)
        states: dict[tuple[frozenset[_Set], int], int] = {}
        rows: list[tuple[int, ...]] = []
        ends: list[int] = []
        todo: list[tuple[frozenset[_Set], int]] = []

        def number(sets: frozenset[_Set], mask: int) -> int:
            left = frozenset(each for each in sets if (each, mask) in live)
            if not left:
                return BROKEN
            state = (left, mask)
            if state not in states:
                if len(states) >= STATES_MAX:
                    raise TooLarge(f"more than {STATES_MAX} states")
                states[state] = len(states)
                todo.append(state)
            return states[state]

        if number(frozenset({first}), 0) == BROKEN:
            return Table(self._atoms, ((BROKEN,) * len(self._letters),), (0,))
        while len(rows) < len(todo):
            sets, mask = todo[len(rows)]
            row = []
            for letter in self._letters:
                after = {way[0] for each in sets for way in self._ways(each, letter)}
                row.append(number(frozenset(after), letter & self._lasting | mask))
            rows.append(tuple(row))
            ends.append(
                sum(
                    1 << letter
                    for letter in self._letters
                    if not any(self._stays(each, letter) for each in sets)
                )
            )
        return Table(self._atoms, tuple(rows), tuple(ends))

    # -- the automaton

    def _ways(self, asked: _Set, letter: int) -> frozenset[_Way]:
        """What may be asked for after a letter, where all of `asked` holds from it on."""
        known = self._known.get((asked, letter))
        if known is not None:
            return known
        found: set[_Way] = {(frozenset(), frozenset())}
        for each in asked:
            ways = self._of(each, letter)
            found = {(one[0] | way[0], one[1] | way[1]) for one in found for way in ways}
            if len(found) > WAYS_MAX:
                raise TooLarge(f"more than {WAYS_MAX} ways on from one state")
        least = {
            way
            for way in found
            if not any(o != way and o[0] <= way[0] and o[1] <= way[1] for o in found)
        }
        self._known[asked, letter] = frozenset(least)
        return self._known[asked, letter]

    def _of(self, formula: ltl.Formula, letter: int) -> set[_Way]:
        fine: set[_Way] = {(frozenset(), frozenset())}
        match formula:
            case Atom("true"):
                return fine
            case Atom("false"):
                return set()
            case Atom():
                return fine if letter & self._bits[formula] else set()
            case ltl.Not(inner):
                assert isinstance(inner, Atom), "in normal form"
                return set() if letter & self._bits[inner] else fine
            case ltl.And(left, right):
                return set(self._ways(frozenset({left, right}), letter))
            case ltl.Or(left, right):
                return self._of(left, letter) | self._of(right, letter)
            case ltl.Until(left, right):
                later = {(way[0] | {formula}, way[1] | {formula}) for way in self._of(left, letter)}
                return self._of(right, letter) | later
            case ltl.Release(left, right):
                both = set(self._ways(frozenset({left, right}), letter))
                return both | {(way[0] | {formula}, way[1]) for way in self._of(right, letter)}
            case ltl.Next():
                raise TooLarge("`X` counts what happens, and is not watched")

    def _edges(self, node: _Node) -> Iterator[tuple[_Node, frozenset[ltl.Formula]]]:
        asked, mask = node
        for letter in self._letters:
            if letter & mask == mask:
                for after, put_off in self._ways(asked, letter):
                    yield (after, letter & self._lasting), put_off

    def _live(self, first: _Set) -> set[_Node]:
        """The nodes from which some word is accepted."""
        edges: dict[_Node, list[tuple[_Node, frozenset[ltl.Formula]]]] = {}
        todo: list[_Node] = [(first, 0)]
        count = 0
        while todo:
            node = todo.pop()
            if node in edges:
                continue
            edges[node] = list(dict.fromkeys(self._edges(node)))
            count += len(edges[node])
            if count > EDGES_MAX:
                raise TooLarge(f"more than {EDGES_MAX} edges of its automaton")
            todo += [after for after, _ in edges[node]]
        accepting = {
            node for part in _components(edges) if self._accepts(part, edges) for node in part
        }
        return _reaching(edges, accepting)

    def _accepts(
        self,
        part: set[_Node],
        edges: dict[_Node, list[tuple[_Node, frozenset[ltl.Formula]]]],
    ) -> bool:
        """Whether a word may stay in a component and put no `U` off for ever."""
        within = [off for node in part for after, off in edges[node] if after in part]
        return bool(within) and all(
            any(until not in off for off in within) for until in self._untils
        )

    def _stays(self, asked: _Set, letter: int) -> bool:
        """Whether the word that repeats one letter is accepted."""
        edges: dict[_Node, list[tuple[_Node, frozenset[ltl.Formula]]]] = {}
        todo: list[_Node] = [(asked, 0)]
        while todo:
            node = todo.pop()
            if node not in edges:
                ways = self._ways(node[0], letter)
                edges[node] = [((after, 0), off) for after, off in ways]
                todo += [after for after, _ in edges[node]]
        return any(self._accepts(part, edges) for part in _components(edges))


def _untils(formula: ltl.Formula) -> Iterator[ltl.Formula]:
    if isinstance(formula, ltl.Until):
        yield formula
    for part in ltl.parts(formula):
        yield from _untils(part)


_Edges: TypeAlias = dict[_Node, list[tuple[_Node, frozenset[ltl.Formula]]]]


def _components(edges: _Edges) -> list[set[_Node]]:
    """The strongly connected components (S. R. Kosaraju), without recursion."""
    order: list[_Node] = []
    seen: set[_Node] = set()
    for root in edges:
        if root in seen:
            continue
        seen.add(root)
        stack = [(root, iter(edges[root]))]
        while stack:
            node, rest = stack[-1]
            step = next(rest, None)
            if step is None:
                order.append(node)
                stack.pop()
            elif step[0] not in seen:
                seen.add(step[0])
                stack.append((step[0], iter(edges[step[0]])))
    back = _reversed(edges)
    found: list[set[_Node]] = []
    placed: set[_Node] = set()
    for root in reversed(order):
        if root in placed:
            continue
        part, todo = set[_Node](), [root]
        while todo:
            node = todo.pop()
            if node not in placed:
                placed.add(node)
                part.add(node)
                todo += back.get(node, ())
        found.append(part)
    return found


def _reaching(edges: _Edges, goal: set[_Node]) -> set[_Node]:
    back = _reversed(edges)
    found, todo = set(goal), list(goal)
    while todo:
        for node in back.get(todo.pop(), ()):
            if node not in found:
                found.add(node)
                todo.append(node)
    return found


def _reversed(edges: _Edges) -> dict[_Node, list[_Node]]:
    back: dict[_Node, list[_Node]] = {}
    for node, steps in edges.items():
        for after, _ in steps:
            back.setdefault(after, []).append(node)
    return back
