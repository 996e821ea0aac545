"""Whatever is asked wrongly is answered in one shape, with the status that says what to do."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from heliostat.api.http import asking, errors, lingering
from heliostat.api.http.app import create_app
from heliostat.api.http.door import Way
from heliostat.api.http.guards import LOOPBACK
from heliostat.engine.errors import HeliostatError, Overloaded, Unreachable
from tests.http.conftest import Door

JSON = {"Content-Type": "application/json"}
START = {"definition_id": "hello"}
DEEP = b"[" * 10_000 + b"]" * 10_000


def raw(content: bytes, kind: str = "application/json") -> dict[str, Any]:
    return {"content": content, "headers": {"Content-Type": kind}}


TABLE: list[tuple[str, str, str, dict[str, Any], int, str, str]] = [
    # what, method, path, more, status, code, part of the message
    ("no such path", "GET", "/nowhere", {}, 404, "NOT_FOUND", "/api/v1/nowhere"),
    ("slash behind", "GET", "/workflows/", {}, 404, "NOT_FOUND", "/api/v1/workflows/"),
    ("slash within", "GET", "/workflows/a%2Fb", {}, 404, "NOT_FOUND", "a/b"),
    ("method", "DELETE", "/workflows", {}, 405, "METHOD_NOT_ALLOWED", "GET, POST"),
    ("head", "HEAD", "/workflows", {}, 405, "", ""),
    ("options", "OPTIONS", "/workflows", {}, 405, "METHOD_NOT_ALLOWED", "OPTIONS"),
    ("no execution", "GET", "/workflows/none", {}, 404, "NOT_FOUND", "none"),
    ("no result", "GET", "/workflows/none/result", {}, 404, "NOT_FOUND", "none"),
    ("no history", "GET", "/workflows/none/history", {}, 404, "NOT_FOUND", "none"),
    ("no graph", "GET", "/workflows/none/graph", {}, 404, "NOT_FOUND", "none"),
    ("no tasks", "GET", "/workflows/none/tasks", {}, 404, "NOT_FOUND", "none"),
    ("no cancel", "POST", "/workflows/none/cancel", {}, 404, "NOT_FOUND", "none"),
    ("odd id", "GET", "/workflows/%00%F0%9F", {}, 404, "NOT_FOUND", ""),
    ("no definition", "GET", "/workflow-definitions/none", {}, 404, "NOT_FOUND", "none"),
    ("no version", "GET", "/workflow-definitions/hello?version=9", {}, 404, "NOT_FOUND", "9"),
    ("no start", "POST", "/workflows", {"json": {"definition_id": "none"}}, 404, "NOT_FOUND", "no"),
    ("no task", "GET", "/tasks/none~1:1:1:1", {}, 404, "NOT_FOUND", "none"),
    ("task id", "GET", "/tasks/none", {}, 400, "VALIDATION_ERROR", "~"),
    ("unknown filter", "GET", "/workflows?statuss=Failed", {}, 400, "VALIDATION_ERROR", "`status`"),
    ("unknown anywhere", "GET", "/workflows/x/graph?a=1", {}, 400, "VALIDATION_ERROR", "namespace"),
    ("unknown status", "GET", "/workflows?status=Faild", {}, 400, "VALIDATION_ERROR", "`Failed`"),
    ("page 0", "GET", "/workflows?page=0", {}, 400, "VALIDATION_ERROR", "page"),
    ("page word", "GET", "/workflows?page=two", {}, 400, "VALIDATION_ERROR", "page"),
    ("page huge", "GET", f"/workflows?page={'9' * 400}", {}, 400, "VALIDATION_ERROR", "page"),
    ("page twice", "GET", "/workflows?page=1&page=2", {}, 400, "VALIDATION_ERROR", "twice"),
    ("per_page", "GET", "/workflows?per_page=101", {}, 400, "VALIDATION_ERROR", "per_page"),
    ("cursor", "GET", "/workflows?cursor=x", {}, 400, "VALIDATION_ERROR", "cursor"),
    ("date", "GET", "/workflows?start_date=soon", {}, 400, "VALIDATION_ERROR", "start_date"),
    ("zone", "GET", "/workflows?end_date=2026-01-01T00:00:00", {}, 400, "VALIDATION_ERROR", "zone"),
    ("label", "GET", "/workflows?label=x", {}, 400, "VALIDATION_ERROR", "name=value"),
    ("wait", "GET", "/workflows/x/result?wait=30", {}, 400, "VALIDATION_ERROR", "unit"),
    ("long wait", "GET", "/workflows/x/result?wait=2h", {}, 400, "VALIDATION_ERROR", "60s"),
    ("after", "GET", "/workflows/x/history?after=-1", {}, 400, "VALIDATION_ERROR", "after"),
    ("no body", "POST", "/workflows", {}, 415, "UNSUPPORTED_MEDIA_TYPE", "application/json"),
    ("a text", "POST", "/workflows", {"content": b"{}"}, 415, "UNSUPPORTED_MEDIA_TYPE", "JSON"),
    ("a form", "POST", "/workflows", {"data": {"a": "1"}}, 415, "UNSUPPORTED_MEDIA_TYPE", "form"),
    ("a list", "POST", "/workflows", {"json": []}, 400, "VALIDATION_ERROR", "a list"),
    ("null", "POST", "/workflows", raw(b"null"), 400, "", "null"),
    ("cut", "POST", "/workflows", raw(b'{"a'), 400, "", "not JSON"),
    ("empty", "POST", "/workflows", raw(b" "), 400, "", "the body is empty"),
    ("no name", "POST", "/workflows", {"json": {"definition_id": "a b"}}, 400, "", "letters, dig"),
    ("nan", "POST", "/workflows", raw(b"NaN"), 400, "", "not JSON"),
    ("infinite", "POST", "/workflows", raw(b"1e999"), 400, "", "not JSON"),
    ("not utf-8", "POST", "/workflows", raw(b'"\xff"'), 400, "", "UTF-8"),
    ("surrogate", "POST", "/workflows", raw(b'"\\ud800"'), 400, "", ""),
    ("deep", "POST", "/workflows", raw(DEEP), 400, "", "200 levels"),
    ("missing field", "POST", "/workflows", {"json": {}}, 400, "VALIDATION_ERROR", "definition_id"),
    ("wrong type", "POST", "/workflows", {"json": START | {"priority": "9"}}, 400, "", "priority"),
    ("out of range", "POST", "/workflows", {"json": START | {"priority": 11}}, 400, "", "priority"),
    ("unknown field", "POST", "/workflows", {"json": START | {"inptu": 1}}, 400, "", "`input`"),
    ("odd name", "POST", "/workflows", {"json": START | {"id": "a/b"}}, 400, "", "id"),
    (
        "two ids",
        "POST",
        "/workflows",
        {"json": START | {"id": "a", "workflow_id": "b"}},
        400,
        "",
        "",
    ),
    ("huge number", "POST", "/workflows", {"json": START | {"input": 10**30}}, 400, "", "64"),
    ("null in text", "POST", "/workflows", {"json": START | {"definition_id": "\0"}}, 400, "", ""),
    (
        "odd key",
        "POST",
        "/workflows",
        {"json": START, "headers": {"Idempotency-Key": "/"}},
        400,
        "",
        "",
    ),
    ("batch of none", "POST", "/workflows/batch", {"json": {}}, 400, "VALIDATION_ERROR", "items"),
    ("batch field", "POST", "/workflows/batch", {"json": {"items": [], "a": 1}}, 400, "", "items"),
    ("signal name", "POST", "/workflows/x/signal", {"json": {"signal_name": "/"}}, 400, "", "name"),
    ("event data", "POST", "/events", {"json": {"event_type": "a"}}, 400, "", "data"),
    (
        "event size",
        "POST",
        "/events",
        {"json": {"event_type": "a", "data": "x" * 70_000}},
        400,
        "",
        "",
    ),
    ("namespace", "GET", "/workflows?namespace=/", {}, 400, "VALIDATION_ERROR", "namespace"),
    (
        "two of them",
        "GET",
        "/workflows?namespace=a",
        {"headers": {"X-Namespace": "b"}},
        400,
        "",
        "'b'",
    ),
    ("no yaml", "POST", "/workflows", raw(b"a: 1", "text/yaml"), 415, "", "yaml"),
    ("a definition?", "POST", "/workflow-definitions", {"json": {"id": "x"}}, 400, "", "steps"),
    ("deep one", "POST", "/workflow-definitions", raw(DEEP), 400, "", "200"),
    (
        "deep yaml",
        "POST",
        "/workflow-definitions",
        raw(DEEP, "text/yaml"),
        400,
        "VALIDATION_ERROR",
        "",
    ),
    (
        "large one",
        "POST",
        "/workflow-definitions",
        raw(b'"' + b"x" * 5_000_000 + b'"'),
        413,
        "TOO_LARGE",
        "4,194,304",
    ),
    (
        "large",
        "POST",
        "/workflows",
        raw(b'"' + b"x" * asking.BODY_BYTES_MAX + b'"'),
        413,
        "TOO_LARGE",
        "",
    ),
    (
        "odd version",
        "POST",
        "/workflow-definitions",
        {"json": {"definition": {"id": "x", "steps": []}, "version": "/"}},
        400,
        "",
        "version",
    ),
]


@pytest.mark.parametrize(
    ("method", "path", "more", "status", "code", "part"),
    [pytest.param(*row[1:], id=row[0]) for row in TABLE],
)
async def test_it_is_told_in_one_shape(
    door: Door, method: str, path: str, more: dict[str, Any], status: int, code: str, part: str
) -> None:
    answer = await door.ask(method, path, **more)
    assert answer.status_code == status, answer.text
    if method == "HEAD":
        return
    told = answer.json()
    assert set(told) == {"code", "error", "message", "details"}
    assert told["code"] == code or not code
    assert errors.STATUSES[told["code"]] == status
    assert part in told["message"]
    if told["code"] == "VALIDATION_ERROR" and "fields" in told["details"]:
        assert all(set(each) == {"field", "message"} for each in told["details"]["fields"])
    if status == 405:
        assert answer.headers["allow"]


async def test_a_body_that_grows_beyond_its_bound_is_not_read_on_for_ever(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_BYTES_MAX", 4_000_000)
    sent = 0

    async def endless() -> Any:
        nonlocal sent
        while sent < 100 * asking.BODY_BYTES_MAX:
            sent += 1_000_000
            yield b" " * 1_000_000

    answer = await door.ask("POST", "/workflows", content=endless(), headers=JSON)
    assert answer.status_code == 413
    assert sent < asking.BODY_BYTES_MAX + 4_000_000 + 3_000_000


async def test_who_stops_sending_a_body_that_is_too_large_is_not_waited_for(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_S", 0.05)
    sent: list[Any] = []
    head = [(b"content-length", b"99999999"), (b"content-type", b"application/json")]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/workflows",
        "headers": head,
        "query_string": b"",
        "http_version": "1.1",
    }

    async def nothing_more() -> Any:
        assert sent[-1]["more_body"], "the answer is to go out before more is read"
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, nothing_more, send), 60)
    assert (sent[0]["status"], sent[-1]["more_body"]) == (413, False)


@pytest.mark.parametrize("piece", [b'\\"', b'"', b"\\", b'["'])
async def test_no_text_takes_long_to_be_found_wrong(door: Door, piece: bytes) -> None:
    content = b"[" * 300 + b'"' + piece * 2_000_000
    answer = await asyncio.wait_for(door.ask("POST", "/workflows", **raw(content)), 60)
    assert answer.status_code == 400


async def test_several_faults_are_named_at_once(door: Door) -> None:
    told = await door.post("/workflows", {"priority": 11, "labels": {"a": 1}, "x": 1}, status=400)
    assert {each["field"] for each in told["details"]["fields"]} == {
        "definition_id",
        "priority",
        "labels.a",
        "x",
    }


class Failing(Way):
    """A way to a deployment on which every call fails."""

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def __getattribute__(self, name: str) -> Any:
        if name.startswith("_"):
            return super().__getattribute__(name)

        async def fail(*_args: Any, **_more: Any) -> Any:
            raise self._error

        return fail


def asking_app(app: FastAPI) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost/api/v1")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unreachable("nobody answers"), 503, "UNREACHABLE"),
        (Overloaded("the host", 2.2), 429, "OVERLOADED"),
        (HeliostatError("odd"), 500, "INTERNAL"),
        (RuntimeError("secret"), 500, "INTERNAL"),
    ],
)
@pytest.mark.parametrize("path", ["/workflows", "/workflows/x/cancel"])
async def test_what_fails_further_on_has_its_status(
    error: Exception, status: int, code: str, path: str
) -> None:
    app = create_app(lambda: Failing(error))
    async with asking_app(app) as client:
        answer = await client.post(path, json=START if path == "/workflows" else {})
        assert answer.status_code == status
        told = answer.json()
        assert told["code"] == code
        assert "secret" not in answer.text
        assert answer.headers.get("retry-after") == {429: "3", 503: "1"}.get(status)
        health = await client.get("/health")
        assert health.status_code in (500, 503) if status != 429 else True


async def test_while_there_is_no_deployment_each_is_told_so() -> None:
    def none() -> Way:
        raise Unreachable("no deployment is up")

    async with asking_app(create_app(none)) as client:
        for method, path, body in (
            ("GET", "/workflows/x", None),
            ("POST", "/workflows", START),
            ("POST", "/workflows/batch", {"items": [START]}),
            ("POST", "/events", {"event_type": "a", "data": 1}),
        ):
            answer = await client.request(method, path, json=body)
            assert answer.status_code == 503, path
            assert answer.json()["message"] == "no deployment is up"
        health = await client.get("/health")
        assert health.status_code == 503
        assert health.json()["status"] == "unhealthy"


class TestGuard:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Host": "evil.example"},
        ],
    )
    async def test_a_page_of_elsewhere_changes_nothing(
        self, headers: dict[str, str], place: Any
    ) -> None:
        app = create_app(lambda: place.way, hosts=LOOPBACK)
        async with asking_app(app) as client:
            answer = await client.post("/workflows/x/cancel", headers=headers)
            assert answer.status_code == 403
            assert answer.json()["code"] == "FORBIDDEN"

    async def test_the_page_of_the_door_may(self, place: Any) -> None:
        app = create_app(lambda: place.way, hosts=LOOPBACK)
        async with asking_app(app) as client:
            own = {"Origin": "http://localhost", "Sec-Fetch-Site": "same-origin"}
            answer = await client.post("/workflows/x/cancel", headers=own)
            assert answer.status_code == 404
            reads = await client.get("/workflows", headers={"Host": "127.0.0.1:8080"})
            assert reads.status_code == 200
