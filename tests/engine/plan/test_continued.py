"""A later version goes on from the numbers of the one before: none gets another meaning."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan import numbering as module
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import (
    Numbering,
    continue_numbering,
    make_numbering,
)
from heliostat.engine.plan.plan import END, Plan

FIRST = """
id: d
version: "1"
steps:
  - {id: a, type: activity, activity: m:a, next: [{when: $.output.x, to: b}, {to: c}]}
  - {id: b, steps: [{id: x, type: decision}], next: c}
  - {id: c, type: decision}
on_error: [{next: c}]
"""


def after(before: str, *texts: str) -> tuple[Numbering, Plan]:
    """The numbering of the last of these versions, each registered after the one before."""
    definition = parse_definition(before)
    numbering = make_numbering(definition)
    for text in texts:
        following = parse_definition(text)
        numbering = continue_numbering(numbering, definition, following)
        definition = following
    return numbering, compile_plan(definition, numbering=numbering)


def test_the_same_again_has_the_same_numbers() -> None:
    assert after(FIRST, FIRST)[0] == make_numbering(parse_definition(FIRST))


def test_what_is_new_gets_fresh_numbers_wherever_it_is_written() -> None:
    numbering, plan = after(
        FIRST, FIRST.replace("steps:\n", "start: z\nsteps:\n  - {id: z, type: decision, next: a}\n")
    )
    assert numbering.steps == {"z": 4, "a": 0, "b": 1, "c": 2, "x": 3}
    assert numbering.edges["z.next.0"] == 4
    assert plan.root.start == (4,)


def test_what_is_gone_keeps_its_number_and_its_id() -> None:
    without = FIRST.replace("{when: $.output.x, to: b}, {to: c}", "{to: c}").replace(
        "  - {id: b, steps: [{id: x, type: decision}], next: c}\n", ""
    )
    numbering, plan = after(FIRST, without)
    assert numbering.retired.steps == {"b": 1, "b/x": 3}
    assert numbering.retired.scopes == {"b": 1}
    assert [(step.id, step.retired) for step in plan.steps] == [
        ("a", False), ("b", True), ("c", False), ("x", True),
    ]  # fmt: skip
    assert plan.scopes[1].retired
    assert "x" not in plan.step_by_id
    # `a.next.0` led to b and leads to c: another edge; the first one still tells where it led.
    assert numbering.edges == {"a.next.0": 4, ".on_error.0": 3}
    assert [(edge.source, edge.target) for edge in plan.edges] == [
        (0, 1), (0, 2), (1, 2), (END, 2), (0, 2),
    ]  # fmt: skip


def test_what_comes_back_has_its_number_again() -> None:
    without = FIRST.replace("steps: [{id: x, type: decision}]", "type: decision")
    numbering, _ = after(FIRST, without, FIRST)
    assert (numbering.steps["x"], numbering.scopes["b"]) == (3, 1)
    assert not numbering.retired.steps


def test_one_that_moves_to_another_scope_is_another() -> None:
    moved = FIRST.replace("steps: [{id: x, type: decision}]", "steps: [{id: y, type: decision}]")
    moved = moved.replace("{id: c, type: decision}", "{id: c, type: decision, next: x}\n  - {id: x, type: decision}")  # noqa: E501  # fmt: skip
    numbering, _ = after(FIRST, moved)
    assert numbering.steps["x"] != 3
    assert numbering.retired.steps == {"b/x": 3}


def test_too_much_that_is_gone_begins_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETIRED_MAX", 1)
    without = FIRST.replace("steps: [{id: x, type: decision}]", "type: decision")
    numbering, _ = after(FIRST, without)
    assert numbering == make_numbering(parse_definition(without))


@pytest.mark.parametrize("codec", [msgspec.json, msgspec.msgpack])
def test_retired_numbers_are_stored_and_read_back(codec: object) -> None:
    without = FIRST.replace("steps: [{id: x, type: decision}]", "type: decision")
    numbering, _ = after(FIRST, without)
    data = codec.encode(numbering)  # type: ignore[attr-defined]
    assert codec.decode(data, type=Numbering) == numbering  # type: ignore[attr-defined]


def chain(ids: list[str]) -> Definition:
    steps = [
        {"id": id, "type": "decision", **({"next": following} if following else {})}
        for id, following in zip(ids, [*ids[1:], None], strict=True)
    ]
    return Definition.model_validate({"id": "d", "version": "1", "steps": steps})


@given(
    st.lists(
        st.lists(st.sampled_from("abcdefg"), min_size=1, max_size=5, unique=True),
        min_size=2,
        max_size=6,
    )
)
def test_no_number_ever_means_another_step_or_edge(versions: list[list[str]]) -> None:
    definition = chain(versions[0])
    numbering = make_numbering(definition)
    steps: dict[int, str] = {}
    edges: dict[int, tuple[int, int]] = {}
    for ids in versions:
        following = chain(ids)
        numbering = continue_numbering(numbering, definition, following)
        definition = following
        plan = compile_plan(definition, numbering=numbering)
        for number, id in steps.items():
            assert plan.steps[number].id == id
        for number, ends in edges.items():
            assert (plan.edges[number].source, plan.edges[number].target) == ends
        steps = {step.number: step.id for step in plan.steps}
        edges = {edge.number: (edge.source, edge.target) for edge in plan.edges}
        assert {step.id for step in plan.steps if not step.retired} == set(ids)
