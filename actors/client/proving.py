"""Whether what is registered has been proved, and what becomes of what the proof finds.

Who proves is given from outside: a `Prover` knows definitions and nothing of deployments. It runs
where a registration is made ready, in the caller's thread or the door's, and never in a host.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol, TypeAlias

from msgspec import structs

from heliostat.actors.client.registration import Prepared
from heliostat.engine.authoring.activities import ActivityInfo
from heliostat.engine.authoring.diagnostics import Diagnostic
from heliostat.engine.authoring.model import Definition
from heliostat.engine.errors import DefinitionError
from heliostat.engine.plan.mapping import MigrationCheck, PlanMapping

Verification: TypeAlias = Literal["error", "warn", "off"]
"""What a registration does with what a proof finds: refuse it, tell it, or not prove at all."""


class Prover(Protocol):
    """Finds what is wrong with the runs of a definition, given what was seen of its functions.

    Bounded in time, callable from any thread, and raises nothing: what it cannot find out is a
    warning. An error is certain.
    """

    def __call__(
        self, definition: Definition, functions: Mapping[str, ActivityInfo], /
    ) -> tuple[Diagnostic, ...]: ...


class MigrationProver(Protocol):
    """Finds which places in the way of executions they can come to: of the version that a mapping
    leads from, given its definition.

    Bounded in time, callable from any thread.
    """

    def __call__(self, definition: Definition, mapping: PlanMapping, /) -> MigrationCheck: ...


@dataclass(frozen=True)
class Proving:
    """Proofs as a deployment has them made where nobody says otherwise."""

    prover: Prover
    usual: Verification = "warn"
    migrations: MigrationProver | None = None
    """Absent, versions are compared by their structure alone."""

    def proved(self, prepared: Prepared, verification: Verification | None = None) -> Prepared:
        """The same with its warnings; as it is, if it has been proved before.

        Args:
            verification: in place of the usual.

        Raises:
            DefinitionError: under `error`, with every error that was found.
        """
        asked = verification or self.usual
        if prepared.warnings is not None or asked == "off":
            return prepared
        found = self.prover(prepared.definition, prepared.functions)
        errors = [each for each in found if each.severity == "error"]
        if errors and asked == "error":
            source = prepared.definition.source
            raise DefinitionError(prepared.id if source is None else source.name, errors)
        warnings = (structs.replace(each, severity="warning") for each in found)
        return replace(prepared, warnings=tuple(warnings))
