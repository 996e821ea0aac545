"""Whether an execution can wait for ever for what others of the set, or it itself, would send.

Two grounds are told apart. A message that no execution can ever send, however many there are, since
each has to wait for another such message first: this is found by letting everything happen that
some tokens allow and taking none away (the relaxation by which planners estimate: Bonet and
Geffner, Planning as heuristic search, 2001), so that what does not come about then never does.
And a run of one execution of each, to where nothing can happen and a bound wait is open. The second
is asked of several definitions only: of one, other executions may send what this one does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from heliostat.engine.plan.plan import Plan
from heliostat.verify.across.composing import (
    ONE_OF_EACH,
    Composed,
    compose,
    step_name,
)
from heliostat.verify.across.messages import Message, Site, Traffic
from heliostat.verify.across.messages import traffic as traffic_of
from heliostat.verify.budget import UNBOUNDED, Budget, OutOfTime
from heliostat.verify.certificates.certificates import DeadRun
from heliostat.verify.nets.net import Net, TooManyTokens
from heliostat.verify.nets.parts import Abstraction
from heliostat.verify.properties.deadlock import acts
from heliostat.verify.properties.spaces import Space, ends_always, explored
from heliostat.verify.properties.verdict import Act, Fault, Verdict
from heliostat.verify.reports.diagnostics import in_words, named

ASKED: Final = "waits"


@dataclass(frozen=True, kw_only=True)
class _Stuck:
    """A run to where nothing goes on, and the waits that are open there."""

    run: tuple[Act, ...]
    open: tuple[Site, ...]
    certificate: DeadRun


def waits(
    plans: Sequence[Plan],
    own: int,
    children: Mapping[Site, int],
    budget: Budget = UNBOUNDED,
) -> Verdict:
    """The verdict about the bound waits of one of these definitions, `own`.

    Args:
        children: by step, which of them it starts as a sub-workflow.
    """
    traffic = traffic_of(plans)
    asked = [site for site in traffic.waits if site.plan == own]
    if not asked:
        return Verdict(asked=ASKED, outcome="holds", engine="none", reason=_free(plans, traffic))
    try:
        everything = compose(plans, traffic, children, budget, stays=True)
        never = _never(everything, traffic)
        made = everything if len(plans) == 1 else compose(plans, traffic, children, budget)
        space = explored(made.translation, budget=budget)
        if _unknown(space) and made is not everything:
            space = explored(everything.translation, budget=budget)
            made = everything
    except (TooManyTokens, OutOfTime) as error:
        reason = f"the bound of {error} was reached"
        return Verdict(asked=ASKED, outcome="inconclusive", engine="none", reason=reason)
    told = _told(plans, traffic, never, _stuck(space, made), asked)
    if told:
        certain = never.issuperset(site for site, _ in told)
        first = next((stuck for _, stuck in told if stuck is not None), None)
        return Verdict(
            asked=ASKED,
            outcome="fails",
            engine="composed net",
            reason=f"{named([step_name(plans, site) for site, _ in told])} may wait for ever",
            rests_on=_grounds(space, certain=certain),
            run=() if first is None else first.run,
            certificate=None if first is None else first.certificate,
            net=space.net,
            steps=tuple(plans[own].steps[site.step].id for site, _ in told),
            faults=tuple(_fault(plans, traffic, site, stuck) for site, stuck in told),
        )
    unknown = _unknown(space)
    if unknown is not None and len(plans) > 1:
        return Verdict(asked=ASKED, outcome="inconclusive", engine="composed net", reason=unknown)
    return Verdict(
        asked=ASKED,
        outcome="holds",
        engine="composed net",
        reason=f"what {named([step_name(plans, site) for site in asked])} waits for can come"
        f"{_elsewhere(plans, traffic)}",
        rests_on=_grounds(space, certain=len(plans) == 1),
        certificate=space.certificate() if ends_always(space) else None,
        net=space.net,
    )


def _free(plans: Sequence[Plan], traffic: Traffic) -> str:
    return f"no wait hangs on these definitions alone{_elsewhere(plans, traffic)}"


def _elsewhere(plans: Sequence[Plan], traffic: Traffic) -> str:
    """The events that none of several definitions publishes, though one waits for them."""
    outside = list(dict.fromkeys(key for _, key in traffic.outside))
    if len(plans) == 1 or not outside:
        return ""
    return f"; none of these publishes {named(outside)}"


def _grounds(space: Space, *, certain: bool) -> tuple[Abstraction, ...]:
    return tuple(each for each in space.rests_on if not certain or each != ONE_OF_EACH)


def _unknown(space: Space) -> str | None:
    if space.stopped is not None:
        return f"the bound of {space.stopped} was reached"
    return space.overflown


def _never(composed: Composed, traffic: Traffic) -> set[Site]:
    """Waits that are come to, and for which nothing is ever sent, even if nothing were used up."""
    net = composed.translation.net
    marked = _relaxed(net)
    coming = {
        composed.waiting[net.places[place].id]
        for each in net.transitions
        if not each.act.startswith("skips") and all(place in marked for place, _ in each.inputs)
        for place, _ in each.inputs
        if net.places[place].id in composed.waiting
    }
    opened = {site for id, site in composed.waiting.items() if net.place_index[id] in marked}
    return opened - coming


def _relaxed(net: Net) -> set[int]:
    """Places that may come to hold a token if nothing were ever taken away."""
    lacking = [len(each.inputs) for each in net.transitions]
    marked = {place for place, count in enumerate(net.initial) if count}
    todo = [*marked]

    def happens(number: int) -> None:
        each = net.transitions[number]
        puts = [*each.outputs, *(one for _, back in each.drains for one in back)]
        for place in dict.fromkeys(place for place, _ in puts):
            if place not in marked:
                marked.add(place)
                todo.append(place)

    for number, count in enumerate(lacking):
        if not count:
            happens(number)
    while todo:
        for number in net.consumers[todo.pop()]:
            lacking[number] -= 1
            if not lacking[number]:
                happens(number)
    return marked


def _stuck(space: Space, composed: Composed) -> list[_Stuck]:
    """What is dead with a bound wait open, the shortest run first."""
    found = []
    for number in space.graph.dead:
        reached = space.dead_run(number)
        if reached is None or space.overflow(reached[1]) is not None:
            continue
        run, marking = reached
        open = [
            composed.waiting[space.net.places[place].id]
            for place, count in enumerate(marking)
            if count and space.net.places[place].id in composed.waiting
        ]
        if open:
            shown = DeadRun(net=space.net.content_hash, run=run)
            stuck = _Stuck(run=acts(space.net, run), open=tuple(open), certificate=shown)
            found.append((len(run), stuck))
    return [stuck for _, stuck in sorted(found, key=lambda each: each[0])]


def _told(
    plans: Sequence[Plan],
    traffic: Traffic,
    never: set[Site],
    stuck: Sequence[_Stuck],
    asked: Sequence[Site],
) -> list[tuple[Site, _Stuck | None]]:
    """The waits that are worth a word, each with a run to it where there is one."""
    found = list[tuple[Site, _Stuck | None]]()
    for site in asked:
        run = next((each for each in stuck if site in each.open), None)
        if site in never or (run is not None and len(plans) > 1):
            found.append((site, run))
    return found


def _fault(plans: Sequence[Plan], traffic: Traffic, site: Site, stuck: _Stuck | None) -> Fault:
    open = (site,) if stuck is None else stuck.open
    circle = _circle(traffic, site, open)
    run = f", after {in_words(stuck.run)}" if stuck is not None and stuck.run else ""
    step = plans[site.plan].steps[site.step].id
    if circle:
        links = ", and ".join(
            f"`{step_name(plans, at)}` waits for {message}, which `{step_name(plans, sender)}` "
            "would send"
            for at, message, sender in circle
        )
        return Fault(
            code="HS541",
            message=f"an execution waits here for ever: {links}{run}",
            cure="let one of them send before it waits, or give the wait a timer or a deadline",
            step=step,
        )
    messages = ", ".join(f"{each}" for each in traffic.waits[site])
    senders = dict.fromkeys(
        step_name(plans, sender) for each in traffic.waits[site] for sender in traffic.senders(each)
    )
    return Fault(
        code="HS542",
        message=f"an execution can wait here for ever: for {messages}, which {named([*senders])} "
        f"sends, and does not in this run{run}",
        cure="send it on every way, or let the wait have a timer, a deadline or an alternative",
        step=step,
    )


def _circle(traffic: Traffic, site: Site, open: Sequence[Site]) -> list[tuple[Site, Message, Site]]:
    """A way from a wait to a sender in a definition that waits too, and so on, back to where it
    began; empty where there is none."""
    todo = [(site, list[tuple[Site, Message, Site]]())]
    seen = {site}
    while todo:
        at, way = todo.pop(0)
        for message in traffic.waits[at]:
            for sender in traffic.senders(message):
                link = [*way, (at, message, sender)]
                if sender.plan == site.plan:
                    return link
                for other in open:
                    if other.plan == sender.plan and other not in seen:
                        seen.add(other)
                        todo.append((other, link))
    return []
