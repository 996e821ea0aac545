"""LTL: how it is read, its automata, fair runs in graphs, and what holds of definitions."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from random import Random
from typing import Final

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.plan import Plan
from heliostat.engine.properties import ctl, ltl
from heliostat.engine.properties.atoms import FALSE, TRUE, Atom, Misformed
from heliostat.engine.properties.ltl import And, Formula, Next, Not, Or, Release, Until, parse
from heliostat.verify.logic import checking
from heliostat.verify.logic.buchi import (
    TooManyStates,
    accepts_failing,
    automaton_of,
    is_very_weak,
)
from heliostat.verify.logic.checking import check_formula
from heliostat.verify.logic.labelling import Labels
from heliostat.verify.logic.lassos import STAYS, Lasso, fair_lasso
from heliostat.verify.logic.projection import Projection, whole
from heliostat.verify.logic.states import States
from heliostat.verify.logic.tidying import tidied
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.properties.verdict import Verdict
from tests.simulation.choices import Seeded
from tests.simulation.definitions import Limits, parsed, random_definition
from tests.verify.test_formulas import RETRY, Drawn
from tests.verify.test_reports import BYPASSED, CHOSEN, HEAD, ROUND, SOUND

DONE, STUCK = Atom("done"), Atom("stuck")


class TestReading:
    def test_operators_bind_as_usual(self) -> None:
        assert parse("!done U ended & stuck") == parse("((!done) U ended) & stuck")
        assert parse("G done -> F ended") == parse("(G done) -> (F ended)")
        assert parse("done U ended U stuck") == parse("done U (ended U stuck)")
        assert parse("X done U ended") == parse("(X done) U ended")

    def test_all_are_said_by_a_few(self) -> None:
        assert parse("G done") == Release(FALSE, DONE)
        assert parse("F done") == Until(TRUE, DONE)
        assert parse("done W stuck") == Release(STUCK, Or(DONE, STUCK))

    def test_other_words_are_known(self) -> None:
        assert parse("F end_reached") == parse("F ended")
        assert parse("G !step_active_ship") == parse("G !open(ship)")

    @pytest.mark.parametrize(
        ("text", "column", "message"),
        [
            ("", 1, "says nothing"),
            ("G (done", 4, "a `)` is missing"),
            ("done & ", 6, "missing at the end"),
            ("AG done", 1, "`AG` means nothing"),
            ("G done ended", 8, "one thing too many"),
            ("F shipped(a)", 3, "nothing is known of `shipped(…)`"),
            ("F completed", 3, "of which step?"),
            ("F ()", 4, "where something is to be said"),
            ("done = true", 6, "`=` means nothing"),
            ("!" * 60 + "done", 51, "more than 50 operators"),
        ],
    )
    def test_what_is_wrong_is_told_with_its_place(
        self, text: str, column: int, message: str
    ) -> None:
        with pytest.raises(Misformed) as caught:
            parse(text)
        assert caught.value.start + 1 == column
        assert message in caught.value.message


# -- words that go round for ever, and what formulas say of them


class Word:
    """A graph that is one way: moments one after the other, the last of which leads back."""

    def __init__(self, random: Random) -> None:
        count = random.randint(1, 5)
        self.back = random.randrange(count)
        self.edges = [[(0, number + 1)] for number in range(count - 1)] + [[(0, self.back)]]
        self.unexplored = range(0)
        self.true = {
            name: {number for number in range(count) if random.random() < 0.5}
            for name in ("done", "stuck")
        }

    def holds(self, atom: Atom, number: int) -> bool:
        return number in self.true[atom.name]

    def own_edges(self, number: int) -> list[tuple[int, int]]:
        return self.edges[number]


def says(formula: Formula, word: Word) -> list[bool]:
    """Of each moment whether a formula holds there, by what its operators mean."""
    count = len(word.edges)

    def following(number: int) -> int:
        return word.edges[number][0][1]

    match formula:
        case Atom("true") | Atom("false"):
            return [formula == TRUE] * count
        case Atom():
            return [word.holds(formula, number) for number in range(count)]
        case Not(inner):
            return [not each for each in says(inner, word)]
        case And(left, right):
            return [a and b for a, b in zip(says(left, word), says(right, word), strict=True)]
        case Or(left, right):
            return [a or b for a, b in zip(says(left, word), says(right, word), strict=True)]
        case Next(inner):
            then = says(inner, word)
            return [then[following(number)] for number in range(count)]
        case Until(left, right):
            along, goal = says(left, word), says(right, word)
            held = list(goal)
            for _ in range(2 * count):
                held = [goal[n] or (along[n] and held[following(n)]) for n in range(count)]
            return held
        case Release(left, right):
            return [not each for each in says(Until(Not(left), Not(right)), word)]


def drawn_formula(random: Random, depth: int = 4) -> Formula:
    kind = random.randrange(7) if depth else 0
    inner = [drawn_formula(random, depth - 1) for _ in range(2)] if kind else []
    match kind:
        case 1:
            return Not(inner[0])
        case 2:
            return And(*inner)
        case 3:
            return Or(*inner)
        case 4:
            return Next(inner[0])
        case 5:
            return Until(*inner)
        case 6:
            return Release(*inner)
        case _:
            return random.choice([DONE, STUCK, DONE, STUCK, TRUE])


def test_automata_accept_what_formulas_say() -> None:
    held = 0
    for seed in range(400):
        random = Random(seed)
        word, formula = Word(random), drawn_formula(random)
        accepted = fair_lasso(word, automaton_of(formula)) is not None
        assert accepted == says(formula, word)[0], (seed, str(formula))
        assert says(ltl.normal(formula), word) == says(formula, word)
        assert says(ltl.normal(formula, negated=True), word) == says(Not(formula), word)
        held += accepted
    assert 80 < held < 330


def test_an_automaton_has_a_bound() -> None:
    many = " & ".join(f"G F (completed(s{n}) & F open(s{n}))" for n in range(12))
    with pytest.raises(TooManyStates):
        automaton_of(parse(many))


@pytest.mark.parametrize(
    ("text", "weak", "failing"),
    [
        ("G !completed(a)", True, False),
        ("G (completed(a) -> F (completed(b) | failed))", True, False),
        ("G (completed(a) -> F (completed(b) | ended))", True, False),
        ("G (completed(a) -> F completed(b))", True, True),
        ("!completed(b) W completed(a)", True, False),
        ("G !(open(a) & open(b))", True, False),
        ("G (open(a) -> !failed(b))", True, True),
        ("!completed(b) U completed(a)", True, True),
        ("F ended", True, False),
        ("F done", True, True),
        ("G (error_occurred -> F ended)", True, False),
        ("G !error_occurred", True, True),
        ("G F open(a)", True, True),
        ("F G !open(a)", False, False),
    ],
)
def test_what_an_automaton_is_known_for(text: str, weak: bool, failing: bool) -> None:
    formula = parse(text)
    against = automaton_of(Not(formula))
    assert (is_very_weak(against), accepts_failing(against, formula)) == (weak, failing)


# -- graphs: fair runs against all that are short


class Fair(Drawn):
    """A small graph, some of whose edges wait for something outside."""

    unexplored = range(0)

    def own_edges(self, number: int) -> list[tuple[int, int]]:
        return [(n, t) for n, t in self.edges[number] if (number, t) not in self.outside]


Run = tuple[list[int], list[int]]


def fair_runs(graph: Fair, length: int) -> Iterator[Run]:
    """The fair runs of at most so many states: a way, and a loop behind it."""
    todo: list[list[int]] = [[0]]
    while todo:
        way = todo.pop()
        last = way[-1]
        if not graph.own_edges(last):
            yield way, [last]
        for target in graph.after(last):
            for start, state in enumerate(way):
                if state == target and is_fair(graph, way[start:]):
                    yield way[:start], way[start:]
            if len(way) < length:
                todo.append([*way, target])


def is_fair(graph: Fair, loop: Sequence[int]) -> bool:
    taken = {(n, loop[(at + 1) % len(loop)]) for at, n in enumerate(loop)}
    return all((n, target) in taken for n in loop for _, target in graph.own_edges(n))


def satisfies(graph: Fair, run: Run, formula: Formula) -> bool:
    prefix, loop = run
    word = Word(Random(0))
    states = [*prefix, *loop]
    word.edges = [[(0, n + 1)] for n in range(len(states) - 1)] + [[(0, len(prefix))]]
    word.true = {
        name: {n for n, state in enumerate(states) if state in there}
        for name, there in graph.true.items()
    }
    return says(formula, word)[0]


def as_run(graph: Fair, lasso: Lasso) -> Run:
    prefix = [state for state, _ in lasso.prefix]
    return prefix, [state for state, _ in lasso.loop]


def test_a_fair_run_is_found_where_there_is_one() -> None:
    found: Counter[str] = Counter()
    for seed in range(500):
        random = Random(seed)
        graph, formula = Fair(random), drawn_formula(random, 3)
        lasso = fair_lasso(graph, automaton_of(formula))
        if lasso is None:
            found["none"] += 1
            for run in fair_runs(graph, 6):
                assert not satisfies(graph, run, formula), (seed, str(formula), run)
            continue
        if lasso.decided:
            found["decided"] += 1
            way = [state for state, _ in lasso.prefix]
            behind = [run for run in fair_runs(graph, 6) if (run[0] + run[1])[: len(way)] == way]
            assert not behind or any(satisfies(graph, run, formula) for run in behind)
            continue
        prefix, loop = as_run(graph, lasso)
        found["loops"] += 1
        assert satisfies(graph, (prefix, loop), formula), (seed, str(formula))
        stays = lasso.loop[-1][1] == STAYS
        assert (not graph.own_edges(loop[0])) if stays else is_fair(graph, loop)
    assert min(found["none"], found["decided"], found["loops"]) > 20, found


def test_both_logics_agree_on_what_both_say() -> None:
    agreed: Counter[bool] = Counter()
    shapes = [
        "AG {a}", "AF {a}", "AG ({a} -> AF {b})", "A[{a} U {b}]", "A[{a} W {b}]",
        "AG ({a} -> AG {b})", "AF {a} & AG !{b}", "AG ({a} -> A[{a} U {b}])", "AG (AF {a} | {b})",
    ]  # fmt: skip
    words = ["done", "stuck", "!done", "(done & stuck)", "(done | !stuck)"]
    for seed in range(400):
        random = Random(seed)
        graph = Fair(random)
        shape = random.choice(shapes)
        text = shape.format(a=random.choice(words), b=random.choice(words))
        formula = ctl.parse(text)
        linear = ltl.of_ctl(formula)
        assert linear is not None, text
        holds = fair_lasso(graph, automaton_of(Not(linear))) is None
        assert holds == (0 in Labels(_states(graph)).of(formula)), (seed, text)
        agreed[holds] += 1
    assert min(agreed.values()) > 40


def _states(graph: Fair) -> States:
    return graph  # type: ignore[return-value]  # labels ask for no more than a graph has


@pytest.mark.parametrize("text", ["EF AG done", "AX done", "AF AG done", "AG (AF done | AF stuck)"])
def test_what_only_one_logic_says_is_not_taken_for_the_other(text: str) -> None:
    assert ltl.of_ctl(ctl.parse(text)) is None


# -- definitions


def asked(definition: str, formula: str) -> Verdict:
    return check_formula(compile_plan(parse_definition(definition)), formula, logic="ltl")


class TestDefinitions:
    @pytest.mark.parametrize(
        ("definition", "formula", "outcome"),
        [
            (SOUND, "F ended", "holds"),
            (SOUND, "F done", "fails"),
            (SOUND, "G !failed", "fails"),
            (BYPASSED, "F ended", "fails"),
            (BYPASSED, "G !stuck", "fails"),
            (BYPASSED, "G (failed(b) -> F (completed(c) | failed))", "holds"),
            (BYPASSED, "G (failed(b) -> F completed(c))", "fails"),
            (BYPASSED, "!completed(a) U (completed(fork) | failed)", "holds"),
            (CHOSEN, "F (done | failed | stuck)", "holds"),
            (ROUND, "F ended", "fails"),
            (ROUND, "G (open(b) -> G !done)", "holds"),
            (RETRY, "F ended", "holds"),
            (RETRY, "G F open(call)", "fails"),
            (RETRY, "F G !open(call)", "holds"),
            (RETRY, "G (open(call) -> X (failed | ended))", "fails"),
            (RETRY, "!completed(ship) W completed(look)", "holds"),
            (RETRY, "G (completed(ship) & !done -> X done)", "holds"),
        ],
    )
    def test_what_holds(self, definition: str, formula: str, outcome: str) -> None:
        assert asked(definition, formula).outcome == outcome

    def test_a_loop_shows_what_goes_on_for_ever(self) -> None:
        verdict = asked(ROUND, "F ended")
        assert [str(each) for each in verdict.run] == ["a completes"]
        assert [str(each) for each in verdict.loop] == ["b completes", "c completes"]
        assert verdict.reason == "a run breaks it, and goes round for ever"

    def test_a_run_ends_where_nothing_mends_it_any_more(self) -> None:
        verdict = asked(SOUND, "G !failed")
        assert verdict.loop == ()
        assert verdict.reason == "a run breaks it, whatever follows"

    def test_failures_are_not_forced(self) -> None:
        assert asked(SOUND, "F failed").outcome == "fails"


WIDE: Final = (
    HEAD
    + "steps:\n  - {id: fork, type: decision, split: all, next: ["
    + ", ".join(f"{{to: a{n}}}" for n in range(17))
    + "]}\n"
    + "".join(
        f'  - {{id: a{n}, type: activity, activity: "m:f", next: [{{when: $.input.x, to: c{n}}}, '
        f"{{to: b{n}}}], on_error: [{{error: Odd, next: b{n}}}]}}\n"
        f"  - {{id: b{n}, type: timer, duration: 1m, next: c{n}}}\n"
        f'  - {{id: c{n}, type: activity, activity: "m:f", join: any, next: j}}\n'
        for n in range(17)
    )
    + '  - {id: j, type: activity, activity: "m:f", join: all}\n'
)
"""17 branches of three steps side by side: 7^17 states and more."""


CAUGHT: Final = (
    HEAD
    + "steps:\n  - {id: fork, type: decision, split: all, next: ["
    + ", ".join(f"{{to: a{n}}}" for n in range(8))
    + "]}\n"
    + "".join(
        f"  - {{id: a{n}, on_error: [{{next: b{n}}}], next: c{n}, steps: ["
        f'{{id: x{n}, type: activity, activity: "m:f", next: y{n}}}, '
        f'{{id: y{n}, type: activity, activity: "m:f"}}]}}\n'
        f"  - {{id: b{n}, type: timer, duration: 1m, next: c{n}}}\n"
        f"  - {{id: c{n}, type: decision, join: any, next: j}}\n"
        for n in range(8)
    )
    + '  - {id: j, type: activity, activity: "m:f", join: all}\n'
)
"""8 bodies side by side, each of which catches what fails in it."""


class TestTidying:
    def net(self, steps: str) -> Net:
        definition = parse_definition(f"{HEAD}steps: [{steps}]\n")
        return translate(compile_plan(definition), "proof").net

    def test_a_body_of_steps_in_a_row_has_nothing_to_empty(self) -> None:
        net = self.net(
            "{id: a, on_error: [{output: 1}], steps: [{id: x, type: decision, next: y}, "
            "{id: y, type: decision}]}"
        )
        assert any(each.drains for each in net.transitions)
        tidy = tidied(net, ())
        assert not any(each.drains for each in tidy.transitions)
        assert not tidy.consumers[tidy.place_index["step_a"]], "it follows the places in the body"
        assert tidied(net, {net.place_index["step_a"]}).consumers[net.place_index["step_a"]]

    def test_one_of_steps_side_by_side_has(self) -> None:
        net = self.net(
            "{id: a, on_error: [{output: 1}], steps: [{id: x, type: decision, needs: []}, "
            "{id: y, type: decision, needs: []}]}"
        )
        assert any(each.drains for each in tidied(net, ()).transitions)

    def test_it_behaves_as_before(self) -> None:
        changed = 0
        for seed in range(30):
            plan = random_plan(seed)
            if plan is None:
                continue
            net = translate(plan, "proof").net
            tidy = tidied(net, ())
            gone = {n for n in net.control if net.producers[n] and not tidy.producers[n]}
            if tidy.transitions == net.transitions:
                continue
            changed += 1
            todo, seen = [(net.initial, tidy.initial)], {net.initial}
            while todo and len(seen) < 300:
                marking, other = todo.pop()
                kept = [n for n in range(len(net.places)) if n not in gone]
                assert [marking[n] for n in kept] == [other[n] for n in kept], seed
                assert net.is_final(marking) == tidy.is_final(other), seed
                for number in range(len(net.transitions)):
                    able = net.enabled(marking, number)
                    assert able == tidy.enabled(other, number), seed
                    if able and (after := net.fire(marking, number)) not in seen:
                        seen.add(after)
                        todo.append((after, tidy.fire(other, number)))
        assert changed > 2


class TestProjection:
    """The net is made as small as what a formula sees, and the answers stay."""

    @pytest.mark.parametrize(
        ("formula", "outcome"),
        [
            ("G (completed(a3) -> F (completed(c5) | failed))", "holds"),
            ("!completed(j) W completed(c7)", "holds"),
            ("!completed(c7) W completed(b7)", "fails"),
            ("G (completed(a1) -> F completed(j))", "fails"),
            ("F ended", "holds"),
            ("G (completed(j) -> completed(c1) & completed(c16))", "holds"),
        ],
    )
    def test_width_costs_nothing_where_it_is_not_asked_for(
        self, formula: str, outcome: str
    ) -> None:
        plan = compile_plan(parse_definition(WIDE))
        verdict = check_formula(plan, formula, logic="ltl", states_max=6_000)
        assert verdict.outcome == outcome

    @pytest.mark.parametrize(
        ("formula", "outcome"),
        [
            ("G (failed(x3) -> F (completed(b3) | failed))", "holds"),
            ("!completed(j) W completed(c7)", "holds"),
            ("G (completed(x1) -> F (completed(y1) | failed))", "fails"),
            ("G (completed(x1) -> F completed(j))", "fails"),
        ],
    )
    def test_bodies_that_catch_what_fails_cost_nothing(self, formula: str, outcome: str) -> None:
        plan = compile_plan(parse_definition(CAUGHT))
        verdict = check_formula(plan, formula, logic="ltl", states_max=3_000)
        assert verdict.outcome == outcome

    def test_it_changes_no_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        answers: Counter[tuple[bool, str]] = Counter()
        for seed in range(24):
            plan = random_plan(seed)
            if plan is None:
                continue
            for text in drawn_texts(Random(seed), plan):
                projected = bounded(plan, text)
                with monkeypatch.context() as patched:
                    patched.setattr(checking, "_projection", unprojected)
                    whole = bounded(plan, text)
                if "inconclusive" not in (projected.outcome, whole.outcome):
                    assert projected.outcome == whole.outcome, (seed, text)
                    answers["projected" in projected.engine, projected.outcome] += 1
        assert min(answers[True, "holds"], answers[True, "fails"]) > 5, answers


def unprojected(made: Translation, *_: object) -> Projection:
    return whole(made.net)


def bounded(plan: Plan, text: str) -> Verdict:
    return check_formula(
        plan,
        text,
        logic="ltl",
        states_max=400,
        time_max_ms=2_000,
        now_ms=lambda: time.thread_time() * 1_000,
    )


def random_plan(seed: int) -> Plan | None:
    without = frozenset({"handlers"}) if seed % 2 else frozenset[str]()
    definition = parsed(random_definition(Seeded(seed), Limits(without=without)))
    return None if definition is None else compile_plan(definition)


SHAPES: Final = (
    "G !{a}", "F {a}", "G ({a} -> F {b})", "!{a} W {b}", "!{a} U {b}", "G F {a}", "F G ({a} | {b})",
    "G ({a} -> G !{b})", "F {a} -> F {b}", "G ({a} -> F ({b} | ended))", "(!{a} U {b}) | G !{a}",
    "G ({a} -> {b} | !{c})",
)  # fmt: skip


def drawn_texts(random: Random, plan: Plan) -> Iterator[str]:
    steps = sorted(step for step in plan.step_by_id if "." not in step)

    def word() -> str:
        if random.random() < 0.3:
            return random.choice(["done", "ended", "failed", "error_occurred"])
        return (
            f"{random.choice(['completed', 'failed', 'skipped', 'open'])}({random.choice(steps)})"
        )

    for _ in range(3):
        yield random.choice(SHAPES).format(a=word(), b=word(), c=word())
