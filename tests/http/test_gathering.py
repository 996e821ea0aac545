"""Single starts share calls, each with its own answer, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from heliostat.actors.client.interface import Start
from heliostat.actors.host.api import Started
from heliostat.api.http.gathering import CALLS_AT_ONCE, Gathering
from heliostat.engine.errors import HeliostatError, NotFound, Overloaded, Unreachable
from heliostat.engine.identity import ExecutionKey


def starts(count: int) -> list[Start]:
    return [Start(key=ExecutionKey("n", f"e{n}"), definition="d") for n in range(count)]


class Hosts:
    """Keeps the calls until they are let through."""

    def __init__(self) -> None:
        self.calls: list[list[Start]] = []
        self.gate = asyncio.Event()
        self.called = asyncio.Event()  # more than once
        self.answers: dict[str, HeliostatError] = {}
        self.error: BaseException | None = None

    async def send(self, starts: Sequence[Start]) -> list[Started | HeliostatError]:
        self.calls.append(list(starts))
        if len(self.calls) > 1:
            self.called.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [
            self.answers.get(start.key.execution_id) or Started(key=start.key, version="1")
            for start in starts
        ]


async def settle() -> None:
    """Everything that can go on has."""
    for _ in range(10):
        await asyncio.sleep(0)


async def begun(gathering: Gathering, each: Sequence[Start]) -> list[asyncio.Task[Started]]:
    tasks = [asyncio.create_task(gathering.start(start)) for start in each]
    await settle()
    return tasks


async def busy(gathering: Gathering) -> list[asyncio.Task[Started]]:
    """A call is on its way."""
    return await begun(gathering, [Start(key=ExecutionKey("first", "e"), definition="d")])


async def test_what_comes_while_calls_are_on_their_way_shares_the_next() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    first = await busy(gathering)
    rest = await begun(gathering, starts(30))
    assert [len(call) for call in hosts.calls] == [1]
    hosts.gate.set()
    await asyncio.gather(*first, *rest)
    assert [len(call) for call in hosts.calls] == [1, 30]


async def test_a_call_that_takes_long_holds_up_the_others_for_a_moment_only() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    first = await busy(gathering)
    rest = await begun(gathering, starts(30))
    await asyncio.wait_for(hosts.called.wait(), 60)  # the second
    assert [len(call) for call in hosts.calls] == [1, 30]
    hosts.gate.set()
    await asyncio.gather(*first, *rest)


async def test_so_many_calls_are_on_their_way_and_no_more() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    tasks: list[asyncio.Task[Started]] = []
    for start in starts(CALLS_AT_ONCE):
        tasks += await begun(gathering, [start])
        gathering._begin()  # as after a while
        await settle()
    tasks += await begun(gathering, starts(5))
    gathering._begin()
    await settle()
    assert len(hosts.calls) == CALLS_AT_ONCE
    hosts.gate.set()
    await asyncio.gather(*tasks)
    assert sum(map(len, hosts.calls)) == CALLS_AT_ONCE + 5


async def test_each_hears_its_own_answer() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    hosts.answers["e1"] = NotFound("definition", "d")
    hosts.gate.set()
    answers = await asyncio.gather(
        *(gathering.start(start) for start in starts(3)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [Started, NotFound, Started]
    assert isinstance(answers[2], Started)
    assert answers[2].key.execution_id == "e2"


async def test_a_call_that_fails_fails_each_of_its_starts_and_no_other() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    hosts.error = Unreachable("nobody answers")
    tasks = await begun(gathering, starts(3))
    hosts.gate.set()
    for answer in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(answer, Unreachable)
    hosts.error = None
    assert (await gathering.start(starts(1)[0])).version == "1"


async def test_what_does_not_fit_is_refused_before_it_is_acknowledged() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send, queued_max=10)
    first = await busy(gathering)
    rest = await begun(gathering, starts(12))
    refused = [task for task in rest if task.done()]
    assert len(refused) == 2
    for task in refused:
        with pytest.raises(Overloaded):
            task.result()
    hosts.gate.set()
    answers = await asyncio.gather(*first, *(task for task in rest if task not in refused))
    sent = {start.key for call in hosts.calls for start in call}
    assert {answer.key for answer in answers} == sent


async def test_a_start_whose_request_went_away_is_not_sent() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    first = await busy(gathering)
    rest = await begun(gathering, starts(3))
    rest[1].cancel()
    hosts.gate.set()
    await asyncio.gather(*first, *rest, return_exceptions=True)
    assert [start.key.execution_id for start in hosts.calls[-1]] == ["e0", "e2"]


async def test_closing_waits_for_what_is_on_its_way() -> None:
    hosts = Hosts()
    gathering = Gathering(hosts.send)
    first = await busy(gathering)
    rest = await begun(gathering, starts(2))
    closing = asyncio.create_task(gathering.close())
    await settle()
    assert not closing.done()
    hosts.gate.set()
    await closing
    await settle()
    assert all(task.result().version == "1" for task in first)
    assert all(task.cancelled() for task in rest)
