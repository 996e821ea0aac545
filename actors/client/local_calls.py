"""Calls of hosts on this machine over their sockets, and of all others as they are otherwise made.

Each host is asked once, by the other way, where it listens. Whoever is told a place that is not of
this machine finds nobody there. A thread that calls writes and reads a connection of its own
meanwhile, so that no other thread is woken on the way; connections are kept for later calls, as
many as there were calls at once. One that breaks is `Unreachable`, as a call by Ray of an actor
that dies: then the host is asked again where it listens.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import deque
from typing import Final

from heliostat.actors.calls import unpack
from heliostat.actors.client.calling import Calls, Stream
from heliostat.actors.dispatch.frames import FrameError, FrameReader, frame
from heliostat.actors.dispatch.sockets import peer
from heliostat.actors.host.local_calls import Call
from heliostat.actors.names import is_host
from heliostat.engine.errors import Unreachable

CONNECT_S: Final = 1.0
"""Connecting is the kernel's affair; it waits only while the host's queue is full."""

WRITE_S: Final = 20.0
"""How long a host may take to read a request; one that is frozen never does."""

READ_BYTES: Final = 64 * 1024
"""Asked of the kernel at once: most answers are far smaller."""


class LocalFirst:
    """`Calls` that go over a socket where there is one."""

    def __init__(self, otherwise: Calls) -> None:
        self._otherwise = otherwise
        self._known: dict[str, _Host | None] = {}

    def call(self, name: str, method: str, body: bytes | None, timeout_s: float) -> bytes:
        """See `Calls`."""
        host = self._host(name, timeout_s)
        if host is None:
            return self._otherwise.call(name, method, body, timeout_s)
        try:
            return host.call(Call(method, body), timeout_s)
        except (OSError, FrameError) as error:
            self.forget(name)
            raise Unreachable(type(error).__name__) from error

    def open(self, name: str, method: str, body: bytes) -> Stream:
        """See `Calls`."""
        host = self._host(name, CONNECT_S)
        if host is None:
            return self._otherwise.open(name, method, body)
        try:
            return host.open(Call(method, body))
        except OSError as error:
            self.forget(name)
            raise Unreachable(type(error).__name__) from error

    def forget(self, name: str) -> None:
        """See `Calls`."""
        host = self._known.pop(name, None)
        if host is not None:
            host.close()
        self._otherwise.forget(name)

    def close(self) -> None:
        """See `Calls`."""
        for name in list(self._known):
            self.forget(name)
        self._otherwise.close()

    def _host(self, name: str, timeout_s: float) -> _Host | None:
        """The host, where it listens on this machine."""
        if not is_host(name):
            return None
        try:
            return self._known[name]
        except KeyError:
            found = self._found(name, timeout_s)
        kept = self._known.setdefault(name, found)
        if found is not None and kept is not found:
            found.close()  # another thread found it meanwhile
        return kept

    def _found(self, name: str, timeout_s: float) -> _Host | None:
        told = self._otherwise.call(name, "address", None, timeout_s)
        path: str | None = unpack(told, object)  # type: ignore[assignment]  # what it says
        if path is None:
            return None
        host = _Host(path)
        try:
            host.keep(host.connected())
        except OSError:  # of another machine, or of another user
            return None
        return host


class _Host:
    """One incarnation of a host, where it listens."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._idle: deque[socket.socket] = deque()
        self._closed = False

    def connected(self) -> socket.socket:
        """A new connection."""
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(CONNECT_S)
            connection.connect(self._path)
            if peer(connection)[1] != os.getuid():
                raise PermissionError(f"{self._path} belongs to another user")
        except BaseException:
            connection.close()
            raise
        return connection

    def keep(self, connection: socket.socket) -> None:
        """Have a connection on which nothing is under way for a later call."""
        self._idle.append(connection)
        if self._closed:
            self.close()

    def close(self) -> None:
        """Close what nobody uses; what is in use is closed by whoever does."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def call(self, call: Call, timeout_s: float) -> bytes:
        """Write, and read the answer."""
        connection = self._taken()
        try:
            connection.settimeout(WRITE_S)
            connection.sendall(frame(call))
            connection.settimeout(timeout_s)
            answered = _next(connection, FrameReader())
        except BaseException:
            connection.close()  # else its answer would be the next call's
            raise
        self.keep(connection)
        return answered

    def open(self, call: Call) -> _LocalStream:
        """Write, and leave reading to whoever wants to hear."""
        connection = self._taken()
        try:
            connection.settimeout(WRITE_S)
            connection.sendall(frame(call))
        except BaseException:
            connection.close()
            raise
        return _LocalStream(connection)

    def _taken(self) -> socket.socket:
        try:
            return self._idle.pop()
        except IndexError:
            return self.connected()


class _LocalStream:
    """See `Stream`, which this is."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = FrameReader()
        self._ready: deque[bytes] = deque()

    def piece(self, timeout_s: float) -> bytes | None:
        try:
            self._connection.settimeout(timeout_s)
            while not self._ready:
                read = self._connection.recv(READ_BYTES)
                if not read:
                    return None
                self._ready += map(bytes, self._reader.feed(read))
        except TimeoutError:
            raise
        except (OSError, FrameError) as error:
            raise Unreachable(type(error).__name__) from error
        return self._ready.popleft()

    async def piece_async(self, timeout_s: float) -> bytes | None:
        loop = asyncio.get_running_loop()
        try:
            self._connection.setblocking(False)
            async with asyncio.timeout(timeout_s):
                while not self._ready:
                    read = await loop.sock_recv(self._connection, READ_BYTES)
                    if not read:
                        return None
                    self._ready += map(bytes, self._reader.feed(read))
        except TimeoutError:
            raise
        except (OSError, FrameError) as error:
            raise Unreachable(type(error).__name__) from error
        return self._ready.popleft()

    def drop(self) -> None:
        self._connection.close()


def _next(connection: socket.socket, reader: FrameReader) -> bytes:
    """The body of the one frame that comes."""
    while True:
        read = connection.recv(READ_BYTES)
        if not read:
            raise ConnectionResetError("the host ended")
        for body in reader.feed(read):
            return bytes(body)
