"""The way by Ray calls, without Ray: an actor whose calls are late, out of order, or lost."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any, cast

import pytest
from msgspec import Raw
from ray import exceptions

from heliostat.actors.dispatch import ray_calls
from heliostat.actors.dispatch.bounds import DispatchBounds
from heliostat.actors.dispatch.estimates import Estimates
from heliostat.actors.dispatch.factory import RunnerHandle
from heliostat.actors.dispatch.frames import PROTOCOL, AttemptKey, Hello, encode_value, frame
from heliostat.actors.dispatch.lane import Lane
from heliostat.actors.dispatch.protocol import Assignment, Lost, Report, Returned, StepCode
from heliostat.actors.runner import called
from heliostat.actors.runner.attempt import Attempts, Ended
from heliostat.actors.runner.called import CalledHosts
from heliostat.actors.runner.connection import Presence
from heliostat.actors.runner.current import Current
from heliostat.actors.runner.runner import Runner
from heliostat.actors.runner.settings import RunnerSettings
from heliostat.engine.identity import Address, ExecutionKey

SETTINGS = RunnerSettings(name="r", deployment="d", socket="", blobs="", node="n")


class Echo:
    """Makes attempts at nothing."""

    def make(self, code: StepCode, input: Raw, current: Current) -> Ended:
        key, at = current._where
        report = Returned(
            key=key,
            at=at,
            output=None,
            output_bytes=1,
            extracts=None,
            started_at_ms=0,
            elapsed_ms=0,
            runner="r",
        )
        return Ended(True, Raw(encode_value(report)), 1)


class Method:
    """A method of an actor's handle."""

    def __init__(self, call: Any) -> None:
        self.remote = call

    def options(self, **_: object) -> Method:
        return self


class FakeActor:
    """Calls as Ray makes them: each takes its time, and later ones may overtake."""

    def __init__(self) -> None:
        self.present = Presence()
        self.runner = Runner(cast(Attempts, Echo()))
        self.hosts = CalledHosts(self.runner, SETTINGS, self.present)
        self.died = asyncio.Event()
        self.loses = 0
        self.push = Method(self._push)
        self.frames = Method(self._frames)
        self.part = Method(self.hosts.close)
        self._thread = threading.Thread(target=self.runner.run, daemon=True)
        self._thread.start()
        self._calls = 0

    def _push(self, id: str, number: int, piece: bytes) -> Awaitable[bool]:
        self._calls += 1
        late_s = 0.004 if self._calls % 2 else 0.0

        async def arrive() -> bool:
            await asyncio.sleep(late_s)
            if self.died.is_set():
                raise exceptions.ActorDiedError
            if self.loses and piece:  # and not a mere sign of life
                self.loses -= 1
                raise exceptions.ActorUnavailableError("as the test wants it", None)
            return await asyncio.to_thread(self.hosts.push, id, number, piece)

        return asyncio.ensure_future(arrive())

    async def _frames(self, id: str) -> AsyncIterator[Awaitable[bytes]]:
        pieces = self.hosts.frames(id)
        while True:
            ahead = asyncio.ensure_future(asyncio.to_thread(next, pieces, None))
            died = asyncio.ensure_future(self.died.wait())
            await asyncio.wait([ahead, died], return_when=asyncio.FIRST_COMPLETED)
            died.cancel()
            if self.died.is_set():
                raise exceptions.ActorDiedError
            piece = ahead.result()
            if piece is None:
                return
            found: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            found.set_result(piece)
            yield found


class Owner:
    """Hears what a lane tells."""

    def __init__(self) -> None:
        self.reports: list[Report] = []
        self.back: list[Assignment] = []
        self.ended = False

    def lane_reported(self, lane: Lane, reports: Any) -> None:
        self.reports += reports

    def lane_gave_back(self, lane: Lane, assignments: Any) -> None:
        self.back += assignments

    def lane_disowned(self, lane: Lane, attempts: Any) -> None: ...
    def lane_has_room(self, lane: Lane) -> None: ...
    def lane_ended(self, lane: Lane) -> None:
        self.ended = True

    @property
    def returned(self) -> list[AttemptKey]:
        return [(each.key, each.at) for each in self.reports if isinstance(each, Returned)]


@pytest.fixture
async def actor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeActor]:
    made = FakeActor()
    monkeypatch.setattr(ray_calls, "_find", lambda name: made)
    yield made
    made.died.set()
    for id in list(made.hosts._by_id):
        made.hosts.close(id)
    made.runner.leave()


def lane_to(owner: Owner) -> Lane:
    return Lane(
        RunnerHandle(name="r", index=0),
        ray_calls.RayTransport("r"),
        owner,
        hello=lambda: Hello(PROTOCOL, "d", "i", True),
        mine=lambda attempt: True,
        bounds=DispatchBounds(remote_window_us=60_000_000),
        estimates=Estimates(),
    )


def attempts(count: int) -> list[Assignment]:
    code = StepCode(key="k", step_id="s", target="m:f", code=None)
    return [
        Assignment(key=ExecutionKey("n", f"e{n}"), at=Address(1, 0, 1, 1), code=code, input=n)
        for n in range(count)
    ]


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110  # what is waited for has no event
            await asyncio.sleep(0.005)


def key(assignment: Assignment) -> AttemptKey:
    return assignment.key, assignment.at


async def test_calls_that_overtake_each_other_change_no_order(actor: FakeActor) -> None:
    owner = Owner()
    lane = lane_to(owner)
    assert await lane.connect() == frozenset()
    work = attempts(200)
    for assignment in work:
        lane.send([assignment])
        await asyncio.sleep(0)
    await until(lambda: len(owner.returned) == len(work))
    assert owner.returned == [key(each) for each in work]
    lane.acknowledge(owner.returned)
    assert lane.unfinished == 0
    assert await lane.greet() == frozenset()
    lane.close()
    await until(lambda: actor.present.alone_s > 0)


async def test_a_lost_call_begins_the_connection_anew_and_loses_nothing(actor: FakeActor) -> None:
    owner = Owner()
    lane = lane_to(owner)
    await lane.connect()
    actor.loses = 1
    work = attempts(5)
    lane.send(work)
    await until(lambda: len(owner.back) == 5)  # it was never there: the greeting says so
    assert owner.returned == []
    lane.send(work)
    await until(lambda: len(owner.returned) == 5)
    lane.close()


async def test_what_is_held_is_told_after_the_connection_is_made_again(actor: FakeActor) -> None:
    owner = Owner()
    lane = lane_to(owner)
    await lane.connect()
    work = attempts(3)
    lane.send(work)
    await until(lambda: len(owner.returned) == 3)
    lane.close()
    again = Owner()
    other = lane_to(again)
    assert await other.connect() == {key(each) for each in work}
    await until(lambda: len(again.returned) == 3)
    other.close()


async def test_a_dead_actor_ends_the_lane_and_its_attempts_are_lost(actor: FakeActor) -> None:
    owner = Owner()
    lane = lane_to(owner)
    await lane.connect()
    actor.runner.withdraw()
    actor.died.set()
    await until(lambda: owner.ended)
    assert not any(isinstance(report, Lost) for report in owner.reports)
    assert not lane.has_room(0, alone=False)


async def test_an_actor_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_calls, "_find", lambda name: None)
    with pytest.raises(OSError, match="no actor"):
        await lane_to(Owner()).connect()


@pytest.fixture
def hosts() -> CalledHosts:
    return CalledHosts(Runner(cast(Attempts, Echo())), SETTINGS, Presence())


def test_a_host_that_says_nothing_is_gone(
    hosts: CalledHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(called, "SILENT_S", 0.2)
    assert hosts.push("c", 1, frame(Hello(PROTOCOL, "d", "i", True)))
    assert hosts._present.alone_s == 0
    assert len(list(hosts.frames("c"))) == 1  # the welcome, and then the end
    time.sleep(0.01)
    assert hosts._present.alone_s > 0
    assert not hosts.push("c", 2, b"")  # a late call begins nothing anew


def test_nonsense_and_strangers_are_refused(hosts: CalledHosts) -> None:
    assert not hosts.push("c", 1, b"\x02\0\0\0\xc1\xc1")
    assert not hosts.push("e", 1, frame(Hello(PROTOCOL, "another", "i", True)))
