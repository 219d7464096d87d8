"""Rates, and what of a difference between them chance alone may make."""

from __future__ import annotations

import pytest

from hypothesis import given
from hypothesis import strategies as st

from hilt_logging.analysis._figures import Figures
from hilt_logging.analysis._rates import difference_between, interval_of, rates_of


@pytest.mark.parametrize(
    ("count", "of", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_interval(count, of, low, high):
    """Newcombe's examples of Wilson's interval (Statistics in Medicine 17, 857-872, 1998)."""
    assert (low, high) == tuple(round(each, 4) for each in interval_of(count, of))


@pytest.mark.parametrize(
    ("after", "before", "low", "high"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 10), -0.2775, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_difference(after, before, low, high):
    """Newcombe's examples of his method 10 (Statistics in Medicine 17, 873-890, 1998)."""
    assert (low, high) == tuple(round(each, 4) for each in difference_between(*before, *after))


counts = st.integers(1, 10**6).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))


@given(counts, counts)
def test_any_difference(before, after):
    """A difference lies in its interval, which turns over when the periods are exchanged."""
    low, high = difference_between(*before, *after)
    difference = after[0] / after[1] - before[0] / before[1]
    assert -1 - 1e-9 <= low <= difference <= high <= 1 + 1e-9
    assert (-high, -low) == pytest.approx(difference_between(*after, *before))


def test_marks():
    """The same rates are told apart where there are enough calls; of none nothing is told."""
    few = rates_of(Figures(calls=30, failed=1), Figures(calls=30, failed=3))["failed"]
    many = rates_of(Figures(calls=3000, failed=100), Figures(calls=3000, failed=300))["failed"]
    none = rates_of(Figures(), Figures(calls=30, failed=3))["failed"]
    assert (True, False, None) == tuple(each.is_within_chance for each in (few, many, none))
    assert (1 / 30, 0.1) == (few.before, few.after) == (many.before, many.after)
    assert (None, 0.1, None, None) == (none.before, none.after, none.difference, none.low)


def test_attempts():
    """Attempts that were made again are a part of all attempts: of calls and of themselves."""
    found = rates_of(Figures(calls=6, refused=3), Figures(calls=6, retried=2))
    assert (2, 8, 0.25) == (
        found["retried"].count_after,
        found["retried"].of_after,
        found["retried"].after,
    )
    assert (3, 6, 0.5) == (
        found["refused"].count_before,
        found["refused"].of_before,
        found["refused"].before,
    )
