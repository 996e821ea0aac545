"""Whether the executions of a definition satisfy a formula.

**Fairness.** What can come about again and again comes about again and again, but for what waits
for something outside (a deadline, an event that a handler takes), and for the failure of a step
that can do anything else. So a loop that can be left is left, a retry is no reason against `F`, and
nothing ends only because it might fail.

The net allows every outcome of conditions and attempts: what holds on all ways holds whatever the
data is; what holds on some way does so for some outcomes, which no data may have.

A formula of LTL is negated and made an automaton, and a fair run is looked for that it accepts. One
of CTL that says the same as one of LTL is answered so too; the others are labelled, in all states.
Where the formula allows it (`projection`) the net is first made as small as what it sees.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, Literal

from heliostat.engine.plan.plan import Plan
from heliostat.engine.properties import ctl, ltl
from heliostat.engine.properties.atoms import Atom, Misformed
from heliostat.engine.properties.reading import Mention
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.logic.buchi import (
    Automaton,
    TooManyStates,
    accepts_failing,
    automaton_of,
    is_very_weak,
)
from heliostat.verify.logic.labelling import Labels
from heliostat.verify.logic.lassos import STAYS, Lasso, fair_lasso
from heliostat.verify.logic.projection import Projection, project, whole
from heliostat.verify.logic.states import ENDS, Exploration, States, coming_true, touching
from heliostat.verify.nets.net import Net, TooManyTokens
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Verdict

__all__ = ["STATES_MAX", "Logic", "check_formula", "made_once"]

STATES_MAX: Final = 50_000
"""States of one formula; with more the answer is inconclusive."""

_LOOK_MAX: Final = 500
_DIVE_MAX: Final = 10_000
"""States after which a run that breaks the formula is looked for before all are explored: first
near the start, then along the first ways to the end. What it shows needs no others."""

_FULL_MAX: Final = 2_000
"""States of the whole net in which a loop is looked for, to be told."""

Logic = Literal["ctl", "ltl"]


def check_formula(
    plan: Plan,
    text: str,
    *,
    logic: Logic = "ctl",
    made: Translation | str | None = None,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
) -> Verdict:
    """The verdict about one formula, with a run that breaks it where one shows it.

    Args:
        made: what `made_once` answers of the plan, where several formulas are asked for.

    Raises:
        Misformed: it is no formula, or speaks of a step that there is not.
    """
    budget = Budget(time_max_ms, now_ms)
    net = made_once(plan, budget) if made is None else made
    subject = _Subject(net, text, states_max, budget)
    if logic == "ltl":
        linear = ltl.parse(text)
        _check_steps(plan, text, ltl.mentions(text))
        return subject.linear(linear)
    formula = ctl.parse(text)
    _check_steps(plan, text, ctl.mentions(text))
    same, opposite = ltl.of_ctl(formula), ltl.of_ctl(ctl.Not(formula))
    if same is not None:
        return subject.linear(same)
    if opposite is not None:
        return subject.linear(opposite, opposite=True)
    return subject.branching(formula)


def made_once(plan: Plan, budget: Budget) -> Translation | str:
    """The net of a plan that formulas are asked of, or why there is none."""
    try:
        return translate(plan, "proof", budget)
    except TooManyTokens as error:
        return str(error)
    except OutOfTime as error:
        return _bound(str(error))


def _check_steps(plan: Plan, text: str, mentions: tuple[Mention, ...]) -> None:
    for each in mentions:
        if each.step not in plan.step_by_id:
            raise Misformed(text, each.start, each.end, f"there is no such step as `{each.step}`")


class _Subject:
    """A net that is asked for one formula."""

    def __init__(
        self, made: Translation | str, asked: str, states_max: int, budget: Budget
    ) -> None:
        self._made, self._asked = made, asked
        self._states_max, self._budget = states_max, budget

    def branching(self, formula: ctl.Formula) -> Verdict:
        """The verdict by labelling all states."""
        made = self._made
        if isinstance(made, str):
            return self._inconclusive("none", made)
        exploration = Exploration(whole(made.net), ctl.atoms(formula), budget=self._budget)
        states = exploration.explore(self._states_max)
        if (unknown := _unknown(states, made)) is not None:
            return self._inconclusive("labelling", unknown)
        labels = Labels(states)
        if 0 in labels.of(formula):
            return Verdict(
                asked=self._asked,
                outcome="holds",
                engine="labelling",
                reason=f"in all {len(states.states)} states",
                rests_on=made.abstractions,
            )
        return Verdict(
            asked=self._asked,
            outcome="fails",
            engine="labelling",
            reason="it does not hold at the start",
            rests_on=made.abstractions,
            run=acts(made.net, [each for each in labels.against(formula) if each != ENDS]),
        )

    def linear(self, formula: ltl.Formula, *, opposite: bool = False) -> Verdict:
        """The verdict by a search for a fair run that breaks a formula; with `opposite` the formula
        is the negation of what was asked."""
        made = self._made
        if isinstance(made, str):
            return self._inconclusive("none", made)
        try:
            automaton = automaton_of(ltl.Not(formula))
            projection = _projection(made, automaton, formula, self._budget)
            found = self._searched(made, projection, automaton, formula)
        except (TooManyStates, OutOfTime) as error:
            return self._inconclusive("automaton", _bound(str(error)))
        if found.outcome == "inconclusive" or not opposite:
            return found
        broken = found.outcome == "fails"
        return Verdict(
            asked=self._asked,
            outcome="holds" if broken else "fails",
            engine=found.engine,
            reason="a run is as it says" if broken else "no run is as it says",
            rests_on=made.abstractions,
        )

    def _searched(
        self,
        made: Translation,
        projection: Projection,
        automaton: Automaton,
        formula: ltl.Formula,
    ) -> Verdict:
        atoms = ltl.atoms(formula)
        smaller = len(projection.net.transitions) < len(made.net.transitions)
        engine = "automaton, of the projected net" if smaller else "automaton"
        near = Exploration(projection, atoms, budget=self._budget)
        deep = Exploration(projection, atoms, deep=True, budget=self._budget)
        states, unknown = near.states, None
        for exploration, states_max in (
            (near, _LOOK_MAX),
            (deep, _DIVE_MAX),
            (near, _LOOK_MAX * 10),
            (near, self._states_max),
        ):
            states = exploration.explore(min(states_max, self._states_max))
            lasso = fair_lasso(states, automaton, budget=self._budget)
            unknown = _unknown(states, made)
            if lasso is not None and not _crowded(states, lasso, made):
                return self._broken(made, states, lasso, automaton, engine)
            if states.stopped is None or states.stopped.bound != "states":
                break
        if unknown is not None:
            return self._inconclusive(engine, unknown)
        return Verdict(
            asked=self._asked,
            outcome="holds",
            engine=engine,
            reason=f"no fair run through {len(states.states)} states breaks it",
            rests_on=made.abstractions,
        )

    def _broken(
        self, made: Translation, states: States, lasso: Lasso, automaton: Automaton, engine: str
    ) -> Verdict:
        """What a run shows, in the whole net."""
        run, loop = _in_full(made.net, states, lasso, automaton)
        return Verdict(
            asked=self._asked,
            outcome="fails",
            engine=engine,
            reason=f"a run breaks it{_after(lasso, loop)}",
            rests_on=made.abstractions,
            run=acts(made.net, run),
            loop=acts(made.net, loop),
        )

    def _inconclusive(self, engine: str, reason: str) -> Verdict:
        return Verdict(asked=self._asked, outcome="inconclusive", engine=engine, reason=reason)


def _projection(
    made: Translation, automaton: Automaton, formula: ltl.Formula, budget: Budget
) -> Projection:
    """The net as far as the formula sees it, where that changes no answer."""
    atoms = ltl.atoms(formula)
    if _has_next(formula) or Atom("stuck") in atoms or not is_very_weak(automaton):
        return whole(made.net)
    asked = frozenset(atoms)
    return project(
        made.net,
        seen=lambda each: bool(coming_true(each) & asked),
        watched=touching(made.net, atoms) | made.overflows.keys(),
        failing=accepts_failing(automaton, formula),
        budget=budget,
    )


def _has_next(formula: ltl.Formula) -> bool:
    todo = [formula]
    while todo:
        each = todo.pop()
        if isinstance(each, ltl.Next):
            return True
        todo += ltl.parts(each)
    return False


def _in_full(
    net: Net, states: States, lasso: Lasso, automaton: Automaton
) -> tuple[list[int], list[int]]:
    """A lasso in the whole net. Where it comes to rest in the projected one, what goes on for ever
    unseen is looked for in the whole, and left away if that takes too long."""
    projection = states.projection
    assert projection is not None
    run = [*projection.before, *states.spelled(-1, ENDS), *_spelled(states, lasso.prefix)]
    if lasso.decided and lasso.prefix:  # by what happens last, not by what follows on it unseen
        unseen = len(_spelled(states, lasso.prefix[-1:])) - 1
        run = run[: len(run) - max(unseen, 0)]
    loop = _spelled(states, lasso.loop)
    marking, happened = net.initial, states.states[lasso.entry[0]][1]
    for fired in run:
        assert net.enabled(marking, fired), net.transitions[fired].id
        if net.transitions[fired].ending == "failed":
            return run, loop
        marking = net.fire(marking, fired)
    if loop or lasso.decided or projection.net is net or net.is_final(marking):
        return run, loop
    going_on = Exploration(whole(net), states.asked, start=(marking, happened))
    then = fair_lasso(going_on.explore(_FULL_MAX), replace(automaton, initial=[lasso.entry[1]]))
    if then is None:
        return run, loop
    run += _spelled(going_on.states, then.prefix)
    loop = _spelled(going_on.states, then.loop)
    while loop and run and run[-1] == loop[-1]:  # the loop begins as early as it may
        loop.insert(0, loop.pop())
        run.pop()
    return run, loop


def _spelled(states: States, run: tuple[tuple[int, int], ...]) -> list[int]:
    """What happens, in net transitions of the whole net."""
    return [
        each
        for at, fired in run
        if fired not in (STAYS, ENDS)
        for each in states.spelled(at, fired)
    ]


def _after(lasso: Lasso, loop: list[int]) -> str:
    if lasso.decided:
        return ", whatever follows"
    return ", and goes round for ever" if loop else ", and nothing mends it"


def _crowded(states: States, lasso: Lasso, made: Translation) -> bool:
    """Whether a run leads where more visits are open than the net holds: it may be none."""
    on_the_way = {at for at, _ in (*lasso.prefix, *lasso.loop)} | {lasso.entry[0]}
    markings = [states.states[at][0] for at in on_the_way]
    return any(marking[place] for place in made.overflows for marking in markings if marking)


def _unknown(states: States, made: Translation) -> str | None:
    """Why the states are not all that there are."""
    over = next((each for place, each in made.overflows.items() if _marked(states, place)), None)
    if over is not None:
        return f"more visits of {over!r} may be open at once than the net holds"
    return None if states.stopped is None else _bound(str(states.stopped))


def _bound(reached: str) -> str:
    return f"the bound of {reached} was reached"


def _marked(states: States, place: int) -> bool:
    return any(marking[place] for marking, _ in states.states if marking)
