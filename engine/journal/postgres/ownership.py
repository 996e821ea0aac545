"""The locks of shards; who lives and who owns which shard: `sql/ownership.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from psycopg import Cursor

from .connections import Database
from .values import Texts

# Locked in the order of the names; what is read is what the lock was waited for.
_LOCK: Final = (
    "SELECT name, number, epoch, next_position, purged FROM shards"
    " WHERE name = ANY (%b::text[]) ORDER BY name FOR UPDATE"
)


class LockedShard(NamedTuple):
    """A shard as it is until the transaction ends."""

    name: str
    number: int
    epoch: int
    next_position: int
    purged: int


def lock_shards(connection: Database, names: Collection[str]) -> Cursor[tuple[Any, ...]]:
    """Lock those that exist; `locked` reads the result, when it is needed."""
    return connection.execute(_LOCK, (Texts(tuple(names)),), binary=True)


def locked(cursor: Cursor[tuple[Any, ...]]) -> Mapping[str, LockedShard]:
    """The shards that `lock_shards` has locked, by name."""
    return {row[0]: LockedShard(*row) for row in cursor.fetchall()}
