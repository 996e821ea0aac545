"""Human tasks and events over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from heliostat.engine.ids import new_id
from tests.http.conftest import Door


async def task_of(door: Door, id: str) -> dict[str, Any]:
    """The one task of an execution."""
    for _ in range(1_000):
        if tasks := await door.get(f"/workflows/{id}/tasks"):
            (task,) = tasks
            assert isinstance(task, dict)
            return task
    raise AssertionError(f"{id} asked nobody")


class TestTasks:
    async def test_a_person_claims_and_completes(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        task = await task_of(door, id)
        assert task["workflow_id"] == id
        assert task["input"] == {"order": "o-1"}
        assert task["candidates"] == ["group:credit", "ann", "ben"]
        path = f"/tasks/{task['task_id']}"
        assert await door.get(path) == task
        told = await door.post(f"{path}/claim", {"assignee": "ann"})
        assert told["status"] == "Claimed"
        taken = await door.post(f"{path}/claim", {"assignee": "ben"}, status=409)
        assert taken["code"] == "INVALID_STATE"
        ann = {"X-User": "ann"}
        wrong = {"output": {"approved": "perhaps"}}
        told = await door.post(f"{path}/complete", wrong, status=400, headers=ann)
        assert "approved" in told["message"]
        assert told["details"]["fields"][0]["field"] == "output.approved"
        assert told["details"]["field"] == "output.approved"
        told = await door.post(f"{path}/complete", {"output": {}}, status=400, headers=ann)
        assert told["details"]["fields"][0]["field"] == "output"
        done = {"output": {"approved": True}, "completed_by": "mallory"}
        told = await door.post(f"{path}/complete", done, headers=ann)
        assert told["status"] == "Completed"
        result = await door.result(id)
        assert result["output"]["approved"] is True
        assert result["output"]["completed_by"] == "ann"

    async def test_one_of_many_who_claim_at_once_gets_it(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        path = f"/tasks/{(await task_of(door, id))['task_id']}"
        answers = await asyncio.gather(
            *(door.ask("POST", f"{path}/claim", {"assignee": f"p{n}"}) for n in range(10))
        )
        assert sorted(answer.status_code for answer in answers) == [200] + [409] * 9
        winner = next(n for n, answer in enumerate(answers) if answer.status_code == 200)
        assert (await door.get(path))["claimed_by"] == f"p{winner}"

    async def test_a_task_given_back_is_open_again(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        path = f"/tasks/{(await task_of(door, id))['task_id']}"
        ann = {"X-User": "ann"}
        await door.post(f"{path}/claim", headers=ann)
        assert (await door.post(f"{path}/release", headers=ann))["status"] == "Open"

    async def test_a_task_is_given_to_others(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        path = f"/tasks/{(await task_of(door, id))['task_id']}"
        told = await door.post(f"{path}/assign", {}, status=400)
        assert "assignees" in told["message"]
        await door.post(f"{path}/assign", {"assignees": ["Zoë", "李"]})
        assert (await door.get(path))["assignees"] == ["Zoë", "李"]
        zoe = {"X-User": "Zoë".encode()}
        await door.post(f"{path}/claim", headers=zoe)
        assert (await door.get(path))["claimed_by"] == "Zoë"
        done = {"output": {"approved": True}}
        await door.post(f"{path}/complete", done, status=409, headers={"X-User": "ben"})
        await door.post(f"{path}/complete", done | {"force": True}, headers={"X-User": "ben"})

    async def test_a_task_that_cannot_be_done_fails_its_step(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        path = f"/tasks/{(await task_of(door, id))['task_id']}"
        body = {"error": "the paper is unreadable", "details": {"page": 3}}
        told = await door.post(f"{path}/fail", body, headers={"X-User": "ann"})
        assert told["status"] == "Failed"
        result = await door.result(id)
        assert result["status"] == "Failed"
        assert result["failure"]["message"] == "the paper is unreadable"
        assert result["failure"]["step"] == "check"
        assert (await door.get(path))["error"]["message"] == "the paper is unreadable"
        again = await door.post(f"{path}/fail", body, status=409)
        assert again["code"] == "INVALID_STATE"

    async def test_how_far_somebody_is_is_kept(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        path = f"/tasks/{(await task_of(door, id))['task_id']}"
        early = await door.post(f"{path}/heartbeat", {"progress": 1}, status=409)
        assert early["code"] == "INVALID_STATE"
        await door.post(f"{path}/claim", {"assignee": "ann"})
        body = {"progress": 40, "details": {"page": 2}}
        assert (await door.post(f"{path}/heartbeat", body))["status"] == "Claimed"
        task = await door.get(path)
        assert (task["progress"], task["details"]) == (40, {"page": 2})
        await door.post(f"{path}/heartbeat", {"progress": 101}, status=400)

    async def test_lists_have_filters_and_totals(self, door: Door) -> None:
        ids = [await door.start("ask", {"order": str(n)}) for n in range(3)]
        tasks = [await task_of(door, id) for id in ids]
        await door.post(f"/tasks/{tasks[0]['task_id']}/claim", {"assignee": "cleo"})

        async def of(**params: Any) -> list[str]:
            page = await door.get("/tasks", **params)
            assert page["meta"]["total"] >= len(page["data"])
            return [task["workflow_id"] for task in page["data"]]

        assert (await of(per_page=3))[0] == ids[2]
        assert await of(assignee="cleo") == [ids[0]]
        assert await of(workflow_id=ids[1]) == [ids[1]]
        assert await of(workflow_id=ids[0], status="open") == []
        assert await of(workflow_id=ids[0], status="claimed", definition_id="ask") == [ids[0]]
        assert await of(workflow_id=ids[0], task_type="intervention") == []
        assert await of(assignee="group:credit", per_page=1, page=2, status="Open") != []

    async def test_filters_of_an_execution_hold(self, door: Door) -> None:
        id = await door.start("ask", {"order": "o-1"})
        task = await task_of(door, id)
        for params, found in (
            ({"status": "open,claimed"}, [task]),
            ({"status": "Completed"}, []),
            ({"task_type": task["task_type"]}, [task]),
            ({"task_type": "intervention"}, []),
        ):
            assert await door.get(f"/workflows/{id}/tasks", **params) == found


class TestEvents:
    async def test_an_event_goes_to_those_that_wait(self, door: Door) -> None:
        namespace = {"X-Namespace": new_id()}
        body = {
            "id": "paid",
            "version": "1",
            "steps": [{"id": "wait", "type": "wait", "event": "order.paid"}],
        }
        await door.post("/workflow-definitions", body, status=201, headers=namespace)
        started = await door.post(
            "/workflows", {"definition_id": "paid"}, status=201, headers=namespace
        )
        event = {"event_type": "order.paid", "data": {"n": 1}, "event_id": new_id()}
        told = await door.post("/events", event, status=201, headers=namespace)
        assert told["event_id"] == event["event_id"]
        again = await door.post("/events", event, status=201, headers=namespace)
        assert again["event_id"] == event["event_id"]
        answer = await door.ask(
            "GET",
            f"/workflows/{started['workflow_id']}/result",
            params={"wait": "20s"},
            headers=namespace,
        )
        assert answer.json()["output"]["data"] == {"n": 1}
