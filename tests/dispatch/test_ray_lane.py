"""The host's side of the launcher, against a scripted one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch.frames import AttemptKey
from heliostat.actors.dispatch.protocol import Assignment, Lost, Report, Returned, StepCode
from heliostat.actors.dispatch.ray_lane import RayLane
from heliostat.actors.launching import Ask, Launch, News
from heliostat.engine.identity import Address, ExecutionKey


def attempt(id: str) -> Assignment:
    return Assignment(
        key=ExecutionKey("default", id),
        at=Address(1, 0, 1),
        code=StepCode(key="k", step_id="a", target="m:a", code=None),
        input=None,
    )


def name(assignment: Assignment) -> AttemptKey:
    return assignment.key, assignment.at


def returned(assignment: Assignment) -> Returned:
    return Returned(
        key=assignment.key,
        at=assignment.at,
        output=1,
        output_bytes=1,
        extracts=None,
        started_at_ms=1,
        elapsed_ms=1,
        runner="launcher",
    )


class _Method:
    def __init__(self, call: Callable[[bytes], Awaitable[bytes]]) -> None:
        self.remote = call


class ScriptedLauncher:
    """Answers for news with what a test has put there, and notes what it is given."""

    def __init__(self) -> None:
        self.life = "one"
        self.known: dict[AttemptKey, str | None] = {}
        self.told: asyncio.Queue[Returned] = asyncio.Queue()
        self.launched: list[tuple[AttemptKey, str | None]] = []
        self.news = _Method(self._news)
        self.launch = _Method(self._launch)
        self.acknowledge = _Method(self._nothing)
        self.stop = _Method(self._nothing)

    async def _news(self, body: bytes) -> bytes:
        anew = unpack(body, Ask).anew
        ended = () if anew else (await self.told.get(),)
        return pack(
            News(
                life=self.life,
                known=tuple(self.known) if anew else None,
                nodes=tuple(self.known.values()) if anew else (),
                returned=ended,
            )
        )

    async def _launch(self, body: bytes) -> bytes:
        for placed in unpack(body, Launch, sealed=True).placed:
            self.launched.append((placed.attempt, placed.node))
            self.known[placed.attempt] = placed.node
        return b""

    async def _nothing(self, body: bytes) -> bytes:
        return b""


@pytest.fixture
async def lane() -> AsyncIterator[tuple[RayLane, ScriptedLauncher, list[Report]]]:
    launcher, reports = ScriptedLauncher(), list[Report]()

    def handle() -> Any:
        return launcher

    made = RayLane(find=handle, create=handle, deliver=reports.extend, incarnation="a")
    yield made, launcher, reports
    await made.close()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def test_an_attempt_goes_to_the_node_that_has_room_for_it(
    lane: tuple[RayLane, ScriptedLauncher, list[Report]],
) -> None:
    made, launcher, reports = lane
    first, second = attempt("x"), attempt("y")
    made.send_to([(first, "n1"), (second, None)])
    await until(lambda: len(launcher.launched) == 2)
    assert launcher.launched == [(name(first), "n1"), (name(second), None)]
    assert made.node_of(name(first)) == "n1"
    launcher.told.put_nowait(returned(first))
    await until(lambda: reports)
    assert not made.runs(name(first))
    assert made.knows(name(first)), "until it is acknowledged"
    assert made.runs(name(second))


async def test_what_another_host_gave_is_not_heard_here(
    lane: tuple[RayLane, ScriptedLauncher, list[Report]],
) -> None:
    """The launcher tells all hosts; one that would keep all reports would grow for ever."""
    made, launcher, reports = lane
    mine, theirs = attempt("mine"), attempt("theirs")
    made.send([mine])
    launcher.told.put_nowait(returned(theirs))
    launcher.told.put_nowait(returned(mine))
    await until(lambda: reports)
    assert [each.key for each in reports] == [mine.key]
    assert not made.knows(name(theirs))


async def test_what_a_recovery_finds_is_heard_with_its_node(
    lane: tuple[RayLane, ScriptedLauncher, list[Report]],
) -> None:
    made, launcher, reports = lane
    found = attempt("found")
    launcher.known[name(found)] = "n2"
    assert await made.recover() == {name(found)}
    assert made.node_of(name(found)) == "n2"
    launcher.told.put_nowait(returned(found))
    await until(lambda: reports)
    assert made.knows(name(found))


async def test_another_life_of_the_launcher_has_lost_what_the_one_before_had(
    lane: tuple[RayLane, ScriptedLauncher, list[Report]],
) -> None:
    made, launcher, reports = lane
    gone = attempt("gone")
    made.send([gone])
    await until(lambda: launcher.launched)
    launcher.life = "two"
    launcher.known.clear()
    assert await made.recover() == {name(gone)}, "known here: its loss is told after this"
    await until(lambda: reports)
    (lost,) = reports
    assert isinstance(lost, Lost)
    assert (lost.key, lost.counted) == (gone.key, False)
