"""The analysis `across`: what an execution waits for, and what it starts, among the definitions
that are asked about together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from heliostat.engine.plan.plan import Plan
from heliostat.verify.across.messages import Site, Traffic, traffic
from heliostat.verify.across.starting import children_of, starts
from heliostat.verify.across.waiting import waits
from heliostat.verify.analyses import Subject
from heliostat.verify.budget import Budget
from heliostat.verify.properties.verdict import Verdict


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """Two verdicts about the subject, each in the light of the definitions beside it."""
    plans = [subject.plan, *(each.plan for each in subject.beside)]
    together = _together(plans)
    own = together.index(subject.plan)
    budget = Budget(subject.time_max_ms, subject.now_ms)
    yield waits(together, own, started(together), budget)
    yield starts(together, own, budget)


def _together(plans: Sequence[Plan]) -> list[Plan]:
    """The first and those that it has to do with, also through others; in the order of names, so
    that a proof tells the same of each of them."""
    flow, children = traffic(plans), children_of(plans)
    near: dict[int, set[int]] = {number: set() for number in range(len(plans))}
    for one, other in [*_sent(flow), *((site.plan, child) for site, child in children.items())]:
        near[one].add(other)
        near[other].add(one)
    for number, plan in enumerate(plans):  # events that handlers of others act on
        for other, handling in enumerate(plans):
            events = {each.event for step in plan.steps for each in step.publish}
            if events & handling.handled:
                near[number].add(other)
                near[other].add(number)
        for handler in plan.handlers:
            started = {each.child.workflow for each in handler.actions if each.child is not None}
            for other, each in enumerate(plans):
                if each.id in started:
                    near[number].add(other)
                    near[other].add(number)
    found, todo = {0}, [0]
    while todo:
        for other in near[todo.pop()] - found:
            found.add(other)
            todo.append(other)
    return sorted((plans[number] for number in found), key=lambda plan: (plan.id, plan.version))


def _sent(flow: Traffic) -> Iterator[tuple[int, int]]:
    for site, messages in flow.sends.items():
        yield from ((site.plan, message.to) for message in messages)


def started(plans: Sequence[Plan]) -> dict[Site, int]:
    """Who starts whom, but for those that start one another in a circle: these are there anyhow."""
    children = children_of(plans)
    below: dict[int, set[int]] = {number: set() for number in range(len(plans))}
    for site, child in children.items():
        below[site.plan].add(child)
    for _ in plans:
        for number in below:
            below[number] |= {far for near in below[number] for far in below[near]}
    return {site: child for site, child in children.items() if site.plan not in below[child]}
