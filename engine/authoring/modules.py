"""Importing a user's modules in this process, and leaving nothing of it behind.

Registration looks at functions in the client's process. That process may hold modules of the same
names from another folder, and may register a second folder later: so what lies in the folder is
imported afresh, and the interpreter is put back as it was.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType


@contextmanager
def importing_from(folders: Sequence[str | Path]) -> Iterator[None]:
    """While inside, `import` finds modules in the folders first; afterwards all is as before.

    Modules that lie in the folders are forgotten at the end, others stay imported, as they would
    after any import. No byte code is written into the folders. Not for use by two threads at once:
    the import system has one state.
    """
    roots = [Path(folder).resolve() for folder in folders]
    path, writes = list(sys.path), sys.dont_write_bytecode
    before = set(sys.modules)
    hidden = _hide(roots)
    sys.path[:0] = [str(root) for root in roots]
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = writes
        for name in set(sys.modules) - before | set(hidden):
            module = sys.modules.get(name)
            if module is not None and _lies_in(module, roots):
                del sys.modules[name]
        sys.modules.update(hidden)
        for root in roots:  # finders of the folders would keep its file names
            for cached in [entry for entry in sys.path_importer_cache if entry == str(root)]:
                del sys.path_importer_cache[cached]


def _hide(roots: Sequence[Path]) -> dict[str, ModuleType]:
    """Take out modules whose names a folder has too, with all that lies below them."""
    taken = {
        found.stem
        for root in roots
        if root.is_dir()
        for found in root.iterdir()
        if found.suffix == ".py" or (found.is_dir() and (found / "__init__.py").exists())
    }
    taken -= set(sys.stdlib_module_names) | {"__main__"}
    names = [name for name in sys.modules if name.partition(".")[0] in taken]
    return {name: sys.modules.pop(name) for name in names}


def _lies_in(module: ModuleType, roots: Sequence[Path]) -> bool:
    file = getattr(module, "__file__", None)
    places = [file] if file is not None else list(getattr(module, "__path__", []))
    return any(Path(place).resolve().is_relative_to(root) for place in places for root in roots)
