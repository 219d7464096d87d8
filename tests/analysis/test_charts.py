"""Where bars, marks and ranges are."""

from __future__ import annotations

import datetime
import math
import re

import pytest

from hilt_logging.analysis._charts import (
    HEIGHT,
    MOST_BARS,
    MOST_SERIES,
    WIDTH,
    Range,
    bars,
    periods_between,
    ranges,
    steps,
    unit_of,
)


PIECE = re.compile(r"M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)V([\d.]+)Z")


def boxes(path):
    """Left, top, right and bottom of each bar of a path, which has nothing else."""
    assert "" == PIECE.sub("", path)
    found = [tuple(map(float, piece)) for piece in PIECE.findall(path)]
    assert all(bottom == again for _, bottom, _, _, again in found)
    return [(left, top, right, bottom) for left, bottom, top, right, _ in found]


def drawn(values, **options):
    return bars("day", values, label=str, **options)


def test_bars_stand_on_each_other():
    """A bar begins where the one below it ends, as high as its share of the highest mark."""
    plot = drawn({("2026-01-01", "a"): 2, ("2026-01-01", "b"): 1, ("2026-01-02", "a"): 4})
    assert ["a", "b"] == [each.name for each in plot.series]
    first, second = boxes(plot.series[0].path)
    (above,) = boxes(plot.series[1].path)
    assert (HEIGHT / 2, HEIGHT) == (first[1], first[3])
    assert (HEIGHT / 4, HEIGHT / 2) == (above[1], above[3])
    assert (0, HEIGHT) == (second[1], second[3])
    assert first[2] < WIDTH / 2 < second[0]
    assert [3, 4] == plot.totals


def test_every_bar_is_in_the_plot():
    """Of whatever values there are, nothing is outside, and each number is one."""
    values = {
        (f"2026-01-{day:02d}", name): value
        for day, value in enumerate([1e308, -5, math.nan, 0, 1e-320, math.inf, 3, 10**400], 1)
        for name in "abc"
    }
    plot = drawn(values)
    found = [box for each in plot.series for box in boxes(each.path)]
    assert found
    for left, top, right, bottom in found:
        assert 0 <= left < right <= WIDTH
        assert 0 <= top <= bottom <= HEIGHT
    assert all(0 <= mark.at <= 100 for mark in (*plot.up, *plot.across))
    assert all(map(math.isfinite, plot.totals))


@pytest.mark.parametrize("values", [{}, {("2026-01-01", "a"): 0.0}])
def test_nothing(values):
    """Without values, or with zeros alone, there are no bars, and an axis from 0 to 1."""
    plot = drawn(values)
    assert plot.is_empty
    assert all("" == each.path for each in plot.series)
    assert ["0.0", "1.0"] == [mark.label for mark in plot.up]


def test_one_period():
    """A single bar is in the middle, and no wall."""
    plot = drawn({("2026-01-01", "a"): 4})
    ((left, top, right, bottom),) = boxes(plot.series[0].path)
    assert (WIDTH / 2, 0, HEIGHT) == ((left + right) / 2, top, bottom)
    assert right - left < WIDTH / 5
    assert [50.0] == [mark.at for mark in plot.across]


def test_periods_without_anything_have_room():
    """Time goes on where nothing happened."""
    plot = drawn({("2026-01-01", "a"): 1, ("2026-01-04", "a"): 1})
    assert ["2026-01-01", "2026-01-02", "2026-01-03", "2026-01-04"] == plot.periods
    first, last = boxes(plot.series[0].path)
    assert 3 * WIDTH / 4 < last[0]
    assert first[2] < WIDTH / 4


def test_many_series():
    """Those with the largest sums have a colour of their own; the rest is one series."""
    values = {("2026-01-01", f"m{number:02d}"): float(100 - number) for number in range(30)}
    plot = drawn(values)
    assert MOST_SERIES + 1 == len(plot.series)
    assert [*(f"m{number:02d}" for number in range(MOST_SERIES)), None] == [
        each.name for each in plot.series
    ]
    assert sum(values.values()) == sum(each.total for each in plot.series) == plot.totals[0]


def test_named_series():
    """Series are in the order that is asked for, and what is not asked for is not there."""
    values = {("2026-01-01", "a"): 1, ("2026-01-01", "b"): 9}
    assert ["a"] == [each.name for each in drawn(values, names=["a"]).series]
    assert [1] == drawn(values, names=["a"]).totals


def test_more_periods_than_bars():
    """The last periods are shown, and how many before them had something."""
    values = {("2020-01-01", "a"): 1, ("2020-01-02", "a"): 1, ("2026-01-01", "a"): 1}
    plot = drawn(values)
    assert (MOST_BARS, "2026-01-01", 2) == (len(plot.periods), plot.periods[-1], plot.left_out)


@pytest.mark.parametrize(
    ("unit", "first", "last", "expected"),
    [
        ("hour", "2026-02-28 23:00", "2026-03-01 01:00", ["00:00", 3]),
        ("day", "2024-02-28", "2024-03-01", ["02-29", 3]),
        ("week", "2020-W52", "2021-W01", ["W53", 3]),
        ("month", "2025-12", "2026-02", ["2026-01", 3]),
        ("year", "2024", "2026", ["2025", 3]),
        ("day", "0001-01-01", "0001-01-02", ["0001-01-02", 2]),
    ],
)
def test_periods_between(unit, first, last, expected):
    """The calendar decides what is between."""
    found = periods_between(unit, first, last)
    assert (first, last, expected[1]) == (found[0], found[-1], len(found))
    assert found[1].endswith(expected[0])


@pytest.mark.parametrize(
    ("days", "unit"),
    [
        (0, "hour"),
        (4, "hour"),
        (5, "day"),
        (119, "day"),
        (120, "week"),
        (900, "month"),
        (9000, "year"),
    ],
)
def test_unit(days, unit):
    """There are never more bars than fit, nor a single one where there could be some."""
    first = datetime.datetime(2000, 1, 1, 12)
    assert unit == unit_of(first, first + datetime.timedelta(days=days))


@pytest.mark.parametrize(
    ("highest", "expected"),
    [
        (0, [0, 1]),
        (math.nan, [0, 1]),
        (-3, [0, 1]),
        (1, [0, 0.25, 0.5, 0.75, 1]),
        (7, [0, 2, 4, 6, 8]),
        (100, [0, 25, 50, 75, 100]),
    ],
)
def test_steps(highest, expected):
    """Marks are at round numbers."""
    assert expected == pytest.approx(steps(highest))


@pytest.mark.parametrize("highest", [10.0**power * 3.7 for power in range(-300, 300, 25)])
def test_steps_reach(highest):
    """The last mark is not below the value, and there are few."""
    found = steps(highest)
    assert found[-2] < highest <= found[-1] * (1 + 1e-9)
    assert 2 <= len(found) <= 5


def test_whole_steps():
    """What is counted has no halves."""
    assert [0, 1] == steps(1, are_whole=True)
    assert [0, 1, 2, 3] == steps(3, are_whole=True)


def test_ranges():
    """All ranges have one scale, and what has no percentiles has none."""
    assert [Range(10, 50, 100), None, Range(0, 0, 25)] == ranges(
        [(10.0, 50.0, 100.0), (None, None, None), (0.0, 0.0, 25.0)]
    )
    assert [None] == ranges([(0.0, 0.0, 0.0)])
