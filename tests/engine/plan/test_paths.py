"""The longest way that still follows a step: of steps, bodies, branches; loops are cut."""

from __future__ import annotations

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan


def paths(steps: str) -> dict[str, int]:
    """By step, in milliseconds."""
    lines = "".join(f"  - {{{step.strip()}}}\n" for step in steps.strip().splitlines())
    plan = compile_plan(parse_definition(f'id: d\nversion: "1"\nsteps:\n{lines}'))
    return {step.id: step.path_ms for step in plan.steps}


ACTIVITY = 'type: activity, activity: "m:a"'


def lasts(ms: int) -> str:
    return f'{ACTIVITY}, tags: {{duration_ms: "{ms}"}}'


def test_a_chain_adds_up_and_a_step_without_a_tag_counts_a_second() -> None:
    assert paths(f"""
        id: a, {lasts(200)}, next: b
        id: b, {ACTIVITY}, next: c
        id: c, {lasts(50)}
    """) == {"a": 1_250, "b": 1_050, "c": 50}


def test_the_longer_of_two_ways_counts_and_a_decision_takes_no_time() -> None:
    assert paths(f"""
        id: pick, type: decision, next: [{{when: $.input.x, to: long}}, {{to: short}}]
        id: short, {lasts(10)}, next: end
        id: long, {lasts(300)}, next: short
    """) == {"pick": 310, "short": 10, "long": 310}


def test_in_a_dag_it_goes_by_what_needs_the_step() -> None:
    assert paths(f"""
        id: a, {lasts(1)}, needs: []
        id: b, {lasts(20)}, needs: [a]
        id: c, {lasts(300)}, needs: [a]
        id: d, {lasts(4_000)}, needs: [b, c]
    """) == {"a": 4_301, "b": 4_020, "c": 4_300, "d": 4_000}


def test_a_loop_is_gone_through_once() -> None:
    assert paths(f"""
        id: try, {lasts(100)}, next: check
        id: check, {lasts(10)}, next: [{{when: $.input.again, to: try}}, {{to: done}}]
        id: done, {lasts(1)}
    """) == {"try": 111, "check": 11, "done": 1}


def test_a_step_that_comes_back_to_itself_counts_once() -> None:
    assert paths(f"""
        id: a, {lasts(7)}, next: [{{when: $.input.x, to: a}}, {{to: end}}]
    """) == {"a": 7}


def test_ways_of_errors_are_not_looked_at() -> None:
    assert paths(f"""
        id: a, {lasts(5)}, on_error: [{{next: mend}}], next: end
        id: mend, {lasts(900)}
    """) == {"a": 5, "mend": 900}


def test_what_is_in_a_body_has_what_follows_the_body_before_it() -> None:
    inner = f"{{id: x, {lasts(10)}, next: y}}, {{id: y, {lasts(30)}}}"
    assert paths(f"""
        id: body, steps: [{inner}], next: after
        id: after, {lasts(500)}
    """) == {"body": 540, "x": 540, "y": 530, "after": 500}


def test_of_branches_the_longest_counts() -> None:
    one = f"{{name: one, steps: [{{id: x, {lasts(10)}}}]}}"
    two = f"{{name: two, steps: [{{id: y, {lasts(70)}}}]}}"
    assert paths(f"""
        id: both, type: parallel, branches: [{one}, {two}], next: after
        id: after, {lasts(100)}
    """) == {"both": 170, "x": 110, "y": 170, "after": 100}


def test_a_body_that_says_how_long_it_takes_is_believed() -> None:
    assert paths(f"""
        id: body, tags: {{duration_ms: "9000"}}, steps: [{{id: x, {lasts(10)}}}]
    """) == {"body": 9_000, "x": 10}


@pytest.mark.parametrize("count", [20_000])
def test_a_chain_as_long_as_a_definition_may_be_is_no_recursion(count: int) -> None:
    from heliostat.engine.plan.paths import path_lengths
    from heliostat.engine.plan.plan import Edge, ScopePlan, StepPlan

    steps = [
        StepPlan(
            number=n,
            id=f"s{n}",
            scope=0,
            kind="activity",
            routes=(Edge(number=n, source=n, target=n + 1),) if n + 1 < count else (),
        )
        for n in range(count)
    ]
    root = ScopePlan(
        number=0, notation="state_machine", steps=tuple(range(count)), start=(0,), variables={}
    )
    assert path_lengths(steps, [root], {})[0] == count * 1_000
