"""Whether deadlines and timeouts can be met, given the bounds of what they are about.

A deadline is *never met* where even the quickest visit takes longer: that is a fault. It *may be
missed* where the slowest takes longer, which is what a deadline is for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

from heliostat.engine.plan.plan import Plan
from heliostat.verify.timing.bounds import Bounds
from heliostat.verify.timing.limits import Span, limit_of

Met: TypeAlias = Literal["always", "may be missed", "never", "not known"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """One deadline or timeout, and what it bounds."""

    kind: Literal["deadline", "timeout"]
    step: str | None  # None: the definition
    limit: Span  # from the shortest to the longest
    takes: Span
    met: Met


def deadlines(plan: Plan, bounds: Bounds, starts_at_ms: int | None) -> Iterator[Deadline]:
    """All deadlines and timeouts of a plan whose length is known.

    Args:
        starts_at_ms: when an execution starts, for deadlines that are instants; None: these are
            passed over.
    """
    whole = limit_of(plan.deadline, plan, starts_at_ms)
    if whole is not None:
        yield _deadline("deadline", None, whole, bounds.undated)
    for step in plan.steps:
        if step.number not in bounds.undue:
            continue
        limit = limit_of(step.deadline, plan, starts_at_ms)
        if limit is not None:
            yield _deadline("deadline", step.id, limit, bounds.undue[step.number])
        if step.timeout_ms is not None:
            limit = Span(step.timeout_ms, step.timeout_ms)
            yield _deadline("timeout", step.id, limit, bounds.attempts[step.number])


def _deadline(
    kind: Literal["deadline", "timeout"], step: str | None, limit: Span, takes: Span
) -> Deadline:
    met: Met
    if takes.least > limit.most:
        met = "never"
    elif takes.most <= limit.least:
        met = "always"
    elif takes.most == inf:
        met = "not known"
    else:
        met = "may be missed"
    return Deadline(kind=kind, step=step, limit=limit, takes=takes, met=met)
