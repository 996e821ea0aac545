"""Values: one that a JSON Schema allows, others at its edges, and trees put together of leaves."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from heliostat.engine.values import Json
from heliostat.verify.cases.flows import LENGTHS
from heliostat.verify.cases.leaves import ELEMENT, Place, Uses

DEPTH_MAX: Final = 8
"""Of schemas that refer to themselves."""

SOME: Final = "some"
"""A text of which nothing is known."""

_TEXTS: Final = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT1S",
    "email": "ann@example.org",
    "uri": "https://example.org/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Length:
    """In place of a value: a list of so many elements."""

    count: int


def sample(schema: Schema, root: Schema | None = None, depth: int = 0) -> Json:
    """A value that a schema allows, as far as it says so by type, range, length and choice.

    Whoever uses it has the schema judge it: `pattern`, `not` and conditions are not read.
    """
    root = schema if root is None else root
    schema = _resolved(schema, root)
    for key in ("const", "default"):
        if key in schema:
            fixed: Json = schema[key]
            return fixed
    if schema.get("enum"):
        first: Json = schema["enum"][0]
        return first
    if schema.get("examples"):
        example: Json = schema["examples"][0]
        return example
    for key in ("anyOf", "oneOf"):
        if schema.get(key) and depth < DEPTH_MAX:
            return sample(_inhabited(schema[key]), root, depth + 1)
    if schema.get("allOf") and depth < DEPTH_MAX:
        whole: dict[str, Any] = {}
        for each in schema["allOf"]:
            part = _resolved(each, root)
            properties = {**whole.get("properties", {}), **part.get("properties", {})}
            required = [*whole.get("required", ()), *part.get("required", ())]
            whole = {**whole, **part, "properties": properties, "required": required}
        return sample(whole, root, depth + 1)
    return _of_type(schema, root, depth)


def _of_type(schema: Schema, root: Schema, depth: int) -> Json:
    kind = schema.get("type", "object" if "properties" in schema else None)
    kind = kind[0] if isinstance(kind, list) else kind
    match kind:
        case "object":
            needed = schema.get("required", ())
            properties = schema.get("properties", {})
            if depth >= DEPTH_MAX:
                return {}
            return {
                name: sample(inner, root, depth + 1)
                for name, inner in properties.items()
                if name in needed or depth == 0
            }
        case "array":
            count = max(schema.get("minItems", 0), min(2, schema.get("maxItems", 2)))
            inner = schema.get("items", {})
            if depth >= DEPTH_MAX or not isinstance(inner, Mapping):
                return []
            return [sample(inner, root, depth + 1) for _ in range(count)]
        case "string":
            text = _TEXTS.get(str(schema.get("format")), SOME)
            text = text[: schema.get("maxLength", len(text))]
            return text.ljust(schema.get("minLength", 0), "x")
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case _:
            return None


def _number(schema: Schema) -> int | float:
    low, high = schema.get("minimum"), schema.get("maximum")
    if schema.get("exclusiveMinimum") is not None:
        low = schema["exclusiveMinimum"] + 1
    if schema.get("exclusiveMaximum") is not None:
        high = schema["exclusiveMaximum"] - 1
    step = schema.get("multipleOf", 1)
    value = 1 if low is None or low <= 1 else low
    value = value if high is None or value <= high else high
    found: int | float = -(-value // step) * step
    return found


def at_edges(schema: Schema, root: Schema, place: Place) -> Iterator[Json | Length]:
    """Values worth trying at a place of a schema: its choices, and the ends of its ranges."""
    schema = _resolved(schema, root)
    for key in place:
        inner = schema.get("items") if key == ELEMENT else schema.get("properties", {}).get(key)
        if not isinstance(inner, Mapping):
            return
        schema = _resolved(inner, root)
    yield from schema.get("enum", ())
    for each in (*schema.get("anyOf", ()), *schema.get("oneOf", ())):
        yield sample(each, root, 1)
    kind = schema.get("type")
    if kind == "boolean":
        yield from (True, False)
    elif kind in ("integer", "number"):
        yield from (schema[key] for key in ("minimum", "maximum") if key in schema)
    elif kind == "array":
        yield from (Length(count) for count in LENGTHS)


def _resolved(schema: Any, root: Schema) -> Schema:
    for _ in range(DEPTH_MAX):
        if not isinstance(schema, Mapping):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return schema
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key, {}) if isinstance(target, Mapping) else {}
        schema = target
    return {}


def _inhabited(options: Iterable[Any]) -> Schema:
    """The first that is not null."""
    given = [each for each in options if isinstance(each, Mapping)]
    return next((each for each in given if each.get("type") != "null"), given[0] if given else {})


def usual(uses: Uses) -> Json | Length:
    """What a leaf is where nothing else is chosen."""
    if uses.lengths and not uses.number:
        return Length(2)
    for value in uses.candidates.values():
        return value
    if uses.number:
        return 1
    return SOME if uses.text else None


def put(tree: Json, place: Place, value: Json | Length, *, only: int | None = None) -> Json:
    """The tree with a value at a place, made where there is nothing.

    Args:
        only: of the innermost list on the way, the element that changes; None: all.
    """
    if not place:
        return _stretched(tree, value.count) if isinstance(value, Length) else value
    key, rest = place[0], place[1:]
    if key == ELEMENT:
        elements = list(tree) if isinstance(tree, list) else [None, None]
        if not elements and not isinstance(tree, list):
            elements = [None]
        return [
            put(each, rest, value, only=only)
            if only is None or ELEMENT in rest or index == only
            else each
            for index, each in enumerate(elements)
        ]
    members = dict(tree) if isinstance(tree, dict) else {}
    members[key] = put(members.get(key), rest, value, only=only)
    return members


def _stretched(tree: Json, count: int) -> list[Json]:
    """A list of so many elements, like those that it had."""
    had = tree if isinstance(tree, list) else []
    model: Json = had[0] if had else None
    made = [model if model is not None else f"{SOME} {n + 1}" for n in range(count)]
    if isinstance(model, str):
        made = [model if n == 0 else f"{model} {n + 1}" for n in range(count)]
    return made


def at(tree: Json, place: Place) -> bool:
    """Whether a tree has something other than null at a place."""
    for key in place:
        if key == ELEMENT:
            if not isinstance(tree, list) or not tree:
                return isinstance(tree, list)
            tree = tree[0]
        elif isinstance(tree, dict) and key in tree:
            tree = tree[key]
        else:
            return False
    return tree is not None
