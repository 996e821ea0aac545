"""What of a plan has no counterpart in a later one, place by place."""

from __future__ import annotations

import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.mapping import PlanMapping, map_plans
from tests.engine.kernel.versions import plans_of

FIRST = """
id: d
version: "1"
semaphores: {one: 1}
handlers: [{id: told, event: e, actions: [{custom: {activity: "m:f"}}]}]
intervention_points: [{id: desk, assignees: [ann]}]
steps:
  - {id: fork, type: decision, split: all, next: [{to: a}, {to: w}]}
  - {id: a, type: activity, activity: "m:a", uses: {one: 1}, next: join}
  - {id: w, type: wait, any: [{signal: go}, {name: late, timer: 1h}], next: join}
  - {id: join, type: decision, join: all, next: items}
  - {id: items, type: activity, activity: "m:i", foreach: "[1, 2]", next: body}
  - {id: body, steps: [{id: h, type: human, intervention_point: desk, form: {type: object}}], next: both}
  - id: both
    type: parallel
    branches: [{name: l, steps: [{id: x, type: decision}]}, {name: r, steps: [{id: y, type: decision}]}]
    next: child
  - {id: child, type: sub_workflow, workflow: other}
"""  # noqa: E501


def mapped(old: str, new: str) -> PlanMapping:
    """With one text in place of another, in a second version."""
    assert old in FIRST
    later = FIRST.replace('version: "1"', 'version: "2"').replace(old, new)
    plans = plans_of([FIRST, later])
    return map_plans(plans["1"], plans["2"])


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("m:a", "m:other"),
        ("{signal: go}", "{signal: go, where: $.event.data.ok}"),
        ("timer: 1h", "timer: 2h"),
        ("[1, 2]", "[3]"),
        ("assignees: [ann]", "assignees: [ben]"),
        ("workflow: other", "workflow: other, version: latest"),
        ("join: all, next: items", "join: all, next: new}\n  - {id: new, type: timer, duration: 1s, next: items"),  # noqa: E501
        ("one: 1}\n", "one: 3}\n"),
    ],
)  # fmt: skip
def test_what_may_change_anywhere(old: str, new: str) -> None:
    assert mapped(old, new).obstacles == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: child", "id: kid", ["step `child` is not in version 2"]),
        ("type: sub_workflow, workflow: other", "type: timer, duration: 1s",
         ["step `child` is of type timer in version 2, not sub_workflow"]),
        ('foreach: "[1, 2]", ', "", ["step `items` runs once in version 2"]),
        ("{signal: go}", "{signal: stop}",
         ["step `w` has something else to wait for in version 2"]),
        ("{type: object}", "{type: array}",
         ["step `body/h` has another form, or other escalations, in version 2"]),
        ("workflow: other", "workflow: another",
         ["step `child` has another workflow to run in version 2"]),
        (", uses: {one: 1}", "", ["step `a` has other semaphores in version 2"]),
        ("name: r", "name: q",
         ["branch `r` of `both` is not in version 2", "step `both` has other branches in version 2",
          "step `both/y` is in another scope in version 2"]),
        ("join: all, ", "join: {at_least: 2}, ", ["join `join` has another rule in version 2"]),
        ("id: h,", "id: g,", ["step `body/h` is not in version 2"]),
    ],
)  # fmt: skip
def test_what_is_in_the_way_of_those_that_are_there(old: str, new: str, told: list[str]) -> None:
    later = FIRST.replace('version: "1"', 'version: "2"').replace(old, new)
    if "id: child" in old:
        later = later.replace("next: child", "next: kid")
    plans = plans_of([FIRST, later])
    found = map_plans(plans["1"], plans["2"])
    assert [str(each) for each in found.obstacles] == told
    assert found.whole == ()


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("id: told, ", "id: heard, ", "`handlers` are others"),
        ("semaphores:", "isolation: dedicated\nsemaphores:", "`isolation` is another one"),
        ("id: d\n", "id: other\n", "`other` is another definition than `d`"),
    ],
)
def test_what_is_in_the_way_of_all(old: str, new: str, told: str) -> None:
    (obstacle,) = mapped(old, new).whole
    assert told in str(obstacle)


def test_numbers_that_do_not_go_on_are_in_the_way_of_all() -> None:
    """Two versions that were registered side by side, or the earlier one of two."""
    last = "{id: child, type: sub_workflow, workflow: other}"
    later = FIRST.replace('version: "1"', 'version: "2"').replace(
        last, last.replace("}", ", next: new}") + "\n  - {id: new, type: decision}"
    )
    plans = plans_of([FIRST, later])
    assert map_plans(plans["1"], plans["2"]).obstacles == ()
    assert map_plans(plans["2"], plans["1"]).whole
    before = "start: zero\nsteps:\n  - {id: zero, type: decision, next: fork}\n"
    aside = compile_plan(parse_definition(later.replace("steps:\n", before, 1)))
    (obstacle,) = map_plans(plans["1"], aside).whole
    assert "does not continue the numbers of version 1" in str(obstacle)
