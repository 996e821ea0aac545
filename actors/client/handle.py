"""A handle: one execution, as a program holds it.

Every method that waits has a twin whose name ends in `_async`, for programs with an event loop.
What changes something carries an id that is drawn before the first send: while hosts are away the
call is repeated, and it is the same request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING, Any

from msgspec import to_builtins

from heliostat.actors.client.values import checked_name, plain
from heliostat.actors.host.api import (
    Accepted,
    AnyRequest,
    CancelRequest,
    Ended,
    ExecutionView,
    PauseRequest,
    ResumeRequest,
    RetryRequest,
    SignalRequest,
)
from heliostat.actors.host.questions import HistoryPage, HistoryRequest
from heliostat.engine.errors import (
    ExecutionCanceled,
    ExecutionFailed,
    HeliostatError,
    ResultTimeout,
    Unreachable,
)
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.status import TaskStatus

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client
    from heliostat.actors.client.stream import End
    from heliostat.actors.client.tasks import Task


class Handle:
    """One execution. Cheap, and safe to use from any thread; made by a `Client`."""

    def __init__(self, client: Client, key: ExecutionKey, end: End | None = None) -> None:
        self._client = client
        self._key = key
        self._end = end  # None until somebody wants to know
        self._run = 1  # the run whose end is awaited, at least
        self._told_failed = False  # `result` raised the failure of the end at hand

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

    # what becomes of it

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the end and return the output.

        Of an execution that failed and was retried, it is the end of the new run. A failure that
        was raised once is looked up again by the next call, since somebody may have retried it.

        Args:
            timeout: seconds; None waits for as long as it takes.

        Raises:
            ExecutionFailed: it failed; `failure` says in which step, and with what.
            ExecutionCanceled: somebody asked it to end.
            ResultTimeout: it has not ended; it goes on, and can be asked again.
            NotFound: there is no such execution.
        """
        try:
            ended = self._end_anew().result(timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except CancelledError:
            raise self._closed() from None
        return self._outcome(ended)

    async def result_async(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `result`
        """`result`, without blocking the event loop."""
        end = await asyncio.to_thread(self._end_anew)
        try:
            # Shielded: giving up this wait must not cancel the future that others wait on.
            ended = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(end)), timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except asyncio.CancelledError:
            if end.cancelled():
                raise self._closed() from None
            raise
        return await asyncio.to_thread(self._outcome, ended)

    def status(self) -> ExecutionView:
        """What it does now, read from its host: status, run, active steps, failure.

        Raises:
            NotFound: there is no such execution.
        """
        return self._client.ask("status", self._key, ExecutionView, key=self._key)

    async def status_async(self) -> ExecutionView:
        """`status`, without blocking the event loop."""
        return await asyncio.to_thread(self.status)

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

    def tasks(self, status: TaskStatus | Sequence[TaskStatus] = ()) -> list[Task]:
        """Its human tasks, newest first; those in one of the statuses given, else all of them."""
        found: list[Task] = []
        cursor: str | None = None
        while True:
            page = self._client.tasks(
                execution_id=self.id, namespace=self.namespace, status=status, cursor=cursor
            )
            found += page
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def tasks_async(self, status: TaskStatus | Sequence[TaskStatus] = ()) -> list[Task]:
        """`tasks`, without blocking the event loop."""
        return await asyncio.to_thread(self.tasks, status)

    # what is asked of it; each returns its status once the request is durable

    def signal(self, name: str, data: Any = None) -> str:
        """Give it a signal, for a wait that is open or for the first that opens and takes it.

        Args:
            data: JSON, of 64 KiB at most.

        Raises:
            Conflict: it has ended.
            Overloaded: 1,000 signals wait already that nothing has taken.
            InputError: the name or the data cannot be sent.
            NotFound: there is no such execution.
        """
        request = SignalRequest(
            key=self._key,
            message_id=new_id(),
            name=checked_name(name, "a signal's name"),
            data=plain(data, "the signal's data"),
        )
        return self._request("signal", request)

    async def signal_async(self, name: str, data: Any = None) -> str:
        """`signal`, without blocking the event loop."""
        return await asyncio.to_thread(self.signal, name, data)

    def pause(self, reason: str | None = None) -> str:
        """Ask that nothing new starts; attempts that run end, and are recorded.

        Timers that fire are held, deadlines go on. Pausing what is paused is harmless.

        Raises:
            Conflict: it has ended.
            NotFound: there is no such execution.
        """
        return self._request(
            "pause", PauseRequest(key=self._key, message_id=new_id(), reason=reason)
        )

    async def pause_async(self, reason: str | None = None) -> str:
        """`pause`, without blocking the event loop."""
        return await asyncio.to_thread(self.pause, reason)

    def resume(self) -> str:
        """Go on after a pause.

        Raises:
            Conflict: it is not paused.
            NotFound: there is no such execution.
        """
        return self._request("resume", ResumeRequest(key=self._key, message_id=new_id()))

    async def resume_async(self) -> str:
        """`resume`, without blocking the event loop."""
        return await asyncio.to_thread(self.resume)

    def retry(self, from_step: str | None = None) -> str:
        """Have a failed execution go on in a new run; `result` then waits for the end of that.

        What failed, and what its failure withdrew, begins again with the inputs it had.

        Args:
            from_step: the id of a step of the root scope: all else is dropped, and one visit of
                this step opens.

        Raises:
            Conflict: it is not Failed.
            InputError: the root scope has no such step.
            NotFound: there is no such execution.
        """
        request = RetryRequest(key=self._key, message_id=new_id(), from_step=from_step)
        accepted = self._client.ask("retry", request, Accepted, key=self._key)
        self._run, self._end = max(accepted.run, self._run), None
        return accepted.status

    async def retry_async(self, from_step: str | None = None) -> str:
        """`retry`, without blocking the event loop."""
        return await asyncio.to_thread(self.retry, from_step)

    def cancel(self, reason: str | None = None) -> str:
        """Ask it to end.

        The end follows when the attempts that run have ended, or their grace is over. Asking again
        before that is harmless.

        Raises:
            Conflict: it has ended already.
            NotFound: there is no such execution.
        """
        return self._request(
            "cancel", CancelRequest(key=self._key, message_id=new_id(), reason=reason)
        )

    async def cancel_async(self, reason: str | None = None) -> str:
        """`cancel`, without blocking the event loop."""
        return await asyncio.to_thread(self.cancel, reason)

    # for the client

    def end(self) -> End:
        """The future of its end, for `Client.results`; watched from the first call on."""
        if self._end is None or self._end.cancelled():
            self._end = self._client.watch(self._key, run=self._run)
            self._told_failed = False
        return self._end

    # helpers

    def _request(self, method: str, request: AnyRequest) -> str:
        return self._client.ask(method, request, Accepted, key=self._key).status

    def _end_anew(self) -> End:
        """The end; looked up again where `result` has told of a failure."""
        if self._told_failed:
            self._end = None
        return self.end()

    def _outcome(self, ended: Ended) -> Any:
        self._told_failed = ended.status == "Failed"
        return self._client.output_of(ended)

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
