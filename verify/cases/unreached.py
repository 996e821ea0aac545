"""Why a goal is covered by no case: proved to be out of reach, or not found."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from heliostat.engine.authoring.model import Definition
from heliostat.engine.expressions import Expression
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.budget import Budget
from heliostat.verify.cases.goals import Goal
from heliostat.verify.cases.search import Search
from heliostat.verify.data.guards import conditional, guards
from heliostat.verify.data.places import Places
from heliostat.verify.data.solver import Solver, load
from heliostat.verify.properties.soundness import verify

STATES_MAX: Final = 2_000
"""Markings that are looked at for dead steps: `heliostat verify` looks further."""

SOLVER_MS_MAX: Final = 5_000
"""For all questions about conditions."""


@dataclass(frozen=True, slots=True)
class Unreached:
    """A goal that no case covers, and why."""

    goal: Goal
    reason: str
    proved: bool  # that no execution reaches it


def unreached(
    search: Search, definition: Definition, reached: Collection[Goal]
) -> tuple[Unreached, ...]:
    """What is left of a search, with reasons."""
    left = [goal for goal in search.observer.goals if goal not in reached]
    if not left:
        return ()
    visited = {id for found in search.corpus for id in found.visited}
    unseen = any(goal.step and goal.step not in visited for goal in left)
    proofs = _Proofs(
        dead=_dead(search.plan) if unseen else frozenset(),
        never=_never(definition, search.plan) if _conditional(search.plan, left) else {},
    )
    return tuple(_unreached(search, goal, proofs, visited) for goal in left)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Proofs:
    """What no execution does."""

    dead: frozenset[str]  # steps that no run comes to
    never: Mapping[int | str, str]  # edges, and steps whose `when` is, that can never be taken


def _unreached(search: Search, goal: Goal, proofs: _Proofs, visited: Collection[str]) -> Unreached:
    plan, dead = search.plan, proofs.dead
    if goal.step in dead:
        return Unreached(goal, f"no run comes to {goal.step}: it is a dead step", proved=True)
    if goal.kind == "way":
        edge = plan.edges[int(goal.detail)]
        target = plan.steps[edge.target].id if edge.target >= 0 else ""
        if target in dead:
            return Unreached(goal, f"no run comes to {target}: it is a dead step", proved=True)
        if edge.number in proofs.never:
            return Unreached(goal, proofs.never[edge.number], proved=True)
    if goal.kind == "step" and goal.step in proofs.never:
        return Unreached(goal, proofs.never[goal.step], proved=True)
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


def _dead(plan: Plan) -> frozenset[str]:
    """The steps that no run of the net comes to."""
    verdict = verify(plan, states_max=STATES_MAX).about("dead steps")
    return frozenset(verdict.steps) if verdict.outcome == "fails" else frozenset()


def _conditional(plan: Plan, goals: Iterable[Goal]) -> bool:
    """Whether some of these hang on a condition, and hence a solver may know of them."""
    return any(
        goal.kind in ("way", "step") and goal.step and conditional(_step(plan, goal))
        for goal in goals
    )


def _step(plan: Plan, goal: Goal) -> StepPlan:
    return plan.steps[plan.step_by_id[goal.step]]


def _never(definition: Definition, plan: Plan) -> dict[int | str, str]:
    """Conditions that can never hold, whatever the data: found by the solver."""
    load()
    budget = Budget(SOLVER_MS_MAX, lambda: time.monotonic() * 1_000)
    found: dict[int | str, str] = {}
    for each in guards(Places(definition, plan), Solver(budget=budget)):
        if each.finding == "never":
            found[each.step.id] = f"its `when` can never hold: {_source(each.step.when)}"
        elif each.finding == "dead" and each.edge is not None:
            found[each.edge.number] = f"its condition can never hold: {_source(each.edge.when)}"
    return found


def _source(condition: Expression | None) -> str:
    return "" if condition is None else condition.source
