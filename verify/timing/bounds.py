"""How long a definition takes at least and at most.

*At least* is over the executions that complete without a failure; *at most* is over all, with every
attempt failing as often as it is tried again, and every way taken. Conditions are free, durations
of steps independent. What is computed is a bound: no execution is quicker or slower, but where
conditions depend on one another none may come near it.

Not counted: waiting for permits, for capacity and for a host; pauses; attempts made again because a
runner was lost.

Scopes are bounded from the inside out. In a state machine the most is the longest way through the
graph of `next` and `on_error`, loops folded into one node each; the least is a fixed point in which
a choice takes its shortest way and a fork its longest (an AND/OR graph, as in Knuth, "A
generalization of Dijkstra's algorithm", 1977). In a DAG both go along the needs: a step starts at
the n-th smallest of the bounds of its needs.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from heapq import heappop, heappush
from math import ceil, inf
from typing import Final

from heliostat.engine.authoring.fields import (
    ITEMS_TAG,
    MAX_DURATION_TAG,
    VISITS_TAG,
    said_number,
)
from heliostat.engine.expressions import Data
from heliostat.engine.expressions.ast import ListOf
from heliostat.engine.plan.plan import END, Completion, Join, Plan, Retry, ScopePlan, StepPlan
from heliostat.verify.timing.counters import counted_visits
from heliostat.verify.timing.durations import (
    Measured,
    Tagged,
    constant,
)
from heliostat.verify.timing.graphs import components, goes_round, within
from heliostat.verify.timing.limits import Span, limit_of

PAUSES_ADDED_MAX: Final = 10_000
"""Pauses between attempts that are added one by one; of more, each counts as the longest."""


NOTHING: Final = Span(0, 0)


class Bounds:
    """The bounds of all steps and scopes of one plan."""

    def __init__(self, plan: Plan, durations: Measured, tags: Tagged) -> None:
        self._plan, self._durations, self._tags = plan, durations, tags
        self.visits: dict[int, Span] = {}
        """By step number, one visit from its activation to its end."""
        self.undue: dict[int, Span] = {}
        """The same if there were no deadline, nor a `when`."""
        self.attempts: dict[int, Span] = {}
        """By step number, one attempt if there were no timeout."""
        self.scopes: dict[int, Span] = {}
        """By scope number, from its opening to its end."""
        self.unbounded: dict[str, str] = {}
        """By step id, why nothing bounds a visit of it, or the loop that it lies in."""
        self._definite: dict[int, bool] = {}
        self._widths: dict[int, int | None] = {}
        self._cancelled = {number for step in plan.steps for number in step.cancels}
        for scope in sorted(plan.scopes, key=lambda scope: -scope.number):
            if not scope.retired:
                for number in scope.steps:
                    self.visits[number] = self._visit(plan.steps[number])
                self.scopes[scope.number] = self._scope(scope)
        self.undated = self._total(None)
        """The whole, if the definition had no deadline."""
        deadline = self._deadline(plan.deadline)
        self.total = self.undated if deadline is None else self._total(deadline)

    def _deadline(self, deadline: Data | None) -> float | None:
        """The longest that a deadline may be, if that is known; an instant is not."""
        limit = limit_of(deadline, self._plan, None)
        return None if limit is None else limit.most

    def _total(self, deadline_ms: float | None) -> Span:
        """The root scope, and what the definition's own clauses and handlers add to it."""
        plan, root = self._plan, self.scopes[0]
        most = root.most
        if any(a.step is not None for handler in plan.handlers for a in handler.actions):
            self.unbounded.setdefault(plan.id, "a handler may trigger a step of it at any time")
            most = inf
        if deadline_ms is not None:
            most = min(most, deadline_ms + self._grace(plan.steps))
        recovery = [c.edge.target for c in plan.on_error if c.edge is not None]
        if recovery:  # once a run, from wherever it failed, and be it that the deadline has passed
            most += self._most_from(plan.root, recovery)
        if any(c.human is not None for c in plan.on_error):
            most = inf
        return Span(root.least, most)

    # -- one step

    def _visit(self, step: StepPlan) -> Span:
        """From activation to the end: all items and attempts, or skipped."""
        once = self._tried(step, self._once(step))
        if step.foreach is not None:
            once = self._items(step, once)
        self.undue[step.number] = once
        deadline = self._deadline(step.deadline)
        most = once.most
        if deadline is not None:
            most = min(most, deadline + self._grace([step, *self._inside(step)]))
        if any(clause.human is not None for clause in step.on_error):
            most = inf
            self.unbounded[step.id] = "a person decides about its failures"
        if most == inf and step.id not in self.unbounded:
            inside = any(each.id in self.unbounded for each in self._inside(step))
            if not inside:
                self.unbounded[step.id] = (
                    f"no `timeout`, `deadline` or tag `{MAX_DURATION_TAG}` bounds it"
                )
        elif most < inf:
            for each in (step, *self._inside(step)):
                self.unbounded.pop(each.id, None)
        return Span(0 if step.when is not None else once.least, most)

    def _once(self, step: StepPlan) -> Span:
        """One attempt; of a step with steps in it, its scopes once."""
        said = self._durations.get(step.id)
        if said is not None:
            span = Span(said.min_ms, inf if said.max_ms is None else said.max_ms)
        elif step.kind == "body":
            span = self.scopes[step.scopes[0]]
        else:
            span = self._branches(step)
        self.attempts[step.number] = span
        if step.timeout_ms is not None:
            most = min(span.most, step.timeout_ms + step.grace_ms)
            span = Span(min(span.least, step.timeout_ms), most)
        return span

    def _branches(self, step: StepPlan) -> Span:
        spans = [self.scopes[scope] for scope in step.scopes]
        count = count_of(step.completion, len(spans))
        least = sorted(span.least for span in spans)[count - 1]
        definite = sorted(
            span.most
            for span, scope in zip(spans, step.scopes, strict=True)
            if self._certain(self._plan.scopes[scope])
        )
        if count <= len(definite):
            grace = 0 if count == len(spans) else self._grace(self._inside(step))
            most = min(definite[count - 1] + grace, max(span.most for span in spans))
        else:
            most = max(span.most for span in spans)
        return Span(least, most)

    def _tried(self, step: StepPlan, once: Span) -> Span:
        """With every attempt that its policy gives it, and the pauses between them."""
        attempts = step.retry.max_attempts
        if attempts <= 1:
            return once
        return Span(once.least, once.most * attempts + pauses_ms(step.retry))

    def _items(self, step: StepPlan, item: Span) -> Span:
        """All items, so many at a time in their order. More or longer items never end sooner."""
        assert step.foreach is not None
        width = self.width(step)
        if width is None:
            least = item.least if step.foreach.completion.kind in ("any", "at_least") else 0
            if item.most == inf:
                return Span(least, inf)
            self.unbounded[step.id] = f"nothing says how many items it has: tag `{ITEMS_TAG}`"
            return Span(least, inf)
        if width == 0:
            return NOTHING
        at_once = max(1, min(step.foreach.concurrency, width))
        needed = count_of(step.foreach.completion, width)
        return Span(
            item.least * ceil(min(needed, width) / at_once), item.most * ceil(width / at_once)
        )

    def width(self, step: StepPlan) -> int | None:
        """How many items a step's `foreach` has, where the list or a tag says so."""
        if step.number not in self._widths:
            self._widths[step.number] = self._width(step)
        return self._widths[step.number]

    def _width(self, step: StepPlan) -> int | None:
        assert step.foreach is not None
        if isinstance(step.foreach.items.ast, ListOf):
            return len(step.foreach.items.ast.items)
        match constant(step.foreach.items):  # a long one, perhaps: once is enough
            case (list() as items,):
                return len(items)
        return said_number(self._tags.get(step.id, {}), ITEMS_TAG)

    # -- scopes

    def _scope(self, scope: ScopePlan) -> Span:
        if scope.notation == "dag":
            return self._dag(scope)
        return Span(self._machine_least(scope), self._most_from(scope, scope.start))

    def _machine_least(self, scope: ScopePlan) -> float:
        """The shortest time in which all tokens are gone, or a step ends the scope at once."""
        steps = [self._plan.steps[number] for number in scope.steps]
        cancelled = {number for step in steps for number in step.cancels}
        left = self._relaxed(scope, cancelled, all_tokens=True)
        whole = left.get(scope.start[0], inf)
        if any(step.terminate for step in steps):
            whole = min(whole, self._relaxed(scope, cancelled, all_tokens=False)[scope.start[0]])
        elif not cancelled:
            for step in steps:
                if step.join.kind == "at_least" and not self._avoidable(scope, step):
                    after = self._after(step, left, all_tokens=True)
                    whole = max(whole, self._fires_at(scope, step, step.join.count) + after)
        return 0 if whole == inf else whole  # no way completes: all of them fail

    def _avoidable(self, scope: ScopePlan, join: StepPlan) -> bool:
        """Whether a token may come to its end without coming to a join."""
        reached, left = {join.number}, [*scope.start]
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

    def _fires_at(self, scope: ScopePlan, join: StepPlan, count: int) -> float:
        """The least time until a visit of a join has ended that waits for so many arrivals: each
        by the shortest way (Dijkstra), as if no other waited for it."""
        arrives: dict[int, float] = {}
        open = [(0.0, start) for start in scope.start]
        while open:
            at, number = heappop(open)
            if number in arrives:
                continue
            arrives[number] = at
            if number != join.number:
                for edge in self._plan.steps[number].routes:
                    if edge.target != END:
                        heappush(open, (at + self.visits[number].least, edge.target))
        ends = sorted(
            at + self.visits[number].least
            for number, at in arrives.items()
            if any(edge.target == join.number for edge in self._plan.steps[number].routes)
        )
        fires = ends[count - 1] if count <= len(ends) else inf
        return fires + self.visits[join.number].least

    def _relaxed(
        self, scope: ScopePlan, cancelled: set[int], *, all_tokens: bool
    ) -> dict[int, float]:
        """By step, the least time until all tokens that come of a visit have ended; or, where not
        `all_tokens`, until one of them comes to a step that ends the scope."""
        left = dict.fromkeys(scope.steps, inf)
        order = [step for each in components(self._ways(scope)) for step in each]
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
                    least = self.visits[number].least + self._after(
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

    def _most_from(self, scope: ScopePlan, starts: Sequence[int]) -> float:
        """The longest way from any of these steps."""
        if scope.notation == "dag":
            return self._dag(scope).most
        following = self._ways(scope)
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

    def _ways(self, scope: ScopePlan) -> dict[int, tuple[int, ...]]:
        steps = (self._plan.steps[number] for number in scope.steps)
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
            return self._with_cancelled(component[0])
        bounded = {}
        for number in component:
            most = self._visits_max(self._plan.steps[number], component)
            if most is not None:
                bounded[number] = most
        rest = within((step for step in component if step not in bounded), following)
        inner = components(rest)
        if any(goes_round(each, rest) for each in inner):
            named = min(component, key=lambda number: number)
            self.unbounded[self._plan.steps[named].id] = (
                f"no counter and no tag `{VISITS_TAG}` bounds its loop"
            )
            return inf
        longest: dict[int, float] = {}
        for (number,) in inner:
            after = max((longest[next] for next in rest[number]), default=0.0)
            longest[number] = self._with_cancelled(number) + after
        between = max(longest.values(), default=0.0)
        rounds = sum(bounded.values())
        stretches = rounds + 1  # before the first, between two, and after the last
        if len(bounded) == 1:
            stretches -= not any(number in entered for number in rest)
            (number,) = bounded  # one that counts leaves the loop with its last visit
            stretches -= VISITS_TAG not in self._tags.get(self._plan.steps[number].id, {})
        return stretches * between + sum(
            count * self._with_cancelled(number) for number, count in bounded.items()
        )

    def _visits_max(self, step: StepPlan, loop: Sequence[int]) -> int | None:
        """How often a token that goes round comes to a step, where a tag or a counter says so."""
        said = said_number(self._tags.get(step.id, {}), VISITS_TAG)
        return counted_visits(self._plan, step, frozenset(loop)) if said is None else said

    def _with_cancelled(self, number: int) -> float:
        """A visit, and the grace of what it withdraws, which what follows it waits for."""
        step = self._plan.steps[number]
        cancelled = [self._plan.steps[each] for each in step.cancels]
        inside = [inner for each in cancelled for inner in self._inside(each)]
        return self.visits[number].most + self._grace([*cancelled, *inside])

    def _dag(self, scope: ScopePlan) -> Span:
        steps = {number: self._plan.steps[number] for number in scope.steps}
        cancelled = {number for step in steps.values() for number in step.cancels}
        settled: dict[int, Span] = {}
        skips: dict[int, bool] = {}
        for number in needs_first(scope, self._plan):
            step = steps[number]
            own = self.visits[number]
            needs = [settled[need] for need in step.needs]
            skips[number] = (
                step.when is not None
                or number in cancelled
                or _may_fall_out(step.join, [skips[need] for need in step.needs])
            )
            start = Span(
                _least_start(step.join, needs, [skips[need] for need in step.needs]),
                self._most_start(step, needs),
            )
            least = 0 if number in cancelled else start.least
            settled[number] = Span(
                least + (0 if skips[number] else own.least),
                start.most + self._with_cancelled(number),
            )
        ends = settled.values()
        least = max(each.least for each in ends)
        for number, step in steps.items():
            if step.terminate:
                least = min(least, settled[number].least)
        return Span(least, max(each.most for each in ends))

    def _most_start(self, step: StepPlan, needs: Sequence[Span]) -> float:
        if not needs:
            return 0
        count = count_of(step.join, len(needs))
        definite = sorted(
            span.most
            for span, need in zip(needs, step.needs, strict=True)
            if self._is_definite(self._plan.steps[need])
        )
        if count <= len(definite):
            return definite[count - 1]
        return max(span.most for span in needs)

    # -- what is certain to complete

    def _is_definite(self, step: StepPlan) -> bool:
        """Whether a visit can only complete: nothing in it fails, is skipped or withdrawn."""
        found = self._definite.get(step.number)
        if found is None:
            cancelled = step.number in self._cancelled
            found = self._definite[step.number] = (
                step.kind in ("timer", "wait", "decision")
                and step.when is None
                and step.foreach is None
                and step.fail is None
                and step.deadline is None
                and not cancelled
                and all(self._is_definite(self._plan.steps[need]) for need in step.needs)
            )
        return found

    def _certain(self, scope: ScopePlan) -> bool:
        return all(self._is_definite(self._plan.steps[number]) for number in scope.steps)

    # -- grace

    def _inside(self, step: StepPlan) -> list[StepPlan]:
        """All steps within a step, at any depth."""
        found, left = list[StepPlan](), list(step.scopes)
        while left:
            inner = [self._plan.steps[number] for number in self._plan.scopes[left.pop()].steps]
            found += inner
            left += [scope for each in inner for scope in each.scopes]
        return found

    def _grace(self, steps: Iterable[StepPlan]) -> int:
        """The longest time that one of these may take to end once it is told to stop."""
        return max(
            (each.grace_ms for each in steps if each.kind in ("activity", "sub_workflow")),
            default=0,
        )


def _entered(
    loops: Sequence[Sequence[int]], following: Mapping[int, Sequence[int]], starts: Sequence[int]
) -> frozenset[int]:
    """The steps that something outside of their component leads to."""
    of = {step: place for place, each in enumerate(loops) for step in each}
    ways = ((step, next) for step, all_next in following.items() for next in all_next)
    return frozenset([*starts, *(next for step, next in ways if of[step] != of[next])])


def pauses_ms(retry: Retry) -> float:
    """All pauses between the attempts of a policy, each at its longest."""
    total = 0.0
    for failures in range(1, retry.max_attempts):
        if failures > PAUSES_ADDED_MAX:
            return total + float(retry.max_ms) * (retry.max_attempts - failures)
        pause = retry.initial_ms * retry.factor ** min(failures - 1, 64)
        if pause >= retry.max_ms or retry.factor == 1:  # all that follow are the same
            pause = min(pause, float(retry.max_ms))
            return total + round(pause) * (retry.max_attempts - failures)
        total += round(pause)
    return total


def needs_first(scope: ScopePlan, plan: Plan) -> list[int]:
    """The steps of a DAG, each behind all its needs."""
    waiting = {number: len(plan.steps[number].needs) for number in scope.steps}
    order = [number for number, count in waiting.items() if not count]
    for number in order:  # grows as it goes
        for dependent in plan.steps[number].dependents:
            waiting[dependent] -= 1
            if not waiting[dependent]:
                order.append(dependent)
    return order


def count_of(rule: Join | Completion, among: int) -> int:
    """How many of so many have to come."""
    if rule.kind in ("all", "all_done"):
        return among
    return 1 if rule.kind == "any" else rule.count


def _may_fall_out(join: Join, skips: Sequence[bool]) -> bool:
    """Whether so many needs may be skipped that the step is skipped too."""
    if not skips or join.kind == "all_done":
        return False
    if join.kind == "all":
        return all(skips)
    return len(skips) - sum(skips) < count_of(join, len(skips))


def _least_start(join: Join, needs: Sequence[Span], skips: Sequence[bool]) -> float:
    if not needs:
        return 0
    least = sorted(span.least for span in needs)
    count = count_of(join, len(least))
    if any(skips):  # it may be skipped when so many are that too few are left
        return least[min(count, len(least) - count + 1) - 1] if count < len(least) else least[-1]
    return least[count - 1]
