"""Are the schemas of input and output, and the forms that people fill in, JSON Schemas?"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..diagnostics import Findings
from ..model import Definition, HumanStep
from ..schemas import faults
from ..scopes import Scope
from ..source import Path


def check(definition: Definition, scopes: Sequence[Scope], findings: Findings) -> bool:
    """Note the faults of all schemas; whether there are none."""
    sound = True
    for place, schema in _schemas(definition, scopes):
        for path, message in () if schema is None else faults(schema):
            findings.add("HS020", (*place, *path), message, "see JSON Schema, draft 2020-12")
            sound = False
    return sound


def _schemas(
    definition: Definition, scopes: Sequence[Scope]
) -> Iterator[tuple[Path, Mapping[str, Any] | None]]:
    yield ("input_schema",), definition.input_schema
    yield ("output_schema",), definition.output_schema
    for index, point in enumerate(definition.intervention_points):
        yield ("intervention_points", index, "form"), point.form
    for scope in scopes:
        for number, step in enumerate(scope.steps):
            if isinstance(step, HumanStep):
                yield (*scope.step_path(number), "form"), step.form
