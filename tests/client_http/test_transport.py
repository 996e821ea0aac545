"""What only a client over HTTP has to bear: doors that are away, full, or something else."""

from __future__ import annotations

import asyncio
import gc
import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.api.client.connecting import connect_http
from heliostat.api.http.app import create_app
from heliostat.api.http.door import way_of
from heliostat.engine.errors import (
    ConfigurationError,
    DefinitionError,
    HeliostatError,
    InputError,
    Overloaded,
    ResultTimeout,
    Unreachable,
)
from heliostat.engine.ids import new_id
from tests.client_http.behaviour import until
from tests.client_http.conftest import BOUND_S, Place, served

Before = Callable[[Request], Awaitable[Response | None]]


class Troubled:
    """A door that has its moods: `before` may answer in its place, or break the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self.before: Before | None = None
        self.lose_answers = 0
        """So many answers of requests that were done never arrive."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        self.asked.append((request.method, request.url.path, dict(request.headers)))
        answer = None if self.before is None else await self.before(request)
        if answer is not None:
            await answer(scope, receive, send)
        elif self.lose_answers:
            self.lose_answers -= 1

            async def nowhere(message: Any) -> None: ...

            await self.app(scope, receive, nowhere)
            head = [(b"content-length", b"100")]
            await send({"type": "http.response.start", "status": 200, "headers": head})
            await send({"type": "http.response.body", "body": b"{"})  # uvicorn breaks it off
        else:
            await self.app(scope, receive, send)


@pytest.fixture
def door(place: Place) -> Troubled:
    return Troubled(create_app(lambda: way_of(place.within), code_path=[place.home]))


@pytest.fixture
def url(door: Troubled) -> Iterator[str]:
    with served(door) as url:
        yield url


def refusing(*codes: int, headers: dict[str, str] | None = None) -> Before:
    """So many answers, then the door's own."""
    left = list(codes)

    async def before(_request: Request) -> Response | None:
        if not left:
            return None
        body = {"code": "OVERLOADED", "error": "Overloaded", "message": "full", "details": {}}
        status = left.pop(0)
        if status == 503:
            body["code"] = "UNREACHABLE"
        return JSONResponse(body, status, headers)

    return before


class TestNoAnswer:
    def test_a_signal_whose_answer_is_lost_is_given_once(
        self, door: Troubled, url: str, place: Place
    ) -> None:
        """The id that makes it one request is drawn before the first send."""
        execution = place.within.start("patient")
        with hs.connect(url) as client:
            door.lose_answers = 2
            client.get(execution.id).signal("go", 1)
        ids = {headers["idempotency-key"] for _, _, headers in door.asked}
        assert (len(door.asked), len(ids)) == (3, 1)
        execution.result(BOUND_S)
        assert [event["type"] for event in execution.history()].count("signal.kept") <= 1

    def test_starts_whose_answers_are_lost_are_the_same_starts(
        self, door: Troubled, url: str, place: Place
    ) -> None:
        before = place.within.count().get("Completed", 0)
        with hs.connect(url) as client:
            for amount in (1, 3):
                door.lose_answers = 2
                handles = client.start_many("hello", [{"name": "a"}] * amount)
                assert [each.result(BOUND_S) for each in handles] == [{"text": "hello a"}] * amount
        assert place.within.count()["Completed"] == before + 4

    def test_a_door_that_is_away_is_asked_until_the_bound(self, url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as nobody:
            port = nobody.getsockname()[1]
        with hs.connect(f"http://127.0.0.1:{port}", call_timeout_ms=300) as client:
            began = time.monotonic()
            with pytest.raises(Unreachable, match=r"has not answered within 0\.3 s"):
                client.get("x").status()
            assert time.monotonic() - began >= 0.1

    def test_a_door_that_comes_back_is_found(self, door: Troubled, url: str) -> None:
        door.before = refusing(503, 503, 502)
        with hs.connect(url) as client:
            assert client.start("hello", {"name": "a"}).result(BOUND_S)

    def test_a_door_that_is_full_is_asked_again_when_it_says(
        self, door: Troubled, url: str
    ) -> None:
        door.before = refusing(429, headers={"Retry-After": "1"})
        with hs.connect(url) as client:
            began = time.monotonic()
            client.publish("order.paid", 1)
            assert time.monotonic() - began >= 1.0
            door.before = refusing(429, 429)
            assert client.start("hello", {"name": "a"}).result(BOUND_S)
            handle = client.start("patient")
            door.before = refusing(429)
            with pytest.raises(Overloaded, match="full"):
                handle.signal("go")

    def test_waiting_for_an_end_outlasts_the_door(
        self, door: Troubled, url: str, place: Place
    ) -> None:
        execution = place.within.start("patient")
        with hs.connect(url, call_timeout_ms=300) as client:
            door.before = refusing(*[503] * 8)
            end = threading.Timer(0.5, lambda: execution.signal("go", 1))
            end.start()
            assert client.get(execution.id).result(BOUND_S)["data"] == 1
            end.join()


def test_who_sends_all_before_reading_is_told_that_it_is_too_much(place: Place) -> None:
    """A socket that is closed with bytes unread is reset, and the answer with it."""
    large = urllib.request.Request(
        f"{place.url}/api/v1/workflows",
        b" " * (24 * 1024 * 1024),
        {"Content-Type": "application/json"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(large, timeout=BOUND_S)
    with refused.value as answer:
        assert (answer.status, json.load(answer)["code"]) == (413, "TOO_LARGE")


class TestSomethingElseAnswers:
    def test_another_server(self) -> None:
        async def other(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("It works!", 404)(scope, receive, send)

        with (
            served(other) as url,
            hs.connect(url) as client,
            pytest.raises(InputError, match="is this the address of a heliostat"),
        ):
            client.get("x").status()

    def test_another_server_that_says_yes(self) -> None:
        async def other(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http":
                await PlainTextResponse("It works!")(scope, receive, send)

        with served(other) as url, hs.connect(url) as client:
            with pytest.raises(HeliostatError, match="no heliostat deployment"):
                client.get("x").status()
            with pytest.raises(HeliostatError, match="live socket"):
                next(iter(client.get("x").follow()))

    @pytest.mark.parametrize("url", ["http://", "https://host?x=1", "http://h#x"])
    def test_what_is_no_address(self, url: str) -> None:
        with pytest.raises(InputError, match="http://HOST:PORT"):
            hs.connect(url)

    def test_a_password_in_the_address_is_told_to_nobody(self) -> None:
        with (
            hs.connect("http://ann:secret@127.0.0.1:9", call_timeout_ms=100) as client,
            pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:9 has not") as caught,
        ):
            client.get("x").status()
        assert "secret" not in str(caught.value)

    def test_settings_of_deployments_are_refused(self) -> None:
        with pytest.raises(ConfigurationError, match="`runners`"):
            hs.connect("http://127.0.0.1:1", runners=2)
        with pytest.raises(ConfigurationError, match="address"):
            hs.connect("http://127.0.0.1:1", address="127.0.0.1:6379")
        with pytest.raises(ConfigurationError, match="call_timeout_ms"):
            hs.connect("http://127.0.0.1:1", call_timeout_ms="soon")


class TestFollowing:
    async def test_a_door_that_goes_and_comes_is_followed_without_gap_or_repeat(
        self, place: Place
    ) -> None:
        execution = await place.within.start_async("patient")
        app = create_app(lambda: way_of(place.within))
        listening = socket.create_server(("127.0.0.1", 0))
        port = listening.getsockname()[1]
        listening.close()
        events: list[Any] = []
        seen = asyncio.Event()

        async with connect_http(f"http://127.0.0.1:{port}", call_timeout_ms=60_000) as client:

            async def follow() -> None:
                async for each in client.get(execution.id).follow_async():
                    if isinstance(each, dict):
                        events.append(each)
                    seen.set()

            following = asyncio.create_task(follow())
            with served(app, port):
                await asyncio.wait_for(seen.wait(), BOUND_S)
                await execution.pause_async()
            await execution.resume_async()  # while there is no door
            app = create_app(lambda: way_of(place.within))
            with served(app, port):
                await execution.signal_async("go", 1)
                await asyncio.wait_for(following, BOUND_S)
        assert events == await execution.history_async()


class TestWhatIsNotThere:
    def test_actors_and_nodes_are_reached_within_the_cluster_only(self, over_http: Client) -> None:
        with pytest.raises(InputError, match=r"heliostat\.connect\(\)"):
            over_http.actor("x")
        with pytest.raises(InputError, match="within the cluster"):
            over_http.drain_node("x")

    def test_functions_are_not_shipped(self, over_http: Client) -> None:
        text = 'id: f\nversion: "1"\nsteps: [{id: a, type: activity, activity: "m:f"}]\n'
        with pytest.raises(InputError, match="no code is shipped"):
            over_http.register(text, functions={"m:f": len})

    def test_a_module_beside_the_file_is_not_shipped_and_that_is_said(
        self, over_http: Client, tmp_path: Path
    ) -> None:
        (tmp_path / "my_own_steps.py").write_text("def f():\n    return 1\n")
        file = tmp_path / "own.yaml"
        file.write_text(
            'id: own\nversion: "1"\nsteps:\n'
            '  - {id: a, type: activity, activity: "my_own_steps:f"}\n'
        )
        with pytest.raises(DefinitionError, match="over HTTP no code is shipped") as caught:
            over_http.register(file)
        assert str(caught.value).startswith("own.yaml has 1 fault")

    def test_a_file_whose_modules_the_deployment_has(
        self, over_http: Client, tmp_path: Path
    ) -> None:
        file = tmp_path / "calc.yaml"
        file.write_text(
            'id: calc-too\nversion: "1"\nsteps:\n'
            "  - {id: a, type: activity, activity: http_steps:double, input: {number: 1}}\n"
        )
        assert over_http.register(file).version == "1"
        development = over_http.register(file, dev=True)
        assert development.version.startswith("1+")
        assert over_http.register(file, dev=True).version == development.version

    def test_definitions_that_call_each_other_are_registered_in_order(
        self, over_http: Client
    ) -> None:
        parent, child = (f"{name}-{new_id()}".lower() for name in ("parent", "child"))
        calling = (
            f'id: {parent}\nversion: "1"\nsteps:\n'
            f"  - {{id: call, type: sub_workflow, workflow: {child}}}\n"
        )
        called = f'id: {child}\nversion: "1"\nsteps: [{{id: a, type: decision, output: 1}}]\n'
        versions = over_http.register_many([calling, called])
        assert [each.id for each in versions] == [parent, child]
        assert over_http.start(parent).result(BOUND_S) == 1

    def test_tables_do_not_travel(self, over_http: Client) -> None:
        import pyarrow as pa

        with pytest.raises(InputError, match="only JSON travels"):
            over_http.start("hello", {"name": pa.table({"a": [1]})})


def test_a_closed_client_says_so(door: Troubled, url: str) -> None:
    client = hs.connect(url)
    handle = client.start("patient")
    waited: list[BaseException] = []

    def wait() -> None:
        try:
            handle.result()
        except HeliostatError as error:
            waited.append(error)

    waiting = threading.Thread(target=wait)
    waiting.start()
    until(lambda: door.asked[-1][1].endswith(f"{handle.id}/result"))
    client.close()
    client.close()
    waiting.join(BOUND_S)
    assert "closed" in str(waited[0])
    with pytest.raises(Unreachable, match="closed"):
        handle.status()
    assert not [each for each in threading.enumerate() if each.name == "heliostat-http"]


def test_ends_of_more_executions_than_are_asked_for_at_once(
    over_http: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heliostat.api.client import ends

    monkeypatch.setattr(ends, "AT_ONCE", 4)
    handles = over_http.start_many("patient", [None] * 12)
    for handle in reversed(handles):
        threading.Timer(0.3, lambda handle=handle: handle.signal("go", 1)).start()  # type: ignore[misc]
    assert len(list(over_http.results(handles, BOUND_S))) == 12


def test_what_nobody_waits_for_is_not_asked_for(
    door: Troubled, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heliostat.api.client.ends.LONG_S", 0.2)
    with hs.connect(url) as client:
        handle = client.start("patient")
        with pytest.raises(ResultTimeout):
            handle.result(0.1)

        id = handle.id
        del handle
        gc.collect()
        ends = client._ways.awaited._parts.ends  # type: ignore[attr-defined]  # of this connection
        until(lambda: not ends._open)  # what is on its way is the last
        client.get(id).cancel()


def test_neither_the_client_nor_its_commands_load_ray(place: Place) -> None:
    """Who works over HTTP needs no Ray, and does not wait for its import."""
    code = (
        "import sys, heliostat as hs\n"
        f"with hs.connect({place.url!r}) as client:\n"
        "    handle = client.start('hello', {'name': 'ann'})\n"
        "    print(handle.result(), len(list(handle.follow())))\n"
        "from heliostat.api.cli.app import main\n"
        "try:\n"
        f"    main(['-s', {place.url!r}, 'workflow', 'watch', handle.id])\n"
        "finally:\n"
        "    print('ray' in sys.modules, 'fastapi' in sys.modules)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[0].startswith("{'text': 'hello ann'}")
    assert ran.stdout.splitlines()[-1] == "False False"
