"""Time for the host: a wall clock for what is recorded, a steady one for waiting.

Everything that waits in a host waits here, so that a test's clock that jumps when all wait can
take the place of the real one.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """Something that will be called back."""

    def cancel(self) -> None:
        """Do not call back any more; harmless when it has."""
        ...


class Clock(Protocol):
    """Both clocks of one process."""

    def now_ms(self) -> int:
        """UTC milliseconds, by the journal's clock; may jump either way."""
        ...

    def steady_ms(self) -> int:
        """Milliseconds since some instant; never jumps."""
        ...

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        """Call back on the event loop once the delay is over by the steady clock."""
        ...


class SystemClock:
    """The machine's clocks and the running event loop."""

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000

    def steady_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_ms / 1000, callback)


class Doorbell:
    """Wakes one waiter; rings that come while nobody waits are kept as one."""

    __slots__ = ("_clock", "_rung", "_waiter")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._rung = False
        self._waiter: asyncio.Future[None] | None = None

    @property
    def rung(self) -> bool:
        """Whether the next `wait` returns at once."""
        return self._rung

    def ring(self) -> None:
        """Wake the waiter; from the event loop's thread only."""
        self._rung = True
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def wait(self, timeout_ms: float | None = None) -> bool:
        """Until it rings, or the timeout is over; tells whether it rang.

        Cheaper than `asyncio.wait_for` around an event: no task is made.
        """
        if not self._rung:
            self._waiter = asyncio.get_running_loop().create_future()
            timer = None
            if timeout_ms is not None:
                timer = self._clock.call_later(timeout_ms, self._expire)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        rang, self._rung = self._rung, False
        return rang

    def _expire(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


async def pause(clock: Clock, delay_ms: float) -> None:
    """Sleep by the clock."""
    await Doorbell(clock).wait(delay_ms)


class Backoff:
    """Growing pauses with jitter, between retries at the rim."""

    __slots__ = ("_clock", "_first_ms", "_max_ms", "_next_ms", "failures")

    def __init__(self, clock: Clock, *, first_ms: int, max_ms: int) -> None:
        self._clock, self._first_ms, self._max_ms = clock, first_ms, max_ms
        self._next_ms = float(first_ms)
        self.failures = 0

    def reset(self) -> None:
        """The next failure is a first one."""
        self._next_ms = float(self._first_ms)
        self.failures = 0

    async def wait(self, until: Doorbell | None = None) -> None:
        """Pause after one more failure; a ring of `until` ends the pause."""
        self.failures += 1
        delay_ms = self._next_ms * random.uniform(0.75, 1.25)
        self._next_ms = min(self._next_ms * 2, self._max_ms)
        await (until or Doorbell(self._clock)).wait(delay_ms)
