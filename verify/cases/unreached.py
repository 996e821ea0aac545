"""Why a goal is covered by no case: proved to be out of reach, or not found."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Final

from heliostat.engine.plan.plan import Plan
from heliostat.verify.cases.goals import Goal
from heliostat.verify.cases.search import Search
from heliostat.verify.properties.soundness import verify

STATES_MAX: Final = 2_000
"""Markings that are looked at for dead steps: `heliostat verify` looks further."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """A goal that no case covers, and why."""

    goal: Goal
    reason: str
    proved: bool  # that no execution reaches it


def unreached(
    search: Search,
    reached: Collection[Goal],
    *,
    time_max_ms: float | None = None,
    now_ms: Callable[[], float] | None = None,
) -> tuple[Unreached, ...]:
    """What is left of a search, with reasons."""
    left = [goal for goal in search.observer.goals if goal not in reached]
    if not left:
        return ()
    visited = {id for found in search.corpus for id in found.visited}
    unseen = any(goal.step and goal.step not in visited for goal in left)
    dead = _dead(search.plan, time_max_ms, now_ms) if unseen else frozenset[str]()
    return tuple(_unreached(search, goal, dead, visited) for goal in left)


def _unreached(
    search: Search, goal: Goal, dead: frozenset[str], visited: Collection[str]
) -> Unreached:
    plan = search.plan
    if goal.step in dead:
        return Unreached(goal, f"no run comes to {goal.step}: it is a dead step", proved=True)
    if goal.kind == "way":
        edge = plan.edges[int(goal.detail)]
        target = plan.steps[edge.target].id if edge.target >= 0 else ""
        if target in dead:
            return Unreached(goal, f"no run comes to {target}: it is a dead step", proved=True)
        routes = plan.steps[edge.source].routes
        if edge.when is not None and edge.when.constant:
            return Unreached(goal, f"its condition is constant: {edge.when.source}", proved=True)
        before = routes[: routes.index(edge)] if edge in routes else ()
        certain = next((one for one in before if one.when and one.when.constant), None)
        if certain is not None and certain.when is not None:
            why = f"a condition before it is constant: {certain.when.source}"
            return Unreached(goal, why, proved=True)
    tried = search.tried.get(goal, 0)
    if search.bound:
        return Unreached(goal, f"the search ended at {search.bound}", proved=False)
    if goal.step and goal.step not in visited:
        return Unreached(goal, f"no case was found that comes to {goal.step}", proved=False)
    condition = ""
    if goal.kind == "way":
        when = plan.edges[int(goal.detail)].when
        condition = f" with {when.source}" if when is not None else " past the conditions before it"
    if not tried:
        return Unreached(goal, "there is nothing that could be varied for it", proved=False)
    return Unreached(goal, f"none of {tried} worlds tried comes there{condition}", proved=False)


def _dead(
    plan: Plan, time_max_ms: float | None, now_ms: Callable[[], float] | None
) -> frozenset[str]:
    """The steps that no run of the net comes to."""
    whole = None if time_max_ms is None else int(time_max_ms)
    report = verify(plan, states_max=STATES_MAX, time_max_ms=whole, now_ms=now_ms)
    verdict = report.about("dead steps")
    return frozenset(verdict.steps) if verdict.outcome == "fails" else frozenset()
