"""Explicit exploration, bounded, with or without stubborn sets.

A final marking is not left: the execution has ended. One in which nothing may happen but what
comes from outside (a deadline, an event) is dead, and left all the same. The graph keeps for every
marking what was tried there and why that was enough, so that a checker can go through it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from heliostat.verify.nets.net import Marking, Net, TooManyTokens
from heliostat.verify.space.stubborn import Stubborn

STATES_MAX: Final = 200_000
"""Markings that one exploration keeps, unless the caller says otherwise."""

BYTES_MAX: Final = 256 * 1024 * 1024
"""Of the markings that one exploration keeps: of nets with tens of thousands of places these are
fewer than the caller allows."""

Bound = Literal["states", "time", "tokens"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Inconclusive:
    """An exploration came to a bound before it had an answer."""

    bound: Bound
    limit: int
    place: str | None = None  # that came to hold too many tokens

    def __str__(self) -> str:
        match self.bound:
            case "states":
                return f"more than {self.limit} markings"
            case "time":
                return f"more than {self.limit} ms"
            case "tokens":
                return f"more than {self.limit} tokens on {self.place!r}"


@dataclass(slots=True, kw_only=True)
class Graph:
    """What was explored; markings are numbered in the order of discovery, 0 is the initial one."""

    markings: list[Marking] = field(default_factory=list)
    edges: list[list[tuple[int, int]]] = field(default_factory=list)  # net transition, target
    stubborn: list[frozenset[int] | None] = field(default_factory=list)  # None: all were tried
    parents: list[tuple[int, int]] = field(default_factory=list)  # marking, net transition
    dead: list[int] = field(default_factory=list)  # neither final nor with anything that may happen
    final: list[int] = field(default_factory=list)  # also those that can but fail, or have ended
    stopped: Inconclusive | None = None

    def run_to(self, number: int) -> tuple[int, ...]:
        """A firing sequence from the initial marking."""
        found = []
        while number:
            number, fired = self.parents[number]
            found.append(fired)
        return tuple(reversed(found))


def begun(net: Net) -> Graph:
    """A graph in which nothing was explored yet: the initial marking alone."""
    return Graph(markings=[net.initial], edges=[[]], stubborn=[None], parents=[(0, -1)])


def kept_max(net: Net, states_max: int) -> int:
    """How many markings of a net are kept where the caller allows so many."""
    return min(states_max, BYTES_MAX // max(1, len(net.places)))


def explore(
    net: Net,
    *,
    reduce: bool = True,
    states_max: int = STATES_MAX,
    time_max_ms: int | None = None,
    now_ms: Callable[[], float] | None = None,
    stop_when: Callable[[Graph, int], bool] | None = None,
) -> Graph:
    """Explore a net depth first.

    Args:
        reduce: with stubborn sets; keeps dead markings and whether an end can always be reached.
        time_max_ms: a bound on the time, by the clock `now_ms`.
        stop_when: asked after each marking that was found dead, to stop there.
    """
    states_max = kept_max(net, states_max)
    graph, stubborn = Graph(), Stubborn(net)
    numbers: dict[Marking, int] = {}
    transitions = net.transitions
    first = frozenset(n for n in range(len(transitions)) if net.enabled(net.initial, n))
    todo: list[tuple[int, frozenset[int]]] = []
    deadline = None if time_max_ms is None or now_ms is None else now_ms() + time_max_ms

    def discover(marking: Marking, parent: tuple[int, int]) -> int:
        numbers[marking] = len(graph.markings)
        graph.markings.append(marking)
        graph.edges.append([])
        graph.stubborn.append(None)
        graph.parents.append(parent)
        return len(graph.markings) - 1

    todo.append((discover(net.initial, (0, -1)), first))
    while todo:
        number, enabled = todo.pop()
        marking = graph.markings[number]
        live = frozenset(n for n in enabled if transitions[n].ending != "failed")
        if net.is_final(marking):
            graph.final.append(number)
            continue
        own = [n for n in live if not transitions[n].outside]
        if not own:
            dead = all(transitions[n].outside for n in enabled)
            (graph.dead if dead else graph.final).append(number)
            if dead and stop_when is not None and stop_when(graph, number):
                return graph
        chosen = sorted(live)
        if reduce and own and len(chosen) > 1:
            chosen, whole = stubborn.of(marking, live)
            graph.stubborn[number] = whole
        for fired in chosen:
            try:
                after = net.fire(marking, fired)
            except TooManyTokens as error:
                graph.stopped = Inconclusive(bound="tokens", limit=255, place=error.place)
                return graph
            target = numbers.get(after)
            if target is None:
                target = discover(after, (number, fired))
                asked = net.watching(fired)
                now = {n for n in asked if net.enabled(after, n)}
                todo.append((target, (enabled - asked) | now))
            graph.edges[number].append((fired, target))
        if len(graph.markings) > states_max:
            graph.stopped = Inconclusive(bound="states", limit=states_max)
            return graph
        if deadline is not None and now_ms is not None and now_ms() > deadline:
            graph.stopped = Inconclusive(bound="time", limit=time_max_ms or 0)
            return graph
    return graph
