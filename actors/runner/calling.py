"""Calls a function of any kind, and waits for its one result.

- Async functions run on one event loop that lives as long as the process, so that clients and
  pools made in one step serve the next. Tasks they leave behind are cancelled, as `asyncio.run`
  does. Stopping cancels the task.
- Each value that a generator yields is reported as progress, its return value is the result.
  Stopping raises `Cancelled` at the next `yield`.
- An async generator cannot return a value: the last one it yields is its result.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from inspect import isawaitable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final

from .current import Cancelled, Current

LEFTOVERS_S_MAX: Final = 1.0
"""How long the tasks that an async step left behind may take to end when they are cancelled."""

_PLAIN: Final = frozenset({type(None), bool, int, float, str, list, dict, tuple, bytes})


class Caller:
    """The executor thread's way into user code."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None

    def call(
        self, function: Callable[..., Any], arguments: dict[str, Any], current: Current
    ) -> Any:
        """The result; raises what the function raises."""
        result = function(**arguments)
        kind = type(result)
        if kind in _PLAIN:
            return result
        if kind is GeneratorType:
            return _drained(result, current)
        if kind is CoroutineType:
            return self._awaited(result, current)
        if kind is AsyncGeneratorType:
            return self._awaited(_drained_async(result, current), current)
        if isawaitable(result):
            return self._awaited(_waited(result), current)
        return result

    def close(self) -> None:
        """Close the event loop; no call follows."""
        if self._loop is not None:
            self._loop.close()

    def _awaited(self, coroutine: Coroutine[Any, Any, Any], current: Current) -> Any:
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = asyncio.new_event_loop()
        task = loop.create_task(coroutine)
        current.interrupt_with(lambda: _cancel_soon(loop, task))
        try:
            return loop.run_until_complete(task)
        finally:
            current.interrupt_with(None)
            left = asyncio.all_tasks(loop)
            if left:
                for other in left:
                    other.cancel()
                loop.run_until_complete(asyncio.wait(left, timeout=LEFTOVERS_S_MAX))


def _cancel_soon(loop: asyncio.AbstractEventLoop, task: asyncio.Task[Any]) -> None:
    """From the thread that heard of it; the loop may be between two steps and simply ignores it."""
    with contextlib.suppress(RuntimeError):  # the user's code closed the loop
        loop.call_soon_threadsafe(task.cancel)


def _drained(generator: Generator[Any, None, Any], current: Current) -> Any:
    try:
        progress = next(generator)
        while True:
            current.heartbeat(progress)
            if current.cancelled:
                generator.throw(Cancelled())
            progress = next(generator)
    except StopIteration as end:
        return end.value


async def _drained_async(generator: AsyncGenerator[Any, None], current: Current) -> Any:
    last = None
    async for last in generator:
        current.heartbeat(last)
    return last


async def _waited(awaitable: Any) -> Any:
    return await awaitable
