"""How pages say numbers and times."""

from __future__ import annotations

import pytest

from hilt_logging.analysis._page import _shortened, _when, compact, counted, ms, usd
from hilt_logging.analysis._zones import zone_of


pytestmark = pytest.mark.once


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (None, "–"),
        (0, "0"),
        (0.25, "0.25"),
        (9_999, "9,999"),
        (12_345, "12.3 k"),
        (999_999, "1 M"),
        (1_000_000, "1 M"),
        (2_540_000_000, "2.54 B"),
        (10**14, "100 T"),
        (10**400, "1.0e+300"),
    ],
)
def test_compact(number, said):
    """Numbers take few characters, however large."""
    assert said == compact(number)


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (None, "–"),
        (0, "$0"),
        (1e-9, "$1.0e-09"),
        (0.0000123, "$0.0000123"),
        (0.005, "$0.005"),
        (0.5, "$0.50"),
        (0.9999, "$1.00"),
        (7.125, "$7.12"),
        (1234.56, "$1,235"),
        (12_345_678, "$12.3 M"),
    ],
)
def test_usd(cost, said):
    """Money has cents, digits where it is little, and none where it is much."""
    assert said == usd(cost)


@pytest.mark.parametrize(
    ("milliseconds", "said"),
    [
        (None, "–"),
        (0, "0 ms"),
        (812.4, "812 ms"),
        (1234, "1.23 s"),
        (90_000, "1.5 min"),
        (7_200_000, "2 h"),
    ],
)
def test_ms(milliseconds, said):
    """Times have the unit that fits."""
    assert said == ms(milliseconds)


def test_counted():
    """A noun has its plural."""
    assert ["1 call", "0 calls", "1,200 calls"] == [counted(n, "call") for n in (1, 0, 1200)]
    assert "2 entries" == counted(2, "entry", "entries")


@pytest.mark.parametrize(
    ("timestamp", "zone", "said"),
    [
        ("2026-01-02T23:30:00.000000Z", "Europe/Berlin", "2026-01-03 00:30"),
        ("2026-06-30T23:59:60.000000Z", "UTC", "2026-06-30 23:59"),
        ("0001-01-01T00:00:00.000000Z", "America/New_York", "0001-01-01 00:00"),
        ("9999-12-31T23:59:59.999999Z", "Asia/Tokyo", "9999-12-31 23:59"),
        (None, "UTC", "–"),
    ],
)
def test_when(timestamp, zone, said):
    """A time is told in a zone; what no calendar has, and its ends, as they stand."""
    assert said == _when(timestamp, zone_of(zone), 16)


def test_shortened():
    """Of a long id its beginning and its end are shown, and no more than a bound."""
    assert "short" == _shortened("short")
    assert f"{'a' * 35}…{'b' * 12}" == _shortened("a" * 1000 + "b" * 12)
    assert all(len(_shortened(each * 1000)) == 48 for each in ("x", "\u202e", "\ud800"))
