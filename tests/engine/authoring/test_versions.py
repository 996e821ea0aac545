"""A stored version gives the same plan for ever, and says how another one differs."""

from datetime import date

import msgspec
import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import ActivityOptions
from heliostat.engine.authoring.versions import (
    Compiled,
    decode,
    difference,
    encode,
    plan_of,
    register,
)
from heliostat.engine.calendars import Calendar
from heliostat.engine.journal.protocol import DefinitionRow
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import make_numbering
from heliostat.engine.plan.plan import Child

TEXT = """
id: d
version: "1"
steps:
  - {id: a, type: activity, activity: m:a, next: [{when: $.output.ok, to: b}, {to: end}]}
  - {id: b, type: decision, output: $.steps.a.output}
"""
OPTIONS = {"a": ActivityOptions(timeout_ms=5_000)}


def test_encoded_versions_read_back() -> None:
    version = register(parse_definition(TEXT), activities=OPTIONS, code="abc")
    assert decode(encode(version)) == version
    assert version.fixed.activities == OPTIONS
    assert version.definition == parse_definition(TEXT)


def test_plan_of_a_stored_row_is_the_plan_of_the_definition() -> None:
    definition = parse_definition(TEXT)
    version = register(definition, activities=OPTIONS, code="abc")
    row = DefinitionRow(
        namespace=version.namespace,
        id=version.id,
        version=version.version,
        content_hash=version.content_hash,
        body=version.body,
        compiled=version.compiled,
        registered_at_ms=0,
    )
    plan = plan_of(row)
    assert plan == compile_plan(
        definition, activities=OPTIONS, code="abc", content_hash=version.content_hash
    )
    assert plan.steps[0].timeout_ms == 5_000
    assert plan.code == "abc"


AROUND = """
id: d
version: "1"
steps:
  - {id: a, type: sub_workflow, workflow: w, deadline: {business_days: 1, calendar: nyse}, next: b}
  - {id: b, steps: [{id: c, type: sub_workflow, workflow: w, version: "1"}]}
"""
NYSE = Calendar(name="nyse", holidays=frozenset({date(2030, 7, 4), date(2030, 1, 1)}))


def test_children_and_calendars_are_those_of_the_registration() -> None:
    version = register(parse_definition(AROUND), children={"a": "7"}, calendars={"nyse": NYSE})
    again = decode(encode(version))
    assert again == version
    plan = plan_of(again)
    children = {step.id: step.child for step in plan.steps if step.child is not None}
    assert children == {
        "a": Child(workflow="w", version="7"),
        "c": Child(workflow="w", version="1"),
    }
    assert plan.calendars == {"nyse": NYSE}


def test_another_child_or_calendar_is_other_content() -> None:
    definition = parse_definition(AROUND)
    one = register(definition, children={"a": "7"}, calendars={"nyse": NYSE})
    newer = register(definition, children={"a": "8"}, calendars={"nyse": NYSE})
    assert newer.content_hash != one.content_hash
    assert '+    "a": "8"' in difference(one, newer)
    moved = register(
        definition, children={"a": "7"}, calendars={"nyse": Calendar(name="nyse", timezone="UTC")}
    )
    assert moved.content_hash != one.content_hash
    assert "2030-07-04" in difference(one, moved)


def test_same_content_has_the_same_hash_and_no_difference() -> None:
    other = TEXT.replace("{id: b, type: decision,", "{type: decision, id: b, ")
    one, two = register(parse_definition(TEXT)), register(parse_definition(other))
    assert one == two
    assert difference(one, two) == ""


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            {"text": TEXT.replace("output.ok", "output.done")},
            '+            "when": "$.output.done"',
        ),
        ({"activities": {"a": ActivityOptions(timeout_ms=1)}}, '+      "timeout_ms": 1'),
        ({"code": "other"}, '+  "code": "other",'),
    ],
)
def test_other_content_is_told(change: dict[str, object], told: str) -> None:
    old = register(parse_definition(TEXT), activities=OPTIONS, code="abc")
    given = {"text": TEXT, "activities": OPTIONS, "code": "abc", **change}
    new = register(
        parse_definition(str(given.pop("text"))),
        **given,  # type: ignore[arg-type]
    )
    assert new.content_hash != old.content_hash
    assert told in difference(old, new).splitlines()


def test_a_long_difference_is_cut() -> None:
    steps = "".join(f"  - {{id: s{i}, type: decision, needs: []}}\n" for i in range(40))
    new = register(parse_definition(f'id: d\nversion: "1"\nsteps:\n{steps}'))
    told = difference(register(parse_definition(TEXT)), new).splitlines()
    assert len(told) == 61
    assert told[-1].startswith("… and ")


def test_a_format_of_a_later_release_is_refused() -> None:
    definition = parse_definition(TEXT)
    later = Compiled(numbering=make_numbering(definition), activities={}, format=2)
    version = msgspec.structs.replace(register(definition), compiled=msgspec.msgpack.encode(later))
    with pytest.raises(ValueError, match="registered by a later one"):
        plan_of(version)
