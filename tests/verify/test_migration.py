"""Whether every execution could be moved is decided by what executions can have."""

from __future__ import annotations

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.mapping import MigrationCheck, map_plans
from heliostat.verify.migration import checked
from tests.engine.kernel.versions import plans_of

FLOW = """
id: flow
version: "1"
input_schema: {type: object, required: [n], properties: {n: {type: integer, minimum: 1}}}
steps:
  - {id: first, type: activity, activity: "m:f", next: choose}
  - id: choose
    type: decision
    next: [{when: "$.input.n < 0", to: never}, {when: "$.input.n > 5", to: large}, {to: small}]
  - {id: never, type: activity, activity: "m:n", next: end}
  - {id: large, type: activity, activity: "m:l", next: end}
  - {id: small, type: activity, activity: "m:s", next: end}
"""
JOINED = """
id: flow
version: "1"
steps:
  - {id: fork, type: decision, split: all, next: [{to: a}, {to: b}]}
  - {id: a, type: activity, activity: "m:a", next: join}
  - {id: b, type: activity, activity: "m:b", next: join}
  - {id: join, type: decision, join: all, next: body}
  - {id: body, steps: [{id: inner, type: activity, activity: "m:i"}], next: end}
"""


def check(first: str, *replaced: tuple[str, str], **bounds: int) -> MigrationCheck:
    """Of a version and a second one, with texts in place of others."""
    later = first.replace('version: "1"', 'version: "2"')
    for old, new in replaced:
        assert old in later
        later = later.replace(old, new)
    plans = plans_of([first, later])
    mapping = map_plans(plans["1"], plans["2"])
    return checked(parse_definition(first), mapping, **bounds)


def without(id: str) -> tuple[tuple[str, str], ...]:
    return ((f"{id}, type", f"{id}_2, type"), (f"to: {id}}}", f"to: {id}_2}}"))


def test_a_step_that_no_execution_comes_to_is_in_nobodys_way() -> None:
    found = check(FLOW, *without("never"))
    assert (found.obstacles, found.decided_by, found.bound) == ((), "markings", None)


def test_one_that_is_come_to_is_named_with_a_run_there() -> None:
    found = check(FLOW, *without("large"), *without("never"))
    (obstacle,) = found.obstacles
    assert obstacle.place == "step `large`"
    assert obstacle.reason == (
        "is not in version 2; executions come there after `first` completes, `choose` completes"
    )
    assert found.decided_by == "markings"


def test_at_a_decision_only_a_paused_execution_is_found() -> None:
    renamed = (("choose, ", "pick, "), ("id: choose", "id: pick"), ("next: choose", "next: pick"))
    found = check(FLOW, *renamed[1:])
    assert (found.obstacles, found.decided_by) == ((), "markings")
    assert [each.place for each in found.paused] == ["step `choose`"]


def test_arrivals_wait_where_a_way_into_the_join_was_taken() -> None:
    found = check(JOINED, ("join: all", "join: any"))
    assert [each.place for each in found.obstacles] == ["join `join`"]
    assert "`fork` completes" in found.obstacles[0].reason


def test_a_body_is_open_where_its_step_is_visited() -> None:
    found = check(
        JOINED,
        (
            '{id: body, steps: [{id: inner, type: activity, activity: "m:i"}]',
            '{id: other, steps: [{id: inner, type: activity, activity: "m:i"}]',
        ),
        ("next: body", "next: other"),
    )
    assert {each.place for each in found.obstacles} == {
        "body `body`",
        "step `body`",
        "step `body/inner`",
    }


def test_a_bound_leaves_it_to_the_structure_and_is_named() -> None:
    found = check(FLOW, *without("never"), states_max=1)
    assert found.decided_by == "structure"
    assert found.bound == "more than 1 states of the data"
    assert [str(each) for each in found.obstacles] == ["step `never` is not in version 2"]


def test_nothing_is_explored_where_the_structure_has_nothing() -> None:
    assert check(FLOW, ("m:s", "m:other"), states_max=0) == MigrationCheck(
        obstacles=(), decided_by="structure"
    )
