"""`Client`: what a program does with a deployment.

Every method that waits has a twin whose name ends in `_async`. All of them are thin: what they do
is a `Connection`'s affair (`interface.py`), so that a client is the same whatever carries it.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from heliostat.actors.client.definitions import DefinitionCalls
from heliostat.actors.client.handle import Handle, ending
from heliostat.actors.client.interface import Begun, Startable, Ways
from heliostat.actors.client.interface import Version as Version
from heliostat.actors.client.migration import MigrationCalls
from heliostat.actors.client.people import PeopleCalls
from heliostat.actors.client.tasks import several
from heliostat.engine.errors import HeliostatError, ResultTimeout
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import ExecutionPage, ExecutionQuery
from heliostat.engine.status import ExecutionStatus

if TYPE_CHECKING:
    from heliostat.actors.client.actor import ExecutionActor


class Client(DefinitionCalls, MigrationCalls, PeopleCalls):
    """A connection to a deployment; made by `heliostat.connect`, safe to use from any thread.

    A context manager: closing it ends the result stream, and a deployment that it started itself.
    Executions go on.
    """

    def __init__(self, ways: Ways, *, embedded: bool = False) -> None:
        self._ways = ways
        self._namespace = ways.blocking.namespace
        self.embedded = embedded
        """The deployment was started by this client, and ends with it."""
        self.closed = False
        """It was closed, or the process ends."""
        # Ray's own exit handler, registered earlier, runs later: the stream must not read then.
        atexit.register(self.close)

    # executions

    def start(
        self,
        definition: Startable,
        input: Any = None,
        *,
        id: str | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> Handle:
        """Start an execution; it is durable when this returns.

        Args:
            definition: the id of a registered one, a `Version`, or a definition to be registered.
            input: anything that JSON can say; tables, arrays and other objects too.
            id: the execution's; drawn when absent. The same id with the same definition and input
                is the same start, and returns the execution that exists.
            version: absent, the version registered last.
            priority: 1 to 10, 10 most urgent, among what waits for capacity; absent, as the
                definition says, else 5.
            correlation_id: what it belongs to, as you know it; it can be listed by it, and read as
                `$.execution.correlation_id`.

        Raises:
            NotFound: there is no such definition or version.
            Duplicate: the id is taken by an execution of another definition or input.
            InputError: the input breaks the definition's schema, or cannot be written.
            Overloaded: the hosts took no more starts within the bound; nothing was started.
            Unreachable: no host answered within the bound; a start with the same id is safe.
        """
        ids = None if id is None else [id]
        handles = self.start_many(
            definition,
            [input],
            ids=ids,
            version=version,
            namespace=namespace,
            tags=tags,
            priority=priority,
            correlation_id=correlation_id,
        )
        return handles[0]

    async def start_async(
        self,
        definition: Startable,
        input: Any = None,
        *,
        id: str | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> Handle:
        """`start`, without blocking the event loop."""
        ids = None if id is None else [id]
        handles = await self.start_many_async(
            definition,
            [input],
            ids=ids,
            version=version,
            namespace=namespace,
            tags=tags,
            priority=priority,
            correlation_id=correlation_id,
        )
        return handles[0]

    @overload
    def start_many(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: Literal[False] = False,
    ) -> Sequence[Handle]: ...

    @overload
    def start_many(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: Literal[True],
    ) -> Sequence[Handle | HeliostatError]: ...

    def start_many(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: bool = False,
    ) -> Sequence[Handle] | Sequence[Handle | HeliostatError]:
        """Start an execution per input, in batches; a handle per input, in order.

        Args:
            ids: of the executions, one per input; drawn when absent.
            return_refusals: put the error of a start that was refused in its place. Otherwise the
                first such error is raised when all have been sent, and the others run.

        Raises:
            As `start`, and InputError where there are not as many ids as inputs.
        """
        start = self._ways.blocking.start_many(
            definition,
            inputs,
            ids=ids,
            version=version,
            namespace=namespace,
            tags=tags,
            priority=priority,
            correlation_id=correlation_id,
        )
        return self._handles(self._ways.finish(start), return_refusals)

    @overload
    async def start_many_async(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: Literal[False] = False,
    ) -> Sequence[Handle]: ...

    @overload
    async def start_many_async(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: Literal[True],
    ) -> Sequence[Handle | HeliostatError]: ...

    async def start_many_async(
        self,
        definition: Startable,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        priority: int | None = None,
        correlation_id: str | None = None,
        return_refusals: bool = False,
    ) -> Sequence[Handle] | Sequence[Handle | HeliostatError]:
        """`start_many`, without blocking the event loop."""
        begun = await self._ways.awaited.start_many(
            definition,
            inputs,
            ids=ids,
            version=version,
            namespace=namespace,
            tags=tags,
            priority=priority,
            correlation_id=correlation_id,
        )
        return self._handles(begun, return_refusals)

    def results(self, handles: Iterable[Handle], timeout: float | None = None) -> Iterator[Handle]:
        """The handles in the order in which their executions end; `result()` then returns at once.

        Args:
            timeout: seconds for all of them together; None waits for as long as it takes.

        Raises:
            ResultTimeout: the bound passed; those not yet seen go on.
        """
        end_at = None if timeout is None else time.monotonic() + timeout
        ended: queue.SimpleQueue[Handle] = queue.SimpleQueue()
        left = dict.fromkeys(handles)
        for handle in left:
            end = self._ways.finish(ending(handle, self._ways.blocking))
            end.add_done_callback(lambda _, handle=handle: ended.put(handle))  # type: ignore[misc]  # bound now
        while left:
            try:
                wait_s = None if end_at is None else max(end_at - time.monotonic(), 0.0)
                handle = ended.get(timeout=wait_s)
            except queue.Empty:
                raise ResultTimeout(next(iter(left)).id, timeout or 0.0) from None
            del left[handle]
            yield handle

    async def results_async(
        self,
        handles: Iterable[Handle],
        timeout: float | None = None,  # noqa: ASYNC109 - as `results`
    ) -> AsyncIterator[Handle]:
        """`results`, without blocking the event loop."""
        loop = asyncio.get_running_loop()
        end_at = None if timeout is None else loop.time() + timeout
        ended: asyncio.Queue[Handle] = asyncio.Queue()
        left = dict.fromkeys(handles)
        for handle in left:
            end = await ending(handle, self._ways.awaited)
            asyncio.wrap_future(end).add_done_callback(
                lambda _, handle=handle: ended.put_nowait(handle)  # type: ignore[misc]  # bound now
            )
        while left:
            try:
                async with asyncio.timeout_at(end_at):
                    handle = await ended.get()
            except TimeoutError:
                raise ResultTimeout(next(iter(left)).id, timeout or 0.0) from None
            del left[handle]
            yield handle

    def get(self, execution_id: str, *, namespace: str | None = None) -> Handle:
        """A handle to an execution by its id. Asks nobody: `NotFound` comes with its first use."""
        return Handle(self._ways, ExecutionKey(namespace or self._namespace, execution_id))

    def actor(self, execution_id: str, *, namespace: str | None = None) -> ExecutionActor:
        """The Ray actor that carries an execution, hosted or dedicated.

        It can be pickled and used in other Ray tasks and actors, and follows the execution wherever
        it moves. Here it ends with this client. Asks nobody: `NotFound` comes with its first use.
        """
        key = ExecutionKey(namespace or self._namespace, execution_id)
        return self._ways.blocking.actor(key, self)

    def list(
        self,
        *,
        definition: str | None = None,
        version: str | None = None,
        status: ExecutionStatus | Sequence[ExecutionStatus] = (),
        tags: Mapping[str, str] | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """A page of executions, newest first; `cursor` is the `next_cursor` of the page before."""
        query = ExecutionQuery(
            namespace=namespace or self._namespace,
            definition=definition,
            version=version,
            status=several(status),
            tags=dict(tags or {}),
            limit=limit,
            cursor=cursor,
        )
        return self._ways.finish(self._ways.blocking.executions(query))

    async def list_async(
        self,
        *,
        definition: str | None = None,
        version: str | None = None,
        status: ExecutionStatus | Sequence[ExecutionStatus] = (),
        tags: Mapping[str, str] | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> ExecutionPage:
        """`list`, without blocking the event loop."""
        query = ExecutionQuery(
            namespace=namespace or self._namespace,
            definition=definition,
            version=version,
            status=several(status),
            tags=dict(tags or {}),
            limit=limit,
            cursor=cursor,
        )
        return await self._ways.awaited.executions(query)

    def count(self, *, namespace: str | None = None) -> Mapping[str, int]:
        """How many executions have each status."""
        ways = self._ways
        return ways.finish(ways.blocking.count(namespace or self._namespace))

    async def count_async(self, *, namespace: str | None = None) -> Mapping[str, int]:
        """`count`, without blocking the event loop."""
        return await self._ways.awaited.count(namespace or self._namespace)

    # the deployment

    def info(self, timeout: float | None = None) -> dict[str, Any]:
        """`{"hosts": […]}`: each host as it sees itself, its shards, its load, recent faults.

        Args:
            timeout: seconds to wait for an answer; None as for every call.
        """
        return self._ways.finish(self._ways.blocking.info(timeout))

    async def info_async(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as `info`
        """`info`, without blocking the event loop."""
        return await self._ways.awaited.info(timeout)

    def drain_node(
        self, node: str, *, wait_ms: int = 10_000, timeout: float = 60.0
    ) -> Sequence[str]:
        """Take a node out of the deployment: its hosts go on elsewhere, nothing new comes to it.

        Args:
            node: Ray's id of it, or how the id begins; `info` and `ray list nodes` show it.
            wait_ms: how long its hosts let attempts report before others take over.
            timeout: seconds in which its hosts must be back elsewhere.

        Returns:
            The names of the hosts that moved. Steps that run on the node end there.

        Raises:
            NotFound: no living node has such an id.
            Conflict: it is the only node.
            Unreachable: the scheduler or a host did not answer; doing it again is harmless.
        """
        ways = self._ways
        return ways.finish(ways.blocking.drain_node(node, wait_ms=wait_ms, timeout=timeout))

    async def drain_node_async(
        self,
        node: str,
        *,
        wait_ms: int = 10_000,
        timeout: float = 60.0,  # noqa: ASYNC109 - as `drain_node`
    ) -> Sequence[str]:
        """`drain_node`, without blocking the event loop."""
        return await self._ways.awaited.drain_node(node, wait_ms=wait_ms, timeout=timeout)

    # the end of it

    def close(self) -> None:
        """End the result stream, and a deployment that this client started; twice is harmless."""
        self.closed = True
        atexit.unregister(self.close)
        self._ways.finish(self._ways.blocking.close())

    async def close_async(self) -> None:
        """`close`, without blocking the event loop."""
        self.closed = True
        atexit.unregister(self.close)
        await self._ways.awaited.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def __aenter__(self) -> Client:
        return self

    async def __aexit__(
        self,
        type_: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close_async()

    # helpers

    def _handles(
        self, begun: Sequence[Begun | HeliostatError], return_refusals: bool
    ) -> Sequence[Handle] | Sequence[Handle | HeliostatError]:
        answers = [
            given if isinstance(given, HeliostatError) else Handle(self._ways, *given)
            for given in begun
        ]
        if not return_refusals:
            for given in answers:
                if isinstance(given, HeliostatError):
                    raise given
        return answers
