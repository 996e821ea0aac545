"""What leaves with time: executions past their retention, events that all were told, old blobs.

Done in the background by the host that has shard 0, in parts: after each it rests for a multiple of
the time that the part took, so that what it takes of the journal is a bounded share, and a journal
that is busy slows it down by itself. A host that dies or loses the shard leaves nothing half done;
the next owner goes on.

Blobs go when no history names them and no definition, and not before they have been old for long:
whoever stores one has that time to commit the event that names it. That nobody names a blob is
asked while it lies there, and what is stored again meanwhile is young again (`blobs.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.clock import Backoff, Clock, pause
from heliostat.actors.host.ownership import Ownership
from heliostat.engine.errors import JournalError
from heliostat.engine.journal.admission import is_dedicated
from heliostat.engine.journal.protocol import BlobStore, Journal

_log = logging.getLogger(__name__)

_SHARD: Final = "0"
"""Whoever has this one looks after what belongs to the journal as a whole."""

REST_MS_MAX: Final = 10_000
"""One slow part, on a disk that hangs, does not stop the others for long."""

LOOK_MS_MIN: Final = 1_000
"""Between two looks, however short the retention is."""


class Retention:
    """One host's share in forgetting: nothing, unless it has shard 0."""

    def __init__(
        self,
        *,
        journal: Journal,
        blobs: BlobStore | None,
        ownership: Ownership,
        clock: Clock,
        bounds: HostBounds,
    ) -> None:
        self._journal, self._blobs = journal, blobs
        self._ownership, self._clock, self._bounds = ownership, clock, bounds
        now_ms = clock.steady_ms()
        self._look_ms = bounds.retention_look_ms
        if bounds.keep_ms is not None:  # what stays for seconds is not left there for a minute
            self._look_ms = min(self._look_ms, max(LOOK_MS_MIN, bounds.keep_ms))
        self._bus_at_ms = now_ms  # of the latest purge
        self._blobs_at_ms = now_ms - bounds.blob_sweep_ms + self._look_ms
        self.executions = self.events = self.blobs = 0
        """How many of each this host has deleted."""

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        backoff = Backoff(
            self._clock, first_ms=self._bounds.backoff_ms, max_ms=self._bounds.backoff_max_ms
        )
        while True:
            if not backoff.failures:
                await pause(self._clock, self._look_ms)
            try:
                await self._look()
            except (JournalError, OSError) as error:
                _log.warning("what is past its retention stays for now: %s", error)
                await backoff.wait()
            else:
                backoff.reset()

    async def _look(self) -> None:
        await self.purge_executions()
        now_ms = self._clock.steady_ms()
        if self._mine and now_ms - self._bus_at_ms >= self._bounds.bus_purge_ms:
            await self.purge_bus()
            self._bus_at_ms = now_ms
        if self._mine and now_ms - self._blobs_at_ms >= self._bounds.blob_sweep_ms:
            await self.sweep()
            self._blobs_at_ms = now_ms

    @property
    def _mine(self) -> bool:
        shard = self._ownership.find(_SHARD)
        return shard is not None and shard.serving

    async def purge_executions(self) -> int:
        """Delete the executions that are past their retention; how many."""
        keep_ms, total = self._bounds.keep_ms, 0
        if keep_ms is None:
            return total
        while self._mine:
            async with self._rest_after():
                count = await self._journal.purge_executions(
                    ended_before_ms=self._clock.now_ms() - keep_ms,
                    limit=self._bounds.purge_executions,
                )
            total += count
            self.executions += count
            if not count:
                break
        if total:
            _log.info("%d executions that are past their retention were deleted", total)
        return total

    async def purge_bus(self) -> int:
        """Delete events that are past their time and were passed on by every shard; how many."""
        before_ms = self._clock.now_ms() - self._bounds.bus_keep_ms
        untold = await self._journal.bus(
            after_position=await self._told(), limit=self._bounds.bus_page
        )
        # By their time, as the journal deletes; hosts' clocks differ, so the first is not enough.
        before_ms = min([before_ms, *(event.published_at_ms for _, event in untold)])
        count = await self._journal.purge_bus(before_ms=before_ms)
        self.events += count
        if count:
            _log.info("%d events that are past their retention left the bus", count)
        return count

    async def _told(self) -> int:
        """Up to where every shard's executions have been told.

        Those of dedicated executions are left out: one that has ended is told nothing any more.
        """
        shards = [each.shard for each in await self._journal.shards()]
        cursors = [self._journal.bus_cursor(shard) for shard in shards if not is_dedicated(shard)]
        return min(await asyncio.gather(*cursors))

    async def sweep(self) -> int:
        """Delete blobs that are old and that nobody names; how many."""
        blobs, total = self._blobs, 0
        if blobs is None:
            return total
        older_than_s = self._bounds.blob_keep_ms / 1000
        parts = iter(blobs.aged(older_than_s=older_than_s))
        while self._mine:
            async with self._rest_after():
                part = await asyncio.to_thread(next, parts, None)
                if part is None:
                    break
                named = await self._journal.named_blobs(part)
                names = [name for name in part if name not in named]
                if names:
                    total += await asyncio.to_thread(blobs.delete, names, older_than_s=older_than_s)
        self.blobs += total
        if total:
            _log.info("%d blobs that no history names were deleted", total)
        return total

    @asynccontextmanager
    async def _rest_after(self) -> AsyncIterator[None]:
        """Afterwards rest for a multiple of the time that it took."""
        began_ms = self._clock.steady_ms()
        yield
        spent_ms = max(1, self._clock.steady_ms() - began_ms)
        await pause(self._clock, min(spent_ms * self._bounds.retention_rest, REST_MS_MAX))
