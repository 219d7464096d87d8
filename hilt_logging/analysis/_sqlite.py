"""
Events as an SQLite database: a table, a full-text index and a view of the conversations.
"""

from __future__ import annotations

import contextlib
import sqlite3

from collections.abc import Iterable, Iterator
from typing import Any

from ._lines import Line
from .tables import COLUMNS, EVENTS, NAMES, Column, conversations


__all__ = ["write"]

_TYPES = {"VARCHAR": "TEXT", "TIMESTAMP": "TEXT", "BIGINT": "INTEGER", "DOUBLE": "REAL"}
_IS_NOTICE = "action = 'system' AND json_extract(event, '$.extensions.notice') IS NOT NULL"
_INDEXED = ("event_id", "session_id", "timestamp", "user_id", "model")


def write(lines: Iterable[Line], path: str, columns: tuple[str, ...] | None) -> int:
    """
    Write events to a database, and return how many there were.

    Args:
        lines: The events.
        path: The file, which is empty.
        columns: The names of the columns that are wanted; all by default.
    """
    chosen = [each for each in COLUMNS if columns is None or each.name in columns]
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = OFF")  # the file is thrown away if this fails
        database.execute("PRAGMA synchronous = OFF")
        database.execute("BEGIN")
        fields = ", ".join(f"{each.name} {_TYPES[each.type]}" for each in chosen)
        database.execute(f"CREATE TABLE {EVENTS} (id INTEGER PRIMARY KEY, {fields})")
        marks = ", ".join("?" * len(chosen))
        names = ", ".join(each.name for each in chosen)
        rows = _Counted(_rows(lines, chosen))
        database.executemany(f"INSERT INTO {EVENTS} ({names}) VALUES ({marks})", rows)  # noqa: S608
        _index(database, {each.name for each in chosen})
        database.execute("COMMIT")
    return rows.count


class _Counted:
    """Rows on their way, one at a time."""

    def __init__(self, rows: Iterator[list[Any]]) -> None:
        self._rows = rows
        self.count = 0

    def __iter__(self) -> _Counted:
        return self

    def __next__(self) -> list[Any]:
        row = next(self._rows)
        self.count += 1
        return row


def _rows(lines: Iterable[Line], columns: list[Column]) -> Iterator[list[Any]]:
    for line in lines:
        yield [_value(line, each) for each in columns]


def _value(line: Line, column: Column) -> Any:
    if column.name == "event":
        return line.data.decode()
    value = column.get(line.event)
    if column.type == "TIMESTAMP" and value is not None:
        return f"{value.isoformat(timespec='microseconds')}Z"
    return value


def _sum_of(column: str) -> str:
    """Of whole numbers, sum would fail where it is too large."""
    return f"CASE WHEN count({column}) > 0 THEN CAST(total({column}) AS INTEGER) END"


def _index(database: sqlite3.Connection, names: set[str]) -> None:
    for name in _INDEXED:
        if name in names:
            database.execute(f"CREATE INDEX {EVENTS}_{name} ON {EVENTS} ({name})")
    if names.issuperset(NAMES):
        view = conversations(is_notice=_IS_NOTICE, sum_of=_sum_of)
        database.execute(f"CREATE VIEW conversations AS {view}")
    if "text" in names:
        index = f"{EVENTS}_fts"
        options = f"content = '{EVENTS}', content_rowid = 'id'"
        database.execute(f"CREATE VIRTUAL TABLE {index} USING fts5 (text, {options})")
        database.execute(f"INSERT INTO {index} ({index}) VALUES ('rebuild')")  # noqa: S608
