"""Several hosts that come and go, calls and commits that break, and executions that talk all along.

Whatever happens, what was said is heard once: each scenario is drawn from a seed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from heliostat.actors.host.api import Refusal, StartRequest
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.host import ExecutionHost
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import ExecutionCompleted
from tests.crash.host_under_test import DEFINITIONS, executions, starts
from tests.host.support import World, info_of, row_of, start

ORDERS = 12


@pytest.mark.parametrize("seed", range(24))
async def test_what_was_said_is_heard_once(seed: int) -> None:
    chance = random.Random(seed)
    bounds = HostBounds(
        idle_ms=chance.choice([0, 5_000]),
        outbox_messages=chance.choice([2, 2_000]),
        bus_page=chance.choice([1, 3, 100]),
        bus_keys=chance.choice([1, 1_000]),
        turn_arrivals=chance.choice([1, 256]),
        snapshot_bytes=chance.choice([0, 16_384]),
    )
    world = World(bounds=bounds)
    for text in DEFINITIONS["orders"]:
        await world.journal.put_definition(row_of(text))
    world.peer_faults = chance.choices(["", "", "lost", "answer lost"], k=60)
    world.journal.faults = chance.choices(
        ["", "", "", "", "unavailable", "unknown before", "unknown after"], k=150
    )
    hosts = [world.host("h0"), world.host("h1")]
    for requests in starts("orders", ORDERS):
        for request in requests:
            await _started(world, hosts, request)
            if chance.random() < 0.5:
                hosts = _replace_one(world, hosts, chance)
    found = world.stored
    until = world.clock.steady_ms() + 3_600_000
    while not (
        len(found) == executions("orders", ORDERS)
        and all(each.row.status == "Completed" for each in found.values())
    ):
        assert world.clock.steady_ms() < until, {k: e.row.status for k, e in found.items()}
        await world.clock.spend(chance.choice([3, 40, 900]))
        if chance.random() < 0.2 and len(world.hosts) < 40:
            hosts = _replace_one(world, hosts, chance)
    for key in found:
        history = [decode_event(body) for _, body in await world.journal.read(key, after_seq=0)]
        assert Counter(map(type, history))[ExecutionCompleted] == 1, key
        if key.execution_id in ("ledger", "audit"):
            assert isinstance(history[-1], ExecutionCompleted)
            assert sorted(history[-1].output) == [n + 3 for n in range(ORDERS)]
    await world.clock.spend(130_000)
    assert await world.on_the_way() == []
    for host in world.hosts:
        assert info_of(host).faults == ()
    await world.close()


def _replace_one(
    world: World, hosts: list[ExecutionHost], chance: random.Random
) -> list[ExecutionHost]:
    """Kill one; it comes back under its name."""
    victim = chance.choice(hosts)
    world.kill(victim)
    return [world.host(each.name) if each is victim else each for each in hosts]


async def _started(world: World, hosts: list[ExecutionHost], request: StartRequest) -> None:
    """Ask every host until one has started it, as a client does."""
    id, definition = request.key.execution_id, request.definition
    while True:
        for host in hosts:
            starting = asyncio.ensure_future(start(host, definition, [id], input=request.input))
            try:
                await world.clock.until(starting.done, within_ms=20_000)
            except AssertionError:
                starting.cancel()
                continue
            if not isinstance(starting.result()[0], Refusal):
                return
