"""What a host tells its dispatcher of capacity: what attempts need, and what it finds running."""

from __future__ import annotations

from heliostat.actors.calls import pack
from heliostat.actors.dispatch.protocol import Assignment
from heliostat.actors.host.api import (
    ExecutionView,
    Refusal,
    StartAnswers,
    StartMany,
    StartRequest,
)
from heliostat.actors.host.questions import answer
from tests.host.support import (
    HOLD,
    World,
    asked,
    key_of,
    put,
    serving,
    start,
)

NEEDS = """
id: needs
version: "1"
priority: 7
semaphores: {llm: {per: deployment}, own: 3}
steps:
  - {id: a, type: activity, activity: "work:a", uses: {llm: 2, own: 1}, next: b}
  - {id: b, type: activity, activity: "work:b", resources: {num_cpus: 1}, tags: {duration_ms: "40"}}
"""


async def test_an_attempt_comes_with_what_its_order_depends_on(world: World) -> None:
    host = world.host()
    await put(host, NEEDS)
    got: list[Assignment] = []

    def script(assignment: Assignment) -> object:
        got.append(assignment)
        return 1

    world.runners.script = script
    await start(host, "needs", ["x"])
    await world.ends(host, "x")
    first, second = got
    assert (first.priority, first.workflow, first.path_ms) == (7, "needs", 1_040)
    assert first.semaphores == {"llm": 2}, "the execution's own are the kernel's"
    assert (second.path_ms, second.semaphores, second.is_tiny) == (40, {}, False)


async def test_a_start_may_say_another_priority_within_the_scale(world: World) -> None:
    host = world.host()
    await put(host, NEEDS)
    world.runners.script = lambda _: HOLD

    def request(id: str, priority: int) -> StartRequest:
        return StartRequest(key=key_of(id), definition="needs", priority=priority)

    many = StartMany(client=None, starts=(request("x", 9), request("y", 11)))
    found = answer(await asked(host, host.start_many(pack(many))), StartAnswers)
    assert isinstance(found, StartAnswers)
    refused = found.answers[1]
    assert isinstance(refused, Refusal)
    assert "from 1 to 10" in refused.message
    (running,) = world.runners.running.values()
    assert running.priority == 9


async def test_status_says_why_an_attempt_waits(world: World) -> None:

    host = world.host()
    await put(host, NEEDS)
    world.runners.script = lambda _: HOLD
    await start(host, "needs", ["x"])
    [attempt] = world.runners.running
    world.dispatches["h0"].waiting[attempt] = "semaphore llm: 4 of 4 taken"
    view = answer(await asked(host, host.status(pack(key_of("x")))), ExecutionView)
    assert isinstance(view, ExecutionView)
    assert view.priority == 7
    (active,) = view.active
    assert active["waiting"] == "semaphore llm: 4 of 4 taken"


async def test_what_a_take_over_finds_running_is_accounted_for(world: World) -> None:
    first = world.host("h0")
    await put(first, NEEDS)
    world.runners.script = lambda _: HOLD
    await start(first, "needs", ["x"])
    [attempt] = world.runners.running
    world.kill(first)
    second = world.host("h1")
    await world.clock.until(lambda: len(serving(second)) == 16)
    (held,) = world.dispatches["h1"].held
    assert ((held.key, held.at), held.semaphores) == (attempt, {"llm": 2})
    assert list(world.runners.running) == [attempt], "it is not made again"


async def test_a_take_over_says_of_every_shard_that_what_was_held_there_is_known(
    world: World,
) -> None:
    """Of one without executions too: what died with its owner may have been held for it."""
    first = world.host("h0")
    await world.clock.until(lambda: len(serving(first)) == 16)
    world.kill(first)
    second = world.host("h1")
    await world.clock.until(lambda: len(serving(second)) == 16)
    before, after = world.dispatches["h0"].served, world.dispatches["h1"].served
    assert len(after) == 16
    assert all(after[shard] > epoch for shard, epoch in before.items())


async def test_what_another_host_has_claimed_is_forgotten(world: World) -> None:
    host = world.host()
    await put(host, NEEDS)
    world.runners.script = lambda _: HOLD
    await start(host, "needs", ["x"])
    for row in await world.journal.shards():
        await world.journal.claim(row.shard, owner="somebody", after_epoch=row.epoch)
    dispatch = world.dispatches["h0"]
    await world.clock.until(lambda: any(lost(key_of("x")) for lost in dispatch.forgotten))
