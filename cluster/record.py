"""`deployment.json` in the data directory: which processes and which Ray belong to a deployment.

A hint, never the truth: whoever reads it checks that the processes named still run. It is written
before what it names is asked to do anything, so that a crash in `up` leaves nothing that the next
`up` or `down` could not find and end. Writers hold the lock of the data directory.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

from heliostat.actors import journals
from heliostat.cluster.processes import Process, is_alive
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import JournalLocked, JournalUnavailable

_RECORD = "deployment.json"
_LOCK = "deployment.lock"


class RayRecord(Struct, frozen=True, kw_only=True):
    """The Ray of a deployment."""

    address: str | None = None  # None while it starts
    owned: bool = True  # started by us, so that `down` ends it
    holder: Process | None = None  # the process that Ray's own processes end with
    processes: tuple[Process, ...] = ()
    temp_dir: str | None = None
    dashboard: str | None = None


class HttpRecord(Struct, frozen=True, kw_only=True):
    """The HTTP door of a deployment."""

    host: str
    port: int
    app: str = "heliostat"  # what Ray Serve calls it
    prefix: str = ""  # of its paths, where others have the root
    slower: str | None = None  # why it is slower than it could be, and the cure

    @property
    def address(self) -> str:
        """Where it is asked on this machine."""
        host, port = self.reached
        return f"http://{f'[{host}]' if ':' in host else host}:{port}{self.prefix}"

    @property
    def here_only(self) -> bool:
        """Whether it is reached from this machine alone."""
        return self.host in ("localhost", "::1") or self.host.startswith("127.")

    @property
    def reached(self) -> tuple[str, int]:
        """Host and port that it is connected to on this machine."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host), self.port


class DeploymentRecord(Struct, frozen=True, kw_only=True):
    """What `up`, or an embedded `connect`, started."""

    mode: Literal["background", "embedded"]
    deployment_id: str
    generation: int
    node_resource: str | None  # pins its actors to the node of its data directory; None: any node
    code: str  # where its runners find modules that are not shipped
    ray: RayRecord
    started_at_ms: int
    journal: str | None = None  # a PostgreSQL URL, which may hold a password
    hosts: int = 1
    http: HttpRecord | None = None  # None: without
    calendars: dict[str, Calendar] = {}  # as configured then, for clients that read no such file
    semaphores: dict[str, int] | None = (
        None  # as it came up with; None: written by a release before
    )
    versions: dict[str, str] = {}  # heliostat, ray, python: what the processes run
    directory: str | None = None  # set by `write_record`: which data directory it was written to

    @property
    def ray_lives(self) -> bool:
        """False when the Ray named has surely ended; True of one that only somebody else knows."""
        holder = self.ray.holder
        return self.ray.address is not None and (holder is None or is_alive(holder))

    def __repr__(self) -> str:
        return journals.shown_in(self, self.journal)


def read_record(data_dir: Path) -> DeploymentRecord | None:
    """The record; None when there is none, or one that this version cannot read.

    Nor is one that came along in a copy of another data directory: what it names is not ours.
    """
    try:
        record = msgspec.json.decode((data_dir / _RECORD).read_bytes(), type=DeploymentRecord)
    except (FileNotFoundError, NotADirectoryError, msgspec.DecodeError):
        return None
    return record if record.directory is None or _is_its_own(record, data_dir) else None


def write_record(data_dir: Path, record: DeploymentRecord) -> None:
    """Replace the record; readers see the old one or the new one, whole. Others may not read it:
    the journal's URL may hold a password."""
    record = msgspec.structs.replace(record, directory=_identity(data_dir))
    path = data_dir / _RECORD
    unfinished = path.with_suffix(".new")
    unfinished.unlink(missing_ok=True)  # whoever may read an old one keeps it open, not this one
    file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as output:
        output.write(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    unfinished.replace(path)


def remove_record(data_dir: Path) -> None:
    """Nothing is deployed here any more."""
    (data_dir / _RECORD).unlink(missing_ok=True)


def _is_its_own(record: DeploymentRecord, data_dir: Path) -> bool:
    """Whether a record was written to this very directory.

    Nodes of somebody else's Ray may share it over a network, under a device number of their own.
    """
    here = _identity(data_dir)
    if record.ray.owned:
        return record.directory == here
    return str(record.directory).rpartition("-")[2] == here.rpartition("-")[2]


def _identity(data_dir: Path) -> str:
    """The same when the directory is renamed, another one for a copy of it."""
    stat = data_dir.stat()
    return f"{stat.st_dev:x}-{stat.st_ino:x}"


@contextmanager
def locked(data_dir: Path, *, timeout_ms: int) -> Iterator[None]:
    """Only one process at a time brings a deployment up or down; the lock ends with its process.

    Raises:
        JournalLocked: another process had it for the whole time.
        JournalUnavailable: the directory cannot be made or written.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = os.open(data_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalUnavailable(
            f"the data directory {data_dir} cannot be used ({error.strerror}); name another "
            f"one with --data"
        ) from error
    try:
        _lock(file, data_dir, timeout_ms)
        yield
    finally:
        os.close(file)


def _lock(file: int, data_dir: Path, timeout_ms: int) -> None:
    """`flock` has no timeout of its own, and a signal for one is the main thread's alone."""
    end_at = time.monotonic() + timeout_ms / 1_000
    while True:
        try:
            return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end_at:
                raise JournalLocked(
                    f"another process has been bringing the deployment in {data_dir} up or down "
                    f"for {timeout_ms / 1_000:g} s; wait for it, or end it"
                ) from None
            time.sleep(_LOCK_POLL_S)


_LOCK_POLL_S = 0.05
