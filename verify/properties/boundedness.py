"""Boundedness: no place ever holds more than some number of tokens.

Three reasons are tried, cheapest first: nothing can happen again and again; each place has a weight
by which nothing puts more than it takes; all markings are known. A cycle that leaves more tokens
than it found, and can be repeated, shows the opposite.
"""

from __future__ import annotations

from collections.abc import Callable

from heliostat.verify.certificates.certificates import (
    Certificate,
    Finite,
    Ordered,
    Pump,
    Weighted,
)
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.translation import Translation
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.space.explore import Graph, explore
from heliostat.verify.structure.weights import weights


def bounded(
    translation: Translation, states_max: int, explore: Callable[..., Graph] = explore
) -> Verdict:
    """The verdict about boundedness."""
    net, rests_on = translation.net, translation.abstractions

    def holds(engine: str, reason: str, certificate: Certificate) -> Verdict:
        return Verdict(
            asked="boundedness",
            outcome="holds",
            engine=engine,
            reason=reason,
            rests_on=rests_on,
            certificate=certificate,
        )

    order = _order(net)
    if order is not None:
        certificate = Ordered(net=net.content_hash, order=order)
        return holds("order", "nothing in it can happen again and again", certificate)
    found = weights(net)
    if found is not None:
        reason = "each place has a weight by which nothing puts more than it takes"
        return holds("weights", reason, Weighted(net=net.content_hash, weights=found))
    graph = explore(net, reduce=False, states_max=states_max)
    if graph.stopped is None:
        finite = Finite(net=net.content_hash, markings=tuple(graph.markings))
        return holds("exploration", f"it has {len(graph.markings)} markings", finite)
    pump = _pump(net, graph)
    if pump is None:
        return Verdict(
            asked="boundedness",
            outcome="inconclusive",
            engine="exploration",
            reason=f"the bound of {graph.stopped} was reached",
        )
    return Verdict(
        asked="boundedness",
        outcome="fails",
        engine="coverability",
        reason="a loop leaves more tokens behind each time it is gone through",
        rests_on=rests_on,
        run=acts(net, (*pump.run, *pump.cycle)),
        certificate=pump,
    )


def _order(net: Net) -> tuple[int, ...] | None:
    """The net transitions so that none puts tokens for an earlier one, if they can be so."""
    following = [
        sorted(
            {
                taker
                for place in (
                    *(place for place, _ in each.outputs),
                    *(place for _, back in each.drains for place, _ in back),
                )
                for taker in net.consumers[place]
            }
        )
        for each in net.transitions
    ]
    waiting = [0] * len(net.transitions)
    for targets in following:
        for target in targets:
            waiting[target] += 1
    ready = [number for number, count in enumerate(waiting) if not count]
    order = []
    while ready:
        number = ready.pop()
        order.append(number)
        for target in following[number]:
            waiting[target] -= 1
            if not waiting[target]:
                ready.append(target)
    return tuple(order) if len(order) == len(net.transitions) else None


def _pump(net: Net, graph: Graph) -> Pump | None:
    """A marking that covers one on the way to it, by a cycle that may be repeated."""
    path = [len(graph.markings) - 1]
    while path[-1]:
        path.append(graph.parents[path[-1]][0])
    path.reverse()
    run = graph.run_to(path[-1])
    last = graph.markings[path[-1]]
    for at in range(len(path) - 2, -1, -1):
        each = net.transitions[run[at]]
        if each.inhibitors or each.drains:
            return None
        before = graph.markings[path[at]]
        if before != last and all(a <= b for a, b in zip(before, last, strict=True)):
            return Pump(net=net.content_hash, run=run[:at], cycle=run[at:])
    return None
