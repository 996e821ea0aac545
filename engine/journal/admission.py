"""What every backend checks before it stores something: pure functions over records.

A conflict and a lost shard are ordinary outcomes and go into the `AppendResult`. What is refused
with an error here is a caller's mistake, found before anything is written, since half of it stored
would be wrong quietly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from ..errors import JournalError
from ..identity import ExecutionKey
from ..status import TERMINAL
from .protocol import Append, ShardBatch

DEDICATED_PREFIX: Final = "execution:"
"""How the name of a dedicated execution's own shard begins; the others are numbers."""


def check_batches(batches: Sequence[ShardBatch]) -> None:
    """Refuse what no state of the journal could make right."""
    if len({batch.shard for batch in batches}) != len(batches):
        raise JournalError("an append names a shard twice; a shard has one batch in an append")
    shards: dict[ExecutionKey, str] = {}
    for batch in batches:
        for append in batch.appends:
            if shards.setdefault(append.key, batch.shard) != batch.shard:
                raise JournalError(f"an append adds to execution {append.key} in two shards")
            _check_append(batch.shard, append)


def _check_append(shard: str, append: Append) -> None:
    row, snapshot = append.row, append.snapshot
    if append.after_seq == 0 and (row is None or not append.events):
        raise JournalError(
            f"the append that creates execution {append.key} needs its row and an event"
        )
    if append.after_seq < 0:
        raise JournalError(f"after_seq of execution {append.key} is {append.after_seq}")
    if row is not None and (row.key != append.key or row.shard != shard):
        raise JournalError(
            f"an append to execution {append.key} in shard {shard!r} carries the row of "
            f"{row.key} in shard {row.shard!r}"
        )
    if snapshot is not None and not 0 < snapshot.seq <= append.after_seq + len(append.events):
        raise JournalError(
            f"the snapshot of execution {append.key} is at seq {snapshot.seq}, "
            f"its last event at {append.after_seq + len(append.events)}"
        )
    for task in append.tasks:
        if task.key != append.key:
            raise JournalError(
                f"an append to execution {append.key} carries task {task.task_id!r} of {task.key}"
            )
    for message in append.sent:
        if message.sender_shard != shard:
            raise JournalError(
                f"message {message.id!r} of shard {message.sender_shard!r} is sent in an append "
                f"to shard {shard!r}; it would not be part of that shard's atomic unit"
            )


def check_position(batch: ShardBatch, next_position: int) -> None:
    """Refuse a batch whose owner counts the shard's events differently than the journal."""
    if batch.first_position != next_position:
        raise JournalError(
            f"the owner of shard {batch.shard!r} at epoch {batch.epoch} gave its next event the "
            f"position {batch.first_position}, the journal goes on at {next_position}; "
            f"claim the shard again"
        )


def check_bus_position(shard: str, position: int, end: int) -> None:
    """Refuse a cursor behind the bus's end."""
    if position > end:
        raise JournalError(
            f"the owner of shard {shard!r} has told its executions up to position {position} of "
            f"the bus, which ends at {end}; take the position from `bus`"
        )


def is_dedicated(shard: str) -> bool:
    """Whether a shard is that of one dedicated execution, and goes when its history does."""
    return shard.startswith(DEDICATED_PREFIX)


class _Awaiting(Protocol):
    """An `ExecutionRow`, or what a backend remembers of one."""

    @property
    def status(self) -> str: ...

    @property
    def awaits(self) -> tuple[str, ...]: ...


def heard(row: _Awaiting) -> tuple[str, ...]:
    """The types of events for which `Journal.awaiting` names an execution."""
    return () if row.status in TERMINAL else row.awaits


def conflicts_in(
    appends: Iterable[Append], last_seq: Callable[[ExecutionKey], int]
) -> frozenset[ExecutionKey]:
    """The executions of a batch that are left out, all their appends with them.

    `last_seq` is 0 for an execution that does not exist.
    """
    expected: dict[ExecutionKey, int] = {}
    conflicts: set[ExecutionKey] = set()
    for append in appends:
        key = append.key
        last = expected.get(key)
        if last is None:
            last = last_seq(key)
        if append.after_seq != last:
            conflicts.add(key)
        expected[key] = last + len(append.events)
    return frozenset(conflicts)
