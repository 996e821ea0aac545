"""Clients' requests: answered after the commit, once for each id, whatever state they find."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from heliostat.actors.host.api import (
    Accepted,
    PauseRequest,
    Refusal,
    Request,
    ResumeRequest,
    RetryRequest,
    SignalRequest,
)
from heliostat.actors.host.bounds import HostBounds
from tests.host.support import (
    CHAIN,
    HOLD,
    Listener,
    World,
    ask,
    cancel,
    events_of,
    info_of,
    key_of,
    owner_of,
    put,
    row_of,
    signal,
    start,
    status,
    watch,
)

WAITS = """
id: waits
version: "1"
steps:
  - {id: hear, type: wait, signal: go, needs: []}
output: $.steps.hear.output.data
"""

BREAKS = """
id: breaks
version: "1"
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: 1}, next: b}
  - {id: b, type: activity, activity: "work:b", input: {n: $.steps.a.output}}
"""


def pause(id: str, message: str = "p1") -> PauseRequest:
    return PauseRequest(key=key_of(id), message_id=message)


def resume(id: str, message: str = "r1") -> ResumeRequest:
    return ResumeRequest(key=key_of(id), message_id=message)


def retry(id: str, message: str = "t1", step: str | None = None) -> RetryRequest:
    return RetryRequest(key=key_of(id), message_id=message, from_step=step)


class TestSignal:
    async def test_to_a_sleeper_loads_it(self, any_world: World) -> None:
        host = any_world.host("h0", bounds=HostBounds(idle_ms=0))
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        await any_world.until(lambda: info_of(host).resident == 0)
        assert isinstance(await signal(host, "x", "go", 5), Accepted)
        assert (await any_world.ends(host, "x")).output == 5

    async def test_and_hibernation_in_one_turn_lose_nothing(self, world: World) -> None:
        host = world.host("h0", bounds=HostBounds(idle_ms=1))
        await put(host, WAITS)
        ids = [f"x{n}" for n in range(50)]
        for n, id in enumerate(ids):
            await start(host, "waits", [id])
            for _ in range(n % 7):
                await asyncio.sleep(0)
            assert isinstance(await signal(host, id, "go", n), Accepted)
        for n, id in enumerate(ids):
            assert (await world.ends(host, id)).output == n

    async def test_is_answered_after_its_commit_only(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        world.journal.faults = ["unavailable"] * 3
        signaling = asyncio.ensure_future(signal(host, "x", "go", 1))
        await world.clock.until(lambda: world.journal.failed == 2)
        assert not signaling.done()
        await world.clock.until(signaling.done)
        assert isinstance(signaling.result(), Accepted)
        assert await events_of(world.journal, "x") == [
            "execution.started",
            "step.completed",
            "execution.completed",
        ]

    async def test_again_under_its_id_decides_nothing(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        for _ in range(3):
            assert isinstance(await signal(host, "x", "other", 1), Accepted)
        assert (await events_of(world.journal, "x")).count("signal.kept") == 1

    async def test_again_after_the_end_that_it_led_to_is_accepted(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        await signal(host, "x", "go", 1)
        await world.ends(host, "x")
        again = await signal(host, "x", "go", 1)
        assert again == Accepted(key=key_of("x"), status="Completed")

    async def test_too_large_is_refused(self, world: World) -> None:
        host = world.host()
        refusal = await signal(host, "x", "go", "x" * 70_000)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "INVALID_INPUT"

    @pytest.mark.parametrize("commit", [1, 2])
    async def test_acknowledged_is_never_lost(self, world: World, commit: int) -> None:
        await world.journal.put_definition(row_of(WAITS))
        host = world.host("h0")
        await start(host, "waits", ["x"])
        left = commit

        def stored(_: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                world.kill(host)

        world.journal.stored = stored
        signaling = asyncio.ensure_future(signal(host, "x", "go", 1))
        await world.clock.until(lambda: left <= 0 or signaling.done())
        signaling.cancel()
        world.journal.stored = None
        second = world.host("h0") if left <= 0 else host
        assert isinstance(await signal(second, "x", "go", 1), Accepted)  # as a client repeats it
        assert (await world.ends(second, "x")).output == 1
        assert (await events_of(world.journal, "x")).count("step.completed") == 1


class TestPause:
    async def test_holds_what_follows_until_resumed(self, any_world: World) -> None:
        host = any_world.host("h0", bounds=HostBounds(idle_ms=0))
        any_world.runners.script = lambda _: HOLD
        await put(host, CHAIN)
        await start(host, "chain", ["x"], input={"n": 1})
        await any_world.until(lambda: any_world.runners.running)
        assert await ask(host, "pause", pause("x")) == Accepted(key=key_of("x"), status="Paused")
        [(key, at)] = any_world.runners.running
        any_world.runners.finish(key, at, 2)
        await any_world.until(lambda: (key, at) in any_world.runners.acknowledged)
        assert not any_world.runners.running
        any_world.runners.script = lambda each: each.input["n"] + 1
        resumed = await ask(host, "resume", resume("x"))
        assert isinstance(resumed, Accepted)
        assert (await any_world.ends(host, "x")).output == 4

    async def test_is_kept_by_the_next_owner(self, world: World) -> None:
        first = world.host("h0")
        world.runners.script = lambda _: HOLD
        await put(first, CHAIN)
        await start(first, "chain", ["x"], input={"n": 1})
        await ask(first, "pause", pause("x"))
        world.kill(first)
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 2)
        second = world.host("h0")
        await world.clock.until(lambda: (key, at) in world.runners.acknowledged)
        assert (await status(second, "x")).status == "Paused"
        assert not world.runners.running

    async def test_of_one_that_is_not_paused_cannot_be_ended(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        refusal = await ask(host, "resume", resume("x"))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "CONFLICT"
        assert refusal.details["status"] == "Waiting"


class TestRetry:
    async def failed(self, world: World, **changes: Any) -> Any:
        host = world.host("h0", **changes)
        await put(host, BREAKS)
        world.runners.script = lambda each: (
            ValueError("no") if each.code.step_id == "b" else each.input["n"] + 1
        )
        await start(host, "breaks", ["x"])
        assert (await world.ends(host, "x")).status == "Failed"
        world.runners.script = lambda each: each.input["n"] + 1
        return host

    async def test_brings_one_that_had_left_memory_back_to_life(self, any_world: World) -> None:
        host = await self.failed(any_world)
        await any_world.until(lambda: info_of(host).resident == 0)
        assert await ask(host, "retry", retry("x")) == Accepted(
            key=key_of("x"), status="Running", run=2
        )
        end = await any_world.ends(host, "x")
        assert (end.status, end.run, end.output) == ("Completed", 2, 3)
        assert info_of(host).ended == 2
        assert any_world.runners.ran[key_of("x"), "a", 1] == 1

    async def test_once_for_its_id(self, world: World) -> None:
        host = await self.failed(world)
        world.runners.script = lambda _: HOLD
        first = await ask(host, "retry", retry("x"))
        assert await ask(host, "retry", retry("x")) == first
        assert (await events_of(world.journal, "x")).count("execution.retried") == 1

    async def test_is_heard_by_those_that_wait_for_the_new_end(self, world: World) -> None:
        host = await self.failed(world)
        world.runners.script = lambda _: HOLD
        await ask(host, "retry", retry("x"))
        listener = Listener(host, "c")
        await watch(host, "c", ["x"])
        await world.clock.spend(3_000)
        assert not listener.ended
        [(key, at)] = world.runners.running
        world.runners.finish(key, at, 9)
        await world.clock.until(lambda: listener.ended)
        assert listener.ended["x"].output == 9
        assert listener.ended["x"].run == 2
        await listener.stop()

    async def test_a_watcher_of_one_that_was_only_loaded_hears_its_end(self, world: World) -> None:
        """A refused request brings an execution that has ended into memory for a moment."""
        host = await self.failed(world)
        world.runners.script = lambda _: HOLD
        world.journal.rounds = 10  # its turn's commit, which is another execution's, takes long
        for rounds in range(60):
            asking = asyncio.ensure_future(signal(host, "x", "go", message=f"s{rounds}"))
            for _ in range(rounds % 6):
                await asyncio.sleep(0)
            starting = asyncio.ensure_future(start(host, "breaks", [f"y{rounds}"]))
            for _ in range(rounds // 6):
                await asyncio.sleep(0)
            hearing = Listener(host, f"c{rounds}")
            await watch(host, f"c{rounds}", ["x"])
            await world.clock.until(lambda both=(asking, starting): all(one.done() for one in both))
            refusal = asking.result()
            assert isinstance(refusal, Refusal)
            assert refusal.code == "CONFLICT"
            await world.clock.until(lambda hearing=hearing: hearing.ended)
            await hearing.stop()
        assert info_of(host).ended == 1

    async def test_its_timers_are_armed_again(self, world: World) -> None:
        host = world.host("h0", bounds=HostBounds(idle_ms=0))
        text = BREAKS.replace(
            "next: b}", "next: rest}\n  - {id: rest, type: timer, duration: 90s, next: b}"
        )
        await put(host, text)
        world.runners.script = lambda each: (
            ValueError("no") if each.code.step_id == "b" else each.input["n"] + 1
        )
        await start(host, "breaks", ["x"])
        await world.ends(host, "x")
        world.runners.script = lambda each: each.input["n"] + 1
        began = world.clock.steady_ms()
        await ask(host, "retry", retry("x", step="rest"))
        row = await world.journal.get_row(key_of("x"))
        assert row is not None
        assert row.wake_at_ms is not None
        assert (await world.ends(host, "x")).output == 3
        assert world.clock.steady_ms() - began >= 90_000

    async def test_of_one_that_has_not_failed_is_refused(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        refusal = await ask(host, "retry", retry("x"))
        assert isinstance(refusal, Refusal)
        assert refusal.code == "CONFLICT"
        assert await events_of(world.journal, "x") == ["execution.started"]

    @pytest.mark.parametrize("commit", [1, 2, 3])
    async def test_survives_a_crash(self, world: World, commit: int) -> None:
        host = await self.failed(world)
        left = commit

        def stored(_: Any) -> None:
            nonlocal left
            left -= 1
            if not left:
                world.kill(host)

        world.journal.stored = stored
        asking = asyncio.ensure_future(ask(host, "retry", retry("x")))
        await world.clock.until(lambda: left <= 0 or info_of(host).ended == 2)
        asking.cancel()
        world.journal.stored = None
        second = world.host("h0") if left <= 0 else host
        assert isinstance(await ask(second, "retry", retry("x")), Accepted)
        assert (await world.ends(second, "x")).output == 3
        assert (await events_of(world.journal, "x")).count("execution.retried") == 1


class TestRefused:
    @pytest.mark.parametrize(
        ("call", "request_"),
        [
            ("pause", pause("nobody")),
            ("resume", resume("nobody")),
            ("retry", retry("nobody")),
            ("signal", SignalRequest(key=key_of("nobody"), message_id="m", name="go")),
        ],
    )
    async def test_where_there_is_no_such_execution(
        self, world: World, call: str, request_: Request
    ) -> None:
        host = world.host()
        refusal = await ask(host, call, request_)
        assert isinstance(refusal, Refusal)
        assert refusal.code == "NOT_FOUND"

    async def test_when_it_has_ended(self, world: World) -> None:
        host = world.host()
        await put(host, WAITS)
        await start(host, "waits", ["x"])
        await signal(host, "x", "go")
        await world.ends(host, "x")
        before = await events_of(world.journal, "x")
        for answered in (
            await signal(host, "x", "go", message="s2"),
            await ask(host, "pause", pause("x")),
            await ask(host, "retry", retry("x")),
            await cancel(host, "x"),
        ):
            assert isinstance(answered, Refusal)
            assert answered.code == "CONFLICT"
        assert await events_of(world.journal, "x") == before

    async def test_by_a_host_that_does_not_own_it(self, world: World) -> None:
        await world.journal.put_definition(row_of(WAITS))
        hosts = await world.two_hosts()
        owner = owner_of(hosts, "x")
        [other] = [host for host in hosts if host is not owner]
        await start(owner, "waits", ["x"])
        refusal = await signal(other, "x", "go", 1)
        assert isinstance(refusal, Refusal)
        assert (refusal.code, refusal.details) == ("NOT_OWNER", {"owner": owner.name})
        assert isinstance(await signal(owner, "x", "go", 1), Accepted)
