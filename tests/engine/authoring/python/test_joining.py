"""Assignments in a row are one decision, where nobody could tell."""

from __future__ import annotations

from .conftest import Load


def steps_of(load: Load, body: str) -> dict[str, dict[str, object]]:
    lines = "\n".join(f"    {line}" for line in body.strip("\n").splitlines())
    main = load(f"@hs.workflow\ndef main(x: str, n: int, d: dict):\n{lines}\n")["main"]
    return {step.id: getattr(step, "assign", {}) for step in main.definition.steps}


def test_what_reads_nothing_of_it_joins(load: Load) -> None:
    assert list(steps_of(load, "a = 1\nb = n\nc = x")) == ["set_a"]


def test_what_reads_it_is_the_next_step(load: Load) -> None:
    assert list(steps_of(load, "a = n\nb = a\nc = a")) == ["set_a", "set_b"]


def test_a_second_value_of_a_name_is_the_next_step(load: Load) -> None:
    assert list(steps_of(load, "a = 1\na = 2")) == ["set_a", "set_a_2"]


def test_a_step_assigns_what_follows_it(load: Load) -> None:
    found = steps_of(load, "said = fetch(x)\na = 1\nb = said\nfetch(b)")
    assert list(found) == ["said", "fetch"]
    assert found["said"] == {"a": 1, "b": "$.output"}


def test_of_two_that_may_raise_each_has_its_line(load: Load) -> None:
    text = "@hs.workflow\ndef main(d: dict):\n    a = d['a']\n    c = 1\n    b = d['b']\n"
    main = load(text)["main"]
    assert [step.id for step in main.definition.steps] == ["set_a", "set_b"]
    for given, line in (({}, "    a = d['a']"), ({"a": 1}, "    b = d['b']")):
        failure = main.simulate(given).failure
        place = main.place_of(failure.step)
        assert place is not None
        assert place.text.rstrip() == line


def test_a_failure_leads_to_the_line_that_raised(load: Load) -> None:
    main = load("@hs.workflow\ndef main(d: dict):\n    a = 1\n    b = d['b']\n")["main"]
    assert len(main.definition.steps) == 1
    place = main.place_of(main.simulate({}).failure.step)
    assert place is not None
    assert place.text.strip() == "b = d['b']"


def test_within_a_try_nothing_that_raises_joins(load: Load) -> None:
    main = load("""
        @hs.workflow
        def main(d: dict):
            a = 0
            try:
                a = 1
                b = d["b"]
            except KeyError:
                return a
            return b
    """)["main"]
    assert main.simulate({}).output == 1
    assert main.simulate({"b": 5}).output == 5


def test_ways_that_meet_keep_their_own(load: Load) -> None:
    found = steps_of(load, "a = 0\nif n > 1:\n    a = 1\nb = 2")
    assert list(found) == ["set_a", "if_n_1", "set_a_2", "set_b"]


def test_a_loop_begins_with_what_stands_before_it(load: Load) -> None:
    found = steps_of(load, "total = 0\nfor each in [1, 2]:\n    total += each\nreturn total")
    assert list(found)[:2] == ["set_total", "each_each"]
