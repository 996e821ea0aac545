"""Calls of a host over its socket: the same answers, without Ray, whatever breaks."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import pytest

from heliostat.actors import names
from heliostat.actors.calls import unpack
from heliostat.actors.client.client import Client
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.local_calls import LocalFirst
from heliostat.actors.client.opening import ray_client
from heliostat.actors.dispatch.frames import FRAME_BYTES_MAX
from heliostat.actors.host.clock import SystemClock
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.local_calls import LocalCalls
from heliostat.actors.host.questions import HostInfo
from heliostat.engine.errors import NotFound, Unreachable
from heliostat.engine.journal.blobs import FileBlobStore
from tests.client.inprocess import InProcess
from tests.client.test_with_host import register
from tests.host.support import World, plus_one

_T = TypeVar("_T")

BOUND_S = 60.0
HOST = names.host_name("local", 1, 0)

CHAIN = """
id: chain
version: "1"
steps:
  - {id: one, type: activity, activity: "work:one", input: {n: $.input.n}}
"""


class Machine:
    """A host that listens, on a thread of its own; `otherwise` stands for Ray."""

    def __init__(self, folder: Path) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="host", daemon=True)
        self._thread.start()
        self.folder = folder
        self.world = self.inside(self._world)
        self.hosts: dict[str, ExecutionHost] = {HOST: self.inside(self._host)}
        self.listens: LocalCalls = self.inside(self._listens)
        self.path = self.host.listens_at
        self.otherwise = InProcess(self.loop, self.hosts.get)
        self.calls = LocalFirst(self.otherwise)

    async def _world(self) -> World:
        return World(clock=SystemClock(), script=plus_one)

    async def _host(self) -> ExecutionHost:
        return self.world.host()

    async def _listens(self) -> LocalCalls:
        listens = LocalCalls(self.hosts[HOST], self.folder, "0")
        await listens.open()
        return listens

    def inside(self, make: Callable[[], Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(make(), self.loop).result(BOUND_S)

    @property
    def host(self) -> ExecutionHost:
        return self.hosts[HOST]

    def close(self) -> None:
        self.calls.close()

        async def end() -> None:
            self.listens.close()
            await self.world.close()

        self.inside(end)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(BOUND_S)
        self.loop.close()


@pytest.fixture
def machine() -> Iterator[Machine]:
    with TemporaryDirectory(prefix="hs-") as folder:  # pytest's are too long for a socket
        machine = Machine(Path(folder) / "s")
        yield machine
        machine.close()


@contextmanager
def client_of(machine: Machine, tmp_path: Path) -> Iterator[Client]:
    hosts = Hosts(
        deployment="local", generation=1, hosts=1, call_timeout_ms=60_000, calls=machine.calls
    )
    with ray_client(hosts=hosts, blobs=FileBlobStore(tmp_path / "blobs")) as client:
        yield client


def listening_at(machine: Machine) -> Path:
    path = machine.host.listens_at
    assert path is not None
    return path


def info(machine: Machine) -> HostInfo:
    return unpack(machine.calls.call(HOST, "info", None, BOUND_S), HostInfo)


def test_a_whole_execution_goes_by_the_socket_alone(machine: Machine, tmp_path: Path) -> None:
    with client_of(machine, tmp_path) as client:
        register(client, CHAIN)
        handles = client.start_many("chain", [{"n": n} for n in range(50)])
        assert [handle.result(BOUND_S) for handle in handles] == list(range(1, 51))
        assert len(list(handles[0].follow())) > 2
        with pytest.raises(NotFound):
            client.get("nobody").status()
    assert set(machine.otherwise.called) == {"address"}


async def test_event_loops_follow_by_the_socket(machine: Machine, tmp_path: Path) -> None:
    with client_of(machine, tmp_path) as client:
        register(client, CHAIN)
        handle = await client.start_async("chain", {"n": 1})
        told = [each async for each in handle.follow_async()]
        assert await handle.result_async(BOUND_S) == 2
    assert len(told) > 2
    assert set(machine.otherwise.called) == {"address"}


def test_many_threads_call_at_once(machine: Machine) -> None:
    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(lambda _: info(machine), range(200)))
    assert {each.name for each in found} == {machine.host.name}


def test_a_long_answer_and_a_long_request_arrive_whole(machine: Machine) -> None:
    long = bytes(3_000_000)

    async def echo(body: bytes) -> bytes:
        return body

    machine.host.status = echo  # type: ignore[method-assign]  # what it answers is not the point
    assert machine.calls.call(HOST, "status", long, BOUND_S) == long


def test_a_host_that_ends_in_a_call_is_unreachable_and_then_asked_anew(machine: Machine) -> None:
    assert info(machine).state == "running"
    with socket.socket(socket.AF_UNIX) as ends:
        ends.bind(os.fspath(machine.folder / "ends.sock"))
        ends.listen()
        machine.calls.forget(HOST)
        machine.host.listens_at = machine.folder / "ends.sock"

        def end() -> None:
            connection, _ = ends.accept()
            connection.recv(1)
            connection.close()

        ending = threading.Thread(target=end)
        ending.start()
        with pytest.raises(Unreachable):
            machine.calls.call(HOST, "status", b"", BOUND_S)
        ending.join(BOUND_S)
    machine.host.listens_at = machine.path
    assert info(machine).state == "running"
    assert machine.otherwise.called == ["address"] * 3


def test_a_late_answer_is_nobody_elses(machine: Machine) -> None:
    """A connection whose call was given up is not used again."""
    go = asyncio.Event()

    async def slow(body: bytes) -> bytes:
        await go.wait()
        return b"late"

    machine.host.status = slow  # type: ignore[method-assign]  # it takes its time
    with pytest.raises(Unreachable):
        machine.calls.call(HOST, "status", b"", 0.05)
    machine.loop.call_soon_threadsafe(go.set)
    assert info(machine).name == machine.host.name


def test_where_nobody_listens_ray_carries_the_call(machine: Machine, tmp_path: Path) -> None:
    machine.host.listens_at = tmp_path / "of another machine.sock"
    assert info(machine).state == "running"
    assert machine.otherwise.called == ["address", "info"]


def test_an_actor_that_is_no_host_is_called_by_ray(machine: Machine) -> None:
    with pytest.raises(Unreachable):
        machine.calls.call("heliostat/local/1/scheduler", "info", None, BOUND_S)
    assert machine.otherwise.called == ["info"]


def test_only_what_clients_may_ask_is_answered(machine: Machine) -> None:
    for method in ("abandon", "_info", "__class__", "nothing"):
        with pytest.raises(Unreachable):
            machine.calls.call(HOST, method, None, BOUND_S)
    assert info(machine).state == "running"


def test_nonsense_ends_the_connection_and_nothing_else(machine: Machine) -> None:
    for said in (b"\x03\x00\x00\x00\xc1\xc1\xc1", (FRAME_BYTES_MAX + 1).to_bytes(4, "little")):
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.settimeout(BOUND_S)
            stranger.connect(os.fspath(listening_at(machine)))
            stranger.sendall(said)
            assert stranger.recv(1) == b""
    assert info(machine).state == "running"


def test_a_fault_of_the_host_is_no_answer(machine: Machine) -> None:
    async def broken(body: bytes) -> bytes:
        raise ZeroDivisionError

    machine.host.status = broken  # type: ignore[method-assign]  # a fault of ours
    with pytest.raises(Unreachable):
        machine.calls.call(HOST, "status", b"", BOUND_S)


def test_a_stream_whose_reader_leaves_ends(machine: Machine) -> None:
    ended = threading.Event()

    async def forever(body: bytes) -> Any:
        try:
            while True:
                yield b"piece"
                await asyncio.sleep(0)
        finally:
            ended.set()

    machine.host.feed = forever  # type: ignore[method-assign]  # it never ends by itself
    stream = machine.calls.open(HOST, "feed", b"")
    assert stream.piece(BOUND_S) == b"piece"
    stream.drop()
    assert ended.wait(BOUND_S)


def test_a_slow_reader_has_its_host_wait(machine: Machine) -> None:
    said = 0

    async def forever(body: bytes) -> Any:
        nonlocal said
        while True:
            said += 1
            yield bytes(100_000)
            await asyncio.sleep(0)

    machine.host.feed = forever  # type: ignore[method-assign]  # more than sockets hold
    stream = machine.calls.open(HOST, "feed", b"")
    before = -1
    while said != before:  # it comes to rest
        before = said
        info(machine)  # the event loop went round meanwhile
    assert 0 < said < 100
    assert stream.piece(BOUND_S) == bytes(100_000)
    stream.drop()


def test_the_socket_is_this_users_alone_and_the_next_incarnation_has_another(
    machine: Machine,
) -> None:
    path = listening_at(machine)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    info(machine)

    async def again() -> None:
        machine.world = World(clock=SystemClock(), script=plus_one)
        machine.hosts[HOST] = machine.world.host()
        machine.listens = LocalCalls(machine.host, machine.folder, "0")
        await machine.listens.open()

    old_world, old_listens = machine.world, machine.listens
    machine.inside(again)
    machine.inside(old_world.close)
    machine.loop.call_soon_threadsafe(old_listens.close)
    assert not path.exists()
    machine.calls.forget(HOST)
    assert info(machine).incarnation == machine.host.incarnation
    assert [each.name for each in machine.folder.iterdir()] == [listening_at(machine).name]
