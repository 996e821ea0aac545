"""A runner's Unix-domain socket: who may connect, and a thread for each who did.

A connection that cannot be written to for `SEND_S_MAX` is closed, since its host is stopped or
gone, and the executor must not wait for it. What is said there is `connection.py`'s.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

from heliostat.actors.dispatch.frames import READ_BYTES, FrameError
from heliostat.actors.dispatch.sockets import peer, private_folder

from .connection import Connection, Presence
from .runner import Runner
from .settings import RunnerSettings

SEND_S_MAX: Final = 30
"""How long a report may wait for a host that does not read."""

LOOK_S: Final = 5.0
"""Between two looks at whether anybody is still there."""

_log = logging.getLogger(__name__)


class Service:
    """Listens, greets, and tells when nobody has been here for `orphan_ms`."""

    def __init__(
        self,
        settings: RunnerSettings,
        runner: Runner,
        present: Presence,
        *,
        on_orphaned: Callable[[], None],
    ) -> None:
        self._settings, self._runner, self._present = settings, runner, present
        self._on_orphaned = on_orphaned
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Listen; the socket's file appears when connections are accepted.

        Raises:
            OSError: the folder cannot be made, or another process listens there.
            ConfigurationError: the folder is not one for this user alone.
        """
        path = Path(self._settings.socket)
        private_folder(path.parent)  # on a node without a host nobody else makes it
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.unlink(missing_ok=True)
        self._socket.bind(os.fspath(unfinished))
        unfinished.chmod(0o600)
        self._socket.listen(16)
        unfinished.rename(path)
        threading.Thread(target=self._accept, name="heliostat-accept", daemon=True).start()

    def close(self) -> None:
        """Stop listening and remove the socket's file."""
        with contextlib.suppress(OSError):
            Path(self._settings.socket).unlink(missing_ok=True)
        self._socket.close()

    def _accept(self) -> None:
        orphan_s = self._settings.orphan_ms / 1_000
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while True:
            if poll.poll(min(LOOK_S, orphan_s / 4) * 1_000):
                try:
                    connection, _ = self._socket.accept()
                except OSError:
                    return  # closed: this process is leaving
                self._admit(connection)
            # What is held for an owner that never asks, since it had the attempt made elsewhere,
            # keeps a process that was told to leave no longer than a missing host would.
            if max(self._present.alone_s, self._runner.lingering_s) > orphan_s:
                self._on_orphaned()
                return

    def _admit(self, connection: socket.socket) -> None:
        if peer(connection)[1] != os.getuid():
            connection.close()
            return
        timeout = struct.pack("ll", SEND_S_MAX, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        threading.Thread(
            target=SocketConnection(connection, self._runner, self._settings, self._present).serve,
            name="heliostat-connection",
            daemon=True,
        ).start()


class SocketConnection(Connection):
    """One host's socket; its thread reads, any thread may write."""

    def __init__(
        self, connection: socket.socket, runner: Runner, settings: RunnerSettings, present: Presence
    ) -> None:
        super().__init__(runner, settings, present)
        self._socket = connection

    def serve(self) -> None:
        """Read until the host closes, dies, or sends nonsense."""
        try:
            while piece := self._socket.recv(READ_BYTES):
                self.receive(piece)
        except FrameError as error:
            _log.error("runner %s: %s; the connection is closed", self._settings.name, error)
        except OSError:
            pass  # as good as an end of file
        finally:
            self.gone()
            with self._writing:
                self._broken = True
                self._socket.close()

    def send_lossy(self, data: bytes) -> None:
        """Write, unless the host reads too slowly to take it at once."""
        if select.select((), (self._socket,), (), 0)[1] if not self._broken else False:
            self.send(data)

    def _write(self, data: bytes) -> None:
        if self._broken:
            return
        try:
            self._socket.sendall(data)
        except OSError:  # gone, or BlockingIOError: it has not read for SEND_S_MAX
            self._broken = True
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)  # ends the thread that reads
