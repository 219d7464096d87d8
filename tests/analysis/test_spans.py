"""Periods of time as people name them."""

from __future__ import annotations

import datetime

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.analysis._spans import Span, last_spans, span_of
from hilt_logging.analysis._zones import zone_of


BERLIN, NEW_YORK, KOLKATA = "Europe/Berlin", "America/New_York", "Asia/Kolkata"


@pytest.mark.parametrize(
    ("text", "tz", "since", "until", "days"),
    [
        ("2026-10-07", "UTC", "2026-10-07T00:00", "2026-10-08T00:00", 1),
        ("2026-10", "UTC", "2026-10-01T00:00", "2026-11-01T00:00", 31),
        ("2026-12", KOLKATA, "2026-11-30T18:30", "2026-12-31T18:30", 31),
        ("2024-02", "UTC", "2024-02-01T00:00", "2024-03-01T00:00", 29),
        ("2026-W01", "UTC", "2025-12-29T00:00", "2026-01-05T00:00", 7),
        ("2026-W53", "UTC", "2026-12-28T00:00", "2027-01-04T00:00", 7),
        ("2026-10-01..2026-10-15", "UTC", "2026-10-01T00:00", "2026-10-16T00:00", 15),
        ("2026-10 .. 2026-W45", "UTC", "2026-10-01T00:00", "2026-11-09T00:00", 39),
        (
            "2026-10-01T08:00..2026-10-01T12:00",
            "UTC",
            "2026-10-01T08:00",
            "2026-10-01T12:00",
            1 / 6,
        ),
        ("2026-10-01 08:00Z..2026-10-01", BERLIN, "2026-10-01T08:00", "2026-10-01T22:00", 14 / 24),
        # the nights in which clocks are put forward and back
        ("2026-03-29", BERLIN, "2026-03-28T23:00", "2026-03-29T22:00", 1),
        ("2026-10-25", BERLIN, "2026-10-24T22:00", "2026-10-25T23:00", 1),
        ("2026-W43", BERLIN, "2026-10-18T22:00", "2026-10-25T23:00", 7),
        ("2026-11-01", NEW_YORK, "2026-11-01T04:00", "2026-11-02T05:00", 1),
        (
            "2026-03-29T00:00..2026-03-29T06:00",
            BERLIN,
            "2026-03-28T23:00",
            "2026-03-29T04:00",
            5 / 24,
        ),
    ],
)
def test_periods(text, tz, since, until, days):
    """A text means the time on the clocks of its zone, and its name means the same."""
    span = span_of(text, zone_of(tz))
    assert (f"{since}:00.000000Z", f"{until}:00.000000Z") == (span.since, span.until)
    assert days == pytest.approx(span.days)
    again = span_of(span.name, zone_of(tz))
    assert (span.since, span.until) == (again.since, again.until)


@pytest.mark.parametrize(
    "text",
    [
        *("", "..", "2026", "2026-13", "2026-02-30", "2027-W53", "2026-W00", "yesterday"),
        *("2026-10-07..", "..2026-10-07", "2026-10-07T08:00", "2026-10-07T08:00..2026-10-07T08:00"),
        *(
            "2026-10-15..2026-10-01",
            "9999-12",
            "9999-12-31",
            "0000-01-01",
            "2026-10-01T8..2026-10-02",
        ),
        "\u0662\u0660\u0662\u0666-10",
        "2026-10-07T08:00:00.0000001234..x",
    ],
)
def test_no_period(text):
    """Neither a day that is not in the calendar is a period, nor a time, nor what ends before it begins."""
    with pytest.raises(ValueError, match=r"."):
        span_of(text, zone_of("UTC"))


@pytest.mark.parametrize(
    ("text", "tz", "before", "after"),
    [
        ("2026-10-08..2026-10-14", "UTC", "2026-10-01..2026-10-07", "2026-10-15..2026-10-21"),
        ("2026-10-26", BERLIN, "2026-10-25", "2026-10-27"),
        ("2026-10-01T08:00..2026-10-01T12:00", "UTC", "2026-10-01T04:00..2026-10-01T08:00", None),
        # five hours, of which clocks show six
        (
            "2026-03-29T00:00..2026-03-29T06:00",
            BERLIN,
            "2026-03-28T19:00..2026-03-29T00:00",
            "2026-03-29T06:00..2026-03-29T11:00",
        ),
    ],
)
def test_beside(text, tz, before, after):
    """What is before and after a period is as long, and has no time in common with it."""
    span = span_of(text, zone_of(tz))
    assert before == span.before().name
    assert after is None or after == span.after().name
    assert span.before().until == span.since
    assert span.until == span.after().since
    assert span.days == pytest.approx(span.before().days) == pytest.approx(span.after().days)


times = st.datetimes(datetime.datetime(1980, 1, 2), datetime.datetime(2037, 12, 30))


@given(times, st.timedeltas(datetime.timedelta(microseconds=1), datetime.timedelta(400)))
def test_any_name(begin, length):
    """Any period has a name that means it, also where clocks show its times twice or never."""
    zone = zone_of(BERLIN)
    utc = begin.replace(tzinfo=datetime.timezone.utc)
    span = Span(utc.astimezone(zone), (utc + length).astimezone(zone))
    again = span_of(span.name, zone)
    assert (span.since, span.until) == (again.since, again.until)


def test_twice():
    """A time that clocks show twice is named with its offset."""
    zone = zone_of(BERLIN)
    span = span_of("2026-10-25T00:30Z..2026-10-25T01:30Z", zone)
    assert "2026-10-25T02:30+02:00..2026-10-25T02:30+01:00" == span.name
    assert 1 / 24 == pytest.approx(span.days)


@pytest.mark.parametrize(
    ("last", "tz", "names"),
    [
        (
            "2026-11-23T14:00:00.000000Z",
            "UTC",
            ("2026-11-09..2026-11-15", "2026-11-16..2026-11-22"),
        ),
        (
            "2026-11-22T23:30:00.000000Z",
            "UTC",
            ("2026-11-08..2026-11-14", "2026-11-15..2026-11-21"),
        ),
        (
            "2026-11-22T23:30:00.000000Z",
            BERLIN,
            ("2026-11-09..2026-11-15", "2026-11-16..2026-11-22"),
        ),
        (
            "9999-12-31T23:59:59.999999Z",
            "UTC",
            ("9999-12-17..9999-12-23", "9999-12-24..9999-12-30"),
        ),
        ("9999-12-31T23:59:59.999999Z", BERLIN, None),
        ("0001-01-10T00:00:00.000000Z", "UTC", None),
        (None, "UTC", None),
    ],
)
def test_last_days(last, tz, names):
    """The last days end before the day of the last time; there are none beyond the calendar."""
    spans = last_spans(last, 7, zone_of(tz))
    assert names == (spans and tuple(each.name for each in spans))


def test_days():
    """A period has a day of each number but those after its end."""
    span = span_of("2026-10-30T08:00..2026-11-01T08:00", zone_of("UTC"))
    days = [span.day(number) for number in range(4)]
    assert ["2026-10-30", "2026-10-31", "2026-11-01", None] == days
    assert span_of("9999-12-30", zone_of("UTC")).day(5) is None
