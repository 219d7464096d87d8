"""
Questions in SQL to the files of a log, where they lie.
"""

from __future__ import annotations

import csv
import io
import os
import shutil

from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any, NoReturn

import msgspec

from ..errors import ConfigurationError
from ..io.reader import Faults
from ._duckdb import Database, quoted
from ._inputs import Paths
from ._lines import Report
from ._outputs import whole


__all__ = ["FORMATS", "Answer", "query"]

FORMATS = ("csv", "json", "jsonl", "parquet")
_BATCH = 2_000
_ZONED = "TIMESTAMP WITH TIME ZONE"
_SAID_OF_DATA = ("Conversion", "InvalidInput", "OutOfRange", "Data", "Constraint")


def query(
    sql: str,
    paths: Paths,
    *,
    report: Report | None = None,
    rotated: bool = True,
) -> Answer:
    """
    Return the answer to a question in DuckDB's SQL.

    There are the views `events`, with the columns of `tables.COLUMNS`, and `conversations`. A question
    is one SELECT (or DESCRIBE, SHOW, SUMMARIZE): it changes no file, and reads none but those
    of *paths*; there is no network. Memory is bounded: DuckDB may have 1 GB, and goes on in a
    temporary folder then.

    Args:
        sql: The question.
        paths: Files, folders and patterns, of logs (plain, rotated, compressed) and of Parquet that
            `convert` made.
        report: Is called with the error of each line that is no event, and of each file that can't
            be read; they are counted in `Answer.faults` too.
        rotated: Whether a log that is named means its rotated files, too.

    Raises:
        MissingDependencyError: if duckdb is not installed.
        ConfigurationError: for a question that is wrong, or none.
        ReadError: if the only path is not there.
    """
    faults = Faults(report)
    database = Database(paths, faults, rotated=rotated)
    try:
        database.make_views()
        return Answer(sql, database, faults)
    except BaseException:
        database.close()
        raise


class Answer:
    """
    The rows of an answer. They can be had once; to be used as a context manager.

    Attributes:
        columns: The names of the columns.
        faults: What could not be read.
        events: How many events there are.
    """

    def __init__(self, sql: str, database: Database, faults: Faults) -> None:
        self.faults = faults
        self.events = database.events
        self._sql = sql
        self._database = database
        self._connection = database.connection
        self._demand_one_question()
        self.columns: tuple[str, ...] = ()
        database.give_lines_for(sql)
        self._ask(sql)

    def _demand_one_question(self) -> None:
        with _Errors(self._sql):
            statements = self._connection.extract_statements(self._sql)
        if [each.type.name for each in statements] != ["SELECT"]:
            _refuse(self._sql, "Must be one SELECT: a log is read, and never changed")

    def _ask(self, sql: str) -> None:
        with _Errors(self._sql):
            columns = self._connection.execute(sql).description or []
        self.columns = tuple(name for name, *_ in columns)
        zoned = [name for name, kind, *_ in columns if str(kind) == _ZONED]
        if zoned:  # Python's own types, without a package for time zones
            self._make_view()
            replaced = ", ".join(
                f"{_name(each)} AT TIME ZONE 'UTC' AS {_name(each)}" for each in zoned
            )
            with _Errors(self._sql):
                self._connection.execute(f"SELECT * REPLACE ({replaced}) FROM answer")  # noqa: S608

    def _make_view(self) -> None:
        with _Errors(self._sql):
            self._connection.execute(f"CREATE OR REPLACE TEMP VIEW answer AS {self._sql}")

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        while rows := self._rows():
            yield from rows

    def _rows(self) -> list[tuple[Any, ...]]:
        with _Errors(self._sql):
            return self._connection.fetchmany(_BATCH)

    def dicts(self) -> Iterator[dict[str, Any]]:
        """Yield the rows as dicts."""
        for row in self:
            yield dict(zip(self.columns, row, strict=True))

    def write(
        self, path: str | os.PathLike[str], format: str | None = None, *, force: bool = False
    ) -> None:
        """
        Write the rows to a file, which appears whole or not at all.

        Args:
            path: The file.
            format: `csv`, `json` (one array), `jsonl` (an object a line) or `parquet`; by default
                what the file's name ends with.
            force: Take the place of a file that is there.

        Raises:
            ConfigurationError: for an output that is there or can't be, or another format.
        """
        path = os.fspath(path)
        chosen = format or os.path.splitext(path)[1].removeprefix(".")
        if chosen not in FORMATS:
            raise ConfigurationError("format", chosen, f"Must be one of: {', '.join(FORMATS)}")
        with whole(path, force=force) as part:
            if chosen == "parquet":
                self._write_parquet(part)
                return
            with open(part, "wb") as file:
                self.print(file.write, chosen)

    def _write_parquet(self, part: str) -> None:
        self._make_view()
        made = self._database.result
        with _Errors(self._sql):
            copy = f"COPY answer TO {quoted(made)} (FORMAT parquet, COMPRESSION zstd)"
            self._connection.execute(copy)
        shutil.copyfile(made, part)
        os.unlink(made)

    def print(self, write: Callable[[bytes], object], format: str) -> None:
        """
        Write the rows as text.

        Args:
            write: Is given the pieces.
            format: `csv`, `json` or `jsonl`.
        """
        for piece in _WRITERS[format](self):
            write(piece)

    def close(self) -> None:
        """Give everything back."""
        self._database.close()

    def __enter__(self) -> Answer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Errors:
    """What DuckDB says becomes an error of ours; what it says of values is not repeated."""

    def __init__(self, sql: str) -> None:
        self._sql = sql

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        import duckdb

        if not isinstance(error, duckdb.Error):
            return
        name = type(error).__name__
        if name.startswith(_SAID_OF_DATA):
            _refuse(self._sql, f"{name}: a value does not fit; try_cast makes it null")
        _refuse(self._sql, str(error).partition("\n")[0])


def _refuse(sql: str, why: str) -> NoReturn:
    raise ConfigurationError("SQL", sql, why) from None


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'


def _csv(answer: Answer) -> Iterator[bytes]:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(answer.columns)
    for number, row in enumerate(answer, 1):
        writer.writerow(map(_cell, row))
        if number % _BATCH == 0:
            yield _taken(buffer)
    yield _taken(buffer)


def _taken(buffer: io.StringIO) -> bytes:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text.encode()


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict | bool | bytes) or hasattr(value, "isoformat"):
        plain = msgspec.to_builtins(value, str_keys=True, enc_hook=str)
        return plain if isinstance(plain, str) else msgspec.json.encode(plain).decode()
    return value


def _jsonl(answer: Answer) -> Iterator[bytes]:
    for row in answer.dicts():
        yield msgspec.json.encode(row, enc_hook=str) + b"\n"


def _json(answer: Answer) -> Iterator[bytes]:
    before = b"["
    for row in answer.dicts():
        yield before + msgspec.json.encode(row, enc_hook=str)
        before = b",\n "
    yield b"[]\n" if before == b"[" else b"]\n"


_WRITERS: dict[str, Callable[[Answer], Iterator[bytes]]] = {
    "csv": _csv,
    "json": _json,
    "jsonl": _jsonl,
}
