"""Executions of the memory journal: their events, and what is looked up of their rows."""

from __future__ import annotations

import heapq
from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from ..identity import ExecutionKey
from ..status import TERMINAL
from .paging import Cursor, page_of
from .protocol import (
    ExecutionPage,
    ExecutionQuery,
    ExecutionRow,
    SnapshotRow,
    StoredExecution,
)


@dataclass(slots=True)
class MemoryExecution:
    """One execution as it is stored."""

    number: int
    row: ExecutionRow
    events: list[bytes] = field(default_factory=list)
    snapshot: SnapshotRow | None = None

    def stored(self) -> StoredExecution:
        """As a new owner loads it."""
        after = 0 if self.snapshot is None else self.snapshot.seq
        return StoredExecution(
            row=self.row,
            snapshot=self.snapshot,
            events=tuple(self.events[after:]),
            last_seq=len(self.events),
        )


class MemoryExecutions:
    """All executions, by key and by age."""

    def __init__(self) -> None:
        self._by_key: dict[ExecutionKey, MemoryExecution] = {}
        self._newest_last: list[tuple[Cursor, MemoryExecution]] = []
        self._last_number = 0

    def get(self, key: ExecutionKey) -> MemoryExecution | None:
        """None if there is none."""
        return self._by_key.get(key)

    def add(self, row: ExecutionRow) -> MemoryExecution:
        """One more."""
        self._last_number += 1
        execution = MemoryExecution(number=self._last_number, row=row)
        self._by_key[row.key] = execution
        cursor = Cursor(row.created_at_ms, execution.number)
        insort(self._newest_last, (cursor, execution), key=lambda entry: entry[0])
        return execution

    def change(self, execution: MemoryExecution, row: ExecutionRow) -> None:
        """Another row, but for what was fixed when the execution was created."""
        execution.row = replace(
            row,
            created_at_ms=execution.row.created_at_ms,
            parent=execution.row.parent,
            priority=execution.row.priority,
            correlation_id=execution.row.correlation_id,
        )

    def busy(self, shard: str, after: ExecutionKey | None, limit: int) -> Sequence[StoredExecution]:
        """Those of a shard that have attempts under way, in the order of keys."""
        keys = (
            key
            for key, execution in self._by_key.items()
            if execution.row.busy > 0
            and execution.row.shard == shard
            and (after is None or key > after)
        )
        return [self._by_key[key].stored() for key in heapq.nsmallest(limit, keys)]

    def due(self, shard: str, until_ms: int, limit: int) -> Sequence[tuple[int, ExecutionKey]]:
        """Those of a shard that want to be woken, the earliest first."""
        waking = (
            (execution.row.wake_at_ms, key)
            for key, execution in self._by_key.items()
            if execution.row.shard == shard
            and execution.row.wake_at_ms is not None
            and execution.row.wake_at_ms <= until_ms
        )
        return heapq.nsmallest(limit, waking)

    def unfinished(self, namespace: str, definition: str, version: str | None) -> Iterator[str]:
        """The ids of those of a definition that have not ended."""
        return (
            key.execution_id
            for key, execution in self._by_key.items()
            if key.namespace == namespace
            and execution.row.definition == definition
            and version in (None, execution.row.version)
            and execution.row.status not in TERMINAL
        )

    def page(self, query: ExecutionQuery) -> ExecutionPage:
        """Those that a query asks for, the newest first."""
        found = [
            (cursor, execution.row)
            for cursor, execution in reversed(self._newest_last)
            if _matches(query, execution.row)
        ]
        rows, next_cursor, total = page_of(found, query)
        return ExecutionPage(rows=rows, next_cursor=next_cursor, total=total)

    def count(self, namespace: str | None) -> Mapping[str, int]:
        """How many there are, by status."""
        return Counter(
            execution.row.status
            for key, execution in self._by_key.items()
            if namespace is None or key.namespace == namespace
        )

    def purge(
        self, ended_before_ms: int, limit: int, untaken: Collection[ExecutionKey]
    ) -> dict[ExecutionKey, str]:
        """Forget the earliest that have ended, but those whose messages nobody has taken yet.

        Returns:
            Their keys, with the shards that they were of.
        """
        ended = (
            (execution.row.ended_at_ms, key)
            for key, execution in self._by_key.items()
            if execution.row.ended_at_ms is not None
            and execution.row.ended_at_ms < ended_before_ms
            and key not in untaken
        )
        gone = [key for _, key in heapq.nsmallest(limit, ended)]
        shards = {key: self._by_key.pop(key).row.shard for key in gone}
        self._newest_last = [each for each in self._newest_last if each[1].row.key not in shards]
        return shards


def _matches(query: ExecutionQuery, row: ExecutionRow) -> bool:
    return (
        row.key.namespace == query.namespace
        and (query.definition is None or row.definition == query.definition)
        and (query.version is None or row.version == query.version)
        and (not query.status or row.status in query.status)
        and (query.created_from_ms is None or row.created_at_ms >= query.created_from_ms)
        and (query.created_before_ms is None or row.created_at_ms < query.created_before_ms)
        and all(row.tags.get(name) == value for name, value in query.tags.items())
        and (query.correlation_id is None or row.correlation_id == query.correlation_id)
        and (
            query.q is None
            or query.q.lower() in row.key.execution_id.lower()
            or query.q.lower() in row.definition.lower()
        )
    )
