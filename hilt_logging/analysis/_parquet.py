"""
Events as Parquet, by DuckDB.

Files without a fault are read once: the first line that is no event ends that, and so does a line
that DuckDB does not have. Then it is made anew, of what `Database` finds.
"""

from __future__ import annotations

import contextlib
import io
import os
import shutil

from collections.abc import Iterable
from typing import NamedTuple

from .._unfinished import Scratch
from ..errors import MissingDependencyError, ReadError
from ..io.files import LogFile, open_blocks
from ._duckdb import Database, connect, fields_of, is_readable, quoted
from ._inputs import Inputs
from ._lines import Line, Report
from .tables import IS_EVENT, select, structure_of


__all__ = ["MORE", "Order", "write"]

MORE = {"tokens": "metrics.tokens"}
"""Columns that only Parquet has, as expressions of DuckDB."""

_ROWS = 16_384
"""How many events a group of rows has: memory is bounded, and readers skip what they don't need."""
_DICTIONARIES = "DICTIONARY_SIZE_LIMIT 1000, STRING_DICTIONARY_PAGE_SIZE_LIMIT 100000"
"""When values are too many for a dictionary: texts and ids are not gathered for nothing."""
_LEVEL = 1
"""How hard zstd tries: an eighth less time than with 3, for files that are a fourteenth larger."""

_BLOCK = 256 * 1024
_IS_EVENT = "is_an_event"


class Order(NamedTuple):
    """
    What is wanted.

    Attributes:
        columns: Which columns; None for all.
        compression: As in `convert`.
        is_divided: Whether it is a folder by day and provider.
    """

    columns: tuple[str, ...] | None
    compression: str
    is_divided: bool

    @property
    def needed(self) -> tuple[str, ...] | None:
        """The columns that must be read."""
        if self.columns is None or not self.is_divided:
            return self.columns
        return (*self.columns, "timestamp", "provider")

    @property
    def more(self) -> dict[str, str]:
        """Those of `MORE` that are wanted."""
        return {
            name: sql for name, sql in MORE.items() if self.columns is None or name in self.columns
        }

    def copy(self, events: str, part: str) -> str:
        """Return the statement that writes the events of a query."""
        compression = "uncompressed" if self.compression == "none" else self.compression
        options = (
            f"FORMAT parquet, COMPRESSION {compression}, ROW_GROUP_SIZE {_ROWS}, {_DICTIONARIES}"
        )
        if compression == "zstd":
            options += f", COMPRESSION_LEVEL {_LEVEL}"
        if self.is_divided:
            options += ", PARTITION_BY (day, provider), OVERWRITE"
            events = f"SELECT *, strftime(timestamp, '%Y-%m-%d') AS day FROM ({events})"  # noqa: S608
        return f"COPY ({events}) TO {quoted(part)} ({options})"

    def settings(self) -> list[str]:
        """Return the statements that come before it."""
        return [f"SET partitioned_write_flush_threshold = {_ROWS}"] if self.is_divided else []


def write(
    inputs: Inputs,
    order: Order,
    part: str,
    report: Report,
    lines: Iterable[Line] | None = None,
) -> int:
    """
    Write events as Parquet, and return how many there are.

    Args:
        inputs: Where they come from.
        order: What is wanted.
        part: The file, or a folder that is there.
        report: Is called with the error of each line that is no event, and of each file that can't be read.
        lines: What is written in place of the lines that are there.

    Raises:
        MissingDependencyError: if duckdb is not installed.
    """
    if lines is None and not inputs.parquet and not inputs.sqlite:
        events = _written_at_once(inputs.logs, order, part)
        if events is not None:
            return events
        _clear(part)
    with Database(inputs, report, lines=lines) as database:
        for setting in order.settings():
            database.connection.execute(setting)
        source = database.source(order.needed, order.more)
        (count,) = database.connection.execute(order.copy(source, part)).fetchone()  # type: ignore[misc]
        return int(count)


def _written_at_once(logs: list[LogFile], order: Order, part: str) -> int | None:
    """Write the events of files of which every line is one; None where that is not so."""
    paths = list(dict.fromkeys(os.path.realpath(each.path) for each in logs))
    if not paths or not all(map(is_readable, paths)):
        return None
    sizes, lines = _sizes(paths), _lines(paths)
    if lines is None:
        return None
    with Scratch() as scratch:
        connection, error_type = connect(scratch)
        with contextlib.closing(connection):
            try:
                for setting in order.settings():
                    connection.execute(setting)
                copy = order.copy(_every_line(paths, order), part)
                (count,) = connection.execute(copy).fetchone()  # type: ignore[misc]
            except error_type:
                return None
    has_grown = sizes != _sizes(paths)
    return int(count) if count == lines or (has_grown and count > lines) else None


def _every_line(paths: list[str], order: Order) -> str:
    """The query of the columns of all lines; one that is no event is an error."""
    is_raw = order.columns is None or "event" in order.columns
    fields = fields_of(paths, structure_of(order.needed, order.more), is_raw=is_raw)
    others = {**order.more, _IS_EVENT: IS_EVENT}
    columns = select(f"({fields})", order.needed, others=others, where=None)
    first = (order.needed or ("event_id",))[0]
    checked = f"CASE WHEN {_IS_EVENT} THEN {first} ELSE error('') END"
    return f"SELECT * EXCLUDE ({_IS_EVENT}) REPLACE ({checked} AS {first}) FROM ({columns})"  # noqa: S608


def _sizes(paths: list[str]) -> list[int]:
    try:
        return [os.path.getsize(path) for path in paths]
    except OSError:
        return []


def _lines(paths: list[str]) -> int | None:
    """How many lines files have; None where one can't be read to its end."""
    try:
        blocks = (block for path in paths for block in open_blocks(path, size=_BLOCK))
        return sum(sum(1 for _ in io.BytesIO(block)) for block in blocks)  # faster than count
    except (ReadError, MissingDependencyError):
        return None


def _clear(part: str) -> None:
    """Take away what was begun."""
    if os.path.isdir(part):
        shutil.rmtree(part)
        os.mkdir(part)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)
