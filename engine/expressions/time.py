"""Instants and durations: the two value types, and how both are read and printed.

At rest an instant is an RFC 3339 string in UTC and a duration an ISO 8601 string; people may also
write `90s`, `2d` or `1h30m`. A bare number is refused everywhere, because nobody can tell whether
it means seconds or milliseconds. Both types hold whole milliseconds.

This module knows no clock, no time zone but UTC and no calendar: a year or a month is no duration,
for its length depends on where it starts.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

from msgspec import Meta, Struct

__all__ = [
    "Duration",
    "Instant",
    "Millis",
    "UnixMillis",
    "format_duration",
    "format_instant",
    "format_timestamp",
    "parse_duration",
    "parse_instant",
]

Millis = Annotated[int, Meta(ge=0, description="duration in milliseconds")]
UnixMillis = Annotated[int, Meta(ge=0, description="instant, ms since 1970-01-01T00:00:00Z")]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

INSTANT_MS_MIN: Final = (datetime.min.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
INSTANT_MS_MAX: Final = (datetime.max.replace(tzinfo=UTC) - _EPOCH) // _MILLISECOND
DURATION_MS_MAX: Final = INSTANT_MS_MAX - INSTANT_MS_MIN
"""No two instants lie further apart, so no longer duration can be of use."""


class Instant(Struct, frozen=True, order=True):
    """A point in time within the years 1 to 9999, as whole milliseconds since 1970 in UTC."""

    ms: int


class Duration(Struct, frozen=True, order=True):
    """A length of time in whole milliseconds; negative only as a difference of two instants."""

    ms: int


_UNIT_MS: Final = {
    "w": 604_800_000,
    "d": 86_400_000,
    "h": 3_600_000,
    "m": 60_000,
    "s": 1_000,
    "ms": 1,
}
_NUMBER: Final = r"[0-9]{1,18}(?:\.[0-9]{1,9})?"
_SHORT: Final = re.compile(rf"(?:{_NUMBER}(?:ms|[wdhms]))+")
_SHORT_PART: Final = re.compile(rf"({_NUMBER})(ms|[wdhms])")
_ISO: Final = re.compile(
    rf"P(?=[0-9T])(?:({_NUMBER})W)?(?:({_NUMBER})D)?"
    rf"(?:T(?=[0-9])(?:({_NUMBER})H)?(?:({_NUMBER})M)?(?:({_NUMBER})S)?)?"
)
_ISO_UNITS: Final = ("w", "d", "h", "m", "s")
_CALENDAR: Final = re.compile(rf"P(?:{_NUMBER}[YMWD])*(?:T(?:{_NUMBER}[HMS])+)?")
_BARE_NUMBER: Final = re.compile(r"[+-]?[0-9]+(?:\.[0-9]+)?")
_RFC3339: Final = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def parse_duration(text: str, *, signed: bool = False) -> Millis:
    """Read `90s`, `1h30m`, `500ms`, `PT90S` or `P2DT3H`; rounds to whole milliseconds.

    Args:
        signed: accept a leading `-`, as a difference of instants has one.

    Raises:
        ValueError: with a message for the person who wrote the text.
    """
    stripped = text.strip()
    sign = 1
    if signed and stripped.startswith("-"):
        sign, stripped = -1, stripped[1:]
    if _BARE_NUMBER.fullmatch(stripped):
        raise ValueError(
            f"{text!r} is a bare number: say the unit, as in {stripped + 's'!r} for seconds "
            f"or {stripped + 'm'!r} for minutes"
        )
    if (iso := _ISO.fullmatch(stripped)) is not None:
        parts = [(n, u) for n, u in zip(iso.groups(), _ISO_UNITS, strict=True) if n is not None]
    elif _SHORT.fullmatch(stripped):
        parts = _SHORT_PART.findall(stripped)
    elif _CALENDAR.fullmatch(stripped) and ("Y" in stripped or "M" in stripped):
        raise ValueError(f"{text!r} counts years or months, which have no fixed length: use days")
    else:
        raise ValueError(f"{text!r} is not a duration: write '90s', '1h30m', '2d' or 'PT90S'")
    units = [unit for _, unit in parts]
    if units != sorted(set(units), key=list(_UNIT_MS).index):
        raise ValueError(f"{text!r} names a unit twice or out of order: largest first, each once")
    ms = sum(_scaled(number, _UNIT_MS[unit]) for number, unit in parts)
    if ms > DURATION_MS_MAX:
        raise ValueError(f"{text!r} is longer than all of time from year 1 to 9999")
    return sign * ms


def parse_instant(text: str, *, signed: bool = False) -> UnixMillis:
    """Read an RFC 3339 instant such as `2026-03-01T12:00:00Z`; drops what is below a millisecond.

    Args:
        signed: accept instants before 1970, which are below zero.

    Raises:
        ValueError: with a message for the person who wrote the text.
    """
    found = _RFC3339.fullmatch(text.strip())
    if found is None:
        if _BARE_NUMBER.fullmatch(text.strip()):
            raise ValueError(f"{text!r} is a bare number: write '2026-03-01T12:00:00Z'")
        raise ValueError(
            f"{text!r} is not an instant: write '2026-03-01T12:00:00Z', with `Z` or an offset"
        )
    *calendar, fraction, offset_sign, offset_hours, offset_minutes = found.groups()
    year, month, day, hour, minute, second = map(int, calendar)
    try:
        # A leap second (:60) is read as the next minute's first, as POSIX time does.
        whole = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC)
    except ValueError as problem:
        raise ValueError(f"{text!r} is not an instant: {problem}") from None
    if second > 60:
        raise ValueError(f"{text!r} is not an instant: second must be in 0..59")
    ms = (whole - _EPOCH) // _MILLISECOND + (1000 if second == 60 else 0)
    ms += int((fraction or "0").ljust(3, "0")[:3])
    if offset_sign is not None:
        if int(offset_hours) > 23 or int(offset_minutes) > 59:
            raise ValueError(f"{text!r} is not an instant: its offset is beyond 23:59")
        offset_ms = (int(offset_hours) * 60 + int(offset_minutes)) * _UNIT_MS["m"]
        ms -= offset_ms if offset_sign == "+" else -offset_ms
    if not INSTANT_MS_MIN <= ms <= INSTANT_MS_MAX:
        raise ValueError(f"{text!r} lies outside the years 1 to 9999")
    if ms < 0 and not signed:
        raise ValueError(f"{text!r} lies before 1970")
    return ms


def format_duration(ms: int) -> str:
    """Print a duration as ISO 8601, in days, hours, minutes and seconds: `P1DT2H`, `PT0.25S`."""
    sign, rest = ("-", -ms) if ms < 0 else ("", ms)
    days, rest = divmod(rest, _UNIT_MS["d"])
    hours, rest = divmod(rest, _UNIT_MS["h"])
    minutes, rest = divmod(rest, _UNIT_MS["m"])
    seconds = f"{rest // 1000}.{rest % 1000:03d}".rstrip("0").rstrip(".")
    date = f"{days}D" if days else ""
    clock = (f"{hours}H" if hours else "") + (f"{minutes}M" if minutes else "")
    if rest or not (days or clock):
        clock += f"{seconds}S"
    return f"{sign}P{date}" + (f"T{clock}" if clock else "")


def format_instant(ms: int) -> str:
    """Print an instant as RFC 3339 in UTC, with milliseconds only if there are any."""
    whole, fraction = divmod(ms, 1000)
    text = (_EPOCH + timedelta(seconds=whole)).strftime("%m-%dT%H:%M:%S")
    year = (_EPOCH + timedelta(seconds=whole)).year
    return f"{year:04d}-{text}" + (f".{fraction:03d}Z" if fraction else "Z")


def format_timestamp(ms: int) -> str:
    """Print an instant as RFC 3339 in UTC, always with milliseconds, for whoever looks on.

    One beyond the year 9999 is told as the last within it: deadlines and timers in old histories
    may lie there, from when these were not refused.
    """
    seconds, fraction = divmod(min(ms, INSTANT_MS_MAX), 1_000)
    told = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{told}.{fraction:03d}Z"


def _scaled(number: str, unit_ms: int) -> int:
    """`number` units in milliseconds, by integers only: no float may round a long duration."""
    whole, _, fraction = number.partition(".")
    exact = int(whole) * unit_ms
    if fraction:
        exact += round(int(fraction) * unit_ms / 10 ** len(fraction))
    return exact
