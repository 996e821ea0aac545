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
    own = next(number for number, plan in enumerate(together) if plan is subject.plan)
    budget = Budget(subject.time_max_ms, subject.now_ms)
    yield waits(together, own, started(together), budget)
    yield starts(together, own, budget)


def _together(plans: Sequence[Plan]) -> list[Plan]:
    """The first and those that it has to do with, also through others; in the order of names, so
    that a proof tells the same of each of them."""
    near: dict[int, set[int]] = {number: set() for number in range(len(plans))}
    for one, other in _ties(plans):
        near[one].add(other)
        near[other].add(one)
    found, todo = {0}, [0]
    while todo:
        for other in near[todo.pop()] - found:
            found.add(other)
            todo.append(other)
    return sorted((plans[number] for number in found), key=lambda plan: (plan.id, plan.version))


def _ties(plans: Sequence[Plan]) -> Iterator[tuple[int, int]]:
    """Who sends something to whom, starts whom, or handles whose events."""
    yield from _sent(traffic(plans))
    yield from ((site.plan, child) for site, child in children_of(plans).items())
    published = [{e.event for step in plan.steps for e in step.publish} for plan in plans]
    for number, plan in enumerate(plans):
        actions = [action for handler in plan.handlers for action in handler.actions]
        started = {action.child.workflow for action in actions if action.child is not None}
        for other, each in enumerate(plans):
            if each.id in started or published[other] & plan.handled:
                yield number, other


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
