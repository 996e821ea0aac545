"""To a runner of this node, over its Unix-domain socket: a tenth of a millisecond there and back.

A runner is dead when its process is: its pidfd says so, also where a child of the user's code still
holds the socket. An end of file alone says only that the connection is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import signal
import socket
from pathlib import Path
from typing import Final

from .frames import READ_BYTES, FrameError
from .frozen import is_stopped
from .sockets import peer
from .transport import Heard

_log = logging.getLogger(__name__)

DRAIN_READS_MAX: Final = 4_096
"""Pieces read from the socket of a dead runner; more than it can hold."""


class UnixTransport:
    """One socket at a time, and the pidfd of who listens there."""

    is_remote = False
    node_died = False  # else nobody would ask

    def __init__(self, name: str, path: Path) -> None:
        self._name, self._path = name, path
        self.pid: int | None = None
        self._loop = asyncio.get_running_loop()
        self._heard: Heard | None = None
        self._socket: socket.socket | None = None
        self._pidfd: int | None = None
        self._unwritten = bytearray()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    async def open(self, heard: Heard) -> None:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            connection.connect(os.fspath(self._path))
            self.pid, user = peer(connection)
            if user != os.getuid():
                raise FrameError(f"{self._path} belongs to user {user}")
            if self._pidfd is None:
                self._pidfd = os.pidfd_open(self.pid)
                self._loop.add_reader(self._pidfd, self._on_exit)
        except BaseException:
            connection.close()
            raise
        self._heard, self._socket = heard, connection
        self._unwritten = bytearray()
        self._loop.add_reader(connection.fileno(), self._read_once)

    def disconnect(self) -> None:
        if self._socket is not None:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def close(self) -> None:
        self.disconnect()
        if self._pidfd is not None:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def write(self, data: bytes) -> None:
        if self._socket is None:
            return
        if self._unwritten:
            self._unwritten += data
            return
        try:
            written = self._socket.send(data)
        except BlockingIOError:
            written = 0
        except OSError:
            return  # the end of file follows
        if written < len(data):
            self._unwritten += memoryview(data)[written:]
            self._loop.add_writer(self._socket.fileno(), self._on_writable)

    def _on_writable(self) -> None:
        assert self._socket is not None
        try:
            written = self._socket.send(self._unwritten)
        except BlockingIOError:
            return
        except OSError:
            written = len(self._unwritten)
        del self._unwritten[:written]
        if not self._unwritten:
            self._loop.remove_writer(self._socket.fileno())

    def _read_once(self) -> bool:
        """Hand over one piece; whether there was one."""
        if self._socket is None or self._heard is None:
            return False
        try:
            piece = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError as error:
            piece = b""
            if error.errno not in (errno.ECONNRESET, errno.EPIPE):
                _log.warning("runner %s: %s", self._name, error)
        if piece and self._heard.heard(piece):
            return True
        self.disconnect()
        self._heard.broken()
        return False

    # its process

    def learn(self, pid: int, node: str) -> None:
        """Nothing new: the kernel said so."""

    def kill(self) -> None:
        if self._pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)

    @property
    def is_dead(self) -> bool:
        if self._pidfd is None:
            return True
        try:
            signal.pidfd_send_signal(self._pidfd, 0)
        except ProcessLookupError:
            return True
        return False

    @property
    def is_frozen(self) -> bool:
        return is_stopped(self.pid)

    def _on_exit(self) -> None:
        for _ in range(DRAIN_READS_MAX):
            if not self._read_once():
                break
        heard = self._heard
        self.close()
        if heard is not None:
            heard.exited()
