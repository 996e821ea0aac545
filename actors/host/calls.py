"""What can be asked of a host, as calls that take and return bytes.

Every call answers refusals as values (`api.py`, `questions.py` has the table), and waits for
nothing but its own commit or read; until the journal is open, for that, within a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dedicated.remote_journal import JournalDoor, may_publish, unavailable
from heliostat.actors.host.api import (
    AnyRequest,
    CancelRequest,
    EventAccepted,
    MetadataRequest,
    MigrateRequest,
    PauseRequest,
    PublishRequest,
    Refusal,
    ResumeRequest,
    RetryRequest,
    SignalRequest,
    StartMany,
    TaskActionRequest,
    TaskRequest,
    Watch,
)
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock
from heliostat.actors.host.metadata import check_metadata
from heliostat.actors.host.peers import Deliveries
from heliostat.actors.host.post import encode_data
from heliostat.actors.host.questions import (
    CountRequest,
    DefinitionRequest,
    DefinitionsRequest,
    DeleteDefinition,
    FollowRequest,
    Forgotten,
    HistoryRequest,
    StoredRequest,
    Subscribe,
)
from heliostat.actors.host.requests import RequestItem, unknown
from heliostat.actors.host.starts import overloaded, refusal_of
from heliostat.actors.host.tasks import task_address
from heliostat.actors.host.works import Works
from heliostat.engine.errors import HeliostatError, InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    BusEvent,
    DefinitionQuery,
    DefinitionRow,
    ExecutionQuery,
    TaskQuery,
)

_T = TypeVar("_T")


class HostCalls:
    """The calls of an `ExecutionHost`, which has opened what they work with, or not yet."""

    def __init__(self, *, name: str, bounds: HostBounds, clock: Clock) -> None:
        self.name, self.bounds, self.clock = name, bounds, clock
        self._works: Works | None = None
        self._opened = asyncio.Event()
        self._opening_trouble: str | None = "the journal is not open yet"
        self._state = "opening"
        self.listens_at: Path | None = None  # its socket; None: it has none

    async def _call(
        self,
        body: bytes,
        type_: type[_T],
        ask: Callable[[Works, _T], Awaitable[Any]],
        bytes_max: int | None = None,
    ) -> bytes:
        if bytes_max is not None and len(body) > bytes_max:
            return pack(_too_large(len(body), bytes_max))
        try:
            request = unpack(body, type_)
        except msgspec.DecodeError as error:
            return pack(refusal_of(InputError(f"the request cannot be read: {error}")))
        works = self._works
        if works is None:
            works = await self._until_open()
        if works is None or self._state == "stopped":
            return pack(self._unreachable())
        try:
            return pack(await ask(works, request))
        except HeliostatError as error:
            return pack(refusal_of(error))

    async def start_many(self, body: bytes) -> bytes:
        """Start executions; each answer comes after its commit."""
        return await self._call(body, StartMany, self._start_many)

    async def _start_many(self, works: Works, many: StartMany) -> Any:
        refuse = None
        if self._state != "running":
            refuse = closing()
        elif many.client is not None and not works.streams.room(many.client, len(many.starts)):
            refuse = overloaded("the list of watched executions", self.bounds)
        group = await works.desk.admit(many, refuse)
        return await group.answered()

    async def cancel(self, body: bytes) -> bytes:
        """Ask an execution to end; answered once the request is durable."""
        return await self._call(body, CancelRequest, self._request)

    async def pause(self, body: bytes) -> bytes:
        """Have an execution start nothing new."""
        return await self._call(body, PauseRequest, self._request)

    async def resume(self, body: bytes) -> bytes:
        """Have a paused execution go on."""
        return await self._call(body, ResumeRequest, self._request)

    async def retry(self, body: bytes) -> bytes:
        """Have a failed execution go on in a new run."""
        return await self._call(body, RetryRequest, self._request)

    async def migrate(self, body: bytes) -> bytes:
        """Have an execution go on with another version of its definition."""
        return await self._call(body, MigrateRequest, self._migrate)

    async def _migrate(self, works: Works, request: MigrateRequest) -> Any:
        key = request.key
        row = await works.journal.get_row(key)
        if row is None:
            return unknown(key)
        item = RequestItem(request, self.clock.steady_ms())
        item.target = await works.plans.get_startable(
            key.namespace, row.definition, request.version
        )
        works.intake.request(item)
        return await item.future

    async def signal(self, body: bytes) -> bytes:
        """Give an execution a signal."""
        return await self._call(body, SignalRequest, self._request, self.bounds.request_bytes)

    async def act_on_task(self, body: bytes) -> bytes:
        """Claim, release, assign, complete or fail a human task, or say how far it is."""

        async def act(works: Works, request: TaskActionRequest) -> Any:
            task_address(request.task_id)  # refused at once, if it is none
            if request.progress is not None and not 0 <= request.progress <= 100:
                raise InputError(f"progress is {request.progress}; it is between 0 and 100")
            return await self._request(works, request)

        return await self._call(body, TaskActionRequest, act, self.bounds.request_bytes)

    async def set_metadata(self, body: bytes) -> bytes:
        """Note something about an execution, in place of what was noted."""

        async def note(works: Works, request: MetadataRequest) -> Any:
            check_metadata(request.metadata)
            return await self._request(works, request)

        return await self._call(body, MetadataRequest, note)

    async def _request(self, works: Works, request: AnyRequest) -> Any:
        item = RequestItem(request, self.clock.steady_ms())
        works.intake.request(item)
        return await item.future

    async def publish(self, body: bytes) -> bytes:
        """Publish an event; answered once it is durable."""
        return await self._call(body, PublishRequest, self._publish, self.bounds.request_bytes)

    async def _publish(self, works: Works, request: PublishRequest) -> Any:
        event = BusEvent(
            id=request.id,
            namespace=request.namespace,
            name=request.name,
            published_at_ms=self.clock.now_ms(),
            body=encode_data(request.data, request.correlation_id),
        )
        await works.journal.publish([event])
        works.pump.ring()
        return EventAccepted(id=request.id)

    async def list_tasks(self, body: bytes) -> bytes:
        """A page of human tasks, newest first."""
        return await self._call(body, TaskQuery, lambda works, query: works.tasks.list(query))

    async def get_task(self, body: bytes) -> bytes:
        """One human task."""
        return await self._call(body, TaskRequest, lambda works, request: works.tasks.get(request))

    async def deliver(self, body: bytes) -> bytes:
        """Another host hands over messages for executions of this one; answered once all are
        durable or refused."""
        return await self._call(
            body, Deliveries, lambda works, request: works.inbox.deliver(request)
        )

    async def journal(self, body: bytes) -> bytes:
        """One call of the journal, for the actor of a dedicated execution where only this process
        may write; see `remote_journal.py`."""
        works = self._works or await self._until_open()
        if works is None or self._state == "stopped":
            return unavailable(f"host {self.name!r}: {self._opening_trouble or 'it was drained'}")
        answered = await JournalDoor(works.journal).answer(body)
        if may_publish(body):
            works.pump.ring()
        return answered

    async def ended(self, body: bytes) -> bytes:
        """The actor of a dedicated execution says that it has ended."""

        async def hear(works: Works, key: ExecutionKey) -> None:
            if works.guard is not None:
                await works.guard.ended(key)

        return await self._call(body, ExecutionKey, hear)

    async def status(self, body: bytes) -> bytes:
        """What an execution does now."""
        return await self._call(body, ExecutionKey, lambda works, key: works.reads.status(key))

    async def locate(self, body: bytes) -> bytes:
        """Which actor carries an execution."""
        return await self._call(body, ExecutionKey, lambda works, key: works.reads.locate(key))

    async def variables(self, body: bytes) -> bytes:
        """The variables of an execution's root scope."""
        return await self._call(body, ExecutionKey, lambda works, key: works.reads.variables(key))

    async def attempts(self, body: bytes) -> bytes:
        """An execution's attempts that are under way, or have failed."""
        return await self._call(body, ExecutionKey, lambda works, key: works.reads.attempts(key))

    async def history(self, body: bytes) -> bytes:
        """A page of an execution's events."""
        return await self._call(
            body, HistoryRequest, lambda works, request: works.reads.history(request)
        )

    async def watch(self, body: bytes) -> bytes:
        """Add executions to a client's result stream."""
        return await self._call(body, Watch, lambda works, request: works.reads.watch(request))

    async def results(self, body: bytes) -> AsyncIterator[bytes]:
        """A client's result stream, by its id: packed `ResultBatch`es, at least one a second."""
        client = unpack(body, str)
        works = self._works or await self._until_open()
        if works is not None:
            async for batch in works.streams.results(client):
                yield batch

    async def follow(self, body: bytes) -> AsyncIterator[bytes]:
        """How an execution is, and then its events as they are recorded: packed `FollowBatch`es, at
        least one a second; or one refusal."""
        request = unpack(body, FollowRequest)
        works = self._works or await self._until_open()
        if works is None or self._state == "stopped":
            yield pack(self._unreachable())
            return
        try:
            async for batch in works.followers.follow(request):
                yield pack(batch)
        except HeliostatError as error:
            yield pack(refusal_of(error))

    async def subscribe(self, body: bytes) -> bytes:
        """Have a client's feed bring the events of executions."""
        return await self._call(
            body, Subscribe, lambda works, request: works.feeds.subscribe(request)
        )

    async def feed(self, body: bytes) -> AsyncIterator[bytes]:
        """A client's feed, by its id: packed `FeedBatch`es, at least one a second."""
        client = unpack(body, str)
        works = self._works or await self._until_open()
        if works is not None:
            async for batch in works.feeds.feed(client):
                yield batch

    async def stored(self, body: bytes) -> bytes:
        """A page of an execution's events, as they are stored."""
        return await self._call(
            body, StoredRequest, lambda works, request: works.feeds.stored(request)
        )

    async def list_executions(self, body: bytes) -> bytes:
        """A page of executions, newest first."""
        return await self._call(
            body, ExecutionQuery, lambda works, query: works.journal.list_executions(query)
        )

    async def count_executions(self, body: bytes) -> bytes:
        """How many executions have each status."""
        return await self._call(
            body,
            CountRequest,
            lambda works, request: works.journal.count_executions(request.namespace),
        )

    async def put_definition(self, body: bytes) -> bytes:
        """Register a version; the same content again is harmless."""
        return await self._call(body, DefinitionRow, lambda works, row: works.definitions.put(row))

    async def get_definition(self, body: bytes) -> bytes:
        """A registered version."""
        return await self._call(
            body, DefinitionRequest, lambda works, request: works.definitions.get(request)
        )

    async def list_definitions(self, body: bytes) -> bytes:
        """Every registered version, the latest first."""
        return await self._call(
            body,
            DefinitionsRequest,
            lambda works, request: works.journal.list_definitions(
                request.namespace, id=request.id, limit=request.limit, offset=request.offset
            ),
        )

    async def definitions_page(self, body: bytes) -> bytes:
        """A page of what definitions say of themselves, the one registered last first."""
        return await self._call(
            body, DefinitionQuery, lambda works, query: works.journal.definitions_page(query)
        )

    async def delete_definition(self, body: bytes) -> bytes:
        """Delete versions that nothing needs."""
        return await self._call(
            body, DeleteDefinition, lambda works, request: works.definitions.delete(request)
        )

    async def forget_definition(self, body: bytes) -> bytes:
        """Another host has deleted versions."""
        return await self._call(
            body, Forgotten, lambda works, request: works.definitions.forget(request)
        )

    async def address(self) -> bytes:
        """Where it can be called on its own machine (`local_calls.py`); answered without the
        journal."""
        return pack(None if self.listens_at is None else str(self.listens_at))

    async def directory(self) -> bytes:
        """Which host has which shard, as far as this one knows; answered without the journal."""
        works = self._works
        if works is None or self._state == "stopped":
            return pack(self._unreachable())
        return pack(works.ownership.directory())

    async def _until_open(self) -> Works | None:
        try:
            await asyncio.wait_for(self._opened.wait(), self.bounds.claim_wait_ms / 1000)
        except TimeoutError:
            return None
        return self._works

    def _unreachable(self) -> Refusal:
        why = self._opening_trouble or "it was drained"
        return Refusal(
            code="UNREACHABLE",
            message=f"host {self.name!r} cannot serve: {why}",
            details={"trouble": why},
        )


def _too_large(bytes: int, bytes_max: int) -> Refusal:
    return Refusal(
        code="INVALID_INPUT",
        message=(
            f"the request takes {bytes:,} bytes, {bytes_max:,} are allowed; store large data and "
            f"send where it is"
        ),
        details={"bytes": bytes, "bytes_max": bytes_max},
    )


def closing() -> Refusal:
    """What a host says that is being drained."""
    return Refusal(
        code="OVERLOADED",
        message="the host is being drained; nothing was accepted, try again in 1 s",
        details={"retry_after_s": 1.0, "draining": True},
    )
