"""What every actor of a deployment is told when it is made; one frozen object, checked once.

It travels in constructors, which Ray repeats when it restarts an actor: so it holds what stays
true for a generation of the deployment, and nothing that one process found out.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct

from heliostat.actors import journals, names
from heliostat.actors.host.bounds import HostBounds
from heliostat.engine.errors import ConfigurationError

SHARDS: Final = 16
"""Of a new journal. Fixed when it is created; bounds how many hosts can share the work."""


class SupervisorBounds(Struct, frozen=True, kw_only=True):
    """When the supervisor acts, and how often."""

    look_ms: int = 500
    """Between two looks at owners and actors."""
    stale_ms: int = 3_000
    """A host on the supervisor's machine whose process is stopped (by `SIGSTOP`, a debugger), and
    whose row has not moved for this long, is killed: several beats, as short stops do no harm."""
    stuck_ms: int = 10_000
    """The same for one whose process runs as far as is known, and that does not answer either, or
    answers that its turns stand still: on a machine without a CPU to spare, or with a slow disk, a
    healthy host is silent for seconds, and killing it would only make more work."""
    answer_ms: int = 1_000
    """How long a host may take to answer when it is asked whether its turns move."""
    kill_pause_ms: int = 10_000
    """Between two kills of one host: a restarted process gets time to enter itself."""
    recreate_pause_ms: int = 5_000
    """Between two attempts to recreate one actor: doubled after each failure, 60 s at most."""


class Settings(Struct, frozen=True, kw_only=True):
    """A deployment, as its actors know it."""

    deployment: str
    """Its id, stored in its journal."""
    data_dir: str
    """Journal and blobs; with hosts on several nodes a folder that all of them share."""
    journal: str = journals.SQLITE
    """Where it is, as `journals.py` names it. May hold a password: `journals.shown` does not."""
    shard_count: int = SHARDS
    generation: int = 1
    hosts: int = 1
    runners: int | None = None
    """Warm runners of a node; None: one less than its CPUs, at least one."""
    semaphores: Mapping[str, int] = {}
    """Of the deployment, by name: how many its attempts may hold at a time."""
    autoscaling: bool = False
    """Whether Ray adds nodes on demand: what no node of today's can run then waits for one."""
    code: tuple[str, ...] = ()
    """Directories that runners import users' modules from, first one first."""
    secrets_file: str | None = None
    """Where runners find secrets that their environment does not have; the same path everywhere."""
    dedicated_spares: int = 0
    """Actors that wait for a dedicated execution, so that it begins without a process's start."""
    node_resource: str | None = None
    """The custom resource that pins hosts, launcher and supervisor; None: any node."""
    objects_bytes: int | None = None
    """Of Ray's object store, for values that pass from step to step; None: a fifth of a node's,
    0: none, they pass as blobs."""
    socket_dir: str | None = None
    """Where the local lane's sockets lie; None: a private directory of this user."""
    orphan_ms: int = 600_000
    """A runner without an owner for this long exits."""
    host: HostBounds = HostBounds()
    supervisor: SupervisorBounds = SupervisorBounds()

    @property
    def journal_path(self) -> Path:
        return Path(self.data_dir) / "journal"

    @property
    def blobs_path(self) -> Path:
        return Path(self.data_dir) / "blobs"

    @property
    def environments_path(self) -> Path:
        return Path(self.data_dir) / "environments"

    def host_name(self, index: int) -> str:
        return names.host_name(self.deployment, self.generation, index)

    def __repr__(self) -> str:
        return journals.shown_in(self, self.journal)


def check(settings: Settings) -> Settings:
    """The settings as they are; raises `ConfigurationError` that names the key and the value."""
    if not settings.deployment:
        raise ConfigurationError("deployment is empty; it is the id stored in the journal")
    if settings.hosts < 1:
        raise ConfigurationError(f"hosts is {settings.hosts}; a deployment needs at least 1")
    journals.checked(settings.journal)
    if settings.hosts > 1 and settings.journal == journals.SQLITE:
        raise ConfigurationError(
            f"hosts is {settings.hosts}, but the SQLite journal in {settings.data_dir!r} has one "
            f"writing host; set hosts to 1, or set journal to a postgresql:// URL to share the work"
        )
    if settings.hosts > 1 and settings.journal == journals.MEMORY:
        raise ConfigurationError(
            f"hosts is {settings.hosts}, but a memory journal lives in one host; set hosts to 1"
        )
    if settings.shard_count < 1:
        raise ConfigurationError(f"shard_count is {settings.shard_count}; it must be at least 1")
    if settings.runners is not None and settings.runners < 1:
        raise ConfigurationError(f"runners is {settings.runners}; it must be at least 1")
    if not Path(settings.data_dir).is_absolute():
        raise ConfigurationError(
            f"data_dir is {settings.data_dir!r}; it must be absolute, since actors start elsewhere"
        )
    return settings
