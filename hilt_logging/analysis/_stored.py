"""
The events of logs, and of the Parquet and SQLite that were made of them, line by line.
"""

from __future__ import annotations

from collections.abc import Iterator

from ._duckdb import Database
from ._inputs import Inputs, sqlite_lines
from ._lines import Line, Report, lines_of


__all__ = ["stored_lines"]


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
