"""Definitions: registering, checking, reading them."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from heliostat.actors.client.interface import Version
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError, Duplicate, NotFound
from heliostat.engine.expressions.time import format_timestamp
from heliostat.engine.journal.protocol import DefinitionQuery
from heliostat.engine.journal.protocol import DefinitionSummary as StoredSummary

from .. import rendering
from ..asking import pair
from ..bringing import definition_of, placed, update_of
from ..errors import Refused, diagnostic, invalid, json_response
from ..models import definitions as models
from ..models.common import Page
from ..models.definitions import (
    DEFINITION,
    DefinitionSummary,
    Deleted,
    Envelope,
    ListDefinitions,
    Move,
    OneVersion,
    Registered,
    Registering,
    TwoVersions,
    Update,
    Validation,
)
from ..models.executions import Graph
from ..routing import Ask, Operations, operation

operations = Operations("definitions")

VERSIONS_MAX: Final = 1_000
"""Of one definition that are listed: each is a line, and nobody reads more."""

_ID: Final = {"id": "hello"}

_YAML: Final = """\
id: hello
version: "1"
steps:
  - id: greet
    type: decision
    output: {text: "hello ${ $.input.name }"}
"""


_VERSION: Final = {
    "id": "hello",
    "version": "1",
    "namespace": "default",
    "content_hash": "9f2c…",
    "registered_at": "2026-01-31T12:00:00.000Z",
}
_REGISTERED: Final = {**_VERSION, "message": "registered", "warnings": []}


@operation(
    operations,
    "POST",
    "/workflow-definitions",
    query=Registering,
    body=Envelope,
    read_body=False,
    body_types={"application/yaml": _YAML},
    answer=Registered,
    example=_REGISTERED,
    also={200: ("The same content was registered already.", Registered)},
    status=201,
    errors=(409, 429),
)
async def register_definition(ask: Ask[Registering, Envelope]) -> Response:
    """Register a version of a definition.

    The body is an envelope, or the definition itself, as JSON or YAML. It is checked whole:
    `details.diagnostics` of a `VALIDATION_ERROR` has every fault with its place and cure. Modules
    that activities name are looked for where runners look; nothing is shipped over HTTP. Other
    content under a used version is a `DUPLICATE_ERROR` with the difference. `warnings` has what a
    proof finds in its runs, as that one can get stuck.
    """
    definition = placed(await definition_of(ask), ask.namespace)
    version = await _register(ask, definition)
    message = "the same was registered already" if version.existed else "registered"
    return json_response(_registered(version, message), 200 if version.existed else 201)


@operation(
    operations,
    "PUT",
    "/workflow-definitions/{id}",
    query=Registering,
    body=Update,
    read_body=False,
    body_types={"application/yaml": _YAML},
    answer=Registered,
    example=_REGISTERED | {"version": "2"},
    errors=(404, 409, 429),
    ids=_ID,
)
async def update_definition(ask: Ask[Registering, Update]) -> Response:
    """Register another version of a definition that there is.

    As registering, with a version that is not used yet (`VERSION_CONFLICT`). Without `definition`
    it is the newest one, with the name, description and labels that are said.
    """
    id = ask.path("id")
    newest = await ask.connection.definition_row(id, namespace=ask.namespace)
    definition = placed(await update_of(ask, newest), ask.namespace)
    if definition.id != id:
        raise invalid([("id", f"the definition says {definition.id!r}, the path {id!r}")])
    try:
        version = await _register(ask, definition)
    except Duplicate as error:
        raise Refused("VERSION_CONFLICT", error.message, error.details) from error
    return json_response(_registered(version, "registered"))


async def _register(ask: Ask[Registering, Any], definition: Definition) -> Version:
    prepared = await ask.door.inspector.prepared(definition, ask.query.verification)
    # what was to be proved has been, where it takes nobody's turn
    (version,) = await ask.connection.register_many([prepared], verification="off")
    return version


def _registered(version: Version, message: str) -> dict[str, Any]:
    warnings = [diagnostic(each) for each in version.warnings]
    return {**_version(version), "message": message, "warnings": warnings}


def _version(version: Version) -> dict[str, Any]:
    return {
        "id": version.id,
        "version": version.version,
        "namespace": version.namespace,
        "content_hash": version.content_hash,
        "registered_at": format_timestamp(version.registered_at_ms),
    }


async def _validated(ask: Ask[Registering, Envelope]) -> Response:
    try:
        definition = placed(await definition_of(ask), ask.namespace)
        prepared = await ask.door.inspector.prepared(definition, ask.query.verification)
    except DefinitionError as error:
        return json_response(
            {
                "valid": False,
                "errors": [diagnostic(each) for each in error.diagnostics],
                "warnings": [],
            }
        )
    warnings = [diagnostic(each) for each in prepared.warnings or ()]
    return json_response({"valid": True, "errors": [], "warnings": warnings})


_VALID: Final = {"valid": True, "errors": [], "warnings": []}


@operation(
    operations,
    "POST",
    "/workflow-definitions/validate",
    query=Registering,
    body=Envelope,
    read_body=False,
    body_types={"application/yaml": _YAML},
    answer=Validation,
    example=_VALID,
)
async def validate_definition(ask: Ask[Registering, Envelope]) -> Response:
    """Check a definition.

    The same checks and proofs as registering, and nothing is stored. Whether the workflows that it
    calls are registered is not looked at.
    """
    return await _validated(ask)


@operation(
    operations,
    "POST",
    "/workflow-definitions/{id}/validate",
    query=Registering,
    body=Envelope,
    read_body=False,
    body_types={"application/yaml": _YAML},
    answer=Validation,
    example=_VALID,
    ids=_ID,
)
async def validate_definition_of(ask: Ask[Registering, Envelope]) -> Response:
    """Check a definition.

    The id of the path says nothing: the definition of the body is checked.
    """
    return await _validated(ask)


@operation(
    operations,
    "GET",
    "/workflow-definitions",
    query=ListDefinitions,
    answer=Page[DefinitionSummary],
    example={
        "data": [
            {
                "id": "hello",
                "version": "1",
                "namespace": "default",
                "name": "Says hello",
                "description": None,
                "registered_at": "2026-01-31T12:00:00.000Z",
                "tags": {"team": "credit"},
                "steps": 1,
            }
        ],
        "meta": {"total": 1, "page": 1, "per_page": 20, "total_pages": 1, "next_cursor": None},
    },
)
async def list_definitions(ask: Ask[ListDefinitions, Any]) -> Response:
    """List definitions, the one registered last first.

    The newest version of each, or with `versions` all of them.
    """
    query = ask.query
    text = query.filter
    tag = pair(text, "filter") if text is not None and "=" in text else None
    page = await ask.connection.definitions_page(
        DefinitionQuery(
            namespace=ask.namespace,
            filter=text if tag is None else None,
            tag=tag,
            versions=query.versions,
            limit=query.per_page,
            offset=query.offset,
            cursor=query.cursor,
            count=True,
        )
    )
    return json_response(
        rendering.page(
            map(_summary, page.rows), query, total=page.total, next_cursor=page.next_cursor
        )
    )


def _summary(row: StoredSummary) -> dict[str, Any]:
    return {
        "id": row.id,
        "version": row.version,
        "namespace": row.namespace,
        "name": row.name,
        "description": row.description,
        "registered_at": format_timestamp(row.registered_at_ms),
        "tags": dict(row.tags),
        "steps": row.steps,
    }


@operation(
    operations,
    "DELETE",
    "/workflow-definitions/{id}",
    query=OneVersion,
    answer=Deleted,
    example={"id": "hello", "message": "version 1 is deleted", "versions": ["1"]},
    errors=(404, 409, 429),
    ids=_ID,
)
async def delete_definition(ask: Ask[OneVersion, Any]) -> Response:
    """Delete a definition, or one version of it.

    Without `version` all of them. A `DEPENDENCY_ERROR` while an execution of it goes on, or
    another definition calls it: `details` names them. What has ended keeps its history.
    """
    id = ask.path("id")
    gone = await ask.connection.delete_definition(id, ask.query.version, namespace=ask.namespace)
    ask.door.forget(ask.namespace, id)
    word = "version" if len(gone) == 1 else "versions"
    message = f"{word} {', '.join(gone)} {'is' if len(gone) == 1 else 'are'} deleted"
    return json_response({"id": id, "message": message, "versions": list(gone)})


@operation(
    operations,
    "GET",
    "/workflow-definitions/{id}",
    query=OneVersion,
    answer=dict[str, Any],
    example=DEFINITION,
    errors=(404,),
    ids=_ID,
)
async def get_definition(ask: Ask[OneVersion, Any]) -> Response:
    """A definition, as it was registered.

    In its canonical form: shorthands are written out, and what is as by default is left out.
    """
    known = await ask.door.version(ask.namespace, ask.path("id"), ask.query.version)
    return Response(known.row.body, media_type="application/json")


@operation(
    operations,
    "GET",
    "/workflow-definitions/{id}/versions",
    answer=list[models.Version],
    example=[_VERSION],
    errors=(404,),
    ids=_ID,
)
async def list_versions(ask: Ask[Any, Any]) -> Response:
    """The versions of a definition, the one registered last first.

    The 1,000 registered last.
    """
    id = ask.path("id")
    found = await ask.connection.definitions(
        id, namespace=ask.namespace, limit=VERSIONS_MAX, offset=0
    )
    if not found:
        raise NotFound("definition", id)
    return json_response([_version(version) for version in found])


@operation(
    operations,
    "GET",
    "/workflow-definitions/{id}/graph",
    query=OneVersion,
    answer=Graph,
    example={
        "definition_id": "hello",
        "version": "1",
        "name": None,
        "scopes": [
            {
                "id": 0,
                "parent": None,
                "step": None,
                "name": None,
                "notation": "machine",
                "foreach": False,
            }
        ],
        "nodes": [
            {
                "id": "greet",
                "name": None,
                "type": "decision",
                "scope": 0,
                "container": False,
                "foreach": False,
                "entry": True,
            }
        ],
        "edges": [],
    },
    errors=(404,),
    ids=_ID,
)
async def get_definition_graph(ask: Ask[OneVersion, Any]) -> Response:
    """The graph of a definition: its scopes, its steps, the ways between them."""
    known = await ask.door.version(ask.namespace, ask.path("id"), ask.query.version)
    return json_response(known.graph)


@operation(
    operations,
    "GET",
    "/workflow-definitions/{id}/diff",
    query=TwoVersions,
    answer=models.Differences,
    example={
        "before": "hello@1",
        "after": "hello@2",
        "changes": [
            {
                "what": "step",
                "change": "changed",
                "path": "greet",
                "type": "decision",
                "fields": [{"field": "output", "before": 1, "after": 2}],
            }
        ],
        "code_compared": True,
    },
    errors=(404,),
    ids=_ID,
)
async def diff_definition(ask: Ask[TwoVersions, Any]) -> Response:
    """What changed from one version to another.

    Steps are known by the scopes around them and their ids.
    """
    id, query = ask.path("id"), ask.query
    versions = [
        (await ask.connection.definition(id, version, namespace=ask.namespace))
        for version in (query.from_, query.to)
    ]
    found = await ask.connection.diff(*versions)
    return json_response(msgspec.to_builtins(found))


@operation(
    operations,
    "GET",
    "/workflow-definitions/{id}/migration",
    query=Move,
    answer=models.Migration,
    example={
        "from": "1",
        "to": "3",
        "maps": False,
        "obstacles": [{"place": "step `pack`", "reason": "is not in version 3"}],
        "paused": [],
        "decided_by": "structure",
        "bound": "more than 2000 ms",
    },
    errors=(404,),
    ids=_ID,
)
async def check_migration(ask: Ask[Move, Any]) -> Response:
    """Whether executions of one version could go on with another.

    `obstacles` are the places where one could not. `decided_by` says how they were found: by the
    `markings` that executions can reach, or, where a bound was reached first, by the `structure` of
    the versions; then some may be among them that none ever comes to.
    """
    id, query = ask.path("id"), ask.query
    target = await ask.connection.definition(id, query.to, namespace=ask.namespace)
    found = await ask.connection.migration_check(
        id, query.from_, target.version, namespace=ask.namespace
    )
    return json_response(
        {
            "from": query.from_,
            "to": target.version,
            "maps": not found.obstacles,
            **msgspec.to_builtins(found),
        }
    )
