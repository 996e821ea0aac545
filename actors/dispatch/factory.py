"""How runners come into being, and what a pool may ask about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from heliostat.engine.errors import HeliostatError
from heliostat.engine.values import Json

from .transport import Transport


class RunnerHandle(Struct, frozen=True, kw_only=True):
    """A runner: its name in reports, and how it is reached."""

    name: str
    index: int  # among those of the host that made it
    socket: Path | None = None  # None: on another node
    env: str = ""  # key of its runtime environment
    feeds: bool = True
    """Whether this host made it, in this process life or an earlier one, and sends its work."""


class RunnerSpec(Struct, frozen=True, kw_only=True):
    """A runner to be made."""

    index: int
    """A number that no living runner of this host has."""
    node: str = ""  # Ray's id; empty: this one
    cpus: float = 0.0
    """Reserved in Ray's accounting; 0 is the last resort when everything else is taken."""
    env: str = ""
    runtime_env: Mapping[str, Json] | None = None


class RunnerNotStarted(HeliostatError):
    """A runner did not come up; its pool tries again later, with a pause."""


class EnvironmentNotMade(HeliostatError):
    """The runtime environment of a runner cannot be set up; trying again would not help."""


class RunnerFactory(Protocol):
    """Makes, finds and ends the runners of one deployment.

    Runners outlive the process that made them, so that `find` may name some that another made.
    """

    @property
    def node(self) -> str:
        """Ray's id of this process's node; empty without Ray."""
        ...

    def name(self, index: int, env: str = "") -> str:
        """What the runner with this number is, or will be, called."""
        ...

    async def create(self, spec: RunnerSpec) -> RunnerHandle:
        """A new runner, which can be connected when this returns; bounded in time.

        Raises:
            RunnerNotStarted: it did not come up, and nothing of it is left.
            EnvironmentNotMade: nor would it at another try.
        """
        ...

    async def find(self) -> Sequence[RunnerHandle]:
        """Every runner of the deployment that may still live, other hosts' included."""
        ...

    def connect(self, handle: RunnerHandle) -> Transport:
        """A way to the runner, not opened yet."""
        ...

    async def discard(self, handle: RunnerHandle) -> str | None:
        """Clean up behind a runner whose process ended; how it ended, where that is known."""
        ...

    async def share(self) -> float:
        """What a runner reserves of a node's CPUs, where it reserves any."""
        ...

    async def node_count(self) -> int:
        """Nodes on which runners may be."""
        ...

    async def demand_waits(self) -> bool:
        """Whether somebody else waits for CPUs that runners reserve."""
        ...

    async def close(self) -> None:
        """Let go of what this process holds; runners live on."""
        ...
