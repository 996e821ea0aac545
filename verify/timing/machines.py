"""The least and the most of a state machine, from its opening to its end.

The most is the longest way through the graph of `next` and `on_error`, loops folded into one node
each. The least is a fixed point in which a choice takes its shortest way and a fork its longest (an
AND/OR graph, as in Knuth, "A generalization of Dijkstra's algorithm", 1977); a join that waits for
some of its ways comes no sooner than these.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from heapq import heappop, heappush
from math import inf

from heliostat.engine.authoring.fields import VISITS_TAG, said_number
from heliostat.engine.plan.plan import END, Plan, ScopePlan, StepPlan
from heliostat.verify.timing.counters import counted_visits
from heliostat.verify.timing.durations import Tagged
from heliostat.verify.timing.graphs import components, goes_round, within
from heliostat.verify.timing.limits import Span


class Machine:
    """One scope that is a state machine.

    Args:
        visits: by step number, one visit.
        held: the most until what follows a step may begin.
        tags: by step id; they may say how often a step is visited.
    """

    def __init__(
        self,
        plan: Plan,
        scope: ScopePlan,
        visits: Mapping[int, Span],
        held: Callable[[int], float],
        tags: Tagged,
    ) -> None:
        self._plan, self._scope, self._visits = plan, scope, visits
        self._held, self._tags = held, tags
        self.endless: list[StepPlan] = []
        """A step of each loop that nothing bounds, once the most was asked for."""

    def least(self) -> float:
        """The shortest time in which all tokens are gone, or a step ends the scope at once."""
        steps = [self._plan.steps[number] for number in self._scope.steps]
        cancelled = {number for step in steps for number in step.cancels}
        left = self._relaxed(cancelled, all_tokens=True)
        whole = left.get(self._scope.start[0], inf)
        if any(step.terminate for step in steps):
            whole = min(whole, self._relaxed(cancelled, all_tokens=False)[self._scope.start[0]])
        elif not cancelled:
            for step in steps:
                if step.join.kind == "at_least" and not self._avoidable(step):
                    after = self._after(step, left, all_tokens=True)
                    whole = max(whole, self._fires_at(step, step.join.count) + after)
        return 0 if whole == inf else whole  # no way completes: all of them fail

    def _avoidable(self, join: StepPlan) -> bool:
        """Whether a token may come to its end without coming to a join."""
        reached, left = {join.number}, [*self._scope.start]
        while left:
            number = left.pop()
            if number in reached:
                continue
            reached.add(number)
            step = self._plan.steps[number]
            if step.fail is not None:
                continue  # no completion
            if not step.routes or any(edge.target == END for edge in step.routes):
                return True
            left += [edge.target for edge in step.routes]
        return False

    def _fires_at(self, join: StepPlan, count: int) -> float:
        """The least time until a visit of a join has ended that waits for so many arrivals: each
        by the shortest way (Dijkstra), as if no other waited for it."""
        arrives: dict[int, float] = {}
        open = [(0.0, start) for start in self._scope.start]
        while open:
            at, number = heappop(open)
            if number in arrives:
                continue
            arrives[number] = at
            if number != join.number:
                for edge in self._plan.steps[number].routes:
                    if edge.target != END:
                        heappush(open, (at + self._visits[number].least, edge.target))
        ends = sorted(
            at + self._visits[number].least
            for number, at in arrives.items()
            if any(edge.target == join.number for edge in self._plan.steps[number].routes)
        )
        fires = ends[count - 1] if count <= len(ends) else inf
        return fires + self._visits[join.number].least

    def _relaxed(self, cancelled: set[int], *, all_tokens: bool) -> dict[int, float]:
        """By step, the least time until all tokens that come of a visit have ended; or, where not
        `all_tokens`, until one of them comes to a step that ends the scope."""
        left = dict.fromkeys(self._scope.steps, inf)
        order = [step for each in components(self._ways()) for step in each]
        changed = True
        while changed:
            changed = False
            for number in order:
                step = self._plan.steps[number]
                if number in cancelled:
                    least = 0.0 if all_tokens else inf
                    after = 0.0 if all_tokens else self._after(step, left, all_tokens=False)
                    least = least if all_tokens else after
                else:
                    least = self._visits[number].least + self._after(
                        step, left, all_tokens=all_tokens
                    )
                if least < left[number]:
                    left[number], changed = least, True
        return left

    def _after(self, step: StepPlan, left: Mapping[int, float], *, all_tokens: bool) -> float:
        if step.terminate:
            return 0
        if step.fail is not None:
            return inf  # it fails, which is no completion
        if not step.routes:
            return 0 if all_tokens else inf
        targets = [
            self._join_left(edge.target, left, all_tokens=all_tokens) for edge in step.routes
        ]
        forks = step.split == "all" and all(edge.when is None for edge in step.routes)
        if all_tokens and forks:
            return max(targets)
        return min(targets)

    def _join_left(self, target: int, left: Mapping[int, float], *, all_tokens: bool) -> float:
        if target == END:
            return 0 if all_tokens else inf
        if all_tokens and self._plan.steps[target].join.kind == "at_least":
            return 0  # this arrival may be one of those that are swallowed
        return left[target]

    def most(self, starts: Sequence[int]) -> float:
        """The longest way from any of these steps."""
        following = self._ways()
        found = components(following)
        entered = _entered(found, following, starts)
        left: dict[int, float] = {}
        for component in found:
            after = max(
                (left[next] for step in component for next in following[step] if next in left),
                default=0.0,
            )
            most = self._component_most(component, following, entered)
            for step in component:
                left[step] = most + after
        return max((left[start] for start in starts), default=0.0)

    def _ways(self) -> dict[int, tuple[int, ...]]:
        steps = (self._plan.steps[number] for number in self._scope.steps)
        return {
            step.number: tuple(
                edge.target for edge in (*step.routes, *step.error_edges) if edge.target != END
            )
            for step in steps
        }

    def _component_most(
        self,
        component: Sequence[int],
        following: Mapping[int, Sequence[int]],
        entered: Container[int],
    ) -> float:
        """The longest time in a loop, whose steps with a bound are visited as often as they may; or
        in the one step that a component is."""
        if not goes_round(component, following):
            return self._held(component[0])
        bounded = {}
        for number in component:
            most = self._visits_max(self._plan.steps[number], component)
            if most is not None:
                bounded[number] = most
        rest = within((step for step in component if step not in bounded), following)
        inner = components(rest)
        if any(goes_round(each, rest) for each in inner):
            self.endless.append(self._plan.steps[min(component)])
            return inf
        longest: dict[int, float] = {}
        for (number,) in inner:
            after = max((longest[next] for next in rest[number]), default=0.0)
            longest[number] = self._held(number) + after
        between = max(longest.values(), default=0.0)
        rounds = sum(bounded.values())
        stretches = rounds + 1  # before the first, between two, and after the last
        if len(bounded) == 1:
            stretches -= not any(number in entered for number in rest)
            (number,) = bounded  # one that counts leaves the loop with its last visit
            stretches -= VISITS_TAG not in self._tags.get(self._plan.steps[number].id, {})
        return _times(stretches, between) + sum(
            _times(count, self._held(number)) for number, count in bounded.items()
        )

    def _visits_max(self, step: StepPlan, loop: Sequence[int]) -> int | None:
        """How often a token that goes round comes to a step, where a tag or a counter says so."""
        said = said_number(self._tags.get(step.id, {}), VISITS_TAG)
        return counted_visits(self._plan, step, frozenset(loop)) if said is None else said


def _entered(
    loops: Sequence[Sequence[int]], following: Mapping[int, Sequence[int]], starts: Sequence[int]
) -> frozenset[int]:
    """The steps that something outside of their component leads to."""
    of = {step: place for place, each in enumerate(loops) for step in each}
    ways = ((step, next) for step, all_next in following.items() for next in all_next)
    return frozenset([*starts, *(next for step, next in ways if of[step] != of[next])])


def _times(count: int, ms: float) -> float:
    """So many of the same; none of what has no bound is nothing."""
    return count * ms if count > 0 else 0.0
