"""Which executions are known to be dedicated, and which actor carries each.

That an execution is dedicated never changes, so what is known here is right; what is not known is
found out where it matters: a load, a refused start and a look at the journal's shards tell. Who
carries it does change, and is as old as the last look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec import Struct

from heliostat.engine.identity import ExecutionKey, dedicated_key, dedicated_shard

KNOWN_MAX: Final = 10_000
"""Dedicated executions remembered; of one that is forgotten, the next load tells again."""


class SeenShard(Struct, frozen=True):
    """The shard of a dedicated execution, as a look at the journal found it."""

    epoch: int
    owner: str | None
    """An incarnation; it may be gone."""
    carrier: str | None
    """The name of the living actor that owns it: no host."""


class Registry:
    """Asked at every stimulus whose execution is not in memory; touched on the event loop only."""

    def __init__(self) -> None:
        self._known: dict[ExecutionKey, str] = {}
        self.seen: dict[str, SeenShard] = {}
        """By shard, all that the last look found."""
        self.carried = False
        """Whether any actor carries one: then things happen in the journal without hosts."""
        self.wanted: Callable[[ExecutionKey], None] = lambda _: None
        """Somebody has something for an execution that no living actor is known to carry."""

    def __bool__(self) -> bool:
        return bool(self._known)

    def learn(self, key: ExecutionKey) -> None:
        """An execution turned out to be dedicated."""
        if key not in self._known:
            if len(self._known) >= KNOWN_MAX:
                del self._known[next(iter(self._known))]
            self._known[key] = dedicated_shard(key)

    def shard(self, key: ExecutionKey) -> str | None:
        """Its shard, where it is known to be dedicated."""
        return self._known.get(key)

    def look(self, seen: dict[str, SeenShard]) -> None:
        """All shards of dedicated executions, as they are now."""
        self.seen = seen
        self.carried = any(each.carrier is not None for each in seen.values())

    def carrier(self, shard: str) -> str | None:
        """The actor that carries the execution of a shard; where there is none it is wanted."""
        found = self.seen.get(shard)
        if found is not None and found.carrier is not None:
            return found.carrier
        key = dedicated_key(shard)
        if key is not None:
            self.wanted(key)
        return None
