"""Executions over HTTP: started, listed, read, steered."""

from __future__ import annotations

import asyncio
from typing import Any

from heliostat.engine.ids import new_id
from tests.http.conftest import Door


class TestStart:
    async def test_it_runs_and_its_result_is_told(self, door: Door) -> None:
        id = await door.start("hello", {"name": "ann"})
        assert await door.result(id) == {
            "workflow_id": id,
            "status": "Completed",
            "output": {"text": "hello ann"},
            "failure": None,
        }

    async def test_the_same_start_again_is_told_as_such(self, door: Door) -> None:
        id = new_id()
        body = {"definition_id": "hello", "input": {"name": "ann"}, "workflow_id": id}
        await door.post("/workflows", body, status=201)
        await door.result(id)
        again = await door.post("/workflows", body, status=200)
        assert again == {
            "workflow_id": id,
            "status": "Completed",
            "message": "the same start was there already",
        }

    async def test_another_input_under_its_id_is_a_duplicate(self, door: Door) -> None:
        id = await door.start("hello", {"name": "ann"})
        told = await door.post(
            "/workflows",
            {"definition_id": "hello", "input": {"name": "ben"}, "id": id},
            status=409,
        )
        assert told["code"] == "DUPLICATE_ERROR"
        assert id in told["message"]

    async def test_a_key_names_it_where_the_body_does_not(self, door: Door) -> None:
        key = new_id()
        body = {"definition_id": "hello", "input": {"name": "ann"}}
        headers = {"Idempotency-Key": key}
        first = await door.post("/workflows", body, status=201, headers=headers)
        again = await door.post("/workflows", body, status=200, headers=headers)
        assert first["workflow_id"] == again["workflow_id"] == key

    async def test_many_at_once_each_get_their_own_answer(self, door: Door) -> None:
        async def one(index: int) -> tuple[int, Any]:
            definition = "hello" if index % 3 else "absent"
            answer = await door.ask(
                "POST", "/workflows", {"definition_id": definition, "input": {"name": str(index)}}
            )
            return answer.status_code, answer.json()

        answers = await asyncio.gather(*(one(index) for index in range(60)))
        assert [status for status, _ in answers] == [201 if n % 3 else 404 for n in range(60)]
        ids = [body["workflow_id"] for status, body in answers if status == 201]
        results = await asyncio.gather(*map(door.result, ids))
        assert [result["output"]["text"] for result in results] == [
            f"hello {n}" for n in range(60) if n % 3
        ]

    async def test_the_same_id_at_the_same_moment_is_one_execution(self, door: Door) -> None:
        body = {"definition_id": "hello", "input": {"name": "ann"}, "workflow_id": new_id()}
        answers = await asyncio.gather(*(door.ask("POST", "/workflows", body) for _ in range(20)))
        assert sorted(answer.status_code for answer in answers) == [200] * 19 + [201]

    async def test_a_large_input_comes_back_whole(self, door: Door) -> None:
        input = {"name": "x" * 200_000, "more": [{"n": n} for n in range(10_000)]}
        id = await door.start("hello", input)
        result = await door.result(id)
        assert result["output"] == {"text": "hello " + "x" * 200_000}


class TestBatch:
    async def test_each_item_has_its_own_answer_in_the_order_given(self, door: Door) -> None:
        ids = [new_id() for _ in range(5)]
        await door.start("hello", {"name": "0"}, workflow_id=ids[0])
        told = await door.post(
            "/workflows/batch",
            {
                "items": [
                    {"definition_id": "hello", "input": {"name": "0"}, "workflow_id": ids[0]},
                    {"definition_id": "hello", "input": {"name": "1"}, "workflow_id": ids[1]},
                    {"definition_id": "absent", "workflow_id": ids[2]},
                    {"definition_id": "calc", "input": {}, "workflow_id": ids[3]},
                    {"definition_id": "hello", "workflow_id": ids[4], "priority": 11},
                    {"definition_id": "hello", "input": {"name": "1"}, "workflow_id": ids[1]},
                    "nonsense",
                    {"definition_id": "hello"},
                ]
            },
        )
        results = told["results"]
        assert [item["code"] for item in results] == [200, 201, 404, 400, 400, 400, 400, 201]
        assert [item["workflow_id"] for item in results[:5]] == ids
        assert (told["accepted"], told["refused"]) == (3, 5)
        assert results[4]["error"]["details"]["fields"][0]["field"] == "items.4.priority"
        assert "number" in results[3]["error"]["message"]

    async def test_ten_thousand_are_taken_and_one_more_is_not(self, door: Door) -> None:
        items = [{"definition_id": "hello", "input": {"name": str(n)}} for n in range(10_000)]
        told = await door.post("/workflows/batch", {"items": items})
        assert told["accepted"] == 10_000
        assert len({item["workflow_id"] for item in told["results"]}) == 10_000
        more = await door.post("/workflows/batch", {"items": [*items, items[0]]}, status=400)
        assert "10,000" in more["message"]


class TestSteering:
    async def test_a_signal_goes_to_the_wait(self, door: Door) -> None:
        id = await door.start("patient")
        body = {"signal_name": "go", "signal_data": {"n": 3}}
        told = await door.post(f"/workflows/{id}/signal", body)
        assert told["workflow_id"] == id
        assert (await door.result(id))["output"]["data"] == {"n": 3}

    async def test_a_signal_sent_again_under_its_key_is_given_once(self, door: Door) -> None:
        id = await door.start("twice")
        for key in ("a", "a", "b"):
            body = {"signal_name": "go", "signal_data": key}
            headers = {"Idempotency-Key": f"{id}-{key}"}
            await door.post(f"/workflows/{id}/signal", body, headers=headers)
        assert (await door.result(id))["output"] == ["a", "b"]

    async def test_a_pause_holds_until_it_is_resumed(self, door: Door) -> None:
        id = await door.start("patient")
        told = await door.post(f"/workflows/{id}/pause", {"reason": "lunch"})
        assert told["status"] == "Paused"
        assert (await door.get(f"/workflows/{id}"))["status"] == "Paused"
        assert (await door.post(f"/workflows/{id}/resume"))["status"] != "Paused"
        again = await door.post(f"/workflows/{id}/resume", {}, status=409)
        assert again["code"] == "INVALID_STATE"

    async def test_a_cancel_ends_it(self, door: Door) -> None:
        id = await door.start("patient")
        await door.post(f"/workflows/{id}/cancel", {"reason": "too late", "cancelled_by": "me"})
        assert (await door.result(id))["status"] == "Canceled"
        assert (await door.post(f"/workflows/{id}/cancel", status=409))["code"] == "INVALID_STATE"

    async def test_a_retry_begins_a_new_run(self, door: Door) -> None:
        id = await door.start("wrong", {"what": "broke"})
        failed = await door.result(id)
        assert failed["status"] == "Failed"
        assert failed["failure"]["message"] == "it broke"
        told = await door.post(f"/workflows/{id}/retry")
        assert told["message"] == "run 2 begins"
        assert (await door.result(id))["status"] == "Failed"
        assert (await door.get(f"/workflows/{id}"))["run"] == 2

    async def test_after_a_retry_the_end_of_the_new_run_is_waited_for(self, door: Door) -> None:
        id = await door.start("mended", {"fine": False})
        assert (await door.result(id))["status"] == "Failed"
        await door.post(f"/workflows/{id}/retry", {"from_activity": "wait"})
        waiting = asyncio.create_task(door.ask("GET", f"/workflows/{id}/result?wait=20s"))
        await door.get(f"/workflows/{id}")
        await door.post(f"/workflows/{id}/cancel")
        answer = await waiting
        assert (answer.status_code, answer.json()["status"]) == (200, "Canceled")


class TestReading:
    async def test_a_result_that_has_not_come_answers_202(self, door: Door) -> None:
        id = await door.start("patient")
        for params in ({}, {"wait": "50ms"}):
            answer = await door.ask("GET", f"/workflows/{id}/result", params=params)
            assert answer.status_code == 202
            assert answer.json()["output"] is None

    async def test_a_state_tells_what_it_does_now(self, door: Door) -> None:
        id = await door.start("patient", labels={"team": "a"}, correlation_id="c-1", priority=7)
        state = await door.get(f"/workflows/{id}")
        assert state["current_state"] == "wait"
        assert state["labels"] == {"team": "a"}
        assert (state["correlation_id"], state["priority"]) == ("c-1", 7)
        assert (state["total_tasks"], state["completed_tasks"]) == (2, 0)
        assert state["steps"]["wait"]["status"] == "Waiting"
        assert state["steps"]["done"]["status"] == "Pending"
        assert state["seq"] >= 1

    async def test_a_history_is_read_in_parts(self, door: Door) -> None:
        id = await door.start("hello", {"name": "ann"})
        await door.result(id)
        whole = await door.get(f"/workflows/{id}/history")
        assert [event["seq"] for event in whole] == list(range(1, len(whole) + 1))
        parts: list[Any] = []
        while part := await door.get(f"/workflows/{id}/history", after=len(parts), limit=1):
            parts += part
        assert parts == whole

    async def test_a_graph_has_the_steps(self, door: Door) -> None:
        id = await door.start("patient")
        graph = await door.get(f"/workflows/{id}/graph")
        assert [node["id"] for node in graph["nodes"]] == ["wait", "done"]
        edge = {"from": "wait", "to": "done", "kind": "next", "scope": 0}
        assert graph["edges"] == [{**edge, "traversed": 0}]
        assert graph["steps"]["wait"]["status"] == "Waiting"
        await door.post(f"/workflows/{id}/signal", {"signal_name": "go"})
        await door.result(id)
        graph = await door.get(f"/workflows/{id}/graph")
        assert graph["edges"] == [{**edge, "traversed": 1}]
        assert graph["steps"]["done"]["status"] == "Completed"


class TestTasks:
    async def test_attempts_that_failed_stand_beside_human_tasks(self, door: Door) -> None:
        id = await door.start("fragile")
        failed = await door.result(id)
        assert failed["status"] == "Failed"
        (task,) = await door.get(f"/workflows/{id}/tasks", status="failed", task_type="activity")
        assert (task["step"], task["attempt"], task["workflow_id"]) == ("work", 1, id)
        assert task["error"]["type"] == failed["failure"]["type"]
        assert await door.get(f"/workflows/{id}/tasks", status="running") == []
        state = await door.get(f"/workflows/{id}", include_tasks="true")
        assert state["tasks"] == [task]

    async def test_variables_are_told_where_they_are_wanted(self, door: Door) -> None:
        id = await door.start("counting", {"big": "x" * 100_000})
        await door.result(id)
        assert "variables" not in await door.get(f"/workflows/{id}")
        state = await door.get(f"/workflows/{id}", include_variables="true")
        assert state["variables"] == {"n": 2, "big": ["x" * 100_000]}


class TestMetadata:
    async def test_what_was_noted_is_read_and_replaced(self, door: Door) -> None:
        id = await door.start("hello", {"name": "ann"})
        path = f"/workflows/{id}/metadata"
        assert await door.get(path) == {}
        for texts in ({"ticket": "T-7", "who": "Zoë"}, {"ticket": "T-8"}, {}):
            answer = await door.ask("PUT", path, {"metadata": texts, "updated_by": "x"})
            assert answer.status_code == 200, answer.text
            assert await door.get(path) == texts
        await door.post(path, {}, status=405)
        for wrong in ({"a": 1}, {"": "a"}, {"a": "x" * 5_000}, None):
            answer = await door.ask("PUT", path, {"metadata": wrong})
            assert answer.status_code == 400, answer.text


class TestLists:
    async def test_filters_hold_together_and_totals_count_all(self, door: Door) -> None:
        namespace = new_id()
        headers = {"X-Namespace": namespace}
        text = {"id": "hi", "version": "1", "steps": [{"id": "s", "type": "decision"}]}
        await door.post("/workflow-definitions", text, status=201, headers=headers)
        for n in range(5):
            body = {
                "definition_id": "hi",
                "workflow_id": f"run-{n}",
                "labels": {"odd": str(n % 2)},
            }
            await door.post("/workflows", body, status=201, headers=headers)
        page = await door.get("/workflows", namespace=namespace, per_page=2)
        assert [row["workflow_id"] for row in page["data"]] == ["run-4", "run-3"]
        assert page["meta"]["total"] == 5
        assert page["meta"]["total_pages"] == 3
        last = await door.get("/workflows", namespace=namespace, per_page=2, page=3)
        assert [row["workflow_id"] for row in last["data"]] == ["run-0"]
        after = await door.get(
            "/workflows", namespace=namespace, per_page=2, cursor=page["meta"]["next_cursor"]
        )
        assert [row["workflow_id"] for row in after["data"]] == ["run-2", "run-1"]
        odd = await door.get("/workflows", namespace=namespace, label="odd=1")
        assert [row["workflow_id"] for row in odd["data"]] == ["run-3", "run-1"]
        (row,) = (await door.get("/workflows", namespace=namespace, q="run-4"))["data"]
        state = await door.get("/workflows/run-4", namespace=namespace)
        assert {name: state[name] for name in row} == row
        some = await door.get("/workflows", namespace=namespace, q="N-3")
        assert [row["workflow_id"] for row in some["data"]] == ["run-3"]
        none = await door.get("/workflows", namespace=namespace, status="Failed,Canceled")
        assert none["data"] == []
        assert none["meta"]["total"] == 0
        early = await door.get("/workflows", namespace=namespace, end_date="2020-01-01")
        assert early["meta"]["total"] == 0
