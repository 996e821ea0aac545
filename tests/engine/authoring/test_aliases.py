"""Other words for the same things: what they are read as, and where their faults point."""

import json
from typing import Any

import pytest

from heliostat.engine.authoring.canonical import canonical_body, content
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError

ACTIVITY = {"id": "a", "type": "activity", "activity": "m:a"}


def definition(steps: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {"id": "d", "version": "1", "steps": steps, **fields}


def read(steps: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return content(parse_definition(json.dumps(definition(steps, **fields))))


def step(**fields: Any) -> dict[str, Any]:
    """The one step, read with these fields."""
    made: dict[str, Any] = read(
        [{**ACTIVITY, **fields}],
        intervention_points=[{"id": "review", "assignees": "ann"}],
        semaphores={"llm": 4},
    )["steps"][0]
    return {key: value for key, value in made.items() if key not in ACTIVITY}


def ways(steps: list[dict[str, Any]], **fields: Any) -> dict[str, Any]:
    return {each["id"]: each.get("next") for each in read(steps, **fields)["steps"]}


def decision(id: str, **fields: Any) -> dict[str, Any]:
    return {"id": id, "type": "decision", **fields}


@pytest.mark.parametrize(
    ("word", "kind", "fields"),
    [
        ("Activity", "activity", {"activity": "m:a"}),
        ("Decision", "decision", {}),
        ("Wait", "wait", {"event": "e"}),
        ("Timer", "timer", {"duration": "1s"}),
        ("Human", "human", {"assignees": "ann"}),
        ("SubWorkflow", "sub_workflow", {"workflow": "w"}),
        ("Script", "script", {"language": "shell", "source": "true"}),
        ("ServiceCall", "service_call", {"url": "https://example.org"}),
        ("Parallel", "parallel", {"branches": [{"name": "x", "steps": [decision("b")]}]}),
    ],
)
def test_types_have_other_names(word: str, kind: str, fields: dict[str, Any]) -> None:
    for named in ({"step_type": word}, {"type": word}, {"step_type": kind}):
        assert read([{"id": "a", **named, **fields}]) == read([{"id": "a", "type": kind, **fields}])


def test_a_type_may_hold_its_fields() -> None:
    made = read([{"id": "a", "step_type": {"Timer": {"duration_ms": 50}}}])
    assert made == read([{"id": "a", "type": "timer", "duration": "50ms"}])


@pytest.mark.parametrize(
    ("policy", "read_as"),
    [
        (
            {
                "Retry": {
                    "max_attempts": 3,
                    "backoff_coefficient": 1.5,
                    "initial_interval_ms": 200,
                    "max_interval_ms": 9000,
                }
            },
            {"retry": {"max_attempts": 3, "factor": 1.5, "initial": "200ms", "max": "9000ms"}},
        ),
        ({"type": "Retry", "max_attempts": 3}, {"retry": {"max_attempts": 3}}),
        (
            {"HumanIntervention": {"intervention_point_id": "review"}},
            {"on_error": [{"human": "review"}]},
        ),
        ("ContinueWorkflow", {"on_error": [{"output": None}]}),
        ("FailWorkflow", {}),
        (
            [{"Retry": {"max_attempts": 2}}, "ContinueWorkflow"],
            {"retry": {"max_attempts": 2}, "on_error": [{"output": None}]},
        ),
    ],
)
def test_error_policies_of_a_step(policy: Any, read_as: dict[str, Any]) -> None:
    assert step(error_policy=policy) == read_as


def test_an_alternative_path_is_a_way_on() -> None:
    policy = {"AlternativePath": {"step_id": "b"}}
    made = read([{**ACTIVITY, "error_policy": policy, "next": "end"}, decision("b")])
    assert made["steps"][0]["on_error"] == [{"next": "b"}]


def test_the_default_policy_follows_that_of_the_step() -> None:
    steps = [
        {**ACTIVITY, "error_policy": {"Retry": {"max_attempts": 2}}, "next": "b"},
        {**ACTIVITY, "id": "b", "error_policy": "FailWorkflow", "next": "c"},
        decision("c"),
    ]
    a, b, c = read(steps, default_error_policy="ContinueWorkflow")["steps"]
    assert (a["retry"], a["on_error"]) == ({"max_attempts": 2}, [{"output": None}])
    assert "on_error" not in b
    assert c["on_error"] == [{"output": None}]
    made = read(steps, default_error_policy={"AlternativePath": {"step_id": "c"}})
    assert made["on_error"] == [{"when": '$.error.step not in ["b"]', "next": "c"}]
    a, b, c = read(steps, default_error_policy={"Retry": {"max_attempts": 5}})["steps"]
    assert (a["retry"], b.get("retry"), c.get("retry")) == ({"max_attempts": 2}, None, None)


def test_tags_that_are_more_than_tags() -> None:
    tags = {"uses.llm": "2", "resource.cpu": "0.5", "resource.memory": "2GiB", "resource.disk": "1"}
    assert step(tags={**tags, "duration_ms": "500"}) == {
        "tags": {"duration_ms": "500"},
        "uses": {"llm": 2},
        "resources": {"num_cpus": 0.5, "memory": "2GiB", "custom": {"disk": 1.0}},
    }


def test_conditions_of_a_decision() -> None:
    conditions = [
        {"condition": "$.input > 1", "transition_to": "b"},
        {"condition": "*", "transition_to": "end"},
    ]
    made = ways([decision("a", conditions=conditions), decision("b")])
    assert made["a"] == [{"when": "$.input > 1", "to": "b"}, {"to": "end"}]


def test_transitions_are_ordered_by_priority_and_ties_as_written() -> None:
    transitions = [
        {"from": "a", "to": "b", "condition": "$.input == 1", "priority": 1},
        {"from": "a", "to": "c", "condition": "*", "priority": 99},
        {"from": "a", "to": "c", "condition": "$.input == 2", "priority": 10},
        {"from": "a", "to": "b", "condition": "$.input == 3", "priority": 1},
        {"from": "b", "to": "c", "kind": "default"},
        {"from": "a", "to": "c", "kind": "error"},
    ]
    made = read([decision(id) for id in "abc"], transitions=transitions)
    assert made["steps"][0]["next"] == [
        {"when": "$.input == 2", "to": "c"},
        {"when": "$.input == 1", "to": "b"},
        {"when": "$.input == 3", "to": "b"},
        {"to": "c"},
    ]
    assert made["steps"][0]["on_error"] == [{"next": "c"}]
    assert made["steps"][1]["next"] == [{"to": "c"}]


def test_start_and_end_are_folded_away() -> None:
    steps = [
        decision("b"),
        decision("a"),
        {"id": "go", "type": "Start"},
        {"id": "done", "type": "End"},
    ]
    transitions = [
        {"from": "go", "to": "a"},
        {"from": "a", "to": "b"},
        {"from": "b", "to": "done"},
    ]
    made = read(steps, transitions=transitions)
    assert made["start"] == "a"
    assert {each["id"]: each["next"] for each in made["steps"]} == {
        "b": [{"to": "end"}],
        "a": [{"to": "b"}],
    }


def test_start_and_end_of_a_dag_are_folded_away() -> None:
    steps = [
        {"id": "go", "type": "start", "needs": []},
        decision("a", needs=["go"]),
        decision("b", needs=["a"]),
        {"id": "done", "type": "end", "needs": ["b"]},
    ]
    assert read(steps) == read([decision("a", needs=[]), decision("b", needs=["a"])])


def test_a_start_that_chooses_is_a_decision() -> None:
    next = [{"when": "$.input == 1", "to": "a"}, {"to": "b"}]
    made = read(
        [decision("a", next="b"), {"id": "go", "type": "start", "next": next}, decision("b")]
    )
    assert made["start"] == "go"
    assert made["steps"][1] == decision("go", next=next)


@pytest.mark.parametrize(
    ("strategy", "completion"),
    [("Any", "any"), ("N(2)", {"at_least": 2}), ({"N": 2}, {"at_least": 2}), ("All", None)],
)
def test_branches_beside_their_step(strategy: Any, completion: Any) -> None:
    branches = [{"name": "x", "entry_step_id": "x1"}, {"name": "y", "entry_step_id": "y1"}]
    steps = [
        {"id": "p", "type": "parallel", "branches": branches, "completion_strategy": strategy},
        decision("x1", next="x2"),
        decision("x2", next="after"),
        decision("y1", next="after"),
        decision("after"),
    ]
    made = read(steps)
    assert [each["id"] for each in made["steps"]] == ["p", "after"]
    parallel = made["steps"][0]
    assert parallel["next"] == [{"to": "after"}]
    assert parallel.get("completion") == completion
    assert parallel["branches"] == [
        {
            "name": "x",
            "start": "x1",
            "steps": [decision("x1", next=[{"to": "x2"}]), decision("x2", next=[{"to": "end"}])],
        },
        {"name": "y", "start": "y1", "steps": [decision("y1", next=[{"to": "end"}])]},
    ]


def test_branches_beside_their_step_may_be_nested() -> None:
    steps = [
        {
            "id": "p",
            "type": "parallel",
            "branches": [{"name": "x", "entry_step_id": "q"}],
            "next": "z",
        },
        {"id": "q", "type": "parallel", "branches": [{"name": "y", "entry_step_id": "y1"}]},
        decision("y1"),
        decision("z"),
    ]
    made = read(steps)
    inner = made["steps"][0]["branches"][0]["steps"]
    assert [each["id"] for each in inner] == ["q"]
    assert [each["id"] for each in inner[0]["branches"][0]["steps"]] == ["y1"]


@pytest.mark.parametrize(
    ("deadline", "read_as"),
    [
        ({"Relative": {"hours": 4}}, "4h"),
        ({"Absolute": {"datetime": "2030-01-31T08:00:00Z"}}, "2030-01-31T08:00:00Z"),
        (
            {"BusinessDays": {"days": 2, "calendar_id": "de"}},
            {"business_days": 2, "calendar": "de"},
        ),
    ],
)
def test_intervention_points_and_their_deadlines(deadline: Any, read_as: Any) -> None:
    point = {"id": "review", "assignees": "ann"}
    human = {"id": "a", "type": "Human", "intervention_point_id": "review"}
    made = read([human], human_intervention_points=[{**point, "deadline": deadline}])
    assert made["intervention_points"] == [{**point, "deadline": read_as}]
    assert made["steps"] == [{"id": "a", "type": "human", "intervention_point": "review"}]


@pytest.mark.parametrize(
    ("action", "read_as"),
    [
        (
            {"StartWorkflow": {"workflow_id": "w", "input_mapping": {"x": "$.event.data.x"}}},
            {"start": {"workflow": "w", "input": {"x": "$.event.data.x"}}},
        ),
        (
            {"type": "SignalWorkflow", "execution_id": "e", "signal_name": "go", "data": 1},
            {"signal": {"execution": "e", "name": "go", "data": 1}},
        ),
        ({"TriggerStep": {"step_id": "a"}}, {"trigger": {"step": "a"}}),
        ({"CancelWorkflow": {"execution_id": "e"}}, {"cancel": {"execution": "e"}}),
        ({"PauseWorkflow": {"execution_id": "e"}}, {"pause": {"execution": "e"}}),
        ({"ResumeWorkflow": {}}, {"resume": {}}),
        (
            {"Custom": {"action_type": "m:f", "parameters": {"x": 1}}},
            {"custom": {"activity": "m:f", "input": {"x": 1}}},
        ),
    ],
)
def test_event_handlers(action: Any, read_as: Any) -> None:
    handler = {
        "id": "h",
        "event_type": "paid",
        "condition": "$.event.data.n > 1",
        "actions": [action],
    }
    made = read([decision("a")], event_handlers=[handler])
    assert made["handlers"] == [
        {"id": "h", "event": "paid", "where": "$.event.data.n > 1", "actions": [read_as]}
    ]


def test_timeouts_of_the_whole_are_deadlines() -> None:
    assert read([ACTIVITY], timeout={"DurationMs": 500})["deadline"] == "500ms"
    instant = "2030-01-31T08:00:00Z"
    assert read([ACTIVITY], timeout={"AbsoluteTime": instant})["deadline"] == instant
    assert step(timeout={"DurationMs": 500}) == {"timeout": "500ms"}


def test_entries_are_starts() -> None:
    body = {"id": "b", "entry_step_id": "y", "steps": [decision("x"), decision("y", next="x")]}
    made = read([body], entry_step_id="b")
    assert (made["start"], made["steps"][0]["start"]) == ("b", "y")


def test_they_are_never_written() -> None:
    steps = [{"id": "a", "step_type": "Activity", "activity": "m:a"}]
    written = parse_definition(json.dumps(definition(steps)))
    plain = parse_definition(json.dumps(definition([ACTIVITY])))
    assert canonical_body(written) == canonical_body(plain)


def test_faults_point_at_what_was_written() -> None:
    text = """\
id: d
version: "1"
steps:
  - {id: go, step_type: Start}
  - {id: a, step_type: Decision}
  - {id: b, step_type: Timer, duration_ms: 5}
transitions:
  - {from: go, to: a}
  - {from: a, to: b, condition: $.inptu > 1}
"""
    with pytest.raises(DefinitionError) as caught:
        parse_definition(text)
    (fault,) = caught.value.diagnostics
    assert (fault.line, fault.column, fault.code, fault.step) == (9, 34, "HS102", "a")


@pytest.mark.parametrize("policy", [{"CompensatingAction": {"action_type": "m:undo"}}])
def test_compensating_is_not_built(policy: Any) -> None:
    with pytest.raises(DefinitionError, match=r"HS012.*CompensatingAction"):
        step(error_policy=policy)


@pytest.mark.parametrize(
    "nonsense", [None, 1, "x", [], [[]], {"id": []}, {"type": "Start", "next": {}}]
)
def test_nonsense_among_the_steps_is_told_of(nonsense: Any) -> None:
    steps = [decision("a", needs=[{}, []]), nonsense, {"id": "done", "type": "End"}]
    with pytest.raises(DefinitionError) as caught:
        read(
            steps, transitions=[nonsense], event_handlers=[nonsense], default_error_policy=nonsense
        )
    assert caught.value.diagnostics
