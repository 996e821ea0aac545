"""Boundedness: no place ever holds more than some number of tokens.

Four reasons are tried, cheapest first: nothing can happen again and again; each place has a weight
by which nothing puts more than it takes; it is sound and nothing is left at its end; all markings
are known. A cycle that leaves more tokens
than it found, and can be repeated, shows the opposite.
"""

from __future__ import annotations

from heliostat.verify.budget import UNBOUNDED, Budget
from heliostat.verify.certificates.certificates import (
    Certificate,
    Emptied,
    Explored,
    Finite,
    FreeChoice,
    Ordered,
    Pump,
    Reduced,
    Weighted,
)
from heliostat.verify.nets.net import Net
from heliostat.verify.nets.translation import Translation
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.verdict import Verdict
from heliostat.verify.space.covering import covering
from heliostat.verify.structure.weights import weights


def bounded(
    translation: Translation,
    states_max: int,
    budget: Budget = UNBOUNDED,
    *,
    sound: Certificate | None = None,
) -> Verdict:
    """The verdict about boundedness.

    Args:
        sound: what shows that an end can always be reached, if that is known.
    """
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
    end = only_end(net)
    if end is not None and isinstance(sound, Explored | FreeChoice | Reduced):
        reason = "it always comes to its end, and nothing is left there"
        return holds("soundness", reason, Emptied(net=net.content_hash, ends=sound, end=end))
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


def only_end(net: Net) -> int | None:
    """The net transition that alone empties the net, and can do so once."""
    ends = [number for number, each in enumerate(net.transitions) if not each.outputs]
    if len(ends) != 1 or not net.plain or any(place.role != "control" for place in net.places):
        return None
    if any(each.ending or not each.inputs for each in net.transitions):
        return None
    once = [p for p, _ in net.transitions[ends[0]].inputs if not net.producers[p]]
    return ends[0] if any(net.initial[place] == 1 for place in once) else None


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
