"""Small rules of the kernel that bounds, drawn runs and the critical path share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from heliostat.engine.plan.plan import Completion, Join, Plan, Retry, ScopePlan, StepPlan

PAUSES_ADDED_MAX: Final = 10_000
"""Pauses between attempts that are added one by one; of more, each counts as the longest."""


def count_of(rule: Join | Completion, among: int) -> int:
    """How many of so many have to come."""
    if rule.kind in ("all", "all_done"):
        return among
    return 1 if rule.kind == "any" else rule.count


def needs_first(scope: ScopePlan, plan: Plan) -> list[int]:
    """The steps of a DAG, each behind all its needs."""
    waiting = {number: len(plan.steps[number].needs) for number in scope.steps}
    order = [number for number, count in waiting.items() if not count]
    for number in order:  # grows as it goes
        for dependent in plan.steps[number].dependents:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                order.append(dependent)
    return order


def inside(plan: Plan, step: StepPlan) -> list[StepPlan]:
    """All steps within a step, at any depth."""
    found, left = list[StepPlan](), list(step.scopes)
    while left:
        inner = [plan.steps[number] for number in plan.scopes[left.pop()].steps]
        found += inner
        left += [scope for each in inner for scope in each.scopes]
    return found


def grace_of(steps: Iterable[StepPlan]) -> int:
    """The longest time that one of these may take to end once it is told to stop."""
    return max(
        (each.grace_ms for each in steps if each.kind in ("activity", "sub_workflow")), default=0
    )


def pauses_ms(retry: Retry) -> float:
    """All pauses between the attempts of a policy, each at its longest."""
    total = 0.0
    for failures in range(1, retry.max_attempts):
        if failures > PAUSES_ADDED_MAX:
            return total + float(retry.max_ms) * (retry.max_attempts - failures)
        pause = retry.initial_ms * retry.factor ** min(failures - 1, 64)
        if pause >= retry.max_ms or retry.factor == 1:  # all that follow are the same
            pause = min(pause, float(retry.max_ms))
            return total + round(pause) * (retry.max_attempts - failures)
        total += round(pause)
    return total
