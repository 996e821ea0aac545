"""Many sockets at one replica: how late an event is there, and what the replica costs.

Half the time all of them watch one execution, half the time each one of its own. An event's
lateness is from the instant that it has (the host's clock, when it decided, before the commit) to
when the reader has its frame: commit, push, fold, writing and sending are all in it. One signal
is given after the other, at a rate; each is an event of a commit of its own. Beside it: the CPU of
replica and host while events come, and while none do; the replica's memory for each socket.

The replica is a process of its own with the application on uvicorn, as a Serve replica is one; the
readers are another. Also run as

    python -m benchmarks.sockets replica DATA_DIR PORT
    python -m benchmarks.sockets read PORT COUNT ID…

where a reader's `read` writes one JSON object with what it saw when its input ends.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.deployment import FOLDER, data_dir, host_pid, resident_mib

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS_PER_S = 10
SECONDS = 15.0
IDLE_S = 5.0
BOUND_S = 120.0
OPENING = 50
"""Sockets that are opened side by side."""

_AT_MS = re.compile(rb'"at_ms":(\d+)')
_TICKS = os.sysconf("SC_CLK_TCK")


def sockets(client: Any, count: int) -> dict[str, float]:
    """`count` sockets: all at one execution, then each at its own."""
    definition = client.register(FOLDER / "loop.yaml")
    one = client.start(definition, {})
    many = client.start_many(definition, [{} for _ in range(count)])
    with _replica() as (pid, port):
        shared = _watched(client, pid, port, [one], count)
        apart = _watched(client, pid, port, list(many), count)
    return {
        **{f"one_{name}": figure for name, figure in shared.items()},
        **{f"each_{name}": figure for name, figure in apart.items()},
    }


def _watched(client: Any, pid: int, port: int, handles: list[Any], count: int) -> dict[str, float]:
    before_mib = resident_mib(pid)
    with _readers(port, count, [handle.id for handle in handles]) as readers:
        opened_s = json.loads(_line(readers))["opened_s"]
        after_mib = resident_mib(pid)
        host = host_pid(client)
        idle = _cpu(pid, host, lambda: time.sleep(IDLE_S))
        busy = _cpu(pid, host, lambda: _signal(handles))
        assert readers.stdin is not None
        readers.stdin.close()
        told = json.loads(_line(readers))
    late = sorted(told["late_ms"])
    each = count // len(handles)
    rounds = round(EVENTS_PER_S * SECONDS)
    assert told["open"] == count, f"{count - told['open']} sockets were closed"
    assert told["frames"] >= rounds * each, f"{told['frames']} frames of {rounds * each}"
    return {
        "late_p50_ms": statistics.median(late),
        "late_p99_ms": late[int(len(late) * 0.99)],
        "late_max_ms": late[-1],
        "frames_per_s": told["frames"] / SECONDS,
        "opened_s": opened_s,
        "replica_cpu": busy[0],
        "host_cpu": busy[1],
        "replica_idle_cpu": idle[0],
        "host_idle_cpu": idle[1],
        "replica_kib_each": (after_mib - before_mib) * 1024 / count,
        "replica_mib": resident_mib(pid),
    }


def _signal(handles: list[Any]) -> None:
    """One after the other, at the rate."""
    begun = time.perf_counter()
    for n in range(round(EVENTS_PER_S * SECONDS)):
        time.sleep(max(begun + n / EVENTS_PER_S - time.perf_counter(), 0))
        handles[n % len(handles)].signal("go")
    time.sleep(1)  # the last frames arrive


def _cpu(pid: int, host: int, work: Any) -> tuple[float, float]:
    """Which share of a core both took meanwhile."""
    before, begun = (_ticks(pid), _ticks(host)), time.perf_counter()
    work()
    took = time.perf_counter() - begun
    return (_ticks(pid) - before[0]) / _TICKS / took, (_ticks(host) - before[1]) / _TICKS / took


def _ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{process.args!r} ended with {process.wait()}")
    return line


@contextmanager
def _replica() -> Iterator[tuple[int, int]]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "benchmarks.sockets", "replica", str(data_dir()), str(port)]
    with subprocess.Popen(command, cwd=FOLDER.parent) as process:
        try:
            end_at = time.monotonic() + BOUND_S
            while not _listens(port):
                assert process.poll() is None, "the replica ended"
                assert time.monotonic() < end_at, "the replica does not listen"
                time.sleep(0.05)
            yield process.pid, port
        finally:
            process.terminate()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextmanager
def _readers(port: int, count: int, ids: list[str]) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.sockets", "read", str(port), str(count), *ids]
    with subprocess.Popen(
        command, cwd=FOLDER.parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


# the replica's process


def replica(folder: Path, port: int) -> None:
    """The application alone, until it is ended."""
    import uvicorn

    from heliostat.api.http.app import create_app
    from heliostat.api.http.door import way_of
    from heliostat.cluster.config import load_configuration
    from heliostat.cluster.connect import attach

    with attach(load_configuration({"data_dir": folder}, environment={})) as client:
        way = way_of(client)
        config = uvicorn.Config(create_app(lambda: way), port=port, log_level="warning")
        uvicorn.Server(config).run()


# the readers' process


class Seen:
    """What all readers of one process saw."""

    def __init__(self) -> None:
        self.frames = 0
        self.open = 0
        self.late_ms: list[float] = []
        self.stated = 0
        self.enough = asyncio.Event()


class Reader(asyncio.Protocol):
    """A socket that takes frames apart just so far; a library would be what is measured."""

    def __init__(self, port: int, id: str, seen: Seen) -> None:
        self._port, self._id, self._seen = port, id, seen
        self._buffer = bytearray()
        self._upgraded = False
        self.stated: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET /api/v1/ws/executions/{self._id} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
            f"Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._transport = transport
        self._seen.open += 1

    def data_received(self, data: bytes) -> None:
        now_ms = time.time() * 1000
        self._buffer += data
        if not self._upgraded:
            head, end, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not end:
                return
            assert b" 101 " in head.split(b"\r\n")[0], head
            self._upgraded, self._buffer = True, bytearray(rest)
        while (frame := self._frame()) is not None:
            opcode, body = frame
            if opcode == 9:  # ping: an empty pong, masked with zeros
                self._transport.write(bytes((0x8A, 0x80 + len(body), 0, 0, 0, 0)) + body)
            elif body.startswith(b'{"type":"event"'):
                self._seen.frames += 1
                found = _AT_MS.search(body)
                assert found is not None
                self._seen.late_ms.append(now_ms - int(found[1]))
            elif not self.stated.done():
                self.stated.set_result(None)

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        size, start = buffer[1] & 0x7F, 2
        if size >= 126:
            start = 4 if size == 126 else 10
            if len(buffer) < start:
                return None
            size = int.from_bytes(buffer[2:start], "big")
        if len(buffer) < start + size:
            return None
        body = bytes(buffer[start : start + size])
        opcode = buffer[0] & 0x0F
        del buffer[: start + size]
        return opcode, body

    def connection_lost(self, exc: Exception | None) -> None:
        self._seen.open -= 1
        if not self.stated.done():
            self.stated.set_exception(exc or ConnectionError("closed before its state"))


async def read(port: int, count: int, ids: list[str]) -> None:
    """Open all, say so, and what was seen when the input ends."""
    loop, seen = asyncio.get_running_loop(), Seen()
    room = asyncio.Semaphore(OPENING)
    begun = time.perf_counter()

    async def open_one(id: str) -> None:
        async with room:
            _, reader = await loop.create_connection(
                lambda: Reader(port, id, seen), "127.0.0.1", port
            )
            await asyncio.wait_for(reader.stated, BOUND_S)

    await asyncio.gather(*(open_one(ids[n % len(ids)]) for n in range(count)))
    print(json.dumps({"opened_s": time.perf_counter() - begun}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    told = {"frames": seen.frames, "open": seen.open, "late_ms": seen.late_ms}
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "replica":
        replica(Path(sys.argv[2]), int(sys.argv[3]))
    else:
        asyncio.run(read(int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]))
