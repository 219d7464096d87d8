"""
Times and numbers, in whatever way they were written.
"""

from __future__ import annotations

import datetime
import math

from typing import Any

from ...integrations._fields import field


__all__ = ["moment", "named", "number", "sortable", "whole"]


def moment(value: Any) -> datetime.datetime | None:
    """Return a time that was written in any of the usual ways, in UTC; None where it is none."""
    try:
        if isinstance(value, str):
            value = datetime.datetime.fromisoformat(value.strip())
        elif type(value) in (int, float):
            seconds = value / next((f for f in (1e9, 1e6, 1e3) if abs(value) >= f * 1e8), 1)
            value = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
        if not isinstance(value, datetime.datetime):
            return None
        if value.tzinfo is None:
            return value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def number(value: Any) -> float | None:
    """Return a finite number, also one that was written as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if type(value) not in (int, float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def whole(value: Any) -> int | None:
    """Return a whole number that is not negative, also one that was written as a text."""
    found = number(value)
    return int(found) if found is not None and 0 <= found < 2**53 and found == int(found) else None


def sortable(value: Any) -> str:
    """Return a time in a form whose order is that of time; an empty text for what is none."""
    when = moment(value)
    return "" if when is None else when.isoformat()


def named(source: Any, name: str) -> str | None:
    """Return a field that is a text or a whole number, as a text."""
    value = field(source, name)
    return str(value) if type(value) in (str, int) and value != "" else None
