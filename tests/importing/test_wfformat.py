"""What is read of a WfFormat trace, and what is said of one that cannot be read."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.api.importing import wfformat
from heliostat.api.importing.wfformat import TraceInvalid, parse_trace, read_trace
from tests.importing.traces import BREAD, bread, trace

TASKS = "workflow.specification.tasks"
RUNS = "workflow.execution.tasks"


def faults(tree: Any, **options: Any) -> tuple[str, ...]:
    with pytest.raises(TraceInvalid) as refused:
        parse_trace(json.dumps(tree), "bread.json", **options)
    return refused.value.faults


class TestRead:
    def test_tasks_come_behind_those_that_they_need(self) -> None:
        read = read_trace(BREAD)
        assert (read.name, read.makespan_s) == ("bread, two loaves", 130.0)
        assert [task.id for task in read.tasks] == ["knead", "rise/1", "rise/2", "bake", "end"]

    def test_an_edge_counts_that_one_end_names(self) -> None:
        needs = {task.id: task.needs for task in read_trace(BREAD).tasks}
        assert needs["bake"] == ("rise/1", "rise/2")  # the second only as a child of `rise/2`
        assert needs["end"] == ("bake",)  # named by both, once

    def test_what_a_task_needed_is_read_where_it_was_measured(self) -> None:
        tasks = {task.id: task for task in read_trace(BREAD).tasks}
        assert (tasks["knead"].cores, tasks["knead"].memory_bytes) == (2.0, 104_857_600)
        assert (tasks["rise/1"].cores, tasks["rise/1"].memory_bytes) == (0.5, None)
        assert (tasks["rise/2"].cores, tasks["bake"].memory_bytes) == (None, None)
        assert tasks["rise/1"].runtime_s == 60.5

    def test_children_may_be_absent(self) -> None:
        tree = bread()
        for task in tree["workflow"]["specification"]["tasks"]:
            del task["children"]
        needs = {task.id: task.needs for task in parse_trace(json.dumps(tree)).tasks}
        assert needs["bake"] == ("rise/1",)

    def test_a_runtime_that_was_not_recorded_is_the_one_given(self) -> None:
        tree = bread()
        tree["workflow"].pop("execution")
        read = parse_trace(json.dumps(tree), default_runtime_s=2.5)
        assert {task.runtime_s for task in read.tasks} == {2.5}

    @given(
        st.lists(st.lists(st.integers(0, 30), max_size=4), min_size=1, max_size=12).map(
            lambda rows: {
                f"t{i}": sorted({f"t{j % i}" for j in row}) if i else []
                for i, row in enumerate(rows)
            }
        )
    )
    def test_every_graph_without_a_cycle_keeps_its_edges(
        self, parents: dict[str, list[str]]
    ) -> None:
        turned = dict(reversed(parents.items()))  # written in the least helpful order
        tasks = parse_trace(trace(turned)).tasks
        assert {task.id: sorted(task.needs) for task in tasks} == parents
        place = {task.id: index for index, task in enumerate(tasks)}
        assert all(place[each] < place[task.id] for task in tasks for each in task.needs)


def _set(field: str, value: Any, *, of: int = 1) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        tree["workflow"]["specification"]["tasks"][of][field] = value

    return change


def _recorded(field: str, value: Any, *, of: int = 1) -> Callable[[Any], None]:
    def change(tree: Any) -> None:
        tree["workflow"]["execution"]["tasks"][of][field] = value

    return change


REFUSED: list[tuple[str, Callable[[Any], None], str, str]] = [
    ("a parent that is not there", _set("parents", ["yeast"]),
     f'{TASKS}[1].parents[0]: "yeast" is no task\'s id', "add the task"),
    ("a child that is not there", _set("children", ["bake", "toast"]),
     f'{TASKS}[1].children[1]: "toast" is no task\'s id', "add the task"),
    ("no parents said", lambda tree: tree["workflow"]["specification"]["tasks"][1].pop("parents"),
     f"{TASKS}[1].parents: is missing", "write []"),
    ("parents that are no list", _set("parents", "knead"),
     f'{TASKS}[1].parents: is "knead", not a list', "list ids"),
    ("the same id twice", _set("id", "knead"),
     f'{TASKS}[1].id: is "knead", as that of {TASKS}[0]', "an id of its own"),
    ("no id", lambda tree: tree["workflow"]["specification"]["tasks"][1].pop("id"),
     f"{TASKS}[1].id: is missing", "an id of its own"),
    ("an id that no text can hold", _set("id", "\ud800"),
     f"{TASKS}[1].id: is", "an id of its own"),
    ("a runtime that is missing", lambda tree: tree["workflow"]["execution"]["tasks"][2].pop(
        "runtimeInSeconds"), f'{RUNS}[2].runtimeInSeconds: task "rise/2" has no runtime',
     "--default-runtime"),
    ("a task that was not recorded", lambda tree: tree["workflow"]["execution"]["tasks"].pop(2),
     f'{TASKS}[2]: task "rise/2" has no runtime', "--default-runtime"),
    ("a runtime below nothing", _recorded("runtimeInSeconds", -1),
     f"{RUNS}[1].runtimeInSeconds: is -1", "0 or more"),
    ("a runtime that is no number", _recorded("runtimeInSeconds", "1s"),
     f'{RUNS}[1].runtimeInSeconds: is "1s"', "0 or more"),
    ("a runtime without end", _recorded("runtimeInSeconds", float("inf")),
     f"{RUNS}[1].runtimeInSeconds: is Infinity", "0 or more"),
    ("cores below nothing", _recorded("coreCount", -2), f"{RUNS}[1].coreCount: is -2", "0 or more"),
    ("memory that is no number", _recorded("memoryInBytes", True),
     f"{RUNS}[1].memoryInBytes: is true", "0 or more"),
    ("a record of no task", _recorded("id", "yeast"), f'{RUNS}[1].id: "yeast" is no task\'s',
     "or remove it"),
    ("two records of a task", _recorded("id", "knead"), f'{RUNS}[1].id: is "knead", as that of',
     "keep one record"),
    ("no execution", lambda tree: tree["workflow"].pop("execution"),
     "workflow.execution: holds the runtimes and is missing", "--default-runtime"),
    ("no tasks", lambda tree: tree["workflow"]["specification"].update(tasks=[]) or
     tree["workflow"]["execution"].update(tasks=[]), f"{TASKS}: is empty", "one task at least"),
    ("tasks that are no objects", lambda tree: tree["workflow"]["specification"].update(tasks=[1]),
     f"{TASKS}[0]: is 1, not an object", "WfFormat trace"),
    ("no workflow", lambda tree: tree.pop("workflow"), "workflow: is missing", "WfFormat trace"),
    ("no specification", lambda tree: tree["workflow"].pop("specification"),
     "workflow.specification: is missing", "WfFormat trace"),
    ("a newer version", lambda tree: tree.update(schemaVersion="2.0"),
     'schemaVersion: is "2.0", 1.5 is read', "convert"),
]  # fmt: skip


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "said", "cure"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
    )
    def test_the_place_and_the_cure_are_named(
        self, change: Callable[[Any], Any], said: str, cure: str
    ) -> None:
        tree = bread()
        change(tree)
        found = faults(tree)
        assert any(each.startswith(said) and cure in each for each in found), found

    def test_the_layout_of_older_versions_is_named(self) -> None:
        tasks = [{"name": "a", "id": "1", "type": "compute", "parents": [], "runtimeInSeconds": 1}]
        old = {"name": "old", "schemaVersion": "1.4", "workflow": {"tasks": tasks}}
        assert 'schemaVersion: is "1.4", 1.5 is read; convert' in faults(old)[0]
        del old["schemaVersion"]
        assert "workflow.tasks: is the layout of WfFormat 1.4" in faults(old)[0]
        assert "workflow.jobs: is the layout" in faults({"workflow": {"jobs": tasks}})[0]

    def test_a_cycle_is_told_as_a_way_round(self) -> None:
        tree = bread()
        tree["workflow"]["specification"]["tasks"][1]["parents"] = ["end"]
        (told,) = faults(tree)
        assert "bake → end → rise/1 → bake" in told
        assert "take one of these parents" in told

    def test_a_task_that_needs_itself_is_a_cycle(self) -> None:
        tree = bread()
        tree["workflow"]["specification"]["tasks"][0]["parents"] = ["knead"]
        assert "knead → knead" in faults(tree)[0]

    def test_all_faults_are_told_at_once_and_most_of_many(self) -> None:
        tree = bread()
        for run in tree["workflow"]["execution"]["tasks"]:
            run["runtimeInSeconds"] = None
        assert len(faults(tree)) == 5
        many = {f"t{index}": [] for index in range(100)}
        text = trace(many, runtimes_s=dict.fromkeys(many, -1.0))
        with pytest.raises(TraceInvalid, match="and 80 more"):
            parse_trace(text)

    @pytest.mark.parametrize("text", ["", "{", "id: a", "[1, 2]", '"a"', "null", "[" * 100_000])
    def test_what_is_no_trace_is_no_fault_of_ours(self, text: str) -> None:
        with pytest.raises(TraceInvalid):
            parse_trace(text)

    @given(st.data())
    def test_any_damage_is_refused_or_read(self, data: st.DataObject) -> None:
        tree = bread()
        at: Any = tree
        while True:
            keys = list(at) if isinstance(at, dict) else list(range(len(at)))
            key = data.draw(st.sampled_from(keys))
            if not isinstance(at[key], dict | list) or not at[key] or data.draw(st.booleans()):
                break
            at = at[key]
        at[key] = data.draw(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([[]])
            | st.just({"id": {}})
        )  # fmt: skip
        with suppress(TraceInvalid):
            assert parse_trace(json.dumps(tree)).tasks

    def test_files_that_cannot_be_read_are_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(TraceInvalid, match="No such file"):
            read_trace(tmp_path / "none.json")
        with pytest.raises(TraceInvalid, match="cannot be read"):
            read_trace(tmp_path)
        file = tmp_path / "latin.json"
        file.write_bytes('{"name": "müsli"}'.encode("latin-1"))
        with pytest.raises(TraceInvalid, match="not UTF-8"):
            read_trace(file)
        monkeypatch.setattr(wfformat, "TRACE_BYTES_MAX", 3)
        with pytest.raises(TraceInvalid, match="at most 3 are read"):
            read_trace(file)

    def test_the_error_crosses_processes(self) -> None:
        error = TraceInvalid("a.json", ["b", "c"])
        again = pickle.loads(pickle.dumps(error))
        assert (str(again), again.details) == (str(error), {"file": "a.json", "faults": ["b", "c"]})
