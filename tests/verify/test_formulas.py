"""Formulas: how they are read, what they mean of graphs, and of definitions."""

from __future__ import annotations

from itertools import combinations
from random import Random
from typing import Final, cast

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.properties.atoms import Atom, Misformed
from heliostat.engine.properties.ctl import (
    Always,
    And,
    Formula,
    Inevitable,
    Next,
    Not,
    Until,
    parse,
)
from heliostat.engine.properties.reading import DEPTH_MAX
from heliostat.verify.logic.checking import STATES_MAX, check_formula
from heliostat.verify.logic.labelling import Labels
from heliostat.verify.logic.states import States
from heliostat.verify.properties.verdict import Verdict
from tests.verify.test_reports import BYPASSED, CHOSEN, HEAD, ROUND, SOUND

RETRY: Final = (
    HEAD
    + """\
steps:
  - {id: call, type: activity, activity: "m:f", next: look, on_error: [{next: pause}]}
  - {id: pause, type: timer, duration: 1m, next: call}
  - {id: look, type: decision, next: [{when: $.input.fine, to: ship}, {to: call}]}
  - {id: ship, type: decision}
"""
)


def asked(definition: str, formula: str, *, states_max: int = STATES_MAX) -> Verdict:
    plan = compile_plan(parse_definition(definition))
    return check_formula(plan, formula, states_max=states_max)


class TestReading:
    def test_operators_bind_as_usual(self) -> None:
        assert parse("!open(a) & done -> ended") == parse("((!open(a)) & done) -> ended")
        assert parse("done | ended & stuck") == parse("done | (ended & stuck)")
        assert parse("AG done -> ended") == parse("(AG done) -> ended")

    def test_all_are_said_by_a_few(self) -> None:
        done = Atom("done")
        assert parse("AG done") == Always(done)
        assert parse("AF done") == Inevitable(done)
        assert parse("EF done") == Until(Atom("true"), done)
        assert parse("AX done") == Not(Next(Not(done)))
        assert parse("EG done") == Not(Inevitable(Not(done)))
        assert parse("E [true U done]") == Until(Atom("true"), done)

    def test_steps_may_have_hyphens(self) -> None:
        assert parse("open(a-b)->done") == parse("open(a-b) -> done")

    @pytest.mark.parametrize(
        "text",
        ["", "AF", "AG (done", "done ended", "gone", "shipped(a)", "E[done]", "!" * 60 + "done"],
    )
    def test_what_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(Misformed):
            parse(text)

    def test_depth_is_bounded(self) -> None:
        assert parse("!" * (DEPTH_MAX - 1) + "done") != parse("done")


class TestDefinitions:
    @pytest.mark.parametrize(
        ("definition", "formula", "outcome"),
        [
            (SOUND, "AF ended", "holds"),
            (SOUND, "AF done", "fails"),
            (SOUND, "AG !failed", "fails"),
            (SOUND, "EF failed", "holds"),
            (BYPASSED, "AF ended", "fails"),
            (BYPASSED, "AG !stuck", "fails"),
            (BYPASSED, "AG (failed(b) -> AF completed(c))", "fails"),
            (BYPASSED, "AG (failed(b) -> AF (completed(c) | failed))", "holds"),
            (BYPASSED, "AG (completed(j) -> completed(fork))", "holds"),
            (BYPASSED, "A[!completed(a) U (completed(fork) | failed)]", "holds"),
            (CHOSEN, "EF done", "holds"),
            (ROUND, "AF ended", "fails"),
            (ROUND, "AG (open(b) -> AG !done)", "holds"),
            (RETRY, "AF ended", "holds"),
            (RETRY, "AG (completed(look) -> completed(call))", "holds"),
            (RETRY, "EG !ended", "fails"),
        ],
    )
    def test_what_holds(self, definition: str, formula: str, outcome: str) -> None:
        assert asked(definition, formula).outcome == outcome

    def test_a_run_shows_what_fails(self) -> None:
        run = asked(BYPASSED, "AG (failed(b) -> AF ended)").run
        assert {str(each) for each in run} >= {"fork completes", "b fails"}

    def test_a_step_that_there_is_not_is_refused(self) -> None:
        with pytest.raises(Misformed, match="no such step"):
            asked(SOUND, "EF open(b)")

    def test_a_bound_is_no_answer(self) -> None:
        verdict = asked(RETRY, "AG EX true", states_max=2)
        assert (verdict.outcome, "more than 2 markings" in verdict.reason) == ("inconclusive", True)


# -- graphs, against what the operators mean


class Drawn:
    """A small graph in place of a net's states; some of its edges wait for something outside."""

    def __init__(self, random: Random) -> None:
        count = random.randint(1, 5)
        self.states = list(range(count))
        self.edges = [
            [(number, target) for target in self.states if random.random() < 0.35]
            for number in self.states
        ]
        self.outside = {
            (number, target)
            for number in self.states
            for _, target in self.edges[number]
            if random.random() < 0.25
        }
        self.true = {
            name: {number for number in self.states if random.random() < 0.4}
            for name in ("done", "stuck")
        }

    def holds(self, atom: Atom, number: int) -> bool:
        return atom.name == "true" or number in self.true.get(atom.name, ())

    def own(self, number: int) -> list[int]:
        return [t for _, t in self.edges[number] if (number, t) not in self.outside]

    def after(self, number: int) -> list[int]:
        return [target for _, target in self.edges[number]]


def meant(graph: Drawn, formula: Formula, at: int) -> bool:
    """What a formula says, by what its operators mean."""

    def holds(inner: Formula) -> set[int]:
        return {number for number in graph.states if meant(graph, inner, number)}

    match formula:
        case Atom():
            return graph.holds(formula, at)
        case Not(inner):
            return at not in holds(inner)
        case And(left, right):
            return at in holds(left) and at in holds(right)
        case Next(inner):
            return any(target in holds(inner) for target in graph.after(at))
        case Until(left, right):
            goal = holds(right)
            return any(number in goal for number in reached(graph, at, holds(left), goal))
        case Always(inner):
            return reached(graph, at, {*graph.states}, set()) <= holds(inner)
        case Inevitable(inner):
            without = {*graph.states} - holds(inner)
            stays = (
                {*some}
                for size in range(1, len(without) + 1)
                for some in combinations(sorted(without), size)
            )
            there = reached(graph, at, without, set()) if at in without else set()
            return not any(for_ever(graph, some) and some & there for some in stays)


def reached(graph: Drawn, at: int, along: set[int], to: set[int]) -> set[int]:
    """States that ways come to which leave states of `along` alone, and none of `to`."""
    found, todo = {at}, [at]
    while todo:
        number = todo.pop()
        if number in along and number not in to:
            new = {*graph.after(number)} & (along | to) - found
            found |= new
            todo += new
    return found


def for_ever(graph: Drawn, some: set[int]) -> bool:
    """Whether a fair way may be in just these states again and again: it comes from each to each,
    and everything that comes about by itself stays among them."""
    if any(target not in some for number in some for target in graph.own(number)):
        return False
    if all(some <= reached(graph, number, some, set()) for number in some):
        one = next(iter(some))
        return len(some) > 1 or one in graph.after(one) or not graph.own(one)
    return False


def drawn_formula(random: Random, depth: int = 3) -> Formula:
    kind = random.randrange(7) if depth else 0
    inner = [drawn_formula(random, depth - 1) for _ in range(2)] if kind else []
    match kind:
        case 1:
            return Not(inner[0])
        case 2:
            return And(*inner)
        case 3:
            return Next(inner[0])
        case 4:
            return Until(*inner)
        case 5:
            return Always(inner[0])
        case 6:
            return Inevitable(inner[0])
        case _:
            return Atom(random.choice(["done", "stuck", "true"]))


def test_labels_are_what_formulas_mean() -> None:
    held = 0
    for seed in range(400):
        random = Random(seed)
        graph = Drawn(random)
        formula = drawn_formula(random)
        labels = Labels(cast("States", graph)).of(formula)
        expected = {number for number in graph.states if meant(graph, formula, number)}
        assert labels == expected, (seed, formula)
        held += bool(expected) and expected != {*graph.states}
    assert held > 50
