"""Workflows that are named on the command line: a file with a definition, or with functions."""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from heliostat.engine.errors import InputError

if TYPE_CHECKING:
    from heliostat.actors.client.interface import Registrable
    from heliostat.actors.client.registration import Prepared
    from heliostat.engine.authoring.activities import ActivityInfo
    from heliostat.engine.authoring.model import Definition
    from heliostat.engine.authoring.python.decorators import WorkflowFunction
    from heliostat.engine.plan.plan import Plan

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


def plan_named(named: str, definition: Definition) -> Plan:
    """The plan of what `definition_named` gives; of a workflow in Python with what the decorators
    of its steps say, such as `retry` and `timeout`."""
    from heliostat.engine.plan.compile import compile_plan

    workflow = workflow_named(named)
    return compile_plan(definition) if workflow is None else workflow.plan


def seen_functions(
    named: str, definition: Definition, code_path: Sequence[Path] = ()
) -> dict[str, ActivityInfo]:
    """The functions that a definition of `definition_named` calls, as far as they can be had: the
    modules beside the file are imported, and nothing of them is called.

    What modules print goes to the standard error.
    """
    from heliostat.engine.authoring.activities import inspected

    workflow = workflow_named(named)
    with contextlib.redirect_stdout(sys.stderr):
        if workflow is not None:
            return inspected(definition, registered=workflow.compiled.steps, annotated=True)
        places = [Path(named).resolve().parent, *code_path]
        return inspected(definition, places, annotated=True)


def registrables_named(named: Iterable[str]) -> list[Registrable]:
    """The files and functions that are named; behind them the workflows that functions start.

    Raises:
        InputError: there is no such workflow, or a module cannot be imported.
    """
    from heliostat.actors.client.functions import with_children

    return with_children(workflow_named(each) or Path(each) for each in named)


def prepared_named(
    named: Iterable[str], *, dev: bool, namespace: str, code_path: Sequence[Path]
) -> list[Prepared]:
    """The same, checked and with their code, before anybody is asked: faults in them need no
    deployment.

    Args:
        dev: register as `<version>+<hash>`, so that edits need no new version number.

    Raises:
        DefinitionError: one has faults.
        InputError: also where code cannot be shipped.
    """
    from heliostat.actors.client.functions import prepare_function
    from heliostat.actors.client.registration import prepare
    from heliostat.engine.authoring.python.decorators import WorkflowFunction

    def prepared(each: Registrable) -> Prepared:
        if isinstance(each, WorkflowFunction):
            found = prepare_function(each, namespace=namespace, code_path=code_path)
            return replace(found, by_content=dev or found.by_content)
        assert isinstance(each, Path)
        return prepare(each, dev=dev, namespace=namespace, code_path=code_path)

    return [prepared(each) for each in registrables_named(named)]


def simulable_named(named: Iterable[str]) -> list[Path | Plan]:
    """The same as the simulator takes them.

    Raises:
        DefinitionError: a function has faults.
        InputError: there is no such workflow, or a module cannot be imported.
    """
    from heliostat.engine.authoring.python.decorators import WorkflowFunction

    found: list[Path | Plan] = []
    for each in registrables_named(named):
        assert isinstance(each, WorkflowFunction | Path)
        found.append(each if isinstance(each, Path) else each.plan)
    return found


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
