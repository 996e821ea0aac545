"""The least and the most of a DAG, from its opening to its end.

Both go along the needs: a step starts at the n-th smallest of the bounds of its needs, where n is
what its `join` waits for. What may be skipped may take no time, and what may fail may leave a step
to the last of its needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from heliostat.engine.plan.plan import Join, Plan, ScopePlan, StepPlan
from heliostat.verify.timing.limits import Span
from heliostat.verify.timing.rules import count_of, needs_first


def dag(
    plan: Plan,
    scope: ScopePlan,
    visits: Mapping[int, Span],
    held: Callable[[int], float],
    definite: Callable[[StepPlan], bool],
) -> Span:
    """The bounds of a DAG.

    Args:
        visits: by step number, one visit.
        held: the most that a step and what it withdraws take.
        definite: whether a step can only complete.
    """
    steps = {number: plan.steps[number] for number in scope.steps}
    cancelled = {number for step in steps.values() for number in step.cancels}
    settled: dict[int, Span] = {}
    skips: dict[int, bool] = {}
    for number in needs_first(scope, plan):
        step = steps[number]
        own = visits[number]
        needs = [settled[need] for need in step.needs]
        skips[number] = (
            step.when is not None
            or number in cancelled
            or _may_fall_out(step.join, [skips[need] for need in step.needs])
        )
        start = Span(
            _least_start(step.join, needs, [skips[need] for need in step.needs]),
            _most_start(plan, step, needs, definite),
        )
        least = 0 if number in cancelled else start.least
        settled[number] = Span(
            least + (0 if skips[number] else own.least),
            start.most + held(number),
        )
    ends = settled.values()
    least = max(each.least for each in ends)
    for number, step in steps.items():
        if step.terminate:
            least = min(least, settled[number].least)
    return Span(least, max(each.most for each in ends))


def _most_start(
    plan: Plan, step: StepPlan, needs: Sequence[Span], definite: Callable[[StepPlan], bool]
) -> float:
    if not needs:
        return 0
    count = count_of(step.join, len(needs))
    certain = sorted(
        span.most
        for span, need in zip(needs, step.needs, strict=True)
        if definite(plan.steps[need])
    )
    if count <= len(certain):
        return certain[count - 1]
    return max(span.most for span in needs)


def _may_fall_out(join: Join, skips: Sequence[bool]) -> bool:
    """Whether so many needs may be skipped that the step is skipped too."""
    if not skips or join.kind == "all_done":
        return False
    if join.kind == "all":
        return all(skips)
    return len(skips) - sum(skips) < count_of(join, len(skips))


def _least_start(join: Join, needs: Sequence[Span], skips: Sequence[bool]) -> float:
    if not needs:
        return 0
    least = sorted(span.least for span in needs)
    count = count_of(join, len(least))
    if any(skips):  # it may be skipped when so many are that too few are left
        return least[min(count, len(least) - count + 1) - 1] if count < len(least) else least[-1]
    return least[count - 1]
