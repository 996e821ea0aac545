"""What a host does for dedicated executions: starts them, and has an actor carry each.

The host that owns the *shared* shard of an execution's id is its guard. It makes the start durable,
in the execution's own shard and under an epoch of its own, decides nothing after that, and has an
actor made, which claims the shard as any new owner does. From then on the guard only looks: an
unfinished execution whose shard no living actor owns gets one, again and again; whoever watches an
execution here is told of its end, which the guard sees in the journal.

A start is stored once, whatever dies: the journal refuses a second first event of an id, in
whichever shard; a claim that no event followed is claimed over.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from heliostat.actors.dedicated.carriers import Carriers
from heliostat.actors.dedicated.registry import SeenShard
from heliostat.actors.host.api import Refusal, Started
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.commit import Committer, Stopping
from heliostat.actors.host.execution import LiveExecution
from heliostat.actors.host.figures import Figures
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.plans import HostedPlan
from heliostat.actors.host.post import Delivery
from heliostat.actors.host.starts import StartDesk, StartItem, overloaded
from heliostat.actors.host.streams import ResultStreams
from heliostat.actors.host.turn import Turn
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey, dedicated_key, dedicated_shard
from heliostat.engine.journal.protocol import Claim, Journal
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.status import TERMINAL

_log = logging.getLogger(__name__)

STARTS_AT_ONCE: Final = 8
"""Starts under way side by side: each is four calls of the journal and at last an actor."""

CLAIMS_MAX: Final = 20
"""Tries to claim the shard of a start; another guard that tries as well wins sooner or later."""

_NUMBER: Final = 1
"""Of a start's own turn, which nothing else is part of."""


class DedicatedGuard:
    """The dedicated executions whose ids fall to this host's shards."""

    def __init__(
        self,
        *,
        journal: Journal,
        ownership: Ownership,
        carriers: Carriers,
        spares: int,
        streams: ResultStreams,
        desk: StartDesk,
        figures: Figures,
        clock: Clock,
        bounds: HostBounds,
        arrive: Callable[[Delivery], None],
        published: Callable[[], None],
        watch: Callable[[str, ExecutionKey], Awaitable[object]],
    ) -> None:
        self._journal, self._ownership, self._carriers = journal, ownership, carriers
        self._streams, self._desk, self._figures = streams, desk, figures
        self._clock, self._bounds, self._spares = clock, bounds, spares
        self._arrive, self._published, self._watch = arrive, published, watch
        self._committer = Committer(
            journal=journal, ownership=ownership, clock=clock, bounds=bounds
        )
        self._queue: deque[StartItem | Delivery] = deque()
        self._starting: dict[ExecutionKey, list[StartItem | Delivery]] = {}
        """Starts under way, with those of the same id that wait for them."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._making: dict[ExecutionKey, int] = {}
        """Executions for which an actor was asked for, and when."""
        self._wanted: set[ExecutionKey] = set()
        self._rested: dict[str, int] = {}
        """Shards of executions that have ended and have nothing more to say, by their epoch."""
        self._spares_made: dict[str, int] = {}
        self._unfinished: set[ExecutionKey] = set()
        self._bell = Doorbell(clock)
        self._stopping = False
        ownership.dedicated.wanted = self._want

    # what others tell

    def start(self, reason: StartItem | Delivery) -> None:
        """Start an execution that is dedicated; answered when that is durable."""
        waiting = self._starting.get(reason.key)
        if waiting is not None:
            waiting.append(reason)
            return
        if len(self._unfinished) >= self._bounds.dedicated:
            self._refuse(reason, overloaded("the list of dedicated executions", self._bounds))
            return
        self._unfinished.add(reason.key)
        self._starting[reason.key] = []
        self._queue.append(reason)
        self._more()

    async def ended(self, key: ExecutionKey) -> None:
        """The actor says that its execution has ended: tell those that watch it here."""
        self._ownership.dedicated.learn(key)
        await self._tell(key)

    def look_soon(self) -> None:
        """Owners are known afresh."""
        self._bell.ring()

    def stop(self) -> None:
        """Start nothing more, and make no more actors."""
        self._stopping = True
        self._committer.stop()
        self._bell.ring()

    async def close(self) -> None:
        """Give up what is under way."""
        self.stop()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _want(self, key: ExecutionKey) -> None:
        """Something waits for an execution that nobody carries, ended or not."""
        if self._guards(key):
            self._wanted.add(key)
            self._bell.ring()

    def _guards(self, key: ExecutionKey) -> bool:
        shard = self._ownership.find(self._ownership.start_shard(key))
        return shard is not None and shard.serving

    # starts

    def _more(self) -> None:
        while self._queue and len(self._tasks) < STARTS_AT_ONCE:
            reason = self._queue.popleft()
            task = asyncio.get_running_loop().create_task(self._start(reason))
            self._tasks.add(task)
            task.add_done_callback(self._started)

    def _started(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("the start of a dedicated execution broke", exc_info=error)
            self._figures.fault("the start of a dedicated execution broke", error)
        self._more()

    async def _start(self, reason: StartItem | Delivery) -> None:
        key = reason.key
        try:
            await self._begin(reason)
        except Stopping:
            self._refuse(reason, _away("the host ends"))
        except Exception as error:
            self._refuse(reason, _away(f"{type(error).__name__}: {error}", code="INTERNAL"))
            raise
        finally:
            for each in self._starting.pop(key, ()):
                self._again(each)

    def _again(self, reason: StartItem | Delivery) -> None:
        if isinstance(reason, StartItem):
            self._desk.compare(reason)
        else:
            reason.exists = True
            self._arrive(reason)

    def _refuse(self, reason: StartItem | Delivery, refusal: Refusal) -> None:
        self._unfinished.discard(reason.key)
        if isinstance(reason, Delivery):
            reason.told(reason, refusal)
        elif not reason.answered:
            self._desk.answer(reason, refusal)

    async def _begin(self, reason: StartItem | Delivery) -> None:
        key = reason.key
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        for _ in range(CLAIMS_MAX):
            if self._stopping:
                raise Stopping
            try:
                claim = await self._claim(key)
                if claim is None:
                    self._exists(reason)
                    return
                shard = OwnedShard(claim.shard, claim.epoch, claim.next_position)
                # What was published before it began is not for it.
                end = await self._journal.bus_end()
                await self._journal.advance_bus(shard.name, epoch=shard.epoch, position=end)
            except JournalError as error:
                _log.warning("the start of execution %s waits for the journal: %s", key, error)
                await backoff.wait()
                continue
            if await self._store(reason, shard):
                return
        self._refuse(reason, _away("its shard is claimed by others again and again"))

    async def _claim(self, key: ExecutionKey) -> Claim | None:
        """A claim on the execution's own shard; None where the execution exists."""
        name = dedicated_shard(key)
        epoch = 0
        while True:
            claim = await self._journal.claim(
                name, owner=self._ownership.incarnation, after_epoch=epoch
            )
            if claim is not None:
                return claim
            rows = await self._journal.shards()
            epoch = next((row.epoch for row in rows if row.shard == name), 0)
            # After its epoch was read: whoever stores its start meanwhile claims it before, or has.
            if await self._journal.get_row(key) is not None:
                return None

    async def _store(self, reason: StartItem | Delivery, shard: OwnedShard) -> bool:
        """Make the start durable; False where another host claimed the shard meanwhile."""
        hosted = reason.hosted
        assert isinstance(hosted, HostedPlan), "a start comes with its plan"
        turn = Turn(_NUMBER, self._clock.now_ms())
        live = LiveExecution(reason.key, shard, hosted, ExecutionState())
        turn.ask(live, reason)
        if not live.events:  # the kernel refused it
            for delivery, _, refusal in turn.deliveries:
                delivery.told(delivery, refusal)
            return True
        appends, _ = turn.appends(self._bounds.snapshot_bytes)
        outcome = await self._committer.store(appends)
        if outcome.lost:
            return False
        if outcome.conflicts:
            self._exists(reason)
            return True
        self._durable(reason, live)
        return True

    def _exists(self, reason: StartItem | Delivery) -> None:
        """There is an execution with this id, dedicated or not."""
        self._unfinished.discard(reason.key)
        if isinstance(reason, StartItem):
            self._desk.compare(reason)
        else:
            reason.exists = True
            self._arrive(reason)

    def _durable(self, reason: StartItem | Delivery, live: LiveExecution) -> None:
        """What follows from a stored start. Its commands are the actor's to give."""
        key, beside = live.key, live.beside
        self._ownership.dedicated.learn(key)
        self._figures.started += 1
        self._figures.events += len(live.events)
        if beside is not None and beside.published:
            self._published()
        if isinstance(reason, StartItem):
            client = reason.group.client
            if client is not None:
                self._streams.watch(client, key)
            self._desk.answer(reason, Started(key=key, version=live.state.version))
        else:
            reason.told(reason, None)
        if live.state.ended:
            self._figures.ended += 1
            self._streams.ended(key, live.state, live.hosted.plan, len(live.events[-1]))
            self._streams.flush()
            if beside is None or not beside.sent:
                return
        self._wanted.add(key)
        self._bell.ring()

    # actors

    async def run(self) -> None:
        """See to the actors until cancelled."""
        while True:
            await self._bell.wait(self._bounds.look_ms)
            try:
                if not self._stopping:
                    await self._look()
            except JournalError as error:
                _log.warning("cannot look after dedicated executions: %s", error)

    async def _look(self) -> None:
        seen = dict(self._ownership.dedicated.seen)
        wanted, self._wanted = self._wanted, set()
        for key in wanted:
            known = seen.get(dedicated_shard(key))
            if known is None or known.carrier is None:
                await self._make(key, seen.values())
        for shard, found in seen.items():
            key_found = dedicated_key(shard)
            if key_found is None or self._rested.get(shard) == found.epoch:
                continue
            key = key_found
            if not self._guards(key):
                self._unfinished.discard(key)
                continue
            self._ownership.dedicated.learn(key)
            rests = await self._rests(shard, key)
            if rests and found.carrier is None:
                self._rested[shard] = found.epoch
            if rests:
                self._unfinished.discard(key)
                continue
            self._unfinished.add(key)
            if found.carrier is None and key not in wanted:
                await self._make(key, seen.values())
        await self._keep_spares(seen.values())
        for shard in self._rested.keys() - seen.keys():
            del self._rested[shard]  # purged

    async def _rests(self, shard: str, key: ExecutionKey) -> bool:
        """Whether an execution needs no actor: it has ended, and all it said was heard."""
        row = await self._journal.get_row(key)
        if row is None:
            return False  # its start is under way, or was given up: no actor has anything to do
        if row.status not in TERMINAL:
            return False
        await self._tell(key)
        return not await self._journal.outgoing(shard, limit=1)

    async def _make(self, key: ExecutionKey, seen: Iterable[SeenShard]) -> None:
        """Have an actor carry it, unless that was asked for a moment ago."""
        now_ms = self._clock.steady_ms()
        asked_ms = self._making.get(key)
        if asked_ms is not None and now_ms - asked_ms < self._bounds.carrier_ms:
            return
        if await self._journal.get_row(key) is None:
            return  # never started, or purged
        self._making = {
            each: at for each, at in self._making.items() if now_ms - at < self._bounds.carrier_ms
        }
        self._making[key] = now_ms
        try:
            taken = {each.owner for each in seen}
            for owner in self._ownership.spares:
                if owner.incarnation not in taken and await self._carriers.carry(owner.name, key):
                    return
            await self._carriers.ensure(key)
        except Exception as error:  # noqa: BLE001 – Ray's, of many kinds: the next look tries again
            _log.warning("no actor for execution %s: %s", key, error)
            self._figures.fault(f"no actor for execution {key}", error)

    async def _keep_spares(self, seen: Iterable[SeenShard]) -> None:
        """Have so many spare actors that carry nothing; one host sees to it."""
        if not self._spares or self._ownership.find("0") is None:
            return
        now_ms = self._clock.steady_ms()
        known = {each.name for each in self._ownership.spares}
        taken = {each.owner for each in seen}
        idle = sum(each.incarnation not in taken for each in self._ownership.spares)
        self._spares_made = {  # and have not entered themselves yet
            name: at
            for name, at in self._spares_made.items()
            if name not in known and now_ms - at < self._bounds.carrier_ms
        }
        for _ in range(self._spares - idle - len(self._spares_made)):
            try:
                self._spares_made[await self._carriers.make_spare()] = now_ms
            except Exception as error:  # noqa: BLE001 – Ray's, of many kinds: tried again
                _log.warning("no spare actor: %s", error)
                return

    # ends

    async def _tell(self, key: ExecutionKey) -> None:
        """Give the end of an execution to those that watch it here."""
        for client in self._streams.watchers(key):
            await self._watch(client, key)


def _away(why: str, *, code: str = "OVERLOADED") -> Refusal:
    return Refusal(
        code=code,
        message=f"the execution was not started: {why}; try again",
        details={"retry_after_s": 1.0},
    )
