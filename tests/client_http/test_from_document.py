"""Who has nothing but the OpenAPI document gets through the life of an execution."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from heliostat.engine.ids import new_id
from tests.client_http.conftest import BOUND_S, Place
from tests.client_http.from_document import Generated, Refused


@pytest.fixture
def api(place: Place) -> Iterator[Generated]:
    api = Generated(place.url, "/api/v1/openapi.json")
    yield api
    api.close()


def until(found: Callable[[], Any]) -> Any:
    end_at = time.monotonic() + BOUND_S
    while not (value := found()):
        assert time.monotonic() < end_at, "it has not come about"
        time.sleep(0.02)
    return value


def test_the_life_of_an_execution(api: Generated) -> None:
    id = f"life-{new_id()}".lower()
    definition = {
        "id": id,
        "version": "1",
        "steps": [
            {"id": "wait", "type": "wait", "signal": "go", "next": "ask"},
            {"id": "ask", "type": "human", "candidates": ["ann"]},
        ],
    }
    assert api.validate_definition({"definition": definition})["valid"]
    assert api.register_definition({"definition": definition})["version"] == "1"
    assert api.get_definition(id=id)["steps"][0]["id"] == "wait"
    assert api.list_definitions(filter=id)["meta"]["total"] == 1
    assert {node["id"] for node in api.get_definition_graph(id=id)["nodes"]} == {"wait", "ask"}

    workflow = new_id()
    start = {"definition_id": id, "workflow_id": workflow, "labels": {"team": "a"}, "priority": 7}
    assert api.start_workflow(start)["workflow_id"] == workflow
    assert api.start_workflow(start)["message"] == "the same start was there already"
    with pytest.raises(Refused) as refused:
        api.start_workflow({**start, "input": 1})
    assert (refused.value.status, refused.value.body["code"]) == (409, "DUPLICATE_ERROR")
    until(lambda: api.get_workflow(id=workflow)["status"] == "Waiting")
    assert api.pause_workflow({"reason": "night"}, id=workflow)["status"] == "Paused"
    api.resume_workflow({}, id=workflow)
    api.put_metadata({"metadata": {"ticket": "T-7"}}, id=workflow)
    assert api.get_metadata(id=workflow) == {"ticket": "T-7"}
    assert api.get_result(id=workflow)["output"] is None
    api.signal_workflow(
        {"signal_name": "go", "signal_data": {"n": 3}}, id=workflow, Idempotency_Key=new_id()
    )
    (task,) = until(lambda: api.list_workflow_tasks(id=workflow))
    assert task in api.list_tasks(workflow_id=workflow)["data"]
    assert api.claim_task({"assignee": "ann"}, id=task["task_id"])["status"] == "Claimed"
    with pytest.raises(Refused) as refused:
        api.claim_task({"assignee": "ben"}, id=task["task_id"])
    assert refused.value.body["code"] == "INVALID_STATE"
    api.complete_task({"output": {"ok": True}}, id=task["task_id"], X_User="ann")
    assert api.get_task(id=task["task_id"])["status"] == "Completed"
    result = api.get_result(id=workflow, wait="30s")
    assert (result["status"], result["output"]["ok"]) == ("Completed", True)
    history = api.get_history(id=workflow)
    assert [event["seq"] for event in history] == list(range(1, len(history) + 1))
    found = api.list_workflows(definition_id=id, status=["Completed"], label=["team=a"])
    assert [row["workflow_id"] for row in found["data"]] == [workflow]
    assert api.get_workflow_graph(id=workflow)["steps"]["ask"]["status"] == "Completed"
    assert api.publish_event({"event_type": "order.paid", "data": None})["event_id"]
    batch = api.start_workflows({"items": [{"definition_id": id}, {"definition_id": "no-such"}]})
    assert [item["code"] for item in batch["results"]] == [201, 404]
    api.cancel_workflow({"reason": "enough"}, id=batch["results"][0]["workflow_id"])
    until(lambda: _deleted(api, id))
    with pytest.raises(Refused) as refused:
        api.get_definition(id=id)
    assert refused.value.body["details"]["name"] == id
    assert api.health()["status"] == "healthy"


def _deleted(api: Generated, id: str) -> bool:
    """Its executions end soon."""
    try:
        return bool(api.delete_definition(id=id))
    except Refused as refused:
        if refused.body["code"] != "DEPENDENCY_ERROR":
            raise
        return False


def test_every_operation_has_an_id_that_is_a_name(api: Generated) -> None:
    assert all(name.isidentifier() for name in api.operations)
    assert len(api.operations) >= 30
