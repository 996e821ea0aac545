"""JSON Schemas (draft 2020-12) of a definition's input and output, as functions that judge a value.

References lead to places within the schema only: nothing is fetched, neither here nor later.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

from jsonschema import Draft202012Validator, SchemaError
from jsonschema.exceptions import ValidationError, best_match
from jsonschema.validators import extend
from referencing import Registry
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012

from ..values import Json
from .diagnostics import dotted
from .source import Path

_REGISTRY: Final = Registry[Any]()
_VALUE_CHARS_MAX: Final = 80

_DOLLAR: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
"""What an escape or a class holds is passed over, so that a `$` found is an anchor."""

_PATTERNS_KEPT: Final = 512


@lru_cache(maxsize=_PATTERNS_KEPT)
def _searched_by(pattern: str) -> re.Pattern[str]:
    """A schema's `pattern`, to be searched for in a text.

    JSON Schema's patterns are those of ECMA-262, where `$` is the end of the text. Python's is
    also the place before a line break that ends it, so that `AB\\n` would pass for `^AB$`.

    Raises:
        re.error: it is no regular expression.
    """
    return re.compile(_DOLLAR.sub(lambda found: r"\Z" if found[0] == "$" else found[0], pattern))


def _pattern(
    checker: Any, pattern: str, value: Any, _schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if checker.is_type(value, "string") and not _searched_by(pattern).search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Checker: Final = extend(  # type: ignore[no-untyped-call]  # jsonschema types it not
    Draft202012Validator, {"pattern": _pattern}
)


def validator(schema: Mapping[str, Any] | None) -> Callable[[Json], str | None] | None:
    """A function that answers None, or in one sentence what is wrong with a value, and where."""
    if schema is None:
        return None
    # `$ref: "#"` would lead a schema that names its dialect back to that dialect's own checker
    own = {name: part for name, part in schema.items() if name != "$schema"}
    checker = _Checker(own, registry=_REGISTRY)

    def validate(value: Json) -> str | None:
        error = best_match(checker.iter_errors(value))
        return None if error is None else _sentence(error)

    return validate


def faults(schema: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    """What is wrong with a schema itself: the path within it and a sentence for each."""
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        yield tuple(error.absolute_path), _shortened(error.message)
        return
    resolver = _REGISTRY.resolver_with_root(_resource(schema))
    for path, reference in _references(schema, ()):
        if not reference.startswith("#"):
            yield path, f"`{_shortened(reference)}` leads out of the schema; nothing is fetched"
            continue
        try:
            resolver.lookup(reference)
        except Unresolvable:
            yield path, f"`{_shortened(reference)}` leads to nothing in the schema"


def _resource(schema: Mapping[str, Any]) -> Any:
    return DRAFT202012.create_resource(dict(schema))


def _references(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    waiting: list[tuple[Any, Path]] = [(node, path)]
    while waiting:
        node, path = waiting.pop()
        if isinstance(node, dict):
            if isinstance(node.get("$ref"), str):
                yield (*path, "$ref"), node["$ref"]
            waiting.extend((item, (*path, key)) for key, item in node.items() if key != "enum")
        elif isinstance(node, list):
            waiting.extend((item, (*path, index)) for index, item in enumerate(node))


def _sentence(error: ValidationError) -> str:
    where = dotted(error.absolute_path)
    place = f"at `{where}`" if where else "the value itself"
    return f"{place}: {_shortened(_in_json(error))}"


def _in_json(error: ValidationError) -> str:
    """The message with the value it begins with as JSON writes it: `null`, not Python's None."""
    message, pythons = error.message, repr(error.instance)
    if isinstance(error.instance, str) or not message.startswith(pythons):
        return message
    return (
        f"{json.dumps(error.instance, ensure_ascii=False, default=repr)}{message[len(pythons) :]}"
    )


def _shortened(text: str) -> str:
    """Messages show the value they are about, which may be a megabyte."""
    if len(text) <= 3 * _VALUE_CHARS_MAX:
        return text
    return f"{text[:_VALUE_CHARS_MAX]} … {text[-_VALUE_CHARS_MAX:]}"
