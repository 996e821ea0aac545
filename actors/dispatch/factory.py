"""How runners come into being, and what a pool may ask about them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from heliostat.engine.errors import HeliostatError


class RunnerHandle(Struct, frozen=True):
    """A runner of this node: its name in reports, its number, and where it listens."""

    name: str
    index: int
    socket: Path


class RunnerNotStarted(HeliostatError):
    """A runner did not come up; its pool tries again later, with a pause."""


class RunnerFactory(Protocol):
    """Makes and ends the runners of one deployment on this node.

    Runners outlive the process that made them, so that `find` may name some that another made.
    """

    async def create(self, index: int, *, reserve: bool) -> RunnerHandle:
        """A new runner, which listens when this returns; bounded in time.

        Args:
            index: a number that no living runner of this node has.
            reserve: whether it takes its share of the node's CPUs in Ray's accounting. One that
                does not is the last resort when everything else is taken.

        Raises:
            RunnerNotStarted: it did not come up, and nothing of it is left.
        """
        ...

    async def find(self) -> Sequence[RunnerHandle]:
        """Every runner of the deployment that may still listen on this node."""
        ...

    async def discard(self, handle: RunnerHandle) -> str | None:
        """Clean up behind a runner whose process ended; how it ended, where that is known."""
        ...

    async def demand_waits(self) -> bool:
        """Whether somebody else waits for CPUs that runners of this node reserve."""
        ...

    async def close(self) -> None:
        """Let go of what this process holds; runners live on."""
        ...
