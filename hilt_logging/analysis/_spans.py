"""
Periods of time as people name them: a day, a week, a month, or from one to another, where some place is.
"""

from __future__ import annotations

import datetime
import re

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ..errors import InvalidEventError
from ..events import to_timestamp
from ._figures import Question
from ._zones import zone_of


__all__ = ["SPANS", "Span", "days_of_spans", "last_spans", "span_of", "spans_of"]

SPANS = ("before", "after")
"""The names of two spans that are held against each other."""

_DAY = datetime.timedelta(days=1)
_UTC = datetime.timezone.utc
_is_month = re.compile(r"\d{4}-\d\d", re.ASCII).fullmatch
_is_week = re.compile(r"\d{4}-W\d\d", re.ASCII).fullmatch
_is_day = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII).fullmatch
_is_time = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", re.ASCII).match


class Span(NamedTuple):
    """
    A period of time.

    Attributes:
        begin: Its first time, in the zone where it was named.
        end: The first time after it, there.
    """

    begin: datetime.datetime
    end: datetime.datetime

    @property
    def name(self) -> str:
        """What it is called, as `span_of` understands it."""
        if all(each.time() == datetime.time() and not each.fold for each in self):
            first, last = self.begin.date(), self.end.date() - _DAY
            return f"{first}..{last}" if first < last else f"{first}"
        return f"{_clock(self.begin)}..{_clock(self.end)}"

    @property
    def since(self) -> str:
        """Its first time, as we write timestamps."""
        return to_timestamp(self.begin)

    @property
    def until(self) -> str:
        """The first time after it, as we write timestamps."""
        return to_timestamp(self.end)

    @property
    def days(self) -> float:
        """How long it is; a day is one also where clocks are put forward or back in it."""
        return (self._whole_days() or self._elapsed()) / _DAY

    def day(self, number: int) -> str | None:
        """Return its day of a number, which is 0 for the first one; None where it is not as long."""
        try:
            day = _midnight(self.begin.date() + number * _DAY, self.begin.tzinfo)
        except OverflowError:
            return None
        return day.date().isoformat() if day < self.end else None

    def before(self) -> Span:
        """Return the period of the same length right before."""
        return Span(self._moved(self.begin, -1), self.begin)

    def after(self) -> Span:
        """Return the period of the same length right after."""
        return Span(self.end, self._moved(self.end, 1))

    def _whole_days(self) -> datetime.timedelta | None:
        """Its length by the clocks there, if it is one of whole days."""
        shown = self.end - self.begin  # which is what clocks show, as both are of one zone
        return shown if shown > 0 * _DAY and not shown % _DAY else None

    def _elapsed(self) -> datetime.timedelta:
        return self.end.astimezone(_UTC) - self.begin.astimezone(_UTC)

    def _moved(self, when: datetime.datetime, times: int) -> datetime.datetime:
        days = self._whole_days()
        if days is not None:
            return when + times * days
        return (when.astimezone(_UTC) + times * self._elapsed()).astimezone(when.tzinfo)


def _clock(when: datetime.datetime) -> str:
    """A time as a clock shows it, with its offset where the clock shows it twice."""
    text = when.replace(tzinfo=None).isoformat()
    offset = when.isoformat().removeprefix(text)
    is_twice = when.utcoffset() != when.replace(fold=1 - when.fold).utcoffset()
    return text.removesuffix(":00") + (offset if is_twice else "")


def span_of(text: str, zone: datetime.tzinfo) -> Span:
    """
    Return the period that a text names.

    Args:
        text: A day, a week, a month, as `2026-10-07`, `2026-W41`, `2026-10`; or from one to another,
            as `2026-10-01..2026-10-15`, with both of them. In place of a day stands also a time, as
            `2026-10-01T08:00`, which itself is the first one, or the first one after.
        zone: The time zone of its days, and of times without an offset.

    Raises:
        ValueError: for a text that names no period, or one that ends before it begins, or is beyond the
            calendar.
    """
    first, dots, last = text.partition("..")
    begin, end = _unit(first.strip(), zone)
    if dots:
        _, end = _unit(last.strip(), zone)
    span = Span(begin, end)
    if span.since >= span.until:
        raise ValueError("ends where it begins, or before")
    return span


def _unit(text: str, zone: datetime.tzinfo) -> tuple[datetime.datetime, datetime.datetime]:
    """When a day, week, month or time begins and ends."""
    try:
        if _is_time(text):
            when = datetime.datetime.fromisoformat(text)
            when = when.replace(tzinfo=zone) if when.tzinfo is None else when.astimezone(zone)
            return when, when
        if _is_month(text):
            first = datetime.date.fromisoformat(f"{text}-01")
            last = (first + 31 * _DAY).replace(day=1)
        elif _is_week(text):
            first = datetime.date.fromisocalendar(int(text[:4]), int(text[6:]), 1)
            last = first + 7 * _DAY
        elif _is_day(text):
            first = datetime.date.fromisoformat(text)
            last = first + _DAY
        else:
            raise ValueError("no period")
    except OverflowError:
        raise ValueError("out of the calendar") from None
    return _midnight(first, zone), _midnight(last, zone)


def _midnight(day: datetime.date, zone: datetime.tzinfo | None) -> datetime.datetime:
    return datetime.datetime.combine(day, datetime.time(), zone)


def last_spans(last: str | None, days: int, zone: datetime.tzinfo) -> tuple[Span, Span] | None:
    """
    Return the last whole days of a log, after those before them.

    Args:
        last: The last time in the log; the day of it is not over yet, or may not be.
        days: How many days.
        zone: The time zone of days.

    Returns:
        The earlier ones, and the last ones; None where there are no such days in the calendar.
    """
    if last is None:
        return None
    try:
        end = _midnight(datetime.datetime.fromisoformat(last).astimezone(zone).date(), zone)
        after = Span(end - days * _DAY, end)
        before = after.before()
        _ = before.since, after.until  # which may be beyond the calendar, too
    except (InvalidEventError, OverflowError):
        return None
    return before, after


def spans_of(question: Question, last: str | None) -> Sequence[tuple[str, str, str]]:
    """Return the spans of a question: its own, or the last days before the *last* time of all."""
    found = _last_spans(question, last)
    return question.spans or [(name, each.since, each.until) for name, each in found]


def days_of_spans(question: Question, last: str | None) -> dict[str | None, str]:
    """Return the spans that are the last days before the *last* time of all, by their days."""
    return {
        (each.begin + number * _DAY).date().isoformat(): name
        for name, each in _last_spans(question, last)
        for number in range(question.last_days)
    }


def _last_spans(question: Question, last: str | None) -> Iterable[tuple[str, Span]]:
    found = last_spans(last, question.last_days, zone_of(question.tz))
    return zip(SPANS, found or (), strict=False)
