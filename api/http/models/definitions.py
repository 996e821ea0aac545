"""Shapes of definitions: how they are registered and checked, and what is told of them."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import ConfigDict, Field, JsonValue

from .common import Answer, Ignored, Instant, Paging, Query, Request
from .executions import Labels

DEFINITION: Final[dict[str, JsonValue]] = {
    "id": "hello",
    "version": "1",
    "steps": [{"id": "greet", "type": "decision", "output": {"text": "hello ${ $.input.name }"}}],
}


class ListDefinitions(Paging):
    """Which definitions."""

    filter: Annotated[
        str | None,
        Field(
            max_length=200,
            description="Part of id, name or description, in any case; or `name=value` of a tag.",
        ),
    ] = None
    versions: Annotated[
        bool, Field(description="Every version; otherwise the newest of each id.")
    ] = False


class OneVersion(Query):
    """Which version; absent, the one registered last."""

    version: str | None = None


class Registering(Query):
    """How a definition is registered or checked."""

    verification: Annotated[
        Literal["error", "warn", "off"] | None,
        Field(
            description="What to do with what a proof finds: refuse the definition, tell it in "
            "`warnings`, or not prove; absent, as the deployment is configured."
        ),
    ] = None


class TwoVersions(Query):
    """Which versions; absent, the one registered last."""

    from_: Annotated[str | None, Field(alias="from")] = None
    to: str | None = None


class Move(Query):
    """From which version to which; absent, the one registered last."""

    from_: Annotated[str, Field(alias="from")]
    to: str | None = None


class Envelope(Request):
    """A definition, and what is to stand in it in place of what it says itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"definition": DEFINITION}]})

    definition: Annotated[
        dict[str, Any] | str,
        Field(description="The definition, or its text in YAML or JSON.", examples=[DEFINITION]),
    ]
    name: Annotated[str | None, Field(max_length=200)] = None
    description: Annotated[str | None, Field(max_length=10_000)] = None
    version: str | None = None
    labels: Labels | None = None


class Update(Request):
    """A new version of a definition; without `definition` the newest one, with what is said."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"version": "2", "description": "greets people"}]}
    )

    definition: Annotated[
        dict[str, Any] | str | None, Field(description="As when registering.")
    ] = None
    name: Annotated[str | None, Field(max_length=200)] = None
    description: Annotated[str | None, Field(max_length=10_000)] = None
    version: str | None = None
    labels: Labels | None = None
    id: Ignored = None
    updated_by: Ignored = None


class Diagnostic(Answer):
    """One fault of a definition."""

    code: Annotated[str | None, Field(examples=["HS201"])]
    severity: Literal["error", "warning"]
    message: str
    text: Annotated[str, Field(description="All of it, as the command line prints it.")]
    step: str | None = None
    field: str | None = None
    line: Annotated[int | None, Field(description="Counts from 1, where there is a text.")] = None
    column: int | None = None
    cure: str | None = None


class Registered(Answer):
    """A version is registered."""

    id: str
    version: str
    namespace: str
    content_hash: Annotated[str, Field(description="Of the definition and all that belongs to it.")]
    registered_at: Instant
    message: str
    warnings: list[Diagnostic]


class Version(Answer):
    """A registered version."""

    id: str
    version: str
    namespace: str
    content_hash: str
    registered_at: Instant


class Deleted(Answer):
    """A definition, or a version of it, is gone."""

    id: str
    message: str
    versions: list[str]


class Validation(Answer):
    """Whether a definition could be registered."""

    valid: bool
    errors: list[Diagnostic]
    warnings: list[Diagnostic]


class DefinitionSummary(Answer):
    """A version, as lists show it."""

    id: str
    version: str
    name: str | None
    description: str | None
    namespace: str
    registered_at: Instant
    tags: dict[str, str]
    steps: Annotated[int, Field(description="How many it has, in all its scopes.")]


class FieldChange(Answer):
    """A field that is another one; what was not written is null."""

    field: str
    before: JsonValue
    after: JsonValue


class Change(Answer):
    """One thing that was added, removed or changed."""

    what: Literal["definition", "scope", "step", "way", "module"]
    change: Literal["added", "removed", "changed"]
    path: Annotated[
        str,
        Field(description="Of a step the scopes around it and its id, of a way its two ends."),
    ]
    type: Annotated[str | None, Field(description="Of a step.")]
    fields: list[FieldChange]


class Differences(Answer):
    """What changed from one version to another."""

    before: Annotated[str, Field(examples=["hello@1"])]
    after: str
    changes: list[Change]
    code_compared: Annotated[
        bool, Field(description="False where the code of a version is not there any more.")
    ]


class Obstacle(Answer):
    """Why what an execution has at a place would not map."""

    place: Annotated[str, Field(examples=["step `pack`"])]
    reason: Annotated[str, Field(examples=["is not in version 3"])]


class Migration(Answer):
    """Whether executions of a version could go on with another."""

    from_: Annotated[str, Field(alias="from")]
    to: str
    maps: Annotated[bool, Field(description="All of them could, whatever they do.")]
    obstacles: Annotated[list[Obstacle], Field(description="Where one could not be.")]
    paused: Annotated[
        list[Obstacle],
        Field(description="Where only one could not be that was paused right there."),
    ]
    decided_by: Annotated[
        Literal["markings", "structure"],
        Field(description="What executions can have was gone through, or each place was compared."),
    ]
    bound: Annotated[str | None, Field(description="What kept it from being the markings.")]
