"""How the calls beneath a connection are waited for: in a thread that blocks, or beside a loop.

What calls hosts blocks, and is written once. A connection awaits it by a `Wait`: `Here` blocks the
thread that asks, so that its coroutines never suspend and `finish` runs them with no loop and no
other thread; `Threads` has it done in a thread of its own, so that an event loop goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol, TypeVar

_T = TypeVar("_T")

CALLS_AT_ONCE: Final = 64
"""Calls of hosts that one connection makes at a time for event loops; further ones wait for one of
these, each of which is bounded. Waiting for ends and following take none of them. A thread that
waits in Ray costs some stack and no CPU."""


class Wait(Protocol):
    """Has something done that blocks, and waits for it."""

    @property
    def blocks(self) -> bool:
        """Whether whoever waits so blocks its thread."""
        ...

    async def __call__(self, blocking: Callable[[], _T], /) -> _T: ...


class Here:
    """In the thread that asks; never suspends."""

    blocks = True

    async def __call__(self, blocking: Callable[[], _T], /) -> _T:
        return blocking()


class Threads:
    """In threads that one connection keeps; they begin when they are needed."""

    blocks = False

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(CALLS_AT_ONCE, thread_name_prefix="heliostat-calls")

    async def __call__(self, blocking: Callable[[], _T], /) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, blocking)

    def close(self) -> None:
        """Take no more; what is on its way ends by its own bound."""
        self._pool.shutdown(wait=False)


def finish(call: Coroutine[Any, Any, _T], /) -> _T:
    """The result of a call that waits `Here`."""
    try:
        call.send(None)
    except StopIteration as done:
        result: _T = done.value
        return result
    call.close()
    raise AssertionError(f"{call!r} waits for an event loop; await its `_async` form")
