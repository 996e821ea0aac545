"""A runner's Unix-domain socket: who may connect, and a thread for each who did.

Hosts come and go; the attempts are `runner.py`'s. A connection that cannot be written to for
`SEND_S_MAX` is closed, since its host is stopped or gone, and the executor must not wait for it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import select
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from heliostat.actors.dispatch.frames import (
    PROTOCOL,
    READ_BYTES,
    Acknowledge,
    Codes,
    FrameError,
    FrameReader,
    Hello,
    Leave,
    Refused,
    Stop,
    Welcome,
    Withdraw,
    Withdrawn,
    Work,
    decode_to_runner,
    frame,
)
from heliostat.actors.dispatch.sockets import peer

from .runner import BATCH_RESULTS_MAX, Runner, results_frame
from .settings import RunnerSettings

SEND_S_MAX: Final = 30
"""How long a report may wait for a host that does not read."""

LOOK_S: Final = 5.0
"""Between two looks at whether anybody is still there."""

_log = logging.getLogger(__name__)


class Service:
    """Listens, greets, and tells when nobody has been here for `orphan_ms`."""

    def __init__(
        self, settings: RunnerSettings, runner: Runner, *, on_orphaned: Callable[[], None]
    ) -> None:
        self._settings, self._runner = settings, runner
        self._on_orphaned = on_orphaned
        self._lock = threading.Lock()
        self._greeted = 0
        self._alone_since = time.monotonic()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)

    def start(self) -> None:
        """Listen; the socket's file appears when connections are accepted.

        Raises:
            OSError: the folder is missing, or another process listens there.
        """
        path = Path(self._settings.socket)
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
            with self._lock:
                alone_s = 0.0 if self._greeted else time.monotonic() - self._alone_since
            if alone_s > orphan_s:
                self._on_orphaned()
                return

    def _admit(self, connection: socket.socket) -> None:
        if peer(connection)[1] != os.getuid():
            connection.close()
            return
        timeout = struct.pack("ll", SEND_S_MAX, 0)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeout)
        threading.Thread(
            target=Connection(connection, self, self._runner, self._settings).serve,
            name="heliostat-connection",
            daemon=True,
        ).start()

    def count(self, by: int) -> None:
        """A host greeted, or one that had greeted is gone."""
        with self._lock:
            self._greeted += by
            self._alone_since = time.monotonic()


class Connection:
    """One host's connection; its thread reads, any thread may write."""

    def __init__(
        self, connection: socket.socket, service: Service, runner: Runner, settings: RunnerSettings
    ) -> None:
        self._socket, self._service = connection, service
        self._runner, self._settings = runner, settings
        self._writing = threading.Lock()
        self._broken = self._greeted = False

    def serve(self) -> None:
        """Read until the host closes, dies, or sends nonsense."""
        reader = FrameReader()
        try:
            while piece := self._socket.recv(READ_BYTES):
                for body in reader.feed(piece):
                    self._handle(body)
        except FrameError as error:
            _log.error("runner %s: %s; the connection is closed", self._settings.name, error)
        except OSError:
            pass  # as good as an end of file
        finally:
            if self._runner.forget(self):
                self._service.count(-1)
            with self._writing:
                self._broken = True
                self._socket.close()

    def _handle(self, body: memoryview) -> None:
        runner = self._runner
        match decode_to_runner(body):
            case Work(items=items):
                runner.add(items)
            case Acknowledge(attempts=attempts):
                runner.acknowledge(attempts)
            case Codes(codes=codes):
                runner.learn(codes)
            case Withdraw():
                given_back = runner.withdraw()
                runner.flush()
                self.send(frame(Withdrawn(given_back)))
            case Stop(attempts=attempts):
                given_back = runner.stop(attempts)
                runner.flush()
                if given_back:
                    self.send(frame(Withdrawn(given_back)))
            case Hello() as hello:
                self._greet(hello)
            case Leave():
                runner.leave()

    def _greet(self, hello: Hello) -> None:
        settings = self._settings
        if (hello.protocol, hello.deployment) != (PROTOCOL, settings.deployment):
            self.send(
                frame(
                    Refused(
                        f"runner {settings.name} belongs to deployment {settings.deployment!r} and "
                        f"speaks protocol {PROTOCOL}, not {hello.deployment!r} and {hello.protocol}"
                    )
                )
            )
            raise FrameError(f"refused a host of deployment {hello.deployment!r}")
        with self._writing:  # what the executor has to say waits until the welcome is out
            held, running = self._runner.greet(self)
            if not self._greeted:
                self._greeted = True
                self._service.count(+1)
            welcome = Welcome(settings.name, os.getpid(), tuple(key for key, _ in held), running)
            self._write(frame(welcome))
            reports = [ended for _, ended in held]
            for first in range(0, len(reports), BATCH_RESULTS_MAX):
                self._write(results_frame(reports[first : first + BATCH_RESULTS_MAX]))

    def send(self, data: bytes) -> None:
        """Write, in bounded time; a connection that fails is closed and its reports are kept."""
        with self._writing:
            self._write(data)

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
