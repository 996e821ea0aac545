"""Server-Sent Events: the frames of the socket, resumed as browsers resume."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.live.conftest import Place, Server


async def told(answer: httpx.Response) -> AsyncIterator[dict[str, str]]:
    """The events of a stream, by field; comments are left out."""
    fields: dict[str, str] = {}
    async for line in answer.aiter_lines():
        if line == "":
            if fields:
                yield fields
            fields = {}
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value


async def until_end(answer: httpx.Response) -> list[dict[str, Any]]:
    found = []
    async for event in told(answer):
        if "event" not in event:
            assert event == {"retry": "1000"}
            continue
        found.append(event | {"data": json.loads(event["data"])})
        if event["event"] == "end":
            break
    return found


async def test_the_frames_of_the_socket_with_ids(
    place: Place, server: Server, http: httpx.AsyncClient
) -> None:
    handle = await place.client.start_async("patient", {})
    url = f"{server.url}/workflows/{handle.id}/events"
    async with http.stream("GET", url, params={"after": 0}) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        await handle.signal_async("go", "line\nbreaks\r\nare escaped\u2028")
        events = await until_end(answer)
    history = await handle.history_async()
    assert [each["event"] for each in events] == ["state", *["event"] * len(history), "end"]
    assert [each["data"]["event"] for each in events[1:-1]] == history
    assert [each.get("id") for each in events] == [
        None,
        *map(str, range(1, len(history) + 1)),
        None,
    ]


async def test_a_browser_goes_on_after_the_last_id(
    place: Place, server: Server, http: httpx.AsyncClient
) -> None:
    handle = await place.client.start_async("loop", {"times": 4})
    for _ in range(4):
        await handle.signal_async("go")
    await handle.result_async(60)
    last = len(await handle.history_async())
    url = f"{server.url}/workflows/{handle.id}/events?after=0"
    for seen in (0, 1, last // 2, last):
        async with http.stream("GET", url, headers={"Last-Event-ID": str(seen)}) as answer:
            events = await until_end(answer)
        ids = [int(each["id"]) for each in events if "id" in each]
        assert ids == list(range(seen + 1, last + 1))


@pytest.mark.parametrize(
    ("path", "headers", "status", "code"),
    [
        ("nobody/events", {}, 404, "NOT_FOUND"),
        ("any/events?after=-1", {}, 400, "VALIDATION_ERROR"),
        ("any/events?aftr=1", {}, 400, "VALIDATION_ERROR"),
        ("any/events", {"Last-Event-ID": "x"}, 400, "VALIDATION_ERROR"),
        ("any/events", {"Last-Event-ID": "9" * 30}, 400, "VALIDATION_ERROR"),
        ("any/events?namespace=a", {"X-Namespace": "b"}, 400, "VALIDATION_ERROR"),
    ],
)
async def test_errors_are_answers_like_any(
    server: Server,
    http: httpx.AsyncClient,
    path: str,
    headers: dict[str, str],
    status: int,
    code: str,
) -> None:
    answer = await http.get(f"{server.url}/workflows/{path}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_too_many_readers(place: Place, server: Server, http: httpx.AsyncClient) -> None:
    handle = await place.client.start_async("patient", {})
    server.app.state.door.hub._seats_max = 0
    answer = await http.get(f"{server.url}/workflows/{handle.id}/events")
    assert (answer.status_code, answer.json()["code"]) == (429, "OVERLOADED")
    assert answer.headers["retry-after"]
