"""The event bus: from the journal's bus to every execution that wants to hear of an event.

Each shard has a cursor into the bus. The pump reads what lies behind it, asks the journal which
executions of the shard want events of that type, and brings the event to each as a reason of a
turn. An execution that began before an event was published hears of it; one that begins while it is
passed on may. In the bus's order, and once: the cursor moves on when all of them have journaled the
event or did not want it, and what is passed on again after a crash they know by its id.

Where the cursor stands is made durable now and then, not with every event: it only says how much
is passed on again. Events of this host's commits and clients ring; those of other hosts are found
by looking, the more seldom the less there is to expect.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, Doorbell
from heliostat.actors.host.ownership import OwnedShard, Ownership
from heliostat.actors.host.post import decode_data
from heliostat.engine.errors import JournalError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import BusEvent, Journal
from heliostat.engine.kernel.stimuli import EventArrived
from heliostat.engine.values import Value

_log = logging.getLogger(__name__)

_Type = tuple[OwnedShard, str, str]
"""A shard, a namespace, and an event's type."""


class EventArrival:
    """The reason of a turn: an event for one execution. `done` is called once, whatever comes."""

    __slots__ = ("correlation_id", "data", "done", "event", "key")

    def __init__(
        self,
        key: ExecutionKey,
        event: BusEvent,
        data: Value,
        done: Callable[[], None],
        correlation_id: str | None = None,
    ) -> None:
        self.key, self.event, self.data, self.done = key, event, data, done
        self.correlation_id = correlation_id


def event_stimulus(arrival: EventArrival, now_ms: int) -> EventArrived:
    """How an event reaches the kernel."""
    event = arrival.event
    return EventArrived(
        now_ms=now_ms,
        event_id=event.id,
        name=event.name,
        data=arrival.data,
        published_at_ms=event.published_at_ms,
        correlation_id=arrival.correlation_id,
    )


class _Cursor:
    """How far a shard's executions have been told."""

    __slots__ = ("position", "saved", "shard")

    def __init__(self, shard: OwnedShard, position: int) -> None:
        self.shard, self.position, self.saved = shard, position, position


class EventPump:
    """Passes events on to the executions of this host's shards, a page of the bus at a time."""

    def __init__(
        self,
        *,
        journal: Journal,
        ownership: Ownership,
        clock: Clock,
        bounds: HostBounds,
        bell: Doorbell,
        arrive: Callable[[EventArrival], None],
        expecting: Callable[[], bool],
    ) -> None:
        self._journal, self._ownership = journal, ownership
        self._clock, self._bounds = clock, bounds
        self._arrive = arrive  # into the next turn
        self._expecting = expecting  # whether any plan in memory wants events
        self._cursors: dict[OwnedShard, _Cursor] = {}
        self._bell = bell
        self._landed = Doorbell(clock)
        self._flying = 0
        self._saved_at_ms = clock.steady_ms()
        self.passed = 0
        """Events that were brought to an execution, once for each."""

    @property
    def flying(self) -> int:
        """Events on their way to an execution."""
        return self._flying

    def serve(self, shard: OwnedShard, position: int) -> None:
        """Tell a shard's executions from here on of what lies behind its cursor."""
        self._cursors[shard] = _Cursor(shard, position)
        self._bell.ring()

    def drop(self, shard: OwnedShard) -> None:
        """Another owner will tell them."""
        self._cursors.pop(shard, None)

    def ring(self) -> None:
        """Something was published."""
        self._bell.ring()

    async def run(self) -> None:
        """Pass on until cancelled; a journal that fails is asked again after a pause."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while True:
            await self._bell.wait(self._pause_ms())
            try:
                while await self._page():
                    if self._unsaved >= self._bounds.bus_unsaved:
                        await self.save()
                if self._clock.steady_ms() - self._saved_at_ms >= self._bounds.bus_save_ms:
                    await self.save()
            except JournalError as error:
                _log.warning("events wait for the journal: %s", error)
                self._bell.ring()
                await backoff.wait()
            else:
                backoff.reset()

    def _pause_ms(self) -> int:
        if self._unsaved:
            return self._bounds.bus_save_ms
        if self._expecting() and not self._ownership.alone:
            return self._bounds.bus_look_ms
        return self._bounds.bus_idle_ms

    # a page

    async def _page(self) -> bool:
        """Pass a page on, and wait until it has arrived; False where there was none."""
        cursors = list(self._cursors.values())
        if not cursors:
            return False
        after = min(cursor.position for cursor in cursors)
        page = await self._journal.bus(after_position=after, limit=self._bounds.bus_page)
        if not page:
            return False
        receivers = await self._receivers(cursors, page)
        for position, event in page:
            told = None
            for cursor in cursors:
                if cursor.position >= position:
                    continue
                kind = (cursor.shard, event.namespace, event.name)
                async for keys in self._pages_of(kind, receivers[kind]):
                    told = decode_data(event.body) if told is None else told
                    data, correlation_id = told
                    for key in keys:
                        await self._send(EventArrival(key, event, data, self._done, correlation_id))
        while self._flying:
            await self._landed.wait()
        last = page[-1][0]
        for cursor in cursors:  # those lost meanwhile are moved too, and seen by nobody
            cursor.position = max(cursor.position, last)
        return True

    async def _receivers(
        self, cursors: Sequence[_Cursor], page: Sequence[tuple[int, BusEvent]]
    ) -> Mapping[_Type, Sequence[ExecutionKey]]:
        """Who wants what: asked once for a page, after it was read.

        So whoever began before an event of it was published is found.
        """
        wanted: dict[_Type, None] = {}
        for position, event in page:
            for cursor in cursors:
                if cursor.position < position:
                    wanted[cursor.shard, event.namespace, event.name] = None
        found = await asyncio.gather(*(self._ask(kind, None) for kind in wanted))
        return dict(zip(wanted, found, strict=True))

    async def _ask(self, kind: _Type, after: ExecutionKey | None) -> Sequence[ExecutionKey]:
        shard, namespace, name = kind
        return await self._journal.awaiting(
            shard.name, namespace=namespace, name=name, after=after, limit=self._bounds.bus_keys
        )

    async def _pages_of(
        self, kind: _Type, first: Sequence[ExecutionKey]
    ) -> AsyncIterator[Sequence[ExecutionKey]]:
        keys = first
        while keys:
            yield keys
            if len(keys) < self._bounds.bus_keys:
                return
            keys = await self._ask(kind, keys[-1])

    async def _send(self, arrival: EventArrival) -> None:
        while self._flying >= self._bounds.events_flying:
            await self._landed.wait()
        self._flying += 1
        self.passed += 1
        self._arrive(arrival)

    def _done(self) -> None:
        self._flying -= 1
        self._landed.ring()

    # cursors

    @property
    def _unsaved(self) -> int:
        """How many events would be passed on again by the next owner."""
        return max((cursor.position - cursor.saved for cursor in self._cursors.values()), default=0)

    async def save(self) -> None:
        """Make durable how far each shard's executions have been told."""
        self._saved_at_ms = self._clock.steady_ms()
        moved = [each for each in self._cursors.values() if each.position > each.saved]
        await asyncio.gather(*map(self._save, moved))

    async def _save(self, cursor: _Cursor) -> None:
        position, shard = cursor.position, cursor.shard
        if await self._journal.advance_bus(shard.name, epoch=shard.epoch, position=position):
            cursor.saved = position
        else:
            self._cursors.pop(shard, None)  # fenced: the keeper will notice
