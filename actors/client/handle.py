"""A handle: one execution, as a program holds it.

Every method that waits has a twin whose name ends in `_async`, for programs with an event loop.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from heliostat.actors.host.api import CancelRequest, Ended, ExecutionView
from heliostat.actors.host.questions import CancelAccepted, HistoryPage, HistoryRequest
from heliostat.engine.errors import (
    ExecutionCanceled,
    ExecutionFailed,
    HeliostatError,
    ResultTimeout,
    Unreachable,
)
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.stream import End


class Handle:
    """One execution. Cheap, and safe to use from any thread; made by a `Client`."""

    def __init__(self, client: Client, key: ExecutionKey, end: End | None = None) -> None:
        self._client = client
        self._key = key
        self._end = end  # None until somebody wants to know

    @property
    def id(self) -> str:
        """Its id, unique in its namespace."""
        return self._key.execution_id

    @property
    def namespace(self) -> str:
        """The namespace of its id and of its definition."""
        return self._key.namespace

    def __repr__(self) -> str:
        return f"<execution {self._key}>"

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the output.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            ExecutionFailed: it failed; `failure` says in which step, and with what.
            ExecutionCanceled: somebody asked it to end.
            ResultTimeout: it has not ended; it goes on, and can be asked again.
            NotFound: there is no such execution.
        """
        try:
            ended = self.end().result(timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except CancelledError:
            raise self._closed() from None
        return self._client.output_of(ended)

    async def result_async(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `result`
        """`result`, without blocking the event loop."""
        end = await asyncio.to_thread(self.end)
        try:
            # Shielded: giving up this wait must not cancel the future that others wait on.
            ended = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(end)), timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except asyncio.CancelledError:
            if end.cancelled():
                raise self._closed() from None
            raise
        return await asyncio.to_thread(self._client.output_of, ended)

    def status(self) -> ExecutionView:
        """What it does now, read from its host: status, active steps, failure.

        Raises:
            NotFound: there is no such execution.
        """
        return self._client.ask("status", self._key, ExecutionView, key=self._key)

    async def status_async(self) -> ExecutionView:
        """`status`, without blocking the event loop."""
        return await asyncio.to_thread(self.status)

    def cancel(self, reason: str | None = None) -> str:
        """Ask it to end; returns its status once the request is durable.

        The end follows when the attempts that run have ended, or their grace is over. Asking again
        before that is harmless.

        Raises:
            Conflict: it has ended already.
            NotFound: there is no such execution.
        """
        request = CancelRequest(key=self._key, message_id=new_id(), reason=reason)
        return self._client.ask("cancel", request, CancelAccepted, key=self._key).status

    async def cancel_async(self, reason: str | None = None) -> str:
        """`cancel`, without blocking the event loop."""
        return await asyncio.to_thread(self.cancel, reason)

    def history(self, after: int = 0) -> list[dict[str, Any]]:
        """Every event after `seq` `after`, in order, as JSON objects."""
        events: list[dict[str, Any]] = []
        position: int | None = after
        while position is not None:
            request = HistoryRequest(key=self._key, after_seq=position)
            page = self._client.ask("history", request, HistoryPage, key=self._key)
            events += page.events
            position = page.next_after_seq
        return events

    async def history_async(self, after: int = 0) -> list[dict[str, Any]]:
        """`history`, without blocking the event loop."""
        return await asyncio.to_thread(self.history, after)

    def end(self) -> End:
        """The future of its end, for `Client.results`; watched from the first call on."""
        if self._end is None or self._end.cancelled():
            self._end = self._client.watch(self._key)
        return self._end

    def _closed(self) -> HeliostatError:
        return Unreachable(
            f"the client was closed while execution {self.id!r} was awaited; it goes on, "
            f"connect again and ask with `client.get({self.id!r})`"
        )


def error_of(ended: Ended) -> HeliostatError | None:
    """What `result` raises in place of returning an output; None for a completed execution."""
    match ended.status:
        case "Completed":
            return None
        case "Canceled":
            return ExecutionCanceled(ended.key.execution_id)
    failure = {} if ended.failure is None else to_builtins(ended.failure)
    return ExecutionFailed(ended.key.execution_id, failure)
