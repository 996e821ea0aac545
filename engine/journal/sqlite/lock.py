"""The lock of the writing process: held for its life, given up by the kernel when it dies.

SQLite's own locks would let two processes take turns; histories in memory would then diverge. The
text in the file is for people and error messages only, `flock` alone decides.
"""

from __future__ import annotations

import fcntl
import os
import platform
import time
from pathlib import Path

import msgspec

from ...errors import JournalLocked
from .faults import unusable_path


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """Who writes a journal, or wrote it last."""

    deployment_id: str
    pid: int
    node: str
    started_at_ms: int

    def __str__(self) -> str:
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.started_at_ms / 1000))
        return (
            f"deployment {self.deployment_id}, process {self.pid} on node {self.node!r}, "
            f"since {started}"
        )


def this_process(deployment_id: str) -> Holder:
    """Ourselves, as those will see us who find the journal locked."""
    return Holder(
        deployment_id=deployment_id,
        pid=os.getpid(),
        node=platform.node(),
        started_at_ms=time.time_ns() // 1_000_000,
    )


class FileLock:
    """Taken on construction; raises `JournalLocked` when another process, or this one, has it."""

    def __init__(self, journal: Path) -> None:
        self._path = journal.with_name(journal.name + ".lock")
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise unusable_path(error, journal) from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise JournalLocked(
                f"journal {journal} is written by {self._holder() or 'another process'}; "
                f"an SQLite journal has one writing process. Stop that one first, or use the "
                f"PostgreSQL journal, which many hosts and nodes can share"
            ) from error
        except OSError as error:
            os.close(self._file)
            raise unusable_path(error, journal) from error

    def _holder(self) -> str | None:
        try:
            return str(msgspec.json.decode(self._path.read_bytes(), type=Holder))
        except (OSError, msgspec.DecodeError):  # it is just being written
            return None

    def describe(self, holder: Holder) -> None:
        """Leave a note for those who find the lock taken."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, msgspec.json.encode(holder) + b"\n", 0)

    def release(self) -> None:
        """The file stays: removing it would let two processes lock two files of one name."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
