"""In which states formulas of CTL hold, by labelling all of them.

Of fair ways `AF f` fails just where some way leads, without `f`, to where `f` cannot come about any
more by itself; that is what is looked for.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection

from heliostat.engine.properties.atoms import Atom
from heliostat.engine.properties.ctl import (
    Always,
    And,
    Formula,
    Inevitable,
    Next,
    Not,
    Until,
)
from heliostat.verify.logic.states import States


class Labels:
    """In which states formulas hold."""

    def __init__(self, states: States) -> None:
        self._states = states
        self._all = frozenset(range(len(states.states)))
        self._before: list[list[int]] = [[] for _ in self._all]
        self._before_own: list[list[int]] = [[] for _ in self._all]
        for number, edges in enumerate(states.edges):
            for _, target in edges:
                self._before[target].append(number)
            for target in states.own(number):
                self._before_own[target].append(number)
        self._known: dict[Formula, frozenset[int]] = {}

    def of(self, formula: Formula) -> frozenset[int]:
        """The states in which it holds."""
        if formula not in self._known:
            self._known[formula] = self._labelled(formula)
        return self._known[formula]

    def _labelled(self, formula: Formula) -> frozenset[int]:
        match formula:
            case Atom():
                return frozenset(n for n in self._all if self._states.holds(formula, n))
            case Not(inner):
                return self._all - self.of(inner)
            case And(left, right):
                return self.of(left) & self.of(right)
            case Next(inner):
                return frozenset(n for each in self.of(inner) for n in self._before[each])
            case Until(left, right):
                return self._until(self.of(left), self.of(right), self._before)
            case Always(inner):
                return self._all - self._until(self._all, self._all - self.of(inner), self._before)
            case Inevitable(inner):
                without = self._all - self.of(inner)
                return self._all - self._until(without, self._lost(inner), self._before)

    def _lost(self, inner: Formula) -> frozenset[int]:
        """Where it cannot come about any more by itself."""
        return self._all - self._until(self._all, self.of(inner), self._before_own)

    @staticmethod
    def _until(
        along: Collection[int], to: Collection[int], before: list[list[int]]
    ) -> frozenset[int]:
        found, todo = set(to), list(to)
        while todo:
            for number in before[todo.pop()]:
                if number in along and number not in found:
                    found.add(number)
                    todo.append(number)
        return frozenset(found)

    def against(self, formula: Formula, at: int = 0) -> tuple[int, ...]:
        """A run from a state that shows why it does not hold there; empty where no one run does."""
        match formula:
            case And(left, right):
                return self.against(right if at in self.of(left) else left, at)
            case Not(And(_, Not(then))):  # an implication
                return self.against(then, at)
            case Always(inner):
                run, end = self._way(at, self._all, self._all - self.of(inner))
                return run + self.against(inner, end)
            case Inevitable(inner):
                run, _ = self._way(at, self._all - self.of(inner), self._lost(inner))
                return run
            case _:
                return ()

    def _way(
        self, at: int, along: Collection[int], to: Collection[int]
    ) -> tuple[tuple[int, ...], int]:
        """The shortest run to one of some states, and which that is."""
        seen, todo = {at}, deque([(at, tuple[int, ...]())])
        while todo:
            number, run = todo.popleft()
            if number in to:
                return run, number
            for fired, target in self._states.edges[number]:
                if target not in seen and (target in along or target in to):
                    seen.add(target)
                    todo.append((target, (*run, fired)))
        return (), at
