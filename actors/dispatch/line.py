"""A line: the connection to one runner, greeted, and made again when it breaks.

A runner that closes its connections again and again, and lives on, is ended. What frames mean is
the lane's (`lane.py`), how bytes get there the transport's (`transport.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from .bounds import DispatchBounds
from .factory import RunnerHandle
from .frames import AttemptKey, FrameError, FrameReader, Hello, frame
from .transport import Transport

_log = logging.getLogger(__name__)

RECONNECTS_MAX: Final = 3
"""In a row, to a runner that closes the connection and lives on; then it is ended."""


class Line:
    """The part of a `Lane` that is its connection. Every method is called on the event loop."""

    def __init__(
        self,
        handle: RunnerHandle,
        transport: Transport,
        *,
        hello: Callable[[], Hello],
        bounds: DispatchBounds,
    ) -> None:
        """Args:
        hello: the greeting, as it is when it is said.
        """
        self.handle = handle
        self._transport, self._hello, self._bounds = transport, hello, bounds
        self._loop = asyncio.get_running_loop()
        self._reader = FrameReader()
        self._gathered: list[bytes] = []  # to be written with what follows, at the latest soon
        self._answer: asyncio.Future[frozenset[AttemptKey]] | None = None
        self._greeted = False
        self._reconnects = 0
        self._reconnecting: asyncio.Task[None] | None = None
        self._killed: str | None = None
        self._ended = False

    @property
    def is_remote(self) -> bool:
        """Whether the runner is on another node."""
        return self._transport.is_remote

    @property
    def pid(self) -> int | None:
        """Of the runner's process, on its node."""
        return self._transport.pid

    @property
    def is_frozen(self) -> bool:
        """Whether the runner's process is stopped, as the kernel sees it."""
        return self._transport.is_frozen

    async def connect(self) -> frozenset[AttemptKey]:
        """Greet; the attempts that the runner holds and runs, which it reports here from now on.

        Raises:
            OSError: nobody listens there.
            TimeoutError: it did not answer in time, and lives.
            FrameError: it refused.
        """
        await self._open()
        return await self.greet()

    async def greet(self) -> frozenset[AttemptKey]:
        """Ask again what it holds and runs; reports that are not acknowledged are repeated."""
        self._greeted = False  # what is sent until it answers would be taken for given back
        self._answer = self._loop.create_future()
        self._write(frame(self._hello()))
        async with asyncio.timeout(self._bounds.answer_ms / 1_000):
            return await self._answer

    async def _open(self) -> None:
        self._reader = FrameReader()
        self._gathered.clear()
        await self._transport.open(self)

    def close(self) -> None:
        """Let go of the runner, which lives on."""
        self._write_gathered()
        self._ended = True
        self._greeted = False
        self._transport.close()
        if self._reconnecting is not None:
            self._reconnecting.cancel()
        self._reconnecting = None
        if self._answer is not None and not self._answer.done():
            self._answer.cancel()

    def kill(self, cause: str) -> None:
        """End the runner's process; what follows is told when it is gone."""
        if self._ended:
            return
        if self._killed is None:
            self._killed = cause
            _log.warning("runner %s is killed: %s", self.handle.name, cause)
        self._transport.kill()

    def _write(self, data: bytes) -> None:
        if self._gathered:
            data = b"".join((*self._gathered, data))
            self._gathered.clear()
        if data:  # where there is no connection, it is said again after the next greeting
            self._transport.write(data)

    def _write_gathered(self) -> None:
        if self._gathered:
            self._write(b"")

    def heard(self, piece: bytes) -> bool:
        """See `Heard`."""
        try:
            for body in self._reader.feed(piece):
                self._handle(body)
        except FrameError as error:
            _log.error("runner %s: %s", self.handle.name, error)
            return False
        except Exception:  # noqa: BLE001 – the outer edge of what a runner says
            # A mistake of ours may have swallowed reports: greet again, and they are repeated.
            _log.exception("runner %s: what it said could not be handled", self.handle.name)
            return False
        return True

    def _handle(self, body: memoryview) -> None:
        """A frame from the runner."""
        raise NotImplementedError

    def exited(self) -> None:
        """The process is gone."""
        raise NotImplementedError

    def broken(self) -> None:
        """See `Heard`: the connection is gone; the runner perhaps not."""
        self._greeted = False
        if self._ended or self._transport.is_dead:
            return  # `exited` follows, or was here
        self._reconnects += 1
        if self._reconnects > RECONNECTS_MAX:
            self.kill("it closes its connections")
            return
        self._reconnecting = self._loop.create_task(self._reconnect(0.05 * self._reconnects))

    async def _reconnect(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        try:
            await self._open()
        except (OSError, FrameError) as error:
            if not self._transport.is_dead:
                self.kill(f"it cannot be connected again: {error}")
            return
        self._write(frame(self._hello()))
