"""The `Dispatch` port over everything that makes attempts.

Tiny steps go to warm runners, those of their runtime environment, and nobody is asked. An attempt
that declares resources, or takes a semaphore of the deployment, waits for its slot lease first
(`leases.py`); then one with resources becomes a Ray task of the launcher on the lease's node, one
with semaphores alone goes to a runner like a tiny step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Protocol, TypeAlias

from heliostat.engine.identity import Address, ExecutionKey
from heliostat.engine.scheduling.protocol import SlotLease

from .frames import AttemptKey
from .leases import AttemptLeases
from .protocol import Assignment

Stop: TypeAlias = tuple[ExecutionKey, Address, int]


class Runners(Protocol):
    """Warm runners, as the dispatcher sees them (`pool.py`)."""

    def send(self, assignments: Sequence[Assignment]) -> None: ...
    def stop(self, attempts: Sequence[Stop]) -> None:
        """One that is unknown here has ended without a trace: it is reported as over."""
        ...

    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None: ...
    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None: ...
    def knows(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, or its report is not acknowledged yet."""
        ...

    def runs(self, attempt: AttemptKey) -> bool:
        """Whether it waits or runs here, and its end has not been reported."""
        ...

    async def recover(self, shards: Collection[str] = ()) -> frozenset[AttemptKey]: ...
    def start(self) -> None:
        """Begin to have runners; after the first `recover`."""
        ...

    async def close(self) -> None: ...


class Tasks(Protocol):
    """Ray tasks of the launcher, as the dispatcher sees them (`ray_lane.py`)."""

    def send_to(self, placed: Sequence[tuple[Assignment, str | None]]) -> None: ...
    def stop(self, attempts: Sequence[Stop]) -> None: ...
    def acknowledge(self, attempts: Sequence[AttemptKey]) -> None: ...
    def knows(self, attempt: AttemptKey) -> bool: ...
    def runs(self, attempt: AttemptKey) -> bool: ...
    def node_of(self, attempt: AttemptKey) -> str | None: ...
    async def recover(self) -> frozenset[AttemptKey]: ...
    async def close(self) -> None: ...


class Dispatcher:
    """Keeps the contract of `protocol.Dispatch`.

    Without a launcher every step goes to a runner; without leases none waits for capacity. With
    them, both lanes report to `leases.deliver`.
    """

    def __init__(
        self,
        pool: Runners,
        launcher: Tasks | None = None,
        leases: AttemptLeases | None = None,
    ) -> None:
        self._pool, self._launcher, self._leases = pool, launcher, leases
        if leases is not None:
            leases.start = self._start
        self._recovering = asyncio.Lock()

    def send(self, assignments: Sequence[Assignment]) -> None:
        if self._leases is not None:
            self._leases.placement.dispatched(len(assignments))
        if all(each.is_tiny for each in assignments):
            self._pool.send(assignments)
            return
        tiny: list[Assignment] = []
        large: list[Assignment] = []
        for each in assignments:
            (tiny if each.is_tiny else large).append(each)
        if tiny:
            self._pool.send(tiny)
        fresh = [each for each in large if not self._knows((each.key, each.at))]
        if self._leases is not None:
            self._leases.want(fresh)
        else:
            self._give((each, None) for each in fresh)

    def hold(self, shard: str, epoch: int, assignments: Sequence[Assignment]) -> None:
        leases, launcher = self._leases, self._launcher
        if leases is None:
            return
        found: list[tuple[Assignment, str | None]] = []
        for each in assignments:
            attempt = (each.key, each.at)
            if each.is_tiny:
                continue
            if launcher is not None and launcher.runs(attempt):
                found.append((each, launcher.node_of(attempt)))
            elif self._pool.runs(attempt):
                found.append((each, None))
        leases.hold(shard, epoch, found)

    def stop(self, attempts: Sequence[Stop]) -> None:
        leases, launcher = self._leases, self._launcher
        if leases is not None:
            waiting = [(key, at) for key, at, _ in attempts if leases.waits((key, at))]
            if waiting:
                leases.stop(waiting)
                attempts = [each for each in attempts if (each[0], each[1]) not in waiting]
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

    def forget(self, is_lost: Callable[[ExecutionKey], bool]) -> None:
        self._pool.forget(is_lost)
        if self._leases is not None:
            self._leases.forget(is_lost)

    def reasons(self, attempts: Sequence[AttemptKey]) -> Mapping[AttemptKey, str]:
        return {} if self._leases is None else self._leases.reasons(attempts)

    async def recover(self, shards: Collection[str] = ()) -> frozenset[AttemptKey]:
        async with self._recovering:
            found = await self._pool.recover(shards)
            self._pool.start()  # not before: what runs already is found first
            if self._launcher is not None:
                found |= await self._launcher.recover()
            if self._leases is None:
                return found
            self._leases.placement.begin()
            return found | self._leases.waiting

    async def close(self) -> None:
        await self._pool.close()
        if self._launcher is not None:
            await self._launcher.close()
        if self._leases is not None:
            await self._leases.placement.close()

    # where an attempt goes

    def _knows(self, attempt: AttemptKey) -> bool:
        """Whether it was given to a lane, and has not been acknowledged."""
        launcher = self._launcher
        return (launcher is not None and launcher.knows(attempt)) or self._pool.knows(attempt)

    def _start(self, granted: Sequence[tuple[Assignment, SlotLease]]) -> None:
        self._give((assignment, lease.node) for assignment, lease in granted)

    def _give(self, granted: Iterable[tuple[Assignment, str | None]]) -> None:
        """Have attempts made whose capacity is theirs, in this order."""
        launcher = self._launcher
        to_runners: list[Assignment] = []
        to_launcher: list[tuple[Assignment, str | None]] = []
        for assignment, node in granted:
            if launcher is not None and assignment.code.resources.reserves:
                to_launcher.append((assignment, node))
            else:
                to_runners.append(assignment)
        if to_runners:
            self._pool.send(to_runners)
        if to_launcher and launcher is not None:
            launcher.send_to(to_launcher)
