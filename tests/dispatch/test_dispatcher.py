"""Where attempts go: to runners, to the launcher, or into the queue for capacity first.

The lanes are scripted, the placement is the real one without a scheduler: the same rules, in this
process.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from itertools import count

import pytest

from heliostat.actors.dispatch.dispatcher import Dispatcher, Stop
from heliostat.actors.dispatch.frames import AttemptKey
from heliostat.actors.dispatch.leases import AttemptLeases
from heliostat.actors.dispatch.placement_local import LocalPlacement
from heliostat.actors.dispatch.protocol import (
    Assignment,
    Lost,
    Noticed,
    Raised,
    Report,
    Returned,
    StepCode,
    Stopped,
    TimedOut,
)
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.plan.plan import Resources
from heliostat.engine.scheduling.board import Rules
from heliostat.engine.scheduling.nodes import NodeView

NOTHING = Resources()
TWO_CPUS = Resources(num_cpus=2)
_numbers = count(1)


def attempt(
    *,
    resources: Resources = NOTHING,
    semaphores: dict[str, int] | None = None,
    priority: int = 5,
    path_ms: int = 0,
    workflow: str = "flow",
    namespace: str = "default",
) -> Assignment:
    return Assignment(
        key=ExecutionKey(namespace, f"e{next(_numbers)}"),
        at=Address(1, 0, 1),
        code=StepCode(key="k", step_id="a", target="m:a", code=None, resources=resources),
        input=None,
        priority=priority,
        path_ms=path_ms,
        workflow=workflow,
        semaphores=semaphores or {},
    )


def name(assignment: Assignment) -> AttemptKey:
    return assignment.key, assignment.at


class Lane:
    """Runners, or tasks: notes what it is told, and ends what it is told to end."""

    def __init__(self) -> None:
        self.got: list[AttemptKey] = []
        self.nodes: list[str | None] = []
        self.stopped: list[AttemptKey] = []
        self.found: frozenset[AttemptKey] = frozenset()
        self.lost: list[Callable[[ExecutionKey], bool]] = []

    def send(self, assignments: Sequence[Assignment]) -> None:
        self.got += map(name, assignments)

    def send_to(self, placed: Sequence[tuple[Assignment, str | None]]) -> None:
        self.send([each for each, _ in placed])
        self.nodes += [node for _, node in placed]

    def stop(self, attempts: Sequence[Stop]) -> None:
        self.stopped += [(key, at) for key, at, _ in attempts]

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        pass

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        self.lost.append(is_lost)

    def knows(self, attempt: AttemptKey) -> bool:
        return attempt in self.got or attempt in self.found

    def runs(self, attempt: AttemptKey) -> bool:
        return self.knows(attempt)

    def node_of(self, attempt: AttemptKey) -> str | None:
        return "n1"

    async def recover(self, shards: Collection[str] = ()) -> frozenset[AttemptKey]:
        return self.found

    def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


class House:
    """A dispatcher with both lanes, on one node."""

    def __init__(self, *, cpus: float = 2, semaphores: dict[str, int] | None = None) -> None:
        self.reports: list[Report] = []
        self.placement = LocalPlacement(
            nodes=[NodeView(id="n1", name="one", total={"CPU": cpus})],
            rules=Rules(semaphores=semaphores or {}),
        )
        self.leases = AttemptLeases(self.placement, self.reports.extend)
        self.runners, self.tasks = Lane(), Lane()
        self.dispatcher = Dispatcher(self.runners, self.tasks, self.leases)

    async def send(self, *assignments: Assignment) -> None:
        self.dispatcher.send(assignments)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing happens by itself any more."""
        for _ in range(20):
            await asyncio.sleep(0)

    async def ends(self, assignment: Assignment, kind: str = "returned") -> None:
        """A lane reports the end of an attempt."""
        key, at = name(assignment)
        reports: dict[str, Report] = {
            "returned": Returned(
                key=key, at=at, output=None, output_bytes=1, extracts=None, started_at_ms=1,
                elapsed_ms=1, runner="r",
            ),
            "lost": Lost(key=key, at=at, cause="gone", counted=False),
            "stopped": Stopped(key=key, at=at),
            "timed out": TimedOut(key=key, at=at),
            "noticed": Noticed(key=key, at=at, kind="started"),
        }  # fmt: skip
        self.leases.deliver([reports[kind]])
        await self.settle()


@pytest.fixture
async def house() -> AsyncIterator[House]:
    made = House(semaphores={"llm": 2})
    await made.dispatcher.recover()
    yield made
    await made.dispatcher.close()


async def test_a_tiny_step_asks_nobody(house: House) -> None:
    tiny = attempt()
    house.dispatcher.send([tiny])
    assert house.runners.got == [name(tiny)], "before anybody could have answered"


async def test_resources_become_a_task_on_the_node_that_has_room(house: House) -> None:
    large = attempt(resources=TWO_CPUS)
    await house.send(large)
    assert (house.tasks.got, house.tasks.nodes) == ([name(large)], ["n1"])
    assert not house.runners.got


async def test_a_semaphore_alone_goes_to_a_runner_once_it_is_free(house: House) -> None:
    steps = [attempt(semaphores={"llm": 1}) for _ in range(3)]
    await house.send(*steps)
    assert house.runners.got == [name(each) for each in steps[:2]]
    reason = house.dispatcher.reasons([name(each) for each in steps])
    assert list(reason) == [name(steps[2])]
    assert "llm" in reason[name(steps[2])]
    await house.ends(steps[0])
    assert house.runners.got == [name(each) for each in steps]
    assert not house.dispatcher.reasons([name(steps[2])])


@pytest.mark.parametrize("end", ["returned", "lost", "stopped"])
async def test_every_end_gives_the_capacity_back(house: House, end: str) -> None:
    first, second = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    await house.send(first, second)
    assert house.tasks.got == [name(first)]
    await house.ends(first, end)
    assert house.tasks.got == [name(first), name(second)]


@pytest.mark.parametrize("notice", ["timed out", "noticed"])
async def test_what_goes_on_keeps_its_capacity(house: House, notice: str) -> None:
    first, second = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    await house.send(first, second)
    await house.ends(first, notice)
    assert house.tasks.got == [name(first)]


async def test_the_more_urgent_goes_first_and_then_the_longer_way(house: House) -> None:
    running = attempt(resources=TWO_CPUS)
    await house.send(running)
    low, short, long, urgent = (
        attempt(resources=TWO_CPUS, priority=2),
        attempt(resources=TWO_CPUS, path_ms=1_000),
        attempt(resources=TWO_CPUS, path_ms=3_000),
        attempt(resources=TWO_CPUS, priority=9),
    )
    await house.send(low, short, long, urgent)
    for ended in (running, urgent, long, short):
        await house.ends(ended)
    assert house.tasks.got == [name(each) for each in (running, urgent, long, short, low)]


async def test_one_that_waits_is_over_at_once_when_it_is_told_to_stop(house: House) -> None:
    running, waiting = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    await house.send(running, waiting)
    house.dispatcher.stop([(*name(running), 1_000), (*name(waiting), 1_000)])
    await house.settle()
    assert house.reports == [Stopped(key=waiting.key, at=waiting.at)]
    assert house.tasks.stopped == [name(running)]
    await house.ends(running, "stopped")
    assert house.tasks.got == [name(running)], "it must not begin any more"


async def test_one_that_nobody_knows_is_the_runners_to_answer_for(house: House) -> None:
    house.dispatcher.stop([(*name(attempt()), 0)])
    assert len(house.runners.stopped) == 1


async def test_what_no_node_can_run_fails_at_once(house: House) -> None:
    huge = attempt(resources=Resources(num_cpus=64))
    await house.send(huge)
    (report,) = house.reports
    assert isinstance(report, Raised)
    assert (report.failure.type, report.failure.step) == ("Unschedulable", "a")
    assert "CPU" in report.failure.message
    assert not house.tasks.got


@pytest.mark.parametrize(("semaphore", "count"), [("llm", 3), ("gpu_license", 1)])
async def test_a_semaphore_without_so_much_capacity_fails_at_once(
    house: House, semaphore: str, count: int
) -> None:
    await house.send(attempt(semaphores={semaphore: count}))
    (report,) = house.reports
    assert isinstance(report, Raised)
    assert report.failure.type == "Unschedulable"
    assert semaphore in report.failure.message


async def test_what_is_sent_twice_is_made_once(house: House) -> None:
    running, waiting = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    await house.send(running, waiting)
    await house.send(running, waiting)
    await house.ends(running)
    await house.ends(waiting)
    assert house.tasks.got == [name(running), name(waiting)]


async def test_what_another_host_owns_now_is_not_begun(house: House) -> None:
    running, mine, theirs = (attempt(resources=TWO_CPUS) for _ in range(3))
    await house.send(running, mine, theirs)
    house.dispatcher.forget(lambda key: key == theirs.key)
    await house.ends(running)
    await house.ends(mine)
    assert house.tasks.got == [name(running), name(mine)]
    assert len(house.runners.lost) == 1, "the runners' queue is told too"


async def test_a_host_that_begins_anew_holds_what_it_finds_running() -> None:
    house = House()
    found, ended = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    house.tasks.found = frozenset({name(found)})
    assert await house.dispatcher.recover() == {name(found)}
    house.dispatcher.hold("0", 1, [found, ended, attempt()])
    fresh = attempt(resources=TWO_CPUS)
    await house.send(fresh)
    assert not house.tasks.got, "the room is taken, though nobody granted it in this life"
    await house.ends(found)
    assert house.tasks.got == [name(fresh)]
    await house.dispatcher.close()


async def test_what_waits_here_is_known_to_a_second_recovery(house: House) -> None:
    running, waiting = attempt(resources=TWO_CPUS), attempt(resources=TWO_CPUS)
    await house.send(running, waiting)
    assert name(waiting) in await house.dispatcher.recover()


async def test_an_environment_alone_asks_nobody_and_with_resources_it_is_a_task(
    house: House,
) -> None:
    environment = {"env_vars": {"A": "1"}}
    tiny = attempt(resources=Resources(runtime_env=environment))
    house.dispatcher.send([tiny])
    assert house.runners.got == [name(tiny)]
    large = attempt(resources=Resources(num_cpus=1, runtime_env=environment))
    await house.send(large)
    assert house.tasks.got == [name(large)]
