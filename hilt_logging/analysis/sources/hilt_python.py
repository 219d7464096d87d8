"""
The lines of hilt-python's logs (0.1.0 and 0.2.8), torn and foreign ones among them.
"""

from __future__ import annotations

import json

from collections.abc import Callable
from typing import Any

import msgspec

from ...snapshot import snapshot


__all__ = ["event_in"]


def event_in(line: bytes, refused: Callable[[str], None]) -> dict[str, Any] | None:
    """
    Return what stands in a line; None where that is nothing, or no object of JSON.

    Args:
        line: The line.
        refused: Is called with the reason in the latter case.
    """
    data = line.lstrip(b"\0").removeprefix(b"\xef\xbb\xbf").strip()
    if not data:
        return None
    try:
        event = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        event = _of_no_json(data)
        if event is None:
            refused(f"not an event: not JSON: {error}")
            return None
    if type(event) is not dict:
        refused("not an event: not a JSON object")
        return None
    return event


def _of_no_json(data: bytes) -> dict[str, Any] | None:
    """What Python's json wrote and no other reads: NaN, Infinity and halves of characters."""
    try:
        event = json.loads(data, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    return dict(snapshot(event)) if type(event) is dict else None
