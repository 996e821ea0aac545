"""Whether the executions of a definition satisfy a formula, by labelling all their states.

**Fairness.** What can come about again and again comes about at some time, but for what waits for
something outside (a deadline, an event that a handler takes), and for the failure of a step that
can do anything else. So a loop that can be left is left, a retry is no reason against `AF`, and
nothing ends only because it might fail. Of such fair ways `AF f` fails just where some way leads,
without `f`, to where `f` cannot come about any more by itself; that is what is looked for.

The net allows every outcome of conditions and attempts: what holds on all ways holds whatever the
data is; what holds on some way does so for some outcomes, which no data may have.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from heliostat.engine.plan.plan import Plan
from heliostat.engine.properties.atoms import Atom, Misformed
from heliostat.engine.properties.ctl import (
    Always,
    And,
    Formula,
    Inevitable,
    Next,
    Not,
    Until,
    atoms,
    mentions,
    parse,
)
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.logic.states import States, states_of
from heliostat.verify.nets.net import TooManyTokens
from heliostat.verify.nets.translation import translate
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Verdict

STATES_MAX: Final = 50_000
"""States of one formula; with more the answer is inconclusive."""


def check_formula(
    plan: Plan,
    text: str,
    *,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Verdict:
    """The verdict about one formula, with a run that breaks it where one shows it.

    Raises:
        Misformed: it is no formula, or speaks of a step that there is not.
    """
    formula = parse(text)
    for each in mentions(text):
        if each.step not in plan.step_by_id:
            raise Misformed(text, each.start, each.end, f"there is no such step as `{each.step}`")
    budget = Budget(time_max_ms, now_ms)
    try:
        made = translate(plan, "proof", budget)
    except (TooManyTokens, OutOfTime) as error:
        reason = str(error)
        if isinstance(error, OutOfTime):
            reason = f"the bound of {error} was reached"
        return Verdict(asked=text, outcome="inconclusive", engine="none", reason=reason)
    states = states_of(
        made.net,
        atoms(formula),
        states_max=states_max,
        time_max_ms=budget.left_ms(),
        now_ms=now_ms,
    )
    over = next((made.overflows[p] for p in made.overflows if _marked(states, p)), None)
    if states.stopped is not None or over is not None:
        reason = f"the bound of {states.stopped} was reached"
        if over is not None:
            reason = f"more visits of {over!r} may be open at once than the net holds"
        return Verdict(asked=text, outcome="inconclusive", engine="labelling", reason=reason)
    labels = Labels(states)
    if 0 in labels.of(formula):
        return Verdict(
            asked=text,
            outcome="holds",
            engine="labelling",
            reason=f"in all {len(states.states)} states",
            rests_on=made.abstractions,
        )
    return Verdict(
        asked=text,
        outcome="fails",
        engine="labelling",
        reason="it does not hold at the start",
        rests_on=made.abstractions,
        run=acts(made.net, labels.against(formula)),
    )


def _marked(states: States, place: int) -> bool:
    return any(marking[place] for marking, _ in states.states)


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
