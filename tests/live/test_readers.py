"""Many readers and many events: nobody misses one, and nobody waits for another."""

from __future__ import annotations

import asyncio
import json
import socket as sockets
from random import randbytes
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from heliostat.actors.client.ray_connection import RayConnection
from heliostat.api.live import channel as channels
from heliostat.api.live.frames import end_frame, notice_frame
from heliostat.api.live.readers import BYTES_MAX, FRAMES_MAX, Reader, TooSlow
from tests.live.conftest import BOUND_S, Place, Server, frame, seqs, serving, until

EVENTS = 10_000


async def wait_until(condition: object) -> None:
    """Poll: what is waited for tells nobody."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_ten_thousand_events_to_several_readers(place: Place, server: Server) -> None:
    handle = place.client.get(f"wide-{server.port}")
    begun = asyncio.Event()

    async def read(after: int) -> list[dict[str, object]]:
        await begun.wait()
        async with server.socket(handle.id, f"?after={after}") as socket:
            return await until(socket, "end")

    readers = [asyncio.create_task(read(after)) for after in (0, 0, 5_000)]
    await place.client.start_async("wide", {"items": list(range(EVENTS))}, id=handle.id)
    begun.set()
    told = await asyncio.gather(*readers)
    last = told[0][-1]["seq"]
    assert isinstance(last, int)
    assert last > EVENTS
    for after, frames in zip((0, 0, 5_000), told, strict=True):
        assert seqs(frames) == list(range(after + 1, last + 1))
    done = [each for each in told[0] if each["type"] == "event"][-1]
    assert done["status"] == "Completed"
    progress = await server.app.state.door.hub.progress(place.key(handle.id))
    assert progress.steps()["each"]["items"] == {
        "total": EVENTS,
        "active": 0,
        "completed": EVENTS,
        "failed": 0,
        "canceled": 0,
    }


async def test_a_slow_reader_is_given_up_and_slows_nobody(place: Place, server: Server) -> None:
    handle = await place.client.start_async("loop", {"times": 100_000})
    slow = server.socket(handle.id, **await deaf_options(server))
    hub = server.app.state.door.hub
    async with slow as deaf, server.socket(handle.id) as quick:
        first = await frame(quick)
        await wait_until(lambda: len(hub) == 2)
        seen = [first["seq"]]

        async def read() -> None:
            async for text in quick:
                told = json.loads(text)
                if told["type"] == "event":
                    seen.append(told["seq"])

        reading = asyncio.create_task(read())
        sent = 0
        while len(hub) == 2:  # until the deaf one was given up
            await asyncio.gather(*(handle.signal_async("go", noise()) for _ in range(20)))
            sent += 20
            assert sent < 10_000
        last = len(await handle.history_async())
        await wait_until(lambda: seen[-1] >= last)
        assert seen == list(range(first["seq"], seen[-1] + 1))
        code = await closed_with(deaf)
        assert code in (4409, None), "None: it did not hear why within some seconds"
        reading.cancel()


async def closed_with(socket: ClientConnection) -> int | None:
    """Read all that is left; the code that comes then."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code


async def test_a_reader_within_its_bound_is_told_everything() -> None:
    reader = Reader()
    made = [end_frame(n, "Failed") for n in range(FRAMES_MAX)]
    for each in made:
        reader.offer(each)
    assert await reader.take() == made


@pytest.mark.parametrize(("count", "size"), [(FRAMES_MAX + 1, 1), (5, BYTES_MAX // 4)])
async def test_a_reader_beyond_its_bound_holds_nothing(count: int, size: int) -> None:
    reader = Reader()
    told: list[bool] = []
    reader.on_overflow = lambda: told.append(True)
    for n in range(count + 10):
        reader.offer(end_frame(n, "x" * size))
    with pytest.raises(TooSlow, match="`after`"):
        await reader.take()
    assert told == [True]
    assert not reader._frames


async def test_notices_cost_no_reader_its_place() -> None:
    reader = Reader()
    for n in range(10 * FRAMES_MAX):
        reader.offer(notice_frame({"n": n}))
    assert 0 < len(await reader.take()) <= 100


class TestWhatIsMissed:
    """The hub reads from the journal what was not pushed."""

    async def test_a_push_that_was_lost(
        self, place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        handle = await place.client.start_async("loop", {"times": 1_000})
        hub = server.app.state.door.hub
        async with server.socket(handle.id, "?after=0") as socket:
            await frame(socket)
            heard = hub.recorded
            lost: list[int] = []

            def forgetful(key: object, after_seq: int, bodies: list[bytes]) -> None:
                if after_seq % 3:
                    lost.append(after_seq)
                else:
                    heard(key, after_seq, bodies)

            monkeypatch.setattr(hub, "recorded", forgetful)
            for _ in range(60):
                await handle.signal_async("go")
            monkeypatch.setattr(hub, "recorded", heard)
            await handle.signal_async("go")
            last = len(await handle.history_async())
            frames: list[dict[str, object]] = []
            while not seqs(frames) or seqs(frames)[-1] < last:
                frames.append(await frame(socket))
        assert len(lost) > 5
        assert seqs(frames) == list(range(1, last + 1))

    async def test_a_stream_that_breaks_again_and_again(self, place: Place, server: Server) -> None:
        handle = await place.client.start_async("loop", {"times": 1_000})
        async with server.socket(handle.id, "?after=0") as socket:
            await frame(socket)
            feeds = place.host_works.feeds
            for n in range(100):
                await handle.signal_async("go")
                if n % 20 == 10:
                    place.hosts.loop.call_soon_threadsafe(break_streams, feeds)
            last = len(await handle.history_async())
            frames: list[dict[str, object]] = []
            while not seqs(frames) or seqs(frames)[-1] < last:
                frames.append(await frame(socket))
        assert seqs(frames) == list(range(1, last + 1))

    async def test_a_ring_that_a_reader_is_behind(
        self, place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Readers join at every distance, while events go on."""
        monkeypatch.setattr(channels, "FRAMES_MAX", 20)
        monkeypatch.setattr(channels, "PAGE", 7)
        handle = await place.client.start_async("loop", {"times": 60})
        going = asyncio.create_task(go_on(handle, 60))
        told = await asyncio.gather(
            *(read_from(server, handle.id, after) for after in (0, 3, 10, 19, 20, 21, 50, 80))
        )
        await going
        last = len(await handle.history_async())
        for after, frames in zip((0, 3, 10, 19, 20, 21, 50, 80), told, strict=True):
            assert seqs(frames) == list(range(after + 1, last + 1))


def break_streams(feeds: object) -> None:
    """As a host that forgets its clients: their streams end, and what they followed is gone."""
    for client in list(feeds._clients.values()):  # type: ignore[attr-defined]
        bell, client.bell = client.bell, None
        for key in list(client.followed):
            feeds._release(client, key)  # type: ignore[attr-defined]
        if bell is not None:
            bell.ring()
    feeds._clients.clear()  # type: ignore[attr-defined]


async def go_on(handle: object, times: int) -> None:
    for _ in range(times):
        await handle.signal_async("go")  # type: ignore[attr-defined]


async def read_from(server: Server, id: str, after: int) -> list[dict[str, object]]:
    async with server.socket(id, f"?after={after}") as socket:
        return await until(socket, "end")


def noise() -> str:
    """60 KB that no compression makes small."""
    return randbytes(30_000).hex()


async def deaf_socket(server: Server) -> sockets.socket:
    """Connected, with little room for what is not read."""
    raw = sockets.socket()
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4_096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, ("127.0.0.1", server.port))
    return raw


async def deaf_options(server: Server) -> dict[str, Any]:
    """Options of a socket that takes nothing that is not asked for."""
    return {"sock": await deaf_socket(server), "max_queue": 1, "close_timeout": 0.5}


async def test_one_that_stops_reading_a_long_history(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing overflows, since it is told what it takes; it is given up all the same."""
    monkeypatch.setattr("heliostat.api.live.readers.SEND_S", 1.0)
    monkeypatch.setattr("heliostat.api.live.hub.SWEEP_S", 0.05)
    handle = await place.client.start_async("loop", {"times": 1_000})
    for _ in range(200):
        await handle.signal_async("go", noise())
    hub = server.app.state.door.hub
    async with server.socket(handle.id, "?after=0", **await deaf_options(server)):
        await wait_until(lambda: len(hub) == 1)
        await wait_until(lambda: len(hub) == 0)


async def test_a_stream_that_is_not_read(place: Place, server: Server) -> None:
    handle = await place.client.start_async("loop", {"times": 100_000})
    hub, loop = server.app.state.door.hub, asyncio.get_running_loop()
    with await deaf_socket(server) as raw:
        path = f"/api/v1/workflows/{handle.id}/events"
        await loop.sock_sendall(raw, f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
        await wait_until(lambda: len(hub) == 1)
        sent = 0
        while len(hub):
            await asyncio.gather(*(handle.signal_async("go", noise()) for _ in range(20)))
            sent += 20
            assert sent < 10_000


class TestLettingGo:
    async def test_what_nobody_watches_is_not_followed_for_ever(
        self, place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("heliostat.api.live.hub.LINGER_S", 0.0)
        monkeypatch.setattr("heliostat.api.live.hub.SWEEP_S", 0.05)
        handle = await place.client.start_async("patient", {})
        hub = server.app.state.door.hub
        async with server.socket(handle.id) as socket:
            await frame(socket)
            await wait_until(lambda: hub.followed == 1)
            other = await place.client.start_async("patient", {})
            async with server.socket(other.id) as watching:
                await frame(watching)
                await wait_until(lambda: hub.followed == 2)
            await wait_until(lambda: hub.followed == 1)  # what is let go by then is the other
            assert place.key(handle.id) in hub._channels
        await wait_until(lambda: hub.followed == 0)
        assert not hub._channels
        await wait_until(lambda: not place.host_works.feeds.follows(place.key(handle.id)))

    async def test_many_readers_of_one_execution_are_one_to_its_host(
        self, place: Place, server: Server
    ) -> None:
        handle = await place.client.start_async("patient", {})
        seats = [server.socket(handle.id) for _ in range(20)]
        opened = [await seat.__aenter__() for seat in seats]
        for each in opened:
            assert (await frame(each))["type"] == "state"
        assert len(place.host_works.feeds._followers[place.key(handle.id)]) == 1
        await handle.signal_async("go")
        for each in opened:
            assert (await until(each, "end"))[-1]["status"] == "Completed"
        for seat in seats:
            await seat.__aexit__(None, None, None)


def broken_fold(_: bytes) -> None:
    raise KeyError("corrupt")


async def test_one_execution_that_cannot_be_told_silences_no_other(
    place: Place, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = await place.client.start_async("loop", {"times": 9})
    whole = await place.client.start_async("loop", {"times": 9})
    async with server.socket(broken.id) as first, server.socket(whole.id) as second:
        await frame(first)
        await frame(second)
        channel = server.app.state.door.hub._channels[place.key(broken.id)]
        monkeypatch.setattr(channel.progress, "tell", broken_fold)
        await broken.signal_async("go")
        assert await closed_with(first) == 1011
        await whole.signal_async("go")
        assert (await frame(second))["type"] == "event"


async def test_a_deployment_that_is_another_one(place: Place) -> None:
    """The way to it is a new one: what is watched is watched there."""
    ways = [place.way, RayConnection(place.way._parts, place.way._wait)]  # type: ignore[attr-defined]
    async with serving(lambda: ways[0]) as server:
        handle = await place.client.start_async("loop", {"times": 9})
        other = await place.client.start_async("patient", {})
        async with server.socket(handle.id) as socket:
            first = await frame(socket)
            await handle.signal_async("go")
            del ways[0]
            async with server.socket(other.id) as another:
                await frame(another)
            await handle.signal_async("go")
            last = len(await handle.history_async())
            frames: list[dict[str, object]] = []
            while not seqs(frames) or seqs(frames)[-1] < last:
                frames.append(await frame(socket))
    assert seqs(frames) == list(range(first["seq"] + 1, last + 1))


async def test_a_host_that_forgets_before_its_stream_is_opened(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that dies between the subscription and the first piece: nothing says so but itself."""
    hosts = place.hosts
    forgot: list[str] = []
    open_stream = hosts.open_stream

    def forgetful(host: str, method: str, body: bytes) -> object:
        if method == "feed" and len(forgot) < 3:
            forgot.append(host)
            asyncio.run_coroutine_threadsafe(forget(), hosts.loop).result(60)
        return open_stream(host, method, body)

    async def forget() -> None:
        break_streams(place.host_works.feeds)

    monkeypatch.setattr(hosts, "open_stream", forgetful)
    handle = await place.client.start_async("loop", {"times": 9})
    async with serving(lambda: place.way) as server, server.socket(handle.id) as socket:
        first = await frame(socket)
        await handle.signal_async("go")
        assert (await until(socket, "event"))[-1]["seq"] == first["seq"] + 1
    assert forgot
