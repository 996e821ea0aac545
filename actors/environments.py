"""Runtime environments of steps, as Ray takes them for a single task or actor.

Ray uploads a directory of `working_dir` or `py_modules` only for a whole job. Here each becomes an
archive below a folder that every node sees, named by its content, and Ray is given its URI. What
is a URI already, and everything else of an environment, is passed on as it is.

Reads and writes files: call it in a thread. Two processes that make the same archive make one.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from heliostat.engine.errors import HeliostatError

ARCHIVE_BYTES_MAX: Final = 500 * 1024 * 1024
"""Of the files of one directory: what Ray itself allows."""

_PASSED_BY: Final = frozenset({"__pycache__", ".git", ".venv", "venv"})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a ZIP can say: content alone counts
_TOP: Final = "content"  # Ray takes a single outermost directory away


class EnvironmentFault(HeliostatError):
    """A directory of a runtime environment cannot be packed; the message names it and the cure."""


def resolved(environment: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The environment with its directories packed below `folder`.

    Raises:
        EnvironmentFault: one is missing, relative, or too large.
    """
    made = dict(environment)
    if isinstance(working_dir := made.get("working_dir"), str):
        made["working_dir"] = _uri(working_dir, folder, "working_dir", keep_name=False)
    if isinstance(modules := made.get("py_modules"), list):
        made["py_modules"] = [
            _uri(each, folder, "py_modules", keep_name=True) if isinstance(each, str) else each
            for each in modules
        ]
    return made


def _uri(place: str, folder: Path, field: str, *, keep_name: bool) -> str:
    """`keep_name`: the directory itself is what is imported, not what lies in it."""
    if "://" in place:
        return place
    path = Path(place)
    if not path.is_absolute():
        raise EnvironmentFault(
            f"`{field}` of the runtime_env is {place!r}; it must be an absolute path that the "
            f"deployment's nodes see, or a URI such as s3://…/code.zip"
        )
    if not path.is_dir():
        raise EnvironmentFault(f"`{field}` of the runtime_env names no directory: {place!r}")
    archive = folder / f"{_hash(path, field, keep_name=keep_name)}.zip"
    if not archive.exists():
        _pack(path, archive, keep_name=keep_name)
    return archive.as_uri()


def _files(root: Path) -> Iterator[Path]:
    for parent, directories, files in os.walk(root):
        directories[:] = sorted(set(directories) - _PASSED_BY)
        yield from (Path(parent) / name for name in sorted(files))


def _hash(root: Path, field: str, *, keep_name: bool) -> str:
    hash, size = blake2b(digest_size=20), 0
    if keep_name:
        hash.update(root.name.encode())
    for file in _files(root):
        size += file.stat().st_size
        if size > ARCHIVE_BYTES_MAX:
            raise EnvironmentFault(
                f"`{field}` of the runtime_env has more than {ARCHIVE_BYTES_MAX >> 20} MiB in "
                f"{str(root)!r}; keep data elsewhere, or give a URI"
            )
        content = file.read_bytes()
        for part in (str(file.relative_to(root)).encode(), content):
            hash.update(len(part).to_bytes(8, "big"))
            hash.update(part)
    return hash.hexdigest()


def _pack(root: Path, archive: Path, *, keep_name: bool) -> None:
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_name(f".{uuid4().hex}")
    top = f"{_TOP}/{root.name}" if keep_name else _TOP
    try:
        with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as made:
            made.writestr(zipfile.ZipInfo(f"{_TOP}/", _EPOCH), b"")
            for file in _files(root):
                entry = zipfile.ZipInfo(f"{top}/{file.relative_to(root)}", _EPOCH)
                entry.external_attr = file.stat().st_mode << 16
                entry.compress_type = zipfile.ZIP_DEFLATED
                made.writestr(entry, file.read_bytes())
        unfinished.replace(archive)
    finally:
        unfinished.unlink(missing_ok=True)
