"""Definitions over HTTP: registered, checked, read, as JSON and YAML."""

from __future__ import annotations

from typing import Any, Final

import pytest

from heliostat.engine.ids import new_id
from tests.http.conftest import DEFINITIONS, Door

YAML = {"Content-Type": "application/yaml"}


def definition(id: str, **more: Any) -> dict[str, Any]:
    steps = [{"id": "greet", "type": "decision", "output": 1}]
    return {"id": id, "version": "1", "steps": steps, **more}


class TestRegister:
    @pytest.mark.parametrize("way", ["itself", "envelope", "text in an envelope", "yaml"])
    async def test_each_way_registers_the_same(self, door: Door, way: str) -> None:
        id = f"d-{new_id()}"
        text = f"id: {id}\nversion: '1'\nsteps:\n  - {{id: greet, type: decision, output: 1}}\n"
        match way:
            case "itself":
                answer = await door.ask("POST", "/workflow-definitions", definition(id))
            case "envelope":
                body = {"definition": definition(id)}
                answer = await door.ask("POST", "/workflow-definitions", body)
            case "text in an envelope":
                answer = await door.ask("POST", "/workflow-definitions", {"definition": text})
            case _:
                answer = await door.ask("POST", "/workflow-definitions", content=text, headers=YAML)
        assert answer.status_code == 201, answer.text
        assert answer.json()["id"] == id
        assert await door.get(f"/workflow-definitions/{id}") == definition(id)
        assert (await door.result(await door.start(id)))["output"] == 1

    async def test_the_same_again_is_told_as_such(self, door: Door) -> None:
        body = definition(f"d-{new_id()}")
        first = await door.post("/workflow-definitions", body, status=201)
        again = await door.post("/workflow-definitions", body, status=200)
        assert again == first | {"message": "the same was registered already"}

    async def test_an_envelope_says_it_anew(self, door: Door) -> None:
        id = f"d-{new_id()}"
        body = {
            "definition": definition(id, tags={"a": "1", "b": "1"}),
            "version": "2.0",
            "name": "A name",
            "description": "What it does",
            "labels": {"b": "2"},
        }
        told = await door.post("/workflow-definitions", body, status=201)
        assert told["version"] == "2.0"
        found = await door.get(f"/workflow-definitions/{id}")
        assert found["name"] == "A name"
        assert found["description"] == "What it does"
        assert found["tags"] == {"a": "1", "b": "2"}

    async def test_other_content_under_a_version_is_a_duplicate(self, door: Door) -> None:
        id = f"d-{new_id()}"
        await door.post("/workflow-definitions", definition(id), status=201)
        changed = definition(id, description="changed")
        told = await door.post("/workflow-definitions", changed, status=409)
        assert told["code"] == "DUPLICATE_ERROR"
        assert "changed" in told["message"]

    async def test_every_fault_is_told_with_its_place_and_cure(self, door: Door) -> None:
        text = "id: bad\nversion: 1\nsteps:\n  - {id: a, type: decision, next: nowhere}\n"
        answer = await door.ask("POST", "/workflow-definitions", content=text, headers=YAML)
        assert answer.status_code == 400
        told = answer.json()
        assert told["code"] == "VALIDATION_ERROR"
        faults = told["details"]["diagnostics"]
        assert [(fault["code"], fault["line"]) for fault in faults] == [("HS013", 2), ("HS201", 4)]
        assert faults[1]["step"] == "a"
        assert "nowhere" in faults[1]["text"]

    async def test_functions_are_looked_at_where_runners_look(self, door: Door) -> None:
        text = DEFINITIONS["calc"].replace("id: calc", f"id: d-{new_id()}")
        answer = await door.ask("POST", "/workflow-definitions", content=text, headers=YAML)
        assert answer.status_code == 201, answer.text
        wrong = text.replace(":double", ":dubble")
        answer = await door.ask("POST", "/workflow-definitions", content=wrong, headers=YAML)
        assert answer.status_code == 400
        (fault,) = answer.json()["details"]["diagnostics"]
        assert fault["code"] == "HS302"
        assert "`double`" in fault["cure"]

    async def test_a_module_is_imported_in_a_process_of_its_own(
        self, door: Door, place: Any
    ) -> None:
        (place.home / "rude_steps.py").write_text("import os\nos._exit(7)\n")
        text = DEFINITIONS["calc"].replace("http_steps", "rude_steps")
        answer = await door.ask("POST", "/workflow-definitions", content=text, headers=YAML)
        assert answer.status_code == 400
        assert "exit code 7" in answer.json()["message"]

    async def test_it_is_registered_in_the_namespace_of_the_request(self, door: Door) -> None:
        headers = {"X-Namespace": new_id()}
        body = definition("mine")
        await door.post("/workflow-definitions", body, status=201, headers=headers)
        answer = await door.ask("GET", "/workflow-definitions/mine", headers=headers)
        assert answer.status_code == 200
        assert (await door.ask("GET", "/workflow-definitions/mine")).status_code == 404
        other = definition("mine", namespace="elsewhere")
        told = await door.post("/workflow-definitions", other, status=400, headers=headers)
        assert "elsewhere" in told["message"]


class TestUpdate:
    async def test_a_new_version_stands_beside_the_old(self, door: Door) -> None:
        id = f"d-{new_id()}"
        await door.post("/workflow-definitions", definition(id), status=201)
        path = f"/workflow-definitions/{id}"
        changed = definition(id, version="2", description="changed")
        answer = await door.ask("PUT", path, changed)
        assert (answer.status_code, answer.json()["version"]) == (200, "2"), answer.text
        answer = await door.ask("PUT", path, {"version": "3", "name": "Three", "updated_by": "x"})
        assert answer.status_code == 200, answer.text
        newest = {"version": "3", "name": "Three", "description": "changed"}
        assert await door.get(path) == definition(id) | newest
        assert await door.get(path, version="1") == definition(id)
        versions = await door.get(f"{path}/versions")
        assert [each["version"] for each in versions] == ["3", "2", "1"]

    async def test_what_does_not_fit_is_refused(self, door: Door) -> None:
        id = f"d-{new_id()}"
        path = f"/workflow-definitions/{id}"
        for body, status, code in (
            (definition(id), 404, "NOT_FOUND"),
            (definition(id, description="x"), 409, "VERSION_CONFLICT"),
            (definition("other", version="2"), 400, "VERSION"),
            ({"name": "x"}, 400, "VALIDATION_ERROR"),
            ({"definition": definition(id), "nmae": "x"}, 400, "VALIDATION_ERROR"),
        ):
            answer = await door.ask("PUT", path, body)
            assert answer.status_code == status, answer.text
            assert answer.json()["code"] == code or code == "VERSION"
            if status == 404:
                await door.post("/workflow-definitions", definition(id), status=201)
        answer = await door.ask("GET", f"/workflow-definitions/{new_id()}/versions")
        assert answer.status_code == 404


class TestLists:
    async def test_filters_hold_and_totals_count_all(self, door: Door) -> None:
        space = {"X-Namespace": new_id()}
        for n in range(3):
            body = definition(f"d{n}", name=f"Number {n}", tags={"odd": str(n % 2)})
            await door.post("/workflow-definitions", body, status=201, headers=space)
        newer = definition("d0", version="2", description="the newest of all")
        await door.post("/workflow-definitions", newer, status=201, headers=space)

        async def ids(**params: Any) -> list[str]:
            page = await door.get("/workflow-definitions", namespace=space["X-Namespace"], **params)
            assert page["meta"]["total"] == len(page["data"]) or "per_page" in params
            return [f"{row['id']}@{row['version']}" for row in page["data"]]

        assert await ids() == ["d0@2", "d2@1", "d1@1"]
        assert await ids(versions="true") == ["d0@2", "d2@1", "d1@1", "d0@1"]
        assert await ids(filter="NUMBER") == ["d2@1", "d1@1"]
        assert await ids(filter="newest") == ["d0@2"]
        assert await ids(filter="odd=1") == ["d1@1"]
        assert await ids(per_page=1, page=2) == ["d2@1"]

    async def test_what_is_needed_is_not_deleted(self, door: Door) -> None:
        id = f"d-{new_id()}"
        steps = [{"id": "wait", "type": "wait", "signal": "go"}]
        await door.post("/workflow-definitions", definition(id, steps=steps), status=201)
        caller = definition(
            f"{id}-caller", steps=[{"id": "call", "type": "sub_workflow", "workflow": id}]
        )
        await door.post("/workflow-definitions", caller, status=201)
        execution = await door.start(id)
        path = f"/workflow-definitions/{id}"
        refused = await door.ask("DELETE", path)
        assert refused.status_code == 409
        told = refused.json()
        assert told["code"] == "DEPENDENCY_ERROR"
        assert told["details"]["executions"] == [execution]
        assert told["details"]["definitions"] == [f"{id}-caller@1"]
        assert (await door.ask("DELETE", f"{path}-caller")).status_code == 200
        await door.post(f"/workflows/{execution}/cancel")
        await door.result(execution)
        answer = await door.ask("DELETE", path)
        assert answer.json() == {"id": id, "message": "version 1 is deleted", "versions": ["1"]}
        assert (await door.ask("GET", path)).status_code == 404
        assert (await door.ask("DELETE", path)).status_code == 404
        assert (await door.get(f"/workflows/{execution}/graph"))["steps"]["wait"]
        await door.post("/workflows", {"definition_id": id}, status=404)


class TestValidate:
    @pytest.mark.parametrize("path", ["validate", "anything/validate"])
    async def test_a_verdict_is_told_and_nothing_stored(self, door: Door, path: str) -> None:
        id = f"d-{new_id()}"
        told = await door.post(f"/workflow-definitions/{path}", definition(id))
        assert told == {"valid": True, "errors": [], "warnings": []}
        wrong = {"definition": definition(id, steps=[])}
        told = await door.post(f"/workflow-definitions/{path}", wrong)
        assert told["valid"] is False
        assert told["errors"][0]["field"] == "steps"
        assert (await door.ask("GET", f"/workflow-definitions/{id}")).status_code == 404


class TestProofs:
    STUCK: Final = {
        "steps": [
            {"id": "fork", "type": "decision", "split": "all", "next": [{"to": "a"}, {"to": "b"}]},
            {"id": "a", "type": "decision", "next": "meet"},
            {
                "id": "b",
                "type": "decision",
                "next": [{"when": "$.input.fine", "to": "meet"}, {"to": "end"}],
            },
            {"id": "meet", "type": "decision", "join": "all"},
        ]
    }

    async def test_what_one_finds_is_a_warning(self, door: Door) -> None:
        body = definition(f"d-{new_id()}", **self.STUCK)
        told = await door.post("/workflow-definitions/validate", body)
        assert (told["valid"], told["errors"]) == (True, [])
        assert [(each["code"], each["severity"]) for each in told["warnings"]] == [
            ("HS501", "warning")
        ]
        told = await door.post("/workflow-definitions", body, status=201)
        assert [each["step"] for each in told["warnings"]] == ["b"]

    async def test_or_an_error_or_not_looked_for(self, door: Door) -> None:
        body = definition(f"d-{new_id()}", **self.STUCK)
        path = "/workflow-definitions"
        told = await door.post(f"{path}/validate?verification=error", body)
        assert (told["valid"], told["errors"][0]["code"]) == (False, "HS501")
        told = await door.post(f"{path}?verification=error", body, status=400)
        assert told["details"]["diagnostics"][0]["severity"] == "error"
        told = await door.post(f"{path}?verification=off", body, status=201)
        assert told["warnings"] == []
        await door.post(f"{path}?verification=perhaps", body, status=400)


class TestDiff:
    async def test_two_versions_are_compared_step_by_step(self, door: Door) -> None:
        id = f"d-{new_id()}"
        await door.post("/workflow-definitions", definition(id), status=201)
        other = definition(id, version="2")
        other["steps"] = [{"id": "greet", "type": "decision", "output": 2}]
        await door.post("/workflow-definitions", other, status=201)
        told = await door.get(f"/workflow-definitions/{id}/diff", **{"from": "1", "to": "2"})
        assert told == {
            "before": f"{id}@1",
            "after": f"{id}@2",
            "changes": [
                {
                    "what": "step",
                    "change": "changed",
                    "path": "greet",
                    "type": "decision",
                    "fields": [{"field": "output", "before": 1, "after": 2}],
                }
            ],
            "code_compared": True,
        }
        same = await door.get(f"/workflow-definitions/{id}/diff", **{"from": "2"})
        assert same["changes"] == []

    async def test_a_version_that_is_not_there_is_named(self, door: Door) -> None:
        id = f"d-{new_id()}"
        await door.post("/workflow-definitions", definition(id), status=201)
        answer = await door.ask("GET", f"/workflow-definitions/{id}/diff?from=9")
        assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
