"""Single starts gathered into few calls: what comes while a call is on its way shares the next.

A start that comes alone is sent at once; many that come together share a call, whose cost is
mostly its own. So the busier the door is, the fewer calls a start costs. A call that takes long,
since a host is away, holds up the others for a moment only: then they go by another. The queue is
bounded: what does not fit is refused with `Overloaded` before anything is acknowledged.

A start whose request went away while it was queued is not sent; one that was sent is started, as
its id says.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from heliostat.actors.client.interface import Start
from heliostat.actors.host.api import Started
from heliostat.engine.errors import HeliostatError, Overloaded

QUEUED_MAX: Final = 4_000
"""Starts that wait: about a second's work of one replica. More would only be answered later."""

CALLS_AT_ONCE: Final = 8
"""With all of them waiting for hosts that are away, there is nobody to start anything."""

PATIENCE_S: Final = 0.05
"""How long starts wait for a call that is on its way before they go by another: more than one
usually takes. With several at once each would carry less, and hosts would commit more often."""

CALL_ITEMS_MAX: Final = 500
"""Of one call: a larger one would hold up all of its starts until the last is committed."""

RETRY_AFTER_S: Final = 1.0

Send: TypeAlias = Callable[[Sequence[Start]], Awaitable[Sequence[Started | HeliostatError]]]
"""`Connection.start_each`."""


class Gathering:
    """The starts of one event loop on their way to the hosts."""

    def __init__(self, send: Send, *, queued_max: int = QUEUED_MAX) -> None:
        self._send, self._queued_max = send, queued_max
        self._waiting: deque[tuple[Start, asyncio.Future[Started]]] = deque()
        self._calls: set[asyncio.Task[None]] = set()
        self._impatient: asyncio.TimerHandle | None = None

    async def start(self, start: Start) -> Started:
        """Start one execution; it is durable when this returns.

        Raises:
            Overloaded: too many wait already; nothing was started.
            HeliostatError: why it was refused.
        """
        if len(self._waiting) >= self._queued_max:
            raise Overloaded("the door's queue of starts", RETRY_AFTER_S)
        future: asyncio.Future[Started] = asyncio.get_running_loop().create_future()
        self._waiting.append((start, future))
        if not self._calls:
            self._begin()
        elif self._impatient is None:
            self._wait()
        return await future

    def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        self._impatient = loop.call_later(PATIENCE_S, self._begin)

    def _begin(self) -> None:
        """Send what waits by another call."""
        if self._impatient is not None:
            self._impatient.cancel()
            self._impatient = None
        if not self._waiting or len(self._calls) >= CALLS_AT_ONCE:
            return
        call = asyncio.create_task(self._call())
        self._calls.add(call)
        call.add_done_callback(self._ended)

    def _ended(self, call: asyncio.Task[None]) -> None:
        self._calls.discard(call)
        if not call.cancelled():
            self._begin()

    async def _call(self) -> None:
        gathered: list[tuple[Start, asyncio.Future[Started]]] = []
        while self._waiting and len(gathered) < CALL_ITEMS_MAX:
            start, future = self._waiting.popleft()
            if not future.done():  # its request went away
                gathered.append((start, future))
        if self._waiting and self._impatient is None:
            self._wait()
        if not gathered:
            return
        try:
            answers = await self._send([start for start, _ in gathered])
        except BaseException as error:
            # Each request tells it as its own; a fault of ours is one for each of them too.
            for _, future in gathered:
                if not future.done():
                    _fail(future, error)
            if not isinstance(error, Exception):
                raise
            return
        for (_, future), answer in zip(gathered, answers, strict=True):
            if future.done():
                continue
            if isinstance(answer, HeliostatError):
                _fail(future, answer)
            else:
                future.set_result(answer)

    async def close(self) -> None:
        """Take back what waits, and wait for the calls that are on their way."""
        if self._impatient is not None:
            self._impatient.cancel()
        while self._waiting:
            self._waiting.popleft()[1].cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)


def _fail(future: asyncio.Future[Started], error: BaseException) -> None:
    if isinstance(error, asyncio.CancelledError):
        future.cancel()
    else:
        future.set_exception(error)
