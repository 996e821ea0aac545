"""Numbers are made once, in the order written, and obeyed ever after."""

import msgspec
import pytest

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import Numbering, make_numbering

TEXT = """
id: d
version: "1"
steps:
  - id: a
    type: activity
    activity: m:a
    next: [{when: $.output.x, to: b}, {to: c}]
    on_error: [{error: A, output: 1}, {next: c}]
  - {id: b, type: decision, next: c}
  - {id: c, type: decision}
on_error: [{next: c}]
"""


def test_steps_and_edges_are_numbered_in_the_order_written() -> None:
    numbering = make_numbering(parse_definition(TEXT))
    assert numbering.scopes == {"": 0}
    assert numbering.steps == {"a": 0, "b": 1, "c": 2}
    assert list(numbering.edges) == [
        "a.next.0",
        "a.next.1",
        "a.on_error.1",
        "b.next.0",
        ".on_error.0",
    ]
    assert list(numbering.edges.values()) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_it_is_stored_and_read_back(codec: object) -> None:
    numbering = make_numbering(parse_definition(TEXT))
    data = codec.encode(numbering)  # type: ignore[attr-defined]
    assert codec.decode(data, type=Numbering) == numbering  # type: ignore[attr-defined]


def test_a_stored_numbering_wins_over_the_order_written() -> None:
    stored = Numbering(
        scopes={"": 0},
        steps={"c": 0, "a": 1, "b": 2},
        edges={".on_error.0": 0, "b.next.0": 1, "a.next.1": 2, "a.next.0": 3, "a.on_error.1": 4},
    )
    plan = compile_plan(parse_definition(TEXT), numbering=stored)
    assert [step.id for step in plan.steps] == ["c", "a", "b"]
    assert [step.number for step in plan.steps] == [0, 1, 2]
    assert [edge.number for edge in plan.edges] == [0, 1, 2, 3, 4]
    a = plan.steps[plan.step_by_id["a"]]
    assert [(edge.number, edge.target) for edge in a.routes] == [(3, 2), (2, 0)]
    assert [edge.number for edge in a.error_edges] == [4]
    assert plan.root.start == (1,)
    assert plan.root.steps == (1, 2, 0)  # the order written stays the order of the scope
    assert plan.steps[0].arrivals == (2, 4, 1)
    assert plan.root.reachable[1] == {0, 2}


def test_a_numbering_of_another_definition_is_refused() -> None:
    other = make_numbering(
        parse_definition(TEXT.replace("id: b", "id: bb").replace("to: b}", "to: bb}"))
    )
    with pytest.raises(ValueError, match="steps b, bb are in one of the two only"):
        compile_plan(parse_definition(TEXT), numbering=other)


def test_gaps_and_later_formats_are_refused() -> None:
    with pytest.raises(ValueError, match="step numbers must count from 0 without a gap"):
        Numbering(scopes={"": 0}, steps={"a": 1}, edges={})
    with pytest.raises(ValueError, match="stored by a later one"):
        Numbering(scopes={"": 0}, steps={"a": 0}, edges={}, format=2)


def test_scopes_are_numbered_outer_before_inner_and_their_steps_with_them() -> None:
    numbering = make_numbering(parse_definition(NESTED))
    assert numbering.scopes == {
        "": 0,
        "a": 1,
        "b": 2,
        "p.l": 3,
        "p.r": 4,
        "handlers.0.actions.1": 5,
    }
    assert list(numbering.steps) == ["a", "p", "x", "b", "y", "l", "r", "handlers.0.actions.1"]
    assert list(numbering.edges) == ["a.next.0", "x.next.0", "y.on_error.0", ".on_error.0"]


def test_a_stored_numbering_of_scopes_wins_too() -> None:
    definition = parse_definition(NESTED)
    made = make_numbering(definition)
    stored = Numbering(
        scopes={key: 5 - number for key, number in made.scopes.items() if number}
        | {"": 0, "handlers.0.actions.1": 5},
        steps={key: len(made.steps) - 1 - number for key, number in made.steps.items()},
        edges=made.edges,
    )
    plan = compile_plan(definition, numbering=stored)
    assert [scope.number for scope in plan.scopes] == [0, 1, 2, 3, 4, 5]
    assert [plan.steps[number].id for number in plan.scopes[1].steps] == ["r"]
    assert plan.steps[plan.step_by_id["p"]].scopes == (stored.scopes["p.l"], stored.scopes["p.r"])
    assert plan.handlers[0].actions[1].scope == 5


NESTED = """
id: d
version: "1"
handlers: [{event: e, actions: [{pause: {}}, {custom: {activity: 'm:f'}}]}]
steps:
  - id: a
    steps:
      - {id: x, type: decision, next: b}
      - {id: b, steps: [{id: y, type: decision, on_error: [{next: end}]}]}
    next: p
  - id: p
    type: parallel
    branches:
      - {name: l, steps: [{id: l, type: decision}]}
      - {name: r, steps: [{id: r, type: decision}]}
on_error: [{next: p}]
"""
