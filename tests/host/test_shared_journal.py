"""Two hosts over one PostgreSQL journal, in real time: they share the work and take it over."""

from __future__ import annotations

import pytest

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.journal.postgres import open_postgres
from tests.host.support import (
    CHAIN,
    HOLD,
    World,
    events_of,
    info_of,
    key_of,
    put,
    serving,
    start,
)

PLAIN = [
    "execution.started",
    "step.completed",
    "step.completed",
    "step.completed",
    "execution.completed",
]
COUNT = 40


def that_fall_to(host: ExecutionHost) -> list[str]:
    """Ids of executions whose shards a host serves."""
    works = host._works
    assert works is not None
    shards = serving(host)
    ids = [f"x{n}" for n in range(COUNT)]
    return [id for id in ids if works.ownership.shard_name(key_of(id)) in shards]


def cut_off(host: ExecutionHost) -> None:
    """Its row does not move any more, and it sees nobody else's; it goes on all the same."""
    works = host._works
    assert works is not None

    async def nothing() -> None: ...

    works.ownership.beat = nothing  # type: ignore[method-assign]
    [looking] = [task for task in host._tasks if task.get_name().endswith(":own")]
    looking.cancel()


@pytest.mark.parametrize("how", ["killed", "drained", "cut off"])
async def test_the_other_takes_over(postgres_url: str, how: str) -> None:
    """Every transition is recorded once, and nothing that runners hold is made again."""
    journal = open_postgres(postgres_url, deployment_id="d")
    world = World(journal=journal, clock=SystemClock(), bounds=HostBounds(silent_ms=2_000))
    try:
        first, second = world.host("h0"), world.host("h1")
        await world.until(
            lambda: (
                not serving(first) & serving(second)
                and len(serving(first)) < 16
                and len(serving(first) | serving(second)) == 16
            )
        )
        await put(first, CHAIN)
        world.runners.script = lambda _: HOLD
        for host in (first, second):
            await start(host, "chain", that_fall_to(host), input={"n": 1})
        await world.until(lambda: len(world.runners.running) == COUNT)
        match how:
            case "killed":
                world.kill(first)
            case "drained":
                await first.drain(b"\x80")
            case _:
                cut_off(first)
        await world.until(lambda: len(serving(second)) == 16)
        world.runners.script = lambda each: each.input["n"] + 1
        for key, at in list(world.runners.running):
            world.runners.finish(key, at, 2)
        await world.until(lambda: info_of(second).ended == COUNT)
        for n in range(COUNT):
            events = [each for each in await events_of(journal, f"x{n}") if each != "owner.changed"]
            assert events == PLAIN
        assert set(world.runners.ran.values()) == {1}
        assert info_of(second).faults == ()
    finally:
        await world.close()
        await journal.close()
