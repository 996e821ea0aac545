"""Types that cannot fit: outputs and their schema, inputs of children and theirs, operators.

What registration tells of one expression at a time (`authoring/checks`) is told here with what is
known of all: of what kinds variables are by all that is assigned to them, and what the definitions
that are asked about together take.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from heliostat.engine.authoring.checks.slots import slots_of_step
from heliostat.engine.authoring.model import Definition
from heliostat.engine.authoring.schemas import validator
from heliostat.engine.authoring.scopes import Scope, scopes_of
from heliostat.engine.authoring.source import Path as Field
from heliostat.engine.expressions import (
    Data,
    Expression,
    Names,
    Template,
    Type,
    check,
    parse_data,
    parse_expression,
    render_type,
    type_from_schema,
    type_of,
)
from heliostat.engine.expressions.types import JSON, NULL, STRING, union
from heliostat.engine.plan.plan import StepPlan
from heliostat.verify.data.places import INPUT, Places


@dataclass(frozen=True, slots=True, kw_only=True)
class Misfit:
    """What can have no value, or none that its schema allows."""

    message: str
    step: str | None = None
    field: Field = ()


class Types:
    """Asks about the types of one definition."""

    def __init__(self, places: Places, beside: Mapping[str, Definition]) -> None:
        """
        Args:
            beside: the other definitions that are asked about, by id.
        """
        self._places, self._plan, self._beside = places, places.plan, beside
        # kinds alone: what members an assigned object has is not followed
        self._variables = {key: Type(each.kinds) for key, each in places.variables.items()}

    def misfits(self) -> Iterator[Misfit]:
        """All that is certainly wrong."""
        definition = self._places.definition
        for scope in scopes_of(definition):
            yield from self._clashes(scope)
        if definition.given("output") and definition.output_schema is not None:
            names = self._names(self._plan.root.number, None)
            for field, message in unfit(
                parse_data(definition.output), definition.output_schema, names
            ):
                yield Misfit(message=f"{message}: `output_schema`", field=("output", *field))
        for step in self._plan.steps:
            child = None if step.child is None else self._beside.get(step.child.workflow)
            if child is None or child.input_schema is None or step.retired:
                continue
            given = step.input if step.input is not None else parse_data(None)
            for field, message in unfit(given, child.input_schema, self._names(step.scope, step)):
                yield Misfit(
                    message=f"{message}: `input_schema` of `{child.id}`",
                    step=step.id,
                    field=("input", *field) if step.input is not None else (),
                )

    def _clashes(self, scope: Scope) -> Iterator[Misfit]:
        """Operators and functions that nothing can be given to of the kinds that variables have."""
        for index, each in enumerate(scope.steps):
            step, path = self._plan.steps[self._plan.step_by_id[each.id]], scope.step_path(index)
            for slot in slots_of_step(each, path):
                names = self._names(step.scope, step)
                part = parse_expression(slot.value) if slot.expression else parse_data(slot.value)
                for problem in check(part, names, expect=slot.wanted):
                    if problem.code in ("HS105", "HS106"):
                        field = (*slot.path[len(path) :], *problem.path)
                        yield Misfit(message=problem.message, step=each.id, field=field)

    def _names(self, scope: int, step: StepPlan | None) -> Names:
        variables: dict[str, Type] = {}
        for each in reversed([*self._places.chain(scope)]):
            for name in each.variables:
                variables[name] = self._variables[each.number, name]
            foreach = None if each.owner is None else self._plan.steps[each.owner].foreach
            if foreach is not None and foreach.alias is not None:
                variables[foreach.alias] = JSON
        if step is not None and step.foreach is not None and step.foreach.alias is not None:
            variables[step.foreach.alias] = JSON
        outputs = self._places.outputs
        return Names(
            input=self._places.type(INPUT),
            vars=variables,
            steps=outputs,
            has_item=True,
            has_output=True,
            output=JSON if step is None else union(outputs[step.id], NULL),
            has_error=True,
            has_event=True,
            has_secrets=True,
        )


def unfit(data: Data, schema: Any, names: Names) -> Iterator[tuple[Field, str]]:
    """Where no value that a data field can have meets a schema, and why."""
    parts = dict(data.parts())
    if not parts:
        judge = validator(schema)
        told = None if judge is None else judge(data.value)
        if told is not None:
            yield (), f"it does not fit {told}"
        return
    yield from _unfit(data.value, (), schema, parts, names)


def _unfit(
    value: Any,
    place: Field,
    schema: Any,
    parts: Mapping[Field, Expression | Template],
    names: Names,
) -> Iterator[tuple[Field, str]]:
    if not isinstance(schema, Mapping):
        return
    wanted, part = type_from_schema(schema), parts.get(place)
    found = None
    match part:
        case Expression():
            found = _resting(type_of(part, names))
        case Template():
            found = STRING
        case _ if isinstance(value, dict):
            found = Type(frozenset({"object"}))
        case _ if isinstance(value, list):
            found = Type(frozenset({"array"}))
    if found is not None and not found.kinds & wanted.kinds:
        yield place, f"{render_type(found)} stands where {render_type(wanted)} is needed"
        return
    if part is not None or not isinstance(value, dict):
        return
    properties = schema.get("properties")
    properties = properties if isinstance(properties, Mapping) else {}
    for name in schema.get("required", ()):
        if name not in value:
            yield place, f"`{name}` is missing, which is required"
    for name, item in value.items():
        if name in properties:
            yield from _unfit(item, (*place, name), properties[name], parts, names)
        elif schema.get("additionalProperties") is False and "patternProperties" not in schema:
            yield (*place, name), f"`{name}` is not among {', '.join(map(str, properties))}"


def _resting(type: Type) -> Type:
    """The type of a value at rest, where times are texts."""
    if not type.kinds & {"instant", "duration"}:
        return type
    kinds = (type.kinds - {"instant", "duration"}) | {"string"}
    return Type(kinds, type.fields, type.closed, type.items)
