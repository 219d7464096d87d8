"""
Two periods of a log against each other: what changed since last week, the new model, the new version.

All figures are those of `stats`; here they are only put side by side.
"""

from __future__ import annotations

import datetime
import math
import operator

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ._figures import Figures, Group, Report, Stats
from ._inputs import Paths
from ._rates import Rate, rates_of
from ._spans import SPANS, Span, last_spans, span_of
from ._zones import zone_of
from .stats import Time, tallied


__all__ = [
    "BY",
    "Change",
    "Comparison",
    "GroupChange",
    "Period",
    "Rate",
    "compare",
]

BY = ("model", "provider", "user", "session", "action", "tool", "day")
"""By what periods can be compared; days are those of the same number in their period."""

_DAYS = 7
_SAME = 1e-12  # what the order in which floats are summed up makes of a sum is less
_NOT_SUMS = (
    *("sessions", "users", "cache_hit_rate"),
    *("latency_ms", "time_to_first_token_ms", "tool_latency_ms"),
)


class Period(msgspec.Struct):
    """
    A period of time.

    Attributes:
        name: What it is called, as it can be typed.
        since: Its first time, as we write timestamps.
        until: The first time after it.
        days: How long it is; a day is one also where clocks are put forward or back in it.
    """

    name: str
    since: str
    until: str
    days: float


class Change(msgspec.Struct):
    """
    A figure in both periods; None where it is not known.

    Attributes:
        before: The figure before.
        after: The figure after.
        difference: How much more it is after.
        percent: The same as a part of what it was, in per cent; None where that was 0.
        per_day: A sum divided by the days of its period; None if it is no sum, or if both periods are
            of the same length.
    """

    before: float | None
    after: float | None
    difference: float | None = None
    percent: float | None = None
    per_day: Change | None = None


class GroupChange(msgspec.Struct, kw_only=True):
    """
    A group in both periods.

    Attributes:
        key: What its events have in common; of days the one in the later period, or None.
        key_before: The same; of days the one in the earlier period, or None.
        status: `both`, or `new` or `gone` where only one period has events of it.
        figures: As in `Comparison`; those of a day are not told per day.
        rates: As in `Comparison`.
    """

    key: str | None
    key_before: str | None
    status: str
    figures: dict[str, Change]
    rates: dict[str, Rate]


class Comparison(msgspec.Struct, kw_only=True):
    """
    Two periods of a log against each other.

    Attributes:
        files: How many files were read, or could not be.
        first: When the first event of all was, in a period or not; None where there is none.
        last: When the last one was.
        unread: How many lines and files could not be read.
        tz: The time zone of periods.
        before: The earlier period; None where none was asked for, and there is none in the log.
        after: The later one.
        is_per_day: Whether they are of different lengths, so that sums are told per day, too.
        remarks: What is to be known of the periods, in plain words.
        figures: By name the figures of `stats.Figures`, as `tokens.total` and `latency_ms.p95`.
        rates: By name: `failed` and `refused` of calls, `retried` of all attempts.
        by: By what the groups are made.
        groups: Those that changed most in cost first, then in events; days in their order. What they
            cost, and how many events, is per day where periods are of different lengths.
    """

    files: int
    first: str | None
    last: str | None
    unread: int
    tz: str
    before: Period | None
    after: Period | None
    is_per_day: bool
    remarks: list[str]
    figures: dict[str, Change]
    rates: dict[str, Rate]
    by: str | None
    groups: list[GroupChange]


def compare(
    paths: Paths,
    *,
    before: str | None = None,
    after: str | None = None,
    by: str | None = None,
    tz: str = "UTC",
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    models: str | Sequence[str] = (),
    users: str | Sequence[str] = (),
    rotated: bool = True,
    engine: str = "auto",
    spark: Any = None,
    report: Report | None = None,
) -> Comparison:
    """
    Return the figures of two periods of a log, in one pass over it.

    Args:
        paths: As in `stats`.
        before: The earlier period: `2026-10`, `2026-W41`, `2026-10-07`, or from one to another,
            `2026-10-01..2026-10-15`, with both of them; or between two times,
            `2026-10-01T08:00..2026-10-01T12:00`. By default the one of the same length right before
            *after*.
        after: The later period, by default the one of the same length right after *before*. Where
            neither is given, it is the last seven whole days of the log: those before the day of the
            last event.
        by: What events are grouped by, one of `BY`.
        tz: The IANA time zone of periods.
        since: As in `stats`, as all that follow.
        until: As in `stats`.
        where: As in `stats`.
        models: As in `stats`.
        users: As in `stats`.
        rotated: As in `stats`.
        engine: As in `stats`.
        spark: As in `stats`.
        report: As in `stats`.

    Raises:
        ConfigurationError: for another value of an option, and for periods that overlap.
        MissingDependencyError: if what the engine needs is not installed.
        ReadError: for a path that is not there, if it is the only one.
    """
    if by is not None and by not in BY:
        raise ConfigurationError("by", by, f"Must be one of: {', '.join(BY)}")
    zone = zone_of(tz)
    spans = _spans(before, after, zone)
    found, groups = tallied(
        paths,
        [("span",), *([("span", by)] if by else [])],
        spans=[(name, each.since, each.until) for name, each in _named(spans)],
        last_days=_DAYS,
        tz=tz,
        top=0,
        since=since,
        until=until,
        where=where,
        models=models,
        users=users,
        rotated=rotated,
        engine=engine,
        spark=spark,
        report=report,
    )
    spans = spans or last_spans(found.last, _DAYS, zone)
    sides = _Sides(spans)
    total = _by_span(groups[0])
    return Comparison(
        files=found.files,
        first=found.first,
        last=found.last,
        unread=found.unread,
        tz=tz,
        before=_period(spans[0]) if spans else None,
        after=_period(spans[1]) if spans else None,
        is_per_day=sides.is_per_day,
        remarks=list(_remarks(spans, found, total, zone)),
        figures=sides.figures(*_both(total)),
        rates=rates_of(*_both(total)),
        by=by,
        groups=sides.groups(groups[1], by) if by else [],
    )


_Spans = tuple[Span, Span]


def _spans(before: str | None, after: str | None, zone: datetime.tzinfo) -> _Spans | None:
    """The periods that were asked for."""
    earlier, later = _span("before", before, zone), _span("after", after, zone)
    try:
        if earlier is None:
            if later is None:
                return None
            earlier = later.before()
        later = later or earlier.after()
        _ = earlier.since, later.until
    except (ValueError, OverflowError):
        option, text, other = ("after", after, "before") if after else ("before", before, "after")
        allowed = (
            f"Beside it the years 1 to 9999 have no other of its length: choose one, or set {other}"
        )
        raise ConfigurationError(option, text, allowed) from None
    if earlier.since < later.until and later.since < earlier.until:
        allowed = f"Must have no time in common with the period before, {earlier.name}"
        raise ConfigurationError("after", later.name, allowed)
    return earlier, later


def _span(option: str, text: object, zone: datetime.tzinfo) -> Span | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise _no_period(option, text)
    try:
        return span_of(text, zone)
    except ValueError:
        raise _no_period(option, text) from None


def _no_period(option: str, text: object) -> ConfigurationError:
    allowed = (
        "Must be a text that names a period, as 2026-10, 2026-W41, 2026-10-07, 2026-10-01..2026-10-15 or "
        "2026-10-01T08:00..2026-10-01T12:00, which ends after it begins, in the years 1 to 9999 in UTC"
    )
    return ConfigurationError(option, text, allowed)


def _named(spans: _Spans | None) -> Iterable[tuple[str, Span]]:
    return zip(SPANS, spans or (), strict=False)


def _period(span: Span) -> Period:
    return Period(span.name, span.since, span.until, span.days)


def _by_span(groups: Iterable[Group]) -> dict[str | None, Figures]:
    return {group.key[0]: group.figures for group in groups}


def _both(figures: Mapping[str | None, Figures]) -> tuple[Figures, Figures]:
    before, after = (figures.get(name) or Figures() for name in SPANS)
    return before, after


def _remarks(
    spans: _Spans | None,
    found: Stats,
    total: Mapping[str | None, Figures],
    zone: datetime.tzinfo,
) -> Iterator[str]:
    """What is to be known of the periods."""
    if found.first is None or found.last is None:
        yield "There is no event that counts and has a time"
        return
    first, last = _shown(found.first, zone), _shown(found.last, zone)
    if spans is None:
        yield f"The days before the last event, which is of {last}, are beyond the calendar"
        return
    for name, span in zip(SPANS, spans, strict=True):
        if name not in total:
            yield f"No event is in the period {name}: the first one is of {first}, the last of {last}"
            continue
        if found.first > span.since:
            yield f"The period {name} begins before the first event, which is of {first}"
        if found.last < span.until:
            yield f"The period {name} ends after the last event, which is of {last}"
    if spans[1].since < spans[0].since:
        yield "The period after is earlier than the period before"


def _shown(when: str, zone: datetime.tzinfo) -> str:
    try:
        local = datetime.datetime.fromisoformat(when).astimezone(zone)
    except OverflowError:
        return when
    return local.replace(tzinfo=None).isoformat(" ", "minutes")


def _names(figures: msgspec.Struct, begin: str = "") -> Iterator[str]:
    """The names of all figures, those within others with a dot."""
    for name in figures.__struct_fields__:
        value = getattr(figures, name)
        if isinstance(value, msgspec.Struct):
            yield from _names(value, f"{begin}{name}.")
        else:
            yield begin + name


_FIGURES = [
    (name, operator.attrgetter(name), name.partition(".")[0] not in _NOT_SUMS)
    for name in _names(Figures())
]


def _pairs(before: Figures, after: Figures) -> Iterator[tuple[str, bool, Any, Any]]:
    """
    All figures by their names, whether they are sums, and both values.

    What has no events has taken nothing, where others took something.
    """
    for name, value_of, is_sum in _FIGURES:
        value, other = value_of(before), value_of(after)
        if is_sum and value is None and other is not None and not before.events:
            value = 0
        elif is_sum and other is None and value is not None and not after.events:
            other = 0
        yield name, is_sum, value, other


def _change(before: float | None, after: float | None) -> Change:
    if before is None or after is None:
        return Change(before, after)
    difference = _finite(after - before)
    if type(difference) is float and math.isclose(before, after, rel_tol=_SAME):
        difference = 0.0
    percent = None
    if before and difference is not None:
        percent = _finite(100 * difference / abs(before))
    return Change(before, after, difference, percent)


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


class _Sides:
    """Puts figures side by side; without periods all are those of no events."""

    def __init__(self, spans: _Spans | None) -> None:
        self._spans = spans
        self._days = [each.days for each in spans or ()]
        self.is_per_day = bool(spans) and not math.isclose(*self._days)

    def figures(
        self, before: Figures, after: Figures, *, is_day: bool = False
    ) -> dict[str, Change]:
        """Return each figure in both periods, or in a day of both."""
        is_per_day = self.is_per_day and not is_day
        return {
            name: self._change(value, other, is_per_day and is_sum)
            for name, is_sum, value, other in _pairs(before, after)
        }

    def _change(self, before: float | None, after: float | None, is_per_day: bool) -> Change:
        change = _change(before, after)
        if is_per_day:
            values = zip((before, after), self._days, strict=True)
            change.per_day = _change(
                *(None if value is None else value / days for value, days in values)
            )
        return change

    def groups(self, groups: Sequence[Group], by: str) -> list[GroupChange]:
        """Return the groups in both periods, those that changed most first."""
        found: dict[Any, dict[str | None, Group]] = {}
        for group in groups:
            name = group.key[0]
            if name is not None:
                found.setdefault(self._place(group, by), {})[name] = group
        if by == "day":
            return [
                self._group(found[place], self._days_of(place), is_day=True)
                for place in sorted(found)
            ]
        changes = [self._group(sides, (key, key)) for key, sides in found.items()]
        return sorted(changes, key=_order)

    def _place(self, group: Group, by: str) -> Any:
        """What the two sides of a group have in common: of days which one it is in its period."""
        name, key = group.key
        if by != "day" or self._spans is None:
            return key
        day = datetime.date.fromisoformat(key or "")
        return (day - self._spans[SPANS.index(name or "")].begin.date()).days

    def _days_of(self, number: int) -> tuple[str | None, str | None]:
        """The day of this number in each period, if it has one."""
        before, after = (span.day(number) for span in self._spans or ())
        return before, after

    def _group(
        self,
        sides: Mapping[str | None, Group],
        keys: tuple[str | None, str | None],
        *,
        is_day: bool = False,
    ) -> GroupChange:
        before, after = _both({name: group.figures for name, group in sides.items()})
        return GroupChange(
            key=keys[1],
            key_before=keys[0],
            status="gone" if "after" not in sides else "both" if "before" in sides else "new",
            figures=self.figures(before, after, is_day=is_day),
            rates=rates_of(before, after),
        )


def _order(group: GroupChange) -> tuple[Any, ...]:
    cost, events = (_size(group.figures[name]) for name in ("cost_usd", "events"))
    return -cost, -events, group.key is None, group.key or ""


def _size(change: Change) -> float:
    """How much a figure changed; one that is not known counts as 0."""
    shown = change.per_day or change
    return abs(_change(shown.before or 0, shown.after or 0).difference or 0)
