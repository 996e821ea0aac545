"""The host over the real PostgreSQL journal, whose connections break in its commits."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from heliostat.actors.host.api import Accepted
from heliostat.actors.host.clock import SystemClock
from heliostat.engine.journal.postgres import open_postgres
from heliostat.engine.journal.protocol import ExecutionQuery
from tests.host.support import (
    CHAIN,
    HOLD,
    World,
    ask,
    events_of,
    info_of,
    put,
    put_rows,
    rows_of,
    start,
    status,
)
from tests.host.test_migration import FIRST, SECOND, migrate
from tests.host.test_sqlite import until
from tests.postgres_proxy import Loss, PostgresProxy
from tests.postgres_server import PostgresServer, postgres_server


@pytest.fixture
def database(postgres: PostgresServer) -> Iterator[str]:
    name = postgres.new_database()
    yield name
    postgres.give_back(name)


@pytest.mark.parametrize("loss", ["answer", "question"])
async def test_turns_of_an_unknown_outcome_are_stored_once(
    postgres: PostgresServer, database: str, loss: Loss
) -> None:
    with PostgresProxy(postgres) as proxy:
        journal = open_postgres(proxy.url_of(database))
        world = World(journal=journal, clock=SystemClock(), script=lambda each: each.input["n"] + 1)
        host = world.host("h0")
        await put(host, CHAIN)
        names = [f"x{n}" for n in range(20)]
        for n, name in enumerate(names):
            if n % 4 == 0:
                proxy.lose(loss, b"COMMIT")
            await start(host, "chain", [name], input={"n": 1})
        await until(lambda: info_of(host).ended == len(names))
        assert proxy.losses >= 2
        for name in names:
            events = [each for each in await events_of(journal, name) if each != "owner.changed"]
            assert events == [
                "execution.started",
                *["step.completed"] * 3,
                "execution.completed",
            ]
        assert await journal.count_executions() == {"Completed": len(names)}
        assert info_of(host).faults == ()
        await world.close()
        await journal.close()


async def test_executions_are_moved_once_though_a_commit_is_in_doubt_and_their_host_dies(
    postgres: PostgresServer, database: str
) -> None:
    names = [f"x{n}" for n in range(6)]
    with PostgresProxy(postgres) as proxy:
        journal = open_postgres(proxy.url_of(database))
        world = World(journal=journal, clock=SystemClock(), script=lambda _: HOLD)
        host = world.host("h0")
        first, second = rows_of(FIRST, SECOND)
        await put_rows(host, first)
        await start(host, "flow", names)
        await until(lambda: len(world.runners.running) == len(names))
        await put_rows(host, second)
        for loss, name in zip(("answer", "question", None), names[:3], strict=True):
            if loss is not None:
                proxy.lose(loss, b"COMMIT")
            assert isinstance(await ask(host, "migrate", migrate(name)), Accepted)
        assert proxy.losses >= 2
        world.kill(host)
        after = world.host("h0")
        await until(lambda: info_of(after).state == "running")
        assert [(await status(after, name)).version for name in names] == ["2"] * 3 + ["1"] * 3
        for name in names[3:]:
            assert isinstance(await ask(after, "migrate", migrate(name)), Accepted)
        assert await ask(after, "migrate", migrate(names[0])) == await ask(
            after, "migrate", migrate(names[0])
        )
        world.runners.script = lambda each: each.input["n"] + 1
        for key, at in list(world.runners.running):
            world.runners.finish(key, at, 5)
        await until(lambda: info_of(after).ended == len(names))
        for name in names:
            events = await events_of(journal, name)
            assert events.count("execution.migrated") == 1
            assert events[-1] == "execution.completed"
        query = ExecutionQuery(namespace="default", definition="flow", version="2")
        assert len((await journal.list_executions(query)).rows) == len(names)
        assert {step for _, step, _ in world.runners.ran} == {"a", "c"}
        await world.close()
        await journal.close()


async def test_a_turn_waits_for_the_server_to_be_back() -> None:
    with postgres_server() as server:
        journal = open_postgres(server.url_of("postgres"))
        world = World(journal=journal, clock=SystemClock(), script=lambda _: HOLD)
        host = world.host("h0")
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await until(lambda: len(world.runners.running) == 1)
        await asyncio.to_thread(server.stop)
        world.runners.script = lambda each: each.input["n"] + 1
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        await until(lambda: "is unavailable" in (info_of(host).trouble or ""))
        await asyncio.to_thread(server.start)
        await until(lambda: info_of(host).ended == 1, within_s=60)
        await until(lambda: info_of(host).trouble is None)
        assert await journal.count_executions() == {"Completed": 1}
        await world.close()
        await journal.close()
