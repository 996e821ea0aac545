"""What clients ask, asked of a real host: signals, pauses, retries, events, people, children."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.actors.client.registration import Prepared
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.api.cli.story import event_lines
from heliostat.engine import errors
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import merge
from tests.client.inprocess import deployment

BOUND_S = 60.0

WAITS = """
id: waits
version: "1"
steps:
  - {id: approved, type: wait, signal: go, where: $.event.data.ok}
"""
HEARS = """
id: hears
version: "1"
steps:
  - {id: paid, type: wait, event: order.paid}
"""
ASKS = """
id: asks
version: "1"
steps:
  - id: approve
    type: human
    name: Approve the order
    candidates: ["group:credit", ann]
    input: {total: $.input.total}
    form: {type: object, properties: {approved: {type: boolean}}, required: [approved]}
"""
FAILS = """
id: fails
version: "1"
steps:
  - {id: first, type: activity, activity: "work:first", next: flaky}
  - {id: flaky, type: activity, activity: "work:flaky"}
"""
PARENT = """
id: parent
version: "1"
steps:
  - {id: child, type: sub_workflow, workflow: child, input: {n: 1}}
"""
CHILD = """
id: child
version: "1"
steps:
  - {id: work, type: decision, output: {doubled: '${ 2 * $.input.n }'}}
"""


class Work:
    """Runners: the first attempt of `flaky` raises, all else returns how often it was called."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()

    def __call__(self, assignment: Assignment) -> Any:
        step = assignment.code.step_id
        self.calls[step] += 1
        if step == "flaky" and self.calls[step] == 1:
            return OSError("the disk is full")
        return self.calls[step]


@pytest.fixture
def work() -> Work:
    return Work()


@pytest.fixture
def client(tmp_path: Path, work: Work) -> Iterator[Client]:
    with deployment(tmp_path, work) as client:
        yield client


def register(client: Client, *texts: str) -> None:
    """Without looking at functions: there are none."""
    client.register_many(
        Prepared(
            definition=definition,
            activities={
                step.id: merge(step) for step in definition.steps if step.type == "activity"
            },
            bundle=b"",
        )
        for definition in map(parse_definition, texts)
    )


def told(handle: Handle) -> str:
    """Its history in words; fails where an event cannot be told."""
    return "\n".join(map(event_lines, handle.history()))


class TestSignals:
    def test_one_reaches_the_wait_that_takes_it(self, client: Client) -> None:
        register(client, WAITS)
        handle = client.start("waits")
        handle.signal("go", {"ok": False})
        handle.signal("go", {"ok": True})
        output = handle.result(BOUND_S)
        assert (output["name"], output["data"]) == ("go", {"ok": True})
        assert 'go: {"ok":false}; no open wait takes it' in told(handle)

    def test_one_that_has_ended_takes_none(self, client: Client) -> None:
        register(client, CHILD)
        handle = client.start("child", {"n": 1})
        handle.result(BOUND_S)
        with pytest.raises(errors.Conflict, match="Completed"):
            handle.signal("go")
        with pytest.raises(errors.NotFound, match="no execution 'nobody'"):
            client.get("nobody").signal("go")


class TestPauses:
    def test_nothing_new_starts_until_it_goes_on(self, client: Client) -> None:
        register(client, WAITS)
        handle = client.start("waits")
        with pytest.raises(errors.Conflict, match="not Paused"):
            handle.resume()
        assert handle.pause("night") == "Paused"
        assert handle.status().status == "Paused"
        assert handle.resume() == "Waiting"
        handle.signal("go", {"ok": True})
        handle.result(BOUND_S)
        assert "execution.paused            night" in told(handle)
        with pytest.raises(errors.Conflict):
            handle.pause()


class TestRetries:
    def test_a_new_run_goes_on_where_it_failed(self, client: Client, work: Work) -> None:
        register(client, FAILS)
        handle = client.start("fails")
        with pytest.raises(errors.ExecutionFailed, match="the disk is full"):
            handle.result(BOUND_S)
        handle.retry()
        assert handle.result(BOUND_S) == 2
        assert work.calls == {"first": 1, "flaky": 2}
        assert handle.status().run == 2
        with pytest.raises(errors.Conflict, match="Completed"):
            handle.retry()

    def test_from_a_step(self, client: Client, work: Work) -> None:
        register(client, FAILS)
        handle = client.start("fails")
        with pytest.raises(errors.ExecutionFailed):
            handle.result(BOUND_S)
        with pytest.raises(errors.InputError, match=r"'nowhere' is no step.*'first', 'flaky'"):
            handle.retry("nowhere")
        handle.retry("first")
        assert handle.result(BOUND_S) == 2
        assert work.calls == {"first": 2, "flaky": 2}
        assert "run 2; from step first; opens first (visit 2)" in told(handle)

    def test_by_another_client(self, client: Client) -> None:
        register(client, FAILS)
        handle, other = client.start("fails", id="a"), client.get("a")
        for each in (handle, other):
            with pytest.raises(errors.ExecutionFailed):
                each.result(BOUND_S)
        other.retry()
        assert handle.result(BOUND_S) == 2


class TestEvents:
    def test_all_that_wait_hear_of_one(self, client: Client) -> None:
        register(client, HEARS)
        handles = client.start_many("hears", [None] * 3)
        id = client.publish("order.paid", {"order": 7}, id="e-1")
        assert client.publish("order.paid", {"order": 7}, id="e-1") == id
        outputs = [handle.result(BOUND_S) for handle in handles]
        assert [output["data"] for output in outputs] == [{"order": 7}] * 3


class TestPeople:
    def test_a_task_is_found_claimed_and_completed(self, client: Client) -> None:
        register(client, ASKS)
        handle = client.start("asks", {"total": 9})
        (task,) = client.tasks(person="group:credit", status="Open")
        assert (task.execution_id, task.step) == (handle.id, "approve")
        assert (task.name, task.input) == ("Approve the order", {"total": 9})
        assert task.form is not None
        task.claim("ann")
        assert (task.status, task.claimed_by) == ("Claimed", "ann")
        with pytest.raises(errors.Conflict, match="claimed by 'ann'"):
            client.task(handle.id, task.task_id).complete({"approved": True}, "bob")
        with pytest.raises(errors.InputError, match="the form"):
            task.complete({"approved": "perhaps"}, "ann")
        task.complete({"approved": True}, "ann")
        assert task.status == "Completed"
        assert handle.result(BOUND_S) == {"approved": True, "completed_by": "ann"}
        assert [each.status for each in handle.tasks()] == ["Completed"]
        assert client.tasks(status="Open") == []
        with pytest.raises(errors.Conflict):
            task.claim("bob")
        assert "task.claimed                approve by ann" in told(handle)

    def test_it_is_given_to_others_and_back(self, client: Client) -> None:
        register(client, ASKS)
        handle = client.start("asks", {"total": 9})
        (task,) = handle.tasks()
        task.assign("ann", assignees=["bob"])
        assert (task.assignees, task.candidates) == (("bob",), ())
        assert client.tasks(person="group:credit") == []
        task.claim("bob").release("ann", force=True)
        assert (task.status, task.claimed_by) == ("Open", None)

    def test_one_that_does_not_exist(self, client: Client) -> None:
        register(client, ASKS)
        handle = client.start("asks", {"total": 9})
        for id in ("1:7:1:1", "nonsense"):
            with pytest.raises(errors.NotFound, match="no task"):
                client.task(handle.id, id)
        assert client.get("nobody").tasks() == []


class TestChildren:
    def test_a_parent_gets_what_its_child_returned(self, client: Client) -> None:
        register(client, PARENT, CHILD)
        handle = client.start("parent")
        assert handle.result(BOUND_S) == {"doubled": 2}
        (child,) = (row for row in client.list(definition="child").rows)
        assert f"as a child of {handle.id}" in told(client.get(child.key.execution_id))

    def test_one_that_is_not_registered_is_a_fault(self, client: Client) -> None:
        with pytest.raises(errors.DefinitionError, match="HS320"):
            register(client, PARENT)
        register(client, CHILD)
        register(client, PARENT)
