"""From a compiled function to the version that is registered, in the client's process.

A function brings everything along: the workflows that it starts, its steps, and the modules beside
its own. The version that its content makes is another one when a step's code, a child's version or
an option changes, and stays when the function only moved: see `engine/authoring/python/code.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from heliostat.actors.client.interface import Registrable
from heliostat.actors.client.registration import Prepared, in_namespace, named_by
from heliostat.actors.client.shipping import by_value
from heliostat.engine.authoring.activities import inspected, options_of
from heliostat.engine.authoring.bundle import bundle_modules
from heliostat.engine.authoring.canonical import canonical, content, identity
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.python.code import fingerprint, folder_of, modules_in
from heliostat.engine.authoring.python.decorators import WorkflowFunction
from heliostat.engine.errors import InputError
from heliostat.engine.identity import DEFAULT_NAMESPACE


def with_children(definitions: Iterable[Registrable]) -> list[Registrable]:
    """These, and behind them the workflows that functions among them start, each once."""
    found = list(definitions)
    for each in tuple(found):
        if isinstance(each, WorkflowFunction):
            found += [child for child in each.children() if not any(child is one for one in found)]
    return found


def prepare_function(
    workflow: WorkflowFunction[..., Any],
    *,
    namespace: str = DEFAULT_NAMESPACE,
    code_path: Sequence[Path] = (),
) -> Prepared:
    """Compile a function, look at its steps, pack its code.

    Args:
        namespace: of the definition.
        code_path: folders whose modules runners find without being sent them.

    Raises:
        DefinitionError: with every fault of the function.
        InputError: the code is too large, or a step cannot be shipped.
    """
    compiled = workflow.compiled
    definition = in_namespace(workflow.definition, namespace)
    seen = inspected(definition, registered=compiled.steps, annotated=True)
    activities = options_of(definition, seen)
    folder = folder_of(workflow.function)
    _check_folders(compiled.steps, folder, code_path)
    bundle = b""
    if compiled.steps:
        bundle = bundle_modules(
            folder or Path(),
            () if folder is None else modules_in(folder),
            functions={name: by_value(name, step) for name, step in compiled.by_value.items()},
        )
    functions = {name: step.function for name, step in compiled.by_value.items()}
    return Prepared(
        definition=definition,
        activities=activities,
        bundle=bundle,
        functions=seen,
        code_identity=fingerprint(bundle, functions) if bundle else None,
        by_content=not compiled.versioned,
    )


def unshipped(workflow: WorkflowFunction[..., Any]) -> Definition:
    """The definition for a deployment that is sent no code, its version made of all content.

    Raises:
        DefinitionError: with every fault of the function.
        InputError: it calls steps that no deployment could import.
    """
    compiled = workflow.compiled
    definition = workflow.definition
    if compiled.by_value:
        names = ", ".join(f"`{name}`" for name in compiled.by_value)
        raise InputError(
            f"over HTTP no code is shipped, and {definition.id!r} calls steps of a script or "
            f"notebook ({names}); put them into a module in the deployment's code folder "
            f"(`heliostat up --code`), or connect within the cluster, with `heliostat.connect()`"
        )
    if compiled.versioned:
        return definition
    folder = folder_of(workflow.function)
    bundle = bundle_modules(folder, modules_in(folder)) if folder and compiled.steps else b""
    children = {each.id: unshipped(each).version for each in workflow.children()}
    identified = canonical([identity(content(definition)), fingerprint(bundle, {}), children])
    return named_by(definition, hashlib.sha256(identified).hexdigest())


def _check_folders(
    steps: Mapping[str, Any], folder: Path | None, code_path: Sequence[Path]
) -> None:
    """Refuse a step that no runner would find."""
    found = {Path(each).resolve() for each in code_path}
    for name, step in steps.items():
        own = folder_of(step.function)
        if ":" in name and own not in (None, folder) and own not in found:
            raise InputError(
                f"step `{name}` lies in {own}, and the code that is shipped is that beside the "
                f"workflow, in {folder}; put the module there, install it as a package, or bring "
                f"the deployment up with `--code {own}`"
            )
