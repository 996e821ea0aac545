"""Human tasks that are worked at, given up, and listed, over a real host."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.actors.client.registration import Prepared
from heliostat.actors.client.tasks import Task
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.engine import errors
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.steps import merge
from heliostat.engine.journal.protocol import TaskQuery
from tests.client.inprocess import deployment

ASKS = """
id: asks
version: "1"
steps:
  - id: approve
    type: human
    assignees: [ann]
    form: {type: object, properties: {ok: {type: boolean}}, required: [ok]}
    on_error:
      - {error: TaskFailed, when: "$.error.details.why == 'holiday'", next: other}
    next: end
  - {id: other, type: decision, output: {told: $.steps.approve.error}}
"""
DECIDES = """
id: decides
version: "1"
intervention_points: [{id: desk, candidates: [bob]}]
steps:
  - {id: broken, type: activity, activity: "work:broken", retry: {max_attempts: 1},
     on_error: [{human: desk}]}
"""


def breaks(assignment: Assignment) -> Any:
    return OSError("the disk is full")


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with deployment(tmp_path, breaks) as client:
        client.register_many(
            Prepared(
                definition=definition,
                activities={
                    step.id: merge(step) for step in definition.steps if step.type == "activity"
                },
                bundle=b"",
            )
            for definition in map(parse_definition, (ASKS, DECIDES))
        )
        yield client


def task_of(client: Client, handle: Handle) -> Task:
    for _ in range(200):
        found = client.tasks(execution_id=handle.id)
        if found:
            return found[0]
        handle.status()
    raise AssertionError("no task is opened")


class TestFailing:
    def test_the_step_fails_with_what_was_said(self, client: Client) -> None:
        handle = client.start("asks")
        task = task_of(client, handle)
        task.fail("nobody knows the customer", "ann", details={"why": "unknown"})
        assert task.status == "Failed"
        error = task.info.error
        assert error is not None
        assert (error.type, error.message) == ("TaskFailed", "nobody knows the customer")
        with pytest.raises(errors.ExecutionFailed, match="TaskFailed: nobody knows") as failed:
            handle.result(timeout=60)
        assert failed.value.failure["details"] == {"why": "unknown"}
        (given_up,) = (each for each in handle.history() if each["type"] == "task.failed")
        assert given_up["user"] == "ann"

    def test_its_clauses_are_asked(self, client: Client) -> None:
        handle = client.start("asks")
        task_of(client, handle).fail("away", "ann", details={"why": "holiday"})
        handle.result(timeout=60)
        told = [each["output"] for each in handle.history() if "told" in str(each.get("output"))]
        assert told[0]["told"]["message"] == "away"

    def test_a_repeated_request_is_one(self, client: Client) -> None:
        handle = client.start("asks")
        task = task_of(client, handle)
        act = client._ways.awaited.act_on_task

        async def twice() -> None:
            for _ in range(2):
                await act(task.info.key, task.task_id, "fail", "ann", error="no", request_id="r")

        asyncio.run(twice())
        with pytest.raises(errors.Conflict):
            task.fail("no", "ann")

    def test_what_another_has_claimed_only_by_force(self, client: Client) -> None:
        task = task_of(client, client.start("asks")).claim("ann")
        with pytest.raises(errors.Conflict, match="claimed by 'ann'"):
            task.fail("no", "bob")
        assert task.fail("no", "bob", force=True).status == "Failed"

    def test_one_that_says_nothing_is_refused(self, client: Client) -> None:
        with pytest.raises(errors.InputError, match="say what went wrong"):
            task_of(client, client.start("asks")).fail("", "ann")

    def test_of_a_failed_step_it_fails_as_it_had(self, client: Client) -> None:
        handle = client.start("decides")
        task = task_of(client, handle)
        assert task.info.task_type == "intervention"
        task.fail("cannot be helped", "bob")
        with pytest.raises(errors.ExecutionFailed) as failed:
            handle.result(timeout=60)
        failure = failed.value.failure
        assert failure["type"] == "OSError"
        assert failure["message"] == "the disk is full (bob: cannot be helped)"


class TestProgress:
    def test_who_has_claimed_it_says_how_far_it_is(self, client: Client) -> None:
        handle = client.start("asks")
        task = task_of(client, handle)
        with pytest.raises(errors.Conflict, match="claimed"):
            task.heartbeat(10)
        task.claim("ann").heartbeat(40, {"page": 2})
        assert (task.status, task.info.progress) == ("Claimed", 40)
        assert task.info.details == {"page": 2}
        task.heartbeat(40, {"page": 2})
        said = [each for each in handle.history() if each["type"] == "task.progressed"]
        assert len(said) == 1, "a sign of life that says nothing new is not recorded"
        with pytest.raises(errors.Conflict, match="claimed by 'ann'"):
            task.heartbeat(50, user="bob")
        with pytest.raises(errors.InputError, match="between 0 and 100"):
            task.heartbeat(101)

    def test_what_it_came_to_can_be_read(self, client: Client) -> None:
        task = task_of(client, client.start("asks")).claim("ann")
        task.heartbeat(40)
        task.complete({"ok": True}, "ann")
        assert task.info.output == {"ok": True, "completed_by": "ann"}
        assert (task.info.error, task.info.progress) == (None, 40)
        with pytest.raises(errors.Conflict):
            task.heartbeat(50)


class TestForm:
    def test_it_asks_in_the_order_in_which_it_was_written(self, client: Client) -> None:
        asked = ["who", "amount", "reason", "by"]
        properties = ", ".join(f"{name}: {{type: string}}" for name in asked)
        client.register(
            'id: ordered\nversion: "1"\nsteps:\n'
            "  - id: ask\n    type: human\n    candidates: [ann]\n"
            f"    form: {{type: object, properties: {{{properties}}}}}\n"
        )
        task = task_of(client, client.start("ordered"))
        assert task.form is not None
        assert list(task.form["properties"]) == asked


class TestSubmitting:
    def test_what_the_form_does_not_allow_is_named(self, client: Client) -> None:
        task = task_of(client, client.start("asks"))
        with pytest.raises(errors.InputError) as refused:
            task.complete({"ok": "perhaps"}, "ann")
        assert refused.value.details["field"] == "data.ok"
        with pytest.raises(errors.InputError) as refused:
            task.complete({}, "ann")
        assert refused.value.details["field"] == "data"


class TestLists:
    def test_are_counted_and_tell_kinds(self, client: Client) -> None:
        for handle in [client.start("asks"), client.start("asks"), client.start("decides")]:
            task_of(client, handle)

        def page(**query: Any) -> Any:
            asked = TaskQuery(namespace="default", count=True, **query)
            return asyncio.run(client._ways.awaited.tasks(asked))

        assert page(limit=1, offset=1).total == 3
        assert page(task_type="human").total == 2
        (one,) = page(task_type="intervention").tasks
        assert one.definition == "decides"
