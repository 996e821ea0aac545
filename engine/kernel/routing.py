"""Which visits follow a visit that settled: edges and joins of state machines, needs of DAGs.

Nothing here changes a state; `follow` fills an `Opening` with what the settling event activates.
Joins count the steps that arrived, not the edges: a step with two ways into a join sends once a
visit.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Literal

from heliostat.engine.identity import Address
from heliostat.engine.kernel.activation import Opening
from heliostat.engine.kernel.context import ScopeContext
from heliostat.engine.kernel.events import Failure
from heliostat.engine.kernel.state import (
    ExecutionState,
    ScopeState,
    SettledStatus,
    Tally,
    Waiting,
)
from heliostat.engine.plan.plan import END, Edge, Plan, StepNumber, StepPlan


class NoWay(Exception):
    """No condition of a step's `next` holds and it has no default; becomes a `NoWayOn` failure."""


def route(
    plan: Plan, state: ExecutionState, step: StepPlan, at: Address, context: ScopeContext
) -> tuple[Edge, ...]:
    """The edges that a settled visit takes.

    Raises:
        NoWay: none is open, and there is no default.
        ExpressionError: a condition has no value.
    """
    routes = step.routes
    if not routes:
        return ()
    if len(routes) == 1 and routes[0].when is None:
        return routes
    context.seeded(at, "next")
    if step.split == "first":
        for edge in routes:
            if edge.when is None or edge.when.test(context):
                return (edge,)
        raise NoWay(no_way_message(step))
    unconditional = all(edge.when is None for edge in routes)
    if unconditional:
        return routes
    taken = tuple(edge for edge in routes if edge.when is not None and edge.when.test(context))
    if not taken:
        taken = tuple(edge for edge in routes if edge.when is None)
    if not taken:
        raise NoWay(no_way_message(step))
    return taken


def no_way_message(step: StepPlan) -> str:
    """What happened and what to write."""
    conditions = "; ".join(edge.when.source for edge in step.routes if edge.when is not None)
    return (
        f"none of the conditions of `next` holds ({conditions}); "
        "add a last `{to: …}` without `when`"
    )


def follow(
    plan: Plan,
    state: ExecutionState,
    opening: Opening,
    scope: ScopeState,
    step: StepPlan,
    context: ScopeContext,
    *,
    taken: Iterable[Edge],
    status: SettledStatus,
    withdrawn: Mapping[StepNumber, SettledStatus] = MappingProxyType({}),
    cancelled: Container[StepNumber] = (),
) -> bool:
    """Open what follows a step that settles with `status`.

    Args:
        withdrawn: of a DAG: other steps that settle by the same event, as the step cancels them.
        cancelled: of a state machine: joins that lose their arrivals by the same event.

    Returns:
        False when a DAG step fell out of reach because a need failed: then the scope fails.
    """
    if plan.scopes[step.scope].notation == "dag":
        settling = {step.number: status, **withdrawn}
        return _follow_needs(plan, opening, scope, step, context, settling)
    arrived: set[StepNumber] = set()
    for edge in taken:
        if edge.target == END:
            continue
        target = plan.steps[edge.target]
        if target.join.kind == "any":
            opening.visit(target, scope, context)
        elif target.number not in arrived:
            arrived.add(target.number)
            waiting = None if target.number in cancelled else scope.joins.get(target.number)
            if _fires(plan, target, waiting, edge.source):
                opening.visit(target, scope, context)
    return True


def sources(plan: Plan, step: StepPlan) -> set[StepNumber]:
    """The steps with a way into a join."""
    return {plan.edges[number].source for number in step.arrivals} - {END}


def _fires(plan: Plan, target: StepPlan, waiting: Waiting | None, source: StepNumber) -> bool:
    """Whether an arrival from `source` lets a join start."""
    before = waiting.arrived if waiting is not None else {}
    if target.join.kind == "all":
        others = sources(plan, target) - {source}
        return not before.get(source) and all(before.get(other) for other in others)
    if waiting is not None and waiting.fired:
        return False
    return sum(before.values()) + 1 == target.join.count


def reopened_joins(plan: Plan, scope: ScopeState) -> Iterator[StepNumber]:
    """Joins that have fired and can start afresh: each step on the way has sent, or cannot."""
    if not scope.joins or scope.plan_scope is None:
        return
    reachable = plan.scopes[scope.plan_scope].reachable
    alive = {step for step, _ in scope.active}
    alive.update(number for number, waiting in scope.joins.items() if not waiting.fired)
    for number, waiting in list(scope.joins.items()):
        if not waiting.fired:
            continue
        missing = sources(plan, plan.steps[number]) - waiting.arrived.keys()
        if not any(
            source in alive or any(source in reachable[step] for step in alive)
            for source in missing
        ):
            yield number


def stuck_join(plan: Plan, scope: ScopeState) -> Failure | None:
    """The failure of a scope where nothing is active and a join still waits."""
    for number, waiting in scope.joins.items():
        if waiting.fired:
            continue
        step = plan.steps[number]
        missing = sources(plan, step) - waiting.arrived.keys()
        names = ", ".join(sorted(plan.steps[source].id for source in missing))
        return Failure(
            type="Stuck",
            message=f"join {step.id!r} waits for {names or 'more arrivals'}, and nothing that "
            "could still arrive is active",
            step=step.id,
        )
    return None


def has_begun(scope: ScopeState, number: StepNumber) -> bool:
    """Whether a DAG step has been opened, or has settled without; a retry of the execution from a
    step makes those behind it begin once more."""
    latest = scope.visits.get(number)
    return latest is not None and (number in scope.settled or (number, latest) in scope.active)


def tolerated(plan: Plan, scope: ScopeState, step: StepPlan, *, settled: bool = False) -> bool:
    """Whether a DAG goes on although this step fails: all that depends on it can do without.

    Args:
        settled: the failure is among the tallies already.
    """
    if not step.dependents or plan.scopes[step.scope].notation != "dag":
        return False
    for number in step.dependents:
        dependent = plan.steps[number]
        if dependent.join.kind == "all_done":
            continue
        if dependent.join.kind == "all":
            return False  # also where it was cancelled: nothing looks at the failure then
        if has_begun(scope, number):
            continue
        if _verdict(dependent, _after(scope, number, () if settled else ("Failed",))) == "fail":
            return False
    return True


def _follow_needs(
    plan: Plan,
    opening: Opening,
    scope: ScopeState,
    step: StepPlan,
    context: ScopeContext,
    settling: Mapping[StepNumber, SettledStatus],
) -> bool:
    dependents = step.dependents
    if step.cancels:
        cancelled = (plan.steps[number].dependents for number in step.cancels)
        dependents = tuple(dict.fromkeys(chain(dependents, *cancelled)))
    for number in dependents:
        if number in settling or has_begun(scope, number):
            continue
        dependent = plan.steps[number]
        now: Iterable[SettledStatus] = settling.values()
        if step.cancels:  # then some that are looked at need only a part of what settles
            now = [status for need, status in settling.items() if need in dependent.needs]
        verdict = _verdict(dependent, _after(scope, number, now))
        if verdict == "fail":
            return False
        if verdict != "wait":
            opening.visit(dependent, scope, context, skip=verdict == "skip")
    return True


def out_of_reach(plan: Plan, scope: ScopeState) -> Failure | None:
    """The failure of a need for which a DAG step can no longer start, if there is such a step."""
    if scope.plan_scope is None or plan.scopes[scope.plan_scope].notation != "dag":
        return None
    for number, tally in scope.tallies.items():
        if has_begun(scope, number) or _verdict(plan.steps[number], tally) != "fail":
            continue
        for need in plan.steps[number].needs:
            settled = scope.settled.get(need)
            if settled is not None and settled.failure is not None and settled.status == "Failed":
                return settled.failure
    return None


def beginning(plan: Plan, scope: ScopeState) -> Iterator[tuple[StepPlan, bool]]:
    """Steps of a DAG that have not begun though their needs let them, and whether as skipped:
    where its needs are others than those that its steps settled under."""
    assert scope.plan_scope is not None
    for number in plan.scopes[scope.plan_scope].steps:
        step = plan.steps[number]
        if has_begun(scope, number):
            continue
        verdict = _verdict(step, scope.tallies.get(number) or Tally()) if step.needs else "start"
        if verdict in ("start", "skip"):
            yield step, verdict == "skip"


def _after(scope: ScopeState, dependent: StepNumber, now: Iterable[SettledStatus]) -> Tally:
    """A step's tally as it will be when more of its needs have settled."""
    before = scope.tallies.get(dependent) or Tally()
    tally = Tally(before.settled, before.completed, before.failed)
    for status in now:
        tally.settled += 1
        tally.completed += status == "Completed"
        tally.failed += status == "Failed"
    return tally


def _verdict(step: StepPlan, tally: Tally) -> Literal["start", "skip", "fail", "wait"]:
    """What a DAG step does once its needs stand at `tally`."""
    total = len(step.needs)
    match step.join.kind:
        case "all_done":
            return "start" if tally.settled == total else "wait"
        case "all":
            if tally.settled < total:
                return "wait"
            if tally.failed:
                return "fail"
            return "start" if tally.completed else "skip"
        case "any" | "at_least":
            if tally.completed >= step.join.count:
                return "start"
            if tally.completed + total - tally.settled >= step.join.count:
                return "wait"
            return "fail" if tally.failed else "skip"
