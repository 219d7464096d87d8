"""
What went wrong where nothing may raise: counted, and told without content every few seconds.
"""

from __future__ import annotations

import atexit
import itertools
import logging
import os
import sys
import time
import weakref

from collections.abc import Callable, Iterator


__all__ = ["Tally", "Troubles", "to_logger", "to_stderr"]

_EVERY_S = 5.0


class Tally:
    """A count that threads and signal handlers may raise at the same time, without a lock."""

    def __init__(self) -> None:
        self._count = itertools.count()
        self.add = self._count.__next__

    def value(self) -> int:
        """Return how often `add` was called."""
        return int(repr(self._count)[len("count(") : -1])


class Troubles:
    """
    Failures by cause, and a way to tell somebody.

    Args:
        tell: Is called with one line, at most once in five seconds for all that happened since, and
            when the process ends.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told_at = float("-inf")
        self._untold = 0
        self._last = "", ""
        self._tallies: dict[str, Tally] = {}
        _all.add(weakref.ref(self, _all.discard))

    def count(self, cause: str, where: str, times: int = 1) -> None:
        """
        Count one failure, or several; never raises.

        Args:
            cause: A word that tells the kind, e.g. the name of an exception class or of an errno.
            where: Which part of the software.
            times: How many.
        """
        tally = self._tallies.setdefault(cause, Tally())
        for _ in range(times):
            tally.add()
        self._last = where, cause
        self._untold += times
        if time.monotonic() - self._told_at >= _EVERY_S:
            self.tell()

    def tell(self) -> None:
        """Tell what was not told yet; never raises."""
        if not self._untold:
            return
        where, cause = self._last
        self._told_at, count, self._untold = time.monotonic(), self._untold, 0
        try:
            self._tell(f"{where}: {count} event(s) with trouble, the last one: {cause}")
        except Exception:  # stderr may be closed, and a logging handler may fail
            self._untold += count

    def forget(self) -> None:
        """Leave it to the parent of a forked process to tell what happened there."""
        self._untold = 0

    def by_cause(self) -> dict[str, int]:
        """Return how often each cause was counted."""
        return {cause: tally.value() for cause, tally in self._tallies.copy().items()}


_all: set[weakref.ref[Troubles]] = set()


def _those_that_are_there() -> Iterator[Troubles]:
    for reference in list(_all):
        if (troubles := reference()) is not None:
            yield troubles


@atexit.register
def _tell_the_rest() -> None:
    for troubles in _those_that_are_there():
        troubles.tell()


def _after_fork_in_child() -> None:
    for troubles in _those_that_are_there():
        troubles.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def to_stderr(line: str) -> None:
    """Write one line to stderr, past `logging`: a file handler must not log while it writes."""
    if sys.stderr is not None:
        sys.stderr.write(f"hilt_logging: {line}\n")


def to_logger(name: str) -> Callable[[str], None]:
    """Return what tells a logger of the diagnostics tree."""
    return logging.getLogger(name).warning
