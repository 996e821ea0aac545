"""The code that a compiled function's steps need, and what it is known by.

What is shipped are the modules that lie beside the function's own, and by value the steps that no
other process could import: those of a script, of a notebook, or within a function. A version should
be another one when that code does something else, and not when it was only moved or commented. So
its fingerprint is made of syntax trees without places, of functions in any order, and leaves out
what no runner ever runs: compiled functions, and what a module does as a script.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import io
import sys
import sysconfig
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from ..bundle import FUNCTIONS
from .known import Known

MAIN: Final = "__main__"
_COMPILED: Final = ("workflow", "block")


def folder_of(function: Callable[..., Any]) -> Path | None:
    """The folder whose modules a function is shipped with; None where it is installed, or nowhere.

    It is the one from which the function's own module is imported; of a script where it lies, of a
    notebook where it runs.
    """
    module = sys.modules.get(function.__module__)
    if module is None:
        return None
    file = getattr(module, "__file__", None)
    if file is None:
        return Path.cwd() if module.__name__ == MAIN else None
    spec = module.__spec__
    name = module.__name__ if spec is None else spec.name
    depth = name.count(".") if name != MAIN else 0
    if hasattr(module, "__path__"):
        depth += 1
    folder = Path(file).resolve().parents[depth]
    return None if _is_installed(folder) else folder


def modules_in(folder: Path) -> tuple[str, ...]:
    """The modules and packages of a folder that this process has imported."""
    found = {
        name
        for name, module in list(sys.modules.items())
        if "." not in name and name != MAIN and _parent_of(module) == folder
    }
    return tuple(sorted(found))


def fingerprint(bundle: bytes, by_value: Mapping[str, Callable[..., Any]]) -> str:
    """What stands for the code of a version, in hexadecimal.

    Args:
        bundle: the shipped modules and functions, as `bundle_modules` packs them.
        by_value: the functions among them, by the names that they are called by.
    """
    digest = hashlib.sha256()
    for name, text in _modules(bundle):
        digest.update(f"{name}\0{_content(text)}\0".encode())
    shipped = {function.__module__ for function in by_value.values()}
    known = Known(shipped)
    for name in sorted(by_value):
        digest.update(f"{name}\0{known.told(by_value[name])}\0".encode())
    return digest.hexdigest()


def _is_installed(folder: Path) -> bool:
    if {"site-packages", "dist-packages"} & set(folder.parts):
        return True
    return folder.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


def _parent_of(module: ModuleType) -> Path | None:
    """The folder that a top-level module or package lies in."""
    file = getattr(module, "__file__", None)
    if isinstance(file, str):
        return Path(file).resolve().parents[1 if hasattr(module, "__path__") else 0]
    places = list(getattr(module, "__path__", ()))  # a package without `__init__.py`
    return Path(places[0]).resolve().parent if places else None


def _modules(bundle: bytes) -> Iterator[tuple[str, bytes]]:
    if not bundle:
        return
    with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
        for name in sorted(archive.namelist()):
            if not name.startswith(FUNCTIONS):
                yield name, archive.read(name)


@functools.lru_cache(maxsize=4_096)  # one folder is shipped with many workflows
def _content(text: bytes) -> str:
    """What a module says, wherever in it and whatever is noted beside, as a hash."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):  # nothing that this Python reads, and shipped all the same
        return hashlib.sha256(text).hexdigest()
    marks = _marks(tree)
    defined: dict[str, list[str]] = {}
    others: list[str] = []
    for statement in tree.body:
        if _is_for_scripts(statement):
            continue
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            others.append(ast.dump(statement))
        elif not any(_marked_by(each) in marks for each in statement.decorator_list):
            defined.setdefault(statement.name, []).append(ast.dump(statement))
    told = "\n".join([*others, *(each for name in sorted(defined) for each in defined[name])])
    return hashlib.sha256(told.encode()).hexdigest()


def _marks(tree: ast.Module) -> set[str]:
    """What `@hs.workflow` and `@hs.block` are called in a module."""
    marks: set[str] = set()
    for statement in tree.body:
        if isinstance(statement, ast.Import):
            for each in statement.names:
                if each.name == "heliostat":
                    marks |= {f"{each.asname or each.name}.{mark}" for mark in _COMPILED}
        elif isinstance(statement, ast.ImportFrom) and statement.module == "heliostat":
            marks |= {
                each.asname or each.name for each in statement.names if each.name in _COMPILED
            }
    return marks


def _marked_by(decorator: ast.expr) -> str:
    return ast.unparse(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _is_for_scripts(statement: ast.stmt) -> bool:
    """Whether it is `if __name__ == "__main__":`, and nothing else."""
    if not isinstance(statement, ast.If) or statement.orelse:
        return False
    return ast.unparse(statement.test) == "__name__ == '__main__'"
