"""What conformance knows of a plan, made once: the plan, and what most events come to by it.

Most events of most executions complete a plain visit and open plain ones. `ways`, `needed_by` and
`plain` are what these are held against without a look at the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from heliostat.engine.plan.plan import END, EdgeNumber, Plan, StepNumber, StepPlan

Ways: TypeAlias = Mapping[tuple[EdgeNumber, ...], StepNumber]
"""By the way that a step took, the one step that opens; `END`: none."""
_NO_WAYS: Final[Ways] = {}


class Tables:
    """Of one plan; read only."""

    __slots__ = ("needed_by", "plain", "plan", "start", "ways")

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.plain = tuple(_is_plain(step) for step in plan.steps)
        """By step, whether a visit of it opens nothing else, and its end withdraws nothing."""
        self.ways = tuple(_ways(plan, step, self.plain) for step in plan.steps)
        """Of state machines: by step; nothing, where more than that has to be looked at."""
        start = plan.root.start
        self.start = start if all(self.plain[number] for number in start) else None
        """What the root begins with, where all of it is plain."""
        self.needed_by = tuple(_needed_by(plan, step, self.plain) for step in plan.steps)
        """Of DAGs: by step, those that need it, each with the number of its needs; None where more
        than that has to be looked at."""


def _is_plain(step: StepPlan) -> bool:
    opens = step.kind in ("body", "parallel")
    return not (opens or step.foreach is not None or step.cancels or step.retired)


def _ways(plan: Plan, step: StepPlan, plain: tuple[bool, ...]) -> Ways:
    forks = step.split == "all" and len(step.routes) > 1
    machine = plan.scopes[step.scope].notation == "state_machine"
    if not plain[step.number] or step.terminate or forks or not machine:
        return _NO_WAYS
    if not step.routes:
        return {(): END}
    return {
        (edge.number,): edge.target
        for edge in step.routes
        if edge.target == END or (plain[edge.target] and plan.steps[edge.target].join.kind == "any")
    }


def _needed_by(
    plan: Plan, step: StepPlan, plain: tuple[bool, ...]
) -> tuple[tuple[int, int], ...] | None:
    dag = plan.scopes[step.scope].notation == "dag"
    if not dag or not plain[step.number] or step.terminate:
        return None
    found = []
    for number in step.dependents:
        dependent = plan.steps[number]
        if dependent.join.kind != "all" or not plain[number]:
            return None
        found.append((number, len(dependent.needs)))
    return tuple(found)
