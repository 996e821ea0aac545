"""A load generator in a process of its own: requests over kept connections, one after the other on
each. It parses as little as it can, so that it is not what is measured.

`python -m benchmarks.load ORDER`, ORDER being JSON: `{host, port, method, path, body, connections,
count}`; `body` may hold `$N`, a number of its own for each request, and so may `path`. Prints one
JSON object.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any


class Connection(asyncio.Protocol):
    """One connection; asks until the numbers are used up."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._got = b""
        self._asked_at = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._ask()

    def data_received(self, data: bytes) -> None:
        self._got += data
        head = self._got.find(b"\r\n\r\n")
        if head < 0:
            return
        headers = self._got[:head].lower()
        at = headers.find(b"content-length:")
        assert at >= 0, headers
        length = int(headers[at + 15 :].split(b"\r\n", 1)[0])
        if len(self._got) < head + 4 + length:
            return
        self._got = b""
        self._load.answered(int(headers[9:12]), time.perf_counter() - self._asked_at)
        self._ask()

    def connection_lost(self, error: Exception | None) -> None:
        self._load.lost()

    def _ask(self) -> None:
        number = self._load.next_number()
        if number is None:
            self._transport.close()
            return
        self._asked_at = time.perf_counter()
        self._transport.write(self._load.request(number))


class Load:
    """The requests, and what became of them."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._order = order
        self._asked = 0
        self._open = order["connections"]
        self._seconds: list[float] = []
        self._refused = 0
        self._done = asyncio.Event()

    def next_number(self) -> int | None:
        if self._asked == self._order["count"]:
            return None
        self._asked += 1
        return self._asked

    def request(self, number: int) -> bytes:
        order = self._order
        body = order.get("body", "").replace("$N", str(number))
        path = order["path"].replace("$N", str(number))
        return (
            f"{order['method']} {path} HTTP/1.1\r\nHost: {order['host']}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        ).encode()

    def answered(self, status: int, seconds: float) -> None:
        self._seconds.append(seconds)
        self._refused += status >= 300

    def lost(self) -> None:
        self._open -= 1
        if not self._open:
            self._done.set()

    async def run(self) -> dict[str, float]:
        loop, order = asyncio.get_running_loop(), self._order
        begun = time.perf_counter()
        for _ in range(order["connections"]):
            await loop.create_connection(lambda: Connection(self), order["host"], order["port"])
        await self._done.wait()
        elapsed = time.perf_counter() - begun
        seconds = sorted(self._seconds)
        assert len(seconds) == order["count"], f"{len(seconds)} of {order['count']} were answered"
        return {
            "per_s": len(seconds) / elapsed,
            "p50_ms": 1_000 * seconds[len(seconds) // 2],
            "p99_ms": 1_000 * seconds[int(len(seconds) * 0.99)],
            "refused": self._refused,
        }


if __name__ == "__main__":
    print(json.dumps(asyncio.run(Load(json.loads(sys.argv[1])).run())))
