"""The OpenAPI document: what FastAPI collects of the answers, with queries, headers and bodies."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from heliostat.api.live.router import EVENTS_PATH

from .models.common import NAME_PATTERN
from .routing import ERRORS, PREFIX, Operation

_REFERENCE: Final = "#/components/schemas/{model}"

_NAMESPACE: Final = "The scope of definitions and executions; `default` when absent."

_STREAM: Final = """\
id: 1
event: event
data: {"type":"event","seq":1,"event":{"seq":1,"type":"execution.started"},"status":"Running"}

"""

DESCRIPTION: Final = """\
Durable workflows on Ray.

Every answer that is no success is `{code, error, message, details}`. Lists come in pages: `page`
and `per_page`, or `cursor` with the `meta.next_cursor` of the page before. What changes something
is safe to send again where it has an id that the caller chose; every operation says how.

There is no security yet: whoever reaches the door may do everything. `X-User` names the person who
acts, and is believed.
"""


def document(app: FastAPI, operations: Iterable[Operation]) -> dict[str, Any]:
    """The document of an application that answers these operations, and others that it has."""
    made = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas: dict[str, Any] = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    for each in operations:
        _complete(made["paths"][each.path][each.method.lower()], each, schemas)
    made["paths"][EVENTS_PATH] = {"get": _stream(made["paths"])}
    return made


def _stream(paths: dict[str, Any]) -> dict[str, Any]:
    """The events as they come, which are no answer that FastAPI could collect."""
    like = paths[f"{PREFIX}/workflows/{{id}}/history"]["get"]
    own = ("id", "namespace", "X-Namespace")
    return {
        "tags": like["tags"],
        "summary": "An execution, as it goes",
        "description": "Server-Sent Events: the state first, then every event after it, or after "
        "`after`, without gap or repeat, as docs/live.md says. The stream stays open.",
        "operationId": "watch_workflow",
        "parameters": [
            *(each for each in like["parameters"] if each["name"] in own),
            _parameter(
                "after",
                "query",
                "The last `seq` that is known.",
                {"type": "integer", "minimum": 0},
            ),
            _parameter(
                "Last-Event-ID",
                "header",
                "The same; browsers send it when they come back.",
                {"type": "string", "pattern": "^[0-9]{1,15}$"},
            ),
        ],
        "responses": {
            "200": {
                "description": "A stream of frames: `id` is the `seq`, `event` the frame's type.",
                "content": {
                    "text/event-stream": {"schema": {"type": "string"}, "example": _STREAM}
                },
            },
            **{code: like["responses"][code] for code in ("400", "404", "503")},
            "429": {
                "description": ERRORS[429],
                "content": like["responses"]["404"]["content"],
            },
        },
    }


def _complete(told: dict[str, Any], documented: Operation, schemas: dict[str, Any]) -> None:
    told["responses"].pop("422", None)
    # Given here, since FastAPI would leave out what is null in it.
    answer = told["responses"][str(documented.status)]["content"]["application/json"]
    answer["example"] = documented.example
    told["parameters"] = [
        *(
            {
                "name": name,
                "in": "path",
                "required": True,
                "schema": {"type": "string", "minLength": 1},
                "example": example,
            }
            for name, example in documented.ids.items()
        ),
        *_query(documented),
        _parameter("namespace", "query", _NAMESPACE, {"type": "string", "pattern": NAME_PATTERN}),
        _parameter(
            "X-Namespace",
            "header",
            f"{_NAMESPACE} Beside `namespace`, both must agree.",
            {"type": "string", "pattern": NAME_PATTERN},
        ),
        *(
            _parameter(
                name, "header", meaning, {"type": "string", "minLength": 1, "maxLength": 200}
            )
            for name, meaning in documented.headers
        ),
    ]
    if documented.body is None:
        return
    schema = _schema(documented.body, schemas)
    content: dict[str, Any] = {"application/json": {"schema": schema}}
    examples = schemas[documented.body.__name__].pop("examples", [])
    if examples:
        content["application/json"]["examples"] = {
            f"example{index or ''}": {"value": value} for index, value in enumerate(examples)
        }
    for kind, example in documented.body_types.items():
        content[kind] = {"schema": {"type": "string"}, "example": example}
    told["requestBody"] = {"required": not documented.body_optional, "content": content}


def _query(documented: Operation) -> list[dict[str, Any]]:
    made = documented.query.model_json_schema(ref_template=_REFERENCE)
    required = made.get("required", ())
    found = []
    for name, schema in made.get("properties", {}).items():
        told = _without_null(schema)
        told.pop("title", None)
        meaning = told.pop("description", None)
        found.append(_parameter(name, "query", meaning, told, required=name in required))
    return found


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is absent or has a value; it is never null."""
    told = copy.deepcopy(schema)
    kinds = [each for each in told.pop("anyOf", []) if each.get("type") != "null"]
    if kinds:
        told = {**kinds[0], **told}
    if told.get("default", 0) is None:
        told.pop("default")
    return told


def _parameter(
    name: str, place: str, meaning: str | None, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    told = {"name": name, "in": place, "required": required, "schema": schema}
    return told if meaning is None else told | {"description": meaning}


def _schema(model: type[BaseModel], schemas: dict[str, Any]) -> dict[str, Any]:
    """A reference to the model's schema, which is added with all that it refers to."""
    made = model.model_json_schema(ref_template=_REFERENCE)
    schemas.update(made.pop("$defs", {}))
    schemas[model.__name__] = made
    return {"$ref": _REFERENCE.format(model=model.__name__)}
