"""The port to the actors that carry dedicated executions. Nothing here is proof of anything: who
owns a shard is in the journal."""

from __future__ import annotations

from typing import Protocol

from heliostat.engine.identity import ExecutionKey


class Carriers(Protocol):
    """Makes actors, and tells spare ones what to carry. Every method may raise whatever says that
    it could not; it is called again."""

    async def ensure(self, key: ExecutionKey) -> None:
        """Have an actor under the execution's own name; harmless where there is one."""
        ...

    async def carry(self, spare: str, key: ExecutionKey) -> bool:
        """Give an execution to a spare actor; False where that one has one already."""
        ...

    async def make_spare(self) -> str:
        """Have one more spare actor; its name."""
        ...


class NoCarriers:
    """Where no actors can be made: dedicated executions start and wait."""

    async def ensure(self, key: ExecutionKey) -> None:
        """Nothing."""

    async def carry(self, spare: str, key: ExecutionKey) -> bool:
        return False

    async def make_spare(self) -> str:
        raise NotImplementedError("no actors can be made here")
