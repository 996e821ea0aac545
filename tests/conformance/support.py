"""Records as short as tests want them, and an owner that numbers its events as a host does."""

from __future__ import annotations

from typing import Any

from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import (
    Append,
    AppendResult,
    BusEvent,
    ExecutionRow,
    Journal,
    Message,
    ShardBatch,
    TaskRow,
)


def key(id: str, namespace: str = "default") -> ExecutionKey:
    return ExecutionKey(namespace, id)


def row(id: str | ExecutionKey, shard: str = "0", **changes: Any) -> ExecutionRow:
    fields: dict[str, Any] = {
        "key": key(id) if isinstance(id, str) else id,
        "shard": shard,
        "definition": "order",
        "version": "1",
        "status": "Running",
        "busy": 1,
        "created_at_ms": 1_000,
    }
    return ExecutionRow(**(fields | changes))


def created(id: str | ExecutionKey, *events: bytes, shard: str = "0", **changes: Any) -> Append:
    first = row(id, shard, **changes)
    return Append(key=first.key, after_seq=0, events=events or (b"started",), row=first)


def more(id: str, after_seq: int, *events: bytes, **fields: Any) -> Append:
    return Append(key=key(id), after_seq=after_seq, events=events, **fields)


def message(id: str, *, to: str = "b", shard: str = "0", sent_at_ms: int = 1) -> Message:
    return Message(
        id=id, sender_shard=shard, receiver=key(to), sent_at_ms=sent_at_ms, body=id.encode()
    )


class Owner:
    """Claims a shard and numbers its events, as a host does."""

    def __init__(self, journal: Journal, shard: str, epoch: int, next_position: int) -> None:
        self.journal, self.shard = journal, shard
        self.epoch, self.next_position = epoch, next_position

    @classmethod
    async def of(cls, journal: Journal, shard: str = "0") -> Owner:
        epoch = {each.shard: each.epoch for each in await journal.shards()}.get(shard, 0)
        claim = await journal.claim(shard, owner="host-1", after_epoch=epoch)
        assert claim is not None
        return cls(journal, shard, claim.epoch, claim.next_position)

    def batch(self, *appends: Append) -> ShardBatch:
        return ShardBatch(
            shard=self.shard,
            epoch=self.epoch,
            first_position=self.next_position,
            appends=appends,
        )

    async def append(self, *appends: Append) -> AppendResult:
        result = await self.journal.append([self.batch(*appends)])
        self.next_position = result.next_positions.get(self.shard, self.next_position)
        return result


async def bodies(journal: Journal, id: str) -> list[bytes]:
    return [body for _, body in await journal.read(key(id), after_seq=0)]


def event(id: str, name: str = "paid", *, at_ms: int = 1, namespace: str = "default") -> BusEvent:
    return BusEvent(
        id=id, namespace=namespace, name=name, published_at_ms=at_ms, body=f"body of {id}".encode()
    )


def task(id: str, *, of: str = "a", **changes: Any) -> TaskRow:
    fields: dict[str, Any] = {
        "key": key(of),
        "task_id": id,
        "definition": "order",
        "step": "approve",
        "status": "Open",
        "created_at_ms": 1,
    }
    return TaskRow(**(fields | changes))
