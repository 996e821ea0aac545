"""When executions want to wake: one heap over the journal's durable index.

The heap holds what is due within a horizon; later instants are only in the journal and come in
pages. A shard is *covered* up to an instant when every execution of it that wants to wake before
then is in the heap. Entries are never taken out when they change: `_armed` says which still stand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from heapq import heappop, heappush

from heliostat.actors.host.bounds import HostBounds
from heliostat.actors.host.ownership import OwnedShard
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import Journal


class _Cover:
    __slots__ = ("armed", "full", "until_ms")

    def __init__(self) -> None:
        self.until_ms = 0  # everything earlier is in the heap
        self.full = False  # the last page was: more lies between it and the horizon
        self.armed = 0


class Timers:
    """All timers of a host; knows instants and keys, not what happens then."""

    def __init__(self, bounds: HostBounds) -> None:
        self._bounds = bounds
        self._heap: list[tuple[int, ExecutionKey]] = []
        self._armed: dict[ExecutionKey, tuple[int, OwnedShard]] = {}
        self._covers: dict[OwnedShard, _Cover] = {}

    def __len__(self) -> int:
        return len(self._armed)

    @property
    def next_ms(self) -> int | None:
        """The earliest instant in the heap."""
        heap, armed = self._heap, self._armed
        while heap:
            at_ms, key = heap[0]
            entry = armed.get(key)
            if entry is not None and entry[0] == at_ms:
                return at_ms
            heappop(heap)
        return None

    def arm(self, key: ExecutionKey, shard: OwnedShard, at_ms: int | None) -> None:
        """Note when an execution wants to wake, which the journal knows already; None: never."""
        entry = self._armed.get(key)
        if entry is not None:
            if entry[0] == at_ms:
                return
            self._disarm(key)
        if at_ms is None:
            return
        cover = self._covers.get(shard)
        if cover is None or at_ms >= cover.until_ms:
            return  # the page that covers it will bring it
        self._push(at_ms, key, shard, cover)

    def _push(self, at_ms: int, key: ExecutionKey, shard: OwnedShard, cover: _Cover) -> None:
        self._armed[key] = (at_ms, shard)
        cover.armed += 1
        heappush(self._heap, (at_ms, key))
        if len(self._heap) > 2 * len(self._armed) + 1_000:  # mostly stale entries
            self._heap = sorted((at_ms, key) for key, (at_ms, _) in self._armed.items())

    def _disarm(self, key: ExecutionKey) -> None:
        entry = self._armed.pop(key, None)
        if entry is not None:
            cover = self._covers.get(entry[1])
            if cover is not None:
                cover.armed -= 1

    def due(self, now_ms: int, limit: int) -> Iterator[ExecutionKey]:
        """Take what is due off the heap, earliest first."""
        heap = self._heap
        while limit > 0 and heap and heap[0][0] <= now_ms:
            at_ms, key = heappop(heap)
            entry = self._armed.get(key)
            if entry is not None and entry[0] == at_ms:
                self._disarm(key)
                limit -= 1
                yield key

    # pages of the durable index

    def serve(self, shard: OwnedShard) -> None:
        """Carry a shard's timers from here on; its first page is wanted at once."""
        self._covers[shard] = _Cover()

    def drop(self, shard: OwnedShard) -> None:
        """Carry them no more."""
        if self._covers.pop(shard, None) is not None:
            gone = [key for key, (_, of) in self._armed.items() if of is shard]
            for key in gone:
                del self._armed[key]

    def wanting(self, now_ms: int) -> OwnedShard | None:
        """A shard whose next page should be read now."""
        for shard, cover in self._covers.items():
            if cover.until_ms >= now_ms + self._bounds.horizon_ms // 2:
                continue
            if cover.full and cover.armed > self._bounds.due_page // 2:
                continue  # enough to do until the next page
            return shard
        return None

    async def read_page(self, journal: Journal, shard: OwnedShard, now_ms: int) -> None:
        """Read a page; to be awaited between turns, so that no commit changes what it says."""
        limit = self._bounds.due_page
        until_ms = now_ms + self._bounds.horizon_ms
        page = await journal.due(shard.name, until_ms=until_ms, limit=limit)
        self.take_page(shard, page, until_ms)

    def take_page(
        self, shard: OwnedShard, page: Iterable[tuple[int, ExecutionKey]], until_ms: int
    ) -> None:
        """Arm what a page names."""
        cover = self._covers.get(shard)
        if cover is None:
            return
        count, last_ms = 0, 0
        for at_ms, key in page:
            count, last_ms = count + 1, at_ms
            entry = self._armed.get(key)
            if entry is None:
                self._push(at_ms, key, shard, cover)
            elif entry[0] != at_ms:
                self._disarm(key)
                self._push(at_ms, key, shard, cover)
        cover.full = count >= self._bounds.due_page
        # Of a full page's last instant there may be more that did not fit.
        cover.until_ms = last_ms if cover.full else until_ms + 1
