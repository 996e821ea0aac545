"""What a definition's fields must satisfy together, beyond being there and well typed.

One module per question: `control_flow` (ids, targets, notations, regions), `joins`, `fields` (which
go together), `tags` (those that say how long it takes), `kinds` (what goes together, of the single
step types), `variables`, `shared` (what steps refer
to: semaphores, intervention points, handlers), `properties` (what is declared of executions),
`slots` (which fields are expressions, and what each may read), `order` (what may run before what),
`expressions`, `schemas`. Each adds to the `Findings`; none stops at the first fault. Combinations
that are refused stand in the one table of `refused`. Start at `check_definition`.
"""

from __future__ import annotations

from ..diagnostics import Findings
from ..model import Definition
from ..scopes import scopes_of
from ..shape import Lost
from . import (
    control_flow,
    expressions,
    fields,
    joins,
    kinds,
    properties,
    schemas,
    shared,
    variables,
)


def check_definition(
    definition: Definition,
    findings: Findings,
    *,
    lost: Lost = Lost(),  # noqa: B008  # immutable
) -> None:
    """Note every fault of a definition.

    Args:
        lost: names that the text has and the definition may lack, as they could not be read.
    """
    scopes = [*scopes_of(definition)]
    ordered = control_flow.unique(scopes, findings)
    homes = control_flow.homes(scopes)
    declared = {name for scope in scopes for name in scope.variables}
    lost = Lost(steps=lost.steps - homes.keys(), variables=lost.variables - declared)
    for scope in scopes:
        sound = control_flow.check(scope, homes, findings, lost=lost.steps)
        fields.check(scope, findings)
        kinds.check(scope, findings)
        variables.check(scope, findings, lost=lost.variables)
        if sound and not findings.damaged:
            joins.check(scope, findings)
        ordered &= sound
    ordered &= not findings.damaged
    fields.check_root(definition, findings)
    shared.check(definition, scopes, homes, findings)
    properties.check(definition, homes, findings, lost=lost.steps)
    typed = schemas.check(definition, scopes, findings)
    expressions.check(definition, scopes, homes, findings, lost=lost, ordered=ordered, typed=typed)
