"""
How often calls fail, in two periods, and how much of the difference may be chance.
"""

from __future__ import annotations

import math

from collections.abc import Sequence

import msgspec

from ._figures import Figures


__all__ = ["Rate", "difference_between", "interval_of", "rates_of"]

_Z = 1.959963984540054  # of 95 in 100 under the bell curve
_RATES = {
    "failed": ("failed", ("calls",)),
    "refused": ("refused", ("calls",)),
    "retried": ("retried", ("calls", "retried")),
}


class Rate(msgspec.Struct, kw_only=True):
    """
    Which part of something came to something.

    Attributes:
        count_before: How many did before.
        of_before: Of how many.
        before: Which part this is; None of nothing.
        count_after: How many did after.
        of_after: Of how many.
        after: Which part this is; None of nothing.
        difference: How much more it is after.
        low: What is behind it is no less than this, 95 times in 100, as in `difference_between`.
        high: Nor more than this.
        is_within_chance: Whether there may be no difference; None where one can't be told.
    """

    count_before: int
    of_before: int
    before: float | None = None
    count_after: int
    of_after: int
    after: float | None = None
    difference: float | None = None
    low: float | None = None
    high: float | None = None
    is_within_chance: bool | None = None


def rates_of(before: Figures, after: Figures) -> dict[str, Rate]:
    """Return the rates of calls and attempts in two periods, by name."""
    return {name: _rate(before, after, *made_of) for name, made_of in _RATES.items()}


def _rate(before: Figures, after: Figures, part: str, whole: Sequence[str]) -> Rate:
    count_before, count_after = getattr(before, part), getattr(after, part)
    of_before, of_after = (sum(getattr(each, name) for name in whole) for each in (before, after))
    rate = Rate(
        count_before=count_before,
        of_before=of_before,
        before=count_before / of_before if of_before else None,
        count_after=count_after,
        of_after=of_after,
        after=count_after / of_after if of_after else None,
    )
    if rate.before is not None and rate.after is not None:
        rate.difference = rate.after - rate.before
        rate.low, rate.high = difference_between(count_before, of_before, count_after, of_after)
        rate.is_within_chance = rate.low <= 0 <= rate.high
    return rate


def interval_of(count: int, of: int) -> tuple[float, float]:
    """
    Return between what a rate lies, 95 times in 100, of which some cases were seen.

    It is the score interval of E. B. Wilson, "Probable inference, the law of succession, and statistical
    inference", Journal of the American Statistical Association 22 (1927), 209-212.

    Args:
        count: How many cases came to it.
        of: Of how many, at least one.
    """
    rate, square = count / of, _Z * _Z
    middle = rate + square / (2 * of)
    half = _Z * math.sqrt(rate * (1 - rate) / of + square / (4 * of * of))
    low, high = ((middle + side) / (1 + square / of) for side in (-half, half))
    return max(0.0, low), min(1.0, high)


def difference_between(
    count_before: int, of_before: int, count_after: int, of_after: int
) -> tuple[float, float]:
    """
    Return between what the difference of two rates lies, 95 times in 100.

    It is method 10 of R. G. Newcombe, "Interval estimation for the difference between independent
    proportions: comparison of eleven methods", Statistics in Medicine 17 (1998), 873-890, which makes
    it of the two intervals of Wilson. If 0 is in it, chance alone may have made the difference.

    Args:
        count_before: How many cases came to it before.
        of_before: Of how many, at least one.
        count_after: How many came to it after.
        of_after: Of how many, at least one.
    """
    before, after = count_before / of_before, count_after / of_after
    low_before, high_before = interval_of(count_before, of_before)
    low_after, high_after = interval_of(count_after, of_after)
    difference = after - before
    return (
        difference - math.hypot(after - low_after, high_before - before),
        difference + math.hypot(high_after - after, before - low_before),
    )
