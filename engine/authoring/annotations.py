"""What a function takes and gives by its annotations, as JSON Schemas of what travels.

Nothing is called: neither the function nor a validator of its models. What is said here errs on the
side of silence. A parameter takes all that a runner's pydantic may make its type of, a number also
from a text; where a user's own validator decides, nothing is known. What is returned is taken to be
what the annotation says, as type checkers take it.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from msgspec import Struct
from pydantic import ConfigDict, TypeAdapter

from ..expressions.types import SCHEMA_DEPTH_MAX
from .python import types

Schema: TypeAlias = dict[str, Any]

LENIENT: Final = "read by the function's validation"
"""The `$comment` of what a parameter takes beside values of its type."""

PARTS_MAX: Final = 5_000
"""Of a schema whose references are unfolded, which takes 15 ms to read; models that hold one
another have millions, and nothing is known of them."""

_CONFIG: Final = ConfigDict(arbitrary_types_allowed=True)

_PLAIN: Final[dict[type, Schema]] = {
    bool: {"type": "boolean"},
    dict: {"type": "object"},
    float: {"type": "number"},
    int: {"type": "integer"},
    list: {"type": "array"},
    str: {"type": "string"},
    type(None): {"type": "null"},
}
"""Those that are met most; pydantic takes a fraction of a millisecond for each."""

_DECIDES_ITSELF: Final = (
    "'type': 'function-before'",
    "'type': 'function-wrap'",
    "'type': 'function-plain'",
    "'populate_by_name': True",
    "'validate_by_name': True",
    "'validation_alias': [",
    "'coerce_numbers_to_str': True",
    "'strip_whitespace': True",
    "'str_strip_whitespace': True",
    "'to_lower': True",
    "'to_upper': True",
    "'str_to_lower': True",
    "'str_to_upper': True",
)
"""Of pydantic's core schema: values are changed before they are judged, or have other names too."""

_NO_DATA: Final = ("'type': 'generator'", "'type': 'is-instance'", "'type': 'callable'")

_A_NUMBER: Final = {"type": "string", "pattern": r"[0-9]|[iI][nN][fF]|[nN][aA][nN]"}
_FROM_OTHERS: Final[dict[str, list[Schema]]] = {
    "integer": [{"type": "boolean"}, _A_NUMBER],
    "number": [{"type": "boolean"}, _A_NUMBER],
    "boolean": [{"enum": [0, 1]}, {"type": "string", "minLength": 1, "maxLength": 5}],
    "literal": [{"enum": [False, True, 0, 1]}],  # of numbers, which equal these
    "instant": [{"type": ["number", "boolean"]}],
}
"""What is read as a value of this type; at least that."""


class Annotations(Struct, frozen=True, kw_only=True):
    """The schemas that a function's annotations make; where one is missing nothing is known."""

    takes: dict[str, Schema] = {}
    """By parameter."""
    named: dict[str, str] = {}
    """Their annotations as people write them."""
    gives: Schema | None = None


def annotations_of(function: Callable[..., Any]) -> Annotations:
    """What is known of a function's parameters and of what it returns."""
    target = inspect.unwrap(function)
    try:
        hints = types.hints(target if inspect.isroutine(target) else type(target).__call__)
    except Exception:  # noqa: BLE001  # evaluates the user's text, which may raise anything
        return Annotations()
    yields = inspect.isgeneratorfunction(target) or inspect.isasyncgenfunction(target)
    takes, named = dict[str, Schema](), dict[str, str]()
    for name, hint in hints.items():
        schema = None if name == "return" else _taken(hint)
        if schema is not None:
            takes[name], named[name] = schema, types.name_of(types.plain(hint))
    returned = hints.get("return", Any)
    return Annotations(takes=takes, named=named, gives=None if yields else _given(returned))


def strictly(schema: Any) -> Any:
    """A schema without what is taken beside values of the type itself: for messages."""
    if isinstance(schema, list):
        return [strictly(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    options = schema.get("anyOf")
    if isinstance(options, list) and any(_is_lenient(each) for each in options):
        return strictly(options[0])
    return {name: strictly(each) for name, each in schema.items()}


def _is_lenient(schema: Any) -> bool:
    return isinstance(schema, Mapping) and schema.get("$comment") == LENIENT


def _taken(hint: Any) -> Schema | None:
    if isinstance(hint, type) and hint in _PLAIN:
        return _leniently(_PLAIN[hint])
    adapter = _adapter(hint)
    if adapter is None:
        return None
    told = repr(adapter.core_schema)
    if any(word in told for word in (*_DECIDES_ITSELF, *_NO_DATA)):
        return None
    return _inner(adapter, lambda: adapter.json_schema(mode="validation"), lenient=True)


def _given(hint: Any) -> Schema | None:
    if isinstance(hint, type) and hint in _PLAIN:
        return _PLAIN[hint]
    adapter = _adapter(hint)
    if adapter is None:
        return None
    told = repr(adapter.core_schema)
    if any(word in told for word in _NO_DATA):
        return None
    return _inner(
        adapter,
        lambda: adapter.json_schema(mode="serialization", schema_generator=types.AsItTravels),
        lenient=False,
    )


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """Reads lists of the type, since a model takes no configuration from around it."""
    if hint is Any or hint is object:
        return None
    try:
        return TypeAdapter(types.given(list, types.readable(hint)), config=_CONFIG)
    except Exception:  # noqa: BLE001  # a user's type may make its schema itself, and raise anything
        return None


def _inner(
    adapter: TypeAdapter[Any], make: Callable[[], Schema], *, lenient: bool
) -> Schema | None:
    """The schema of an element; None if it promises nothing."""
    try:
        whole = make()
    except Exception:  # noqa: BLE001  # as above; and types of which there is no JSON Schema
        return None
    found = whole.get("items") or {}
    if not found:
        return None
    if "$defs" in whole:
        found = {**found, "$defs": whole["$defs"]}
    if _unfolded(found, found.get("$defs", {}), SCHEMA_DEPTH_MAX, {}) > PARTS_MAX:
        return None
    return _leniently(found) if lenient else found


def _unfolded(
    schema: Any, definitions: Mapping[str, Any], depth: int, known: dict[tuple[int, int], int]
) -> int:
    """The parts of a schema as those who read it unfold it, each reference anew."""
    if depth == 0 or not isinstance(schema, Mapping | list):
        return 1
    at = (id(schema), depth)
    if at not in known:
        parts: list[Any] = [*(schema.values() if isinstance(schema, Mapping) else schema)]
        if isinstance(schema, Mapping):
            parts = [each for name, each in schema.items() if name not in ("$defs", "properties")]
            parts += schema.get("properties", {}).values()
            reference = str(schema.get("$ref", "")).removeprefix("#/$defs/")
            parts.append(definitions.get(reference))
        inner = depth - isinstance(schema, Mapping)
        known[at] = 1 + sum(_unfolded(each, definitions, inner, known) for each in parts)
    return known[at]


def _leniently(schema: Schema) -> Schema:
    """All that the type is made of: numbers are read from texts, sets from any list."""
    found = {name: each for name, each in schema.items() if name != "uniqueItems"}
    for word in ("properties", "$defs"):
        if isinstance(members := found.get(word), Mapping):
            found[word] = {name: _leniently(each) for name, each in members.items()}
    for word in ("anyOf", "oneOf", "allOf", "prefixItems"):
        if isinstance(parts := found.get(word), list):
            found[word] = [_leniently(each) for each in parts]
    for word in ("items", "additionalProperties"):
        if isinstance(inner := found.get(word), Mapping):
            found[word] = _leniently({**inner})
    kind = found.get("type")
    values = [found["const"]] if "const" in found else found.get("enum", [])
    if kind is None and any(isinstance(each, int) for each in values):
        kind = "literal"
    if kind == "string" and "format" in found:
        kind = "instant"
    others = _FROM_OTHERS.get(kind if isinstance(kind, str) else "")
    if others is None:
        return found
    definitions = {"$defs": found.pop("$defs")} if "$defs" in found else {}
    return {"anyOf": [found, *({**each, "$comment": LENIENT} for each in others)], **definitions}
