"""
Memory with a bound.
"""

from __future__ import annotations

import os

from collections import OrderedDict
from threading import RLock
from typing import Any
from weakref import WeakSet


__all__ = ["Latest"]

_MOST = 10_000


_all: WeakSet[Latest] = WeakSet()


class Latest:
    """
    The last keys and their values, for threads.

    Args:
        most: How many; 10,000 by default.
    """

    def __init__(self, most: int | None = None) -> None:
        self._known: OrderedDict[Any, Any] = OrderedDict()
        self._most = most
        self.unlock()
        _all.add(self)

    def unlock(self) -> None:
        """Forget who had the lock: a forked child has not the thread that held it."""
        self._lock = RLock()  # what is let go while it is held may ask for something, too

    def __len__(self) -> int:
        return len(self._known)

    def put(self, key: Any, value: Any) -> None:
        """Take a value; the oldest one goes when there are too many."""
        with self._lock:
            self._known[key] = value
            if len(self._known) > (self._most or _MOST):
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


def _unlock_all() -> None:
    for each in list(_all):
        each.unlock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlock_all)
