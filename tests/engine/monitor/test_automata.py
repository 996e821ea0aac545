"""A table says `BROKEN` just where no future can mend the formula: against a reading of formulas
on words that go round for ever."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from random import Random

import pytest

from heliostat.engine.monitor.automata import BROKEN, Table, TooLarge, table_of
from heliostat.engine.properties import ltl
from heliostat.engine.properties.atoms import FALSE, TRUE, Atom

A, B = Atom("open", "a"), Atom("open", "b")
FORMULAS = 250
LETTERS = range(4)


def holds(formula: ltl.Formula, stem: tuple[int, ...], loop: tuple[int, ...]) -> bool:
    """What a formula is of a word: by the least and the greatest solution, place by place."""
    word = stem + loop
    after = [*range(1, len(word)), len(stem)]

    def truths(formula: ltl.Formula) -> list[bool]:
        match formula:
            case Atom("true") | Atom("false"):
                return [formula.name == "true"] * len(word)
            case Atom():
                bit = 1 if formula == A else 2
                return [bool(letter & bit) for letter in word]
            case ltl.Not(inner):
                return [not each for each in truths(inner)]
            case ltl.And(left, right):
                return [a and b for a, b in zip(truths(left), truths(right), strict=True)]
            case ltl.Or(left, right):
                return [a or b for a, b in zip(truths(left), truths(right), strict=True)]
            case ltl.Next(inner):
                inside = truths(inner)
                return [inside[n] for n in after]
            case ltl.Until(left, right) | ltl.Release(left, right):
                one, other = truths(left), truths(right)
                until = isinstance(formula, ltl.Until)
                found = [not until] * len(word)
                for _ in range(len(word) + 1):
                    found = [
                        other[n] or (one[n] and found[after[n]])
                        if until
                        else other[n] and (one[n] or found[after[n]])
                        for n in range(len(word))
                    ]
                return found
        raise AssertionError(formula)

    return truths(formula)[0]


def random_formula(random: Random, depth: int) -> ltl.Formula:
    if depth == 0 or random.random() < 0.15:
        return random.choice((A, B, ltl.Not(A), ltl.Not(B), TRUE, FALSE))
    one, other = random_formula(random, depth - 1), random_formula(random, depth - 1)
    kind = random.choice((ltl.And, ltl.Or, ltl.Until, ltl.Release, ltl.Until, ltl.Release, None))
    return ltl.Not(one) if kind is None else kind(one, other)


def read(table: Table, word: tuple[int, ...]) -> int:
    state = 0
    for letter in word:
        own = sum(bool(letter & (1 if atom == A else 2)) << n for n, atom in enumerate(table.atoms))
        state = table.next[state][own]
        if state == BROKEN:
            return BROKEN
    return state


def futures() -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    for stem, loop in product(range(3), range(1, 3)):
        yield from product(product(LETTERS, repeat=stem), product(LETTERS, repeat=loop))


def test_broken_is_what_no_future_mends() -> None:
    ahead = list(futures())
    broken = 0
    for seed in range(FORMULAS):
        random = Random(seed)
        formula = random_formula(random, 2)
        table = table_of(formula)
        word = tuple(random.choices(LETTERS, k=random.randint(1, 4)))
        mendable = any(holds(formula, word + stem, loop) for stem, loop in ahead)
        assert (read(table, word) == BROKEN) is not mendable, f"{formula} on {word}"
        broken += not mendable
    assert FORMULAS * 0.2 < broken < FORMULAS * 0.8


def test_the_end_repeats_the_last_letter() -> None:
    ends = 0
    for seed in range(FORMULAS):
        random = Random(seed)
        formula = random_formula(random, 3)
        table = table_of(formula)
        word = tuple(random.choices(LETTERS, k=random.randint(1, 4)))
        state = read(table, word)
        if state == BROKEN:
            continue
        own = sum(
            bool(word[-1] & (1 if atom == A else 2)) << n for n, atom in enumerate(table.atoms)
        )
        fails = bool(table.ends[state] >> own & 1)
        assert fails is not holds(formula, word, word[-1:]), f"{formula} on {word}"
        ends += fails
    assert ends > FORMULAS / 20


def test_what_lasts_is_known_to_last() -> None:
    formula = ltl.parse("F (completed(b) & !completed(a))")
    a, b = Atom("completed", "a"), Atom("completed", "b")
    assert table_of(formula, [a, b]).next[0][1] == BROKEN
    assert table_of(formula).next[0][1] != BROKEN


@pytest.mark.parametrize(
    "text",
    [
        "X completed(a)",
        " & ".join(f"G F open(s{n})" for n in range(6)),
        " & ".join(f"F completed(s{n})" for n in range(7)),
    ],
)
def test_what_has_no_table(text: str) -> None:
    with pytest.raises(TooLarge):
        table_of(ltl.parse(text))
