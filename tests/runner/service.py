"""A local HTTP service that answers as each test says, byte for byte, and fails in every way."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

PATIENCE_S = 60.0
"""A test that forgot its answer ends, with an error, after this."""


@dataclass
class Request:
    """What arrived."""

    method: str
    target: str
    headers: dict[str, str]  # by lower-case name
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Answer: TypeAlias = bytes | Callable[[socket.socket], None]


@dataclass
class Service:
    """Answers the n-th request with the n-th answer, and with the last one from then on."""

    answers: list[Answer]
    tls: ssl.SSLContext | None = None
    reads: bool = True  # the request, before it answers
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Service:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._closing = False
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def url(self, path: str = "/", *, host: str = "127.0.0.1") -> str:
        return f"http{'s' if self.tls else ''}://{host}:{self.port}{path}"

    def _accept(self) -> None:
        threads = []
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                break
            self._connections.append(connection)
            threads.append(threading.Thread(target=self._serve, args=(connection,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with contextlib.closing(connection):
                if self.reads:
                    self.requests.append(_read(connection))
                number = min(max(len(self.requests), 1), len(self.answers)) - 1
                answer = self.answers[number]
                if callable(answer):
                    answer(connection)
                else:
                    connection.sendall(answer)


def _read(connection: socket.socket) -> Request:
    stream = connection.makefile("rb")
    method, target, _ = stream.readline().decode().split()
    headers = {}
    while line := stream.readline().decode("latin-1").strip():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Request(method, target, headers, stream.read(int(headers.get("content-length", 0))))


def http(status: int = 200, body: Any = None, **headers: str) -> bytes:
    """An answer; a body that is no bytes is JSON. Underscores in names stand for hyphens."""
    fields = {name.replace("_", "-").lower(): value for name, value in headers.items()}
    if not isinstance(body, bytes):
        body = b"" if body is None else json.dumps(body).encode()
        if body:
            fields.setdefault("content-type", "application/json")
    fields.setdefault("content-length", str(len(body)))
    lines = [f"HTTP/1.1 {status} Told", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "connection: close", "", ""]).encode() + body


def silent(connection: socket.socket) -> None:
    """Say nothing until the other side has had enough."""
    connection.recv(1)


def then(data: bytes, last: Callable[[socket.socket], None]) -> Callable[[socket.socket], None]:
    """Send something, then do something else."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(data)
        last(connection)

    return answer


def reset(connection: socket.socket) -> None:
    """End the connection as a crash does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


def endless(connection: socket.socket) -> None:
    """Send until nobody listens."""
    while True:
        connection.sendall(b"x" * 65_536)


@contextlib.contextmanager
def nobody() -> Iterator[int]:
    """A port that nobody listens on, and nobody else gets meanwhile."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        yield port
