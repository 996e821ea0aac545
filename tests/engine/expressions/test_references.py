"""Values that are elsewhere: what is announced, what is asked for, and what fails how."""

from __future__ import annotations

from typing import Any

import pytest

from heliostat.engine.expressions import (
    MISSING,
    Data,
    EvaluationContext,
    ExpressionError,
    Missing,
    StepResult,
    parse_data,
    parse_expression,
    reads,
)
from heliostat.engine.values import Held, Reference

REFERENCE = Reference("default/1", "json", 100_000)
ANSWERS: dict[tuple[tuple[str, ...], str], Any] = {
    (("steps", "joined"), "$.bad"): 0.003,
    (("steps", "joined"), "$.nothing"): None,
    (("steps", "joined"), "$.rows[0]"): 7,
    (("steps", "joined"), '$.rows[?@.ok == true]["a b"]'): [1],
    (("steps", "joined"), "$.rows"): [{"n": 1}, {"n": 2}],
    (("steps", "each"), "$[*].a"): [1, 2],
    (("steps", "each"), "$[1].a"): 2,
    (("input",), "$.doc.title"): "t",
    (("event",), "$.data.id"): "e",
    (("output",), "$"): {"all": 1},
}


def context(asked: list[tuple[tuple[str, ...], str]] | None = None) -> EvaluationContext:
    def extract(root: tuple[str, ...], path: str) -> Any | Missing:
        if asked is not None:
            asked.append((root, path))
        return ANSWERS.get((root, path), MISSING)

    held = Reference("default/2", "arrow", 1)
    return EvaluationContext(
        input={"doc": REFERENCE, "limit": 1},
        vars={"kept": REFERENCE},
        steps={
            "joined": StepResult(output=REFERENCE),
            "each": StepResult(
                output=[held, held], items=[{"index": i, "output": held} for i in (0, 1)]
            ),
            "tree": StepResult(output={"table": held, "bad": 0.5}),
        },
        event=REFERENCE,
        output=REFERENCE,
        extract=extract,
    )


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("$.steps.joined.output.bad > 0.001", True),
        ("$.steps.joined.output.nothing default 1", 1),
        ("$.steps.joined.output.rows[0] + 1", 8),
        ("sum($.steps.joined.output.rows[?@.ok == true]['a b'])", 1),
        ("len($.steps.joined.output.rows[?@.n > $.input.limit])", 1),
        ("sum($.steps.each.output[*].a)", 3),
        ("sum($.steps.each.items[*].output.a)", 3),
        ("$.steps.each.items[1].output.a", 2),
        ("$.input.doc.title", "t"),
        ("$.event.data.id", "e"),
        ("len($.output)", 1),
        ("$.steps.tree.output.bad", 0.5),
    ],
)
def test_a_part_is_asked_for_as_announced(source: str, value: Any) -> None:
    asked: list[tuple[tuple[str, ...], str]] = []
    expression = parse_expression(source)
    assert expression.evaluate(context(asked)) == value
    announced = {(read.root, read.path) for read in reads(expression)}
    assert set(asked) <= announced


@pytest.mark.parametrize(
    "source",
    [
        "$.steps.joined.output",
        "$.steps.tree.output.table",
        "$.vars.kept",
        "$.vars.kept default null",
        "$.vars.kept if true else null",
        "$.steps.each.output[*]",
    ],
)
def test_whole_values_are_passed(source: str) -> None:
    found = parse_expression(source).evaluate(context())
    assert isinstance(found[0] if isinstance(found, list) else found, Reference)


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("$.steps.joined.output.other", "`$.steps.joined.output.other`"),
        ("$.steps.tree.output.table + 1", "`$.steps.tree.output.table`"),
        ("len($.steps.tree.output.table)", "`$.steps.tree.output.table`"),
        ("$.steps.tree.output.table == 1", "`$.steps.tree.output.table`"),
        ("$.steps.tree.output.table.x", "`$.steps.tree.output.table.x`"),
        ("$.vars.kept.x", "`$.vars.kept.x`"),
        ("$.vars.kept and true", "`$.vars.kept`"),
        ("$.steps.each.output[*].b", "`$.steps.each.output[*].b`"),
        ("$.steps.each.output[?@.a == 1]", "`$.steps.each.output[?@.a == 1]`"),
        ("$.steps.each.output..a", "`$.steps.each.output..a`"),
        ("$.steps.each.items[?@.output.a == 1]", "`$.steps.each.items[?@.output.a == 1]`"),
        ("$.steps.tree.output == {'table': 1, 'bad': 0.5}", "`==`"),
        ("-$.vars.kept", "`$.vars.kept`"),
        ("1 in $.steps.each.output", "`==`"),
        ("sum($.steps.each.output)", "`sum`"),
        ("sorted($.steps.each.output)", "`sorted`"),
        ("string($.steps.tree.output)", "text cannot be made"),
    ],
)
def test_operating_on_one_names_the_path_and_the_cure(source: str, named: str) -> None:
    with pytest.raises(ExpressionError, match="return the figure as a field beside it") as caught:
        parse_expression(source).evaluate(context())
    assert named in caught.value.text


def test_a_condition_that_is_elsewhere() -> None:
    with pytest.raises(ExpressionError, match="not here"):
        parse_expression("$.steps.tree.output.table").test(context())


def test_held_values_are_never_looked_into() -> None:
    inside = EvaluationContext(input={"h": Held(None)})
    assert parse_expression("$.input.h").evaluate(inside) == Held(None)
    for source in ("$.input.h.x", "$.input.h + 1", "$.input.h == 1", "$.input.h[*]"):
        with pytest.raises(ExpressionError, match="not here"):
            parse_expression(source).evaluate(inside)


@pytest.mark.parametrize(
    ("source", "announced"),
    [
        ("$.input.a", [(("input",), "$.a", True)]),
        ("$.input.a.b == 1", [(("input",), "$.a.b", False)]),
        ("$.input", [(("input",), "$", True)]),
        ("$.steps.s.output['a b'][0]", [(("steps", "s"), '$["a b"][0]', True)]),
        ("$.steps.s.status == 'Completed'", []),
        ("len($.steps.s.items)", []),
        ("$.steps.s.items[*].output.x", [(("steps", "s"), "$[*].x", True)]),
        ("$.steps.s.items[?@.status == 'Failed']", []),
        ("$.vars.x + $.index", []),
        ("$.input.a default $.event.b", [(("input",), "$.a", True), (("event",), "$.b", True)]),
        ("[$.input.a] == [$.output]", [(("input",), "$.a", False), (("output",), "$", False)]),
        (
            "$.input.a if $.input.c else {'k': $.input.b}",
            [
                (("input",), "$.a", True),
                (("input",), "$.c", False),
                (("input",), "$.b", True),
            ],
        ),
        ("$.input.a if $.input.a else 1", [(("input",), "$.a", False)]),
        (
            "$.input.rows[?@.x > $.event.y][0].z",
            [(("input",), "$.rows", False), (("event",), "$.y", False)],
        ),
        ("$.input.rows[?@.x>1].z", [(("input",), "$.rows[?@.x > 1].z", True)]),
        ("has($.input.a)", [(("input",), "$.a", True)]),
    ],
)
def test_announced(source: str, announced: list[tuple[tuple[str, ...], str, bool]]) -> None:
    assert [(r.root, r.path, r.whole) for r in reads(parse_expression(source))] == announced


def test_announced_of_data() -> None:
    data = parse_data({"a": "$.input.x", "b": "n ${ $.input.y }", "c": "${ len($.input.x) }"})
    assert isinstance(data, Data)
    assert [(r.path, r.whole) for r in reads(data)] == [("$.x", False), ("$.y", False)]


def test_a_tested_path_is_not_only_passed_on() -> None:
    (read,) = reads(parse_expression("$.output.approved"), tested=True)
    assert not read.whole
