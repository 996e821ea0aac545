"""The definition that is made of a trace, and the ids of its steps."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliostat.api.importing.bounds import bounds
from heliostat.api.importing.definition import FUNCTIONS, Imported, definition_of
from heliostat.api.importing.names import definition_id, step_ids
from heliostat.api.importing.wfformat import Task, Trace, parse_trace, read_trace
from heliostat.engine.authoring.activities import inspect_activity
from heliostat.engine.authoring.fields import is_name, said_duration
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.errors import DefinitionError, InputError
from heliostat.engine.simulator import simulate
from tests.importing.traces import BREAD, trace


def made(**options: Any) -> Imported:
    return definition_of(read_trace(BREAD), **options)


def steps(imported: Imported) -> dict[str, Any]:
    return {step.id: step for step in parse_definition(imported.text).steps}


class TestDefinition:
    def test_each_task_is_a_step_that_takes_as_long_and_needs_the_same(self) -> None:
        found = steps(made())
        assert list(found) == ["knead", "rise_1", "rise_2", "bake", "end_"]
        assert found["bake"].needs == ["rise_1", "rise_2"]
        assert found["rise_1"].input == {"seconds": 60.5}
        assert said_duration(found["rise_1"].tags) == 60_500
        assert {step.activity for step in found.values()} == {FUNCTIONS["sleep"]}

    def test_what_tasks_were_called_is_kept(self) -> None:
        imported = made()
        assert imported.renamed == {"rise_1": "rise/1", "rise_2": "rise/2", "end_": "end"}
        definition = parse_definition(imported.text)
        assert definition.metadata["wfformat"]["tasks"] == imported.renamed
        assert definition.name == "bread, two loaves"
        assert [step.name for step in definition.steps] == [None, "rise", "rise", None, "cool"]

    def test_the_factor_scales_every_step(self) -> None:
        imported = made(scale=0.01, work="burn")
        assert steps(imported)["rise_1"].input == {"seconds": 0.605}
        assert steps(imported)["rise_1"].activity == FUNCTIONS["burn"]
        assert imported.bounds.critical_path_s == pytest.approx(1.0075)
        assert made(scale=0).bounds.work_s == 0

    def test_resources_are_asked_for_only_when_told(self) -> None:
        assert not any(step.given("resources") for step in steps(made()).values())
        found = {id: step.resources for id, step in steps(made(resources=True)).items()}
        assert (found["knead"].num_cpus, found["knead"].memory) == (2, 104_857_600)
        assert (found["rise_1"].num_cpus, found["rise_1"].memory) == (0.5, None)
        assert not steps(made(resources=True))["rise_2"].given("resources")
        assert found["bake"].num_cpus == 1

    def test_the_version_follows_from_the_content(self) -> None:
        assert made().text == made().text
        versions = {made(**each).version for each in OPTIONS}
        assert len(versions) == len(OPTIONS)
        assert made(version="7", id="loaf").version == "7"

    def test_the_tree_says_the_same_as_the_text(self) -> None:
        imported = made(resources=True)
        assert parse_definition(json.dumps(imported.document)) == parse_definition(imported.text)

    def test_it_runs_to_its_end(self) -> None:
        ended = simulate(parse_definition(made().text))
        assert (ended.status, ended.ended) == ("Completed", True)

    def test_an_id_that_is_none_is_a_fault_of_it(self) -> None:
        with pytest.raises(DefinitionError, match="cannot name a definition"):
            made(id="a b")

    def test_a_trace_that_no_definition_holds_is_refused_with_the_bound(self) -> None:
        tasks = {f"task_{'x' * 100}_{index}": [] for index in range(5_000)}
        with pytest.raises(InputError, match=r"of 5,000 tasks .* one holds 1,048,576"):
            definition_of(parse_trace(trace(tasks)))

    @settings(max_examples=50)
    @given(st.lists(st.text(min_size=1), min_size=1, max_size=6, unique=True), st.text())
    def test_any_names_make_a_definition(self, ids: list[str], name: str) -> None:
        tasks = tuple(Task(id=id, name=name or id, runtime_s=0.5, needs=()) for id in ids)
        imported = definition_of(Trace(name=name, description=name, tasks=tasks))
        definition = parse_definition(imported.text)
        back = [imported.renamed.get(step.id, step.id) for step in definition.steps]
        assert back == ids
        assert [step.name or step.id for step in definition.steps] == [name or id for id in ids]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"scale": 0.5},
    {"work": "burn"},
    {"resources": True},
    {"id": "loaf"},
]


class TestNames:
    @given(st.lists(st.text(st.characters() | st.sampled_from("a_/1"), max_size=8), unique=True))
    def test_ids_are_valid_and_no_two_the_same(self, names: list[str]) -> None:
        ids = step_ids(names)
        assert list(ids) == names
        assert all(map(is_name, ids.values()))
        assert len(set(ids.values())) == len(names)

    def test_a_valid_name_is_kept_whatever_another_becomes(self) -> None:
        assert step_ids(["a/b", "a_b", "a.b"]) == {"a/b": "a_b_2", "a_b": "a_b", "a.b": "a_b_3"}

    def test_long_names_stay_apart(self) -> None:
        ids = step_ids([f"{'x' * 300}{index}" for index in range(3)])
        assert len({id for id in ids.values() if is_name(id)}) == 3

    def test_words_of_the_language_are_no_ids(self) -> None:
        assert step_ids(["end", "and", "1st"]) == {"end": "end_", "and": "and_", "1st": "_1st"}

    def test_a_definition_gets_the_nearest_id(self) -> None:
        assert definition_id("bread, two loaves") == "bread-two-loaves"
        assert definition_id("…") == "imported"


class TestBounds:
    def test_the_longest_way_and_all_the_work(self) -> None:
        found = bounds(
            {"a": 1.0, "b": 2.0, "c": 5.0, "d": 1.0}, {"b": ["a"], "c": ["a"], "d": ["b", "c"]}
        )
        assert (found.critical_path_s, found.work_s, found.longest_chain) == (7.0, 9.0, 3)
        assert (found.tasks, found.edges) == (4, 4)
        assert found.makespan_s(1) == 9.0
        assert found.makespan_s(8) == 7.0


class TestSteps:
    @pytest.mark.parametrize("target", FUNCTIONS.values())
    def test_runners_find_what_steps_call(self, target: str) -> None:
        found = inspect_activity(target)
        assert (found.faults, found.required, found.optional) == ((), ("seconds",), ())
