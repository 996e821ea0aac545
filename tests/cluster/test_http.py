"""The HTTP door before a deployment on a real Ray: what `tests/http` does without."""

from __future__ import annotations

import asyncio
import os
import signal

import httpx
import pytest

from heliostat.actors.client.client import Client
from heliostat.api.http.app import create_app
from heliostat.api.http.door import way_of
from heliostat.engine.ids import new_id
from tests.cluster.conftest import Place
from tests.http.conftest import DEFINITIONS, STEPS, Door

pytestmark = pytest.mark.long

CALC = DEFINITIONS["calc"].replace("id: calc", "id: calc-over-http")


async def test_what_is_registered_over_http_runs_and_survives_its_host(
    deployment: Place, client: Client
) -> None:
    (deployment.home / "http_steps.py").write_text(STEPS)
    app = create_app(lambda: way_of(client), code_path=[deployment.home])
    transport = httpx.ASGITransport(app=app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as http:
        door = Door(http)
        answer = await door.ask(
            "POST",
            "/workflow-definitions",
            content=CALC,
            headers={"Content-Type": "application/yaml"},
        )
        assert answer.status_code == 201, answer.text
        id = await door.start("calc-over-http", {"number": 21})
        assert (await door.result(id))["output"] == 42

        # Starts while the host dies: each is repeated by its id until it is there, once.
        (host,) = (await client.info_async())["hosts"]
        bodies = [
            {"definition_id": "calc-over-http", "input": {"number": n}, "workflow_id": new_id()}
            for n in range(40)
        ]
        asked = [asyncio.create_task(door.ask("POST", "/workflows", body)) for body in bodies]
        os.kill(host["pid"], signal.SIGKILL)
        answers = await asyncio.gather(*asked)
        for body, answer in zip(bodies, answers, strict=True):
            if answer.status_code not in (200, 201):
                assert answer.status_code == 503, answer.text
                assert (await door.ask("POST", "/workflows", body)).status_code in (200, 201)
        results = await asyncio.gather(*(door.result(str(body["workflow_id"])) for body in bodies))
        assert [result["output"] for result in results] == [2 * n for n in range(40)]
        page = await door.get("/workflows", definition_id="calc-over-http", per_page=100)
        assert page["meta"]["total"] == 41
        assert (await door.get("/health"))["status"] == "healthy"
