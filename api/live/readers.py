"""One reader's buffer: what it has not taken yet, within a bound.

Whoever tells readers something never waits for one. A reader that is behind by more than its bound
is given up: it hears `TooSlow`, reconnects, and goes on after the last event that it has.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from .frames import Frame

FRAMES_MAX: Final = 1_000
BYTES_MAX: Final = 4 * 1024 * 1024
"""What may wait for one reader. With 1,000 readers, each on the edge of its bound with frames of
its own, some GB; frames are shared by the readers of an execution, so that it takes as many
executions to get there."""

NOTICES_MAX: Final = 100
"""Frames that may wait before notices are left out: these must not cost a reader its place."""


SEND_S: Final = 30.0
"""How long one frame may take to be sent: whoever takes none for so long is gone, or as good as."""


class TooSlow(Exception):
    """The reader did not take what it was told in time."""

    def __str__(self) -> str:
        return (
            "too much waited to be read, or for too long; connect again with `after` set to the "
            "last seq that was read"
        )


class Reader:
    """What waits for one reader. For one event loop."""

    __slots__ = (
        "_bytes",
        "_frames",
        "_waiter",
        "closed",
        "on_overflow",
        "overflowed",
        "position",
        "sending_at",
    )

    def __init__(self) -> None:
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self.overflowed = False
        self.on_overflow: Callable[[], object] = lambda: None
        """Called once, where the bound is met: the reader's sender may be stuck."""
        self._waiter: asyncio.Future[None] | None = None
        self.closed: Exception | None = None
        self.sending_at: float | None = None
        """Since when a frame is being sent, by the monotonic clock; None: none is."""
        self.position = 0
        """The last event that it has, or will have without being told here."""

    def offer(self, frame: Frame) -> None:
        """Tell something; never waits."""
        if self.overflowed or (frame.seq is not None and frame.seq <= self.position):
            return
        if frame.kind == "notice" and len(self._frames) >= NOTICES_MAX:
            return
        self._frames.append(frame)
        self._bytes += frame.size
        if len(self._frames) > FRAMES_MAX or self._bytes > BYTES_MAX:
            self.give_up()
        self._wake()

    def give_up(self) -> None:
        """It is too slow: nothing is held for it any more."""
        self.overflowed = True
        self._frames.clear()
        self.on_overflow()

    def is_stuck(self, now: float) -> bool:
        """Whether it has not taken a frame for too long."""
        return self.sending_at is not None and now - self.sending_at > SEND_S

    def close(self, why: Exception) -> None:
        """Nothing more comes; what waits is still taken."""
        self.closed = why
        self._wake()

    async def take(self) -> list[Frame]:
        """What waits, at least one frame.

        Raises:
            TooSlow: the bound was met.
            Exception: what `close` was told, once all before it was taken.
        """
        while not self._frames:
            if self.overflowed:
                raise TooSlow
            if self.closed is not None:
                raise self.closed
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        taken = list(self._frames)
        self._frames.clear()
        self._bytes = 0
        return taken

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
