"""Times and numbers are the same in each way of writing them."""

from __future__ import annotations

import datetime

import pytest

from hilt_logging.analysis.sources.values import moment, number, whole


pytestmark = pytest.mark.once

START = datetime.datetime(2026, 11, 23, 7, tzinfo=datetime.timezone.utc)


@pytest.mark.parametrize(
    "value",
    [
        "2026-11-23T07:00:00Z",
        "2026-11-23T07:00:00.000000",
        "2026-11-23 07:00:00.000",
        "2026-11-23T08:00:00+01:00",
        1795417200,
        1795417200.0,
        1795417200000,
        1795417200000000,
        1795417200000000000,
    ],
)
def test_moment(value):
    """A time is the same in each way of writing it; without an offset it is UTC."""
    assert START == moment(value)


@pytest.mark.parametrize("value", [None, "", "soon", True, [], {}, 1e308, float("nan"), 10**400])
def test_no_moment(value):
    """What is no time is none."""
    assert None is moment(value)


def test_numbers():
    """Numbers may be written as texts; what is not finite, or no number, is none."""
    assert [0.5, 0.5, 2.0] == [number(0.5), number("0.5"), number(2)]
    assert [None] * 6 == [number(each) for each in (None, "x", True, "nan", 10**400, float("inf"))]
    assert [3, 3, 0] == [whole(3), whole("3"), whole(0.0)]
    assert [None] * 4 == [whole(each) for each in (-1, 0.5, "x", 2**60)]
