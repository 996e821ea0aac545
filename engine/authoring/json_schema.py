"""The JSON Schema of definitions (draft 2020-12), for editors: completion, hover, faults in place.

Made from the models, so that it has their fields and no others. What the models accept by
validators of their own — shorthands, durations, names — is said here as patterns and alternatives.
The schema is generous where an editor cannot know better: whether names exist, what may be read
where, how the steps are ordered is told by `heliostat register`, and by no schema.
"""

from __future__ import annotations

import copy
from typing import Any, Final

from . import fields
from .descriptions import described
from .model import STEP_TYPES, Definition

SCHEMA_ID: Final = "urn:heliostat:definition"

_NAME: Final = {"type": "string", "pattern": f"^{fields.STEP_NAME.pattern}$", "maxLength": 200}
_DURATION: Final = {
    "type": "string",
    "pattern": r"^\s*([0-9]+(\.[0-9]+)?\s*(ms|s|m|h|d|w)\s*)+$|^P[0-9TYMWDHS.]+$",
    "examples": ["90s", "1h30m", "2d", "PT90S"],
}
_EXPRESSION: Final = {"type": ["string", "boolean"], "minLength": 1}
_RULE: Final = {
    "anyOf": [
        {"enum": ["all", "any", "all_done"]},
        {
            "type": "object",
            "properties": {"at_least": {"type": "integer", "minimum": 1}},
            "required": ["at_least"],
            "additionalProperties": False,
        },
    ]
}
_IDS: Final = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}
_ERROR: Final = {"type": "string", "pattern": f"^{fields.ERROR_NAME.pattern}$"}
_STATUS: Final = {
    "anyOf": [{"type": "integer"}, {"type": "string", "pattern": "^[1-5]([0-9]{2}|xx)$"}]
}
_NUMBER_OR_TEXT: Final = {"type": ["integer", "string"]}

_FORMS: Final[dict[str, dict[str, Any]]] = {
    "when": _EXPRESSION,
    "where": _EXPRESSION,
    "foreach": {"type": "string", "minLength": 1},
    "as": _NAME,
    "join": _RULE,
    "completion": _RULE,
    "needs": _IDS,
    "cancels": _IDS,
    "timeout": _DURATION,
    "grace": _DURATION,
    "after": _DURATION,
    "within": _DURATION,
    "initial": _DURATION,
    "max": _DURATION,
    "error": _ERROR,
    "on": {"type": "array", "items": _ERROR},
    "never_on": {"type": "array", "items": _ERROR},
    "memory": _NUMBER_OR_TEXT,
    "expect": {"anyOf": [*_STATUS["anyOf"], {"type": "array", "items": _STATUS}]},
    "to": {"type": "string"},
    "ctl": {"type": "string", "minLength": 1},
    "ltl": {"type": "string", "minLength": 1},
    "activity": {"type": "string", "minLength": 1},
}
"""Fields that are written in other forms than the model holds them."""


def definition_schema() -> dict[str, Any]:
    """The JSON Schema of a definition, as a fresh tree."""
    made = Definition.model_json_schema(by_alias=True)
    parts: dict[str, Any] = made.pop("$defs")
    parts["Definition"] = made
    for name, part in parts.items():
        if "properties" in part:
            _dressed(name, part)
    parts["Step"] = _step()
    for name in ("Definition", "BodyStep", "Branch"):
        steps = parts[name]["properties"]["steps"]
        steps["items"] = {"$ref": "#/$defs/Step"}
    root = parts.pop("Definition")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": SCHEMA_ID,
        **root,
        "title": "heliostat definition",
        "$defs": dict(sorted(parts.items())),
    }


def _step() -> dict[str, Any]:
    """A step is what its `type` says; a body has none, and `steps`.

    Where `type` is missing or unknown, no branch fits and the editor offers the types.
    """
    typed = [model.__name__ for kind, model in STEP_TYPES.items() if kind != "body"]
    return {
        "description": "A step: one of the types, or a body with `steps` of its own.",
        "type": "object",
        "required": ["id"],
        "oneOf": [{"$ref": f"#/$defs/{name}"} for name in [*typed, "BodyStep"]],
    }


def _dressed(name: str, part: dict[str, Any]) -> None:
    """Say of each property what it is, and in which forms it may be written."""
    part.pop("title", None)
    if "description" in part:
        part["description"] = " ".join(part["description"].split())
    if name == "BodyStep":
        part["properties"].pop("type")
    elif "type" in part["properties"] and name.endswith("Step"):
        part["required"] = ["type", *[each for each in part["required"] if each != "type"]]
    for field, found in part["properties"].items():
        form = _form(name, field)
        made = copy.deepcopy(form) if form is not None else found
        _plain(made)
        default = found.get("default")
        if form is not None and default not in (None, [], {}):
            made["default"] = default
        part["properties"][field] = {"description": described(name, field), **made}


def _form(name: str, field: str) -> dict[str, Any] | None:
    if field == "next" and name.endswith("Step"):
        clauses = {"type": "array", "items": {"$ref": "#/$defs/NextClause"}}
        return {"anyOf": [{"type": "string"}, clauses]}
    if field == "signal" and name.endswith("Step"):
        if name == "WaitStep":
            return {"type": "string"}
        return {"type": "array", "items": {"$ref": "#/$defs/Signalling"}}
    if field == "id" and (name.endswith("Step") or name in ("InterventionPoint", "Handler")):
        return _NAME
    if field == "name" and name in ("Branch", "Alternative"):
        return _NAME
    if name == "ErrorClause" and field == "next":
        return {"type": "string"}
    return None if name == "ResourceNeeds" and field == "custom" else _FORMS.get(field)


def _plain(value: Any) -> None:
    """Take away what editors would only repeat: titles, and that absent fields may be null."""
    if isinstance(value, list):
        for each in value:
            _plain(each)
    if not isinstance(value, dict):
        return
    if isinstance(value.get("title"), str):
        del value["title"]
    if isinstance(value.get("default", 0), dict | list | None):
        del value["default"]
    either = value.get("anyOf")
    if isinstance(either, list):
        left = [each for each in either if each != {"type": "null"}]
        if len(left) == 1:
            del value["anyOf"]
            value.update(left[0])
        else:
            value["anyOf"] = left
    for each in value.values():
        _plain(each)
