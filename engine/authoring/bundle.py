"""The code that is shipped with a version: the modules beside its definition, as one archive.

A bundle is a zip that Python can import from, and the same code always gives the same bytes: it
is known by its hash. Modules that lie elsewhere are not shipped and not pinned.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from ..errors import InputError

BUNDLE_BYTES_MAX: Final = 8 * 1024 * 1024
"""Of sources, unpacked; code that people write is far below, and each runner loads it."""

FILES_MAX: Final = 10_000
"""Files looked at: beyond that the definition lies in no project but in a home directory."""

FUNCTIONS: Final = "__functions__/"
"""Where in the archive functions given by value are, by their registered names."""

_SKIPPED: Final = frozenset(
    {"__pycache__", "node_modules", "site-packages", "venv", "env", "build", "dist"}
)
_TESTS: Final = frozenset({"tests", "test", "conftest.py"})
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say


class TooLarge(InputError):
    """The code beside a definition is more than a bundle holds; `what` says by how much."""

    def __init__(self, folder: str, what: str) -> None:
        super().__init__(folder, what)
        self.folder, self.what = folder, what

    def __str__(self) -> str:
        return (
            f"the Python code beside the definition, in {self.folder}, {self.what}. Move the "
            "definition into a folder of its own, or install the code as a package."
        )


def bundle_modules(
    folder: str | Path,
    entry_modules: Sequence[str],
    *,
    functions: Mapping[str, bytes] | None = None,
    tests: bool = False,
) -> bytes:
    """Pack the modules and packages in a folder, if activities name any of them.

    All of them, not only those named: what a module imports is not known before it runs. Empty
    bytes if there is nothing to ship.

    Args:
        entry_modules: those that activities name; if none of them lies in the folder, no module is
            packed.
        functions: functions given by value, pickled by the caller, by their registered names.
        tests: pack tests too.

    Raises:
        TooLarge: there is more code than a bundle holds.
    """
    root = Path(folder)
    named = {module.partition(".")[0] for module in entry_modules}
    here = {name for name in named if _is_module(root, name)}
    files: dict[str, bytes] = {}
    if here:
        files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in _sources(root, here, tests=tests)
        }
    for name, pickled in (functions or {}).items():
        files[f"{FUNCTIONS}{name}.pickle"] = pickled
    total = sum(len(data) for data in files.values())
    if total > BUNDLE_BYTES_MAX:
        by_size = sorted(files, key=lambda name: len(files[name]), reverse=True)
        largest = ", ".join(f"{name} ({len(files[name]):,})" for name in by_size[:3])
        raise TooLarge(
            str(root),
            f"has {total:,} bytes; {BUNDLE_BYTES_MAX:,} are shipped at most (largest: {largest})",
        )
    return _packed(files) if files else b""


def functions_of(bundle: bytes) -> dict[str, bytes]:
    """The pickled functions of a bundle, by their registered names."""
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {
            name.removeprefix(FUNCTIONS).removesuffix(".pickle"): archive.read(name)
            for name in archive.namelist()
            if name.startswith(FUNCTIONS)
        }


def hashes_of(bundle: bytes) -> dict[str, str]:
    """The hash of each file of a bundle, by its name; none of the empty one.

    That of a function given by value is empty: each process pickles the same function otherwise.
    """
    if not bundle:
        return {}
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        return {
            name: ""
            if name.startswith(FUNCTIONS)
            else hashlib.sha256(archive.read(name)).hexdigest()
            for name in archive.namelist()
        }


def _is_module(root: Path, name: str) -> bool:
    folder = root / name
    return (root / f"{name}.py").is_file() or (folder.is_dir() and any(folder.rglob("*.py")))


def _sources(root: Path, named: Iterable[str], *, tests: bool) -> Iterator[Path]:
    """Modules, packages, and of other folders those that an activity names."""
    seen = 0
    for parent, folders, files in os.walk(root):
        here = Path(parent)
        folders[:] = sorted(
            folder
            for folder in folders
            if not _skipped(folder, tests=tests)
            and not (here / folder / "pyvenv.cfg").exists()
            and (here != root or folder in named or (here / folder / "__init__.py").exists())
        )
        for file in sorted(files):
            seen += 1
            if seen > FILES_MAX:
                raise TooLarge(str(root), f"lies among more than {FILES_MAX:,} files")
            if file.endswith(".py") and not _skipped(file, tests=tests):
                yield here / file


def _skipped(name: str, *, tests: bool) -> bool:
    if name.startswith(".") or name in _SKIPPED or name.endswith((".egg-info", ".dist-info")):
        return True
    return not tests and (name in _TESTS or (name.startswith("test_") and name.endswith(".py")))


def _packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of the files; names sorted, no times, no modes, so that content alone decides.

    Not compressed: releases of zlib compress differently, and would give the same code two hashes.
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return buffer.getvalue()
