"""Which events and signals the steps of some definitions send, and which of their waits hang on
nothing else.

A wait is *bound* if all that it waits for is sent by steps of these definitions. One that has a
timer or a deadline goes on of itself, and so does one for something that comes from elsewhere: from
handlers, or from whoever is not among them. Conditions (`where`) are taken to accept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from heliostat.engine.plan.plan import Plan, Signalling, StepPlan

_OWN: Final = re.compile(r"\s*(?:\$\{\s*)?\$\.execution\.id\s*(?:\}\s*)?")


@dataclass(frozen=True, slots=True, order=True)
class Message:
    """An event by its type or a signal by its name, as one of the definitions receives it."""

    kind: Literal["event", "signal"]
    key: str
    to: int  # which of the definitions

    def __str__(self) -> str:
        return f"{self.kind} `{self.key}`"


@dataclass(frozen=True, slots=True)
class Site:
    """A step of one of the definitions."""

    plan: int
    step: int


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What goes between definitions, by step."""

    waits: dict[Site, tuple[Message, ...]]  # bound ones
    sends: dict[Site, tuple[Message, ...]]
    outside: tuple[tuple[Site, str], ...]  # events that are waited for and that none of them sends

    def senders(self, message: Message) -> list[Site]:
        """The steps that send a message."""
        return [site for site, sent in self.sends.items() if message in sent]


def traffic(plans: Sequence[Plan]) -> Traffic:
    """Who sends what to whom among these."""
    wanted = {
        Message(each.kind, each.key, number)
        for number, plan in enumerate(plans)
        for step in plan.steps
        for each in step.alternatives
        if each.kind != "timer"
    }
    sends = {
        Site(number, step.number): found
        for number, plan in enumerate(plans)
        for step in plan.steps
        if not step.retired and (found := tuple(sorted(_sent(number, step, wanted))))
    }
    bound = {message for found in sends.values() for message in found} - set(
        _of_handlers(plans, wanted)
    )
    waits, outside = dict[Site, tuple[Message, ...]](), list[tuple[Site, str]]()
    for number, plan in enumerate(plans):
        for step in plan.steps:
            if step.kind != "wait" or step.retired:
                continue
            site = Site(number, step.number)
            messages = tuple(
                Message(each.kind, each.key, number)
                for each in step.alternatives
                if each.kind != "timer"
            )
            outside += [
                (site, each.key) for each in messages if each.kind == "event" and each not in bound
            ]
            timed = any(each.kind == "timer" for each in step.alternatives)
            if not timed and bound.issuperset(messages) and not _bounded(plan, step):
                waits[site] = messages
    return Traffic(waits=waits, sends=sends, outside=tuple(outside))


def around(plan: Plan, step: StepPlan) -> Iterator[StepPlan]:
    """The steps that a step lies in, from the inside out."""
    owner = plan.scopes[step.scope].owner
    while owner is not None:
        yield plan.steps[owner]
        owner = plan.scopes[plan.steps[owner].scope].owner


def _bounded(plan: Plan, step: StepPlan) -> bool:
    """Whether a deadline ends it; of a wait for each element of a list nothing is said either."""
    deadlines = (each.deadline for each in (step, *around(plan, step)))
    return (
        plan.deadline is not None
        or step.foreach is not None
        or any(each is not None for each in deadlines)
    )


def _sent(number: int, step: StepPlan, wanted: set[Message]) -> Iterator[Message]:
    events = {each.event for each in step.publish}
    yield from (each for each in wanted if each.kind == "event" and each.key in events)
    for each in step.signals:
        yield from _received(number, each, wanted)


def _received(number: int, sent: Signalling, wanted: set[Message]) -> Iterator[Message]:
    """An execution is named by data: a signal may come to whoever waits for one of its name."""
    own = _is_own(sent)
    for each in wanted:
        if each.kind == "signal" and each.key == sent.name and (not own or each.to == number):
            yield each


def _is_own(sent: Signalling) -> bool:
    """Whether it goes to the execution that sends it."""
    to = sent.execution.expression
    return to is not None and _OWN.fullmatch(to.source) is not None


def _of_handlers(plans: Sequence[Plan], wanted: set[Message]) -> Iterator[Message]:
    for number, plan in enumerate(plans):
        for handler in plan.handlers:
            for action in handler.actions:
                if action.signalling is not None:
                    yield from _received(number, action.signalling, wanted)
