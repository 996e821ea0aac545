"""Business calendars: counting working days, time zones, changes of clocks, and bad settings."""

from __future__ import annotations

import pickle
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.calendars import (
    BUSINESS_DAYS_MAX,
    DEFAULT_CALENDAR,
    HOLIDAYS_MAX,
    WEEKDAYS,
    Calendar,
    CalendarError,
    business_instant,
    read_calendar,
)

NYSE = read_calendar(
    "nyse",
    {"timezone": "America/New_York", "holidays": ["2026-11-26", "2026-12-25", date(2027, 1, 1)]},
)
ZONES = ["UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia"]


def at(text: str, zone: str = "UTC") -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp() * 1_000)


def local(ms: int, zone: str) -> datetime:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).astimezone(
        ZoneInfo(zone)
    )


calendars = st.builds(
    Calendar,
    name=st.just("c"),
    timezone=st.sampled_from(ZONES),
    weekdays=st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True).map(tuple),
    holidays=st.frozensets(st.dates(date(2025, 1, 1), date(2027, 12, 31)), max_size=40),
)
instants = st.integers(at("2025-01-01T00:00"), at("2027-12-31T00:00"))


class TestCounting:
    @pytest.mark.parametrize(
        ("start", "days", "end"),
        [
            ("2026-11-23T09:00", 1, "2026-11-24T09:00"),  # a Monday
            ("2026-11-25T09:00", 1, "2026-11-27T09:00"),  # over a holiday
            ("2026-11-27T17:30", 1, "2026-11-30T17:30"),  # over a week-end
            ("2026-11-28T09:00", 0, "2026-11-30T09:00"),  # from a Saturday
            ("2026-11-28T09:00", 1, "2026-12-01T09:00"),
            ("2026-11-26T09:00", 1, "2026-11-30T09:00"),  # from a holiday, a Thursday
            ("2026-12-24T09:00", 5, "2027-01-04T09:00"),  # over two holidays and the year
            ("2026-11-24T09:00", 0, "2026-11-24T09:00"),
        ],
    )
    def test_examples(self, start: str, days: int, end: str) -> None:
        zone = NYSE.timezone
        assert local(NYSE.after(at(start, zone), days), zone) == local(at(end, zone), zone)

    def test_the_day_is_the_calendars_own_and_not_that_of_utc(self) -> None:
        # Friday 20:00 in New York is Saturday in UTC.
        assert NYSE.after(at("2026-11-21T01:00"), 1) == at("2026-11-23T20:00", NYSE.timezone)

    @given(calendars, instants, st.integers(0, 300))
    def test_it_ends_on_a_working_day_with_so_many_working_days_behind_the_first(
        self, calendar: Calendar, now: int, days: int
    ) -> None:
        first = local(now, calendar.timezone).date()
        while not calendar.works_on(first):
            first += timedelta(days=1)
        last = local(calendar.after(now, days), calendar.timezone).date()
        assert calendar.works_on(last)
        passed = (first + timedelta(days=i + 1) for i in range((last - first).days))
        assert sum(map(calendar.works_on, passed)) == days

    @given(calendars, instants, st.integers(0, 300), st.integers(1, 300))
    def test_more_days_are_later(self, calendar: Calendar, now: int, days: int, more: int) -> None:
        assert calendar.after(now, days) < calendar.after(now, days + more)
        assert calendar.after(now, days) >= now or days == 0

    @given(calendars, instants, st.integers(0, 50))
    def test_the_time_on_the_clock_stays_unless_the_clocks_skip_it(
        self, calendar: Calendar, now: int, days: int
    ) -> None:
        before = local(now, calendar.timezone)
        after = local(calendar.after(now, days), calendar.timezone)
        wanted = datetime.combine(after.date(), before.time(), tzinfo=ZoneInfo(calendar.timezone))
        exists = wanted.astimezone(UTC).astimezone(wanted.tzinfo).time() == before.time()
        assert after.time() == before.time() or not exists

    @given(instants, st.integers(0, 300))
    def test_without_a_calendar_it_is_monday_to_friday_in_utc(self, now: int, days: int) -> None:
        end = business_instant({"business_days": days}, now, {"nyse": NYSE})
        assert end == DEFAULT_CALENDAR.after(now, days)
        assert local(end, "UTC").weekday() < 5
        assert end % 86_400_000 == now % 86_400_000


class TestClocksThatChange:
    def test_a_day_of_23_hours_is_a_day(self) -> None:
        every_day = Calendar(name="c", timezone="Europe/Berlin", weekdays=WEEKDAYS)
        start = at("2026-03-28T12:00", "Europe/Berlin")
        assert every_day.after(start, 1) - start == 23 * 3_600_000

    def test_a_time_that_is_skipped_lies_behind_the_gap(self) -> None:
        every_day = Calendar(name="c", timezone="Europe/Berlin", weekdays=WEEKDAYS)
        end = local(every_day.after(at("2026-03-28T02:30", "Europe/Berlin"), 1), "Europe/Berlin")
        assert (end.hour, end.minute) == (3, 30)

    def test_of_a_time_that_comes_twice_the_first_is_meant(self) -> None:
        every_day = Calendar(name="c", timezone="Europe/Berlin", weekdays=WEEKDAYS)
        start = at("2026-10-24T02:30", "Europe/Berlin")
        assert every_day.after(start, 1) - start == 24 * 3_600_000

    def test_no_days_from_the_second_of_two_is_that_instant(self) -> None:
        every_day = Calendar(name="c", timezone="Europe/Berlin", weekdays=WEEKDAYS)
        second = at("2026-10-25T00:30") + 3_600_000
        assert local(second, "Europe/Berlin").fold == 1
        assert every_day.after(second, 0) == second

    def test_a_day_that_a_zone_left_out_is_counted_by_its_date(self) -> None:
        """Samoa had no 30 December 2011; its date still is a Friday of the calendar."""
        apia = Calendar(name="c", timezone="Pacific/Apia")
        end = apia.after(at("2011-12-29T12:00", "Pacific/Apia"), 2)
        assert local(end, "Pacific/Apia").date() == date(2012, 1, 2)


class TestBounds:
    @pytest.mark.parametrize("days", [-1, 1.5, True, "3", None, BUSINESS_DAYS_MAX + 1])
    def test_a_number_that_makes_no_sense_is_refused(self, days: Any) -> None:
        with pytest.raises(CalendarError, match=r"business_days.*0 to 10,000") as caught:
            business_instant({"business_days": days}, 0, {})
        assert repr(days) in str(caught.value)

    def test_the_longest_deadline_has_an_end(self) -> None:
        assert local(DEFAULT_CALENDAR.after(0, BUSINESS_DAYS_MAX), "UTC").year == 2008

    def test_beyond_the_year_9999_is_an_error(self) -> None:
        with pytest.raises(CalendarError, match="'nyse' end beyond the year 9999"):
            NYSE.after(at("9999-12-30T00:00"), 5)

    @pytest.mark.parametrize(
        ("spec", "words"),
        [
            ({"business_days": 1, "calendar": "nise"}, ["'nise'", "did you mean 'nyse'?"]),
            ({"business_days": 1, "calendar": "tokyo"}, ["'tokyo'", "there are nyse"]),
            ({"business_days": 1, "calendar": 7}, ["7", "calendar's name"]),
            ({"calendar": "nyse"}, ["`business_days` is missing"]),
            ({"business_days": 1, "calender": "nyse"}, ["'calender'", "`calendar`"]),
        ],
    )
    def test_a_field_that_cannot_be_read_is_told(self, spec: Any, words: list[str]) -> None:
        with pytest.raises(CalendarError) as caught:
            business_instant(spec, 0, {"nyse": NYSE})
        assert all(word in str(caught.value) for word in words), str(caught.value)


class TestReading:
    def test_it_travels_and_stays_the_same(self) -> None:
        NYSE.after(0, 1)  # what it has computed for itself stays behind
        assert pickle.loads(pickle.dumps(NYSE)) == NYSE
        packed = msgspec.msgpack.encode(NYSE)
        assert msgspec.msgpack.decode(packed, type=Calendar) == NYSE
        assert hash(NYSE) == hash(msgspec.msgpack.decode(packed, type=Calendar))

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("Mon-Fri", ["'Mon-Fri'", "a table of"]),
            ({"hours": 8}, ["'hours'", "known are timezone"]),
            ({"time_zone": "UTC"}, ["'time_zone'", "did you mean timezone?"]),
            ({"timezone": "America/NewYork"}, ["did you mean 'America/New_York'?"]),
            ({"timezone": "../../etc/passwd"}, ["passwd", "IANA"]),
            ({"timezone": 1}, ["timezone = 1", "IANA"]),
            ({"weekdays": []}, ["weekdays = []", "mon, tue"]),
            ({"weekdays": ["monday"]}, ["'monday'", "mon, tue"]),
            ({"weekdays": "mon"}, ["'mon'", "a list of"]),
            ({"weekdays": [[]]}, ["[]", "mon, tue"]),
            ({"holidays": "2026-12-25"}, ["a list of dates"]),
            ({"holidays": ["25.12.2026"]}, ["'25.12.2026'", "2026-12-25"]),
            ({"holidays": [datetime(2026, 1, 1, tzinfo=UTC)]}, ["among its holidays"]),
            ({"holidays": ["2026-01-01"] * (HOLIDAYS_MAX + 1)}, ["10,001", "at most 10,000"]),
        ],
    )
    def test_a_bad_setting_is_told_with_its_cure(self, content: Any, words: list[str]) -> None:
        with pytest.raises(CalendarError) as caught:
            read_calendar("nyse", content)
        assert all(word in str(caught.value) for word in ["'nyse'", *words]), str(caught.value)
