"""How long a deadline is: a duration, an instant from here, or business days.

Business days have no one length: the shortest and the longest within a year are what counts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from heliostat.engine.calendars import Calendar, CalendarError, calendar_named
from heliostat.engine.expressions import Data
from heliostat.engine.expressions.time import parse_duration, parse_instant
from heliostat.engine.plan.plan import Plan
from heliostat.verify.timing.durations import constant

DAY_MS: Final = 86_400_000
STARTS: Final = 366
"""Days on which an execution may start, of which each is looked at."""
STARTS_MS: Final = 1_767_225_600_000
"""2026-01-01T00:00:00Z: where these days begin, if no instant is given."""


@dataclass(frozen=True, slots=True)
class Span:
    """Milliseconds, from the least to the most; the most may be `inf`."""

    least: float
    most: float


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
