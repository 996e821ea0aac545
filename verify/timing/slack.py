"""The critical path, and how much longer each step may take before the whole does.

Every visit takes its expected time, conditions hold, and where ways part each is looked at: the
path is the longest way. A step's *slack* is by how much each visit of it may take longer without
the longest way getting longer; it is 0 on the critical path. Loops are gone through once; failures,
timeouts and deadlines are not looked at.

The method is the critical path method (Kelley and Walker, 1959) from the outside in: a scope may
end as much later as its owner has slack. Where a step starts, or a scope ends, with the n-th of
several, those that come later are free, and the others are held to what the n-th may take: this
slack may be less than there is. Where nothing is drawn, delays are tried on runs of the plan
instead (`tried`), and the slack is exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, inf
from typing import Final

from heliostat.engine.plan.plan import END, Plan, ScopePlan, StepPlan
from heliostat.verify.timing.durations import ITEMS_DEFAULT, Measured
from heliostat.verify.timing.rules import count_of, needs_first

TRIED_VISITS_MAX: Final = 4_000
"""Steps whose delays are tried one by one, times the visits of a run: some twenty runs for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a step lies in time, in milliseconds from the start of the execution; in a body that
    runs for items, in the first."""

    step: str
    start_ms: float
    finish_ms: float
    slack_ms: float  # inf: it may take as long as it likes
    inner: bool = False  # whether it has steps in it

    @property
    def latest_finish_ms(self) -> float:
        """When it may finish at the latest."""
        return self.finish_ms + self.slack_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Critical:
    """The longest way, and the place of every step on and beside it."""

    total_ms: float
    path: tuple[str, ...]  # steps without steps in them, in order of time
    places: Mapping[str, Place]
    exact: bool  # else a slack may be less than there is


@dataclass(slots=True)
class _Times:
    """Of one scope, from its own opening."""

    length: float = 0
    order: list[int] = field(default_factory=list)
    starts: dict[int, float] = field(default_factory=dict)
    finishes: dict[int, float] = field(default_factory=dict)
    before: dict[int, list[int]] = field(default_factory=dict)  # those that a step starts after
    count: dict[int, int] = field(default_factory=dict)  # how many of these it waits for


class Network:
    """The steps of one plan in time."""

    def __init__(
        self, plan: Plan, durations: Measured, width: Callable[[StepPlan], int | None]
    ) -> None:
        self._plan, self._durations, self._width = plan, durations, width
        self._takes: dict[int, float] = {}
        self._times: dict[int, _Times] = {}
        self._slack: dict[int, float] = {}
        self._start: dict[int, float] = {}
        self.exact = True
        for scope in sorted(plan.scopes, key=lambda scope: -scope.number):
            if not scope.retired:
                for number in scope.steps:
                    self._takes[number] = self._time_of(plan.steps[number])
                self._times[scope.number] = self._forward(scope)
        self._backward(plan.root, opens_at=0, excess=0)

    def critical(self) -> Critical:
        """The longest way of the root scope."""
        steps = {number: self._plan.steps[number] for number in self._slack}
        return Critical(
            total_ms=self._times[0].length,
            path=tuple(self._path(self._plan.root)),
            places={
                step.id: Place(
                    step=step.id,
                    start_ms=self._start[number],
                    finish_ms=self._start[number] + self._takes[number],
                    slack_ms=self._slack[number],
                    inner=bool(step.scopes) and step.id not in self._durations,
                )
                for number, step in sorted(steps.items())
            },
            exact=self.exact,
        )

    # -- how long

    def _time_of(self, step: StepPlan) -> float:
        said = self._durations.get(step.id)
        if said is not None:
            once: float = said.expected_ms
        else:
            lengths = sorted(self._times[scope].length for scope in step.scopes)
            count = count_of(step.completion, len(lengths)) if step.kind == "parallel" else 1
            once = lengths[count - 1]
        return once * self._waves(step)

    def _waves(self, step: StepPlan) -> int:
        if step.foreach is None:
            return 1
        known = self._width(step)
        width = ITEMS_DEFAULT if known is None else known
        needed = min(count_of(step.foreach.completion, width), width)
        return ceil(needed / max(1, min(step.foreach.concurrency, width)))

    # -- forward

    def _forward(self, scope: ScopePlan) -> _Times:
        times = _Times()
        if scope.notation == "dag":
            times.order = needs_first(scope, self._plan)
            times.before = {n: list(self._plan.steps[n].needs) for n in scope.steps}
        else:
            times.order, times.before = self._machine(scope)
        for number in times.order:
            step, before = self._plan.steps[number], times.before[number]
            finishes = sorted(times.finishes[each] for each in before)
            counted = scope.notation == "dag" or step.join.kind == "at_least"
            count = count_of(step.join, len(finishes)) if counted else len(finishes)
            times.count[number] = count
            start = finishes[min(count, len(finishes)) - 1] if finishes else 0.0
            times.starts[number] = start
            times.finishes[number] = start + self._takes[number]
            if count < len(finishes) or step.cancels or step.terminate:
                self.exact = False
        times.length = max(times.finishes.values(), default=0.0)
        return times

    def _machine(self, scope: ScopePlan) -> tuple[list[int], dict[int, list[int]]]:
        """The steps that `next` leads to, in an order of time; ways back in a loop are left out."""
        following = {
            number: tuple(e.target for e in self._plan.steps[number].routes if e.target != END)
            for number in scope.steps
        }
        reached, left = set[int](), list(scope.start)
        while left:
            number = left.pop()
            if number not in reached:
                reached.add(number)
                left += following[number]
        order, before = list[int](), {number: list[int]() for number in reached}
        place = {number: index for index, number in enumerate(self._outward(scope, following))}
        for number in sorted(reached, key=lambda number: place[number]):
            order.append(number)
            for next in dict.fromkeys(following[number]):
                if place[next] > place[number]:
                    before[next].append(number)
        return order, before

    def _outward(self, scope: ScopePlan, following: Mapping[int, Sequence[int]]) -> Iterator[int]:
        """Depth first from the start, each step before all that is found behind it."""
        seen: set[int] = set()
        done: list[int] = []
        for start in (*scope.start, *scope.steps):
            if start in seen:
                continue
            seen.add(start)
            way = [(start, iter(following[start]))]
            while way:
                for next in way[-1][1]:
                    if next not in seen:
                        seen.add(next)
                        way.append((next, iter(following[next])))
                        break
                else:
                    done.append(way.pop()[0])
        return reversed(done)

    # -- backward

    def _backward(self, scope: ScopePlan, *, opens_at: float, excess: float) -> None:
        """Give each step its slack, where the scope may end so much later than it does."""
        times = self._times[scope.number]
        latest = dict.fromkeys(times.order, times.length + excess)
        for number in reversed(times.order):
            starts_by = latest[number] - self._takes[number]
            last = times.starts[number]
            for before in times.before[number]:
                finish = times.finishes[before]
                if finish <= last:  # of those that come too late for the n-th none is waited for
                    latest[before] = min(latest[before], starts_by)
        for number in times.order:
            self._start[number] = opens_at + times.starts[number]
            self._slack[number] = latest[number] - times.finishes[number]
            self._inside(self._plan.steps[number])

    def _inside(self, step: StepPlan) -> None:
        if not step.scopes or step.id in self._durations:
            return
        slack, opens_at = self._slack[step.number], self._start[step.number]
        lengths = [self._times[scope].length for scope in step.scopes]
        count = count_of(step.completion, len(lengths)) if step.kind == "parallel" else 1
        last = sorted(lengths)[count - 1]
        if count < len(lengths):
            self.exact = False
        for scope, length in zip(step.scopes, lengths, strict=True):
            each = slack if slack == inf else slack // (self._waves(step) or 1)
            excess = last - length + each if length <= last else inf
            self._backward(self._plan.scopes[scope], opens_at=opens_at, excess=excess)

    # -- the path

    def _path(self, scope: ScopePlan) -> Iterator[str]:
        """The longest way through a scope, from its end back to its start, told forwards."""
        times = self._times[scope.number]
        chain = list[int]()
        at = max(
            times.order, key=lambda n: (times.finishes[n], -times.order.index(n)), default=None
        )
        while at is not None:
            chain.append(at)
            start = times.starts[at]
            at = next((b for b in times.before[at] if times.finishes[b] == start), None)
        for number in reversed(chain):
            step = self._plan.steps[number]
            if step.scopes and step.id not in self._durations:
                lengths = {s: self._times[s].length for s in step.scopes}
                count = count_of(step.completion, len(lengths)) if step.kind == "parallel" else 1
                last = sorted(lengths, key=lambda s: lengths[s])[count - 1]
                yield from self._path(self._plan.scopes[last])
            elif self._takes[number]:
                yield step.id


def tried(critical: Critical, total: Callable[[str, float], float]) -> Critical:
    """The same with slacks that are exact, found by delays of one step at a time.

    Args:
        total: the time that the whole takes if each visit of a step takes so much longer; not less
            for a longer delay.
    """
    whole = total("", 0)
    long = whole + 1
    places = {}
    for id, place in critical.places.items():
        if total(id, 2 * long) <= whole:
            slack = inf
        else:
            low, high = 0, ceil(2 * long)  # the delays that do and do not keep the total
            while high - low > 1:
                middle = (low + high) // 2
                if total(id, middle) <= whole:
                    low = middle
                else:
                    high = middle
            slack = low
        places[id] = replace(place, slack_ms=slack)
    return replace(
        critical, total_ms=whole, places=places, exact=True, path=_tight(places, critical)
    )


def _tight(places: Mapping[str, Place], critical: Critical) -> tuple[str, ...]:
    """The steps without slack, in order of time; the path itself where it has none."""
    if all(not places[id].slack_ms for id in critical.path):
        return critical.path
    tight = [place for place in places.values() if not place.slack_ms]
    return tuple(
        place.step
        for place in sorted(tight, key=lambda place: (place.start_ms, place.finish_ms))
        if place.finish_ms > place.start_ms and not place.inner
    )
