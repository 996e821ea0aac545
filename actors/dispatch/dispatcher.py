"""The `Dispatch` port over both lanes: tiny steps to the node's runners, others to the launcher."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from heliostat.engine.identity import Address, ExecutionKey

from .frames import AttemptKey
from .pool import RunnerPool
from .protocol import Assignment
from .ray_lane import RayLane


class Dispatcher:
    """Keeps the contract of `protocol.Dispatch`. Without a launcher every step goes to a runner."""

    def __init__(self, pool: RunnerPool, launcher: RayLane | None = None) -> None:
        self._pool, self._launcher = pool, launcher
        self._recovering = asyncio.Lock()

    def send(self, assignments: Sequence[Assignment]) -> None:
        launcher = self._launcher
        if launcher is None or not any(each.code.resources.any for each in assignments):
            self._pool.send(assignments)
            return
        self._pool.send([each for each in assignments if not each.code.resources.any])
        launcher.send([each for each in assignments if each.code.resources.any])

    def stop(self, attempts: Sequence[tuple[ExecutionKey, Address, int]]) -> None:
        launcher = self._launcher
        if launcher is not None:
            there = [each for each in attempts if launcher.knows((each[0], each[1]))]
            launcher.stop(there)
            attempts = [each for each in attempts if each not in there]
        if attempts:
            self._pool.stop(attempts)

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None:
        self._pool.acknowledge(attempts)
        if self._launcher is not None:
            self._launcher.acknowledge(attempts)

    async def recover(self) -> frozenset[AttemptKey]:
        async with self._recovering:
            found = await self._pool.recover()
            self._pool.start()  # not before: what runs already is found first
            if self._launcher is not None:
                found |= await self._launcher.recover()
            return found

    async def close(self) -> None:
        await self._pool.close()
        if self._launcher is not None:
            await self._launcher.close()
