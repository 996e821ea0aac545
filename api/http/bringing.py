"""The definition that a request brings: as YAML or JSON, as it is or in an envelope."""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from heliostat.engine.authoring.model import Definition
from heliostat.engine.identity import DEFAULT_NAMESPACE
from heliostat.engine.journal.protocol import DefinitionRow

from .asking import check_content_type, checked, content_of, decoded, is_yaml, model_of
from .errors import invalid
from .inspecting import Inspector
from .models.definitions import Envelope, Update
from .routing import Ask

TEXT_BYTES_MAX: Final = 4 * 1024 * 1024
"""Of a request that brings a definition: four bytes for each character that one may have."""


async def definition_of(ask: Ask[Any, Any]) -> Definition:
    """The checked definition of a request: its own text, or in an envelope.

    Raises:
        Refused: it is no definition, with every fault.
    """
    content = await content_of(ask.request, TEXT_BYTES_MAX)
    if is_yaml(ask.request):
        return await ask.door.inspector.parsed(_text(content))
    value = _object(ask, content)
    if "definition" not in value:
        return await ask.door.inspector.parsed(_text(content))
    return await _from_envelope(model_of(value, Envelope), ask.door.inspector)


async def update_of(ask: Ask[Any, Any], newest: DefinitionRow) -> Definition:
    """The same of a new version, which may be the newest one but for what is said.

    Raises:
        Refused: also where it says no version of its own.
    """
    content = await content_of(ask.request, TEXT_BYTES_MAX)
    if is_yaml(ask.request):
        return await ask.door.inspector.parsed(_text(content))
    value = _object(ask, content)
    if "steps" in value:
        return await ask.door.inspector.parsed(_text(content))
    update = model_of(value, Update)
    if update.version is None and not _says_version(update.definition):
        raise invalid([("version", "is required: a version never changes, an update is another")])
    if update.definition is None:
        update = update.model_copy(update={"definition": msgspec.json.decode(newest.body)})
    return await _from_envelope(update, ask.door.inspector)


def _says_version(definition: object) -> bool:
    return isinstance(definition, str) or (
        isinstance(definition, dict) and definition.get("version") is not None
    )


def _object(ask: Ask[Any, Any], content: bytes) -> dict[str, Any]:
    check_content_type(ask.request)
    value = decoded(content)
    if not isinstance(value, dict):
        raise invalid([("", "the body must be a JSON object: a definition")])
    return value


async def _from_envelope(envelope: Envelope | Update, inspector: Inspector) -> Definition:
    given = envelope.definition
    over: dict[str, Any] = {}
    if envelope.name is not None:
        over["name"] = envelope.name
    if envelope.description is not None:
        over["description"] = envelope.description
    if envelope.version is not None:
        over["version"] = checked(envelope.version, "version")
    if isinstance(given, dict):
        # As text, so that faults have a place that can be shown; what stands in it is replaced.
        given = json.dumps(given | over, indent=2, ensure_ascii=False)
    assert given is not None, "an update without a definition is filled in"
    definition = await inspector.parsed(given)
    if envelope.labels is not None:
        over["tags"] = definition.tags | envelope.labels
    return _with(definition, over)


def _with(definition: Definition, fields: dict[str, Any]) -> Definition:
    if not fields:
        return definition
    source = definition.source
    changed = definition.model_copy(update=fields)
    return changed if source is None else changed.with_source(source)


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise invalid([("", f"the body is not UTF-8, at byte {error.start}")]) from None


def placed(definition: Definition, namespace: str) -> Definition:
    """The definition in the namespace of the request.

    Raises:
        Refused: it says another one.
    """
    if definition.namespace == namespace:
        return definition
    if definition.given("namespace") and namespace != DEFAULT_NAMESPACE:
        told = (
            f"the definition says {definition.namespace!r}, the request {namespace!r}; leave one "
            f"of the two out"
        )
        raise invalid([("namespace", told)])
    if definition.given("namespace"):
        return definition
    return _with(definition, {"namespace": namespace})
