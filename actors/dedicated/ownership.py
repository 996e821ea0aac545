"""What the actor of a dedicated execution owns: the execution's shard, and nothing else.

It claims that shard once. When somebody claimed it after that, another actor carries the execution
by now, and this one has nothing left to do: it must not claim back, or the two would go on so.
"""

from __future__ import annotations

from typing import Any

from heliostat.actors.host.ownership import Looked, OwnedShard, Ownership
from heliostat.engine.identity import ExecutionKey, dedicated_shard
from heliostat.engine.journal.protocol import ShardRow


class DedicatedOwnership(Ownership):
    """Knows who owns the shared shards, as every host; is no candidate for them."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._key: ExecutionKey | None = None
        self._claimed = False
        self.superseded = False
        """Another actor carries the execution by now; or there is none to carry."""

    @property
    def key(self) -> ExecutionKey | None:
        """The execution; None while this is a spare actor."""
        return self._key

    def carry(self, key: ExecutionKey) -> bool:
        """Take an execution; the next look claims it. False: there is one already."""
        if self._key is not None or self.draining:
            return False
        self._key = key
        self.dedicated.learn(key)
        return True

    def shard_name(self, key: ExecutionKey) -> str:
        return dedicated_shard(key) if key == self._key else super().shard_name(key)

    def start_shard(self, key: ExecutionKey) -> str:
        return dedicated_shard(key) if key == self._key else super().start_shard(key)

    def guard_of(self, key: ExecutionKey) -> str | None:
        """The host that guards an execution, where one is known."""
        return self.owner_elsewhere(super().start_shard(key))

    def owner_elsewhere(self, shard: str) -> str | None:
        if self._key is not None and shard == dedicated_shard(self._key):
            return None
        return super().owner_elsewhere(shard)

    @property
    def serves(self) -> bool:
        """Whether the execution is served here."""
        return any(shard.serving for shard in self.shards.values())

    @property
    def alone(self) -> bool:
        return False

    async def look(self) -> Looked:
        looked = await super().look()
        if self._key is None:
            return looked
        name = dedicated_shard(self._key)
        seen = self.dedicated.seen.get(name)
        owned = self.shards.get(name)
        if seen is None:
            self.superseded = True  # never started, or purged
            return looked
        lost: tuple[OwnedShard, ...] = ()
        if owned is not None:
            if seen.epoch <= owned.epoch:
                return looked
            self.forget(owned)
            lost = (owned,)
        if self._claimed and seen.owner != self.incarnation:
            self.superseded = True
            return Looked(looked.claimed, (*looked.lost, *lost))
        claim = await self._claim(ShardRow(shard=name, epoch=seen.epoch, owner=seen.owner))
        if claim is None:
            return Looked(looked.claimed, (*looked.lost, *lost))
        self._claimed = True
        return Looked((*looked.claimed, claim), (*looked.lost, *lost))
