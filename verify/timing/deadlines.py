"""Whether deadlines and timeouts can be met, given the bounds of what they are about.

A deadline is *never met* where even the quickest visit takes longer: that is a fault. It *may be
missed* where the slowest takes longer, which is what a deadline is for. Business days have no one
length: the shortest and the longest within a year are what counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, TypeAlias

from heliostat.engine.calendars import Calendar, CalendarError, calendar_named
from heliostat.engine.expressions import Data
from heliostat.engine.expressions.time import parse_duration, parse_instant
from heliostat.engine.plan.plan import Plan
from heliostat.verify.timing.bounds import Bounds, Span
from heliostat.verify.timing.durations import constant

Met: TypeAlias = Literal["always", "may be missed", "never", "not known"]

DAY_MS: Final = 86_400_000
STARTS: Final = 366
"""Days on which an execution may start, of which each is looked at."""
STARTS_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where these days begin, if no instant is given."""


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


def limit_of(deadline: Data | None, plan: Plan, starts_at_ms: int | None) -> Span | None:
    """How long a deadline is; None where there is none, or its length depends on data."""
    match constant(deadline):
        case (str() as text,):
            return _written(text, starts_at_ms)
        case ({"business_days": int() as days, **more},):
            try:
                calendar = calendar_named(more.get("calendar"), plan.calendars)
                return _business(
                    calendar, days, STARTS_MS if starts_at_ms is None else starts_at_ms
                )
            except CalendarError:
                return None  # another check's fault
        case _:
            return None


def _written(text: str, starts_at_ms: int | None) -> Span | None:
    try:
        ms: float = parse_duration(text)
    except ValueError:
        try:
            instant = parse_instant(text)
        except ValueError:
            return None
        if starts_at_ms is None:
            return None
        ms = max(0, instant - starts_at_ms)
    return Span(ms, ms)


@lru_cache(maxsize=64)
def _business(calendar: Calendar, days: int, from_ms: int) -> Span:
    """The shortest and the longest of so many business days, wherever in a year they begin."""
    step = 1 + days // 100  # of many days fewer beginnings: they are much the same
    starts = [from_ms + day * DAY_MS for day in range(0, STARTS, step)]
    lengths = [calendar.after(start, days) - start for start in starts]
    return Span(min(lengths), max(lengths))


def _deadline(
    kind: Literal["deadline", "timeout"], step: str | None, limit: Span, takes: Span
) -> Deadline:
    met: Met
    if takes.least > limit.most:
        met = "never"
    elif takes.most <= limit.least:
        met = "always"
    elif takes.most == float("inf"):
        met = "not known"
    else:
        met = "may be missed"
    return Deadline(kind=kind, step=step, limit=limit, takes=takes, met=met)
