"""A net, what it was reduced to, and what was explored of that: what verdicts are read from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

from heliostat.verify.budget import UNBOUNDED, Budget, OutOfTime
from heliostat.verify.certificates.certificates import (
    Certificate,
    Explored,
    FreeChoice,
    Reduced,
)
from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.nets.translation import Translation
from heliostat.verify.nets.visits import VISITS_MAX
from heliostat.verify.space.explore import Graph, Inconclusive, begun, explore
from heliostat.verify.structure.free_choice import free_choice
from heliostat.verify.structure.reductions import Reduction, reduce, unreduced

STATES_MAX: Final = 50_000
"""Markings of the last exploration; with more the answer is inconclusive."""

ON_THE_WAY_MAX: Final = 10_000
"""Net transitions that lead from a dead marking of a reduced net to one of the whole net."""


def explored(
    translation: Translation,
    *,
    states_max: int = STATES_MAX,
    budget: Budget = UNBOUNDED,
) -> Space:
    """Reduce a net and explore what is left, unless its structure shows that it always ends.

    What stays for ever where it comes about, as a token of control that nothing takes, is seen: on
    `translation.overflows` (`Space.overflow`), or as a marking that no end can be reached from.
    """

    def timed(net: Net, *, reduce: bool = True, states_max: int) -> Graph:
        graph = explore(
            net,
            reduce=reduce,
            states_max=states_max,
            time_max_ms=budget.left_ms(),
            now_ms=budget.now_ms,
        )
        if graph.stopped is not None and graph.stopped.bound == "time":
            graph.stopped = replace(graph.stopped, limit=budget.time_max_ms or 0)
        return graph

    reduction = reduce(translation.net, budget)
    shown = _shown(reduction.net, budget)
    return Space(
        translation=translation,
        reduction=reduction,
        graph=timed(reduction.net, states_max=states_max)
        if shown is None
        else begun(reduction.net),
        explore=timed,
        budget=budget,
        shown=shown,
    )


def _shown(net: Net, budget: Budget) -> FreeChoice | None:
    try:
        return free_choice(net, budget)
    except OutOfTime:
        return None  # exploration comes to the same bound, and says so


@dataclass(kw_only=True)
class Space:
    """A net, what it was reduced to, and what was explored of that.

    Where the structure of the reduced net shows that it always ends (`shown`), the first marking
    stands for all: in none of the others is anything that stays for ever.
    """

    translation: Translation
    reduction: Reduction
    graph: Graph
    explore: Callable[..., Graph]  # in the time that the caller gave
    budget: Budget
    shown: FreeChoice | None = None

    @property
    def net(self) -> Net:
        return self.translation.net

    @property
    def rests_on(self) -> tuple[Abstraction, ...]:
        return self.translation.abstractions

    @property
    def stopped(self) -> Inconclusive | None:
        return self.graph.stopped

    @cached_property
    def ends(self) -> list[int]:
        return distances(self.graph) if self.shown is None else [0]

    @cached_property
    def happening(self) -> set[int]:
        """The net transitions of the reduced net that were seen to happen."""
        if self.shown is not None:
            return {number for number, times in enumerate(self.shown.counts) if times}
        return {number for edges in self.graph.edges for number, _ in edges}

    @cached_property
    def overflown(self) -> str | None:
        """That more visits of a step may be open than the net holds, in words."""
        seen = (self.overflow(marking) for marking in self.graph.markings)
        step = next((step for step in seen if step is not None), None)
        if step is None:
            return None
        return f"more than {VISITS_MAX} visits of {step!r} may be open at once"

    def overflow(self, marking: Marking) -> str | None:
        """The step of which more visits are open there than the net holds."""
        overflows = self.translation.overflows.items()
        return next((step for place, step in overflows if marking[place]), None)

    @property
    def engine(self) -> str:
        if self.shown is not None:
            return "free choice"
        return "reduction" if len(self.graph.markings) == 1 else "exploration"

    def certificate(self) -> Certificate:
        """That nothing is dead and, where it can, that an end can always be reached."""
        then = self.shown or Explored(
            net=self.reduction.net.content_hash,
            markings=tuple(self.graph.markings),
            stubborn=tuple(self.graph.stubborn),
            ends=tuple(self.ends) if min(self.ends) >= 0 else (),
        )
        if not self.reduction.steps:
            return then
        return Reduced(net=self.net.content_hash, steps=self.reduction.steps, then=then)

    def run_to(self, number: int) -> tuple[tuple[int, ...], Marking]:
        """A run of the whole net, and where it leads.

        Raises:
            TooManyTokens: on its way a place holds more than a marking counts.
        """
        run, marking = self.reduction.run(self.graph.run_to(number)), self.net.initial
        for fired in run:
            marking = self.net.fire(marking, fired)
        return run, marking

    def dead_run(self, number: int) -> tuple[tuple[int, ...], Marking] | None:
        """A run of the whole net to a dead marking: what was postponed happens at last.

        None where it leads elsewhere, or a place comes to hold more than a marking counts.
        """
        try:
            return self._dead_run(number)
        except TooManyTokens:
            return None

    def _dead_run(self, number: int) -> tuple[tuple[int, ...], Marking] | None:
        net, late = self.net, list[int]()
        run, marking = self.run_to(number)
        own = [n for n, each in enumerate(net.transitions) if not each.outside]
        enabled = {n for n in own if net.enabled(marking, n)}
        while len(late) < ON_THE_WAY_MAX and not self.budget.over:
            if not enabled:
                return (*run, *late), marking
            live = [n for n in enabled if net.transitions[n].ending != "failed"]
            if not live:
                break
            late.append(min(live))
            marking = net.fire(marking, late[-1])
            if net.is_final(marking):
                break
            near = net.watching(late[-1])
            now = {n for n in near if not net.transitions[n].outside and net.enabled(marking, n)}
            enabled = (enabled - near) | now
        return None


def as_it_is(space: Space, states_max: int) -> Space | None:
    """The same net, explored without structural reductions; None if it is too large for that."""
    graph = space.explore(space.net, states_max=states_max)
    if graph.stopped is not None and graph.stopped.bound != "tokens":
        return None
    return replace(space, reduction=unreduced(space.net), graph=graph)


def distances(graph: Graph) -> list[int]:
    """Of each marking the number of explored steps to an end; -1 where there is none."""
    found = [-1] * len(graph.markings)
    before: list[list[int]] = [[] for _ in graph.markings]
    for number, edges in enumerate(graph.edges):
        for _, target in edges:
            before[target].append(number)
    ring = [*graph.final, *graph.dead]
    for number in ring:
        found[number] = 0
    while ring:
        ring_next = []
        for number in ring:
            for source in before[number]:
                if found[source] < 0:
                    found[source] = found[number] + 1
                    ring_next.append(source)
        ring = ring_next
    return found


def ends_always(space: Space) -> bool:
    """Whether an end can be reached from everywhere, so that the space is its own certificate; a
    net with an alarm (`nets.watching`) then raises none."""
    return space.stopped is None and not space.graph.dead and min(space.ends) >= 0
