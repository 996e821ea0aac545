"""What annotations say: JSON Schemas for the definition, and the types of expressions.

A type is an annotation; `Any` where nothing is known. What is asked here errs on the side of
silence: a fault is reported only where no value of the type could do.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

import typing_extensions
from pydantic import BaseModel, TypeAdapter, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic.json_schema import GenerateJsonSchema

NUMBERS = (int, float)
UNKNOWN: Final = object()
"""Nothing is known, not even that it is `Any`."""


def hints(function: Any) -> dict[str, Any]:
    """The annotations of a function; what cannot be looked up is not known."""
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError, AttributeError):
        return {}


def schema_of(annotation: Any, *, output: bool = False) -> dict[str, Any] | None:
    """The JSON Schema of a type; None where it promises nothing."""
    if annotation is Any or annotation is object:
        return None
    try:
        schema = TypeAdapter(annotation).json_schema(
            mode="serialization" if output else "validation"
        )
    except (PydanticSchemaGenerationError, PydanticUserError):
        return None
    return schema or None


class AsItTravels(GenerateJsonSchema):
    """JSON Schemas of objects as they are written: a model with all of its members."""

    def field_is_required(self, field: Any, total: bool) -> bool:
        """Of a TypedDict as it says; of models and dataclasses always."""
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return not field.get("serialization_exclude")


def parameters_schema(parameters: Mapping[str, tuple[Any, Any]]) -> dict[str, Any] | None:
    """The JSON Schema of an object with these members, each a type and a default (`...`: none).

    Values are as they travel: a model has all of its members, since no step reads it before.
    """
    if not parameters:
        return None
    try:
        model = create_model("Input", **{k: (t, d) for k, (t, d) in parameters.items()})  # type: ignore[call-overload]
        schema: dict[str, Any] = model.model_json_schema(
            mode="serialization", schema_generator=AsItTravels
        )
    except (PydanticSchemaGenerationError, PydanticUserError, NameError):
        return {"type": "object"}
    needed = [name for name, (_, default) in parameters.items() if default is ...]
    return schema | {"required": needed} if needed else _without_required(schema)


def _without_required(schema: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name != "required"}


def readable(annotation: Any) -> Any:
    """The annotation, or the same typed dict as pydantic reads it before Python 3.12."""
    if not is_typeddict(annotation):
        return annotation
    fields = {
        name: typing_extensions.Required[hint]
        if name in annotation.__required_keys__
        else typing_extensions.NotRequired[hint]
        for name, hint in get_type_hints(annotation, include_extras=True).items()
    }
    return typing_extensions.TypedDict(annotation.__name__, fields)  # type: ignore[operator]  # made at run time


def plain(annotation: Any) -> Any:
    """Without `Annotated`."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def options(annotation: Any) -> tuple[Any, ...]:
    """The members of a union, else the type alone."""
    annotation = plain(annotation)
    if get_origin(annotation) in (Union, types.UnionType):
        return tuple(each for one in get_args(annotation) for each in options(one))
    return (annotation,)


def fields_of(annotation: Any) -> dict[str, tuple[Any, bool]] | None:
    """The members of a model, dataclass or TypedDict: type, and whether it is always there."""
    annotation = plain(annotation)
    kind = get_origin(annotation) or annotation
    if not isinstance(kind, type):
        return None
    if issubclass(kind, BaseModel):
        return {name: (info.annotation, True) for name, info in kind.model_fields.items()}
    if dataclasses.is_dataclass(kind):
        known = hints(kind)
        parameters = getattr(kind, "__parameters__", ())
        given = dict(zip(parameters, get_args(annotation), strict=False))
        return {
            each.name: (given.get(known.get(each.name), known.get(each.name, Any)), True)
            for each in dataclasses.fields(kind)
        }
    if is_typeddict(kind):
        needed: frozenset[str] = kind.__required_keys__  # type: ignore[attr-defined]
        return {name: (each, name in needed) for name, each in hints(kind).items()}
    return None


def key_of(annotation: Any, member: str) -> str:
    """What a member is called in JSON."""
    kind = get_origin(plain(annotation)) or plain(annotation)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        info = kind.model_fields[member]
        return info.serialization_alias or info.alias or member
    return member


def element_of(annotation: Any) -> Any:
    """The type of what iterating gives."""
    annotation = plain(annotation)
    if annotation is str:
        return str
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin in (list, set, frozenset, Sequence) and arguments:
        return arguments[0]
    if origin is dict and arguments:
        return arguments[0]
    if origin is tuple and len({*arguments} - {Ellipsis}) == 1:
        return arguments[0]
    return Any


def elements_of(annotation: Any, count: int) -> list[Any]:
    """The types that unpacking into `count` names gives."""
    annotation = plain(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is tuple and len(arguments) == count and Ellipsis not in arguments:
        return list(arguments)
    return [element_of(annotation)] * count


def is_enum(annotation: Any) -> bool:
    """Whether its values are members of an enum."""
    annotation = plain(annotation)
    return isinstance(annotation, type) and issubclass(annotation, Enum)


def is_apart(annotation: Any) -> bool:
    """Whether it is an enum whose members equal, and print as, nothing but themselves."""
    return is_enum(annotation) and not issubclass(plain(annotation), str | int | float)


def value_of(enum: Any) -> Any:
    """The type of an enum's values."""
    kinds = {type(member.value) for member in plain(enum)}
    return kinds.pop() if len(kinds) == 1 else Any


def written(annotation: Any) -> type | None:
    """The type whose values are texts here and no texts in Python, if it has such: computing with
    them would compute with the texts."""
    return next(
        (each for each in options(annotation) if each in (Decimal, timedelta, datetime)), None
    )


def is_number(annotation: Any) -> bool:
    """Whether every value is an int or a float, and no bool."""
    return all(each in NUMBERS for each in options(annotation))


def name_of(annotation: Any) -> str:
    """A type for people."""
    if annotation is type(None) or annotation is None:
        return "None"
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "")


def fits(found: Any, wanted: Any) -> bool:
    """Whether a value of one type may stand where another is wanted; True if it cannot be told."""
    return any(_one_fits(a, b) for a in options(found) for b in options(wanted))


def _one_fits(found: Any, wanted: Any) -> bool:
    found, wanted = _known(found), _known(wanted)
    if found is None or wanted is None or found is wanted:
        return True
    if wanted is float:
        return found in (int, bool)
    if wanted is int:
        return found is bool
    if found is dict or wanted is dict:
        # a model travels as an object, and an object may be a model
        other = wanted if found is dict else found
        return fields_of(other) is not None or other is Mapping
    if found in (list, tuple) and wanted in (list, tuple, Sequence):
        return True
    return issubclass(found, wanted) or (
        fields_of(found) is not None and fields_of(wanted) is not None
    )


def _known(annotation: Any) -> type | None:
    """The class that says what values look like; None if nothing does."""
    annotation = plain(annotation)
    if annotation is None:
        return type(None)
    if get_origin(annotation) is Literal:
        kinds = {type(value) for value in get_args(annotation)}
        return kinds.pop() if len(kinds) == 1 else None
    kind = get_origin(annotation) or annotation
    plainly = (str, int, float, bool, type(None), list, dict, tuple)
    if isinstance(kind, type) and (kind in plainly or fields_of(kind) is not None):
        return kind
    return None


def item_of(annotation: Any, key: Any) -> Any:
    """The type of what an index or a key gives."""
    annotation = plain(annotation)
    if isinstance(key, str):
        fields = fields_of(annotation)
        if fields is not None and key in fields:
            return fields[key][0]
    if get_origin(annotation) is dict:
        return get_args(annotation)[1]
    if get_origin(annotation) is tuple and isinstance(key, int):
        arguments = get_args(annotation)
        if Ellipsis not in arguments and -len(arguments) <= key < len(arguments):
            return arguments[key]
    return str if annotation is str else element_of(annotation) if key is not str else Any


def is_object(annotation: Any) -> bool:
    """Whether values are plain dicts in Python too."""
    return is_typeddict(plain(annotation))


def is_plain(annotation: Any) -> bool:
    """Whether values have no members at all."""
    return plain(annotation) in (int, float, bool, list, dict, type(None), None) or (
        get_origin(plain(annotation)) in (list, dict)
    )


def given(generic: Any, *arguments: Any) -> Any:
    """A generic type with its arguments, which are known only now."""
    return generic[arguments]


def list_of(element: Any) -> Any:
    """The type of a list of such elements."""
    return list if element is Any else given(list, element)


def is_dataclass(model: type) -> bool:
    """Whether its members may be given by position."""
    return dataclasses.is_dataclass(model)


def is_required(model: Any, name: str) -> bool:
    """Whether a member has to be said."""
    kind = get_origin(plain(model)) or plain(model)
    if issubclass(kind, BaseModel):
        return bool(kind.model_fields[name].is_required())
    if dataclasses.is_dataclass(kind):
        found = next(each for each in dataclasses.fields(kind) if each.name == name)
        missing = dataclasses.MISSING
        return found.default is missing and found.default_factory is missing
    return name in kind.__required_keys__


def default_of(model: type, name: str) -> Any:
    """What a member is if it is not given; `UNKNOWN` if it must be."""
    if issubclass(model, BaseModel):
        info = model.model_fields[name]
        return UNKNOWN if info.is_required() or info.default_factory else info.default
    if dataclasses.is_dataclass(model):
        found = next(each for each in dataclasses.fields(model) if each.name == name)
        return UNKNOWN if found.default is dataclasses.MISSING else found.default
    return UNKNOWN


def mapping_of(annotation: Any) -> tuple[Any, Any] | None:
    """The types of a dict's keys and values."""
    annotation = plain(annotation)
    arguments = get_args(annotation)
    if get_origin(annotation) is dict and len(arguments) == 2:
        return arguments[0], arguments[1]
    return None


_RETURNS = {
    bool: (
        "endswith",
        "startswith",
        "isalnum",
        "isalpha",
        "isdigit",
        "islower",
        "isspace",
        "isupper",
    ),
    int: ("count", "find", "index", "rfind"),
    list[str]: ("split", "rsplit", "splitlines"),
}


def return_of(owner: type, method: str) -> Any:
    """The type of what a method of texts returns."""
    return next((kind for kind, names in _RETURNS.items() if method in names), owner)
