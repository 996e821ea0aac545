"""Who lives, and who owns which shard; a claim is one compare-and-set statement."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..protocol import Claim, OwnerRow, ShardRow
from .database import Database

_OWNER_COLUMNS: Final = "incarnation, name, pid, node, started_at_ms, beat_at_ms, draining"


def register_owner(connection: Database, owner: OwnerRow) -> None:
    """Enter or replace the row of an incarnation."""
    connection.run(
        f"INSERT INTO owners ({_OWNER_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (incarnation) DO UPDATE SET name = excluded.name, pid = excluded.pid,"
        " node = excluded.node, started_at_ms = excluded.started_at_ms,"
        " beat_at_ms = excluded.beat_at_ms, draining = excluded.draining",
        (
            owner.incarnation,
            owner.name,
            owner.pid,
            owner.node,
            owner.started_at_ms,
            owner.beat_at_ms,
            owner.draining,
        ),
    )


def beat(connection: Database, incarnation: str, at_ms: int, draining: bool) -> None:
    """Say that an incarnation lives; nothing happens if its row is gone."""
    connection.run(
        "UPDATE owners SET beat_at_ms = ?, draining = ? WHERE incarnation = ?",
        (at_ms, draining, incarnation),
    )


def remove_owner(connection: Database, incarnation: str) -> None:
    """Twice is harmless; its shards stay as they are."""
    connection.run("DELETE FROM owners WHERE incarnation = ?", (incarnation,))


def owners(connection: Database) -> Sequence[OwnerRow]:
    """All that are registered, alive or not, in the order of their incarnations."""
    found = connection.rows(f"SELECT {_OWNER_COLUMNS} FROM owners ORDER BY incarnation")
    return [
        OwnerRow(
            incarnation=incarnation,
            name=name,
            pid=pid,
            node=node,
            started_at_ms=started_at_ms,
            beat_at_ms=beat_at_ms,
            draining=bool(draining),
        )
        for incarnation, name, pid, node, started_at_ms, beat_at_ms, draining in found
    ]


def claim(connection: Database, shard: str, owner: str, after_epoch: int) -> Claim | None:
    """Raise the epoch by compare-and-set; None where another was quicker."""
    if after_epoch == 0:  # it may not be there yet
        statement = (
            "INSERT INTO shards (name, epoch, owner, next_position) VALUES (?, 1, ?, 1)"
            " ON CONFLICT (name) DO UPDATE SET epoch = shards.epoch + 1, owner = excluded.owner"
            " WHERE shards.epoch = 0 RETURNING epoch, next_position"
        )
        found = connection.rows(statement, (shard, owner))
    else:
        found = connection.rows(
            "UPDATE shards SET epoch = epoch + 1, owner = ? WHERE name = ? AND epoch = ?"
            " RETURNING epoch, next_position",
            (owner, shard, after_epoch),
        )
    if not found:
        return None
    ((epoch, next_position),) = found
    return Claim(shard=shard, epoch=epoch, next_position=next_position)


def shards(connection: Database) -> Sequence[ShardRow]:
    """All there are, with the epoch of their last claim; 0 for none."""
    found = connection.rows("SELECT name, epoch, owner FROM shards ORDER BY number")
    return [ShardRow(shard=name, epoch=epoch, owner=owner) for name, epoch, owner in found]
