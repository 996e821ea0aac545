"""Durations and instants that are written out, and days of a calendar: are they such?"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from ...calendars import BUSINESS_DAYS_MAX
from ...expressions.time import parse_duration, parse_instant
from ..diagnostics import Findings
from .slots import Slot, Time


def plain_time(slot: Slot, findings: Findings) -> bool:
    """Judge a duration or instant that is written out; False if it has to be computed."""
    value, time = slot.value, slot.time
    if time is None:
        return False
    if isinstance(value, str) and "$" in value:
        return False
    if isinstance(value, Mapping) and (time == "deadline" or "business_days" in value):
        return _business_days(value, slot, findings)
    if isinstance(value, int | float) and not isinstance(value, bool):
        cure = f'say which: "{value}s", "{value}m"'
        findings.add("HS015", slot.path, f"`{value}` has no unit", cure)
    elif not isinstance(value, str):
        findings.add("HS013", slot.path, f"{_ARTICLES[time]} is wanted here", _EXAMPLES[time])
    elif (fault := _time_fault(value, time)) is not None:
        findings.add("HS016", slot.path, fault)
    return True


_ARTICLES: Final[dict[Time, str]] = {
    "duration": "a duration",
    "instant": "an instant",
    "either": "a duration or an instant",
    "deadline": "a duration, an instant or {business_days: n}",
}
_EXAMPLES: Final[dict[Time, str]] = {
    "duration": 'as "90s" or "2d"',
    "instant": 'as "2030-01-31T08:00:00Z"',
    "either": 'as "90s" or "2030-01-31T08:00:00Z"',
    "deadline": 'as "90s", "2030-01-31T08:00:00Z" or {business_days: 3}',
}


def _business_days(value: Mapping[str, Any], slot: Slot, findings: Findings) -> bool:
    """Judge a number of working days; False if a part of it has to be computed and checked."""
    if slot.time != "deadline":
        message = "working days can be told of a `deadline` only"
        findings.add("HS021", (*slot.path, "business_days"), message, at="key")
        return True
    for key in value:
        if key not in ("business_days", "calendar"):
            close = get_close_matches(str(key), ("business_days", "calendar"), n=1)
            cure = f"did you mean `{close[0]}`?" if close else "known here: business_days, calendar"
            findings.add("HS011", (*slot.path, key), f"there is no field `{key}`", cure, at="key")
    if "business_days" not in value:
        findings.add(
            "HS010", slot.path, "`business_days` is required here", "as {business_days: 3}"
        )
    days, calendar = value.get("business_days", 0), value.get("calendar")
    if not (isinstance(days, str) and "$" in days):
        place = (*slot.path, "business_days")
        if not isinstance(days, int) or isinstance(days, bool):
            findings.add("HS013", place, "a whole number of days is wanted", "as 3")
        elif not 0 <= days <= BUSINESS_DAYS_MAX:
            findings.add("HS018", place, f"the number must be 0 to {BUSINESS_DAYS_MAX:,}")
    if calendar is not None and not isinstance(calendar, str):
        findings.add("HS013", (*slot.path, "calendar"), "a calendar's name is wanted")
    return False


def _time_fault(text: str, time: Time) -> str | None:
    """Why a text is no duration or instant, or None; where both may be, its looks decide."""
    looks_instant = text.strip()[:4].isdigit() and "-" in text
    read = parse_instant if time == "instant" or (time != "duration" and looks_instant) else None
    try:
        (read or parse_duration)(text)
    except ValueError as error:
        return str(error)
    return None
