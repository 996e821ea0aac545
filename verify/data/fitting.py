"""Where a data field can have no value that meets a schema, by the types of its expressions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from heliostat.engine.authoring.annotations import strictly
from heliostat.engine.authoring.schemas import faults, validator
from heliostat.engine.authoring.source import Path as Field
from heliostat.engine.expressions import (
    Data,
    Expression,
    Names,
    Template,
    Type,
    render_type,
    type_from_schema,
    type_of,
)
from heliostat.engine.expressions.types import OBJECT, STRING
from heliostat.engine.values import Json
from heliostat.verify.data.places import known

_DEFINITIONS = "$defs"


def unfit(
    data: Data, schema: Any, names: Names, *, within: Field = ()
) -> Iterator[tuple[Field, str]]:
    """Where no value that a data field can have meets a schema, and why.

    Args:
        within: the part of the field that the schema is of.
    """
    value = data.value
    for key in within:
        value = value[key]
    yield from _Fitting(dict(data.parts()), names).unfit(value, within, schema)


class _Fitting:
    def __init__(self, parts: Mapping[Field, Expression | Template], names: Names) -> None:
        self._parts, self._names = parts, names

    def unfit(self, value: Json, place: Field, schema: Any) -> Iterator[tuple[Field, str]]:
        schema = _resolved(schema)
        if not isinstance(schema, Mapping):
            return
        if self._constant(place):
            yield from _judged(value, place, schema)
            return
        found = self._type(value, place)
        if place in self._parts:
            yield from _clashes(found, schema, place)
            return
        if not found.kinds & type_from_schema(schema).kinds:
            yield place, _needed(found, schema)
        elif isinstance(value, dict):
            yield from self._members(value, place, schema)
        elif isinstance(value, list) and "items" in schema:
            for at, item in enumerate(value):
                yield from self.unfit(item, (*place, at), _inner(schema, schema["items"]))

    def _constant(self, place: Field) -> bool:
        return not any(each[: len(place)] == place for each in self._parts)

    def _type(self, value: Json, place: Field) -> Type:
        match self._parts.get(place):
            case Expression() as part:
                return _resting(type_of(part, self._names))
            case Template():
                return STRING
        return Type(known(value).kinds)

    def _members(
        self, value: Mapping[str, Json], place: Field, schema: Mapping[str, Any]
    ) -> Iterator[tuple[Field, str]]:
        properties = _properties(schema)
        for name in schema.get("required", ()):
            if name not in value:
                yield place, _missing(name)
        for name, item in value.items():
            if name in properties:
                inner = _inner(schema, properties[name])
                yield from self.unfit(item, (*place, name), inner)
            elif _closed(schema):
                yield (*place, name), _unknown(name, properties)


def _clashes(found: Type, schema: Any, place: Field) -> Iterator[tuple[Field, str]]:
    """Where no value of a type meets a schema: its kinds, and the members that it surely has."""
    schema = _resolved(schema)
    if not isinstance(schema, Mapping):
        return
    if not found.kinds & type_from_schema(schema).kinds:
        yield place, _needed(found, schema)
        return
    if found.kinds != OBJECT.kinds:
        return
    properties = _properties(schema)
    for name in schema.get("required", ()):
        if found.member(name) is None:
            yield place, _missing(name)
    for name, member in found.fields.items():
        there = "null" not in member.kinds
        if name in properties and (there or name in schema.get("required", ())):
            inner = _inner(schema, properties[name])
            for _, message in _clashes(member, inner, place):
                yield place, f"`{name}`: {message}"
        elif name not in properties and there and _closed(schema):
            yield place, _unknown(name, properties)


def _judged(value: Json, place: Field, schema: Mapping[str, Any]) -> Iterator[tuple[Field, str]]:
    """A value that is known: it meets the schema, or is told by what the type itself asks for."""
    if "$ref" in str(schema) and any(faults(schema)):
        return  # a reference to another part of the schema that this was a part of
    judge = validator(schema)
    told = None if judge is None else judge(value)
    if told is not None:
        plainly = validator(strictly(schema))
        yield place, f"it does not fit {(plainly and plainly(value)) or told}"


def _properties(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    found = schema.get("properties")
    return found if isinstance(found, Mapping) else {}


def _closed(schema: Mapping[str, Any]) -> bool:
    return schema.get("additionalProperties") is False and "patternProperties" not in schema


def _needed(found: Type, schema: Any) -> str:
    wanted = render_type(type_from_schema(strictly(schema)))
    return f"{render_type(found)} stands where {wanted} is needed"


def _missing(name: str) -> str:
    return f"`{name}` is missing, which is required"


def _unknown(name: str, properties: Mapping[str, Any]) -> str:
    return f"`{name}` is not among {', '.join(map(str, properties))}"


def _inner(schema: Mapping[str, Any], part: Any) -> Any:
    """A part of a schema, with what its references lead to."""
    if _DEFINITIONS not in schema or not isinstance(part, Mapping) or _DEFINITIONS in part:
        return part
    return {**part, _DEFINITIONS: schema[_DEFINITIONS]}


def _resolved(schema: Any) -> Any:
    """Behind the references at its top; anything where one leads elsewhere, or in a circle."""
    seen = set[str]()
    while isinstance(schema, Mapping) and isinstance(name := schema.get("$ref"), str):
        definitions = schema.get(_DEFINITIONS, {})
        short = name.removeprefix("#/$defs/")
        if name in seen or short == name or short not in definitions:
            return True
        seen.add(name)
        schema = _inner(schema, definitions[short])
    return schema


def _resting(type: Type) -> Type:
    """The type of a value at rest, where times are texts."""
    if not type.kinds & {"instant", "duration"}:
        return type
    kinds = (type.kinds - {"instant", "duration"}) | {"string"}
    return Type(kinds, type.fields, type.closed, type.items)
