"""
The events of logs, and of the Parquet and SQLite that were made of them, line by line.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from ..events import encode
from ._duckdb import Database
from ._inputs import Inputs, sqlite_lines
from ._lines import Line, Report, lines_of
from ._opening import Open, opening


__all__ = ["OpenedLines", "opened_lines", "stored_lines"]


def stored_lines(inputs: Inputs, report: Report) -> Iterator[Line]:
    """
    Yield the lines of what paths mean.

    Args:
        inputs: What they mean.
        report: Is called with the error of each line that holds no event, and of each file that can't be
            read, or not to its end.

    Raises:
        MissingDependencyError: if duckdb is not installed, for Parquet.
    """
    yield from lines_of(inputs.logs, report)
    yield from sqlite_lines(inputs.sqlite, report)
    if inputs.parquet:
        with Database(inputs._replace(logs=[], sqlite=[]), report) as database:
            yield from database.stored_lines()


class OpenedLines:
    """
    The lines of what paths mean, opened where that can be done.

    Args:
        inputs: What they mean.
        open: What opens an event.

    Attributes:
        opened: How many were opened when they were read for the last time.
        hidden: How many stay encrypted, by the reason.
    """

    def __init__(self, inputs: Inputs, open: Open) -> None:
        self._inputs = inputs
        self._open = open
        self.opened = 0
        self.hidden: Counter[str] = Counter()

    def lines(self, report: Report) -> Iterator[Line]:
        """Yield them."""
        self.opened = 0
        self.hidden.clear()
        for line in stored_lines(self._inputs, report):
            event, reason = self._open(line.event)
            if reason is not None:
                self.hidden[reason] += 1
            if event is line.event:
                yield line
            else:
                self.opened += 1
                yield line._replace(data=encode(event), event=event)


def opened_lines(
    inputs: Inputs, keys: Iterable[Any], key_store: Any, *, shared: bool
) -> OpenedLines | None:
    """
    Return what opens lines with keys, or None where there are none.

    Raises:
        ConfigurationError: for a key or a key store that can't be had.
    """
    private = list(keys)
    if not private and key_store is None:
        return None
    return OpenedLines(inputs, opening(private, key_store, shared=shared))
