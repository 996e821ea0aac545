"""`Client`: what a program does with a deployment.

Every method that waits has a twin whose name ends in `_async`. Everything that changes something
carries an id drawn here before the first send, so that it is repeated, while hosts are away, until
an answer or a bound: done once, however often it was sent.
"""

from __future__ import annotations

import asyncio
import atexit
import queue
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

from msgspec import Struct, to_builtins

from heliostat.actors.client import values
from heliostat.actors.client.handle import Handle, error_of
from heliostat.actors.client.hosts import Hosts
from heliostat.actors.client.inputs import Inputs
from heliostat.actors.client.registrar import Registrar
from heliostat.actors.client.registration import Prepared, prepare
from heliostat.actors.client.starts import Starter
from heliostat.actors.client.stream import ResultStream
from heliostat.actors.client.tasks import Task, TaskPage
from heliostat.actors.host.api import (
    Ended,
    EventAccepted,
    PublishRequest,
    StartRequest,
    TaskInfo,
    TaskInfos,
    TaskRequest,
)
from heliostat.actors.host.questions import DefinitionRequest, DefinitionsRequest, HostInfo
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import HeliostatError, InputError, ResultTimeout
from heliostat.engine.identity import DEFAULT_NAMESPACE, ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import (
    BlobStore,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)
from heliostat.engine.status import ExecutionStatus, TaskStatus
from heliostat.engine.values import Value

if TYPE_CHECKING:
    from heliostat.actors.client.stream import End
    from heliostat.engine.authoring import Definition

_T = TypeVar("_T")


class Version(Struct, frozen=True, kw_only=True):
    """A registered version of a definition."""

    namespace: str
    id: str
    version: str
    content_hash: str
    registered_at_ms: int


class Client:
    """A connection to a deployment; made by `heliostat.connect`, safe to use from any thread.

    A context manager: closing it ends the result stream, and a deployment that it started itself.
    Executions go on.
    """

    def __init__(
        self,
        *,
        hosts: Hosts,
        blobs: BlobStore,
        namespace: str = DEFAULT_NAMESPACE,
        code_path: Sequence[Path] = (),
        calendars: Mapping[str, Calendar] | None = None,
        embedded: bool = False,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._hosts, self._blobs, self._namespace = hosts, blobs, namespace
        self._code_path = tuple(code_path)
        self._close = close
        self._id = new_id()
        self._stream = ResultStream(hosts, self._id)
        self._starter = Starter(hosts, self._stream, self._id)
        self._inputs = Inputs(blobs, self._definition)
        self._registrar = Registrar(
            blobs=blobs,
            find=self._definition,
            put=lambda row: self.ask("put_definition", row, DefinitionRow),
            calendars=calendars or {},
        )
        self.embedded = embedded
        """The deployment was started by this client, and ends with it."""
        # Ray's own exit handler, registered earlier, runs later: the stream must not read then.
        atexit.register(self.close)

    # definitions

    def register(
        self,
        definition: Definition | Prepared | Path | str,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
    ) -> Version:
        """Check a definition and register it as a version; the same content again is harmless.

        Of a file, the modules that lie beside it are shipped and pinned to the version. A
        `sub_workflow` step without `version` is pinned to the one registered last.

        Args:
            definition: a path, a definition's text, or a definition.
            functions: functions to ship by value, by the names that activities say.
            dev: register as `<version>+<hash>`, so that edits need no new version number.

        Raises:
            DefinitionError: with every fault, its place and its cure; also where it calls a
                workflow that is not registered: see `register_many`.
            Duplicate: the version is registered with other content; the message has the difference.
        """
        return self.register_many([definition], functions=functions, dev=dev)[0]

    async def register_async(
        self,
        definition: Definition | Prepared | Path | str,
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
    ) -> Version:
        """`register`, without blocking the event loop."""
        return await asyncio.to_thread(self.register, definition, functions=functions, dev=dev)

    def register_many(
        self,
        definitions: Iterable[Definition | Prepared | Path | str],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
    ) -> Sequence[Version]:
        """Register definitions that call each other; a version per definition, in order.

        Each is registered after those that its `sub_workflow` steps call, and pinned to them. When
        one is refused, those before it stay registered; doing it again is harmless.

        Raises:
            As `register`.
        """
        prepared = [
            each
            if isinstance(each, Prepared)
            else prepare(
                each,
                functions=functions,
                namespace=self._namespace,
                code_path=self._code_path,
                dev=dev,
            )
            for each in definitions
        ]
        return [_version(row) for row in self._registrar.register(prepared)]

    async def register_many_async(
        self,
        definitions: Iterable[Definition | Prepared | Path | str],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
    ) -> Sequence[Version]:
        """`register_many`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.register_many, definitions, functions=functions, dev=dev
        )

    def definitions(
        self, id: str | None = None, *, namespace: str | None = None, limit: int = 100
    ) -> Sequence[Version]:
        """Registered versions, the one registered last first."""
        request = DefinitionsRequest(namespace=namespace or self._namespace, id=id, limit=limit)
        rows = self.ask("list_definitions", request, tuple[DefinitionRow, ...])
        return [_version(row) for row in rows]

    async def definitions_async(
        self, id: str | None = None, *, namespace: str | None = None, limit: int = 100
    ) -> Sequence[Version]:
        """`definitions`, without blocking the event loop."""
        return await asyncio.to_thread(self.definitions, id, namespace=namespace, limit=limit)

    # executions

    def start(
        self,
        definition: str | Version | Definition,
        input: Any = None,
        *,
        id: str | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Handle:
        """Start an execution; it is durable when this returns.

        Args:
            definition: the id of a registered one, a `Version`, or a definition to be registered.
            input: anything that JSON can say; tables, arrays and other objects too.
            id: the execution's; drawn when absent. The same id with the same definition and input
                is the same start, and returns the execution that exists.
            version: absent, the version registered last.

        Raises:
            NotFound: there is no such definition or version.
            Duplicate: the id is taken by an execution of another definition or input.
            InputError: the input breaks the definition's schema, or cannot be written.
            Overloaded: the hosts took no more starts within the bound; nothing was started.
            Unreachable: no host answered within the bound; a start with the same id is safe.
        """
        ids = None if id is None else [id]
        handles = self.start_many(
            definition, [input], ids=ids, version=version, namespace=namespace, tags=tags
        )
        return handles[0]

    async def start_async(
        self,
        definition: str | Version | Definition,
        input: Any = None,
        *,
        id: str | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Handle:
        """`start`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.start, definition, input, id=id, version=version, namespace=namespace, tags=tags
        )

    @overload
    def start_many(
        self,
        definition: str | Version | Definition,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        return_refusals: Literal[False] = False,
    ) -> Sequence[Handle]: ...

    @overload
    def start_many(
        self,
        definition: str | Version | Definition,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
        return_refusals: Literal[True],
    ) -> Sequence[Handle | HeliostatError]: ...

    def start_many(
        self,
        definition: str | Version | Definition,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
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
        id, version, namespace = self._resolved(definition, version, namespace)
        inputs = list(inputs)
        if ids is not None and len(ids) != len(inputs):
            raise InputError(f"there are {len(ids)} ids for {len(inputs)} inputs; give one each")
        if ids is not None and len(set(ids)) != len(ids):
            raise InputError("the same id is given twice; give each execution its own")

        def requests() -> Iterator[StartRequest]:
            for index, value in enumerate(inputs):
                key = ExecutionKey(namespace, new_id() if ids is None else ids[index])
                yield self._inputs.request(key, id, version, value, tags or {})

        answers = [
            given if isinstance(given, HeliostatError) else Handle(self, *given)
            for given in self._starter.start(requests())
        ]
        if not return_refusals:
            for given in answers:
                if isinstance(given, HeliostatError):
                    raise given
        return answers

    async def start_many_async(
        self,
        definition: str | Version | Definition,
        inputs: Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        version: str | None = None,
        namespace: str | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> Sequence[Handle]:
        """`start_many`, without blocking the event loop."""
        return await asyncio.to_thread(
            self.start_many,
            definition,
            inputs,
            ids=ids,
            version=version,
            namespace=namespace,
            tags=tags,
        )

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
            handle.end().add_done_callback(lambda _, handle=handle: ended.put(handle))  # type: ignore[misc]  # bound now
        while left:
            try:
                wait_s = None if end_at is None else max(end_at - time.monotonic(), 0.0)
                handle = ended.get(timeout=wait_s)
            except queue.Empty:
                raise ResultTimeout(next(iter(left)).id, timeout or 0.0) from None
            del left[handle]
            yield handle

    def get(self, execution_id: str, *, namespace: str | None = None) -> Handle:
        """A handle to an execution by its id. Asks nobody: `NotFound` comes with its first use."""
        return Handle(self, ExecutionKey(namespace or self._namespace, execution_id))

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
            status=_several(status),
            tags=dict(tags or {}),
            limit=limit,
            cursor=cursor,
        )
        return self.ask("list_executions", query, ExecutionPage)

    async def list_async(self, **filters: Any) -> ExecutionPage:
        """`list`, without blocking the event loop."""
        return await asyncio.to_thread(self.list, **filters)

    # events and people

    def publish(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
    ) -> str:
        """Publish an event for all executions that wait for its type, or handle it.

        Args:
            event: its type, as `order.paid`.
            data: JSON, of 64 KiB at most.
            id: the event's; drawn when absent. Publishing the same id again is the same event.

        Returns:
            The event's id, once it is durable; those that wait hear of it soon.

        Raises:
            InputError: the data cannot be sent, or the type or id is no name.
            Overloaded: the hosts take no more events just now.
        """
        request = PublishRequest(
            namespace=namespace or self._namespace,
            id=new_id() if id is None else values.checked_name(id, "an event's id"),
            name=values.checked_name(event, "an event's type"),
            data=values.plain(data, "the event's data"),
        )
        return self.ask("publish", request, EventAccepted).id

    async def publish_async(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
    ) -> str:
        """`publish`, without blocking the event loop."""
        return await asyncio.to_thread(self.publish, event, data, id=id, namespace=namespace)

    def tasks(
        self,
        *,
        person: str | None = None,
        status: TaskStatus | Sequence[TaskStatus] = (),
        execution_id: str | None = None,
        definition: str | None = None,
        namespace: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
    ) -> TaskPage:
        """A page of human tasks, newest first; `cursor` is the `next_cursor` of the page before.

        Args:
            person: it is given to, may be claimed by, or was claimed by this person; of a group,
                `group:<name>`.
        """
        query = TaskQuery(
            namespace=namespace or self._namespace,
            execution_id=execution_id,
            definition=definition,
            status=_several(status),
            person=person,
            limit=limit,
            cursor=cursor,
        )
        page = self.ask("list_tasks", query, TaskInfos)
        return TaskPage((Task(self, info) for info in page.tasks), page.next_cursor)

    async def tasks_async(self, **filters: Any) -> TaskPage:
        """`tasks`, without blocking the event loop."""
        return await asyncio.to_thread(self.tasks, **filters)

    def task(self, execution_id: str, task_id: str, *, namespace: str | None = None) -> Task:
        """One human task.

        Raises:
            NotFound: there is no such execution or task.
        """
        key = ExecutionKey(namespace or self._namespace, execution_id)
        request = TaskRequest(key=key, task_id=task_id)
        return Task(self, self.ask("get_task", request, TaskInfo, key=key))

    async def task_async(
        self, execution_id: str, task_id: str, *, namespace: str | None = None
    ) -> Task:
        """`task`, without blocking the event loop."""
        return await asyncio.to_thread(self.task, execution_id, task_id, namespace=namespace)

    # the deployment

    def info(self, timeout: float | None = None) -> dict[str, Any]:
        """`{"hosts": […]}`: each host as it sees itself, its shards, its load, recent faults.

        Args:
            timeout: seconds to wait for an answer; None as for every call.
        """
        host = self.ask("info", None, HostInfo, timeout=timeout)
        return {"hosts": [to_builtins(host)]}

    async def info_async(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as `info`
        """`info`, without blocking the event loop."""
        return await asyncio.to_thread(self.info, timeout)

    # the end of it

    def close(self) -> None:
        """End the result stream, and a deployment that this client started; twice is harmless."""
        atexit.unregister(self.close)
        self._stream.close()
        close, self._close = self._close, lambda: None
        close()

    async def close_async(self) -> None:
        """`close`, without blocking the event loop."""
        await asyncio.to_thread(self.close)

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

    # for handles and for the command line

    def ask(
        self,
        method: str,
        request: Any,
        answered: type[_T],
        *,
        key: ExecutionKey | None = None,
        timeout: float | None = None,
    ) -> _T:
        """One call of a host, its refusal raised."""
        host = self._hosts.any if key is None else self._hosts.of(key)
        return self._hosts.call(host, method, request, answered, timeout_s=timeout)

    def watch(self, key: ExecutionKey, *, run: int = 1) -> End:
        """The future end of an execution that this client did not start, or that was retried."""
        return self._stream.watch([key], run=run)[key]

    def received(self, value: Value) -> Any:
        """A value with the references in it replaced by what they stand for."""
        return values.receive(value, self._blobs)

    def output_of(self, ended: Ended) -> Any:
        """The output of an ended execution, its references replaced by values; or its error."""
        error = error_of(ended)
        if error is not None:
            raise error
        return self.received(ended.output)

    # helpers

    def _definition(self, namespace: str, id: str, version: str | None) -> DefinitionRow:
        request = DefinitionRequest(namespace=namespace, id=id, version=version)
        return self.ask("get_definition", request, DefinitionRow)

    def _resolved(
        self,
        definition: str | Version | Definition,
        version: str | None,
        namespace: str | None,
    ) -> tuple[str, str | None, str]:
        if isinstance(definition, str):
            return definition, version, namespace or self._namespace
        known = definition if isinstance(definition, Version) else self.register(definition)
        if version not in (None, known.version) or namespace not in (None, known.namespace):
            raise InputError(
                f"version {version!r} in namespace {namespace!r} is asked for, but what is given "
                f"is version {known.version!r} in {known.namespace!r}; leave the two out"
            )
        return known.id, known.version, known.namespace


def _several(given: _T | Sequence[_T]) -> tuple[_T, ...]:
    """One text, or several."""
    return (cast("_T", given),) if isinstance(given, str) else tuple(cast("Sequence[_T]", given))


def _version(row: DefinitionRow) -> Version:
    return Version(
        namespace=row.namespace,
        id=row.id,
        version=row.version,
        content_hash=row.content_hash,
        registered_at_ms=row.registered_at_ms,
    )
