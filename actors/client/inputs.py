"""From an input to the start that is sent, with what expressions read of an input in blobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

from heliostat.actors.client import values
from heliostat.actors.host.api import StartRequest
from heliostat.engine.authoring.versions import plan_of
from heliostat.engine.errors import InputError
from heliostat.engine.identity import ExecutionKey
from heliostat.engine.journal.protocol import BlobStore, DefinitionRow
from heliostat.engine.plan.plan import Plan

FindDefinition: TypeAlias = Callable[[str, str, str | None], DefinitionRow]
"""By namespace, id and version (None: the one registered last); raises `NotFound`."""

_PLANS_MAX: Final = 100
"""Plans kept for large inputs; they are compiled again when more are in use."""


class Inputs:
    """Makes starts; a definition is looked up only where an input is large."""

    def __init__(self, blobs: BlobStore, find: FindDefinition) -> None:
        self._blobs, self._find = blobs, find
        self._plans: dict[tuple[str, str, str], Plan] = {}

    def request(
        self,
        key: ExecutionKey,
        definition: str,
        version: str | None,
        value: Any,
        tags: Mapping[str, str],
        priority: int | None = None,
        correlation_id: str | None = None,
    ) -> StartRequest:
        """The start of one execution; its blobs are stored when this returns.

        Raises:
            InputError: the input can be written in no way, or breaks the definition's schema.
        """
        values.check_texts((*key, definition, version), "an id, a definition or a version")
        values.check_texts((*tags, *tags.values()), "a tag")
        values.check_texts((correlation_id,), "a correlation id")
        if priority is not None and not 1 <= priority <= 10:
            raise InputError(f"priority is {priority}; it must be from 1 to 10")
        sent = values.send(
            value,
            namespace=key.namespace,
            blobs=self._blobs,
            plan=lambda: self._plan(key.namespace, definition, version),
        )
        return StartRequest(
            key=key,
            definition=definition,
            version=version,
            input=sent.value,
            input_bytes=sent.bytes,
            extracts=None if sent.extracts is None else dict(sent.extracts),
            tags=dict(tags),
            priority=priority,
            correlation_id=correlation_id,
        )

    def _plan(self, namespace: str, definition: str, version: str | None) -> Plan:
        """What a version reads of its input. The latest version may change: it is asked for."""
        if version is not None and (namespace, definition, version) in self._plans:
            return self._plans[namespace, definition, version]
        row = self._find(namespace, definition, version)
        name = (namespace, definition, row.version)
        if name not in self._plans:
            if len(self._plans) >= _PLANS_MAX:
                self._plans.clear()
            self._plans[name] = plan_of(row)
        return self._plans[name]
