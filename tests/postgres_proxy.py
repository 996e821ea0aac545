"""Between a client and a PostgreSQL server: breaks the connection when it is asked to."""

from __future__ import annotations

import socket
import tempfile
import threading
from contextlib import suppress
from typing import Final, Literal
from urllib.parse import quote

from tests.postgres_server import PostgresServer

Loss = Literal["question", "answer"]

_SOCKET: Final = ".s.PGSQL.5432"
_COMMITTED: Final = b"COMMIT\0"  # the server's word on a COMMIT


class PostgresProxy:
    """Passes on all that is said, until it meets what it waits for; use it as a context manager.

    `lose("answer", b"…")`: what holds these bytes reaches the server, which commits; then the
    connection breaks before the client hears of it. With "question" it does not reach the server.
    """

    def __init__(self, server: PostgresServer) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="pg-proxy-", dir="/tmp")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(f"{self._folder.name}/{_SOCKET}")
        self._listener.listen()
        self._loss: tuple[Loss, bytes] | None = None
        self._sockets: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.losses = 0

    def url_of(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={quote(self._folder.name)}"

    def lose(self, what: Loss, containing: bytes) -> None:
        """Once."""
        self._loss = (what, containing)

    def __enter__(self) -> PostgresProxy:
        self._spawn(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for each in (self._listener, *self._sockets):
            _end(each)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()
        self._folder.cleanup()

    def _spawn(self, run: object, *arguments: object) -> None:
        thread = threading.Thread(target=run, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._server.folder / _SOCKET))
            except OSError:  # there is none now; this client hears of it, and may come again
                _end(client)
                _end(server)
                continue
            self._sockets += (client, server)
            pair = _Pair(client, server)
            self._spawn(self._ask, pair)
            self._spawn(self._answer, pair)

    def _ask(self, pair: _Pair) -> None:
        tail = b""
        while data := _receive(pair.client):
            loss = self._loss
            if loss is not None and loss[1] in tail + data:
                self._loss = None
                self.losses += 1
                if loss[0] == "question":
                    break
                pair.mute = True
            tail = data[-(len(loss[1]) - 1) :] if loss is not None else b""
            with suppress(OSError):
                pair.server.sendall(data)
        if not pair.mute:
            pair.end()

    def _answer(self, pair: _Pair) -> None:
        tail = b""
        while data := _receive(pair.server):
            if pair.mute:
                if _COMMITTED in tail + data:
                    break
                tail = data[-10:]
                continue
            with suppress(OSError):
                pair.client.sendall(data)
        pair.end()


class _Pair:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.mute = False

    def end(self) -> None:
        _end(self.client)
        _end(self.server)


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(1 << 16)
    except OSError:
        return b""


def _end(each: socket.socket) -> None:
    with suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
    each.close()
