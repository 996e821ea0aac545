"""A journal full of executions that ended long ago, stored quickly: many to a commit, each born and
ended at once, since what is measured is what comes after."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.ids import new_id
from heliostat.engine.journal.protocol import Append, ExecutionRow, Journal, ShardBatch

BODY = b"x" * 180
"""A step's event, about as large as a small one is."""
EVENTS = 5
"""Of a three-step workflow: it started, three steps, it ended."""
BATCH = 1_000
"""Executions of one commit."""
DAY_MS = 86_400_000


def random_id() -> str:
    """An id that says nothing of its time, as an order's number that users hand in."""
    return str(uuid.uuid4())


class Owner:
    """Owns all shards of a journal and appends to them, as a host does."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._epochs: dict[str, int] = {}
        self._next: dict[str, int] = {}
        self.shards: list[str] = []

    async def claim(self) -> None:
        """Become the owner of all shards, whoever was it before."""
        for shard in await self._journal.shards():
            claim = await self._journal.claim(shard.shard, owner="bench", after_epoch=shard.epoch)
            assert claim is not None
            self._epochs[shard.shard] = claim.epoch
            self._next[shard.shard] = claim.next_position
        self.shards = list(self._epochs)

    async def store(self, appends: dict[str, list[Append]]) -> None:
        """Append, by shard, in one commit."""
        batches = [
            ShardBatch(
                shard=shard,
                epoch=self._epochs[shard],
                first_position=self._next[shard],
                appends=tuple(each),
            )
            for shard, each in appends.items()
        ]
        result = await self._journal.append(batches)
        assert not result.conflicts
        assert not result.fenced
        self._next.update(result.next_positions)


def appended(key: ExecutionKey, shard: str, after_seq: int, count: int, **row: Any) -> Append:
    """So many events of an execution, with its row."""
    made = ExecutionRow(key=key, shard=shard, definition="order", version="1", **row)
    return Append(key=key, after_seq=after_seq, events=(BODY,) * count, row=made)


async def fill(journal: Journal, count: int, *, new_id: Callable[[], str] = new_id) -> int:
    """Store executions that ended yesterday or before; returns an instant after their ends.

    Their shards are not those of their ids; nobody asks for them by id here.
    """
    owner = Owner(journal)
    await owner.claim()
    until_ms = time.time_ns() // 1_000_000 - DAY_MS
    for first in range(0, count, BATCH):
        appends: dict[str, list[Append]] = {}
        for n in range(first, min(first + BATCH, count)):
            shard = owner.shards[n % len(owner.shards)]
            at_ms = until_ms - count + n
            append = appended(
                ExecutionKey("default", new_id()), shard, 0, EVENTS,
                status="Completed", created_at_ms=at_ms, ended_at_ms=at_ms,
            )  # fmt: skip
            appends.setdefault(shard, []).append(append)
        await owner.store(appends)
    return until_ms
