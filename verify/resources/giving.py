"""That every permit is given back: a place invariant for each semaphore of the execution.

What takes permits puts a token on the place of the visit or item that holds them. Weighing that
place with what was taken, and the semaphore's own with 1, leaves the sum as it is, whatever
happens (a place invariant: Lautenbach 1973). At an end no visit is open, so all permits are back:
no way of a definition leaks any. `certificates.checker` goes through it again.
"""

from __future__ import annotations

from heliostat.engine.plan.plan import Plan
from heliostat.verify.certificates.certificates import GivenBack
from heliostat.verify.nets.net import Net, NetTransition, TooManyTokens
from heliostat.verify.nets.translation import translate

_HOLDS = ("step_", "item_", "overflow_")
"""Places of what holds permits, as `nets.visits` names them."""


def given_back(plan: Plan) -> tuple[Net, GivenBack] | None:
    """The net of all semaphores, and the weights that count what is held of each.

    None where nothing takes any, or a semaphore has more permits than a marking counts.
    """
    names = frozenset(n for step in plan.steps if not step.retired for n, _ in step.uses)
    if not names:
        return None
    try:
        net = translate(plan, "proof", semaphores=names).net
    except TooManyTokens:
        return None
    places = [n for n, place in enumerate(net.places) if place.role == "resource"]
    weights = tuple((place, _weights(net, place)) for place in places)
    return net, GivenBack(net=net.content_hash, weights=weights)


def _weights(net: Net, resource: int) -> tuple[int, ...]:
    found = [0] * len(net.places)
    found[resource] = 1
    for each in net.transitions:
        taken = _taken(each, resource)
        if taken > 0:
            found[_holder(net, each)] = taken
    return tuple(found)


def _taken(each: NetTransition, resource: int) -> int:
    back = sum(weight for place, weight in each.outputs if place == resource)
    return sum(weight for place, weight in each.inputs if place == resource) - back


def _holder(net: Net, each: NetTransition) -> int:
    """The place on which taking puts a token that was not there."""
    kept = {place for place, _ in each.inputs}
    return next(
        place
        for place, _ in each.outputs
        if place not in kept and net.places[place].id.startswith(_HOLDS)
    )
