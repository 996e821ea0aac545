"""From a marked function to a definition: the object that YAML gives, checked like any other."""

from __future__ import annotations

import hashlib
import inspect
import json
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from ...errors import DefinitionError
from ..diagnostics import Diagnostic
from ..loading import checked
from ..model import Definition
from . import types
from .frame import Program, stop
from .lowering import Lowering
from .source import Place


@dataclass(frozen=True)
class Compiled:
    """A definition, and what is known of the function that it comes from."""

    definition: Definition
    steps: dict[str, Any] = field(default_factory=dict)
    """The steps that it calls, by the names that the definition calls them."""
    workflows: dict[str, Any] = field(default_factory=dict)
    """The workflows that it starts, by their ids."""
    targets: dict[str, str] = field(default_factory=dict)
    """By a step's id, the name of the function that it calls."""
    warnings: tuple[str, ...] = ()
    places: dict[str, Place] = field(default_factory=dict)
    """By a step's id, where in the source it stands."""
    undone: tuple[Diagnostic, ...] = ()
    """Why it cannot be registered: it registers compensation."""
    versioned: bool = False
    """The user said a version; else it is made of the content."""
    named: tuple[tuple[str, dict[str, Any], Any], ...] = ()
    """The names outside that were looked up, where, and what they stood for."""

    @property
    def is_current(self) -> bool:
        """Whether names outside stand for what they stood for: a notebook's cells run again."""
        return all(space.get(name) is found for name, space, found in self.named)

    @property
    def by_value(self) -> dict[str, Any]:
        """Of the steps, those that no module holds under the name that they are called by."""
        return {name: step for name, step in self.steps.items() if ":" not in name}


def compile_function(function: Any, id: str, options: dict[str, Any]) -> Compiled:
    """Compile a function that is marked as a workflow.

    Args:
        function: the function itself.
        id: the definition's id.
        options: further fields of the definition.

    Raises:
        DefinitionError: with a diagnostic for each fault of the function and its blocks.
    """
    program = Program()
    lowering = Lowering(program, function)
    lowering.parameters()
    lowering.compile()
    stop(program, function.__qualname__)
    tree: dict[str, Any] = {"id": id, "version": "0", **options}
    documented = inspect.getdoc(function)
    if documented:
        tree.setdefault("description", documented)
    tree["input_schema"] = _input_schema(function, lowering)
    returned = lowering.hints.get("return", Any)
    tree["output_schema"] = types.schema_of(returned, output=True)
    tree = {name: value for name, value in tree.items() if value is not None}
    if lowering.scope.variables:
        tree["vars"] = lowering.scope.variables
    tree["steps"] = lowering.scope.tree()
    tree["output"] = lowering.output
    if "version" not in options:
        tree["version"] = _version(tree)
    # Behind the version, since a function that only moved is the same.
    tree["metadata"] = {
        "python": {
            "function": f"{function.__module__}:{function.__qualname__}",
            "places": {id: str(place) for id, place in program.places.items()},
        }
    }
    return Compiled(
        definition=_definition(tree, program, function),
        steps=program.steps,
        workflows=program.workflows,
        targets=program.targets,
        warnings=tuple(program.warnings),
        places=program.places,
        undone=tuple(program.undone),
        versioned="version" in options,
        named=tuple((name, space, found) for (name, _), (space, found) in program.named.items()),
    )


def _version(tree: dict[str, Any]) -> str:
    """A version that is another one when anything is."""
    text = json.dumps(tree, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _input_schema(function: Any, lowering: Lowering) -> dict[str, Any] | None:
    parameters: dict[str, tuple[Any, Any]] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        default = ... if parameter.default is parameter.empty else parameter.default
        parameters[name] = (lowering.hints.get(name, Any), default)
    return types.parameters_schema(parameters)


def _definition(tree: dict[str, Any], program: Program, function: Any) -> Definition:
    """The definition; what the checks find is told at the place in the source."""
    name = function.__qualname__
    try:
        return checked(Definition.model_validate(tree))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        fault = Diagnostic(file=name, code="HS013", field=place, message=first["msg"])
        raise DefinitionError(name, [fault]) from error
    except DefinitionError as error:
        raise DefinitionError(
            name, [_placed(each, program) for each in error.diagnostics]
        ) from None


def _placed(fault: Diagnostic, program: Program) -> Diagnostic:
    place = program.places.get(fault.step or "")
    if place is None:
        return fault
    return Diagnostic(
        file=place.file,
        line=place.line,
        column=place.column,
        code=fault.code,
        step=fault.step,
        field=fault.field,
        message=fault.message,
        cure=fault.cure,
        source_line=place.text.rstrip("\n"),
        caret=(place.column - 1, len(place.text.rstrip())),
    )
