"""Durations and instants as text: what is read, what is refused, and that printing is undone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliostat.engine.expressions import (
    format_duration,
    format_instant,
    parse_duration,
    parse_instant,
)
from heliostat.engine.expressions.time import (
    DURATION_MS_MAX,
    INSTANT_MS_MAX,
    INSTANT_MS_MIN,
    format_timestamp,
)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("90s", 90_000),
        ("2d", 172_800_000),
        ("1h30m", 5_400_000),
        ("500ms", 500),
        ("1.5s", 1_500),
        ("1w", 604_800_000),
        ("0s", 0),
        ("PT90S", 90_000),
        ("P1D", 86_400_000),
        ("P1DT2H3M4.005S", 93_784_005),
        ("P2W", 1_209_600_000),
        (" PT0.25S ", 250),
    ],
)
def test_duration(text: str, ms: int) -> None:
    assert parse_duration(text) == ms


@pytest.mark.parametrize(
    ("text", "cure"),
    [
        ("90", "'90s'"),
        ("1.5", "bare number"),
        ("", "not a duration"),
        ("1y", "not a duration"),
        ("P1Y", "no fixed length"),
        ("P", "not a duration"),
        ("PT", "not a duration"),
        ("30m1h", "out of order"),
        ("1h1h", "twice"),
        ("-1s", "not a duration"),
        ("9" * 18 + "w", "longer than all of time"),
        ("१s", "not a duration"),
    ],
)
def test_no_duration(text: str, cure: str) -> None:
    with pytest.raises(ValueError, match=r"number|duration|length|order|twice|time") as caught:
        parse_duration(text)
    assert cure in str(caught.value)


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-03-01T12:00:00Z", 1_772_366_400_000),
        ("2026-03-01T13:30:00+01:30", 1_772_366_400_000),
        ("2026-03-01t12:00:00.25z", 1_772_366_400_250),
        ("2026-03-01 12:00:00.0009Z", 1_772_366_400_000),
        ("2016-12-31T23:59:60Z", 1_483_228_800_000),
    ],
)
def test_instant(text: str, ms: int) -> None:
    assert parse_instant(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01",
        "2026-03-01T12:00:00",
        "2026-02-30T12:00:00Z",
        "2026-03-01T25:00:00Z",
        "2026-03-01T12:00:61Z",
        "2026-03-01T12:00:00+24:00",
        "1969-12-31T23:59:59Z",
        "1772366400",
        "now",
    ],
)
def test_no_instant(text: str) -> None:
    with pytest.raises(ValueError, match=r"instant|before 1970|bare number"):
        parse_instant(text)


@given(st.integers(-DURATION_MS_MAX, DURATION_MS_MAX))
def test_printed_durations_are_read_back(ms: int) -> None:
    assert parse_duration(format_duration(ms), signed=True) == ms


@given(st.integers(INSTANT_MS_MIN, INSTANT_MS_MAX))
def test_printed_instants_are_read_back(ms: int) -> None:
    assert parse_instant(format_instant(ms), signed=True) == ms


def test_timestamps_have_milliseconds_and_stay_within_the_calendar() -> None:
    """Old histories hold deadlines beyond it, and are looked at all the same."""
    assert format_timestamp(1_767_225_600_000) == "2026-01-01T00:00:00.000Z"
    last = "9999-12-31T23:59:59.999Z"
    assert format_timestamp(INSTANT_MS_MAX) == format_timestamp(INSTANT_MS_MAX + 1) == last
