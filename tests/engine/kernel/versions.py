"""Several versions of one definition, as they would be registered one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from heliostat.engine.authoring.loading import parse_definition
from heliostat.engine.authoring.model import Definition
from heliostat.engine.kernel.codec import OtherVersion, fold
from heliostat.engine.kernel.state import ExecutionState
from heliostat.engine.plan.compile import compile_plan
from heliostat.engine.plan.numbering import continue_numbering, make_numbering
from heliostat.engine.plan.plan import Plan


def plans_of(versions: Iterable[str | Definition]) -> dict[str, Plan]:
    """The plan of each, by version."""
    plans: dict[str, Plan] = {}
    before, numbering = None, None
    for each in versions:
        definition = parse_definition(each, "versions.yaml") if isinstance(each, str) else each
        if before is None or numbering is None:
            numbering = make_numbering(definition)
        else:
            numbering = continue_numbering(numbering, before, definition)
        before = definition
        plans[definition.version] = compile_plan(definition, numbering=numbering)
    return plans


def fold_on(
    plans: Mapping[str, Plan], plan: Plan, bodies: Sequence[bytes], state: ExecutionState
) -> Plan:
    """Fold events that may move the execution; the plan that it then has."""
    first = state.seq
    while True:
        try:
            fold(plan, bodies[state.seq - first :], state)
        except OtherVersion as other:
            plan = plans[other.version]
        else:
            return plan
