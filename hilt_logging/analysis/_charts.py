"""
Charts as numbers: where bars and marks are, and what stands at the axes. Templates draw them.

A plot is `WIDTH` by `HEIGHT` units, which the page stretches to the room that it has; what must not be
stretched, as texts, is placed in parts of a hundred.
"""

from __future__ import annotations

import datetime
import math

from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec


__all__ = [
    "HEIGHT",
    "MOST_BARS",
    "MOST_SERIES",
    "WIDTH",
    "Bars",
    "Mark",
    "Range",
    "Series",
    "bars",
    "periods_between",
    "ranges",
    "steps",
    "unit_of",
]

WIDTH, HEIGHT = 1000, 200
MOST_BARS = 120
MOST_SERIES = 7
"""How many series have a colour of their own; the others are one together."""

_MOST_MARKS = 6
_FILLED = 0.84  # of the room that a bar has
_WIDEST = 70
_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_MOST_STEPS = 4
_LARGEST = 1e290  # sums are numbers, too
_LEAST, _HIGHEST = 1e-300, 1e300
_NEARLY = 1 - 1e-9

# How long a time may be for its parts to be these.
_UNITS = {
    "hour": datetime.timedelta(days=4),
    "day": datetime.timedelta(days=MOST_BARS - 1),
    "week": datetime.timedelta(weeks=MOST_BARS - 1),
    "month": datetime.timedelta(days=30 * (MOST_BARS - 1)),
}


class Mark(msgspec.Struct, frozen=True):
    """
    A place at an axis.

    Attributes:
        at: Where it is, in parts of a hundred, from the left or from the top.
        label: What stands there.
        is_minor: Whether it is left out where there is little room.
    """

    at: float
    label: str
    is_minor: bool = False


class Series(msgspec.Struct, frozen=True):
    """
    What has one colour.

    Attributes:
        name: What it is; None for the others together.
        path: Its bars, as the `d` of a path.
        values: The values.
        total: Their sum.
    """

    name: str | None
    path: str
    values: list[float]
    total: float


class Bars(msgspec.Struct, frozen=True):
    """
    Bars over time, those of several series on top of each other.

    Attributes:
        unit: What each bar is of: hour, day, week, month or year.
        periods: The key of each bar.
        series: From the bottom to the top.
        totals: The height of each bar.
        left: Where the room of each bar begins, in units.
        width: The room of a bar.
        across: The marks below.
        up: The marks at the side.
        left_out: How many periods before the first bar are not shown.
    """

    unit: str
    periods: list[str]
    series: list[Series]
    totals: list[float]
    left: list[float]
    width: float
    across: list[Mark]
    up: list[Mark]
    left_out: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to be seen."""
        return not any(self.totals)


class Range(msgspec.Struct, frozen=True):
    """
    Where the percentiles of something are, in parts of a hundred of the largest one of all.

    Attributes:
        begin: The median.
        middle: The 95th percentile.
        end: The 99th.
    """

    begin: float
    middle: float
    end: float


def unit_of(first: datetime.datetime, last: datetime.datetime) -> str:
    """Return what a span of time is divided into, so that there are bars to see and not too many."""
    span = last - first
    return next((unit for unit, longest in _UNITS.items() if span <= longest), "year")


def periods_between(unit: str, first: str, last: str) -> list[str]:
    """
    Return the periods from one to another, with those between them in which nothing was.

    No more than are ever shown: the last ones.
    """
    before = {"hour": _hour, "day": _day, "week": _week, "month": _month, "year": _year}[unit]
    found = [last]
    while first < found[-1] and len(found) < MOST_BARS:
        found.append(before(found[-1]))
    return found[::-1]


def _hour(period: str) -> str:
    return _earlier(period, datetime.timedelta(hours=1))[:16]


def _day(period: str) -> str:
    return _earlier(period, datetime.timedelta(days=1))[:10]


def _week(period: str) -> str:
    monday = datetime.date.fromisocalendar(int(period[:4]), int(period[6:]), 1)
    year, week, _ = datetime.date.fromisoformat(
        _day(monday.isoformat()) or "0001-01-01"
    ).isocalendar()
    return f"{year:04d}-W{week:02d}"


def _earlier(period: str, span: datetime.timedelta) -> str:
    try:
        return (datetime.datetime.fromisoformat(period) - span).isoformat(" ")
    except OverflowError:  # before the year 1
        return ""


def _month(period: str) -> str:
    year, month = int(period[:4]), int(period[5:7])
    return f"{year:04d}-{month - 1:02d}" if month > 1 else f"{year - 1:04d}-12"


def _year(period: str) -> str:
    return f"{int(period) - 1:04d}"


def bars(
    unit: str,
    values: Mapping[tuple[str, str], float],
    *,
    label: Callable[[float], str],
    names: Sequence[str] | None = None,
    periods: Sequence[str] | None = None,
    are_whole: bool = False,
) -> Bars:
    """
    Return bars over time.

    Args:
        unit: What a bar is of.
        values: What there is of a period and a name; what is no finite number, or below zero, is 0.
        label: Says a value at the axis.
        names: The names of the series, from the bottom; by default those with the largest sums, and all
            others as one.
        periods: The periods; by default all from the first one to the last.
        are_whole: Whether only whole numbers stand at the axis.
    """
    known = sorted({period for period, _ in values})
    if periods is None:
        periods = periods_between(unit, known[0], known[-1]) if known else []
    left_out = sum(1 for each in known if periods and each < periods[0])
    rows = _rows(values, periods, names)
    totals = [sum(column) for column in zip(*(row for _, row in rows), strict=True)]
    marks = steps(max(totals, default=0.0), are_whole=are_whole)
    width = WIDTH / max(1, len(periods))
    return Bars(
        unit=unit,
        periods=list(periods),
        series=_stacked(rows, marks[-1], width),
        totals=totals or [0.0] * len(periods),
        left=[_short(width * index) for index in range(len(periods))],
        width=_short(width),
        across=_across(periods),
        up=[Mark(_short(100 - 100 * at / marks[-1]), label(at)) for at in marks],
        left_out=left_out,
    )


def _rows(
    values: Mapping[tuple[str, str], float], periods: Sequence[str], names: Sequence[str] | None
) -> list[tuple[str | None, list[float]]]:
    sums: dict[str, float] = {}
    for (_, name), value in values.items():
        sums[name] = sums.get(name, 0.0) + _good(value)
    if names is None:
        names = sorted((name for name in sums if sums[name]), key=lambda name: (-sums[name], name))
    chosen = list(names) if len(names) <= MOST_SERIES + 1 else list(names[:MOST_SERIES])
    rows: list[tuple[str | None, list[float]]] = [
        (name, [_good(values.get((period, name), 0.0)) for period in periods]) for name in chosen
    ]
    rest = set(names) - set(chosen)
    if rest:
        others = dict.fromkeys(periods, 0.0)
        for (period, name), value in values.items():
            if name in rest and period in others:
                others[period] += _good(value)
        rows.append((None, list(others.values())))
    return rows


def _good(value: float) -> float:
    return float(min(value, _LARGEST)) if value > 0 else 0.0  # NaN is not above zero


def _stacked(
    rows: Iterable[tuple[str | None, list[float]]], top: float, width: float
) -> list[Series]:
    below: list[float] = []
    made = []
    for name, row in rows:
        below = below or [0.0] * len(row)
        pieces = [
            _bar(width * index, width, low / top, (low + value) / top)
            for index, (low, value) in enumerate(zip(below, row, strict=True))
            if value
        ]
        below = [low + value for low, value in zip(below, row, strict=True)]
        made.append(Series(name, "".join(pieces), row, sum(row)))
    return made


def _bar(left: float, room: float, low: float, high: float) -> str:
    inset = (room - min(room * _FILLED, _WIDEST)) / 2
    up, down = HEIGHT * (1 - high), HEIGHT * (1 - low)
    return (
        f"M{_told(left + inset)} {_told(down)}V{_told(up)}H{_told(left + room - inset)}"
        f"V{_told(down)}Z"
    )


def _short(number: float) -> float:
    return round(number, 2)


def _told(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _across(periods: Sequence[str]) -> list[Mark]:
    """The first period and some later ones, in equal steps."""
    step = max(1, math.ceil(len(periods) / _MOST_MARKS))
    return [
        Mark(_short(100 * (index + 0.5) / len(periods)), periods[index], number % 2 == 1)
        for number, index in enumerate(range(0, len(periods), step))
    ]


def steps(highest: float, *, are_whole: bool = False) -> list[float]:
    """Return some round numbers from 0 to the first one that is not below a value."""
    if not highest > 0:
        return [0.0, 1.0]
    highest = max(min(highest, _HIGHEST), _LEAST)
    size = 10.0 ** math.floor(math.log10(highest / _MOST_STEPS))
    step = next(size * each for each in _STEPS if size * each * _MOST_STEPS >= highest * _NEARLY)
    if are_whole:
        step = math.ceil(step)
    return [step * index for index in range(math.ceil(highest / step * _NEARLY) + 1)]


def ranges(
    spreads: Iterable[tuple[float | None, float | None, float | None]],
) -> list[Range | None]:
    """Return where the median, the 95th and the 99th percentile of several things are."""
    found = [None if None in each else tuple(_good(one or 0.0) for one in each) for each in spreads]
    top = max((each[-1] for each in found if each is not None), default=0.0)
    return [
        None if each is None or not top else Range(*(_short(100 * one / top) for one in each))
        for each in found
    ]
