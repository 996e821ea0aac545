"""A `Connection` that calls the hosts as Ray actors.

What it is made of (`RayParts`) blocks; see `waiting.py` for how that becomes asynchronous. Two
connections of one client share the parts: one that waits in threads, and one that blocks.

Everything that changes something carries an id drawn before the first send, so that it is repeated,
while hosts are away, until an answer or a bound: done once, however often it was sent.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct, to_builtins

from heliostat.actors.client import values
from heliostat.actors.client.actor import ExecutionActor, deployment_of
from heliostat.actors.client.comparing import Comparable
from heliostat.actors.client.feed import Feed, Listener
from heliostat.actors.client.following import follow
from heliostat.actors.client.interface import (
    Begun,
    End,
    Followed,
    Registered,
    Registrable,
    Start,
    Startable,
    Version,
)
from heliostat.actors.client.nodes import drain_node
from heliostat.actors.client.proving import Verification
from heliostat.actors.client.ray_parts import RayParts, version_of
from heliostat.actors.client.refusals import error_of_end
from heliostat.actors.client.task_actions import check_action
from heliostat.actors.client.waiting import Wait
from heliostat.actors.host.api import (
    Accepted,
    AnyRequest,
    CancelRequest,
    Ended,
    EventAccepted,
    ExecutionView,
    MetadataRequest,
    MigrateRequest,
    PauseRequest,
    PublishRequest,
    ResumeRequest,
    RetryRequest,
    SignalRequest,
    Started,
    TaskActionRequest,
    TaskInfo,
    TaskInfos,
    TaskRequest,
)
from heliostat.actors.host.attempts import AttemptInfo, Attempts
from heliostat.actors.host.metadata import check_metadata
from heliostat.actors.host.questions import (
    CountRequest,
    DefinitionsRequest,
    HistoryPage,
    HistoryRequest,
    StoredPage,
    StoredRequest,
    VariablesView,
)
from heliostat.engine.authoring.changes import Differences
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.errors import Conflict, HeliostatError, InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import (
    DefinitionPage,
    DefinitionQuery,
    DefinitionRow,
    ExecutionPage,
    ExecutionQuery,
    TaskQuery,
)
from heliostat.engine.kernel.stimuli import TaskVerb
from heliostat.engine.plan.mapping import MigrationCheck
from heliostat.engine.plan.plan import Plan
from heliostat.engine.values import Json, Value, refers, to_json

if TYPE_CHECKING:
    from heliostat.actors.client.client import Client

_T = TypeVar("_T")

CORRELATION_ID_CHARS_MAX: Final = 200
"""As of an execution's."""


class _Named(Struct):
    name: str | None = None


class RayConnection:
    """See `Connection`, which this is."""

    def __init__(self, parts: RayParts, wait: Wait) -> None:
        self._parts, self._wait = parts, wait
        self._hosts = parts.hosts

    @property
    def namespace(self) -> str:
        """Where a call names none."""
        return self._parts.namespace

    # definitions

    async def register_many(
        self,
        definitions: Iterable[Registrable],
        *,
        functions: Mapping[str, Callable[..., Any]] | None = None,
        dev: bool = False,
        verification: Verification | None = None,
    ) -> Sequence[Version]:
        """See `Connection`."""
        register = self._parts.register
        return await self._wait(
            lambda: register(definitions, functions=functions, dev=dev, verification=verification),
        )

    async def definitions(
        self, id: str | None = None, *, namespace: str | None = None, limit: int, offset: int
    ) -> Sequence[Version]:
        """See `Connection`."""
        request = DefinitionsRequest(
            namespace=namespace or self.namespace, id=id, limit=limit, offset=offset
        )
        rows = await self._ask("list_definitions", request, tuple[DefinitionRow, ...])
        return [version_of(row) for row in rows]

    async def definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Registered:
        """See `Connection`."""
        find = partial(self._parts.find, namespace or self.namespace, id, version)
        row = await self._wait(find)
        content = msgspec.json.decode(row.body, type=dict[str, Any])
        return Registered(**msgspec.structs.asdict(version_of(row)), content=content)

    async def definitions_page(self, query: DefinitionQuery) -> DefinitionPage:
        """See `Connection`."""
        return await self._ask("definitions_page", query, DefinitionPage)

    async def definition_row(
        self,
        id: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
        deleted: bool = False,
    ) -> DefinitionRow:
        """See `Connection`."""
        find = partial(self._parts.find, namespace or self.namespace, id, version, deleted=deleted)
        return await self._wait(find)

    async def diff(
        self, before: Comparable, after: Comparable, *, namespace: str | None = None
    ) -> Differences:
        """See `Connection`."""
        diff = partial(self._parts.diff, before, after, namespace or self.namespace)
        return await self._wait(diff)

    async def migration_check(
        self,
        id: str,
        from_version: str,
        version: str | None = None,
        *,
        namespace: str | None = None,
    ) -> MigrationCheck:
        """See `Connection`."""
        namespace = namespace or self.namespace
        before = await self.definition_row(id, from_version, namespace=namespace, deleted=True)
        after = await self.definition_row(id, version, namespace=namespace)
        return await self._wait(partial(self._parts.migration_check, before, after))

    async def delete_definition(
        self, id: str, version: str | None = None, *, namespace: str | None = None
    ) -> Sequence[str]:
        """See `Connection`."""
        delete = partial(self._parts.delete, namespace or self.namespace, id, version)
        return await self._wait(delete)

    # executions

    async def start_many(
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
    ) -> Sequence[Begun | HeliostatError]:
        """See `Connection`."""
        inputs = list(inputs)
        if ids is None:
            ids = [new_id() for _ in inputs]
        if len(ids) != len(inputs):
            raise InputError(f"there are {len(ids)} ids for {len(inputs)} inputs; give one each")
        if len(set(ids)) != len(ids):
            raise InputError("the same id is given twice; give each execution its own")
        start = partial(
            self._parts.start,
            definition,
            inputs,
            ids,
            version=version,
            namespace=namespace,
            tags=tags or {},
            priority=priority,
            correlation_id=correlation_id,
        )
        return await self._wait(start)

    async def start_each(
        self, starts: Sequence[Start], *, full_timeout_s: float = 0.0
    ) -> Sequence[Started | HeliostatError]:
        """See `Connection`."""
        return await self._wait(lambda: self._parts.start_each(starts, full_timeout_s))

    async def watch(self, key: ExecutionKey, *, run: int = 1) -> End:
        """See `Connection`."""
        return await self._wait(lambda: self._parts.stream.watch([key], run=run)[key])

    async def output_of(self, ended: Ended) -> Any:
        """See `Connection`."""
        error = error_of_end(ended)
        if error is not None:
            raise error
        return await self.received(ended.output)

    async def received(self, value: Value) -> Any:
        """See `Connection`."""
        return await self._wait(lambda: values.receive(value, self._parts.blobs))

    async def received_json(
        self, value: Value, *, limit_bytes: int = values.JSON_BYTES_MAX
    ) -> Json:
        """See `Connection`."""
        if not refers(value):
            return to_json(value)
        blobs = self._parts.blobs
        return await self._wait(lambda: values.receive_json(value, blobs, limit_bytes))

    async def status(self, key: ExecutionKey) -> ExecutionView:
        """See `Connection`."""
        return await self._ask("status", key, ExecutionView, key=key)

    async def attempts(self, key: ExecutionKey) -> Sequence[AttemptInfo]:
        """Attempts of an execution that are under way or have failed, 1,000 at most."""
        return (await self._ask("attempts", key, Attempts, key=key)).attempts

    async def variables(self, key: ExecutionKey) -> dict[str, Any]:
        """See `Connection`."""
        return (await self._ask("variables", key, VariablesView, key=key)).variables

    async def history(
        self, key: ExecutionKey, *, after: int = 0, limit: int = 1_000
    ) -> HistoryPage:
        """See `Connection`."""
        request = HistoryRequest(key=key, after_seq=after, limit=limit)
        return await self._ask("history", request, HistoryPage, key=key)

    def follow(self, key: ExecutionKey, *, after: int | None = 0) -> AsyncGenerator[Followed, None]:
        """See `Connection`."""
        return follow(self._hosts, self._wait, key, after=after)

    def feed(self, listener: Listener) -> Feed:
        """A way to follow many executions at once, as their events are stored; to be closed."""
        return Feed(self._hosts, self._wait, listener)

    async def stored(self, key: ExecutionKey, *, after: int = 0, limit: int = 1_000) -> StoredPage:
        """A page of its events after `seq` `after`, as they are stored."""
        request = StoredRequest(key=key, after_seq=after, limit=limit)
        return await self._ask("stored", request, StoredPage, key=key)

    async def plan(self, namespace: str, id: str, version: str) -> tuple[Plan, str | None]:
        """What a version's events speak of, compiled anew each time; and its name for people."""

        def find() -> tuple[Plan, str | None]:
            row = self._parts.find(namespace, id, version, deleted=True)
            return plan_of(row), msgspec.json.decode(row.body, type=_Named).name

        return await self._wait(find)

    async def executions(self, query: ExecutionQuery) -> ExecutionPage:
        """See `Connection`."""
        return await self._ask("list_executions", query, ExecutionPage)

    async def count(self, namespace: str | None = None) -> Mapping[str, int]:
        """See `Connection`."""
        return await self._ask(
            "count_executions", CountRequest(namespace=namespace), dict[str, int]
        )

    # what is asked of one execution

    async def signal(
        self, key: ExecutionKey, name: str, data: Any = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        request = SignalRequest(
            key=key,
            message_id=request_id or new_id(),
            name=values.checked_name(name, "a signal's name"),
            data=values.plain(data, "the signal's data"),
        )
        return await self._request("signal", request)

    async def pause(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        request = PauseRequest(key=key, message_id=request_id or new_id(), reason=reason)
        return await self._request("pause", request)

    async def resume(self, key: ExecutionKey, *, request_id: str | None = None) -> Accepted:
        """See `Connection`."""
        request = ResumeRequest(key=key, message_id=request_id or new_id())
        return await self._request("resume", request)

    async def retry(
        self, key: ExecutionKey, from_step: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        request = RetryRequest(key=key, message_id=request_id or new_id(), from_step=from_step)
        return await self._request("retry", request)

    async def migrate(
        self,
        key: ExecutionKey,
        version: str | None = None,
        *,
        reason: str | None = None,
        dry_run: bool = False,
        request_id: str | None = None,
    ) -> Accepted:
        """See `Connection`."""
        request = MigrateRequest(
            key=key,
            message_id=request_id or new_id(),
            version=version,
            reason=reason,
            dry_run=dry_run,
        )
        return await self._request("migrate", request)

    async def cancel(
        self, key: ExecutionKey, reason: str | None = None, *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        request = CancelRequest(key=key, message_id=request_id or new_id(), reason=reason)
        return await self._request("cancel", request)

    async def metadata(self, key: ExecutionKey) -> dict[str, str]:
        """See `Connection`."""
        return (await self.status(key)).metadata

    async def set_metadata(
        self, key: ExecutionKey, metadata: Mapping[str, str], *, request_id: str | None = None
    ) -> Accepted:
        """See `Connection`."""
        check_metadata(metadata)
        request = MetadataRequest(
            key=key, message_id=request_id or new_id(), metadata=dict(metadata)
        )
        return await self._request("set_metadata", request)

    # events and people

    async def publish(
        self,
        event: str,
        data: Any = None,
        *,
        id: str | None = None,
        namespace: str | None = None,
        correlation_id: str | None = None,
    ) -> str:
        """See `Connection`."""
        if correlation_id is not None and not 1 <= len(correlation_id) <= CORRELATION_ID_CHARS_MAX:
            raise InputError(
                f"`correlation_id` has {len(correlation_id)} characters; it has 1 to "
                f"{CORRELATION_ID_CHARS_MAX}"
            )
        request = PublishRequest(
            namespace=namespace or self.namespace,
            id=new_id() if id is None else values.checked_name(id, "an event's id"),
            name=values.checked_name(event, "an event's type"),
            data=values.plain(data, "the event's data"),
            correlation_id=correlation_id,
        )
        return (await self._ask("publish", request, EventAccepted)).id

    async def tasks(self, query: TaskQuery) -> TaskInfos:
        """See `Connection`."""
        return await self._ask("list_tasks", query, TaskInfos)

    async def task(self, key: ExecutionKey, task_id: str) -> TaskInfo:
        """See `Connection`."""
        request = TaskRequest(key=key, task_id=task_id)
        return await self._ask("get_task", request, TaskInfo, key=key)

    async def act_on_task(
        self,
        key: ExecutionKey,
        task_id: str,
        verb: TaskVerb,
        user: str,
        *,
        assignees: Sequence[str] = (),
        candidates: Sequence[str] = (),
        data: Any = None,
        error: str = "",
        progress: int | None = None,
        force: bool = False,
        request_id: str | None = None,
    ) -> TaskInfo:
        """See `Connection`."""
        check_action(verb, task_id, user, assignees, candidates, error, progress)
        what = "the submission" if verb == "complete" else "`details`"
        request = TaskActionRequest(
            key=key,
            message_id=request_id or new_id(),
            task_id=task_id,
            verb=verb,
            user=user,
            assignees=tuple(assignees),
            candidates=tuple(candidates),
            data=values.plain(data, what),
            error=error,
            progress=progress,
            force=force,
        )
        await self._request("act_on_task", request)
        return await self.task(key, task_id)

    async def heartbeat_task(
        self,
        key: ExecutionKey,
        task_id: str,
        progress: int | None = None,
        details: Any = None,
        *,
        user: str | None = None,
    ) -> TaskInfo:
        """See `Connection`."""
        if user is None:
            user = (await self.task(key, task_id)).claimed_by
        if user is None:
            raise Conflict(f"nobody has claimed task {task_id!r}: claim it, or name the user")
        return await self.act_on_task(
            key, task_id, "progress", user, progress=progress, data=details
        )

    # the deployment

    def actor(self, key: ExecutionKey, client: Client) -> ExecutionActor:
        """See `Connection`."""
        hosts = self._hosts
        return ExecutionActor(deployment_of(hosts), self._parts.blobs, key, (hosts, client))

    async def info(self, timeout: float | None = None) -> dict[str, Any]:  # noqa: ASYNC109 - as `Client.info`
        """See `Connection`."""
        bound_s = self._hosts.call_timeout_s if timeout is None else timeout
        end_at = time.monotonic() + bound_s
        infos = await self._wait(lambda: self._hosts.info(bound_s))
        left_s = max(0.1, end_at - time.monotonic())
        scheduler = await self._wait(lambda: self._hosts.scheduler(left_s))
        return {"hosts": [to_builtins(info) for info in infos], "scheduler": scheduler}

    async def drain_node(
        self,
        node: str,
        *,
        wait_ms: int,
        timeout: float,  # noqa: ASYNC109 - as `Client.drain_node`
    ) -> Sequence[str]:
        """See `Connection`."""
        drain = partial(drain_node, self._hosts, node, wait_ms=wait_ms, timeout_s=timeout)
        return await self._wait(drain)

    async def close(self) -> None:
        """See `Connection`."""
        await self._wait(self._parts.close)

    # helpers

    async def _request(self, method: str, request: AnyRequest) -> Accepted:
        return await self._ask(method, request, Accepted, key=request.key)

    async def _ask(
        self, method: str, request: Any, answered: type[_T], *, key: ExecutionKey | None = None
    ) -> _T:
        """One call of the host that has the execution, or of any; its refusal raised."""
        return await self._wait(lambda: self._hosts.ask(method, request, answered, key=key))
