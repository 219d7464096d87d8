"""
What a handler does about an event that it can't write.
"""

from __future__ import annotations

import os
import re
import threading

from collections import Counter
from typing import Any
from weakref import WeakSet

from ._ids import timestamp
from .errors import ConfigurationError


__all__ = ["Gap", "Policy"]

_BLOCK = re.compile(r"block:(?P<number>[0-9]+(\.[0-9]+)?)(?P<unit>s|ms)?")
_LONGEST_S = 3600.0


class Policy:
    """
    The option `on_error`.

    Args:
        on_error: `count`; `block:SECONDS` to try again for so long, then count; `raise` to let
            `emit` raise as well.

    Attributes:
        patience_s: For how long to try again, seconds.
        raises: Whether `emit` raises.

    Raises:
        ConfigurationError: for anything else.
    """

    def __init__(self, on_error: object) -> None:
        block = _BLOCK.fullmatch(on_error) if isinstance(on_error, str) else None
        if on_error not in ("count", "raise") and block is None:
            raise ConfigurationError(
                "on_error", on_error, 'Must be one of: count, block:SECONDS (as "block:2s"), raise'
            )
        self.raises = on_error == "raise"
        self.patience_s = 0.0
        if block is not None:
            unit = 1000.0 if block["unit"] == "ms" else 1.0
            self.patience_s = min(float(block["number"]) / unit, _LONGEST_S)


class Gap:
    """
    The events that this process lost since it last wrote something.

    Attributes:
        is_open: Whether there may be any, or something else to tell.
    """

    def __init__(self) -> None:
        self._begin_anew()
        _gaps.add(self)

    def _begin_anew(self) -> None:
        """Forget all, as a forked child must: its parent tells it, and a thread may hold the lock."""
        self._lock = threading.RLock()
        self.is_open = False
        self._first = ""
        self._last = ""
        self._by_cause: Counter[str] = Counter()

    def add(self, cause: str, number: int = 1) -> None:
        """Count lost events."""
        with self._lock:
            self._last = timestamp()
            self._first = self._first or self._last
            self._by_cause[cause] += number
            self.is_open = True

    def take(self) -> dict[str, Any] | None:
        """Return what a notice says of it, and begin anew; None if nothing was lost."""
        with self._lock:
            self.is_open = False
            if not self._by_cause:
                return None
            told = {
                "kind": "loss",
                "from": self._first,
                "to": self._last,
                "dropped": self._by_cause.total(),
                "by_cause": dict(self._by_cause),
            }
            self._first, self._by_cause = "", Counter()
            return told

    def put_back(self, told: dict[str, Any]) -> None:
        """Take back what could not be told."""
        with self._lock:
            self._first = told["from"]
            self._last = self._last if self._by_cause else told["to"]
            self._by_cause.update(told["by_cause"])
            self.is_open = True


_gaps: WeakSet[Gap] = WeakSet()


def _after_fork_in_child() -> None:
    for gap in list(_gaps):
        gap._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
