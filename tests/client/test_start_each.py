"""Starts of any definitions, whose ends nobody waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.interface import Start
from heliostat.actors.host.api import Refusal, StartAnswers, Started
from heliostat.engine import errors
from heliostat.engine.identity import ExecutionKey
from tests.client.conftest import ScriptedHosts
from tests.client.inprocess import deployment

ONE = "{id: one, version: '1', steps: [{id: pause, type: wait, signal: go}]}"
OTHER = """
id: other
version: "1"
input_schema: {type: object, required: [n]}
steps: [{id: pause, type: wait, signal: go}]
"""


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("start-each")
    with deployment(folder) as client:
        client.register_many([ONE, OTHER])
        yield client


def start(id: str, definition: str = "one", **says: Any) -> Start:
    return Start(key=ExecutionKey("default", id), definition=definition, **says)


def start_each(client: Client, *starts: Start, **how: Any) -> list[Started | errors.HeliostatError]:
    return list(asyncio.run(client._ways.awaited.start_each(starts, **how)))


class TestStarts:
    def test_each_is_answered_in_order_whatever_its_definition(self, client: Client) -> None:
        first, refused, unknown, last = start_each(
            client,
            start("a"),
            start("b", "other", input={"m": 1}),
            start("c", "nowhere"),
            start("d", "other", input={"n": 1}),
        )
        assert first == Started(key=ExecutionKey("default", "a"), version="1")
        assert isinstance(refused, errors.InputError)
        assert "'n'" in str(refused)
        assert isinstance(unknown, errors.NotFound)
        assert isinstance(last, Started)

    def test_an_equal_one_is_said_to_have_existed(self, client: Client) -> None:
        again = start("same", tags={"a": "b"}, priority=3, correlation_id="k-2")
        (first,) = start_each(client, start("same"))
        (second,) = start_each(client, again)
        assert isinstance(first, Started)
        assert not first.existed
        assert isinstance(second, Started)
        assert second.existed

    def test_the_same_execution_twice_in_one_call_is_one_execution(self, client: Client) -> None:
        answers = start_each(client, start("twin", input=1), start("twin", input=1))
        assert [each.existed for each in answers if isinstance(each, Started)] == [False, True]

    def test_two_that_want_one_id_for_different_things(self, client: Client) -> None:
        first, second = start_each(client, start("fought", input=1), start("fought", input=2))
        assert isinstance(first, Started)
        assert isinstance(second, errors.Duplicate)

    def test_what_is_said_of_it_can_be_seen(self, client: Client) -> None:
        start_each(
            client, start("said", tags={"team": "a"}, priority=8, correlation_id="order/17 ä")
        )
        view = client.get("said").status()
        assert (view.tags, view.priority) == ({"team": "a"}, 8)
        assert view.correlation_id == "order/17 ä"

    @pytest.mark.parametrize(
        "says",
        [
            {"input": 2**70},
            {"input": {"a": "\ud800"}},
            {"tags": {"a": "\ud800"}},
            {"tags": {"": "x"}},
            {"tags": {"long": "x" * 1_001}},
            {"tags": {str(n): "" for n in range(65)}},
            {"correlation_id": ""},
            {"correlation_id": "\udfff"},
            {"priority": 11},
            {"priority": 2**70},
            {"version": "\ud800"},
        ],
    )
    def test_what_cannot_be_kept_is_refused_alone(
        self, client: Client, says: dict[str, Any]
    ) -> None:
        refused, taken = start_each(client, start("bad", **says), start("good", input=1))
        assert isinstance(refused, errors.InputError), refused
        assert isinstance(taken, Started)


class TestAFullHost:
    def test_is_told_at_once(self, hosts: ScriptedHosts) -> None:
        starter = _starter(hosts)
        asked = hosts.calls
        (answer,) = starter.start_each([_request("x")], full_timeout_s=0.0)
        assert isinstance(answer, errors.Overloaded)
        assert len(asked) == 1

    def test_is_asked_again_where_there_is_time(self, hosts: ScriptedHosts) -> None:
        starter = _starter(hosts, full=2)
        (answer,) = starter.start_each([_request("x")], full_timeout_s=10.0)
        assert isinstance(answer, Started)


@pytest.fixture
def hosts() -> ScriptedHosts:
    return ScriptedHosts()


def _request(id: str) -> Any:
    from heliostat.actors.host.api import StartRequest

    return StartRequest(key=ExecutionKey("default", id), definition="one")


def _starter(hosts: ScriptedHosts, *, full: int = 1_000) -> Any:
    from heliostat.actors.client.starts import Starter
    from heliostat.actors.client.stream import ResultStream

    left = [full]

    def answer(many: Any) -> StartAnswers:
        assert many.client is None, "nobody waits for the ends"
        if left[0]:
            left[0] -= 1
            refusal = Refusal(code="OVERLOADED", message="full", details={"retry_after_s": 0.01})
            return StartAnswers(answers=(refusal,))
        accepted: StartAnswers = hosts.accept(many)
        return accepted

    hosts.handlers["start_many"] = answer
    return Starter(hosts, ResultStream(hosts, "c"), "c")  # type: ignore[arg-type]  # scripted
