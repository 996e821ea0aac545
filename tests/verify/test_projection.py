"""What a formula does not see may go: held against the whole net, on random small nets."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Final

from heliostat.engine.properties import ltl
from heliostat.engine.properties.ltl import Not, parse
from heliostat.verify.budget import UNBOUNDED
from heliostat.verify.logic import checking
from heliostat.verify.logic.buchi import automaton_of
from heliostat.verify.logic.lassos import fair_lasso
from heliostat.verify.logic.projection import Projection, whole
from heliostat.verify.logic.states import Exploration
from heliostat.verify.nets.net import Net, NetBuilder
from heliostat.verify.nets.translation import Translation

STATES_MAX: Final = 150
STEPS: Final = ("a", "b", "c", "d")
SHAPES: Final = (
    "G !{a}", "F {a}", "G ({a} -> F {b})", "!{a} W {b}", "!{a} U {b}", "G ({a} -> G !{b})",
    "G F {a}", "F G {a}", "G ({a} -> F ({b} | ended))", "G ({a} -> {b})", "F ({a} | failed)",
)  # fmt: skip


def drawn_net(random: Random) -> Net:
    """A net of a few places, with all that nets may have."""
    builder = NetBuilder("drawn")
    count = random.randint(3, 6)
    places = [
        builder.place(f"step_{n}", step=random.choice(STEPS), tokens=random.choice((0, 0, 1)))
        for n in range(count)
    ]
    builder.mark(places[:1])
    spare = builder.place("spare", role="auxiliary", tokens=random.choice((0, 1)))
    for n in range(random.randint(3, 8)):
        inputs = random.sample(places, random.choice((1, 1, 1, 2)))
        outside = random.random() < 0.12
        if outside and random.random() < 0.5:
            inputs = [spare]
        others = [each for each in places if each not in inputs]
        failing = not outside and random.random() < 0.1
        builder.transition(
            f"t{n}",
            [(place, 1) for place in inputs],
            [] if failing else [(p, 1) for p in random.sample(places, random.choice((0, 1, 1, 2)))],
            inhibitors=random.sample(others, 1) if others and random.random() < 0.2 else [],
            drains=[(random.choice(others), ())] if others and random.random() < 0.12 else [],
            ending="failed" if failing else "",
            step=random.choice(STEPS),
            act="fails" if failing else random.choice(("completes", "", "", "fails")),
            outside=outside,
        )
    return builder.net()


def drawn_formula(random: Random) -> ltl.Formula:
    def word() -> str:
        if random.random() < 0.2:
            return random.choice(("done", "ended", "failed", "error_occurred"))
        return (
            f"{random.choice(('completed', 'completed', 'failed', 'open'))}({random.choice(STEPS)})"
        )

    return parse(random.choice(SHAPES).format(a=word(), b=word()))


def broken(projection: Projection, formula: ltl.Formula) -> bool | None:
    """Whether a fair run breaks a formula; None where there are too many states."""
    states = Exploration(projection, ltl.atoms(formula)).explore(STATES_MAX)
    if states.stopped is not None:
        return None
    return fair_lasso(states, automaton_of(Not(formula))) is not None


def test_a_projected_net_answers_as_the_whole() -> None:
    answers: Counter[tuple[bool, bool]] = Counter()
    for seed in range(1_000):
        random = Random(seed)
        net, formula = drawn_net(random), drawn_formula(random)
        expected = broken(whole(net), formula)
        smaller = projected(net, formula)
        found = broken(smaller, formula)
        if expected is None or found is None:
            continue
        assert found == expected, (seed, str(formula))
        answers[smaller.net is not net, found] += 1
    assert min(answers[True, True], answers[True, False]) > 100, answers


def projected(net: Net, formula: ltl.Formula) -> Projection:
    made = Translation(net=net, abstractions=())
    return checking._projection(made, automaton_of(Not(formula)), formula, UNBOUNDED)


class TestWhatStandsInTheWay:
    """Nets in which something that is not seen must not go first."""

    def test_what_something_else_prevents(self) -> None:
        builder = NetBuilder("n")
        p, x = builder.place("p", tokens=1), builder.place("x", tokens=1)
        q, r = builder.place("q"), builder.place("r")
        builder.transition("t", [(p, 1)], [(q, 1)], inhibitors=[r], step="a")
        builder.transition("u", [(x, 1)], [(r, 1)], step="b", act="completes")
        builder.transition("v", [(q, 1)], step="c", act="completes")
        assert self.answer(builder.net(), "F completed(c)")

    def test_what_prevents_something_else(self) -> None:
        builder = NetBuilder("n")
        p, x, r = (builder.place(name, tokens=name != "r") for name in ("p", "x", "r"))
        builder.transition("t", [(p, 1)], [(r, 1)], step="a")
        builder.transition("u", [(x, 1)], inhibitors=[r], step="b", act="completes")
        assert self.answer(builder.net(), "G !completed(b)")

    def test_what_comes_until_the_end(self) -> None:
        builder = NetBuilder("n")
        p, x = builder.place("p", tokens=1), builder.place("x")
        spare = builder.place("spare", role="auxiliary", tokens=1)
        builder.transition("t", [(p, 1)], step="a")
        builder.transition("e", [(spare, 1)], [(x, 1)], outside=True)
        builder.transition("u", [(x, 1)], step="b", act="completes")
        assert self.answer(builder.net(), "G !completed(b)")

    def test_what_a_step_can_do_for_ever_instead_of_failing(self) -> None:
        builder = NetBuilder("n")
        p, q = builder.place("p", tokens=1), builder.place("q")
        builder.transition("g", [(p, 1)], [(p, 1)], step="a")
        builder.transition("f", [(p, 1)], [(q, 1)], step="a", act="fails")
        builder.transition("v", [(q, 1)], step="c", act="completes")
        assert self.answer(builder.net(), "F completed(c)")

    def test_what_waits_for_something_outside(self) -> None:
        builder = NetBuilder("n")
        p, q = builder.place("p", tokens=1), builder.place("q")
        builder.transition("t", [(p, 1)], [(q, 1)], step="a", outside=True)
        builder.transition("v", [(q, 1)], step="c", act="completes")
        assert self.answer(builder.net(), "F completed(c)")

    def answer(self, net: Net, text: str) -> bool | None:
        formula = parse(text)
        assert broken(whole(net), formula)
        return broken(projected(net, formula), formula)
