"""From a formula of LTL to a Büchi automaton that accepts the sequences of moments that satisfy it.

R. Gerth, D. Peled, M. Y. Vardi, P. Wolper, "Simple on-the-fly automatic verification of linear
temporal logic" (1995): a state holds what is to be true now, as literals, and what is owed to the
next moment; each `U` is a set of states in which it is not owed, one of which is visited again and
again. States that ask for the same now and owe the same are one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from typing import Final

from heliostat.engine.properties.atoms import FALSE, TRUE, Atom
from heliostat.engine.properties.ltl import (
    And,
    Formula,
    Next,
    Not,
    Or,
    Release,
    Until,
    atoms,
    normal,
    parts,
)

AUTOMATON_MAX: Final = 500
"""States; formulas that people write have fewer than twenty."""

PARTS_MAX: Final = 20_000
"""States in the making, most of which turn out to be one that is there."""

LETTERS_MAX: Final = 2**10
"""Moments that are tried one by one, of a formula with ten atoms."""


class TooManyStates(Exception):
    """The automaton of a formula is larger than its bound."""

    def __str__(self) -> str:
        return f"more than {AUTOMATON_MAX} states of the formula's automaton"


@dataclass(frozen=True, kw_only=True)
class Automaton:
    """States by number: what each wants to be true and false, and which may follow."""

    wants: list[tuple[tuple[Atom, bool], ...]] = field(default_factory=list)
    edges: list[list[int]] = field(default_factory=list)
    initial: list[int] = field(default_factory=list)
    accepting: list[frozenset[int]] = field(default_factory=list)
    """Of each one is visited again and again."""

    @cached_property
    def anything(self) -> frozenset[int]:
        """States in which whatever follows is accepted."""
        return frozenset(
            n
            for n, wants in enumerate(self.wants)
            if not wants and n in self.edges[n] and all(n in each for each in self.accepting)
        )

    @cached_property
    def decided(self) -> frozenset[int]:
        """States that lead there at once: where the moment is as they want it, all is decided."""
        return frozenset(n for n, each in enumerate(self.edges) if self.anything.intersection(each))

    def allows(self, state: int, true: Callable[[Atom], bool]) -> bool:
        """Whether a moment is as the state wants it."""
        return all(true(atom) is wanted for atom, wanted in self.wants[state])


def automaton_of(formula: Formula) -> Automaton:
    """The automaton of a formula.

    Raises:
        TooManyStates: it would be larger than `AUTOMATON_MAX`.
    """
    wanted = normal(formula)
    untils = [each for each in _parts_of(wanted) if isinstance(each, Until)]
    made = Automaton()
    numbers: dict[object, int] = {}
    owing: list[frozenset[Formula]] = []
    todo: list[_Node] = [_Node(-1, (wanted,), frozenset(), frozenset())]
    count = 0
    while todo:
        node = todo.pop()
        if node.new:
            count += 1
            if count > PARTS_MAX:
                raise TooManyStates
            todo += node.expanded()
            continue
        literals = frozenset(each for each in node.old if isinstance(each, Atom | Not))
        owed = frozenset(u for u in untils if u in node.old and u.right not in node.old)
        key = (literals, node.next, owed)
        number = numbers.get(key)
        if number is None:
            number = numbers[key] = len(made.wants)
            if number == AUTOMATON_MAX:
                raise TooManyStates
            made.wants.append(tuple(_literal(each) for each in sorted(literals, key=str)))
            made.edges.append([])
            owing.append(owed)
            todo.append(_Node(number, tuple(sorted(node.next, key=str)), frozenset(), frozenset()))
        (made.initial if node.before < 0 else made.edges[node.before]).append(number)
    made.accepting.extend(
        frozenset(number for number, owed in enumerate(owing) if until not in owed)
        for until in dict.fromkeys(untils)
    )
    return made


def is_very_weak(automaton: Automaton) -> bool:
    """Whether no state comes again once it was left: then a run waits in one state at last."""
    state: dict[int, int] = {}  # 1: on the way, 2: done
    for first in automaton.initial:
        if first in state:
            continue
        state[first] = 1
        stack = [(first, iter(automaton.edges[first]))]
        while stack:
            number, following = stack[-1]
            for target in following:
                if target == number:
                    continue
                if state.get(target) == 1:
                    return False
                if target not in state:
                    state[target] = 1
                    stack.append((target, iter(automaton.edges[target])))
                    break
            else:
                state[number] = 2
                stack.pop()
    return True


def accepts_failing(automaton: Automaton, formula: Formula) -> bool:
    """Whether a run that ends because the execution fails may be accepted where no other would be,
    in whatever state of the automaton the failure comes; rather too often than never.

    First a step fails and all else is as it was; from then on the execution has failed, and nothing
    is open. Where the formula sees none of that the run has only come to rest, and what a moment
    has decided then was decided before: it does not care how long a moment lasts.
    """
    known = [each for each in atoms(formula) if each not in (TRUE, FALSE)]
    free = [each for each in known if each.step is not None]
    if 2 ** len(free) > LETTERS_MAX:
        return True
    names = {each.name for each in known}
    sees_failing = Atom("error_occurred") in known or any(each.name == "failed" for each in free)
    sees_end = bool(names & {"ended", "open"}) or Atom("failed") in known
    before = automaton.anything if sees_failing else automaton.anything | automaton.decided
    within = before if not (sees_failing or sees_end) else frozenset[int]()
    for drawn in product((False, True), repeat=len(free)):
        failing = dict(zip(free, drawn, strict=True))
        failing |= {Atom(name): name == "error_occurred" for name in _WHOLE}
        failed = {atom: value and atom.name != "open" for atom, value in failing.items()}
        failed |= {Atom("failed"): True, Atom("ended"): True}
        stays = _staying(automaton, failed, within)
        for state in set(range(len(automaton.wants))) - before:
            if _fits(automaton, state, failing) and stays.intersection(automaton.edges[state]):
                return True
    return False


_WHOLE: Final = ("done", "failed", "ended", "stuck", "error_occurred")


def _staying(automaton: Automaton, moment: dict[Atom, bool], without: frozenset[int]) -> set[int]:
    """The states from which one moment that never passes is accepted, but for some states."""
    fitting = {n for n in range(len(automaton.wants)) if _fits(automaton, n, moment)} - without
    after = {n: _reached(automaton, n, fitting) for n in fitting}
    good = {
        n
        for n in fitting
        if n in after[n]
        and all(any(m in each for m in after[n] if n in after[m]) for each in automaton.accepting)
    }
    return {n for n in fitting if n in good or after[n] & good}


def _reached(automaton: Automaton, state: int, among: set[int]) -> set[int]:
    """What follows a state within some, after one moment or more."""
    found, todo = set[int](), [state]
    while todo:
        for target in automaton.edges[todo.pop()]:
            if target in among and target not in found:
                found.add(target)
                todo.append(target)
    return found


def _fits(automaton: Automaton, state: int, moment: dict[Atom, bool]) -> bool:
    return automaton.allows(state, lambda atom: moment[atom])


@dataclass(frozen=True, slots=True)
class _Node:
    """A state that is being made: what is still to be taken apart, and what that gave."""

    before: int  # that it follows; -1: nothing
    new: tuple[Formula, ...]
    old: frozenset[Formula]
    next: frozenset[Formula]

    def expanded(self) -> Iterable[_Node]:
        first, rest = self.new[0], self.new[1:]
        if first == TRUE or first in self.old:
            return [self._with(rest)]
        old = self.old | {first}
        match first:
            case Atom():
                if first == FALSE or Not(first) in old:
                    return []
                return [self._with(rest, old)]
            case Not(inner):
                return [] if inner in old else [self._with(rest, old)]
            case And(left, right):
                return [self._with((left, right, *rest), old)]
            case Or(left, right):
                return [self._with((right, *rest), old), self._with((left, *rest), old)]
            case Next(inner):
                return [self._with(rest, old, inner)]
            case Until(left, right):
                later = self._with((left, *rest), old, first)
                return [later, self._with((right, *rest), old)]
            case Release(left, right):
                later = self._with((right, *rest), old, first)
                return [later, self._with((left, right, *rest), old)]

    def _with(
        self,
        new: tuple[Formula, ...],
        old: frozenset[Formula] | None = None,
        later: Formula | None = None,
    ) -> _Node:
        following = self.next if later is None else self.next | {later}
        return _Node(self.before, new, self.old if old is None else old, following)


def _literal(each: Formula) -> tuple[Atom, bool]:
    if isinstance(each, Atom):
        return each, True
    assert isinstance(each, Not)
    assert isinstance(each.inner, Atom)
    return each.inner, False


def _parts_of(formula: Formula) -> Iterable[Formula]:
    todo = [formula]
    while todo:
        each = todo.pop()
        yield each
        todo += parts(each)
