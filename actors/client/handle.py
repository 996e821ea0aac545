"""A handle: one execution, as a program holds it.

Every method that waits has a twin whose name ends in `_async`, for programs with an event loop.
What changes something carries an id that is drawn before the first send: while hosts are away the
call is repeated, and it is the same request.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from typing import Any

from heliostat.actors.client.interface import Connection, End, Followed, Ways
from heliostat.actors.client.tasks import Task, several
from heliostat.actors.host.api import Accepted, Ended, ExecutionView, TaskInfo
from heliostat.engine.errors import HeliostatError, ResultTimeout, Unreachable
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import TaskQuery
from heliostat.engine.status import TaskStatus


class Handle:
    """One execution. Cheap, and safe to use from any thread; made by a `Client`."""

    def __init__(self, ways: Ways, key: ExecutionKey, end: End | None = None) -> None:
        self._ways = ways
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
            ended = self._ways.finish(self._end_anew(self._ways.blocking)).result(timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except CancelledError:
            raise self._closed() from None
        return self._ways.finish(self._outcome(self._ways.blocking, ended))

    async def result_async(self, timeout: float | None = None) -> Any:  # noqa: ASYNC109 - as `result`
        """`result`, without blocking the event loop."""
        end = await self._end_anew(self._ways.awaited)
        try:
            # Shielded: giving up this wait must not cancel the future that others wait on.
            ended = await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(end)), timeout)
        except TimeoutError:
            raise ResultTimeout(self.id, timeout or 0.0) from None
        except asyncio.CancelledError:
            if end.cancelled():
                raise self._closed() from None
            raise
        return await self._outcome(self._ways.awaited, ended)

    def status(self) -> ExecutionView:
        """What it does now, read from its host: status, run, active steps, failure.

        Raises:
            NotFound: there is no such execution.
        """
        return self._ways.finish(self._ways.blocking.status(self._key))

    async def status_async(self) -> ExecutionView:
        """`status`, without blocking the event loop."""
        return await self._ways.awaited.status(self._key)

    def history(self, after: int = 0) -> list[dict[str, Any]]:
        """Every event after `seq` `after`, in order, as JSON objects."""
        return self._ways.finish(self._history(self._ways.blocking, after))

    async def history_async(self, after: int = 0) -> list[dict[str, Any]]:
        """`history`, without blocking the event loop."""
        return await self._history(self._ways.awaited, after)

    def follow(self, after: int | None = 0) -> Iterator[Followed]:
        """What it does now, as `status`, and then each of its events, as they are recorded.

        Events are as those of `history`. None is left out or told twice, also when hosts die
        meanwhile. It is over when the execution has ended and all was told; leaving it early is
        harmless.

        Args:
            after: events after this `seq`; None: those after what is told first.

        Raises:
            Unreachable: no host answered within `call_timeout_ms`; go on with the last `seq` seen.
            NotFound: there is no such execution.
        """
        ways = self._ways
        told = ways.blocking.follow(self._key, after=after)

        async def following() -> Followed | None:
            return await anext(told, None)

        try:
            while (one := ways.finish(following())) is not None:
                yield one
        finally:
            ways.finish(told.aclose())

    async def follow_async(self, after: int | None = 0) -> AsyncIterator[Followed]:
        """`follow`, without blocking the event loop."""
        told = self._ways.awaited.follow(self._key, after=after)
        try:
            async for one in told:
                yield one
        finally:
            await told.aclose()

    def tasks(self, status: TaskStatus | Sequence[TaskStatus] = ()) -> list[Task]:
        """Its human tasks, newest first; those in one of the statuses given, else all of them."""
        ways = self._ways
        return [Task(ways, info) for info in ways.finish(self._tasks(ways.blocking, status))]

    async def tasks_async(self, status: TaskStatus | Sequence[TaskStatus] = ()) -> list[Task]:
        """`tasks`, without blocking the event loop."""
        ways = self._ways
        return [Task(ways, info) for info in await self._tasks(ways.awaited, status)]

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
        return self._ways.finish(self._ways.blocking.signal(self._key, name, data)).status

    async def signal_async(self, name: str, data: Any = None) -> str:
        """`signal`, without blocking the event loop."""
        return (await self._ways.awaited.signal(self._key, name, data)).status

    def pause(self, reason: str | None = None) -> str:
        """Ask that nothing new starts; attempts that run end, and are recorded.

        Timers that fire are held, deadlines go on. Pausing what is paused is harmless.

        Raises:
            Conflict: it has ended.
            NotFound: there is no such execution.
        """
        return self._ways.finish(self._ways.blocking.pause(self._key, reason)).status

    async def pause_async(self, reason: str | None = None) -> str:
        """`pause`, without blocking the event loop."""
        return (await self._ways.awaited.pause(self._key, reason)).status

    def resume(self) -> str:
        """Go on after a pause.

        Raises:
            Conflict: it is not paused.
            NotFound: there is no such execution.
        """
        return self._ways.finish(self._ways.blocking.resume(self._key)).status

    async def resume_async(self) -> str:
        """`resume`, without blocking the event loop."""
        return (await self._ways.awaited.resume(self._key)).status

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
        return self._retried(self._ways.finish(self._ways.blocking.retry(self._key, from_step)))

    async def retry_async(self, from_step: str | None = None) -> str:
        """`retry`, without blocking the event loop."""
        return self._retried(await self._ways.awaited.retry(self._key, from_step))

    def migrate(
        self, version: str | None = None, *, reason: str | None = None, dry_run: bool = False
    ) -> str:
        """Go on with another version of its definition, if all that it has is there, too.

        Attempts, timers, tasks and children that are under way stay as they are; the version takes
        what they come to.

        Args:
            version: which; absent, the one registered last.
            reason: recorded in the history.
            dry_run: only say whether it would.

        Raises:
            Unmapped: it has something that the version has not; `details` lists the `obstacles`.
            Conflict: it has ended, or is at that version.
            NotFound: there is no such execution or version.
        """
        call = self._ways.blocking.migrate(self._key, version, reason=reason, dry_run=dry_run)
        return self._ways.finish(call).status

    async def migrate_async(
        self, version: str | None = None, *, reason: str | None = None, dry_run: bool = False
    ) -> str:
        """`migrate`, without blocking the event loop."""
        call = self._ways.awaited.migrate(self._key, version, reason=reason, dry_run=dry_run)
        return (await call).status

    def cancel(self, reason: str | None = None) -> str:
        """Ask it to end.

        The end follows when the attempts that run have ended, or their grace is over. Asking again
        before that is harmless.

        Raises:
            Conflict: it has ended already.
            NotFound: there is no such execution.
        """
        return self._ways.finish(self._ways.blocking.cancel(self._key, reason)).status

    async def cancel_async(self, reason: str | None = None) -> str:
        """`cancel`, without blocking the event loop."""
        return (await self._ways.awaited.cancel(self._key, reason)).status

    def metadata(self) -> dict[str, str]:
        """What people noted about it; expressions read it as `$.execution.metadata`."""
        return self._ways.finish(self._ways.blocking.metadata(self._key))

    async def metadata_async(self) -> dict[str, str]:
        """`metadata`, without blocking the event loop."""
        return await self._ways.awaited.metadata(self._key)

    def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Note something about it, in place of what was noted; also when it has ended.

        Raises:
            InputError: more than 64 entries, a name of more than 200 characters, a value of more
                than 4,096, or more than 64 KiB of all.
            NotFound: there is no such execution.
        """
        self._ways.finish(self._ways.blocking.set_metadata(self._key, metadata))

    async def set_metadata_async(self, metadata: Mapping[str, str]) -> None:
        """`set_metadata`, without blocking the event loop."""
        await self._ways.awaited.set_metadata(self._key, metadata)

    # helpers, each for both forms

    async def _ending(self, at: Connection) -> End:
        """The future of its end; watched from the first call on."""
        if self._end is None or self._end.cancelled():
            self._end = await at.watch(self._key, run=self._run)
            self._told_failed = False
        return self._end

    async def _end_anew(self, at: Connection) -> End:
        """The end; looked up again where `result` has told of a failure."""
        if self._told_failed:
            self._end = None
        return await self._ending(at)

    async def _outcome(self, at: Connection, ended: Ended) -> Any:
        self._told_failed = ended.status == "Failed"
        return await at.output_of(ended)

    async def _history(self, at: Connection, after: int) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        position: int | None = after
        while position is not None:
            page = await at.history(self._key, after=position)
            events += page.events
            position = page.next_after_seq
        return events

    async def _tasks(
        self, at: Connection, status: TaskStatus | Sequence[TaskStatus]
    ) -> list[TaskInfo]:
        found: list[TaskInfo] = []
        cursor: str | None = None
        while True:
            query = TaskQuery(
                namespace=self.namespace,
                execution_id=self.id,
                status=several(status),
                cursor=cursor,
            )
            page = await at.tasks(query)
            found += page.tasks
            cursor = page.next_cursor
            if cursor is None:
                return found

    def _retried(self, accepted: Accepted) -> str:
        self._run, self._end = max(accepted.run, self._run), None
        return accepted.status

    def _closed(self) -> HeliostatError:
        return Unreachable(
            f"the client was closed while execution {self.id!r} was awaited; it goes on, "
            f"connect again and ask with `client.get({self.id!r})`"
        )


async def ending(handle: Handle, at: Connection) -> End:
    """The future of a handle's end, for `Client.results`."""
    return await handle._ending(at)
