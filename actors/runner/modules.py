"""Code bundles on this machine: unpacked by hash, and one at a time importable.

Two bundles may contain modules of the same name. The modules of the bundle in use are the only
ones in `sys.modules` and its folder stands first on `sys.path`; switching takes them out and puts
the other's back as they were, so that a module's state lives as long as the process. Modules that
are not shipped come from the folders given as `--code` and from what is installed.
"""

from __future__ import annotations

import importlib
import io
import shutil
import sys
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Final
from uuid import uuid4

from heliostat.engine.journal.protocol import BlobStore

BUNDLE_BYTES_MAX: Final = 256 * 1024 * 1024
"""Unpacked; what lies beside a workflow's file is source, not data."""

_UNPACKED: Final = ".unpacked"

_NEVER_SHIPPED: Final = frozenset(sys.stdlib_module_names) | {"__main__", "heliostat", "ray"}
"""This process runs on these; a shipped file of such a name does not take their place."""


class CodeError(ImportError):
    """A code bundle cannot be used."""


class Bundle:
    """One unpacked bundle and the modules loaded from it so far."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.module_names = frozenset(_module_names(folder)) - _NEVER_SHIPPED
        self.modules: dict[str, ModuleType] = {}
        self.hidden: dict[str, ModuleType] = {}  # of the same names, found elsewhere earlier


class Modules:
    """What can be imported in this process."""

    def __init__(self, blobs: BlobStore, scratch: Path, paths: Sequence[str] = ()) -> None:
        self._blobs, self._scratch = blobs, scratch
        self._bundles: dict[str, Bundle] = {}
        self._active: Bundle | None = None
        self._paths = tuple(paths)
        for path in reversed(paths):
            if path not in sys.path:
                sys.path.insert(0, path)

    @property
    def shipped(self) -> Path | None:
        """The folder of the bundle in use."""
        return None if self._active is None else self._active.folder

    def use(self, name: str | None) -> Bundle | None:
        """Make the modules of a bundle importable, in place of those of the one before.

        Raises:
            CodeError: the blob is gone, or is no bundle.
        """
        active = self._active
        if (None if active is None else active.name) == name:
            return active
        bundle = None if name is None else self._bundles.get(name) or self._unpack(name)
        if active is not None:
            for module in active.module_names & sys.modules.keys():
                active.modules[module] = sys.modules.pop(module)
            sys.modules.update(active.hidden)
            if str(active.folder) in sys.path:
                sys.path.remove(str(active.folder))
        if bundle is not None:
            bundle.hidden = {
                module: sys.modules.pop(module)
                for module in bundle.module_names & sys.modules.keys()
            }
            sys.modules.update(bundle.modules)
            sys.path.insert(0, str(bundle.folder))
        self._active = bundle
        return bundle

    def folders(self, name: str | None) -> tuple[str, ...]:
        """Where another process finds the modules of a bundle, and those that are not shipped.

        Raises:
            CodeError: the blob is gone, or is no bundle.
        """
        if name is None:
            return self._paths
        bundle = self._bundles.get(name) or self._unpack(name)
        return (str(bundle.folder), *self._paths)

    def _unpack(self, name: str) -> Bundle:
        folder = self._scratch / name.rpartition("/")[2]
        if not (folder / _UNPACKED).exists():
            self._write(name, folder)
            importlib.invalidate_caches()
        bundle = self._bundles[name] = Bundle(name, folder)
        return bundle

    def _write(self, name: str, folder: Path) -> None:
        """Unpack beside the place and rename, since runners of a node share the folder."""
        unfinished = folder.with_name(f".{folder.name}-{uuid4().hex}")
        try:
            with zipfile.ZipFile(io.BytesIO(self._blobs.get(name))) as archive:
                _check(archive, name)
                unfinished.mkdir(parents=True, mode=0o700)
                archive.extractall(unfinished)
            (unfinished / _UNPACKED).touch()
            unfinished.rename(folder)
        except zipfile.BadZipFile as error:
            raise CodeError(f"the blob {name!r} is no code bundle: {error}") from error
        except OSError as error:
            if not (folder / _UNPACKED).exists():  # else another runner was faster
                raise CodeError(f"the code bundle {name!r} cannot be unpacked: {error}") from error
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)


def _check(archive: zipfile.ZipFile, name: str) -> None:
    size = 0
    for entry in archive.infolist():
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts:
            raise CodeError(f"the code bundle {name!r} names a file outside: {entry.filename!r}")
        size += entry.file_size
    if size > BUNDLE_BYTES_MAX:
        raise CodeError(
            f"the code bundle {name!r} has {size:,} bytes unpacked; at most {BUNDLE_BYTES_MAX:,}"
        )


def _module_names(folder: Path) -> list[str]:
    names = []
    for file in folder.rglob("*.py"):
        parts = file.relative_to(folder).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        names += [".".join(parts[: depth + 1]) for depth in range(len(parts))]
    return names
