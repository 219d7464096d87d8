"""
Memory with a bound.
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock
from typing import Any


__all__ = ["Latest"]

_MOST = 10_000


class Latest:
    """The last 10,000 keys and their values, for threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[Any, Any] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, key: Any, value: Any) -> None:
        """Take a value; the oldest one goes when there are too many."""
        with self._lock:
            self._known[key] = value
            if len(self._known) > _MOST:
                self._known.popitem(last=False)

    def get(self, key: Any) -> Any:
        """Return the value of a key, or None."""
        return self._known.get(key)

    def pop(self, key: Any) -> Any:
        """Return the value of a key, or None, and forget it."""
        with self._lock:
            return self._known.pop(key, None)

    def items(self) -> list[tuple[Any, Any]]:
        """Return all keys with their values."""
        with self._lock:
            return list(self._known.items())
