"""What changed between two versions, in the terms of definitions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.authoring.bundle import bundle_modules, hashes_of
from heliostat.engine.authoring.changes import Described, Differences, differences
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import ActivityOptions

HEAD = 'id: d\nversion: "1"\n'

STEPS = """
steps:
  - {id: a, type: activity, activity: m:a, timeout: 5s,
     next: [{when: $.output.ok, to: b}, {to: end}]}
  - id: b
    vars: {n: 1}
    steps: [{id: c, type: decision, output: 1}]
    next: e
  - {id: e, type: parallel, branches: [{name: l, steps: [{id: q, type: decision}]}]}
"""


def side(steps: str = STEPS, *, head: str = HEAD, **more: Any) -> Described:
    return Described(definition=parse_definition(head + steps), **more)


def told(before: Described, after: Described) -> list[str]:
    """One word a change: sign, what, path and the names of the fields."""
    signs = {"added": "+", "removed": "-", "changed": "~"}
    return [
        f"{signs[each.change]}{each.what} {each.path}"
        + "".join(f" .{field.field}" for field in each.fields)
        for each in differences(before, after).changes
    ]


def changed(old: str, new: str) -> list[str]:
    assert old in STEPS
    return told(side(), side(STEPS.replace(old, new)))


class TestStep:
    def test_one_is_added_with_its_ways(self) -> None:
        assert changed(
            "next: e\n", "next: f\n  - {id: f, type: timer, duration: 1s, next: e}\n"
        ) == ["+step f", "-way b -> e", "+way b -> f", "+way f -> e"]

    def test_a_field_is_changed_with_both_values(self) -> None:
        found = differences(side(), side(STEPS.replace("timeout: 5s", "timeout: 7s")))
        (change,) = found.changes
        (field,) = change.fields
        assert (change.path, change.type) == ("a", "activity")
        assert (field.field, field.before, field.after) == ("timeout", "5s", "7s")

    def test_one_within_a_body_is_known_by_its_path(self) -> None:
        assert changed("output: 1", "output: 2") == ["~step b/c .output"]
        assert changed("id: q,", "id: z,") == [
            "~scope e.l .start",
            "-step e.l/q",
            "+step e.l/z",
        ]

    def test_one_that_moves_into_a_body_is_another(self) -> None:
        flat = "steps: [{id: x, steps: [{id: y, type: decision}]}, {id: z, type: decision}]"
        moved = "steps: [{id: x, steps: [{id: z, type: decision}]}, {id: y, type: decision}]"
        flat, moved = (each.replace("}]}, {", "}], next: NEXT}, {") for each in (flat, moved))
        found = told(side(flat.replace("NEXT", "z")), side(moved.replace("NEXT", "y")))
        assert {"-step x/y", "+step y", "-step z", "+step x/z"} <= set(found)

    def test_a_type_is_a_field(self) -> None:
        found = changed("{id: c, type: decision, output: 1}", "{id: c, type: timer, duration: 1s}")
        assert found == ["~step b/c .type .output .duration"]

    def test_what_a_decorator_says_is_told_where_the_definition_says_nothing(self) -> None:
        once, thrice = ({"a": ActivityOptions(timeout_ms=n)} for n in (1_000, 3_000))
        assert told(side(activities=once), side(activities=thrice)) == ["~step a .timeout_ms"]
        assert told(side(activities=once), side()) == []

    def test_a_pinned_child_is_told(self) -> None:
        call = "steps: [{id: call, type: sub_workflow, workflow: other}]"
        found = told(side(call, children={"call": "1"}), side(call, children={"call": "2"}))
        assert found == ["~step call .pinned version"]


class TestWay:
    def test_a_condition_is_changed(self) -> None:
        assert changed("when: $.output.ok", "when: $.output.no") == ["~way a -> b .when"]

    def test_the_order_of_the_same_ways_is_a_field_of_the_step(self) -> None:
        two = "[{when: $.output.ok, to: b}, {when: $.output.no, to: e}, {to: end}]"
        turned = "[{when: $.output.no, to: e}, {when: $.output.ok, to: b}, {to: end}]"
        one = "[{when: $.output.ok, to: b}, {to: end}]"
        assert told(side(STEPS.replace(one, two)), side(STEPS.replace(one, turned))) == [
            "~step a .next"
        ]

    def test_needs_are_ways(self) -> None:
        dag = (
            "steps: [{id: a, type: decision, needs: []}, {id: b, type: decision, needs: []},"
            " {id: c, type: decision, needs: [a]}]"
        )
        assert told(side(dag), side(dag.replace("[a]", "[a, b]"))) == ["+way b -> c"]


class TestScopeAndDefinition:
    def test_variables_are_those_of_their_scope(self) -> None:
        assert changed("vars: {n: 1}", "vars: {n: 2}") == ["~scope b .vars"]

    def test_a_branch_is_a_scope(self) -> None:
        two = "branches: [{name: l, steps: [{id: q, type: decision}]}, {name: r, steps: [{id: p, type: decision}]}]"  # noqa: E501
        one = "branches: [{name: l, steps: [{id: q, type: decision}]}]"
        assert changed(one, two) == ["+scope e.r", "+step e.r/p"]

    def test_schemas_are_fields_of_the_definition(self) -> None:
        more = HEAD + "input_schema: {type: object}\noutput_schema: {type: object}\n"
        assert told(side(), side(head=more)) == ["~definition  .input_schema .output_schema"]

    def test_where_a_function_stands_in_its_file_is_no_difference(self) -> None:
        here, below = (
            side(
                head=f"{HEAD}metadata: {{python: {{function: m:f, places: {{a: m.py:{line}}}}}}}\n"
            )
            for line in (3, 9)
        )
        assert not differences(here, below)

    def test_a_version_alone_is_no_difference(self) -> None:
        found = differences(side(), side(head=HEAD.replace('"1"', '"2"')))
        assert not found
        assert (found.before, found.after) == ("d@1", "d@2")


class TestCode:
    def test_the_step_whose_function_changed_is_named(self) -> None:
        old = {"m.py": "1" * 64, "helper.py": "2" * 64, "gone.py": "3" * 64}
        new = {"m.py": "9" * 64, "helper.py": "2" * 64, "new.py": "4" * 64}
        assert told(side(modules=old), side(modules=new)) == [
            "~step a .code",
            "~module m.py",
            "-module gone.py",
            "+module new.py",
        ]

    def test_of_functions_by_value_only_the_names_are_compared(self, tmp_path: Path) -> None:
        once, again, other = (
            hashes_of(bundle_modules(tmp_path, (), functions=functions))
            for functions in ({"f": b"1"}, {"f": b"2"}, {"g": b"1"})
        )
        assert told(side(modules=once), side(modules=again)) == []
        assert told(side(modules=once), side(modules=other)) == [
            "-module __functions__/f.pickle",
            "+module __functions__/g.pickle",
        ]

    def test_code_that_is_not_known_is_not_compared_and_said_so(self) -> None:
        found = differences(side(modules={"m.py": "1" * 64}), side())
        assert (found.changes, found.code_compared) == ((), False)
        assert "code was not compared" in str(found)


@given(st.permutations(["timeout: 5s", "activity: m:a", "id: a", "type: activity"]))
def test_the_order_of_writing_is_no_difference(parts: list[str]) -> None:
    step = "steps: [{" + ", ".join(parts) + "}]"
    plain = "steps: [{id: a, type: activity, activity: m:a, timeout: 5s}]"
    assert not differences(side(plain), side(step))


def test_the_text_has_a_line_for_each() -> None:
    found: Differences = differences(
        side(modules={}), side(STEPS.replace("timeout: 5s", "timeout: 7s"), modules={})
    )
    assert str(found) == 'd@1 -> d@1\n~ step a (activity)\n    timeout: "5s" -> "7s"'
