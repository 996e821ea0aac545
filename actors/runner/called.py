"""Hosts of other nodes, by calls of the runner's actor: bytes come in calls, and go in a stream.

A connection begins with the first call that names it. A host says something at least every
`PING_S`, if only nothing; after `SILENT_S` without it is gone, and `orphan_ms` counts from there as
it does after a closed socket. Calls come one at a time, as Ray gives them to one thread
(`factory.py` says so), and carry numbers, as Ray does not promise their order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import Final

from heliostat.actors.dispatch.frames import FrameError

from .connection import Connection, Presence
from .runner import Runner
from .settings import RunnerSettings

_log = logging.getLogger(__name__)

PING_S: Final = 2.0
"""Between two calls of a host that has nothing to say."""

SILENT_S: Final = 30.0
"""A host that said nothing for this long is gone, or frozen: either way nobody listens."""

UNREAD_BYTES_MAX: Final = 64 * 1024 * 1024
"""Reports on their way into the stream; beyond, the connection is closed and reports are kept. What
a host has in flight (`DispatchBounds.window_items`) is far below, with values of 64 KiB at most."""

LOSSY_BYTES_MAX: Final = 256 * 1024
"""Progress is not added to more than this."""

CLOSED_MAX: Final = 1_000
"""Ids remembered of connections that are over, so that a late call does not begin them anew."""


class CallConnection(Connection):
    """One host by calls. Frames gather until its stream takes them."""

    def __init__(self, runner: Runner, settings: RunnerSettings, present: Presence) -> None:
        super().__init__(runner, settings, present)
        self._unread = bytearray()
        self._changed = threading.Condition()
        self._next = 1
        self._early: dict[int, bytes] = {}
        self.heard_at = time.monotonic()

    def take(self, number: int, piece: bytes) -> None:
        """Receive a piece when those before it were; see `receive`."""
        self.heard_at = time.monotonic()
        self._early[number] = piece
        while (piece_now := self._early.pop(self._next, None)) is not None:
            self._next += 1
            if piece_now:
                self.receive(piece_now)

    def pieces(self) -> Iterator[bytes]:
        """What is to be sent, as it comes; ends with the connection."""
        while True:
            with self._changed:
                while not self._unread and not self._broken:
                    self._changed.wait(SILENT_S / 4)
                    if time.monotonic() - self.heard_at > SILENT_S:
                        self._broken = True
                if not self._unread:
                    return
                piece = bytes(self._unread)
                self._unread.clear()
            yield piece

    def close(self) -> None:
        """End the stream; nothing more is sent."""
        with self._changed:
            self._broken = True
            self._changed.notify_all()
        self.gone()

    def send_lossy(self, data: bytes) -> None:
        """Send, unless much waits already."""
        if len(self._unread) < LOSSY_BYTES_MAX:
            self.send(data)

    def _write(self, data: bytes) -> None:
        with self._changed:
            if self._broken:
                return
            self._unread += data
            if len(self._unread) > UNREAD_BYTES_MAX:
                self._broken = True
            self._changed.notify_all()


class CalledHosts:
    """The connections by calls, by the ids that hosts draw for them."""

    def __init__(self, runner: Runner, settings: RunnerSettings, present: Presence) -> None:
        self._runner, self._settings, self._present = runner, settings, present
        self._lock = threading.Lock()
        self._by_id: dict[str, CallConnection] = {}
        self._closed: deque[str] = deque(maxlen=CLOSED_MAX)

    def push(self, id: str, number: int, piece: bytes) -> bool:
        """Take bytes of a host; False when its connection is over."""
        connection = self._find(id)
        if connection is None:
            return False
        try:
            connection.take(number, piece)
        except FrameError as error:
            _log.error("runner %s: %s; the connection is closed", self._settings.name, error)
            self.close(id)
            return False
        return True

    def frames(self, id: str) -> Iterator[bytes]:
        """What this connection is told, until it ends."""
        connection = self._find(id)
        if connection is None:
            return
        try:
            yield from connection.pieces()
        finally:
            self.close(id)

    def close(self, id: str) -> None:
        """This connection is over; its id is not used again."""
        with self._lock:
            connection = self._by_id.pop(id, None)
            self._closed.append(id)
        if connection is not None:
            connection.close()

    def _find(self, id: str) -> CallConnection | None:
        with self._lock:
            if id in self._closed:
                return None
            connection = self._by_id.get(id)
            if connection is None:
                connection = CallConnection(self._runner, self._settings, self._present)
                self._by_id[id] = connection
            return connection
