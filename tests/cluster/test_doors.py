"""The Python door: a client of a real deployment, on a real Ray."""

from __future__ import annotations

import asyncio
import os
import signal
import threading

import pytest
from msgspec import structs

import heliostat as hs
from heliostat.actors.client.client import Client
from heliostat.cluster.connect import attach
from heliostat.engine.errors import (
    Conflict,
    Duplicate,
    ExecutionCanceled,
    ExecutionFailed,
    InputError,
    NotFound,
    ResultTimeout,
)
from tests.cluster.conftest import BOUND_S, WORKFLOWS, Place

SHOUT = WORKFLOWS / "shout.yaml"
SLEEPER = WORKFLOWS / "sleeper.yaml"
SHOP = WORKFLOWS / "shop.yaml"

ECHO = """\
id: echo
version: "1"
steps:
  - {id: give, type: activity, activity: "echo", input: {value: $.input.value}, next: count}
  - {id: count, type: decision, output: '${ len($.input.small) }'}
output: {value: $.steps.give.output, small: $.steps.count.output}
"""


def echo(value: object) -> object:
    return value


class TestRegister:
    def test_the_same_again_is_harmless(self, client: Client) -> None:
        first, again = client.register(SHOP), client.register(str(SHOP))
        assert structs.replace(first, existed=True) == again  # it says that it was there
        assert first.version in [each.version for each in client.definitions("shop")]

    def test_other_content_is_refused_with_the_difference(self, client: Client) -> None:
        text = SHOUT.read_text().replace("id: shout", "id: shout-door")
        client.register(text)
        with pytest.raises(Duplicate, match=r"(?s)-.*upper.*\+.*lower"):
            client.register(text.replace("upper", "lower"))

    def test_a_definition_is_registered_when_it_is_started(self, client: Client) -> None:
        text = SHOUT.read_text().replace("id: shout", "id: shout-object")
        file = hs.load_definition(SHOUT)
        definition = file.model_copy(update={"id": "shout-object"})
        assert client.start(definition, {"word": "x"}).result(BOUND_S)["said"] == "X"
        assert client.register(text).version == "1"

    def test_functions_travel_by_value(self, client: Client) -> None:
        client.register(ECHO, functions={"echo": echo})
        given = {"value": {"deep": [1, 2]}, "small": "abc"}
        assert client.start("echo", given).result(BOUND_S) == {"value": given["value"], "small": 3}


class TestStart:
    def test_five_hundred_and_their_results(self, client: Client) -> None:
        client.register(SHOP)
        inputs = [{"lines": ["tea"] * (n % 5)} for n in range(500)]
        handles = client.start_many("shop", inputs)
        expected = {handle.id: n % 5 * 3 for n, handle in enumerate(handles)}
        seen = {handle.id: handle.result()["paid"] for handle in client.results(handles, BOUND_S)}
        assert seen == expected

    def test_ids(self, client: Client) -> None:
        client.register(SHOUT)
        first = client.start("shout", {"word": "a"}, id="door-1")
        again = client.start("shout", {"word": "a"}, id="door-1")
        assert first.result(BOUND_S) == again.result(BOUND_S)
        with pytest.raises(Duplicate, match="another input"):
            client.start("shout", {"word": "b"}, id="door-1")
        refused = client.start_many(
            "shout",
            [{"word": "b"}, {"word": "c"}],
            ids=["door-1", "door-2"],
            return_refusals=True,
        )
        assert isinstance(refused[0], Duplicate)
        assert isinstance(refused[1], hs.Handle)
        assert refused[1].result(BOUND_S)["said"] == "C"

    def test_what_does_not_fit_is_refused(self, client: Client) -> None:
        client.register(SHOUT)
        with pytest.raises(InputError, match="input_schema"):
            client.start("shout", {})
        with pytest.raises(NotFound, match="no definition 'nothing'"):
            client.start("nothing")
        with pytest.raises(InputError, match="workflow_id"):
            client.start("shout", {"word": "a"}, id="no/slash")

    def test_a_large_input_is_read_by_expressions_and_steps(self, client: Client) -> None:
        client.register(SHOUT)
        output = client.start("shout", {"word": "w", "more": ["x" * 100] * 5_000}).result(BOUND_S)
        assert output == {"said": "W", "n": 5_000}
        client.register(ECHO, functions={"echo": echo})
        value = {"text": "y" * 300_000}
        handle = client.start("echo", {"value": value, "small": "ab"})
        assert handle.result(BOUND_S) == {"value": value, "small": 2}

    def test_a_large_input_that_breaks_the_schema(self, client: Client) -> None:
        client.register(SHOUT)
        with pytest.raises(InputError, match="input_schema"):
            client.start("shout", {"more": ["x" * 100] * 5_000})

    def test_a_table_goes_in_and_comes_out(self, client: Client) -> None:
        import pyarrow as pa

        client.register(ECHO, functions={"echo": echo})
        table = pa.table({"n": list(range(10))})
        output = client.start("echo", {"value": table, "small": ""}).result(BOUND_S)
        assert output["value"].equals(table)


class TestHandle:
    def test_a_failure(self, client: Client) -> None:
        client.register(SHOP)
        handle = client.start("shop", {"lines": ["house"]})
        with pytest.raises(ExecutionFailed, match="in step 'charge': Declined") as caught:
            handle.result(BOUND_S)
        assert "too much" in caught.value.failure["message"]
        assert "Traceback" in caught.value.failure["traceback"]
        view = handle.status()
        assert (view.status, view.failure and view.failure.type) == ("Failed", "Declined")

    def test_cancel_and_history(self, client: Client) -> None:
        client.register(SLEEPER)
        handle = client.start("sleeper", {"wait": "1h", "word": "x"})
        with pytest.raises(ResultTimeout):
            handle.result(timeout=0.01)
        assert [active["step"] for active in handle.status().active] == ["rest"]
        handle.cancel("enough")
        with pytest.raises(ExecutionCanceled):
            handle.result(BOUND_S)
        with pytest.raises(Conflict, match="has ended as Canceled already"):
            handle.cancel("again")
        history = handle.history()
        assert [event["seq"] for event in history] == list(range(1, len(history) + 1))
        assert handle.history(after=1) == history[1:]

    def test_another_clients_execution(self, deployment: Place, client: Client) -> None:
        client.register(SHOUT)
        handle = client.start("shout", {"word": "shared"})
        handle.result(BOUND_S)
        with attach(deployment.configuration) as other:
            assert other.get(handle.id).result(BOUND_S)["said"] == "SHARED"
            with pytest.raises(NotFound):
                other.get("nobody").result(BOUND_S)
            page = other.list(definition="shout", limit=1_000)
            assert handle.id in [row.key.execution_id for row in page.rows]

    async def test_async_forms(self, deployment: Place) -> None:
        async with attach(deployment.configuration) as client:
            await client.register_async(SHOUT)
            handles = await client.start_many_async("shout", [{"word": w} for w in "abc"])
            outputs = await asyncio.gather(*(handle.result_async(BOUND_S) for handle in handles))
            assert [output["said"] for output in outputs] == ["A", "B", "C"]
            assert (await handles[0].status_async()).status == "Completed"

    async def test_following_by_ray_calls(self, deployment: Place) -> None:
        """Blocking and not, live and of what has ended: the same events, once each."""
        async with attach(deployment.configuration) as client:
            await client.register_async(SLEEPER)
            handle = await client.start_async("sleeper", {"wait": "1s", "word": "w"})
            told = [one async for one in handle.follow_async()]
            assert told[1:] == await handle.history_async()
            again = await asyncio.to_thread(lambda: list(handle.follow()))
            assert again[1:] == told[1:]
            early = handle.follow_async()
            assert await anext(early)
            await early.aclose()  # leaving early is harmless
            with pytest.raises(NotFound):
                await anext(client.get("nobody").follow_async())


class TestHostDies:
    """kill -9 on the host: nothing is lost, nothing is done twice, the client only waits longer."""

    def test_while_a_result_is_awaited(self, client: Client) -> None:
        client.register(SLEEPER)
        handles = client.start_many("sleeper", [{"wait": "1s", "word": n} for n in range(50)])
        (host,) = client.info()["hosts"]
        os.kill(host["pid"], signal.SIGKILL)
        outputs = sorted(handle.result() for handle in client.results(handles, BOUND_S))
        assert outputs == list(range(50))
        (after,) = client.info()["hosts"]
        assert after["incarnation"] != host["incarnation"]

    def test_while_starts_are_sent(self, client: Client) -> None:
        client.register(SHOUT)
        (host,) = client.info()["hosts"]
        killer = threading.Timer(0.05, os.kill, (host["pid"], signal.SIGKILL))
        killer.start()
        handles = client.start_many("shout", [{"word": f"w{n}"} for n in range(5_000)])
        killer.join()
        seen = {handle.result()["said"] for handle in client.results(handles, BOUND_S)}
        assert seen == {f"W{n}" for n in range(5_000)}
