"""JSON Schemas of outcomes and timelines, for editors and for whoever makes them by program."""

from __future__ import annotations

from typing import Any, Final

_DURATION: Final = {"type": "string", "description": 'as "90s", "2h", "1d"'}
_TIMING: Final[dict[str, Any]] = {
    "after": {**_DURATION, "description": "virtual time until it ends; 1 ms unless written"},
    "on_stop": {
        "enum": ["ends", "returns", "ignores"],
        "description": "what it does when told to stop: end, still return its output, go on "
        "until its grace is over",
    },
    "stop_after": {**_DURATION, "description": "from being told to stop to its end"},
}


def _one(key: str, what: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    properties = {key: what, **more}
    return {
        "type": "object",
        "properties": properties,
        "required": [key],
        "additionalProperties": False,
    }


_ERROR: Final = {
    "oneOf": [
        {"type": "string", "description": "the class name"},
        _one(
            "type",
            {"type": "string"},
            {
                "message": {"type": "string"},
                "bases": {
                    "type": "array",
                    "items": {"type": "string"},
                    "description": "names of its base classes, for `on_error` and `retry`",
                },
            },
        ),
    ]
}
_FLAG: Final = {"const": True}
_USER: Final = {
    "after": {**_DURATION, "description": "virtual time from the opening of the task"},
    "user": {"type": "string"},
    "force": {"type": "boolean"},
    "details": {"description": "of `fail` and `progress`"},
}
_PEOPLE: Final = {"type": "array", "items": {"type": "string"}}
_ACT: Final = {
    "oneOf": [
        _one("complete", {"description": "what is submitted"}, _USER),
        _one("claim", _FLAG, _USER),
        _one("release", _FLAG, _USER),
        _one("fail", {"type": "string", "description": "what went wrong"}, _USER),
        _one("progress", {"type": "integer", "description": "so much of 100"}, _USER),
        _one(
            "assign",
            {
                "oneOf": [
                    _PEOPLE,
                    {
                        "type": "object",
                        "properties": {"assignees": _PEOPLE, "candidates": _PEOPLE},
                        "additionalProperties": False,
                    },
                ]
            },
            _USER,
        ),
    ]
}
_ARRIVAL: Final = {"data": True, "after": _DURATION}
_SEVERAL: Final = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/outcome"}}
_PERSON: Final = {"oneOf": [_ACT, {"type": "array", "minItems": 1, "items": _ACT}]}
_ASKED: Final = {**_TIMING, "person": _PERSON}

OUTCOMES_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "heliostat: outcomes of a simulation",
    "type": "object",
    "propertyNames": {"description": "a step's id, or workflow:body/branch/step"},
    "additionalProperties": {"$ref": "#/$defs/outcome"},
    "$defs": {
        "outcome": {
            "anyOf": [
                {"type": ["string", "number", "boolean", "null"], "description": "its output"},
                {**_SEVERAL, "description": "by attempt; the last one repeats"},
                _one("attempts", _SEVERAL, {"person": _PERSON}),
                _one("visits", _SEVERAL, {"person": _PERSON}),
                _one("items", _SEVERAL, {"person": _PERSON}),
                _one("output", {"description": "what it returns"}, _ASKED),
                _one("raise", _ERROR, _ASKED),
                _one(
                    "lost",
                    {
                        "oneOf": [
                            _FLAG,
                            _one("counted", {"type": "boolean"}, {}),
                        ],
                        "description": "its runner ends; counted: through its own doing",
                    },
                    _ASKED,
                ),
                _one(
                    "hang",
                    {"oneOf": [_FLAG, _one("output", True, {})]},  # type: ignore[arg-type]
                    _ASKED,
                ),
                _one("canceled", _FLAG, _ASKED),
                _one("person", _PERSON, {}),
                _one("signal", {"type": "string"}, _ARRIVAL),
                _one("event", {"type": "string"}, _ARRIVAL),
                _ACT,
            ]
        }
    },
}

_REASON: Final = {"oneOf": [_FLAG, {"type": "string", "description": "the reason"}]}
_WHEN: Final = {
    "at": {**_DURATION, "description": "virtual time from the start"},
    "execution": {"type": "string", "description": "whom it is for; the simulated one by default"},
}


def _entry(key: str, what: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    made = _one(key, what, {**_WHEN, **more})
    return {**made, "required": [key, "at"]}


TIMELINE_SCHEMA: Final[dict[str, Any]] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "heliostat: what comes from outside during a simulation",
    "type": "array",
    "items": {
        "oneOf": [
            _entry("signal", {"type": "string"}, {"data": True}),
            _entry("event", {"type": "string"}, {"data": True}),
            _entry("pause", _REASON, {}),
            _entry("resume", _FLAG, {}),
            _entry("cancel", _REASON, {}),
            _entry(
                "retry",
                {"oneOf": [_FLAG, _one("from", {"type": "string"}, {})]},
                {},
            ),
        ]
    },
}
