"""Following executions: their events, told to whoever follows as soon as they are recorded.

The journal is the buffer: a follower keeps a position and nothing else, and each commit rings those
who follow what it changed. However slow a reader is, it costs no memory here, and misses nothing.
That nobody rings (the execution is another host's, or moved) costs a heartbeat of delay.

Nothing tells a host that a reader is gone for good, so a stream ends by itself after `follow_ms`;
who is still there opens it anew after its position.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from heliostat.actors.host.api import ExecutionView, Refusal
from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Clock, Doorbell
from heliostat.actors.host.ownership import Ownership
from heliostat.actors.host.questions import FollowBatch, FollowRequest, HistoryRequest
from heliostat.actors.host.reads import Reads
from heliostat.actors.host.starts import overloaded
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Journal
from heliostat.engine.status import TERMINAL


class Followers:
    """Those who follow executions at one host. Used on its event loop only."""

    def __init__(
        self,
        *,
        journal: Journal,
        ownership: Ownership,
        reads: Reads,
        clock: Clock,
        bounds: HostBounds,
    ) -> None:
        self._journal, self._ownership, self._reads = journal, ownership, reads
        self._clock, self._bounds = clock, bounds
        self._bells: dict[ExecutionKey, list[Doorbell]] = {}
        self._count = 0
        self._closed = False

    def __len__(self) -> int:
        return self._count

    def recorded(self, key: ExecutionKey) -> None:
        """A commit added events of an execution."""
        for bell in self._bells.get(key, ()):
            bell.ring()

    def close(self) -> None:
        """End all streams."""
        self._closed = True
        for bells in self._bells.values():
            for bell in bells:
                bell.ring()

    async def follow(self, request: FollowRequest) -> AsyncIterator[FollowBatch | Refusal]:
        """What one follower hears: a refusal, or batches."""
        key = request.key
        if self._count >= self._bounds.followers:
            yield overloaded("the list of followers", self._bounds)
            return
        bell = Doorbell(self._clock)
        self._bells.setdefault(key, []).append(bell)  # first, so that nothing falls between
        self._count += 1
        try:
            owner = await self._elsewhere(key)
            if owner is not None:
                yield _at(key, owner)
                return
            view = await self._reads.status(key)
            if isinstance(view, Refusal):
                yield view
                return
            yield FollowBatch(view=view)
            async for batch in self._batches(request, view, bell):
                yield batch
        finally:
            self._count -= 1
            left = [each for each in self._bells[key] if each is not bell]
            if left:
                self._bells[key] = left
            else:
                del self._bells[key]

    async def _batches(
        self, request: FollowRequest, view: ExecutionView, bell: Doorbell
    ) -> AsyncIterator[FollowBatch | Refusal]:
        key, limit = request.key, self._bounds.follow_page
        position = view.seq if request.after_seq is None else request.after_seq
        until_ms = self._clock.steady_ms() + self._bounds.follow_ms
        while not self._closed and self._clock.steady_ms() < until_ms:
            row = await self._journal.get_row(key)  # before its events: an end is among them then
            page = await self._reads.history(
                HistoryRequest(key=key, after_seq=position, limit=limit)
            )
            if row is None or isinstance(page, Refusal):
                return  # purged meanwhile: who opens it anew is told so
            if page.events:
                position = page.events[-1]["seq"]
            full = page.next_after_seq is not None
            ended = row.status in TERMINAL and not full
            yield FollowBatch(events=page.events, ended=ended)
            if ended:
                return
            silent = not full and not await bell.wait(self._bounds.heartbeat_ms)
            if silent and await self._elsewhere(key) is not None:
                return

    async def _elsewhere(self, key: ExecutionKey) -> str | None:
        """The actor that carries the execution, where it is another one."""
        located = await self._reads.locate(key)
        elsewhere = located.exists and located.carrier != self._ownership.name
        return located.carrier if elsewhere else None


def _at(key: ExecutionKey, owner: str) -> Refusal:
    return Refusal(
        code="NOT_OWNER",
        message=f"execution {key} belongs to host {owner!r}; ask there",
        details={"owner": owner},
    )
