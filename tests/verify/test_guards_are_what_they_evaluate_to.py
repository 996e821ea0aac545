"""What is proved of conditions, held against what they evaluate to for many inputs."""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.expressions import EvaluationContext, ExpressionError, parse_expression
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.simulator import simulate
from heliostat.verify.analyses import Subject, analysed
from heliostat.verify.properties.soundness import verify
from heliostat.verify.properties.verdict import Verdict

NUMBERS: Final = (-2, -1, 0, 0.5, 1, 2, 3, 7)
TEXTS: Final = ("", "a", "ab", "b")
INPUTS: Final = [
    {"n": n, "m": m, "s": s, "b": b, "l": list(range(count))} | ({} if o is None else {"o": o})
    for n, m, s, b, count, o in itertools.product(
        NUMBERS, (0, 1, 2.5), TEXTS, (True, False), (0, 2), (None, 1, "a")
    )
][::7]
SCHEMA: Final = {
    "type": "object",
    "required": ["n", "m", "s", "b", "l"],
    "properties": {
        "n": {"type": "number"},
        "m": {"type": "number"},
        "s": {"type": "string"},
        "b": {"type": "boolean"},
        "l": {"type": "array"},
        "o": {"type": ["integer", "string"]},
    },
}

numbers = st.recursive(
    st.sampled_from(["$.input.n", "$.input.m", "0", "1", "2", "0.5", "len($.input.l)"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-"), inner).map(lambda t: f"({' '.join(t)})"),
        inner.map(lambda each: f"(-{each})"),
        inner.map(lambda each: f"abs({each})"),
        inner.map(lambda each: f"({each} % 2)"),
        inner.map(lambda each: f"({each} // 2)"),
    ),
    max_leaves=3,
)
texts = st.sampled_from(["$.input.s", '"a"', '"ab"', '($.input.s + "a")', "type($.input.o)"])
orders = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
atoms = st.one_of(
    st.tuples(numbers, orders, numbers).map(" ".join),
    st.tuples(texts, orders, texts).map(" ".join),
    st.tuples(texts, st.sampled_from(["in", "not in"]), texts).map(" ".join),
    st.just("$.input.b"),
    st.sampled_from(
        [
            "has($.input.o)",
            "$.input.o == 1",
            "$.input.o > 0",
            '$.input.o in [1, "a"]',
            "($.input.o default 0) == 0",
            '$.input.s in ["a", "b"]',
            "0 <= $.input.n < 2",
            "truthy($.input.o)",
        ]
    ),
)
conditions = st.recursive(
    atoms,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["and", "or"]), inner).map(
            lambda t: f"({t[0]}) {t[1]} ({t[2]})"
        ),
        inner.map(lambda each: f"not ({each})"),
        st.tuples(inner, inner, inner).map(lambda t: f"(({t[0]}) if ({t[1]}) else ({t[2]}))"),
    ),
    max_leaves=3,
)


def truths(sources: list[str], value: Any) -> list[bool | None]:
    """What conditions come to one after the other; None for an error, which ends it."""
    found: list[bool | None] = []
    for source in sources:
        try:
            found.append(parse_expression(source).test(EvaluationContext(input=value)))
        except ExpressionError:
            return [*found, None]
    return found


def asked(sources: list[str]) -> list[Verdict]:
    steps = [
        {
            "id": "choose",
            "type": "decision",
            "next": [{"when": each, "to": f"t{at}"} for at, each in enumerate(sources)],
        },
        *({"id": f"t{at}", "type": "decision"} for at in range(len(sources))),
    ]
    tree = {"id": "case", "version": "1", "input_schema": SCHEMA, "steps": steps}
    definition = parse_definition(json.dumps(tree), "case.json")
    subject = Subject(definition=definition, plan=compile_plan(definition))
    return [each for each in analysed(subject, ["data"]) if each.asked == "guards"]


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.lists(conditions, min_size=1, max_size=3, unique=True))
def test_verdicts_agree_with_values(sources: list[str]) -> None:
    verdicts = asked(sources)
    gap = [each for each in verdicts if any(f.code == "HS510" for f in each.faults)]
    known = all(each.outcome != "inconclusive" for each in verdicts)
    dead = {f.message for each in verdicts for f in each.faults if f.code == "HS511"}
    for value in INPUTS:
        found = truths(sources, value)
        if found == [False] * len(sources) and known:
            assert gap, (sources, value)
        for at, source in enumerate(sources[: len(found)]):
            if found[at] and not any(found[:at]):
                assert not any(f"`{source}` never" in each for each in dead), (sources, value)
    for each in gap:
        assert each.witness is not None
        assert truths(sources, each.witness.get("input", INPUTS[0])) == [False] * len(sources)


WHOLE: Final = {
    "type": "object",
    "required": ["n"],
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 4}},
}
small = st.tuples(
    st.sampled_from(["$.input.n", "$.vars.x", "$.steps.fork.output.y"]),
    st.sampled_from(["<", ">=", "==", "!="]),
    st.sampled_from("1234"),
).map(" ".join)


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    st.lists(small, min_size=2, max_size=2),
    st.sampled_from(["$.input.n", "${ $.input.n + 1 }", "${ 4 - $.input.n }", "2"]),
    st.sampled_from([None, "0", "${ $.vars.x + 1 }"]),
    st.sampled_from(["${ $.input.n * 2 }", "3"]),
)
def test_deadlocks_agree_with_what_the_kernel_does(
    sources: list[str], x: str, assigned: str | None, y: str
) -> None:
    """Each of five inputs is simulated; what is proved is what happens in one of them, or none."""
    a: dict[str, Any] = {
        "id": "a",
        "type": "decision",
        "next": [{"when": sources[0], "to": "j"}, {"to": "end"}],
    }
    if assigned is not None:
        a["assign"] = {"x": json.loads(assigned) if assigned.isdigit() else assigned}
    steps = [
        {
            "id": "fork",
            "type": "decision",
            "output": {"y": json.loads(y) if y.isdigit() else y},
            "split": "all",
            "next": [{"to": "a"}, {"to": "b"}],
        },
        a,
        {"id": "b", "type": "timer", "duration": "1s", "next": "c"},
        {
            "id": "c",
            "type": "decision",
            "next": [{"when": sources[1], "to": "j"}, {"to": "end"}],
        },
        {"id": "j", "type": "decision", "join": {"at_least": 2}},
    ]
    initial = json.loads(x) if x.isdigit() else x
    tree = {
        "id": "case",
        "version": "1",
        "input_schema": WHOLE,
        "vars": {"x": initial},
        "steps": steps,
    }
    definition = parse_definition(json.dumps(tree), "case.json")
    verdict = verify(compile_plan(definition), definition=definition).about("deadlock")
    stuck = [
        n
        for n in range(5)
        if (failure := simulate(definition, {"n": n}).failure) is not None
        and failure.type == "Stuck"
    ]
    if verdict.outcome == "holds":
        assert not stuck
    if not stuck and assigned is None:
        assert verdict.outcome == "holds"
    if verdict.outcome == "fails" and assigned is None:
        assert verdict.witness is not None
        assert verdict.witness.get("input", {"n": stuck[0]})["n"] in stuck
