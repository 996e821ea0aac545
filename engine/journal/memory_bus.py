"""The event bus and the subscriptions of a journal in dictionaries."""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from ..identity import ExecutionKey
from .admission import heard
from .protocol import BusEvent, ExecutionRow

_NOBODY: Final[frozenset[ExecutionKey]] = frozenset()


class MemoryBus:
    """Events in the order of their positions; those that were purged leave gaps."""

    def __init__(self) -> None:
        self._events: list[tuple[int, BusEvent]] = []
        self._ids: set[tuple[str, str]] = set()
        self.end = 0

    def publish(self, events: Iterable[BusEvent]) -> None:
        """Give the events that are new the next positions."""
        for event in events:
            if (event.namespace, event.id) not in self._ids:
                self._ids.add((event.namespace, event.id))
                self.end += 1
                self._events.append((self.end, event))

    def after(self, position: int, limit: int) -> Sequence[tuple[int, BusEvent]]:
        """The events behind a position, in order."""
        begin = bisect_right(self._events, position, key=lambda entry: entry[0])
        return self._events[begin : begin + limit]

    def purge(self, before_ms: int) -> int:
        """Forget the events from before an instant; how many."""
        kept = [entry for entry in self._events if entry[1].published_at_ms >= before_ms]
        count = len(self._events) - len(kept)
        self._events = kept
        self._ids = {(event.namespace, event.id) for _, event in kept}
        return count


class Subscriptions:
    """Which executions of a shard want to hear of a type of a namespace."""

    def __init__(self) -> None:
        self._keys: defaultdict[tuple[str, str, str], set[ExecutionKey]] = defaultdict(set)

    def change(self, old: ExecutionRow | None, new: ExecutionRow) -> None:
        """An execution's row became another one; None where it is created."""
        key = new.key
        before, after = (() if old is None else heard(old)), heard(new)
        if before == after:
            return
        for name in before:
            self._keys[new.shard, key.namespace, name].discard(key)
        for name in after:
            self._keys[new.shard, key.namespace, name].add(key)

    def awaiting(
        self, shard: str, namespace: str, name: str, after: ExecutionKey | None, limit: int
    ) -> Sequence[ExecutionKey]:
        """In the order of ids, behind the one given."""
        keys = self._keys.get((shard, namespace, name), _NOBODY)
        return heapq.nsmallest(limit, (key for key in keys if after is None or key > after))
