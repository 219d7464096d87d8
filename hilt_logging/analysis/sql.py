"""
Questions in SQL to the files of a log, where they lie.
"""

from __future__ import annotations

import os
import shutil

from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import ConfigurationError
from ..io.files import several
from ..io.reader import Faults
from ._answers import FORMATS, Answer
from ._duckdb import Database, quoted
from ._inputs import Paths, inputs_of
from ._lines import Report
from ._stored import opened_lines


if TYPE_CHECKING:
    from pyspark.sql import SparkSession


__all__ = ["FORMATS", "Answer", "query"]

_BATCH = 2_000
_ZONED = "TIMESTAMP WITH TIME ZONE"
_SAID_OF_DATA = ("Conversion", "InvalidInput", "OutOfRange", "Data", "Constraint")


def query(
    sql: str,
    paths: Paths,
    *,
    report: Report | None = None,
    rotated: bool = True,
    engine: str = "duckdb",
    spark: SparkSession | None = None,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
) -> Answer:
    """
    Return the answer to a question in SQL, as the engine knows it.

    There are the views `events`, with the columns of `tables.COLUMNS`, and `conversations`. A question
    is one SELECT (or DESCRIBE, SHOW, SUMMARIZE): it changes no file. DuckDB reads none but those
    of *paths*, and there is no network; Spark reads what its session may. Memory is bounded: DuckDB may
    have 1 GB, and goes on in a temporary folder then.

    Args:
        sql: The question, in the words of the engine.
        paths: Files, folders and patterns, of logs (plain, rotated, compressed) and of Parquet that
            `convert` made. With Spark also `s3a://...` and whatever else it reads.
        report: Is called with the error of each line that is no event, and of each file that can't
            be read; they are counted in `Answer.faults` too.
        rotated: Whether a log that is named means its rotated files, too.
        engine: `duckdb`, `spark`, or `spark:` and a master, as `spark:local[2]`.
        spark: A session of Spark to ask; it is copied, and neither changed nor stopped.
        keys: Private keys that open what is encrypted; all events are held then. For DuckDB.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.

    Raises:
        MissingDependencyError: if the engine is not installed.
        ConfigurationError: for a question that is wrong, or none, or another engine.
        ReadError: if the only path is not there.
    """
    faults = Faults(report)
    private = several(keys)
    if spark is not None or engine != "duckdb":
        if private or key_store is not None:
            raise ConfigurationError("key", engine, "Only DuckDB is asked with keys")
        from ._spark import master_of
        from ._spark_answer import answer_of

        master = None if spark is not None else master_of(engine)
        return answer_of(sql, paths, faults, rotated=rotated, session=spark, master=master)
    inputs = inputs_of(paths, faults, rotated=rotated)
    opened = opened_lines(inputs, private, key_store, shared=shared_key_file)
    database = Database(inputs, faults, lines=None if opened is None else opened.lines(faults))
    try:
        database.make_views()
        return _Answer(sql, database, faults, inputs.files)
    except BaseException:
        database.close()
        raise


class _Answer(Answer):
    """That of DuckDB."""

    def __init__(self, sql: str, database: Database, faults: Faults, read: list[str]) -> None:
        self.faults = faults
        self._read = read
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

    def _write_parquet(self, part: str) -> None:
        self._make_view()
        made = self._database.result
        with _Errors(self._sql):
            copy = f"COPY answer TO {quoted(made)} (FORMAT parquet, COMPRESSION zstd)"
            self._connection.execute(copy)
        shutil.copyfile(made, part)
        os.unlink(made)

    def close(self) -> None:
        """Give everything back."""
        self._database.close()


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
