"""The certificate that nobody waits for permits in a circle, and its checker.

Knows plans as data: which steps use what, and which steps are around them. Nothing of what finds
such an order is imported.

Why levels show it. A visit waits for all that its step uses at once, and what the steps around it
use is held meanwhile. Say that some visits wait and nothing but permits could let them go on. Of
those at the highest level take the one that came first. What it waits for is held by visits, or
kept for earlier ones that want some of the same (nobody overtakes). The holders do not wait, since
what is inside them waits at a higher level; the earlier ones would be at its level, and came later.
So somebody goes on. How many items, visits or executions are side by side does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.certificates.checker import Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class TakenInOrder:
    """A level for each semaphore of a plan: who holds some waits only for higher ones.

    Semaphores of the deployment, and what attempts take of a node, are above all levels: an attempt
    has all of them at once or none, and waits for nothing while it runs.
    """

    plan: str  # its content's hash
    levels: Mapping[str, int]


def check_order(plan: Plan, order: TakenInOrder) -> None:
    """Go through all steps of a plan.

    Raises:
        Rejected: the levels are of another plan, or a step does not keep to them.
    """
    if order.plan != plan.content_hash:
        raise Rejected("the levels are of another plan")
    for step in plan.steps:
        if step.retired:
            continue
        if step.semaphores and step.kind != "activity":
            raise Rejected(f"{step.id!r} makes no attempt, and holds what all executions share")
        wanted = {order.levels.get(name) for name, _ in step.uses}
        if None in wanted or len(wanted) > 1:
            raise Rejected(f"what {step.id!r} takes at once has no level, or several")
        for name, count in step.uses:
            if count > plan.semaphores[name]:
                raise Rejected(f"{step.id!r} takes more of {name!r} than there is")
        around = _owner(plan, step)
        while around is not None and wanted:
            for name, _ in around.uses:
                if not all(order.levels[name] < (level or 0) for level in wanted):
                    raise Rejected(f"{step.id!r} waits for no higher level than {name!r}")
            around = _owner(plan, around)


def _owner(plan: Plan, step: StepPlan) -> StepPlan | None:
    owner = plan.scopes[step.scope].owner
    return None if owner is None else plan.steps[owner]
