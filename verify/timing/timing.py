"""All that is worked out about the time of one plan, by the modules beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from heliostat.engine.plan.plan import Plan
from heliostat.verify.analyses import Subject
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.deadlines import Deadline, deadlines
from heliostat.verify.timing.drawing import Expected, delayed, expected
from heliostat.verify.timing.durations import Measured, Tagged, durations, tags_of
from heliostat.verify.timing.slack import TRIED_STEPS_MAX, Critical, Network, tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What is known of how long the executions of one plan take."""

    plan: Plan
    tags: Tagged
    durations: Measured
    bounds: Bounds
    deadlines: Sequence[Deadline]
    expected: Expected | None = None
    critical: Critical | None = None  # None: no figures were asked for


def timing(subject: Subject) -> Timing:
    """Work it out: some milliseconds; for figures up to a second, where many choices are drawn."""
    plan, tags = subject.plan, tags_of(subject.definition)
    taken = durations(subject.definition, plan, subject.measured)
    bounds = Bounds(plan, taken, tags)
    drawn, critical = None, None
    if subject.figures:
        drawn = expected(plan, taken, tags, bounds.width)
        critical = Network(plan, taken, bounds.width).critical()
        alike = drawn is not None and drawn.runs == 1  # all runs are
        if alike and not critical.exact and len(critical.places) <= TRIED_STEPS_MAX:
            critical = tried(critical, delayed(plan, taken, tags, bounds.width))
    return Timing(
        plan=plan,
        tags=tags,
        durations=taken,
        bounds=bounds,
        deadlines=tuple(deadlines(plan, bounds, subject.starts_at_ms)),
        expected=drawn,
        critical=critical,
    )
