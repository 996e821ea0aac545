"""What the HTTP door costs, on a deployment as `heliostat up` starts it, behind Serve's fast proxy.

- `w2`: one three-step workflow alone, again and again: through the client and through HTTP.
- `http`: starts a second over 32 connections, beside a bare route on the same Serve, which parses
  its body and answers; and starts in batches of 1,000.
- `stored`: state and lists while so many executions are stored.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks.deployment import FOLDER, RESULT_TIMEOUT_S, data_dir

API = "/api/v1"
CONNECTIONS = 32
BATCH = 1_000


def main(which: str, size: int, repeats: int) -> list[dict[str, float]]:
    """Bring a deployment up, measure, end it."""
    from heliostat.api.serve.door import ServeDoor
    from heliostat.cluster.config import load_configuration
    from heliostat.cluster.connect import attach
    from heliostat.cluster.deployment import down, up
    from heliostat.cluster.record import read_record

    configuration = load_configuration(
        {"data_dir": data_dir(), "code": FOLDER.parent, "http_port": 0}, environment={}
    )
    door = ServeDoor()
    report = up(configuration, door=door)
    try:
        record = read_record(data_dir())
        assert record is not None
        assert record.http is not None
        host, port = record.http.reached
        with attach(configuration) as client:
            client.register(FOLDER / "chain.yaml")
            measure = {"w2": alone, "http": starts, "stored": stored}[which]
            figures = [measure(client, Http(host, port), size) for _ in range(repeats)]
            if which == "http":
                figures = [{**each, "up_s": report.seconds} for each in figures]
            return figures
    finally:
        down(configuration, door=door)


class Http:
    """One kept connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._connection = http.client.HTTPConnection(host, port, timeout=RESULT_TIMEOUT_S)

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        text = None if body is None else json.dumps(body)
        headers = {} if text is None else {"Content-Type": "application/json"}
        self._connection.request(method, API + path, text, headers)
        answer = self._connection.getresponse()
        told = json.loads(answer.read())
        assert answer.status < 300, told
        return told

    def load(self, **order: Any) -> dict[str, float]:
        """The load generator's figures."""
        order |= {"host": self.host, "port": self.port}
        ran = subprocess.run(
            [sys.executable, "-m", "benchmarks.load", json.dumps(order)],
            cwd=FOLDER.parent,
            capture_output=True,
            text=True,
            timeout=RESULT_TIMEOUT_S,
            check=True,
        )
        figures: dict[str, float] = json.loads(ran.stdout)
        return figures


def timed(what: str, count: int, once: Callable[[int], Any]) -> dict[str, float]:
    """Half and 99 in 100 take no longer than this."""
    seconds = []
    for number in range(count):
        begun = time.perf_counter()
        once(number)
        seconds.append(time.perf_counter() - begun)
    seconds.sort()
    return {
        f"{what}_p50_ms": 1_000 * seconds[count // 2],
        f"{what}_p99_ms": 1_000 * seconds[int(count * 0.99)],
    }


def alone(client: Any, over_http: Http, count: int) -> dict[str, float]:
    """W2: from the call that starts an execution to its result, one after the other."""

    def by_client(number: int) -> None:
        assert (
            client.start("bench-chain", {"n": number}).result(timeout=RESULT_TIMEOUT_S)
            == number + 3
        )

    def by_http(number: int) -> None:
        body = {"definition_id": "bench-chain", "input": {"n": number}}
        id = over_http.ask("POST", "/workflows", body)["workflow_id"]
        told = over_http.ask("GET", f"/workflows/{id}/result?wait=30s")
        assert told["output"] == number + 3

    for number in range(min(count, 100)):  # warm
        by_client(number)
        by_http(number)
    return timed("client", count, by_client) | timed("http", count, by_http)


def starts(client: Any, over_http: Http, count: int) -> dict[str, float]:
    """Starts a second over many connections, until the last is accepted; and their ends."""
    bare(over_http)
    body = '{"definition_id": "bench-chain", "input": {"n": $N}}'
    asked = {"method": "POST", "body": body, "connections": CONNECTIONS}
    over_http.load(**asked, path=f"{API}/workflows", count=200)
    settled(over_http)
    reference = over_http.load(**asked, path="/bare/starts", count=count)
    single = over_http.load(**asked, path=f"{API}/workflows", count=count)
    assert single["refused"] == 0
    begun = time.perf_counter()
    settled(over_http)
    left_s = time.perf_counter() - begun
    items = [{"definition_id": "bench-chain", "input": {"n": n}} for n in range(BATCH)]
    begun = time.perf_counter()
    for _ in range(max(1, count // BATCH)):
        assert over_http.ask("POST", "/workflows/batch", {"items": items})["refused"] == 0
    batched_s = time.perf_counter() - begun
    settled(over_http)
    return {
        "starts_per_s": single["per_s"],
        "p50_ms": single["p50_ms"],
        "p99_ms": single["p99_ms"],
        "bare_per_s": reference["per_s"],
        "of_bare": single["per_s"] / reference["per_s"],
        "batched_per_s": max(1, count // BATCH) * BATCH / batched_s,
        "left_s": left_s,
    }


def settled(over_http: Http) -> None:
    """Wait until nothing runs."""
    while over_http.ask("GET", "/workflows?status=Running&per_page=1")["data"]:
        time.sleep(0.05)


def bare(over_http: Http) -> None:
    """A route that does nothing, on the same Serve."""
    from fastapi import FastAPI
    from ray import serve
    from starlette.responses import JSONResponse

    async def nothing(request: Any) -> JSONResponse:
        asked = await request.json()
        return JSONResponse({"workflow_id": "x", "status": "Running", "message": asked["input"]})

    def made() -> FastAPI:
        app = FastAPI()
        app.add_route("/starts", nothing, methods=["POST"])
        return app

    deployment = serve.deployment(
        name="bare", max_ongoing_requests=10_000, ray_actor_options={"num_cpus": 0}
    )(serve.ingress(made)())
    serve.run(deployment.bind(), name="bare", route_prefix="/bare")
    end_at = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection(over_http.host, over_http.port, timeout=10)
        connection.request(
            "POST", "/bare/starts", '{"input": 1}', {"Content-Type": "application/json"}
        )
        status = connection.getresponse().status
        connection.close()
        if status == 200:
            return
        assert time.monotonic() < end_at, f"the bare route answers {status}"
        time.sleep(0.2)


def stored(client: Any, over_http: Http, count: int) -> dict[str, float]:
    """State and lists while `count` executions are stored, all of them ended."""
    ids: list[str] = []
    while len(ids) < count:
        part = [{"n": n} for n in range(min(10_000, count - len(ids)))]
        handles = client.start_many("bench-chain", part)
        for handle in client.results(handles, timeout=RESULT_TIMEOUT_S):
            handle.result()
        ids += [handle.id for handle in handles]
    stride = max(1, len(ids) // 500)
    some = ids[::stride][:500]

    def asking(path: str) -> Callable[[int], Any]:
        return lambda _: over_http.ask("GET", path)

    last = over_http.ask("GET", "/workflows?per_page=100")["meta"]["next_cursor"]
    return {
        "stored": len(ids),
        **timed("state", len(some), lambda n: over_http.ask("GET", f"/workflows/{some[n]}")),
        **timed("client_state", len(some), lambda n: client.get(some[n]).status()),
        **timed("list", 200, asking("/workflows?per_page=20")),
        **timed("list_by_status", 200, asking("/workflows?per_page=20&status=Completed")),
        **timed(
            "list_by_definition", 50, asking("/workflows?per_page=20&definition_id=bench-chain")
        ),
        **timed("list_page_1000", 50, asking("/workflows?per_page=20&page=1000")),
        **timed("list_cursor", 200, asking(f"/workflows?per_page=100&cursor={last}")),
        **timed("search", 20, asking(f"/workflows?per_page=20&q={ids[0][-8:]}")),
    }
