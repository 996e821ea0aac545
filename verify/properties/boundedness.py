"""Boundedness: no place ever holds more than some number of tokens.

Three reasons are tried, cheapest first: nothing can happen again and again; each place has a weight
by which nothing puts more than it takes; all markings are known. A cycle that leaves more tokens
than it found, and can be repeated, shows the opposite.
"""

from __future__ import annotations

from heliostat.verify.budget import UNBOUNDED, Budget
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
from heliostat.verify.space.covering import covering
from heliostat.verify.structure.weights import weights


def bounded(translation: Translation, states_max: int, budget: Budget = UNBOUNDED) -> Verdict:
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
    seen = covering(net, states_max=states_max, budget=budget)
    if seen.cycle:
        return Verdict(
            asked="boundedness",
            outcome="fails",
            engine="coverability",
            reason="a loop leaves more tokens behind each time it is gone through",
            rests_on=rests_on,
            run=acts(net, (*seen.run, *seen.cycle)),
            certificate=Pump(net=net.content_hash, run=seen.run, cycle=seen.cycle),
        )
    if seen.stopped is None:
        finite = Finite(net=net.content_hash, markings=tuple(seen.markings))
        return holds("exploration", f"it has {len(seen.markings)} markings", finite)
    return Verdict(
        asked="boundedness",
        outcome="inconclusive",
        engine="exploration",
        reason=f"the bound of {seen.stopped} was reached",
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
