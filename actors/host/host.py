"""`ExecutionHost`: what clients call, and the life of one host.

A plain class that has never heard of Ray; `actors/remote.py` makes it an actor. Its constructor
does no I/O and cannot fail: an actor whose constructor raises is dead for good. `begin` starts the
task that opens the journal, again and again until it can, claims shards and turns; nothing of that
waits for a first call.

Every call takes and returns bytes (`api.py`, `questions.py`), answers refusals as values, and
waits for nothing but its own commit or read; until the journal is open, for that, within a bound.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeAlias, TypeVar

import msgspec

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch.protocol import Deliver, Report
from heliostat.actors.host.api import (
    AnyRequest,
    CancelRequest,
    EventAccepted,
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
from heliostat.actors.host.clock import Backoff, Clock, Doorbell, SystemClock, pause
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.peers import CallPeer, Deliveries
from heliostat.actors.host.post import encode_data
from heliostat.actors.host.processes import is_running
from heliostat.actors.host.questions import (
    CountRequest,
    DefinitionRequest,
    DefinitionsRequest,
    DrainRequest,
    HistoryRequest,
    HostInfo,
    ShardInfo,
)
from heliostat.actors.host.requests import RequestItem
from heliostat.actors.host.starts import overloaded, refusal_of
from heliostat.actors.host.tasks import task_address
from heliostat.actors.host.works import IsRunning, Parts, Works
from heliostat.engine.errors import HeliostatError, InputError, JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import (
    BusEvent,
    DefinitionRow,
    ExecutionQuery,
    TaskQuery,
)

_log = logging.getLogger(__name__)

_T = TypeVar("_T")


OpenParts: TypeAlias = Callable[[Deliver], Awaitable[Parts]]
"""Opens journal and dispatcher; may raise, and is then called again after a pause."""


class ExecutionHost:
    """Carries the executions of the shards it claimed: gather, decide, commit, then act."""

    def __init__(
        self,
        *,
        name: str,
        node: str,
        open_parts: OpenParts,
        bounds: HostBounds | None = None,
        clock: Clock | None = None,
        process_is_running: IsRunning = is_running,
        call_peer: CallPeer | None = None,
    ) -> None:
        self.name, self.node = name, node
        self.incarnation = new_id()
        self.bounds = bounds or HostBounds()
        self.clock = clock or SystemClock()
        self.figures = Figures(self.bounds)
        self._call_peer = call_peer
        self._open_parts = open_parts
        self._process_is_running = process_is_running
        self._works: Works | None = None
        self._opening_trouble: str | None = "the journal is not open yet"
        self._opened = asyncio.Event()
        self._early: list[Report] = []
        self._state = "opening"
        self._tasks: list[asyncio.Task[None]] = []
        self._began_at_ms = self.clock.steady_ms()

    def begin(self) -> None:
        """Open, claim and turn in the background; on the event loop's thread."""
        if not self._tasks:
            self._spawn(self._keep(self._open, "open"), "open")

    # life

    def _spawn(self, work: Any, name: str) -> None:
        task = asyncio.get_running_loop().create_task(work, name=f"{self.name}:{name}")
        self._tasks.append(task)

    async def _open(self) -> None:
        parts = await self._opened_parts()
        works = Works(
            parts,
            name=self.name,
            node=self.node,
            incarnation=self.incarnation,
            figures=self.figures,
            clock=self.clock,
            bounds=self.bounds,
            process_is_running=self._process_is_running,
            call_peer=self._call_peer,
        )
        self._works, self._opening_trouble, self._state = works, None, "running"
        self._opened.set()
        early, self._early = self._early, []
        works.intake.deliver(early)
        self._spawn(self._keep(works.loop.keeper.run, "own"), "own")
        self._spawn(self._keep(works.loop.run, "turns"), "turns")
        self._spawn(self._keep(works.desk.compare_forever, "compare"), "compare")
        self._spawn(self._keep(works.loop.residents.load_forever, "load"), "load")
        self._spawn(self._keep(works.outbox.run, "messages"), "messages")
        self._spawn(self._keep(works.pump.run, "events"), "events")

    async def _opened_parts(self) -> Parts:
        backoff = Backoff(
            self.clock, first_ms=self.bounds.backoff_ms, max_ms=self.bounds.backoff_max_ms
        )
        while True:
            try:
                return await self._open_parts(self._deliver)
            except Exception as error:  # noqa: BLE001 – whatever it is, `info` tells it
                self._opening_trouble = f"{type(error).__name__}: {error}"
                _log.warning("host %s cannot open its parts: %s", self.name, error)
                await backoff.wait()

    async def _keep(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Run one of the host's tasks; a fault of ours is recorded, and the task goes on."""
        while True:
            try:
                return await work()
            except Exception as error:  # noqa: BLE001 – the outer edge of all of its tasks
                _log.exception("host %s: its task %r broke and is started again", self.name, name)
                self.figures.fault(f"task {name!r} broke", error)
                await pause(self.clock, self.bounds.backoff_max_ms)

    def _deliver(self, reports: Sequence[Report]) -> None:
        if self._works is None:
            self._early.extend(reports)
        else:
            self._works.intake.deliver(reports)

    async def drain(self, body: bytes) -> bytes:
        """Take no more starts, finish what gathered, give up the shards, close; then `info`.

        What runs at runners goes on there and is found by the next owner.
        """
        request = unpack(body, DrainRequest)
        works = self._works
        if works is None:  # nothing was opened: there is nothing to finish
            self._state = "stopped"
            self.abandon()
            return self._info()
        if self._state != "running":
            return self._info()
        self._state = "draining"
        works.ownership.draining = True
        until_ms = self.clock.steady_ms() + request.wait_ms
        step = Doorbell(self.clock)
        while not self._quiet(works) and self.clock.steady_ms() < until_ms:
            await step.wait(min(20, request.wait_ms))
        await self._stop(works)
        return self._info()

    def _quiet(self, works: Works) -> bool:
        return not (
            works.desk.unanswered
            or works.intake.waiting
            or any(live.state.busy for live in works.loop.residents.all.values())
        )

    async def _stop(self, works: Works) -> None:
        works.loop.stop()
        turns = [task for task in self._tasks if task.get_name().endswith((":turns", ":own"))]
        others = [task for task in self._tasks if task not in turns]
        await asyncio.wait(turns, timeout=self.bounds.backoff_max_ms / 1000)
        for task in [*turns, *others]:
            task.cancel()
        await asyncio.gather(*turns, *others, return_exceptions=True)
        works.streams.close()
        works.peers.close()
        works.loop.refuse_all(_closing())
        try:
            await works.pump.save()
            await works.ownership.leave()
        except JournalError as error:  # the next owner sees that the process is gone
            _log.warning("host %s could not take its row off the list: %s", self.name, error)
        await works.dispatch.close()
        await works.journal.close()
        self._state = "stopped"

    def abandon(self) -> None:
        """End as a killed process does: at once, nothing finished, nothing released."""
        for task in self._tasks:
            task.cancel()

    # calls

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

    async def start_many(self, body: bytes) -> bytes:
        """Start executions; each answer comes after its commit."""
        return await self._call(body, StartMany, self._start_many)

    async def _start_many(self, works: Works, many: StartMany) -> Any:
        refuse = None
        if self._state != "running":
            refuse = _closing()
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

    async def signal(self, body: bytes) -> bytes:
        """Give an execution a signal."""
        return await self._call(body, SignalRequest, self._request, self.bounds.request_bytes)

    async def act_on_task(self, body: bytes) -> bytes:
        """Claim, release, assign or complete a human task."""

        async def act(works: Works, request: TaskActionRequest) -> Any:
            task_address(request.task_id)  # refused at once, if it is none
            return await self._request(works, request)

        return await self._call(body, TaskActionRequest, act, self.bounds.request_bytes)

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
            body=encode_data(request.data),
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

    async def status(self, body: bytes) -> bytes:
        """What an execution does now."""
        return await self._call(body, ExecutionKey, lambda works, key: works.reads.status(key))

    async def history(self, body: bytes) -> bytes:
        """A page of an execution's events."""
        return await self._call(
            body, HistoryRequest, lambda works, request: works.reads.history(request)
        )

    async def watch(self, body: bytes) -> bytes:
        """Add executions to a client's result stream."""
        return await self._call(body, Watch, lambda works, request: works.reads.watch(request))

    async def results(self, client: str) -> AsyncIterator[bytes]:
        """A client's result stream: packed `ResultBatch`es, at least one a second."""
        works = self._works or await self._until_open()
        if works is not None:
            async for batch in works.streams.results(client):
                yield batch

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

    async def info(self) -> bytes:
        """This host as it sees itself; answered without the journal, always at once."""
        return self._info()

    def _info(self) -> bytes:
        figures, works = self.figures, self._works
        now_ms = self.clock.steady_ms()
        info: dict[str, Any] = {}
        trouble = self._opening_trouble
        if works is not None:
            loop = works.loop
            trouble = loop.committer.trouble or figures.trouble or figures.ownership_trouble
            info = {
                "shards": tuple(
                    ShardInfo(
                        shard=shard.name,
                        epoch=shard.epoch,
                        next_position=shard.next_position,
                        serving=shard.serving,
                    )
                    for shard in works.ownership.shards.values()
                ),
                "resident": len(loop.residents),
                "idle": loop.residents.idle,
                "loads_queued": loop.residents.loading,
                "starts_queued": works.desk.unanswered,
                "reports_queued": len(works.intake.reports),
                "requests_queued": len(works.intake.requests),
                "messages_pending": len(works.outbox),
                "messages_dropped": works.outbox.dropped,
                "events_passed": works.pump.passed,
                "timers": len(loop.timers),
                "clients": len(works.streams),
            }
        return pack(
            HostInfo(
                name=self.name,
                incarnation=self.incarnation,
                pid=os.getpid(),
                node=self.node,
                state=self._state,
                trouble=trouble,
                moved_ms_ago=now_ms - (works.loop.moved_at_ms if works else self._began_at_ms),
                uptime_ms=now_ms - self._began_at_ms,
                turns=figures.turns,
                stimuli=figures.stimuli,
                events=figures.events,
                started=figures.started,
                ended=figures.ended,
                commit_ms_mean=figures.commit_ms_mean,
                commit_ms_max=figures.commit_ms_max,
                clock_jumps=figures.clock_jumps,
                faults=tuple(figures.faults),
                **info,
            )
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


def _closing() -> Refusal:
    return Refusal(
        code="OVERLOADED",
        message="the host is being drained; nothing was accepted, try again in 1 s",
        details={"retry_after_s": 1.0, "draining": True},
    )
