"""The analysis `time`: how long executions take, the critical path, and whether deadlines are met.

It fails only where a deadline or a timeout can never be met. That one may be missed is told as a
figure, and warned of where even what is expected takes longer, defaults left out. What the
definition declares of its own time has verdicts of its own (`within.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from heliostat.verify.analyses import Subject
from heliostat.verify.properties.verdict import Fault, Section, Verdict
from heliostat.verify.timing.deadlines import Deadline
from heliostat.verify.timing.measured import measurements
from heliostat.verify.timing.timing import Timing, timing
from heliostat.verify.timing.words import amount, totals

LATE_RUNS: Final = 200
"""Drawn for the mean without defaults, where the definition has a deadline."""


def verdicts(subject: Subject) -> Iterator[Verdict]:
    """How long the definition takes, which fails where a deadline of it can never be met; and what
    it declares of its time."""
    found = timing(subject)
    yield _time(found)
    if any(each.within is not None for each in subject.definition.properties):
        from heliostat.verify.timing.within import within

        yield from within(subject.definition, found)


def _time(found: Timing) -> Verdict:
    never = [each for each in found.deadlines if each.met == "never"]
    late = [] if never or found.critical is None else list(_late(found))
    return Verdict(
        asked="time",
        outcome="fails" if never else "holds",
        engine=_engine(found),
        reason=_never(never[0]) if never else totals(found),
        rests_on=tuple(measurements(found.durations)) if never else (),
        steps=tuple(each.step for each in never if each.step is not None),
        faults=(*map(_fault, never), *late),
        section=_section(found),
    )


def _section(found: Timing) -> Section | None:
    if found.critical is None:
        return None
    from heliostat.verify.timing.figures import section

    return section(found, found.critical)


def _engine(found: Timing) -> str:
    runs = 1 if found.expected is None else found.expected.runs
    return "bounds of scopes" if runs == 1 else f"bounds of scopes, {runs:,} drawn runs"


def _fault(each: Deadline) -> Fault:
    return Fault(
        code="HS520" if each.kind == "deadline" else "HS521",
        message=_never(each),
        cure="give it more time"
        if each.kind == "deadline"
        else "give an attempt more time, or bound the visit by a `deadline`",
        step=each.step,
        field=(each.kind,),
    )


def _never(each: Deadline) -> str:
    what = "it" if each.step is None else f"`{each.step}`"
    if each.kind == "timeout":
        return (
            f"no attempt of {what} ends within its timeout of {amount(each.limit.most)}: "
            f"it takes {amount(each.takes.least)} at least"
        )
    return (
        f"the deadline of {amount(each.limit.most)} can never be met: {what} takes "
        f"{amount(each.takes.least)} at least"
    )


def _late(found: Timing) -> Iterator[Fault]:
    """What misses its deadline in the mean, by what somebody said or measured."""
    open = [each for each in found.deadlines if each.kind == "deadline" and each.met != "always"]
    if not open:
        return
    from heliostat.verify.timing.drawing import expected
    from heliostat.verify.timing.slack import Network

    known = {
        id: replace(each, expected_ms=0) if each.source == "default" else each
        for id, each in found.durations.items()
    }
    places = Network(found.plan, known, found.bounds.width).critical().places
    for each in open:
        if each.step is not None:
            place = places.get(each.step)
            mean = 0.0 if place is None else place.finish_ms - place.start_ms
        else:
            width = found.bounds.width
            drawn = expected(found.plan, known, found.tags, width, runs_max=LATE_RUNS)
            mean = 0.0 if drawn is None else drawn.mean_ms
        if mean > each.limit.most:
            what = "it" if each.step is None else f"`{each.step}`"
            yield Fault(
                code="HS522",
                message=f"the deadline of {amount(each.limit.most)} is seldom met: {what} is "
                f"expected to take {amount(mean)}",
                cure="give it more time, or correct what its tags say",
                step=each.step,
                field=("deadline",),
                severity="warning",
            )
