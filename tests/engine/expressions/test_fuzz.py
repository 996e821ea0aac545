"""Random text: whatever is written, the answer is a value or one of our own errors."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.engine.expressions import (
    FUNCTIONS,
    RESERVED_WORDS,
    DataProblems,
    EvaluationContext,
    ExpressionError,
    Instant,
    Names,
    StepResult,
    SyntaxProblem,
    check,
    parse_data,
    parse_expression,
    reads,
)
from heliostat.engine.values import Reference

WORDS = [
    *sorted(RESERVED_WORDS | FUNCTIONS.keys() | {"match", "count", "search", "value", "length"}),
    *("$.input", "$.vars.x", "$.steps.a.output", "$.steps.a.items", "$.now", "$", "@", "@.a"),
    *("$.", "$[", "${", "}", "{", "$${", "[", "]", "(", ")", "?", "*", "..", ".a", ":", ","),
    *("+", "-", "/", "//", "%", "==", "!=", "<", ">=", "=", "&&", "||", "!", "&", "'", '"', "\\"),
    *("1", "0", "1.5", "9" * 30, "1e400", "'a'", '"b"', "'a*'", " ", "\n", "é", "\x00", "\ud800"),
]
texts = st.lists(st.one_of(st.sampled_from(WORDS), st.text(max_size=2)), max_size=12)
CONTEXT = EvaluationContext(
    input={"a": [1, {"a": "x"}], "b": Reference("default/1", "arrow", 1)},
    vars={"x": None},
    steps={"a": StepResult(output=[Reference("default/1", "json", 1)], items=[{"a": 1}])},
    now=Instant(0),
)


@settings(max_examples=500)
@given(texts, st.sampled_from(["", " "]))
def test_expressions(words: list[str], between: str) -> None:
    source = between.join(words)
    try:
        expression = parse_expression(source)
    except SyntaxProblem as caught:
        _inside(caught.span, source)
        return
    for problem in check(expression, Names()):
        _inside(problem.span, source)
    reads(expression)
    with suppress(ExpressionError):
        expression.evaluate(CONTEXT)


@settings(max_examples=500)
@given(texts, st.sampled_from(["", " "]))
def test_data(words: list[str], between: str) -> None:
    source = between.join(words)
    try:
        data = parse_data([source])
    except DataProblems as caught:
        for problem in caught.problems:
            _inside(problem.span, source)
        return
    check(data, Names())
    reads(data)
    with suppress(ExpressionError):
        data.evaluate(CONTEXT)


def _inside(span: tuple[int, int], source: str) -> None:
    assert 0 <= span[0] < span[1] <= max(len(source), 1)
