"""Whether executions of a version can go on with a later one: what would stand in the way, where.

Two plans are compared place by place. A place is where an execution may have something: an open
scope, a visit at a step, arrivals that wait at a join. Those that have nothing at a place with an
obstacle are moved; the kernel looks which they are (`kernel/migrating.py`). Without an obstacle
every marking maps.

Conservative: a condition may keep executions from ever coming to a place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec import Struct

from .plan import END, Human, Plan, ScopeNumber, ScopePlan, StepNumber, StepPlan


class Obstacle(Struct, frozen=True):
    """Why what is at a place does not map: "step `pack`", "is not in version 3"."""

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place} {self.reason}"


class MigrationCheck(Struct, frozen=True, kw_only=True):
    """Whether all executions of a version could go on with another, whatever they do."""

    obstacles: tuple[Obstacle, ...]
    """Where one could not be moved; empty: all could, unless they are paused."""
    paused: tuple[Obstacle, ...] = ()
    """Where only one could not be moved that was paused right there."""
    decided_by: Literal["markings", "structure"]
    """`markings`: what executions can have was gone through. `structure`: each place was compared,
    also those that none may ever come to."""
    bound: str | None = None
    """Why it is not the markings that decide: the bound that was reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanMapping:
    """What there is of one plan in another, by the numbers that they share."""

    before: Plan
    after: Plan
    whole: tuple[Obstacle, ...]
    """In the way of every execution."""
    scopes: Mapping[ScopeNumber, Obstacle]
    """In the way of those that have such a scope open."""
    visits: Mapping[StepNumber, Obstacle]
    """In the way of those with a visit at the step."""
    arrivals: Mapping[StepNumber, Obstacle]
    """In the way of those with arrivals that wait at the join, or with one that has fired."""

    @property
    def obstacles(self) -> tuple[Obstacle, ...]:
        """All of them; empty if every marking maps."""
        places = (*self.scopes.values(), *self.visits.values(), *self.arrivals.values())
        return (*self.whole, *dict.fromkeys(places))


def map_plans(before: Plan, after: Plan) -> PlanMapping:
    """What of the marking of one plan has its counterpart in another."""
    whole = tuple(_whole(before, after))
    if whole:
        return PlanMapping(
            before=before, after=after, whole=whole, scopes={}, visits={}, arrivals={}
        )
    version = f"version {after.version}"
    scopes = {}
    for scope in before.scopes:
        if not scope.retired and (reason := _scope(scope, after.scopes[scope.number], version)):
            scopes[scope.number] = Obstacle(scope_place(before, scope), reason)
    visits, arrivals = {}, {}
    for step in before.steps:
        if step.retired:
            continue
        other = after.steps[step.number]
        if reason := _visit(before, after, step, other, version):
            visits[step.number] = Obstacle(step_place(before, step), reason)
        if reason := _arrivals(before, after, step, other, version):
            arrivals[step.number] = Obstacle(f"join `{step.id}`", reason)
    return PlanMapping(
        before=before, after=after, whole=whole, scopes=scopes, visits=visits, arrivals=arrivals
    )


def scope_place(plan: Plan, scope: ScopePlan) -> str:
    """How messages name a scope."""
    if scope.number == plan.root.number:
        return "the root scope"
    if scope.owner is None:
        return f"the action `{plan.steps[scope.start[0]].id}`"
    owner = plan.steps[scope.owner].id
    return f"body `{owner}`" if scope.name is None else f"branch `{scope.name}` of `{owner}`"


def step_place(plan: Plan, step: StepPlan) -> str:
    """How messages name a step: with the steps around it."""
    names = [step.id]
    owner = plan.scopes[step.scope].owner
    while owner is not None:
        names.append(plan.steps[owner].id)
        owner = plan.scopes[plan.steps[owner].scope].owner
    return f"step `{'/'.join(reversed(names))}`"


def _whole(before: Plan, after: Plan) -> Iterator[Obstacle]:
    if (before.namespace, before.id) != (after.namespace, after.id):
        yield Obstacle(f"`{after.id}`", f"is another definition than `{before.id}`")
        return
    version = f"version {after.version}"
    if not _continues(before, after):
        yield Obstacle(
            version,
            f"does not continue the numbers of version {before.version}, which was registered after"
            " it or at the same time; register its content again, under another version",
        )
        return
    if before.dedicated != after.dedicated:
        yield Obstacle("`isolation`", f"is another one in {version}")
    known = [(handler.name, handler.event) for handler in before.handlers]
    if [(handler.name, handler.event) for handler in after.handlers[: len(known)]] != known:
        yield Obstacle("`handlers`", f"are others, or in another order, in {version}")


def _continues(before: Plan, after: Plan) -> bool:
    """Whether every number means the same in both, as far as the first one has it."""
    if len(before.steps) > len(after.steps) or len(before.scopes) > len(after.scopes):
        return False
    steps = zip(before.steps, after.steps, strict=False)
    scopes = zip(before.scopes, after.scopes, strict=False)
    return all(
        old.id == new.id and (old.retired or new.retired or old.scope == new.scope)
        for old, new in steps
    ) and all(
        old.retired or new.retired or (old.owner, old.name) == (new.owner, new.name)
        for old, new in scopes
    )


def _scope(before: ScopePlan, after: ScopePlan, version: str) -> str | None:
    if after.retired:
        return f"is not in {version}"
    if before.notation != after.notation:
        word = "a DAG" if after.notation == "dag" else "a state machine"
        return f"is {word} in {version}"
    return None


def _visit(before: Plan, after: Plan, step: StepPlan, other: StepPlan, version: str) -> str | None:
    if other.retired:
        moved = step.id in after.step_by_id
        return f"is in another scope in {version}" if moved else f"is not in {version}"
    if step.kind != other.kind:
        return f"is of type {other.type or other.kind} in {version}, not {step.type or step.kind}"
    if (step.foreach is None) != (other.foreach is None):
        return f"{'runs once' if other.foreach is None else 'has a `foreach`'} in {version}"
    for name, same in _SAME.items():
        if same(before, step) != same(after, other):
            return f"has {name} in {version}"
    return None


def _branches(plan: Plan, step: StepPlan) -> object:
    return step.kind == "parallel" and [plan.scopes[number].name for number in step.scopes]


def _waited_for(plan: Plan, step: StepPlan) -> object:
    return {(each.name, each.kind, each.key) for each in step.alternatives}


def _asked(plan: Plan, step: StepPlan) -> object:
    clauses = [None if each.human is None else _question(each.human) for each in step.on_error]
    asked = None if step.human is None else _question(step.human)
    return asked, clauses if any(each is not None for each in clauses) else None


def _question(human: Human) -> object:
    """What was asked, and how often it goes to others; whom it goes to may be said anew."""
    return human.form, len(human.escalations)


def _child(plan: Plan, step: StepPlan) -> object:
    return None if step.child is None else (step.child.workflow, step.child.detached)


_SAME: Mapping[str, Callable[[Plan, StepPlan], object]] = {
    "other branches": _branches,
    "something else to wait for": _waited_for,
    "another form, or other escalations,": _asked,
    "another workflow to run": _child,
    "other semaphores": lambda plan, step: step.uses,
    "other steps to cancel": lambda plan, step: set(step.cancels),
}
"""What must be the same of a step while it is visited, and what the other one has else."""


def _arrivals(
    before: Plan, after: Plan, step: StepPlan, other: StepPlan, version: str
) -> str | None:
    if step.join.kind not in ("all", "at_least") or step.needs or not step.arrivals:
        return None
    if other.retired:
        return f"is not in {version}"
    if step.join != other.join:
        return f"has another rule in {version}"
    if _sources(before, step) != _sources(after, other):
        return f"has other ways into it in {version}"
    return None


def _sources(plan: Plan, step: StepPlan) -> set[StepNumber]:
    return {plan.edges[number].source for number in step.arrivals} - {END}
