"""The one text that stands for a definition's content, and the hash of it.

Written fields only, and of those only what differs from the default (a null in a data field is a
value and stays); keys sorted, no white space. So the text does not change with formatting, with
the order of keys, with shorthands, nor when a later release adds a field. Reading it back gives
an equal definition.

What is stored (`canonical_body`) has one thing more, which the hash does not see: the order in
which a form was written, since that is the order in which a person is asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any, Final

from pydantic import BaseModel

from ..values import Json
from .model import Definition

_NULL_IS_A_VALUE: Final = frozenset(
    {
        "assignees",
        "body",
        "candidates",
        "data",
        "deadline",
        "duration",
        "execution",
        "input",
        "output",
        "query",
        "timer",
        "until",
    }
)

_FORM: Final = "form"
"""The field of a step, and of an intervention point, that is a form."""


def content(part: BaseModel) -> dict[str, Json]:
    """The content of a definition, or of a part of one, as a JSON object of fresh dicts and
    lists."""
    tree: dict[str, Json] = _plain(part)
    return tree


def canonical(value: Json) -> bytes:
    """The one encoding of a JSON value: sorted keys, no white space, UTF-8."""
    return _encoded(value, sort_keys=True)


def canonical_body(definition: Definition) -> bytes:
    """The definition as it is stored: canonical JSON, but for forms, which keep their order."""
    return _encoded(_ordered(definition))


def identity(tree: Mapping[str, Json]) -> dict[str, Json]:
    """Of a definition's content what makes it another version: all but places in a source.

    A compiled function that has only moved in its file is the version that it was.
    """
    metadata = tree.get("metadata") or {}
    python = metadata.get("python")
    if not isinstance(python, dict) or "places" not in python:
        return dict(tree)
    kept = {name: value for name, value in python.items() if name != "places"}
    return {**tree, "metadata": {**metadata, "python": kept}}


def content_hash(definition: Definition) -> str:
    """SHA-256 of the canonical JSON of what makes it this version, in hexadecimal."""
    return hashlib.sha256(canonical(identity(content(definition)))).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _plain(item) for name, item in _written(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _ordered(value: Any) -> Any:
    """As `_plain`, with sorted keys except in forms."""
    if isinstance(value, BaseModel):
        written = sorted(_written(value), key=itemgetter(0))
        return {name: (_plain if name == _FORM else _ordered)(item) for name, item in written}
    if isinstance(value, dict):
        return {key: _ordered(value[key]) for key in sorted(value)}
    if isinstance(value, list | tuple):
        return [_ordered(item) for item in value]
    return value


def _written(part: BaseModel) -> Iterator[tuple[str, Any]]:
    """The fields of a part that its content has, by their names in a file."""
    fields = type(part).model_fields
    for name, item in part:
        if name in part.model_fields_set and (
            item != fields[name].default or (item is None and name in _NULL_IS_A_VALUE)
        ):
            yield fields[name].alias or name, item


def _encoded(value: Json, *, sort_keys: bool = False) -> bytes:
    return json.dumps(
        value, sort_keys=sort_keys, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()
