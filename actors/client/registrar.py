"""Versions on their way into the journal: pinned, stored with their code, and sent.

Definitions that refer to each other are given together, and registered in the order in which they
need each other.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from heliostat.actors.client.permits import check_permits
from heliostat.actors.client.pinning import in_order, named_calendars, pinned_children
from heliostat.actors.client.registration import Prepared
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.model import Definition
from heliostat.engine.calendars import Calendar
from heliostat.engine.errors import NotFound
from heliostat.engine.journal.protocol import BlobStore, DefinitionRow

Find: TypeAlias = Callable[[str, str, str | None], DefinitionRow]
"""By namespace, id and version (None: the one registered last); raises `NotFound`."""

Put: TypeAlias = Callable[[DefinitionRow], DefinitionRow]
"""Stores a version, or answers the equal one that is there; raises `Duplicate`."""


class Entered(NamedTuple):
    """A version as it is stored, whether it was before, and what a proof says of it."""

    row: DefinitionRow
    existed: bool
    warnings: tuple[Diagnostic, ...] = ()


class Registrar:
    """Registers versions for one client."""

    def __init__(
        self,
        *,
        blobs: BlobStore,
        find: Find,
        put: Put,
        calendars: Mapping[str, Calendar],
        semaphores: Mapping[str, int] | None = None,
    ) -> None:
        """Args:
        semaphores: of the deployment, with their capacities; None: not known, and not checked.
        """
        self._blobs, self._find, self._put = blobs, find, put
        self._calendars, self._semaphores = calendars, semaphores

    def register(self, prepared: Sequence[Prepared]) -> list[Entered]:
        """The stored version of each, in the order given.

        One that cannot be registered ends it; those before it, which it may need, stay registered.

        Raises:
            DefinitionError: a workflow, calendar or semaphore that one names there is not.
            Duplicate: a version is registered with other content.
        """
        registered: dict[str, Entered] = {}
        for each in in_order(prepared):
            registered[each.id] = self._register(each, registered)
        return [registered[each.id] for each in prepared]

    def _register(self, prepared: Prepared, registered: Mapping[str, Entered]) -> Entered:
        definition = prepared.definition
        if self._semaphores is not None:
            check_permits(definition, self._semaphores)

        def find(workflow: str, version: str | None) -> str | None:
            together = registered.get(workflow)
            if together is not None and version in (None, together.row.version):
                return together.row.version  # what it is registered with is meant, not a later one
            try:
                return self._find(definition.namespace, workflow, version).version
            except NotFound:
                return None

        version = prepared.stored(
            self._blobs,
            children=pinned_children(definition, find),
            calendars=named_calendars(definition, self._calendars),
            before=self._latest(definition),
        )
        row = DefinitionRow(
            namespace=version.namespace,
            id=version.id,
            version=version.version,
            content_hash=version.content_hash,
            body=version.body,
            compiled=version.compiled,
            registered_at_ms=time.time_ns() // 1_000_000,
        )
        stored = self._put(row)
        return Entered(
            stored,
            existed=stored.registered_at_ms != row.registered_at_ms,
            warnings=prepared.warnings or (),
        )

    def _latest(self, definition: Definition) -> DefinitionRow | None:
        """The version registered last, whose numbers a new one continues."""
        try:
            return self._find(definition.namespace, definition.id, None)
        except NotFound:
            return None
