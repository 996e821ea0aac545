"""The search for worlds that reach goals: one change at a time where that helps, then several.

An execution that comes to the step of a goal is the place to begin at. What the goal hangs on is
varied there: the leaves behind its conditions, how its step ends, how others on its loop end. Each
run tells all that it reaches, so most goals come on the way to others. What is found stays, and is
begun at next; the search ends when a whole round finds nothing, or at a bound.

The runs are the simulator's. Nothing is drawn: the same definition has the same cases.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, islice, product
from typing import Final

from heliostat.engine.kernel.events import StepCompleted, StepFailed
from heliostat.engine.plan.plan import Plan, StepPlan
from heliostat.engine.simulator import SimulationResult
from heliostat.verify.cases.goals import DEFINITION, Goal
from heliostat.verify.cases.leaves import Leaf, Origins
from heliostat.verify.cases.observing import Observer
from heliostat.verify.cases.samples import Schema
from heliostat.verify.cases.worlds import USUAL, Choice, Stage, Told, World, changed, simulated

RUNS_MAX: Final = 4_000
"""Runs of one search; a run takes 1 to 3 ms."""

BASES_MAX: Final = 4
"""Worlds that a goal is begun at: the simplest that come to its step."""

AT_ONCE_MAX: Final = 400
"""Worlds tried for one goal from one base."""

CHANGES_MAX: Final = 3
"""Slots that are varied at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A world, and what happened in it."""

    world: World
    told: Told
    result: SimulationResult
    reached: frozenset[Goal]
    visited: frozenset[str]

    @property
    def size(self) -> tuple[int, int, int]:
        """How simple it is: fewer choices, then fewer events."""
        return (not self.result.ended, len(self.world), len(self.result.events))


class OutOfBounds(Exception):
    """The search came to a bound, which this names."""


class Search:
    """Worlds of one plan, each run at most once."""

    def __init__(
        self,
        plan: Plan,
        schemas: Mapping[str, Schema] | None = None,
        *,
        runs_max: int = RUNS_MAX,
        time_max_ms: float | None = None,
        now_ms: Callable[[], float] | None = None,
    ) -> None:
        self.plan = plan
        self.stage = Stage(plan, schemas or {})
        self.observer = Observer(plan)
        self.bound = ""  # that it came to
        self.corpus: list[Found] = []
        self.covered: set[Goal] = set()
        self.tried: dict[Goal, int] = {}
        self._runs: dict[World, Found | None] = {}
        self._runs_max = runs_max
        self._now_ms = now_ms
        self._until = None if now_ms is None or time_max_ms is None else now_ms() + time_max_ms
        self._time_max_ms = time_max_ms

    @property
    def runs(self) -> int:
        """Runs so far."""
        return len(self._runs)

    def search(self) -> None:
        """Look for all goals."""
        try:
            self._keep(self.run(USUAL))
            self._repair()
            while self._round():
                pass
        except OutOfBounds as reached:
            self.bound = str(reached)

    def run(self, world: World) -> Found | None:
        """What happens in a world; None where its input is refused.

        Raises:
            OutOfBounds: it would be a run too many.
        """
        if world in self._runs:
            return self._runs[world]
        if len(self._runs) >= self._runs_max:
            raise OutOfBounds(f"{self._runs_max:,} runs")
        if self._until is not None and self._now_ms is not None and self._now_ms() > self._until:
            raise OutOfBounds(f"{self._time_max_ms:,.0f} ms")
        found = self._runs[world] = self._run(world)
        return found

    def _run(self, world: World) -> Found | None:
        told = self.stage.told(world)
        if self.stage.refused(told):
            return None
        result = simulated(self.plan, told)
        if result is None:
            return None
        visited = frozenset(
            self.plan.steps[each.step].id
            for event in result.events
            for each in getattr(event, "activated", ())
        )
        reached = self.observer.reached(result)
        return Found(world=world, told=told, result=result, reached=reached, visited=visited)

    def _keep(self, found: Found | None) -> bool:
        """Keep a world that reaches something new."""
        if found is None or not (found.reached - self.covered or not self.corpus):
            return False
        self.corpus.append(found)
        self.covered |= found.reached
        return True

    def _round(self) -> bool:
        """Try every goal that is not covered; whether something was found."""
        progress = False
        for goal in self.observer.goals:
            if goal in self.covered:
                continue
            for base in self._bases(goal):
                if self._try(goal, base):
                    progress = True
                if goal in self.covered:
                    break
        return progress

    def _try(self, goal: Goal, base: Found) -> bool:
        progress = False
        for choices in islice(self._proposals(goal, base), AT_ONCE_MAX):
            world = changed(base.world, choices)
            found = self.run(world)
            self.tried[goal] = self.tried.get(goal, 0) + 1
            progress |= self._keep(found)
            if goal in self.covered:
                break
        return progress

    def _bases(self, goal: Goal) -> list[Found]:
        """Where to begin: worlds that come to the goal's step, else to where its scope is."""
        near = [each for each in self.corpus if goal.step in each.visited or not goal.step]
        if not near and goal.step:
            sources = self._sources(goal.step)
            near = [each for each in self.corpus if each.visited & sources]
        near = sorted(near, key=lambda each: each.size)
        return near[:BASES_MAX]

    def _sources(self, step_id: str) -> set[str]:
        """The steps that may bring a visit of a step."""
        step = self._step(step_id)
        sources = {self.plan.steps[self.plan.edges[edge].source].id for edge in step.arrivals}
        sources |= {self.plan.steps[need].id for need in step.needs}
        owner = self.plan.scopes[step.scope].owner
        return sources or ({self.plan.steps[owner].id} if owner is not None else set())

    def _step(self, id: str) -> StepPlan:
        return self.plan.steps[self.plan.step_by_id[id]]

    # -- what is worth trying

    def _repair(self) -> None:
        """Where expressions have no value in the usual world, look for one in which they do."""
        for _ in range(BASES_MAX):
            base = self.corpus[0] if self.corpus else None
            failure = None if base is None else base.result.failure
            if base is None or failure is None or failure.type != "ExpressionError":
                return
            leaves = list(self.stage.flows.uses)
            for choices in ([one] for leaf in leaves for one in self.stage.values(leaf)):
                found = self.run(changed(base.world, choices))
                if found is not None and len(found.reached) > len(base.reached):
                    self._keep(found)
                    self.corpus.sort(key=lambda each: -len(each.reached))
                    break
            else:
                return

    def _proposals(self, goal: Goal, base: Found) -> Iterator[Sequence[Choice]]:
        """Changes that may lead to a goal: alone, then several at once."""
        slots = [list(slot) for slot in self._slots(goal, base)]
        slots = [slot for slot in slots if slot]
        yield from ([choice] for slot in slots for choice in slot)
        for count in range(2, CHANGES_MAX + 1):
            for chosen in combinations(slots, count):
                yield from product(*(slot[:8] for slot in chosen))

    def _slots(self, goal: Goal, base: Found) -> Iterator[Iterable[Choice]]:
        """What a goal hangs on, the nearest first."""
        stage, plan = self.stage, self.plan
        if goal.kind == "handler":
            yield stage.comes(int(goal.detail))
        if goal.step == DEFINITION:
            for step in plan.steps:
                if step.id in base.visited:
                    yield stage.hows(step)
            return
        step = self._step(goal.step)
        if goal.kind == "loop":
            yield from self._around(goal)
            return
        if goal.kind in ("error", "wait", "person", "child") or step.kind == "wait":
            for inside in sorted(stage.flows.inside(step), key=lambda id: plan.step_by_id[id]):
                yield stage.hows(self._step(inside))
        yield from self._behind(self._origins(goal, step))
        if goal.step not in base.visited or goal.kind in ("step", "way", "skip"):
            for source in sorted(self._sources(goal.step)):
                yield from self._behind(self._conditions(self._step(source)))
                yield stage.hows(self._step(source))
            yield stage.hows(step)
            for need in self._all_needs(step):
                yield stage.hows(self._step(need))
            for other in plan.steps:  # what goes on beside it may end it
                if other.id in base.visited and other.kind in ("wait", "human", "activity"):
                    yield stage.hows(other)

    def _all_needs(self, step: StepPlan) -> list[str]:
        """The steps that a DAG's step comes after, and what is in them."""
        found: dict[str, None] = {}
        waiting = list(step.needs)
        while waiting:
            need = self.plan.steps[waiting.pop()]
            found.update(dict.fromkeys(sorted(self.stage.flows.inside(need))))
            waiting += need.needs
        return list(found)

    def _around(self, goal: Goal) -> Iterator[Iterable[Choice]]:
        """All that decides how often a loop goes round."""
        scope = self.plan.scopes[self._step(goal.step).scope]
        target = self.plan.step_by_id[goal.step]
        there = scope.reachable.get(target, frozenset())
        on_it = [n for n in there if target in scope.reachable.get(n, ())]
        origins = Origins()
        for number in sorted(on_it):
            origins += self._conditions(self.plan.steps[number])
        yield from self._behind(origins)
        for number in sorted(on_it):
            for inside in sorted(self.stage.flows.inside(self.plan.steps[number])):
                yield self.stage.hows(self._step(inside))

    def _behind(self, origins: Origins) -> Iterator[Iterable[Choice]]:
        for leaf in origins.leaves:
            yield from self._of_leaf(leaf)
        for id in sorted(origins.steps):
            yield self.stage.hows(self._step(id))

    def _of_leaf(self, leaf: Leaf) -> Iterator[Iterable[Choice]]:
        known = [each for each in self.stage.flows.uses if each == leaf]
        yield (choice for each in known or [leaf] for choice in self.stage.values(each))

    def _origins(self, goal: Goal, step: StepPlan) -> Origins:
        flows = self.stage.flows
        if goal.kind == "foreach" and step.foreach is not None:
            return flows.behind([step.foreach.items], step)
        if goal.kind == "skip":
            return flows.behind([step.when], step)
        if goal.kind == "error":
            return flows.behind([each.when for each in step.on_error], step)
        if goal.kind == "wait":
            return flows.behind([each.where for each in step.alternatives], step)
        return self._conditions(step)

    def _conditions(self, step: StepPlan) -> Origins:
        return self.stage.flows.behind([step.when, *(edge.when for edge in step.routes)], step)


def called(result: SimulationResult) -> frozenset[str]:
    """The steps that had a visit."""
    steps = result.plan.steps
    opened = {
        steps[each.step].id for event in result.events for each in getattr(event, "activated", ())
    }
    ended = {
        steps[event.at.step].id
        for event in result.events
        if isinstance(event, StepCompleted | StepFailed)
    }
    return frozenset(opened | ended)
