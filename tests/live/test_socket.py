"""The socket: the state, then every event once and in order, whatever happens between."""

from __future__ import annotations

import asyncio

import pytest
from websockets.exceptions import ConnectionClosed

from tests.live.conftest import BOUND_S, Place, Server, frame, seqs, until


async def test_the_state_and_then_what_happens(place: Place, server: Server) -> None:
    handle = await place.client.start_async("patient", {})
    async with server.socket(handle.id) as socket:
        first = await frame(socket)
        assert first["type"] == "state"
        state = first["state"]
        assert (state["workflow_id"], state["status"]) == (handle.id, "Waiting")
        assert state["steps"]["first"]["status"] == "Completed"
        assert state["steps"]["wait"]["phase"] == "waiting"
        assert state["steps"]["done"]["status"] == "Pending"
        await handle.signal_async("go", {"n": 5})
        frames = await until(socket, "end")
    history = await handle.history_async()
    assert [each["event"] for each in frames[:-1]] == history[first["seq"] :]
    assert frames[-1] == {"type": "end", "seq": len(history), "status": "Completed"}
    steps = dict(state["steps"])
    for each in frames[:-1]:
        steps |= each["changes"]
    assert {id: step["status"] for id, step in steps.items()} == dict.fromkeys(steps, "Completed")
    assert steps["done"]["output"]["data"] == {"n": 5}


async def test_after_zero_tells_everything(place: Place, server: Server) -> None:
    handle = await place.client.start_async("hello", {"name": "ann"})
    await handle.result_async(60)
    history = await handle.history_async()
    async with server.socket(handle.id, "?after=0") as socket:
        assert (await frame(socket))["state"]["status"] == "Completed"
        frames = await until(socket, "end")
    assert [each["event"] for each in frames[:-1]] == history


async def test_one_that_does_not_exist(server: Server) -> None:
    async with server.socket("nobody") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
    assert "nobody" in closed.value.rcvd.reason


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ("?after=-1", "after"),
        ("?after=x", "after"),
        ("?after=9007199254740993", "after"),
        ("?aftr=1", "did you mean `after`"),
        ("?namespace=no/name", "namespace"),
    ],
)
async def test_what_cannot_be_asked(server: Server, query: str, word: str) -> None:
    async with server.socket("any", query) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400
    assert word in closed.value.rcvd.reason


async def test_every_after_tells_what_follows(place: Place, server: Server) -> None:
    handle = await place.client.start_async("loop", {"times": 3})
    for _ in range(3):
        await handle.signal_async("go")
    await handle.result_async(60)
    last = len(await handle.history_async())
    for after in range(last + 3):
        async with server.socket(handle.id, f"?after={after}") as socket:
            frames = await until(socket, "end")
        assert seqs(frames) == list(range(after + 1, last + 1))


async def test_no_after_and_ended_already(place: Place, server: Server) -> None:
    handle = await place.client.start_async("hello", {"name": "ann"})
    await handle.result_async(60)
    async with server.socket(handle.id) as socket:
        frames = await until(socket, "end")
    assert [each["type"] for each in frames] == ["state", "end"]


async def test_a_retry_goes_on_in_the_same_socket(place: Place, server: Server) -> None:
    handle = await place.client.start_async("wrong", {})
    async with server.socket(handle.id) as socket:
        await handle.signal_async("go")
        first = await until(socket, "end")
        assert first[-1]["status"] == "Failed"
        await handle.retry_async()
        second = await until(socket, "end")
    retried = second[0]
    assert (retried["event"]["type"], retried["event"]["run"]) == ("execution.retried", 2)
    assert retried["changes"]["fail"]["status"] == "Running"
    assert retried["changes"]["fail"]["visits"] == 1
    assert second[-1]["status"] == "Failed"
    assert seqs(first[1:] + second) == list(range(first[0]["seq"] + 1, second[-1]["seq"] + 1))


async def test_namespaces_are_apart(place: Place, server: Server) -> None:
    handle = await place.client.start_async("hello", {"name": "x"})
    async with server.socket(handle.id, "?namespace=other") as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4404
    async with server.socket(handle.id, "?namespace=default") as socket:
        assert (await frame(socket))["type"] == "state"
    headers = {"X-Namespace": "default"}
    async with server.socket(handle.id, "?namespace=x", additional_headers=headers) as socket:
        with pytest.raises(ConnectionClosed) as closed:
            await frame(socket)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4400


async def test_pings_and_refreshes_are_answered(place: Place, server: Server) -> None:
    handle = await place.client.start_async("patient", {})
    async with server.socket(handle.id) as socket:
        first = await frame(socket)
        await socket.send('{"message_type": "ping"}')
        assert await frame(socket) == {"type": "pong"}
        await socket.send('{"message_type": "refresh"}')
        again = await frame(socket)
    assert (again["type"], again["seq"]) == ("state", first["seq"])


@pytest.mark.parametrize(
    ("message", "error"),
    [
        ("{", "NOT_JSON"),
        ("[1]", "UNKNOWN_MESSAGE"),
        ("null", "UNKNOWN_MESSAGE"),
        ('{"message_type": "cancel"}', "UNKNOWN_MESSAGE"),
        ('{"message_type": ["ping"]}', "UNKNOWN_MESSAGE"),
        ("[" * 4_000, "NOT_JSON"),
        ('"' + "x" * 5_000 + '"', "MESSAGE_TOO_LARGE"),
        (b"\x00\x01", "BINARY_REFUSED"),
    ],
)
async def test_bad_frames_are_answered_and_the_socket_stays(
    place: Place, server: Server, message: str | bytes, error: str
) -> None:
    handle = await place.client.start_async("patient", {})
    async with server.socket(handle.id) as socket:
        assert (await frame(socket))["type"] == "state"
        await socket.send(message)
        told = await frame(socket)
        assert (told["type"], told["error"]) == ("error", error)
        assert told["details"]
        await socket.send('{"message_type": "ping"}')
        assert await frame(socket) == {"type": "pong"}


async def test_more_sockets_than_a_process_takes(place: Place, server: Server) -> None:
    handle = await place.client.start_async("patient", {})
    server.app.state.door.hub._seats_max = 1
    async with server.socket(handle.id) as first:
        await frame(first)
        async with server.socket(handle.id) as second:
            with pytest.raises(ConnectionClosed) as closed:
                await frame(second)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
    await place_is_free(server)
    async with server.socket(handle.id) as third:
        assert (await frame(third))["type"] == "state"


async def place_is_free(server: Server) -> None:
    async with asyncio.timeout(BOUND_S):
        while len(server.app.state.door.hub):  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.01)
