"""Blobs as files `namespace/ab/sha256` below one root, written by many processes at once.

A blob appears whole, by rename, after its bytes are synced. Writers of a folder share its lock and
the sweep takes it alone, so that what a writer just found there cannot be swept before its time is
refreshed. The lock is a file and not the folder itself, which network file systems cannot lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from ..errors import InputError, JournalUnavailable, NotFound
from ..identity import NAME

_HASH: Final = re.compile(r"[0-9a-f]{64}")
_LOCK: Final = ".lock"  # names of blobs and namespaces begin with a letter or digit
_UNFINISHED: Final = ".put-"

PART: Final = 500
"""Names that `aged` lists at once: what one question to the journal asks about."""


class FileBlobStore:
    """A folder on a disk, or on a file system that nodes share; keeps the `BlobStore` contract."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, namespace: str, content: bytes) -> str:
        """Raises `InputError` for a bad namespace, `JournalUnavailable` for a full disk."""
        if NAME.fullmatch(namespace) is None:
            raise InputError(f"{namespace!r} cannot be the namespace of a blob")
        digest = sha256(content).hexdigest()
        path = self._root / namespace / digest[:2] / digest
        try:
            _make_folders(path.parent)
            with _locked(path.parent, fcntl.LOCK_SH):
                if not _refreshed(path):
                    _write(path, content)
                _sync(path.parent)
        except OSError as error:
            raise JournalUnavailable(
                f"a value of {len(content):,} bytes cannot be stored below {self._root} "
                f"({error.strerror} at {error.filename}): give that folder space and let this "
                f"user write it"
            ) from error
        return f"{namespace}/{digest}"

    def get(self, name: str) -> bytes:
        """The bytes of a blob; raises `NotFound`."""
        path = self._path(name)
        try:
            if path is not None:
                return path.read_bytes()
        except FileNotFoundError:
            pass
        raise NotFound("blob", name)

    def exists(self, name: str) -> bool:
        """Whether it can be read now."""
        path = self._path(name)
        return path is not None and path.exists()

    def aged(self, *, older_than_s: float) -> Iterator[Sequence[str]]:
        """In parts; what a writer left unfinished for so long is deleted on the way."""
        for folder in sorted(self._root.glob("*/[0-9a-f][0-9a-f]")):
            before = time.time() - older_than_s
            old = [
                path for path in _entries(folder) if path.name != _LOCK and _is_older(path, before)
            ]
            unfinished = [path for path in old if path.name.startswith(_UNFINISHED)]
            if unfinished:
                _delete(folder, unfinished, older_than_s)
            names = [f"{folder.parent.name}/{each.name}" for each in old if each not in unfinished]
            for start in range(0, len(names), PART):
                yield names[start : start + PART]

    def delete(self, names: Sequence[str], *, older_than_s: float) -> int:
        """Those that are still old once no writer is at them; how many."""
        folders: dict[Path, list[Path]] = {}
        for path in filter(None, map(self._path, names)):
            folders.setdefault(path.parent, []).append(path)
        return sum(_delete(folder, paths, older_than_s) for folder, paths in folders.items())

    def _path(self, name: str) -> Path | None:
        """None for a name that no blob can have, above all one that leads out of the root."""
        namespace, _, digest = name.partition("/")
        if NAME.fullmatch(namespace) is None or _HASH.fullmatch(digest) is None:
            return None
        return self._root / namespace / digest[:2] / digest


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except FileNotFoundError:  # somebody tidies the disk beside us
        return []


def _delete(folder: Path, paths: Sequence[Path], older_than_s: float) -> int:
    """Delete what is still old once no writer is in the folder."""
    if not folder.is_dir():
        return 0
    deleted = 0
    with _locked(folder, fcntl.LOCK_EX):
        before = time.time() - older_than_s
        for path in paths:
            if _is_older(path, before):  # it may have been put since it was listed
                path.unlink(missing_ok=True)
                deleted += 1
    return deleted


def _refreshed(path: Path) -> bool:
    try:
        os.utime(path)
    except FileNotFoundError:
        return False
    return True


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f"{_UNFINISHED}{uuid4().hex}")
    try:
        with unfinished.open("xb", buffering=0) as file:
            written = 0
            while written < len(content):
                written += file.write(memoryview(content)[written:])
            os.fsync(file.fileno())
        unfinished.rename(path)
    except OSError:
        unfinished.unlink(missing_ok=True)
        raise


def _make_folders(folder: Path) -> None:
    """Create what is missing, each entry synced in the folder above it."""
    if folder.is_dir():
        return
    _make_folders(folder.parent)
    folder.mkdir(exist_ok=True)
    _sync(folder.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_older(path: Path, before: float) -> bool:
    try:
        return path.stat().st_mtime <= before
    except FileNotFoundError:
        return False


@contextmanager
def _locked(folder: Path, mode: int) -> Iterator[None]:
    descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, mode)
        yield
    finally:
        os.close(descriptor)
