"""The door on a real Ray Serve, behind its proxy: what comes in through it, and what may be lost.

The tests share one deployment; `test_page.py` ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect

from heliostat.engine.ids import new_id
from tests.cluster.conftest import BOUND_S
from tests.serve.conftest import API, Served, command_line, listening

pytestmark = pytest.mark.long

REPLICA = "ServeReplica:heliostat"
HOST = "ray::HostProcess"
PROXY = "ray::HAProxyManager"
CONTROLLER = "ray::ServeController"


def wait_until(condition: Callable[[], bool], what: str) -> None:
    end_at = time.monotonic() + BOUND_S
    while not condition():
        assert time.monotonic() < end_at, f"{what} did not come within {BOUND_S:g} s"
        time.sleep(0.1)


def answers(served: Served) -> bool:
    try:
        with served.client(timeout_s=5) as http:
            return http.get("/health").status_code == 200
    except httpx.HTTPError:
        return False


async def started(http: httpx.AsyncClient, body: dict[str, Any]) -> int:
    """Start an execution, repeating it under its id until it is there; its last status."""
    end_at = time.monotonic() + BOUND_S
    while True:
        try:
            answer = await http.post("/workflows", json=body)
        except httpx.TransportError:
            status = 503  # cut off: whether it was carried out is not known
        else:
            status = answer.status_code
            assert status in (200, 201, 429, 503), answer.text
            if status >= 400:  # in the shape of all errors, whoever answers
                assert set(answer.json()) == {"code", "error", "message", "details"}
        if status in (200, 201):
            return status
        assert time.monotonic() < end_at, "a start was never taken"
        await asyncio.sleep(0.2)


async def storm(served: Served, label: str, *, connections: int, each: int, harm: int = 0) -> None:
    """Start many over many connections at once, maybe killing a process meanwhile; then look that
    every one of them is there once, and ended well."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    base = f"{served.address}{API}"
    async with httpx.AsyncClient(base_url=base, limits=limits, timeout=60) as http:
        bodies = [
            {
                "definition_id": "greet",
                "input": {"n": n},
                "workflow_id": new_id(),
                "labels": {"storm": label},
            }
            for n in range(connections * each)
        ]

        async def one_connection(part: list[dict[str, Any]], harming: bool) -> None:
            for number, body in enumerate(part):
                if harming and number == each // 2:
                    os.kill(harm, signal.SIGKILL)
                await started(http, body)

        await asyncio.gather(
            *(
                one_connection(bodies[index::connections], harm != 0 and index == 0)
                for index in range(connections)
            )
        )
        for body in bodies:
            end_at = time.monotonic() + BOUND_S
            while True:
                answer = await http.get(
                    f"/workflows/{body['workflow_id']}/result", params={"wait": "30s"}
                )
                if answer.status_code == 200:
                    break
                assert time.monotonic() < end_at, answer.text
            assert answer.json()["output"] == body["input"]["n"]  # type: ignore[index]
        page = (await http.get("/workflows", params={"label": f"storm={label}"})).json()
        assert page["meta"]["total"] == len(bodies)


class TestUp:
    """`heliostat up` opens the door and tells where."""

    def test_it_says_where_and_the_record_keeps_it(self, served: Served) -> None:
        again = served.cli("up", "--format", "json")
        assert again.code == 0, again.err
        assert (again.json["started"], again.json["http"]) == (False, served.address)
        assert served.address.startswith("http://127.0.0.1:")
        text = served.cli("up")
        assert served.address in text.out
        assert "this machine only" in text.out

    def test_status_shows_the_door(self, served: Served) -> None:
        status = served.cli("status", "--format", "json")
        assert status.json["http"] == {
            "address": served.address,
            "health": "healthy",
            "message": "all is well",
            "replicas": 1,
        }
        assert served.address in served.cli("status").out

    def test_no_cpu_is_taken_from_steps(self, served: Served) -> None:
        (replica,) = served.processes(REPLICA)
        (node,) = served.cli("status", "--format", "json").json["nodes"]
        assert node["cpus"] == os.cpu_count()
        assert command_line(replica.pid).startswith("ray::ServeReplica:heliostat:door")

    def test_a_port_that_is_taken_is_an_error_before_anything_starts(self, served: Served) -> None:
        taken = served.address.rpartition(":")[2]
        ran = served.cli("up", "--data", str(served.home / "other"), "--port", taken)
        assert ran.code == 2
        assert f"127.0.0.1:{taken}" in ran.err
        assert "--no-http" in ran.err
        assert not (served.home / "other" / "ray").exists()

    def test_nothing_of_the_door_listens_beyond_this_machine(self, served: Served) -> None:
        found = set().union(*(listening(each.pid) for each in served.processes("")))
        here = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
        assert found
        assert found <= here


class TestThrough:
    """What the proxy lets through."""

    def test_an_execution_from_its_start_to_its_result(self, served: Served) -> None:
        with served.client() as http:
            answer = http.post("/workflows", json={"definition_id": "greet", "input": {"n": 7}})
            assert answer.status_code == 201, answer.text
            id = answer.json()["workflow_id"]
            result = http.get(f"/workflows/{id}/result", params={"wait": "30s"}).json()
            assert (result["status"], result["output"]) == ("Completed", 7)
            state = http.get(f"/workflows/{id}").json()
            assert state["steps"]["third"]["status"] == "Completed"
            assert id in [each["workflow_id"] for each in http.get("/workflows").json()["data"]]
            assert "<html" in httpx.get(served.address).text.lower()

    def test_one_connection_serves_many_requests(self, served: Served) -> None:
        host, _, port = served.address.removeprefix("http://").partition(":")
        request = f"GET {API}/health HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
        with socket.create_connection((host, int(port)), timeout=30) as connection:
            stream = connection.makefile("rb")
            for _ in range(50):
                connection.sendall(request)
                assert stream.readline().split()[1] == b"200"
                length = 0
                while (line := stream.readline().strip()) != b"":
                    name, _, value = line.partition(b":")
                    length = int(value) if name.lower() == b"content-length" else length
                stream.read(length)

    async def test_starts_over_many_connections_at_once(self, served: Served) -> None:
        await storm(served, "many", connections=32, each=10)

    def test_a_thousand_starts_in_one_request(self, served: Served) -> None:
        items = [{"definition_id": "greet", "input": {"n": n}} for n in range(1_000)]
        with served.client() as http:
            told = http.post("/workflows/batch", json={"items": items}).json()
            assert (told["accepted"], told["refused"]) == (1_000, 0)
            last = told["results"][-1]["workflow_id"]
            result = http.get(f"/workflows/{last}/result", params={"wait": "60s"}).json()
            assert result["output"] == 999

    async def test_a_socket_brings_the_state_then_each_event_once(self, served: Served) -> None:
        id = new_id()
        async with httpx.AsyncClient(base_url=f"{served.address}{API}", timeout=60) as http:
            assert await started(http, {"definition_id": "lasting", "workflow_id": id}) == 201
            async with connect(socket_address(served, id)) as live:
                first = json.loads(await live.recv())
                assert (first["type"], first["state"]["status"]) == ("state", "Waiting")
                await http.post(f"/workflows/{id}/signal", json={"signal_name": "go"})
                frames = []
                async for text in live:
                    frames.append(json.loads(text))
                    if frames[-1]["type"] == "end":
                        break
        seqs = [frame["seq"] for frame in frames if frame["type"] == "event"]
        assert seqs == list(range(first["seq"] + 1, frames[-1]["seq"] + 1))

    def test_a_request_addressed_elsewhere_is_refused(self, served: Served) -> None:
        answer = httpx.get(f"{served.address}{API}/health", headers={"Host": "evil.example"})
        assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def socket_address(served: Served, id: str) -> str:
    return f"{served.address.replace('http', 'ws', 1)}{API}/ws/executions/{id}"


class TestLosses:
    """A part of the door or of the deployment is killed: it comes back, and no start is lost."""

    async def test_a_replica_under_load(self, served: Served) -> None:
        (replica,) = served.processes(REPLICA)
        await storm(served, "replica", connections=16, each=10, harm=replica.pid)
        wait_until(lambda: len(served.processes(REPLICA)) == 1, "another replica")
        assert served.processes(REPLICA) != [replica]

    async def test_a_host_under_load(self, served: Served) -> None:
        (host,) = served.processes(HOST)
        await storm(served, "host", connections=16, each=10, harm=host.pid)
        assert served.processes(HOST) != [host]

    def test_the_proxy(self, served: Served) -> None:
        (manager,) = served.processes(PROXY)
        os.kill(manager.pid, signal.SIGKILL)
        wait_until(lambda: served.processes(PROXY) not in ([], [manager]), "another proxy")
        wait_until(lambda: answers(served), "the door")

    def test_serve_s_controller_while_the_door_answers_on(self, served: Served) -> None:
        (controller,) = served.processes(CONTROLLER)
        os.kill(controller.pid, signal.SIGKILL)
        assert answers(served)
        wait_until(lambda: served.processes(CONTROLLER) not in ([], [controller]), "another one")
        wait_until(lambda: answers(served), "the door")

    def test_a_frozen_host_is_told_by_the_health_which_still_answers(self, served: Served) -> None:
        (host,) = served.processes(HOST)
        os.kill(host.pid, signal.SIGSTOP)
        try:
            with served.client(timeout_s=30) as http:
                told = http.get("/health")
                assert (told.status_code, told.json()["status"]) == (503, "unhealthy")
        finally:
            os.kill(host.pid, signal.SIGCONT)
        wait_until(lambda: answers(served), "the door")
