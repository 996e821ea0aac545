"""Hosts on a memory journal, runners that follow a script, a clock that jumps when all wait."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import count
from typing import Any

from heliostat.actors.calls import pack, unpack
from heliostat.actors.dispatch.protocol import (
    Assignment,
    Deliver,
    Raised,
    Report,
    Returned,
    Stopped,
)
from heliostat.actors.host.api import (
    Accepted,
    CancelRequest,
    Ended,
    EventAccepted,
    ExecutionView,
    PublishRequest,
    Refusal,
    Request,
    SignalRequest,
    StartAnswers,
    Started,
    StartMany,
    StartRequest,
    Watch,
)
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import pause
from heliostat.actors.host.host import ExecutionHost
from heliostat.actors.host.questions import (
    HistoryPage,
    HistoryRequest,
    HostInfo,
    ResultBatch,
    WatchAnswers,
    answer,
)
from heliostat.actors.host.works import Parts
from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.versions import numbering_after, plan_of, register
from heliostat.engine.errors import JournalUnavailable, OutcomeUnknown
from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.journal.memory import MemoryJournal
from heliostat.engine.journal.memory_executions import MemoryExecution
from heliostat.engine.journal.protocol import (
    AppendResult,
    DefinitionRow,
    Journal,
    Message,
    OwnerRow,
    ShardBatch,
)
from heliostat.engine.kernel.codec import decode_event
from heliostat.engine.kernel.events import Failure
from heliostat.engine.status import TERMINAL

CHAIN = """
id: chain
version: "1"
input_schema: {type: object, properties: {n: {type: integer}}, required: [n]}
steps:
  - {id: a, type: activity, activity: "work:a", input: {n: $.input.n}, next: b}
  - {id: b, type: activity, activity: "work:b", input: {n: $.steps.a.output}, next: c}
  - {id: c, type: activity, activity: "work:c", input: {n: $.steps.b.output}}
"""

ONE = """
id: one
version: "1"
steps:
  - {id: a, type: activity, activity: "work:a", needs: []}
"""

NAP = """
id: nap
version: "1"
steps:
  - {id: rest, type: timer, duration: 60s, next: work}
  - {id: work, type: activity, activity: "work:a"}
"""

LONG_NAP = NAP.replace("id: nap", "id: long_nap").replace("60s", "20m")

WIDE = """
id: wide
version: "1"
steps:
  - id: each
    type: activity
    activity: "work:a"
    foreach: $.input.items
    as: item
    input: {n: $.item}
    needs: []
"""


def row_of(text: str, after: DefinitionRow | None = None) -> DefinitionRow:
    """A definition as a client registers it, first or after another version."""
    definition = parse_definition(text)
    numbering = None if after is None else numbering_after(after, definition)
    version = register(definition, numbering=numbering)
    return DefinitionRow(
        namespace=version.namespace,
        id=version.id,
        version=version.version,
        content_hash=version.content_hash,
        body=version.body,
        compiled=version.compiled,
        registered_at_ms=1 if after is None else after.registered_at_ms + 1,
    )


def rows_of(*texts: str) -> list[DefinitionRow]:
    """Versions of a definition, registered one after the other."""
    rows: list[DefinitionRow] = []
    for text in texts:
        rows.append(row_of(text, rows[-1] if rows else None))
    return rows


class JumpingClock:
    """Stands still while anything can run, and jumps to the next timer when all wait."""

    def __init__(self) -> None:
        self._steady_ms = 0.0
        self.wall_offset_ms = 1_700_000_000_000
        self._timers: list[tuple[float, int, _Timer]] = []
        self._numbers = count()

    def now_ms(self) -> int:
        return int(self._steady_ms) + self.wall_offset_ms

    def steady_ms(self) -> int:
        return int(self._steady_ms)

    def call_later(self, delay_ms: float, callback: Callable[[], None]) -> _Timer:
        timer = _Timer(callback)
        heapq.heappush(self._timers, (self._steady_ms + delay_ms, next(self._numbers), timer))
        return timer

    def jump(self) -> None:
        """To the next timer."""
        while self._timers:
            at, _, timer = heapq.heappop(self._timers)
            if timer.callback is not None:
                self._steady_ms = max(self._steady_ms, at)
                timer.callback()
                return
        raise AssertionError("everything waits, and nothing is going to happen")

    async def until(self, condition: Callable[[], Any], *, within_ms: float = 600_000) -> None:
        """Let everything run, and time pass, until the condition holds."""
        end = self._steady_ms + within_ms
        ready = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # nobody else tells
        while True:
            await asyncio.sleep(0)  # what the jump woke is ready by now
            for _ in range(30):  # more than any chain of hand-overs between tasks
                if condition():
                    return
                if not ready:
                    break  # all wait, this one too
                await asyncio.sleep(0)
            assert self._steady_ms < end, "the condition did not come true in time"
            self.jump()

    async def spend(self, ms: float) -> None:
        """Let so much time pass."""
        done: list[bool] = []
        self.call_later(ms, lambda: done.append(True))
        await self.until(lambda: done, within_ms=2 * ms + 1)
        await asyncio.sleep(0)


class _Timer:
    def __init__(self, callback: Callable[[], None]) -> None:
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


Script = Callable[[Assignment], Any]
"""What an attempt returns; an exception instance is raised, `HOLD` goes on running."""

HOLD = object()


def plus_one(assignment: Assignment) -> Any:
    """The usual script."""
    return (assignment.input or {}).get("n", 0) + 1


class Runners:
    """All runners of a deployment: they outlive hosts, and hold reports until acknowledged."""

    def __init__(self, script: Script = plus_one) -> None:
        self.script = script
        self.hosts: list[ScriptedDispatch] = []
        self.running: dict[tuple[ExecutionKey, Address], Assignment] = {}
        self.held: dict[tuple[ExecutionKey, Address], Report] = {}
        self.ran: Counter[tuple[ExecutionKey, str, int]] = Counter()
        self.acknowledged: set[tuple[ExecutionKey, Address]] = set()

    def send(self, assignments: Sequence[Assignment]) -> None:
        for each in assignments:
            name = (each.key, each.at)
            if name in self.running or name in self.held:
                continue  # the lane can tell
            self.running[name] = each
            self.ran[each.key, each.code.step_id, each.at.visit] += 1
            result = self.script(each)
            if result is not HOLD:
                self.finish(each.key, each.at, result)

    def finish(self, key: ExecutionKey, at: Address, result: Any) -> None:
        del self.running[key, at]
        if isinstance(result, Exception):
            failure = Failure(type=type(result).__name__, message=str(result))
            self._report(
                Raised(key=key, at=at, failure=failure, started_at_ms=1, elapsed_ms=1, runner="r")
            )
        else:
            self._report(
                Returned(
                    key=key,
                    at=at,
                    output=result,
                    output_bytes=8,
                    extracts=None,
                    started_at_ms=1,
                    elapsed_ms=1,
                    runner="r",
                )
            )

    def _report(self, report: Report) -> None:
        if isinstance(report, Returned | Raised):
            self.held[report.key, report.at] = report
        for host in self.hosts:
            asyncio.get_running_loop().call_soon(host.hear, report)

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        for key, at, _ in attempts:
            if self.running.pop((key, at), None) is not None:
                self._report(Stopped(key=key, at=at))


class ScriptedDispatch:
    """`Dispatch` to shared `Runners`."""

    def __init__(self, runners: Runners, deliver: Deliver) -> None:
        self._runners, self._deliver = runners, deliver
        self.closed = False
        self.log: list[str] = []
        self.held: list[Assignment] = []
        self.served: dict[str, int] = {}  # shards, by the epochs of their claims
        self.forgotten: list[Callable[[ExecutionKey], bool]] = []
        self.waiting: dict[tuple[ExecutionKey, Address], str] = {}
        runners.hosts.append(self)

    def hear(self, report: Report) -> None:
        if not self.closed:
            self._deliver([report])

    def send(self, assignments: Sequence[Assignment]) -> None:
        self.log.append("send")
        self._runners.send(assignments)

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        self._runners.stop(attempts)

    def hold(self, shard: str, epoch: int, assignments: Sequence[Assignment]) -> None:
        assert all(each.shard == shard for each in assignments)
        self.held += assignments
        self.served[shard] = epoch

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        self.forgotten.append(is_lost)

    def reasons(
        self, attempts: Sequence[tuple[ExecutionKey, Address]]
    ) -> Mapping[tuple[ExecutionKey, Address], str]:
        return {each: self.waiting[each] for each in attempts if each in self.waiting}

    def acknowledge(self, attempts: Sequence[tuple[ExecutionKey, Address]]) -> None:
        self.log.append("acknowledge")
        for name in attempts:
            self._runners.held.pop(name, None)
            self._runners.acknowledged.add(name)

    async def recover(
        self, shards: Collection[str] = ()
    ) -> frozenset[tuple[ExecutionKey, Address]]:
        known = frozenset([*self._runners.running, *self._runners.held])
        for report in list(self._runners.held.values()):
            asyncio.get_running_loop().call_soon(self.hear, report)
        return known

    async def close(self) -> None:
        self.closed = True


class FaultyJournal:
    """A journal whose appends fail as told: one entry of `faults` per append, "" for none."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.faults: list[str] = []
        self.failed = 0
        self.appends: list[Sequence[ShardBatch]] = []
        self.rounds = 3
        self.stored: Callable[[Sequence[ShardBatch]], None] | None = None
        """Told of each append that is durable, before its caller is."""
        self._on_the_way: set[str] = set()  # shards and epochs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def close(self) -> None:
        """Each host has its own way to the journal; the journal itself stays."""

    async def append(self, batches: Sequence[ShardBatch]) -> AppendResult:
        """Takes some rounds of the loop, as a real one does: meanwhile others run."""
        self.appends.append(batches)
        fault = self.faults.pop(0) if self.faults else ""
        if fault:
            self.failed += 1
        if fault == "unavailable":
            raise JournalUnavailable("the disk is full")
        if fault == "unknown before":
            raise OutcomeUnknown("the connection broke")
        epochs = {f"{batch.shard} {batch.epoch}" for batch in batches}
        assert not epochs & self._on_the_way, "two commits of one owner overlap"
        self._on_the_way |= epochs
        try:
            for _ in range(self.rounds):
                await asyncio.sleep(0)
            result = await self._journal.append(batches)
            if self.stored is not None:
                self.stored(batches)
            await asyncio.sleep(0)
        finally:
            self._on_the_way -= epochs
        if fault == "unknown after":
            raise OutcomeUnknown("the connection broke")
        return result


class World:
    """One deployment: a journal, its runners, a clock, and hosts that come and go."""

    def __init__(
        self,
        *,
        journal: Any = None,
        script: Script = plus_one,
        bounds: HostBounds | None = None,
        clock: Any = None,
    ) -> None:
        self.journal = FaultyJournal(journal if journal is not None else MemoryJournal())
        self.runners = Runners(script)
        self.clock = clock if clock is not None else JumpingClock()
        self.bounds = bounds or HostBounds()
        self.hosts: list[ExecutionHost] = []
        self.dead: set[str] = set()
        self.peer_faults: list[str] = []
        """What becomes of calls between hosts: one entry per call, "" for none."""
        self.dispatches: dict[str, ScriptedDispatch] = {}

    @property
    def stored(self) -> dict[ExecutionKey, MemoryExecution]:
        """The executions of a journal in memory, past all faults."""
        found: dict[ExecutionKey, MemoryExecution] = self.journal._journal._executions._by_key
        return found

    def host(self, name: str = "h0", **changes: Any) -> ExecutionHost:
        async def open_parts(deliver: Deliver) -> Parts:
            dispatch = ScriptedDispatch(self.runners, deliver)
            self.dispatches[name] = dispatch
            return Parts(journal=self.journal, dispatch=dispatch, compile=plan_of)

        arguments: dict[str, Any] = {
            "name": name,
            "node": "n",
            "open_parts": open_parts,
            "bounds": self.bounds,
            "clock": self.clock,
            "process_is_running": self._is_running,
            "call_peer": self._call_peer,
            **changes,
        }
        host = ExecutionHost(**arguments)
        host.begin()
        self.hosts.append(host)
        return host

    async def _call_peer(self, name: str, body: bytes) -> bytes:
        fault = self.peer_faults.pop(0) if self.peer_faults else ""
        if fault == "lost":
            raise ConnectionError("the call was lost")
        for host in self.hosts:
            if host.name == name and host.incarnation not in self.dead:
                answered = await host.deliver(body)
                if fault == "answer lost":
                    raise ConnectionError("the answer was lost")
                return answered
        raise ConnectionError(f"there is no host {name!r} now")

    async def until(self, condition: Callable[[], Any]) -> None:
        """Let everything run, and time pass, until the condition holds."""
        if isinstance(self.clock, JumpingClock):
            await self.clock.until(condition)
            return
        end_at = asyncio.get_running_loop().time() + 60.0
        while not condition():
            assert asyncio.get_running_loop().time() < end_at, "it did not come true in time"
            await asyncio.sleep(0.002)

    async def ends(self, host: ExecutionHost, id: str) -> ExecutionView:
        """The end of an execution, when it has one."""
        found: list[ExecutionView] = []

        async def look() -> None:
            while True:
                view = answer(await host.status(pack(key_of(id))), ExecutionView)
                if isinstance(view, ExecutionView) and view.status in TERMINAL:
                    found.append(view)
                    return
                await pause(self.clock, 5)

        looking = asyncio.ensure_future(look())
        try:
            await self.until(looking.done)
        finally:
            looking.cancel()
        looking.result()
        return found[0]

    async def two_hosts(self) -> list[ExecutionHost]:
        """Two hosts that have shared the shards between them."""
        hosts = [self.host("h0"), self.host("h1")]
        await self.until(
            lambda: (
                all(map(serving, hosts))
                and not serving(hosts[0]) & serving(hosts[1])
                and len(serving(hosts[0]) | serving(hosts[1])) == 16
            )
        )
        await self.clock.spend(2 * self.bounds.look_ms)  # each knows of the other
        return hosts

    async def on_the_way(self) -> list[Message]:
        """Messages that no receiver has journaled."""
        shards = await self.journal.shards()
        return [each for shard in shards for each in await self.journal.outgoing(shard.shard)]

    def _is_running(self, owner: OwnerRow) -> bool:
        return owner.incarnation not in self.dead

    def kill(self, host: ExecutionHost) -> None:
        """As `kill -9`: nothing of it happens any more."""
        host.abandon()
        self.dispatches[host.name].closed = True
        self.dead.add(host.incarnation)

    async def close(self) -> None:
        for host in self.hosts:
            host.abandon()
        await asyncio.sleep(0)


def serving(host: ExecutionHost) -> set[str]:
    """The shards that a host serves."""
    return {shard.shard for shard in info_of(host).shards if shard.serving}


def owner_of(hosts: Sequence[ExecutionHost], id: str) -> ExecutionHost:
    """The host that serves an execution's shard."""
    for host in hosts:
        works = host._works
        if works is not None and works.ownership.shard_name(key_of(id)) in serving(host):
            return host
    raise AssertionError(f"nobody serves {id}")


def info_of(host: ExecutionHost) -> HostInfo:
    return unpack(host._info(), HostInfo)


async def asked(host: ExecutionHost, call: Any) -> bytes:
    """The answer to a call, with time passing while it waits."""
    if not isinstance(host.clock, JumpingClock):
        body: bytes = await call
        return body
    task: asyncio.Future[bytes] = asyncio.ensure_future(call)
    try:
        await host.clock.until(task.done)
    finally:
        task.cancel()
    return task.result()


async def put(host: ExecutionHost, *texts: str) -> None:
    await put_rows(host, *map(row_of, texts))


async def put_rows(host: ExecutionHost, *rows: DefinitionRow) -> None:
    for row in rows:
        body = await asked(host, host.put_definition(pack(row)))
        assert not isinstance(answer(body, DefinitionRow), Refusal)


def key_of(id: str) -> ExecutionKey:
    return ExecutionKey("default", id)


async def start(
    host: ExecutionHost,
    definition: str,
    ids: Sequence[str],
    *,
    input: Any = None,
    client: str | None = None,
) -> list[Started | Refusal]:
    many = StartMany(
        client=client,
        starts=tuple(
            StartRequest(key=key_of(id), definition=definition, input=input) for id in ids
        ),
    )
    answers = answer(await asked(host, host.start_many(pack(many))), StartAnswers)
    assert not isinstance(answers, Refusal), answers
    return list(answers.answers)


async def status(host: ExecutionHost, id: str) -> ExecutionView:
    view = answer(await asked(host, host.status(pack(key_of(id)))), ExecutionView)
    assert not isinstance(view, Refusal), view
    return view


async def history(host: ExecutionHost, id: str) -> list[dict[str, Any]]:
    page = answer(
        await asked(host, host.history(pack(HistoryRequest(key=key_of(id))))), HistoryPage
    )
    assert not isinstance(page, Refusal), page
    return list(page.events)


async def cancel(host: ExecutionHost, id: str, message: str = "m1") -> Accepted | Refusal:
    return await ask(host, "cancel", CancelRequest(key=key_of(id), message_id=message))


async def ask(host: ExecutionHost, call: str, request: Request) -> Accepted | Refusal:
    """The answer to a request to one execution."""
    return answer(await asked(host, getattr(host, call)(pack(request))), Accepted)


async def signal(
    host: ExecutionHost, id: str, name: str, data: Any = None, *, message: str = "s1"
) -> Accepted | Refusal:
    request = SignalRequest(key=key_of(id), message_id=message, name=name, data=data)
    return await ask(host, "signal", request)


async def publish(
    host: ExecutionHost, name: str, data: Any = None, *, id: str
) -> EventAccepted | Refusal:
    request = PublishRequest(namespace="default", id=id, name=name, data=data)
    return answer(await asked(host, host.publish(pack(request))), EventAccepted)


async def watch(host: ExecutionHost, client: str, ids: Sequence[str]) -> WatchAnswers:
    request = Watch(client=client, keys=tuple(map(key_of, ids)))
    answers = answer(await asked(host, host.watch(pack(request))), WatchAnswers)
    assert not isinstance(answers, Refusal), answers
    return answers


class Listener:
    """A client's result stream, read in the background."""

    def __init__(self, host: ExecutionHost, client: str) -> None:
        self.batches: list[ResultBatch] = []
        self.closed = False
        self._task = asyncio.get_running_loop().create_task(self._read(host, client))

    async def _read(self, host: ExecutionHost, client: str) -> None:
        async for body in host.results(pack(client)):
            self.batches.append(unpack(body, ResultBatch))
        self.closed = True

    @property
    def ended(self) -> dict[str, Ended]:
        return {each.key.execution_id: each for batch in self.batches for each in batch.ended}

    @property
    def resyncs(self) -> int:
        return sum(batch.resync for batch in self.batches)

    async def stop(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def events_of(journal: Any, id: str) -> list[str]:
    """The types of an execution's events, as the journal has them."""
    return [
        str(type(decode_event(body)).__struct_config__.tag)
        for _, body in await journal.read(key_of(id), after_seq=0)
    ]
