"""Starts: what is accepted, what is refused and how, and that repeating one is harmless."""

from __future__ import annotations

import asyncio

from heliostat.actors.host.api import Refusal, Started
from heliostat.actors.host.bounds import HostBounds
from tests.host.support import (
    CHAIN,
    HOLD,
    Listener,
    World,
    events_of,
    info_of,
    key_of,
    put,
    row_of,
    start,
    status,
)


class TestAccepted:
    async def test_runs_to_its_end_and_tells_the_client(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        listener = Listener(host, "c")
        answers = await start(host, "chain", ["x"], input={"n": 1}, client="c")
        assert answers == [Started(key=key_of("x"), version="1")]
        await world.clock.until(lambda: listener.ended)
        assert listener.ended["x"].output == 4
        assert await events_of(world.journal, "x") == [
            "execution.started",
            "step.completed",
            "step.completed",
            "step.completed",
            "execution.completed",
        ]
        await listener.stop()

    async def test_is_answered_after_its_commit_only(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.journal.faults = ["unavailable"]
        starting = asyncio.create_task(start(host, "chain", ["x"], input={"n": 1}))
        await world.clock.until(lambda: world.journal.failed)
        assert not starting.done()
        assert not world.runners.ran
        await world.clock.until(starting.done)
        assert isinstance(starting.result()[0], Started)

    async def test_waits_for_its_shard_to_be_claimed(self, world: World) -> None:
        await world.journal.put_definition(row_of(CHAIN))
        host = world.host()
        assert info_of(host).state == "opening"
        answers = await start(host, "chain", ["x"], input={"n": 1})
        assert isinstance(answers[0], Started)


class TestRepeated:
    async def test_while_it_runs(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        world.runners.script = lambda _: HOLD
        await start(host, "chain", ["x"], input={"n": 1})
        [again] = await start(host, "chain", ["x"], input={"n": 1})
        assert again == Started(key=key_of("x"), version="1", existed=True)

    async def test_after_its_end_still_brings_the_end(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await world.clock.until(lambda: info_of(host).ended == 1)
        listener = Listener(host, "c")
        [again] = await start(host, "chain", ["x"], input={"n": 1}, client="c")
        assert again == Started(key=key_of("x"), version="1", existed=True)
        await world.clock.until(lambda: "x" in listener.ended)
        await listener.stop()

    async def test_in_one_request(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        first, second = await start(host, "chain", ["x", "x"], input={"n": 1})
        assert isinstance(first, Started)
        assert not first.existed
        assert isinstance(second, Started)
        assert second.existed
        await world.clock.until(lambda: info_of(host).ended == 1)
        assert (await events_of(world.journal, "x")).count("execution.started") == 1

    async def test_of_the_version_that_was_latest_then(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await put(host, CHAIN.replace('version: "1"', 'version: "2"'))
        [again] = await start(host, "chain", ["x"], input={"n": 1})
        assert again == Started(key=key_of("x"), version="1", existed=True)
        [other] = await start(host, "chain", ["y"], input={"n": 1})
        assert other == Started(key=key_of("y"), version="2")


class TestRefused:
    async def test_same_id_with_another_input(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        [refusal] = await start(host, "chain", ["x"], input={"n": 2})
        assert isinstance(refusal, Refusal)
        assert refusal.code == "DUPLICATE_ERROR"
        assert "another input" in refusal.message
        assert refusal.details["differs"] == ["input"]

    async def test_same_id_with_another_definition(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN, CHAIN.replace("id: chain", "id: other"))
        await start(host, "chain", ["x"], input={"n": 1})
        [refusal] = await start(host, "other", ["x"], input={"n": 1})
        assert isinstance(refusal, Refusal)
        assert refusal.details["differs"] == ["definition"]

    async def test_input_that_breaks_the_schema(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        bad, good = (
            (await start(host, "chain", ["x"], input={"n": "one"}))[0],
            (await start(host, "chain", ["y"], input={"n": 1}))[0],
        )
        assert isinstance(bad, Refusal)
        assert bad.code == "INVALID_INPUT"
        assert "n" in bad.message
        assert isinstance(good, Started)
        assert await world.journal.get_row(key_of("x")) is None

    async def test_unknown_definition(self, world: World) -> None:
        host = world.host()
        [refusal] = await start(host, "nowhere", ["x"])
        assert isinstance(refusal, Refusal)
        assert refusal.code == "NOT_FOUND"
        assert "nowhere" in refusal.message

    async def test_id_that_is_no_name(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        [refusal] = await start(host, "chain", ["no/slash"], input={"n": 1})
        assert isinstance(refusal, Refusal)
        assert refusal.code == "INVALID_INPUT"
        assert "workflow_id" in refusal.message

    async def test_bytes_that_are_no_request(self, world: World) -> None:
        host = world.host()
        body = await host.start_many(b"\xc1")
        assert b"INVALID_INPUT" in body


class TestOverloaded:
    async def test_full_queue_refuses_before_it_accepts(self) -> None:
        world = World(bounds=HostBounds(starts_queued=3))
        host = world.host()
        await put(host, CHAIN)
        answers = await start(host, "chain", [f"x{n}" for n in range(5)], input={"n": 1})
        assert [isinstance(each, Started) for each in answers] == [True] * 3 + [False] * 2
        refusal = answers[-1]
        assert isinstance(refusal, Refusal)
        assert refusal.code == "OVERLOADED"
        assert refusal.details["retry_after_s"] == 1.0
        # Room again, once the others are durable.
        assert isinstance((await start(host, "chain", ["x4"], input={"n": 1}))[0], Started)
        await world.close()

    async def test_full_memory(self) -> None:
        world = World(bounds=HostBounds(executions_resident=2), script=lambda _: HOLD)
        host = world.host()
        await put(host, CHAIN)
        await start(host, "chain", ["x", "y"], input={"n": 1})
        [refusal] = await start(host, "chain", ["z"], input={"n": 1})
        assert isinstance(refusal, Refusal)
        assert refusal.code == "OVERLOADED"
        await world.close()

    async def test_many_starts_need_many_turns_and_all_end(self, world: World) -> None:
        host = world.host()
        await put(host, CHAIN)
        ids = [f"x{n}" for n in range(2_000)]
        assert all(
            isinstance(each, Started) for each in await start(host, "chain", ids, input={"n": 1})
        )
        await world.clock.until(lambda: info_of(host).ended == 2_000)
        assert info_of(host).resident == 0
        assert (await status(host, "x1999")).output == 4
