"""How long executions are expected to take: runs of the plan with its choices drawn.

Each attempt completes and takes the time that is expected of it; each condition is drawn. Of the
routes of one step each is as likely as the others, and a `when` holds in half of all cases, unless
the step's tags say otherwise: `probability.STEP` for a route, `probability.when` for its `when`.

A run follows tokens, joins, needs, items and `cancels` as the kernel does, with the clock jumping
from one end of a visit to the next. Where no run draws anything all are the same, and the first is
the answer; else the answer is a mean, and its standard error is told. The same seed draws the same.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heapreplace
from math import ceil, sqrt
from random import Random
from typing import Final

from heliostat.engine.authoring.fields import PROBABILITY_TAG, said_probability
from heliostat.engine.plan.plan import END, Edge, Plan, ScopePlan, StepPlan
from heliostat.verify.timing.durations import (
    ITEMS_DEFAULT,
    Measured,
    Tagged,
    constant_ms,
)
from heliostat.verify.timing.rules import count_of, pauses_ms
from heliostat.verify.timing.runs import DagRun, End, MachineRun

RUNS_MAX: Final = 1_000
VISITS_MAX: Final = 30_000
"""Of all runs together: some tenths of a second."""
RUN_VISITS_MAX: Final = 20_000
"""Of one run: a loop that is seldom left ends here, and the answer is that there is none."""

ITEMS_DRAWN_MAX: Final = 100
"""Items that are drawn one by one; of more, these stand for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """The mean of what was drawn, in milliseconds."""

    mean_ms: float
    error_ms: float  # standard error of the mean; 0 where nothing was drawn
    p95_ms: float  # what 95 % of the runs stay below
    runs: int
    run_visits: int  # of the last run
    visits: Mapping[int, float]
    """By step number the mean time of one visit, skipped ones apart; of steps that were visited."""


class TooLong(Exception):
    """One run had more visits than any may have."""


def expected(
    plan: Plan,
    durations: Measured,
    tags: Tagged,
    width: Callable[[StepPlan], int | None],
    *,
    seed: int = 0,
    runs_max: int = RUNS_MAX,
) -> Expected | None:
    """The expected total and visits of a plan; None where a run finds no end.

    Args:
        width: of a step with `foreach`, how many items it has, where that is known.
    """
    drawing = Drawing(plan, durations, tags, width, Random(seed))
    totals = list[float]()
    try:
        while len(totals) < runs_max and drawing.visits < VISITS_MAX:
            drawing.run_visits = 0
            totals.append(drawing.scope(plan.root).after_ms)
            if not drawing.draws:
                break
    except TooLong:
        return None
    totals.sort()
    count, mean = len(totals), sum(totals) / len(totals)
    spread = sum((each - mean) ** 2 for each in totals)
    return Expected(
        mean_ms=mean,
        error_ms=sqrt(spread / (count - 1) / count) if count > 1 else 0.0,
        p95_ms=totals[ceil(count * 0.95) - 1],
        runs=count,
        run_visits=drawing.run_visits,
        visits={number: total / count for number, (total, count) in drawing.taken.items() if count},
    )


def delayed(
    plan: Plan,
    durations: Measured,
    tags: Tagged,
    width: Callable[[StepPlan], int | None],
) -> Callable[[str, float], float]:
    """The total of a plan of which nothing is drawn, by a step that is late and by how much."""

    def total(step: str, late_ms: float) -> float:
        drawing = Drawing(plan, durations, tags, width, Random(0))
        drawing.delay = (step, late_ms)
        return drawing.scope(plan.root).after_ms

    return total


class Drawing:
    """Draws runs of one plan."""

    def __init__(
        self,
        plan: Plan,
        durations: Measured,
        tags: Tagged,
        width: Callable[[StepPlan], int | None],
        random: Random,
    ) -> None:
        self._plan, self._durations, self._tags = plan, durations, tags
        self._width, self._random = width, random
        self.delay: tuple[str, float] = ("", 0)
        """A step, and by how much each visit of it takes longer."""
        self._fixed: dict[int, End] = {}  # by scope, where nothing in it is drawn
        self.draws = self.visits = self.run_visits = 0
        self.taken: dict[int, tuple[float, int]] = {}

    # -- steps

    def visit(self, step: StepPlan) -> End:
        """One visit of a step, all its items and attempts."""
        self.visits += 1
        self.run_visits += 1
        if self.run_visits > RUN_VISITS_MAX:
            raise TooLong
        if step.when is not None and not self._happens(step, "when"):
            return End(0, True, True)
        end = self._once(step) if step.foreach is None else self._items(step)
        deadline = constant_ms(step.deadline) if step.deadline is not None else None
        if deadline is not None and end.after_ms > deadline:
            end = End(deadline, False)
        if step.id == self.delay[0]:
            end = end._replace(after_ms=end.after_ms + self.delay[1])
        total, count = self.taken.get(step.number, (0.0, 0))
        self.taken[step.number] = (total + end.after_ms, count + 1)
        if not end.completed and any(c.output is not None for c in step.on_error):
            return End(end.after_ms, True)
        return end

    def _once(self, step: StepPlan) -> End:
        said = self._durations.get(step.id)
        if said is not None:
            end = End(said.expected_ms, step.fail is None)
            if step.timeout_ms is not None and said.expected_ms > step.timeout_ms:
                attempts = step.retry.max_attempts
                end = End(step.timeout_ms * attempts + pauses_ms(step.retry), False)
            return end
        if step.kind == "body":
            return self.scope(self._plan.scopes[step.scopes[0]])
        ends = [self.scope(self._plan.scopes[scope]) for scope in step.scopes]
        return _first(ends, count_of(step.completion, len(ends)), step.completion.kind)

    def _items(self, step: StepPlan) -> End:
        """Items in their order, so many at a time."""
        assert step.foreach is not None
        known = self._width(step)
        width = ITEMS_DEFAULT if known is None else known
        completion = step.foreach.completion
        needed = count_of(completion, width)
        if not width or width < needed:
            return End(0, width >= needed)
        before = self.draws
        busy = [0.0] * max(1, min(step.foreach.concurrency, width))
        heapify(busy)
        ends = list[End]()
        for _ in range(min(width, ITEMS_DRAWN_MAX)):
            end = self._once(step)
            finish = busy[0] + end.after_ms
            heapreplace(busy, finish)
            ends.append(End(finish, end.completed))
            if self.draws == before:  # all are the same
                waves = ceil(needed / len(busy)) if end.completed else 1
                return End(end.after_ms * waves, end.completed or completion.kind == "all_done")
        found = _first(ends, min(needed, len(ends)), completion.kind)
        return found._replace(after_ms=found.after_ms * max(1.0, needed / len(ends)))

    # -- choices

    def _happens(self, step: StepPlan, what: str, otherwise: float = 0.5) -> bool:
        chance = self._chance(step, what)
        self.draws += 1
        return self._random.random() < (otherwise if chance is None else chance)

    def _chance(self, step: StepPlan, what: str) -> float | None:
        return said_probability(self._tags.get(step.id, {}).get(f"{PROBABILITY_TAG}{what}"))

    def _taken(self, step: StepPlan) -> Sequence[Edge]:
        routes = step.routes
        if len(routes) <= 1 or (step.split == "all" and all(e.when is None for e in routes)):
            return routes
        if step.split == "first":
            self.draws += 1
            weights = self._weights(step)
            return self._random.choices(routes, weights) if any(weights) else routes[-1:]
        taken = [e for e in routes if e.when is not None and self._happens(step, self._to(e))]
        return taken or [e for e in routes if e.when is None] or [self._random.choice(routes)]

    def _weights(self, step: StepPlan) -> list[float]:
        """Of each route; those that no tag speaks of share what is left."""
        said = [self._chance(step, self._to(edge)) for edge in step.routes]
        silent = said.count(None)
        left = max(0.0, 1.0 - sum(each for each in said if each is not None))
        return [left / silent if each is None else each for each in said]

    def _to(self, edge: Edge) -> str:
        return "end" if edge.target == END else self._plan.steps[edge.target].id

    # -- scopes

    def scope(self, scope: ScopePlan) -> End:
        """One run of a scope, from its opening to its end."""
        if scope.number in self._fixed:
            return self._fixed[scope.number]
        before = self.draws
        run = DagRun(self, scope) if scope.notation == "dag" else MachineRun(self, scope)
        end = run.run()
        if self.draws == before:
            self._fixed[scope.number] = end
        return end

    def step(self, number: int) -> StepPlan:
        """A step of the plan."""
        return self._plan.steps[number]

    def taken_of(self, step: StepPlan, end: End) -> Sequence[Edge] | None:
        """The ways on from a visit of a state machine; None where the scope fails."""
        if end.completed:
            return self._taken(step)
        edges = step.error_edges
        return edges[:1] if edges else None


def _first(ends: Sequence[End], count: int, kind: str) -> End:
    """When so many have completed, or can no longer."""
    in_order = sorted(ends)
    completed = failed = 0
    for end in in_order:
        completed += end.completed
        failed += not end.completed
        if kind == "all_done":
            continue
        if completed == count:
            return End(end.after_ms, True)
        if failed > len(ends) - count:
            return End(end.after_ms, False)
    return End(in_order[-1].after_ms if in_order else 0, True)
