"""Watching a deployment on a real Ray, whose host is killed meanwhile."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from heliostat.actors.client.client import Client
from heliostat.actors.client.handle import Handle
from heliostat.api.http.door import way_of
from heliostat.cluster.connect import attach
from tests.cluster.conftest import Place
from tests.live.conftest import DEFINITIONS, Server, frame, seqs, serving, until

pytestmark = pytest.mark.long

EVENTS = 10_000

WORK = '''\
"""Steps of these tests."""

import time

import heliostat as hs


def work(number: int) -> int:
    for done in range(3):
        hs.current().heartbeat({"done": done})
        time.sleep(0.15)
    return number
'''

WORKS = """\
id: works
version: "1"
steps:
  - {id: work, type: activity, activity: "live_steps:work", input: {number: 1}}
"""


@pytest.fixture(scope="module")
def client(deployment: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    folder: Path = tmp_path_factory.mktemp("live")
    (folder / "live_steps.py").write_text(WORK)
    alone = DEFINITIONS["loop"].replace("id: loop", "id: alone\nisolation: dedicated")
    for id, text in {**DEFINITIONS, "works": WORKS, "alone": alone}.items():
        (folder / f"{id}.yaml").write_text(text.replace(f"id: {id}", f"id: live-{id}", 1))
    with attach(deployment.configuration) as client:
        client.register_many(sorted(folder.glob("*.yaml")))
        yield client


@pytest.fixture
async def server(client: Client) -> AsyncIterator[Server]:
    way = way_of(client)
    async with serving(lambda: way) as server:
        yield server


async def kill_host(client: Client) -> None:
    (host,) = (await client.info_async())["hosts"]
    os.kill(host["pid"], signal.SIGKILL)


async def test_what_an_attempt_tells_of_itself(client: Client, server: Server) -> None:
    handle = await client.start_async("live-works", {})
    async with server.socket(handle.id, "?after=0") as socket:
        frames = await until(socket, "end")
    notices = [each["notice"] for each in frames if each["type"] == "notice"]
    assert {each["step"] for each in notices} == {"work"}
    assert {"done": 2} in [each.get("data") for each in notices if each["kind"] == "progress"]
    assert [each["event"] for each in frames if each["type"] == "event"] == (
        await handle.history_async()
    )


async def test_ten_thousand_events_while_the_host_is_killed(client: Client, server: Server) -> None:
    handle = await client.start_async("live-wide", {"items": list(range(EVENTS))})
    afters = (0, 0, 1, 5_000)
    readers = [asyncio.create_task(read(server, handle.id, after)) for after in afters]
    await kill_host(client)
    told = await asyncio.gather(*readers)
    history = await handle.history_async()
    assert len(history) > EVENTS
    for after, frames in zip(afters, told, strict=True):
        assert [each["event"] for each in frames if each["type"] == "event"] == history[after:]
    assert (await handle.status_async()).status == told[0][-1]["status"] == "Completed"


async def read(server: Server, id: str, after: int) -> list[dict[str, Any]]:
    async with server.socket(id, f"?after={after}") as socket:
        return await until(socket, "end")


async def test_readers_that_come_and_go_while_hosts_die(client: Client, server: Server) -> None:
    """Each goes on after the last event that it has: together it is the history."""
    handle = await client.start_async("live-loop", {"times": 300})
    readers = [asyncio.create_task(come_and_go(server, handle.id, n)) for n in range(8)]
    idle = await client.start_async("live-patient", {})
    async with server.socket(idle.id, "?after=0") as watching:
        for n in range(300):
            await go(handle)
            if n % 100 == 50:
                await kill_host(client)
        told = await asyncio.gather(*readers)
        last = len(await handle.history_async())
        assert told == [list(range(1, last + 1))] * 8
        await go(idle)  # it was followed through all of that, and nothing happened there
        frames = await until(watching, "end")
    assert seqs(frames) == list(range(1, len(await idle.history_async()) + 1))


async def go(handle: Handle) -> None:
    await handle.signal_async("go")


async def come_and_go(server: Server, id: str, seed: int) -> list[int]:
    random, seen = Random(seed), 0
    told: list[int] = []
    while True:
        # This client stops reading at so many frames that nobody took; closing would not end then.
        async with server.socket(id, f"?after={seen}", max_queue=None) as socket:
            for _ in range(random.randrange(1, 60)):
                one = await frame(socket)
                if one["type"] == "event":
                    seen = one["seq"]
                    told.append(seen)
                elif one["type"] == "end":
                    return told


async def test_a_failed_one_goes_on_in_a_new_run_after_a_kill(
    client: Client, server: Server
) -> None:
    handle = await client.start_async("live-wrong", {})
    async with server.socket(handle.id, "?after=0") as socket:
        await go(handle)
        first = await until(socket, "end")
        await kill_host(client)
        await handle.retry_async()
        second = await until(socket, "end")
    history = await handle.history_async()
    told = [each["event"] for each in first + second if each["type"] == "event"]
    assert told == history
    assert (await handle.status_async()).run == 2


async def test_one_that_has_an_actor_of_its_own_which_is_killed(
    client: Client, server: Server
) -> None:
    handle = await client.start_async("live-alone", {"times": 6})
    reading = asyncio.create_task(read(server, handle.id, 0))
    for n in range(6):
        if n == 3:
            carrier = client.actor(handle.id)
            assert carrier.is_dedicated
            os.kill((await carrier.info_async()).pid, signal.SIGKILL)
        await go(handle)
    frames = await reading
    assert [each["event"] for each in frames if each["type"] == "event"] == (
        await handle.history_async()
    )
