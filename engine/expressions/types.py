"""What is known about a value before there is one: which kinds it may have, and its members.

A `Type` is a promise about what *may* be: everything possible is in it, and what is not known is
`ANY`. The checker reports only what no value of the type could do. Types come from JSON Schemas;
what a schema says beyond kinds, members and elements (ranges, patterns) is not kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from msgspec import Struct

Schema: TypeAlias = Any
"""A JSON Schema: an object, or `true` or `false`."""

SCHEMA_DEPTH_MAX: Final = 12
"""Levels of a schema that are read: below that, and where it refers to itself, all is `ANY`."""


class Type(Struct, frozen=True):
    """The kinds a value may have; of objects the known members, of arrays the elements' type.

    `closed` means that an object has no members but `fields`. A member that may be absent has
    null among its kinds, as reading it gives null.
    """

    kinds: frozenset[str]
    fields: dict[str, Type] = {}
    closed: bool = False
    items: Type | None = None

    def member(self, name: str) -> Type | None:
        """The type of a member; `None` if no value of this type has it."""
        if name in self.fields:
            found = self.fields[name]
            return found if self.kinds == {"object"} else union(found, NULL)
        return None if self.closed and "object" in self.kinds else ANY

    def element(self) -> Type:
        """The type of an element of the arrays of this type."""
        return self.items if self.items is not None else ANY


_JSON_KINDS: Final = frozenset({"null", "boolean", "number", "string", "array", "object"})
ANY: Final = Type(_JSON_KINDS | {"instant", "duration"})
JSON: Final = Type(_JSON_KINDS)
NULL: Final = Type(frozenset({"null"}))
BOOLEAN: Final = Type(frozenset({"boolean"}))
NUMBER: Final = Type(frozenset({"number"}))
STRING: Final = Type(frozenset({"string"}))
ARRAY: Final = Type(frozenset({"array"}))
OBJECT: Final = Type(frozenset({"object"}))
INSTANT: Final = Type(frozenset({"instant"}))
DURATION: Final = Type(frozenset({"duration"}))
NUMBERS: Final = Type(frozenset({"array"}), items=NUMBER)
STRINGS: Final = Type(frozenset({"array"}), items=STRING)


def union(*types: Type) -> Type:
    """A value of any of these types."""
    if len(types) == 1:
        return types[0]
    kinds = frozenset().union(*(each.kinds for each in types))
    objects = [each for each in types if "object" in each.kinds]
    arrays = [each for each in types if "array" in each.kinds]
    names = dict.fromkeys(name for each in objects for name in each.fields)
    fields: dict[str, Type] = {}
    for name in names:
        found = [each.member(name) for each in objects]
        fields[name] = union(*(NULL if each is None else each for each in found))
    closed = bool(objects) and all(each.closed for each in objects)
    items = None
    if arrays and all(each.items is not None for each in arrays):
        items = union(*(each.element() for each in arrays))
    return Type(kinds, fields, closed, items)


def object_type(fields: Mapping[str, Type]) -> Type:
    """An object with exactly these members."""
    return Type(OBJECT.kinds, dict(fields), closed=True)


def array_type(items: Type) -> Type:
    """An array of such elements."""
    return Type(ARRAY.kinds, items=items)


def type_from_schema(schema: Schema) -> Type:
    """The type that a JSON Schema promises; members it does not declare count as unknown names.

    A schema that lists `properties` is taken to list them all unless it says
    `additionalProperties`, so that a misspelt member is found when the definition is registered.
    """
    return _read(schema, schema, SCHEMA_DEPTH_MAX)


def render_type(type: Type) -> str:
    """A type for people: `number or null`, `object {id, total}`, `array of string`."""
    if type.kinds >= _JSON_KINDS:
        return "anything"
    parts = []
    for name in sorted(type.kinds, key=lambda kind: (kind == "null", kind)):
        if name == "object" and type.fields:
            more = "" if type.closed else ", …"
            parts.append(f"object {{{', '.join(type.fields)}{more}}}")
        elif name == "array" and type.items is not None and not type.items.kinds >= _JSON_KINDS:
            parts.append(f"array of {render_type(type.items)}")
        else:
            parts.append(name)
    return " or ".join(parts) if parts else "nothing"


_SCHEMA_KINDS: Final = {"integer": "number"} | {kind: kind for kind in _JSON_KINDS}
_PYTHON_KINDS: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
}


def _read(schema: Schema, root: Schema, depth: int) -> Type:
    if not isinstance(schema, Mapping) or depth == 0:
        return JSON
    if isinstance(reference := schema.get("$ref"), str):
        return _read(_resolve(reference, root), root, depth - 1)
    for word in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(word), Sequence) and options:
            return union(*(_read(option, root, depth - 1) for option in options))
    if "const" in schema:
        return Type(frozenset({_PYTHON_KINDS[type(schema["const"])]}))
    if isinstance(values := schema.get("enum"), Sequence) and values:
        return Type(frozenset(_PYTHON_KINDS[type(value)] for value in values))
    if isinstance(parts := schema.get("allOf"), Sequence) and len(parts) == 1:
        return _read(parts[0], root, depth - 1)
    kinds = _kinds(schema)
    fields: dict[str, Type] = {}
    required = schema.get("required", ())
    properties = schema.get("properties")
    if "object" in kinds and isinstance(properties, Mapping):
        for name, inner in properties.items():
            found = _read(inner, root, depth - 1)
            fields[name] = found if name in required else union(found, NULL)
    closed = "object" in kinds and (
        schema.get("additionalProperties") is False
        or (
            bool(fields)
            and not {"additionalProperties", "patternProperties", "allOf"} & set(schema)
        )
    )
    items = _read(schema["items"], root, depth - 1) if "items" in schema else None
    return Type(kinds, fields, closed, items if "array" in kinds else None)


def _kinds(schema: Mapping[str, Any]) -> frozenset[str]:
    stated = schema.get("type")
    if isinstance(stated, str):
        return frozenset({_SCHEMA_KINDS[stated]}) if stated in _SCHEMA_KINDS else _JSON_KINDS
    if isinstance(stated, Sequence):
        return frozenset(_SCHEMA_KINDS[name] for name in stated if name in _SCHEMA_KINDS)
    return OBJECT.kinds if "properties" in schema else _JSON_KINDS


def _resolve(reference: str, root: Schema) -> Schema:
    """What a reference within the schema points to; one that leads elsewhere promises nothing."""
    if not reference.startswith("#/"):
        return root if reference == "#" else True
    found = root
    for part in reference[2:].split("/"):
        if not isinstance(found, Mapping) or part not in found:
            return True
        found = found[part]
    return found
