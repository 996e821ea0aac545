"""Who lives, and who owns which shard; a claim is a compare-and-set inside one transaction."""

# ruff: noqa: D103 – functions are named for the methods of `Journal`, whose docstrings they keep

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ..protocol import Claim, OwnerRow, ShardRow


def register_owner(connection: sqlite3.Connection, owner: OwnerRow) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO owners"
        " (incarnation, name, pid, node, started_at_ms, beat_at_ms, draining)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
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


def beat(connection: sqlite3.Connection, incarnation: str, at_ms: int, draining: bool) -> None:
    connection.execute(
        "UPDATE owners SET beat_at_ms = ?, draining = ? WHERE incarnation = ?",
        (at_ms, draining, incarnation),
    )


def remove_owner(connection: sqlite3.Connection, incarnation: str) -> None:
    connection.execute("DELETE FROM owners WHERE incarnation = ?", (incarnation,))


def owners(connection: sqlite3.Connection) -> Sequence[OwnerRow]:
    found = connection.execute(
        "SELECT incarnation, name, pid, node, started_at_ms, beat_at_ms, draining"
        " FROM owners ORDER BY incarnation"
    )
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


def claim(connection: sqlite3.Connection, shard: str, owner: str, after_epoch: int) -> Claim | None:
    found = connection.execute(
        "SELECT epoch, next_position FROM shards WHERE name = ?", (shard,)
    ).fetchone()
    epoch, next_position = found or (0, 1)
    if epoch != after_epoch:
        return None
    connection.execute(
        "INSERT INTO shards (name, epoch, owner, next_position) VALUES (?, ?, ?, 1)"
        " ON CONFLICT (name) DO UPDATE SET epoch = excluded.epoch, owner = excluded.owner",
        (shard, epoch + 1, owner),
    )
    return Claim(shard=shard, epoch=epoch + 1, next_position=next_position)


def shards(connection: sqlite3.Connection) -> Sequence[ShardRow]:
    found = connection.execute("SELECT name, epoch, owner FROM shards ORDER BY number")
    return [ShardRow(shard=name, epoch=epoch, owner=owner) for name, epoch, owner in found]
