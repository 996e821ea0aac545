"""Whether executions of one version could go on with another, by the markings that they can reach.

`engine/plan/mapping.py` says of each place why what is there has no counterpart. Which of these
places executions come to at all is found here, by exploring the version's net with its data
(`data/consistent.py`): conditions that never hold lead nowhere. What is explored allows at least
what executions do of themselves, so that a place which was not seen is in nobody's way. Where a
bound comes first, places that were not seen by then are told as the structure has them.

A decision is over in the moment in which it begins. So no execution is found at one, unless it was
paused right before; such places are told apart. What operators do, as a retry from another step, is
not in the net; whether a single execution can be moved, the kernel looks at its own marking.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from heliostat.engine.authoring.model import Definition
from heliostat.engine.plan.mapping import MigrationCheck, Obstacle, PlanMapping
from heliostat.engine.plan.plan import END, Plan, StepPlan
from heliostat.verify.budget import Budget, OutOfTime
from heliostat.verify.data.consistent import STATES_MAX, Consistent, Explored
from heliostat.verify.data.guards import conditional
from heliostat.verify.data.places import Places
from heliostat.verify.data.solver import Solver, load
from heliostat.verify.nets.net import Marking, TooManyTokens
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.reports.diagnostics import in_words

TIME_MAX_MS: Final = 2_000
"""Of one check: somebody waits for it."""

STEPS_MAX: Final = 500
"""Steps of a version whose markings are looked at: to make the net of thousands takes seconds."""

_NARROWED: Final = frozenset({"trigger"})
"""Abstractions by which a net may allow less than executions do."""


def checked(
    definition: Definition,
    mapping: PlanMapping,
    *,
    time_max_ms: int = TIME_MAX_MS,
    now_ms: Callable[[], float] = lambda: time.thread_time() * 1_000,
    states_max: int = STATES_MAX,
) -> MigrationCheck:
    """What stands in the way of executions of the version that `mapping` leads from.

    Args:
        definition: that version's.
        time_max_ms: of the whole check, by the clock `now_ms`.
        states_max: markings, each with what is known of the data there.
    """
    if not mapping.obstacles or mapping.whole:
        return MigrationCheck(obstacles=mapping.obstacles, decided_by="structure")
    if len(mapping.before.steps) > STEPS_MAX:
        return _undecided(mapping, f"more than {STEPS_MAX} steps")
    if any(conditional(step) for step in mapping.before.steps if not step.retired):
        load()  # once in a process, before the time begins
    budget = Budget(time_max_ms, now_ms)
    try:
        seen = _Seen(definition, mapping, budget, states_max)
    except (TooManyTokens, OutOfTime) as error:
        return _undecided(mapping, str(error))
    return seen.check()


def _undecided(mapping: PlanMapping, bound: str) -> MigrationCheck:
    return MigrationCheck(obstacles=mapping.obstacles, decided_by="structure", bound=bound)


class _Seen:
    """The steps that executions of a version come to, each with the shortest run there."""

    def __init__(
        self,
        definition: Definition,
        mapping: PlanMapping,
        budget: Budget,
        states_max: int,
    ) -> None:
        self._mapping, self._plan = mapping, mapping.before
        translation = translate(self._plan, "proof", budget)
        self._net = translation.net
        self._at: dict[int, int] = {}  # by step, the first state in which it is visited
        places = Places(definition, self._plan)
        consistent = Consistent(places, self._net, Solver(budget=budget))
        self._explored = self._looked(consistent, budget, states_max)
        self.bound = self._explored.stopped or _narrowed(translation) or self._overflow

    def check(self) -> MigrationCheck:
        """Obstacles that were seen, with a run there; the others count where a bound was met."""
        found: dict[Obstacle, None] = {}
        paused: dict[Obstacle, None] = {}
        for obstacle, steps, rests in _where(self._mapping):
            at = min((self._at[step] for step in steps if step in self._at), default=None)
            always = not steps  # of the root scope and of handlers
            if at is None and not always and self.bound is None:
                continue
            told = obstacle if at is None else self._told(obstacle, at)
            (found if rests else paused)[told] = None
        return MigrationCheck(
            obstacles=tuple(found),
            paused=tuple(paused),
            decided_by="markings" if self.bound is None else "structure",
            bound=self.bound,
        )

    def _looked(self, consistent: Consistent, budget: Budget, states_max: int) -> Explored:
        numbers = self._plan.step_by_id
        places = {
            place: numbers[each.step]
            for place, each in enumerate(self._net.places)
            if each.visit and each.step is not None
        }
        self._overflow: str | None = None

        def watch(number: int, marking: Marking, facts: object) -> bool:
            for place, step in places.items():
                if marking[place]:
                    self._at.setdefault(step, number)
            for place, count in enumerate(marking):
                if count and self._net.places[place].id.startswith("overflow_"):
                    step_id = self._net.places[place].step
                    self._overflow = f"more visits of `{step_id}` than are looked at"
            return False

        return consistent.explore(states_max=states_max, budget=budget, watch=watch)

    def _told(self, obstacle: Obstacle, at: int) -> Obstacle:
        run = acts(self._net, self._explored.run_to(at))
        where = f"after {in_words(run)}" if run else "as they begin"
        return Obstacle(obstacle.place, f"{obstacle.reason}; executions come there {where}")


def _narrowed(translation: Translation) -> str | None:
    narrow = next((each for each in translation.abstractions if each.kind in _NARROWED), None)
    return None if narrow is None else f"`{narrow.step}` is {narrow.text}"


def _where(mapping: PlanMapping) -> Iterator[tuple[Obstacle, tuple[int, ...], bool]]:
    """Each obstacle, the steps of which one is visited where it is met, and whether executions
    rest there without being paused."""
    plan = mapping.before
    for number, obstacle in mapping.scopes.items():
        owner = plan.scopes[number].owner
        yield obstacle, () if owner is None else (owner,), True
    for number, obstacle in mapping.visits.items():
        yield obstacle, (number,), not _is_instant(plan.steps[number])
    for number, obstacle in mapping.arrivals.items():
        yield obstacle, _sources(plan, plan.steps[number]), True


def _is_instant(step: StepPlan) -> bool:
    """Whether a visit is over by the decision that opens it: nothing in it can be waited for."""
    return (
        step.kind == "decision"
        and step.foreach is None
        and step.retry.max_attempts <= 1
        and not step.uses
        and not step.cancels
        and all(clause.human is None for clause in step.on_error)
    )


def _sources(plan: Plan, step: StepPlan) -> tuple[int, ...]:
    return tuple(sorted({plan.edges[number].source for number in step.arrivals} - {END}))
