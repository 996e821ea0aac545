"""Workflows that are named on the command line: a file with a definition, or with functions."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.engine.authoring.model import Definition
    from heliostat.engine.authoring.python.decorators import WorkflowFunction

_IN_A_MODULE: Final = re.compile(r"(?P<file>.+\.py)(:(?P<name>\w+))?")


def definition_named(named: str) -> Definition:
    """The definition in a YAML or JSON file, or of the function that `shop.py:checkout` names.

    A module with one workflow needs no name behind its file.

    Raises:
        DefinitionError: it has faults.
        InputError: there is no such file or workflow, or the module cannot be imported.
    """
    workflow = workflow_named(named)
    if workflow is None:
        from heliostat.engine.authoring.loading import load_definition

        return load_definition(named)
    return workflow.compiled.definition


def workflow_named(named: str) -> WorkflowFunction[..., object] | None:
    """The function that `shop.py:checkout` names; None where something else is named.

    Raises:
        InputError: there is no such file or workflow, or the module cannot be imported.
    """
    found = _IN_A_MODULE.fullmatch(named)
    return None if found is None else _workflow(Path(found["file"]), found["name"])


def _workflow(file: Path, name: str | None) -> WorkflowFunction[..., object]:
    from heliostat.engine.authoring.python.decorators import WorkflowFunction

    if not file.is_file():
        raise InputError(f"there is no file {file}")
    sys.path.insert(0, str(file.parent.resolve()))  # what it imports lies beside it
    try:
        module = importlib.import_module(file.stem)
    except Exception as error:  # a user's module may raise anything
        raise InputError(f"{file} cannot be imported: {type(error).__name__}: {error}") from error
    finally:
        sys.path.pop(0)
    imported = Path(getattr(module, "__file__", None) or "")
    if imported.resolve() != file.resolve():
        raise InputError(
            f"{file} cannot be imported: {imported} is imported as `{file.stem}` already; give the "
            "file another name"
        )
    there = {key: each for key, each in vars(module).items() if isinstance(each, WorkflowFunction)}
    if name is None and len(there) == 1:
        return next(iter(there.values()))
    if name in there:
        return there[name]
    if not there:
        raise InputError(f"{file} has no workflow: mark a function with @hs.workflow")
    wanted = f"no workflow {name!r}" if name is not None else "several workflows"
    raise InputError(f"{file} has {wanted}: write {file}:NAME with one of {', '.join(there)}")
