"""How much of a resource an execution takes at most at once, were there no end of it.

Asked scope by scope, from the inside out: to the scope around it a step weighs what it and all
within it take at most. Of a DAG that is the heaviest antichain of its needs; of a state machine the
heaviest marking of its net, all markings being explored, since stubborn sets keep no maxima. A step
over a list weighs so many times one item as may be side by side.

A peak is *exact* where some timing and some outcome of conditions reaches it, and comes with the
run that does. It is only a bound where steps of a DAG begin when some of their needs are done
(which of them is not looked at) or behind one that cancels others, where semaphores of the
execution keep steps apart that would reach it together, and where handlers run besides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from math import gcd
from types import MappingProxyType
from typing import Final, TypeAlias

from heliostat.engine.plan.plan import Plan, ScopePlan, StepPlan
from heliostat.verify.nets.parts import Abstraction, may_complete
from heliostat.verify.nets.translation import Translation, translate
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Act
from heliostat.verify.resources.antichain import heaviest_antichain
from heliostat.verify.resources.demands import UNITS, Resource, demand
from heliostat.verify.space.explore import Graph, Inconclusive, explore
from heliostat.verify.structure.weights import weights
from heliostat.verify.timing.durations import constant

MARKINGS_MAX: Final = 5_000
"""Of one state machine: without reduction their number doubles with each branch."""

DAG_STEPS_MAX: Final = 10_000
"""Steps of one DAG: flows through more of them take seconds."""

Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """A step at the peak: so many attempts, items or visits of it, and all that they take."""

    step: str
    count: int
    units: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Peak:
    """The most of one resource that is taken at once."""

    units: int
    holdings: tuple[Holding, ...] = ()
    open: tuple[tuple[int, int], ...] = ()  # steps and how many of them, those around included
    run: tuple[Act, ...] = ()  # that leads there, where it is exact
    exact: bool = True
    more: bool = False  # handlers may have steps run more often than was looked at
    rests_on: tuple[Abstraction, ...] = ()

    def times(self, count: int) -> Peak:
        """Of so many that are alike, side by side."""
        if count == 1:
            return self
        return replace(
            self,
            units=self.units * count,
            holdings=tuple(
                replace(h, count=h.count * count, units=h.units * count) for h in self.holdings
            ),
            open=tuple((number, each * count) for number, each in self.open),
            run=self.run * count,
        )


class NotKnown(Exception):
    """A bound was reached before the peak was known."""


class Peaks:
    """The peaks of one plan."""

    def __init__(
        self,
        plan: Plan,
        items: Mapping[str, int] = MappingProxyType({}),
        *,
        around: bool = False,
        time_max_ms: int | None = None,
        now_ms: Clock | None = None,
    ) -> None:
        """Args:
        items: by step id, how many items its `foreach` has, where that is known.
        around: count only what is held around steps, and not what attempts take.
        """
        self._around = around
        self._plan, self._items = plan, items
        self._time_max_ms, self._now_ms = time_max_ms, now_ms
        self._explored: dict[int, tuple[Translation, Graph]] = {}

    def of(self, resource: Resource) -> Peak:
        """The peak of one resource in one execution.

        Raises:
            NotKnown: with the bound that was reached.
        """
        plan = self._plan
        found = self._scope(plan.root, resource)
        handled = [s for s in self._beside() if resource in demand(s)]
        if not found.exact or handled or not self._fits(found, resource):
            found = replace(found, exact=False, more=found.more or bool(handled), run=())
        return found

    def _beside(self) -> Iterator[StepPlan]:
        """Steps of handlers' own actions, which run whenever an event comes."""
        for scope in self._plan.scopes:
            if scope.owner is None and scope.number and not scope.retired:
                yield from (self._plan.steps[number] for number in scope.steps)

    def _fits(self, peak: Peak, resource: Resource) -> bool:
        """Whether the execution's other semaphores allow all of it at once."""
        taken: dict[str, int] = {}
        for number, count in peak.open:
            for name, each in self._plan.steps[number].uses:
                taken[name] = taken.get(name, 0) + each * count
        if resource.kind == "semaphore":
            taken.pop(resource.name, None)
        return all(count <= self._plan.semaphores[name] for name, count in taken.items())

    # -- steps

    def _step(self, step: StepPlan, resource: Resource) -> Peak:
        """Of one visit."""
        own = 0 if self._around and not step.scopes else demand(step).get(resource, 0)
        inner = [self._scope(self._plan.scopes[number], resource) for number in step.scopes]
        units = own + sum(each.units for each in inner)
        if not units:
            return Peak(units=0)
        width = self._width(step, resource)
        held = (Holding(step=step.id, count=width, units=own * width),) if own else ()
        within = (holding for each in inner for holding in each.holdings)
        what = "is open" if step.scopes else "runs"
        side_by_side = f", {width} items side by side" if width > 1 else ""
        return Peak(
            units=units * width,
            holdings=(
                *held,
                *(replace(h, count=h.count * width, units=h.units * width) for h in within),
            ),
            open=(
                (step.number, width),
                *((number, count * width) for each in inner for number, count in each.open),
            ),
            run=(
                *((Act(step=step.id, act=f"{what}{side_by_side}"),)),
                *(act for each in inner for act in each.run),
            ),
            exact=all(each.exact for each in inner),
            more=any(each.more for each in inner),
            rests_on=tuple(dict.fromkeys(one for each in inner for one in each.rests_on)),
        )

    def _width(self, step: StepPlan, resource: Resource) -> int:
        """Items of one visit that may be side by side, were there no end of the resource."""
        if step.foreach is None:
            return 1
        widths = [step.foreach.concurrency]
        if step.id in self._items:
            widths.append(max(self._items[step.id], 1))
        widths += [
            self._plan.semaphores[name] // count
            for name, count in step.uses
            if (resource.kind, resource.name) != ("semaphore", name)
        ]
        return min(widths)

    # -- scopes

    def _scope(self, scope: ScopePlan, resource: Resource) -> Peak:
        steps = [self._plan.steps[number] for number in scope.steps]
        peaks = {step.number: self._step(step, resource) for step in steps if not step.retired}
        if not any(peak.units for peak in peaks.values()):
            return Peak(units=0)
        if scope.notation == "dag":
            return self._dag(scope, peaks)
        return self._machine(scope, peaks)

    def _dag(self, scope: ScopePlan, peaks: dict[int, Peak]) -> Peak:
        if len(scope.steps) > DAG_STEPS_MAX:
            raise NotKnown(f"a scope has more than {DAG_STEPS_MAX} steps")
        steps = {number: self._plan.steps[number] for number in scope.steps}
        exact = all(_waits_for_all(step) for step in steps.values())
        before = {n: s.needs if _waits_for_all(s) else () for n, s in steps.items()}
        weights = {number: peak.units for number, peak in peaks.items()}
        units, chosen = heaviest_antichain(weights, before)
        members = [number for number in scope.steps if number in chosen and weights[number]]
        earlier = _before(members, before)
        # what these would have to do first may end the scope, or take others out of it
        exact = exact and all(
            may_complete(steps[n]) and not steps[n].terminate and not steps[n].cancels
            for n in earlier
        )
        done = [Act(step=steps[n].id, act="completes") for n in _in_order(before) if n in earlier]
        return _together(units, done, [peaks[number] for number in members], exact=exact)

    def _machine(self, scope: ScopePlan, peaks: dict[int, Peak]) -> Peak:
        translation, graph = self._explore(scope)
        net = translation.net
        places = [
            (number, peaks[self._plan.step_by_id[place.step]])
            for number, place in enumerate(net.places)
            if place.step is not None and place.id.startswith("step_")
        ]
        weighing = [(place, peak) for place, peak in places if peak.units]

        def weight(marking: bytes) -> int:
            return sum(marking[place] * peak.units for place, peak in weighing)

        if graph.stopped is not None:
            return _bound(translation, weighing, graph.stopped)
        best = max(range(len(graph.markings)), key=lambda n: (weight(graph.markings[n]), -n))
        marking = graph.markings[best]
        there = [peak.times(marking[place]) for place, peak in weighing if marking[place]]
        done = acts(net, graph.run_to(best))
        found = _together(weight(marking), done, there, exact=True)
        return replace(
            found,
            exact=found.exact and not translation.abstractions,
            more=found.more or any(each.kind == "trigger" for each in translation.abstractions),
            rests_on=tuple(dict.fromkeys((*translation.abstractions, *found.rests_on))),
        )

    def _explore(self, scope: ScopePlan) -> tuple[Translation, Graph]:
        """The net of this scope alone, what is inside its steps being left out."""
        known = self._explored.get(scope.number)
        if known is None:
            translation = translate(_alone(self._plan, scope), "proof")
            graph = explore(
                translation.net,
                reduce=False,
                states_max=MARKINGS_MAX,
                time_max_ms=self._time_max_ms,
                now_ms=self._now_ms,
            )
            known = self._explored[scope.number] = translation, graph
        return known


def _bound(
    translation: Translation, weighing: list[tuple[int, Peak]], stopped: Inconclusive
) -> Peak:
    """Of a state machine with too many markings: weights of places by which nothing puts more than
    it takes, and no marking weighs more than the initial one."""
    net = translation.net
    least = [0] * len(net.places)
    for place, peak in weighing:
        least[place] = peak.units
    shared = gcd(*least)
    found = weights(net, [each // shared for each in least])
    if found is None:
        raise NotKnown(f"a state machine has {stopped}")
    most = sum(count * weight for count, weight in zip(net.initial, found, strict=True))
    holdings = (holding for _, peak in weighing for holding in peak.holdings)
    more = any(each.kind == "trigger" for each in translation.abstractions)
    return Peak(units=most * shared, holdings=tuple(holdings), exact=False, more=more)


def written(plan: Plan) -> dict[str, int]:
    """How many items lists have that are written down, by step id."""
    found = dict[str, int]()
    for step in plan.steps:
        if step.foreach is not None and not step.retired:
            match constant(step.foreach.items):
                case (list() as items,):
                    found[step.id] = len(items)
    return found


def roomy(
    plan: Plan, *, time_max_ms: int | None = None, now_ms: Clock | None = None
) -> frozenset[str]:
    """Semaphores of which the most that is held around steps leaves enough for any step."""
    peaks = Peaks(plan, written(plan), around=True, time_max_ms=time_max_ms, now_ms=now_ms)
    found = set[str]()
    for name, capacity in plan.semaphores.items():
        wanted = [count for s in plan.steps if not s.retired for n, count in s.uses if n == name]
        try:
            held = peaks.of(Resource(kind="semaphore", name=name))
        except NotKnown:
            continue
        if not held.more and held.units + max(wanted, default=0) * UNITS <= capacity * UNITS:
            found.add(name)
    return frozenset(found)


def _waits_for_all(step: StepPlan) -> bool:
    """Whether a step of a DAG begins only when each of its needs has settled."""
    return step.join.kind in ("all", "all_done") or len(step.needs) <= step.join.count


def _together(
    units: int, done: list[Act] | tuple[Act, ...], peaks: list[Peak], *, exact: bool
) -> Peak:
    return Peak(
        units=units,
        holdings=tuple(holding for peak in peaks for holding in peak.holdings),
        open=tuple(each for peak in peaks for each in peak.open),
        run=(*done, *(act for peak in peaks for act in peak.run)),
        exact=exact and all(peak.exact for peak in peaks),
        more=any(peak.more for peak in peaks),
        rests_on=tuple(dict.fromkeys(one for peak in peaks for one in peak.rests_on)),
    )


def _before(members: list[int], before: dict[int, tuple[int, ...]]) -> set[int]:
    found, todo = set[int](), [earlier for number in members for earlier in before[number]]
    while todo:
        number = todo.pop()
        if number not in found:
            found.add(number)
            todo.extend(before[number])
    return found


def _in_order(before: dict[int, tuple[int, ...]]) -> Iterator[int]:

    return iter(TopologicalSorter(before).static_order())


def _alone(plan: Plan, scope: ScopePlan) -> Plan:
    """A plan of one scope: its steps are open for some time, and complete or fail."""
    root = scope.owner is None and scope.number == 0
    steps = tuple(
        replace(step, kind="activity", scopes=(), uses=(), foreach=None, child=None)
        if step.scopes or step.uses or step.foreach or step.child
        else step
        for step in plan.steps
    )
    return replace(
        plan,
        scopes=(replace(scope, owner=None, number=0),),
        steps=steps,
        semaphores={},
        handlers=plan.handlers if root else (),
        on_error=plan.on_error if root else (),
        deadline=plan.deadline if root else None,
    )
