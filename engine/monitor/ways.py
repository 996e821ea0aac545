"""Which visits must follow one that settles: the ways it took, joins, the needs of a DAG.

Both directions are held: nothing opens that may not, and what must open does.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from heliostat.engine.monitor.marking import Group, Marking, Scope, Unfit, Waiting, sources
from heliostat.engine.plan.plan import END, StepPlan

Expected: TypeAlias = tuple[int, bool]
"""A step that must open now, and whether as skipped."""

_NOTHING: Final[tuple[Expected, ...]] = ()


def check_taken(marking: Marking, step: StepPlan, taken: tuple[int, ...], *, failed: bool) -> None:
    """The ways that a settled visit took are some that it may take."""
    if failed:
        allowed = [edge.number for edge in step.error_edges]
        if len(taken) > 1 or (taken and taken[0] not in allowed):
            raise Unfit("its failure led where its `on_error` does not")
        return
    allowed = [edge.number for edge in step.routes]
    if not allowed and not taken:
        return
    if not all(number in allowed for number in taken):
        raise Unfit("it went on by a way that it does not have")
    unconditional = all(edge.when is None for edge in step.routes)
    if step.split == "first":
        fits = len(taken) == 1
    elif unconditional:
        fits = list(taken) == allowed
    else:
        fits = 0 < len(taken) == len(set(taken))
    if not fits:
        raise Unfit(f"it went on by {len(taken)} of its {len(allowed)} ways")


def arrivals(
    marking: Marking, scope: Scope, taken: tuple[int, ...]
) -> tuple[Expected, ...] | list[Expected]:
    """Count arrivals at joins; the steps of a state machine that start now, in order."""
    if not taken:
        return _NOTHING
    plan = marking.plan
    expected: list[Expected] = []
    arrived: set[int] = set()
    for number in taken:
        edge = plan.edges[number]
        if edge.target == END:
            continue
        target = plan.steps[edge.target]
        if target.join.kind == "any":
            expected.append((edge.target, False))
        elif edge.target not in arrived:
            arrived.add(edge.target)
            if _arrive(marking, scope, target, edge.source):
                expected.append((edge.target, False))
    return expected


def _arrive(marking: Marking, scope: Scope, target: StepPlan, source: int) -> bool:
    """Count one arrival; whether the join starts by it."""
    joins = scope.joins
    if joins is None:
        joins = scope.joins = {}
    waiting = joins.get(target.number)
    if waiting is None:
        waiting = joins[target.number] = Waiting()
    before = waiting.arrived
    if target.join.kind == "all":
        others = sources(marking.plan, target) - {source}
        fires = not before.get(source) and all(before.get(other) for other in others)
    else:
        fires = not waiting.fired and sum(before.values()) + 1 == target.join.count
    before[source] = before.get(source, 0) + 1
    return fires


def fire(scope: Scope, step: StepPlan) -> None:
    """A join starts: its arrivals are taken."""
    waiting = scope.joins.get(step.number) if scope.joins else None
    if waiting is None:
        return
    if step.join.kind == "at_least":
        waiting.fired = True
        return
    left = {source: count - 1 for source, count in waiting.arrived.items() if count > 1}
    waiting.arrived = left
    if not left:
        assert scope.joins is not None
        del scope.joins[step.number]


def needs(
    marking: Marking, scope: Scope, step: StepPlan, *, cancelled: tuple[int, ...] = ()
) -> list[Expected] | None:
    """The steps of a DAG that start because this one has settled, in order; None: one of them is
    out of reach, and the scope fails.

    Args:
        cancelled: steps that its completion cancels.
    """
    assert scope.tallies is not None
    assert scope.begun is not None
    plan = marking.plan
    dependents = step.dependents
    if step.cancels:
        found = dict.fromkeys(dependents)
        for number in step.cancels:
            found.update(dict.fromkeys(plan.steps[number].dependents))
        dependents = tuple(found)
    expected: list[Expected] = []
    for number in dependents:
        if number in scope.begun or number in cancelled:
            continue
        verdict = _verdict(plan.steps[number], scope.tallies.get(number, (0, 0, 0)))
        if verdict == "fail":
            return None
        if verdict != "wait":
            expected.append((number, verdict == "skip"))
    return expected


def outcome(step: StepPlan, group: Group) -> bool | None:
    """Whether items or branches have completed as a whole, have failed, or go on (None)."""
    rule = step.completion if step.foreach is None else step.foreach.completion
    done, failed, width = group.completed, group.failed, group.width
    if rule.kind == "all":
        return False if failed else done == width or None
    if rule.kind == "all_done":
        return done + failed == width or None
    if done >= rule.count:
        return True
    return None if width - failed >= rule.count else False


def is_out_of_reach(marking: Marking, scope: Scope) -> bool:
    """Whether a step of a DAG can no longer start because needs of it have failed: where an
    execution was tried again from a step, one that failed before may still stand in its way."""
    begun = scope.begun or set()
    return any(
        number not in begun and _verdict(marking.plan.steps[number], tally) == "fail"
        for number, tally in (scope.tallies or {}).items()
    )


def _verdict(
    step: StepPlan, tally: list[int] | tuple[int, int, int]
) -> Literal["start", "skip", "fail", "wait"]:
    settled, completed, failed = tally
    total, join = len(step.needs), step.join
    if join.kind == "all_done":
        return "start" if settled == total else "wait"
    if join.kind == "all":
        if settled < total:
            return "wait"
        return "fail" if failed else "start" if completed else "skip"
    if completed >= join.count:
        return "start"
    if completed + total - settled >= join.count:
        return "wait"
    return "fail" if failed else "skip"
