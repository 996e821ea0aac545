"""Registered versions: put, found, and what differs when a version is taken."""

from __future__ import annotations

from heliostat.actors.host.api import Refusal
from heliostat.actors.host.clock import Clock
from heliostat.actors.host.plans import Compile, PlanStore
from heliostat.actors.host.questions import DefinitionRequest, DeleteDefinition, Forgotten
from heliostat.engine.authoring.versions import difference
from heliostat.engine.errors import Dependency, HeliostatError, NotFound
from heliostat.engine.journal.protocol import DefinitionRow, Deletion, Journal


class Definitions:
    """The definitions of a journal, as clients put and get them."""

    def __init__(
        self, *, journal: Journal, plans: PlanStore, compile: Compile, clock: Clock
    ) -> None:
        self._journal, self._plans, self._compile = journal, plans, compile
        self._clock = clock

    async def put(self, row: DefinitionRow) -> DefinitionRow | Refusal:
        """Register a version. The same content again is harmless, other content is refused.

        It is compiled first: a version that no host can run is not stored.
        """
        try:
            self._compile(row)
        except (HeliostatError, ValueError, LookupError, TypeError) as error:
            return Refusal(
                code="INVALID_DEFINITION",
                message=f"version {row.version} of {row.id!r} cannot be compiled: {error}",
                details={"name": row.id, "diagnostics": [str(error)]},
            )
        stored = await self._journal.put_definition(row)
        self._plans.registered(row.namespace, row.id)
        if stored.content_hash == row.content_hash:
            return stored
        changes = difference(stored, row)
        return Refusal(
            code="DUPLICATE_ERROR",
            message=(
                f"version {row.version} of {row.id!r} "
                f"{'is' if stored.deleted_at_ms is None else 'was'} registered in namespace "
                f"{row.namespace!r} with other content; give it a new version:\n{changes}"
            ),
            details={"name": row.id, "version": row.version, "difference": changes},
        )

    async def delete(self, request: DeleteDefinition) -> Deletion:
        """Delete a version, or all of them, that nothing needs."""
        deletion = await self._journal.delete_definition(
            request.namespace, request.id, request.version, at_ms=self._clock.now_ms()
        )
        name = request.id if request.version is None else f"{request.id}@{request.version}"
        if deletion.executions or deletion.definitions:
            raise Dependency(name, deletion.executions, deletion.definitions)
        if not deletion.versions:
            raise NotFound("definition", name, f"its namespace is {request.namespace!r}")
        self._plans.deleted(request.namespace, request.id, deletion.versions)
        return deletion

    async def forget(self, request: Forgotten) -> None:
        """Another host has deleted versions."""
        self._plans.deleted(request.namespace, request.id, request.versions)

    async def get(self, request: DefinitionRequest) -> DefinitionRow:
        """A version; None asks for the one registered last."""
        row = await self._journal.get_definition(request.namespace, request.id, request.version)
        if row is None or (row.deleted_at_ms is not None and not request.deleted):
            name = request.id if request.version is None else f"{request.id} {request.version}"
            raise NotFound("definition", name, f"its namespace is {request.namespace!r}")
        return row
