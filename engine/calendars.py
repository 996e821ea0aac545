"""Business calendars: which days are worked where, and when so many of them are over.

    after(now, 3)    the same time on the clock, three working days later

Rules:
1. Days are those of the calendar's time zone; the time on its clock stays the same.
2. Counting starts on a working day: from any other day it starts at the next one. A Saturday and
   the Monday after it, at the same time of day, therefore have the same deadline.
3. A time that a change of clocks skips is read with the offset before the change, so that it lies
   behind the gap; of one that comes twice, the first is meant.

Nothing here reads a clock. The rules of time zones come from the machine or from `tzdata`, and a
deadline is computed once, when its visit is activated: later rules do not move it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from difflib import get_close_matches
from functools import cached_property, lru_cache
from typing import Any, Final, Literal, TypeAlias, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import msgspec
from msgspec import Struct

Weekday: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

WEEKDAYS: Final[tuple[Weekday, ...]] = get_args(Weekday)

BUSINESS_DAYS_MAX: Final = 10_000
"""Some forty years: a longer deadline is a slip of the pen."""

HOLIDAYS_MAX: Final = 10_000
"""Of one calendar; with the bound above, of the work that one deadline can make."""

_ONE_DAY: Final = timedelta(days=1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class CalendarError(ValueError):
    """A calendar, or what is asked of one, makes no sense; says what and what to write instead."""


class Calendar(Struct, frozen=True, kw_only=True, dict=True):
    """The working days of one place. Made by `read_calendar`, which checks it.

    Compares and hashes by what it says, and travels as plain data.
    """

    name: str
    timezone: str = "UTC"
    """An IANA name, such as `America/New_York`."""
    weekdays: tuple[Weekday, ...] = ("mon", "tue", "wed", "thu", "fri")
    holidays: frozenset[date] = frozenset()

    def works_on(self, day: date) -> bool:
        """Whether a day of the calendar's time zone is a working day."""
        return day.weekday() in self._worked and day not in self.holidays

    def after(self, now_ms: int, business_days: int) -> int:
        """The instant so many working days after another, both in ms since 1970 in UTC.

        With 0 that is the instant itself on a working day, else the same time on the next one.
        More days give a later instant, always on a working day.

        Raises:
            CalendarError: the number is no whole one from 0 to `BUSINESS_DAYS_MAX`, or the end lies
                beyond the year 9999.
        """
        count = _checked_count(business_days)
        try:
            local = (_EPOCH + now_ms * _MILLISECOND).astimezone(self._zone)
            day = self._next(local.date())
            if day == local.date() and count == 0:
                return now_ms  # the time comes twice on this day, perhaps: no reading it again
            for _ in range(count):
                day = self._next(day + _ONE_DAY)
            then = datetime.combine(day, local.time(), tzinfo=self._zone)  # fold 0: rule 3
            return (then.astimezone(UTC) - _EPOCH) // _MILLISECOND
        except OverflowError:
            raise CalendarError(
                f"{count} business days of the calendar {self.name!r} end beyond the year 9999"
            ) from None

    def _next(self, day: date) -> date:
        """The day itself or the first working one after it."""
        while not self.works_on(day):
            day += _ONE_DAY
        return day

    @cached_property
    def _worked(self) -> frozenset[int]:
        return frozenset(map(WEEKDAYS.index, self.weekdays))

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


DEFAULT_CALENDAR: Final = Calendar(name="default")
"""What counts where no calendar is named: Monday to Friday, in UTC, without holidays."""

Calendars: TypeAlias = Mapping[str, Calendar]
"""The deployment's calendars by name."""


def business_instant(spec: Mapping[str, Any], now_ms: int, calendars: Calendars) -> int:
    """When `{business_days: 3, calendar: nyse}`, an evaluated field, is over.

    Args:
        spec: `calendar` may be absent or null, which means `DEFAULT_CALENDAR`; other keys are
            refused.

    Raises:
        CalendarError: naming the key, the value and the cure.
    """
    unknown = sorted(map(str, spec.keys() - {"business_days", "calendar"}))
    if unknown:
        raise CalendarError(
            f"{unknown[0]!r} stands beside `business_days`; it goes with `calendar`"
        )
    if "business_days" not in spec:
        raise CalendarError("`business_days` is missing: say how many, as {business_days: 3}")
    return calendar_named(spec.get("calendar"), calendars).after(now_ms, spec["business_days"])


def calendar_named(name: object, calendars: Calendars) -> Calendar:
    """A calendar of the deployment; `None` means `DEFAULT_CALENDAR`.

    Raises:
        CalendarError: there is none of this name; says which there are.
    """
    if name is None:
        return DEFAULT_CALENDAR
    if not isinstance(name, str):
        raise CalendarError(f"`calendar` is {name!r}; write a calendar's name")
    if name in calendars:
        return calendars[name]
    raise CalendarError(
        f"there is no calendar {name!r} in the configuration; {_known(name, calendars)}"
    )


def read_calendar(name: str, content: object) -> Calendar:
    """A calendar as configuration says it: a mapping of `timezone`, `weekdays` and `holidays`.

    Dates are `YYYY-MM-DD`, as text or, where the format has them, as such.

    Raises:
        CalendarError: naming the calendar, the key, the value and the cure.
    """
    where = f"the calendar {name!r}"
    if not isinstance(content, Mapping):
        raise CalendarError(
            f"{where} is {content!r}; write a table of timezone, weekdays, holidays"
        )
    known = ("timezone", "weekdays", "holidays")
    for key in content:
        if key not in known:
            near = get_close_matches(str(key), known, n=1)
            cure = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            raise CalendarError(f"{where} has no {key!r}; {cure}")
    return Calendar(
        name=name,
        timezone=_timezone(content.get("timezone", "UTC"), where),
        weekdays=_weekdays(content.get("weekdays", DEFAULT_CALENDAR.weekdays), where),
        holidays=_holidays(content.get("holidays", ()), where),
    )


def _timezone(value: object, where: str) -> str:
    cure = "write an IANA name such as 'America/New_York', or 'UTC'"
    if not isinstance(value, str):
        raise CalendarError(f"{where} has timezone = {value!r}; {cure}")
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        near = get_close_matches(value, _zones(), n=1)
        cure = f"did you mean {near[0]!r}?" if near else cure
        raise CalendarError(
            f"{where} has timezone = {value!r}, which there is not; {cure}"
        ) from None
    return value


@lru_cache(maxsize=1)
def _zones() -> tuple[str, ...]:
    return tuple(sorted(available_timezones()))


def _weekdays(value: object, where: str) -> tuple[Weekday, ...]:
    cure = f"write a list of {', '.join(WEEKDAYS)}"
    if not isinstance(value, list | tuple) or not value:
        raise CalendarError(f"{where} has weekdays = {value!r}; {cure}")
    for day in value:
        if day not in WEEKDAYS:
            raise CalendarError(f"{where} has {day!r} among its weekdays; {cure}")
    return tuple(day for day in WEEKDAYS if day in value)


def _holidays(value: object, where: str) -> frozenset[date]:
    if not isinstance(value, list | tuple | set | frozenset):
        raise CalendarError(f"{where} has holidays = {value!r}; write a list of dates")
    if len(value) > HOLIDAYS_MAX:
        raise CalendarError(
            f"{where} has {len(value):,} holidays; at most {HOLIDAYS_MAX:,}: leave out past ones"
        )
    return frozenset(_date(day, where) for day in value)


def _date(value: object, where: str) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    try:
        return msgspec.convert(value, date)
    except msgspec.ValidationError:
        raise CalendarError(
            f"{where} has {value!r} among its holidays; write dates as 2026-12-25"
        ) from None


def _checked_count(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= BUSINESS_DAYS_MAX:
        return value
    raise CalendarError(
        f"`business_days` is {value!r}; write a whole number from 0 to {BUSINESS_DAYS_MAX:,}"
    )


def _known(name: str, calendars: Iterable[str]) -> str:
    names = sorted(calendars)
    near = get_close_matches(name, names, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    if names:
        return f"there are {', '.join(names)}"
    return "add it under `calendars`, or leave `calendar` out for Monday to Friday in UTC"
