"""What a runner is told when it is made."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from msgspec import Struct

from heliostat.actors.objects.keeper import ObjectsSettings

ORPHAN_MS: Final = 600_000
"""Without an owner for this long a runner exits: a deployment that went away leaves no process."""

NICE: Final = 10
"""A recovering host gets the CPU first."""

OOM_SCORE_ADJ: Final = 800
"""Of 1,000: when memory runs out, the kernel ends a runner before a host."""


class RunnerSettings(Struct, frozen=True, kw_only=True):
    """One runner. Travels in a Ray actor's constructor, or on a command line."""

    name: str
    deployment: str
    socket: str
    blobs: str  # the folder of the file blob store
    node: str = ""  # Ray's id of where it runs
    cpus: float = 0.0  # reserved in Ray's accounting
    objects: ObjectsSettings | None = None  # None: large values pass as files
    code: tuple[str, ...] = ()  # folders to import users' modules from, first one first
    secrets_file: str | None = None  # of those that the environment does not have
    scratch: str | None = None  # unpacked code bundles; None: beside the socket
    orphan_ms: int = ORPHAN_MS
    nice: int = NICE
    oom_score_adj: int = OOM_SCORE_ADJ

    @property
    def scratch_path(self) -> Path:
        return Path(self.scratch) if self.scratch else Path(self.socket).parent / "code"
