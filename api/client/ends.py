"""Waiting for the ends of executions: one long request each, as many at once as are allowed.

The door answers a request for a result when the execution has ended, or after some time. With many
executions open, each is asked for a shorter time and lets others go first, so that an end is heard
of within about `open / AT_ONCE` seconds.
"""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Any, Final

from heliostat.actors.client.interface import End
from heliostat.actors.host.api import Ended
from heliostat.engine.errors import HeliostatError, Unreachable
from heliostat.engine.identity import ExecutionKey

from .reading import failure_of, told
from .sender import Sender, part

AT_ONCE: Final = 128
"""Requests that wait at one time; half of the connections, so that other requests find one."""

LONG_S: Final = 30.0
"""How long one waits: proxies between are given 60 s by default."""

SHORT_S: Final = 1.0
"""How long one waits where others wait for its place."""

_PAUSE_S: Final = 0.2
"""After an answer that came at once and brought no end."""


class Ends:
    """The ends that one client waits for. All methods but `watch` run on the sender's loop."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._places: asyncio.Semaphore | None = None
        self._open = 0

    def watch(self, key: ExecutionKey, run: int) -> End:
        """The end of an execution, in this run or a later one."""
        end: End = Future()
        # Weakly: what nobody holds any more is not asked for any more.
        held = weakref.ref(end)
        asked = self._sender.submit(self._settle(key, run, held))
        asked.add_done_callback(lambda done: _cancel(held) if done.cancelled() else None)
        return end

    async def _settle(self, key: ExecutionKey, run: int, held: weakref.ref[End]) -> None:
        self._places = self._places or asyncio.Semaphore(AT_ONCE)
        self._open += 1
        try:
            ended: Ended | HeliostatError | None = await self._ended(key, run, held, self._places)
        except HeliostatError as error:
            ended = error
        finally:
            self._open -= 1
        end = held()
        if ended is None or end is None or not end.set_running_or_notify_cancel():
            return
        if isinstance(ended, HeliostatError):
            end.set_exception(ended)
        else:
            end.set_result(ended)

    async def _ended(
        self, key: ExecutionKey, run: int, held: weakref.ref[End], places: asyncio.Semaphore
    ) -> Ended | None:
        while _wanted(held):
            async with places:
                wait_s = LONG_S if self._open <= AT_ONCE else SHORT_S
                began = time.monotonic()
                try:
                    status, body = await self._sender.ask(
                        "GET",
                        f"/workflows/{part(key.execution_id)}/result",
                        namespace=key.namespace,
                        query={"wait": f"{wait_s:g}s"},
                        answer_s=wait_s + 10.0,
                    )
                except Unreachable:
                    continue  # as long as it takes: who waits has a bound of their own
            if status == 200:
                return _ended(key, run, told(body, dict))
            if time.monotonic() - began < _PAUSE_S:
                await asyncio.sleep(_PAUSE_S)
        return None


def _wanted(held: weakref.ref[End]) -> bool:
    end = held()
    return end is not None and not end.cancelled()


def _ended(key: ExecutionKey, run: int, body: Mapping[str, Any]) -> Ended:
    return Ended(
        key=key,
        status=body["status"],
        run=run,
        output=body["output"],
        failure=failure_of(body["failure"]),
    )


def _cancel(held: weakref.ref[End]) -> None:
    """The client was closed: nobody finds out any more."""
    end = held()
    if end is not None and end.cancel():
        end.set_running_or_notify_cancel()
