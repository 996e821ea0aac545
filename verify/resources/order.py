"""In which order semaphores are taken.

Semaphores that one step takes at once form a *class*: who waits for some of a class may be held up
by who waits for another of it, since nobody overtakes. A class comes before those that are waited
for while some of it is held. Where that is an order, `certificates.order` says why nobody waits in
a circle; where classes come before themselves they are `tangled`, and `waiting` has to explore.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter

from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.verify.certificates.order import TakenInOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class Tangled:
    """Semaphores of which some are waited for while some are held, in a circle."""

    semaphores: frozenset[str]
    beside: frozenset[str]  # others that are held around steps: they keep some from meeting


def taken_in_order(plan: Plan, roomy: frozenset[str] = frozenset()) -> TakenInOrder | Tangled:
    """The levels of the semaphores of an execution, or those that have none.

    Args:
        roomy: those of which enough is left whatever is held while others are waited for; who
            holds some of them keeps nobody waiting.
    """
    classes = _classes(plan)
    before: dict[str, set[str]] = {name: set() for name in classes.values()}
    for step in in_use(plan):
        for outer in enclosing(plan, step):
            for held, _ in outer.uses:
                if held in roomy:
                    continue
                before[classes[step.uses[0][0]]].add(classes[held])
    tangled = {name for name in before if name in _behind(before, name)}
    if tangled:
        semaphores = frozenset(name for name, kind in classes.items() if kind in tangled)
        around = frozenset(n for step in in_use(plan) if step.scopes for n, _ in step.uses)
        return Tangled(semaphores=semaphores, beside=around - semaphores)
    levels: dict[str, int] = {}
    for kind in TopologicalSorter(before).static_order():
        levels[kind] = max((levels[each] + 1 for each in before[kind]), default=0)
    return TakenInOrder(
        plan=plan.content_hash,
        levels={name: levels[kind] for name, kind in sorted(classes.items())},
    )


def in_use(plan: Plan) -> Iterator[StepPlan]:
    """The steps that take semaphores of the execution."""
    return (step for step in plan.steps if step.uses and not step.retired)


def enclosing(plan: Plan, step: StepPlan) -> Iterator[StepPlan]:
    """The steps around a step, from the inside out: those that are open while it is."""
    owner = plan.scopes[step.scope].owner
    while owner is not None:
        yield plan.steps[owner]
        owner = plan.scopes[plan.steps[owner].scope].owner


def _classes(plan: Plan) -> dict[str, str]:
    """By semaphore, the least name of its class."""
    classes = {name: name for name in plan.semaphores}
    for step in in_use(plan):
        merged = {classes[name] for name, _ in step.uses}
        if len(merged) > 1:
            classes = {n: min(merged) if kind in merged else kind for n, kind in classes.items()}
    return classes


def _behind(before: dict[str, set[str]], name: str) -> set[str]:
    """All that comes before it, itself if there is a circle."""
    found, todo = set[str](), list(before[name])
    while todo:
        each = todo.pop()
        if each not in found:
            found.add(each)
            todo.extend(before[each])
    return found
