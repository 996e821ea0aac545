"""What a definition's fields must satisfy together, beyond being there and well typed.

One module per question: `control_flow` (ids, targets, notations), `joins`, `fields` (which go
together), `slots` (which are expressions, and what each may read), `order` (what may run before
what), `expressions`, `schemas`. Each adds to the `Findings`; none stops at the first fault. Start
at `check_definition`.
"""

from __future__ import annotations

from ..diagnostics import Findings
from ..model import Definition
from ..scopes import scopes_of
from ..shape import Lost
from . import control_flow, expressions, fields, joins, schemas


def check_definition(
    definition: Definition,
    findings: Findings,
    *,
    lost: Lost = Lost(),  # noqa: B008  # immutable
) -> None:
    """Note every fault of a definition.

    Args:
        lost: names that the text has and the definition lacks, as they could not be read.
    """
    ordered = not findings.damaged
    for scope in scopes_of(definition):
        sound = control_flow.check(scope, findings, lost=lost.steps)
        fields.check(scope, findings, lost=lost.variables)
        ordered &= sound
        if ordered:
            joins.check(scope, findings)
    fields.check_root(definition, findings)
    typed = schemas.check(definition, findings)
    expressions.check(definition, findings, lost=lost, ordered=ordered, typed=typed)
