"""All that is worked out about the time of one plan, by the modules beside this one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import TYPE_CHECKING

from heliostat.engine.plan.plan import Plan
from heliostat.verify.analyses import Subject
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.deadlines import Deadline, deadlines
from heliostat.verify.timing.durations import (
    DEFAULT_MS,
    Duration,
    Measured,
    Tagged,
    durations,
    tags_of,
)

if TYPE_CHECKING:
    from heliostat.verify.timing.drawing import Expected
    from heliostat.verify.timing.slack import Critical


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


def timing(subject: Subject, *, around: frozenset[str] = frozenset()) -> Timing:
    """Work it out: some milliseconds; for figures up to a second, where many choices are drawn.

    Args:
        around: workflows of which it is a child; one that starts itself has no time of its own.
    """
    plan, tags = subject.plan, tags_of(subject.definition)
    children = _children(subject, around | {plan.id})
    taken = durations(subject.definition, plan, subject.measured, children)
    bounds = Bounds(plan, taken, tags)
    drawn, critical = None, None
    if subject.figures:  # registration needs none, and loads none
        from heliostat.verify.timing.drawing import delayed, expected
        from heliostat.verify.timing.slack import TRIED_VISITS_MAX, Network, tried

        drawn = expected(plan, taken, tags, bounds.width)
        critical = Network(plan, taken, bounds.width).critical()
        if (
            drawn is not None
            and drawn.runs == 1
            and not critical.exact
            and (len(critical.places) * drawn.run_visits <= TRIED_VISITS_MAX)
        ):  # all runs are alike
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


def _children(subject: Subject, around: frozenset[str]) -> dict[str, Duration]:
    """By step id, the times of the children whose definitions are asked about, too."""
    beside = {each.plan.id: each for each in subject.beside if each.plan.id not in around}
    found, known = dict[str, Duration](), dict[str, Duration]()
    for step in subject.plan.steps:
        child = step.child
        if child is None or child.detached or child.workflow not in beside:
            continue
        if child.workflow not in known:
            other = replace(beside[child.workflow], beside=subject.beside, figures=subject.figures)
            known[child.workflow] = _as_duration(timing(other, around=around))
        found[step.id] = known[child.workflow]
    return found


def _as_duration(found: Timing) -> Duration:
    total = found.bounds.total
    mean = DEFAULT_MS["sub_workflow"] if found.expected is None else found.expected.mean_ms
    least, most = round(total.least), None if total.most == inf else round(total.most)
    expected_ms = max(least, round(mean))
    return Duration(
        min_ms=least,
        expected_ms=expected_ms if most is None else min(most, expected_ms),
        max_ms=most,
        source="child",
    )
