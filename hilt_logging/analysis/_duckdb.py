"""
DuckDB over the files of a log: in memory, without network, and with nothing else in its reach.

DuckDB reads the files itself. What it can't read as our reader does (a damaged or misnamed archive,
a line of more than 16 MiB, a byte order mark, NUL bytes that a crash left) is handed to it line by
line; what is no event is found by a count, and told by a second reading of those files alone.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import stat

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Self

from .._unfinished import Scratch
from ..errors import MissingDependencyError, ReadError
from ..io.files import LONGEST, LogFile
from ._inputs import Inputs, Paths, inputs_of, sqlite_lines, stored_line
from ._lines import Line, Report, lines_of
from .tables import (
    COLUMNS,
    EVENTS,
    IS_EVENT,
    IS_NOTICE,
    IS_NOTICE_IN_LINE,
    NAMES,
    STRUCTURE,
    conversations,
    select,
    structure_of,
)


if TYPE_CHECKING:
    import duckdb


__all__ = [
    "Database",
    "connect",
    "fields_of",
    "is_readable",
    "objects",
    "plain_fields",
    "quoted",
    "raw_fields",
]

_MEMORY = "1GB"
_BATCH = 2_000
_HELD_AT_ONCE = 4 * 1024 * 1024
_END, _SQLITE, _GIVEN = -1, -2, -3
_ALL, _LINE = "log.every_event", "line_of_the_event"
_STORED = {"event": "VARCHAR", "tokens": STRUCTURE["metrics"]["tokens"]}
_OPTIONS = f"ignore_errors = true, maximum_object_size = {LONGEST}"
_MAGIC = {b"\x1f\x8b": ".gz", b"\x28\xb5\x2f\xfd": ".zst"}
_ENDINGS = tuple(_MAGIC.values())


def quoted(text: str) -> str:
    """Return a text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


def _list(paths: Iterable[str]) -> str:
    return f"[{', '.join(map(quoted, paths))}]"


def connect(scratch: str) -> tuple[duckdb.DuckDBPyConnection, type[Exception]]:
    """
    Return a database in memory, and the type of its errors.

    Args:
        scratch: A folder for what does not go into memory.

    Raises:
        MissingDependencyError: if duckdb is not installed.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingDependencyError("duckdb", "analytics") from None
    connection = duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "temp_directory": scratch,
            "memory_limit": _MEMORY,
        }
    )
    with contextlib.suppress(
        duckdb.Error
    ):  # unknown before 2.0; with more a COPY hangs that is interrupted
        connection.execute("SET async_threads = 0")
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("CREATE SCHEMA log")
    connection.execute("CREATE TABLE log.held (part INTEGER, json JSON)")
    return connection, duckdb.Error


def _in_parquet(others: Mapping[str, str] | None) -> dict[str, str]:
    """What `convert` and the views have beside flat columns, over those of stored events."""
    line = f"coalesce({IS_NOTICE_IN_LINE}, false)"
    return {name: "tokens" if name == "tokens" else line for name in others or ()}


class Database:
    """
    A database in memory with the events of some files. To be used as a context manager.

    Args:
        paths: Files, folders and patterns, of logs and of Parquet that was made of them.
        report: Is called with the error of each line that is no event, and of what can't be read.
        rotated: Whether a log that is named means its rotated files, too.
        lines: What is taken in place of the lines that are there: they are held.

    Attributes:
        connection: What DuckDB gives.
        events: How many there are.

    Raises:
        MissingDependencyError: if duckdb is not installed.
    """

    def __init__(
        self,
        paths: Paths | Inputs,
        report: Report,
        *,
        rotated: bool = True,
        lines: Iterable[Line] | None = None,
    ) -> None:
        self._report = report
        self.events = 0
        inputs = paths if isinstance(paths, Inputs) else inputs_of(paths, report, rotated=rotated)
        if lines is not None:
            inputs = Inputs([], [], [], inputs.is_divided)
        self._stored = inputs.parquet
        self.is_divided = inputs.is_divided
        self._scratch = Scratch()
        try:
            self.connection, self._error = connect(self._scratch.name)
            self._parts = self._checked(inputs.logs)
            if inputs.sqlite:
                self._hold_all(_SQLITE, sqlite_lines(inputs.sqlite, report))
                self._parts.append(("", _SQLITE))
            if lines is not None:
                self._hold_all(_GIVEN, lines)
                self._parts.append(("", _GIVEN))
            self._has = self._stored_columns()
        except BaseException:
            self.close()
            raise

    @property
    def result(self) -> str:
        """A file that DuckDB may write to after the views are made, and that is gone in the end."""
        return os.path.join(os.path.realpath(self._scratch.name), "result")

    def close(self) -> None:
        """Give everything back."""
        if hasattr(self, "connection"):
            self.connection.close()
        self._scratch.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked(self, files: list[LogFile]) -> list[tuple[str, int | None]]:
        """What is read, in order: a file by DuckDB, or lines of it that are held."""
        readable = {os.path.realpath(each.path): each for each in files if is_readable(each.path)}
        good: dict[str, tuple[int, int]] = {}
        if readable:
            good = self._counted(list(readable))
        parts: list[tuple[str, int | None]] = []
        for number, file in enumerate(files):
            path = os.path.realpath(file.path)
            rows, events = good.get(path, (0, -1))
            if events >= 0:
                parts.append((path, None))
                self.events += events
            if rows == events:
                continue
            bare, held = self._hold(number, file, self._report, is_read=events >= 0)
            if bare != max(events, 0):  # DuckDB and our reader do not agree, or it has grown
                parts = [each for each in parts if each != (path, None)]
                self.events -= max(events, 0)
                _, more = self._hold(
                    number, file, lambda error: None, is_read=False, only_bare=True
                )
                held += more
            if held:
                parts.append((path, number))
        return parts

    def _counted(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        """How many rows and events DuckDB finds in each file that it can read."""
        try:
            return self._counts(paths)
        except self._error:
            if len(paths) == 1:
                return {}
            half = len(paths) // 2
            return self._counted(paths[:half]) | self._counted(paths[half:])

    def _counts(self, paths: list[str]) -> dict[str, tuple[int, int]]:
        source = _read(paths, structure_of(()))
        total = f"SELECT count(*), count(*) FILTER ({IS_EVENT}) FROM {source}"  # noqa: S608
        rows, events = self._one(total)
        if len(paths) == 1:
            return {paths[0]: (rows, events)}
        if rows == events:  # which file has how many is of no interest then
            return dict.fromkeys(paths, (0, 0)) | {paths[0]: (rows, events)}
        source = _read(paths, structure_of(()), ", filename = true")
        each = f"SELECT filename, count(*), count(*) FILTER ({IS_EVENT}) FROM {source} GROUP BY 1"  # noqa: S608
        found = self.connection.execute(each).fetchall()
        counts = {path: (rows, events) for path, rows, events in found}
        return dict.fromkeys(paths, (0, 0)) | counts

    def _one(self, sql: str) -> Any:
        return self.connection.execute(sql).fetchone()

    def _hold(
        self, part: int, file: LogFile, report: Report, *, is_read: bool, only_bare: bool = False
    ) -> tuple[int, int]:
        """
        Report what is wrong in a file, and hold what DuckDB can't read of it.

        Returns:
            How many lines DuckDB should have read, and how many are held.
        """
        bare = 0

        def wanted() -> Iterator[Line]:
            nonlocal bare
            for line in lines_of([file], report):
                if line.is_bare and is_read:
                    bare += 1
                elif line.is_bare or not only_bare:
                    yield line

        held = self._hold_all(part, wanted())
        return bare, held

    def _hold_all(self, part: int, lines: Iterable[Line]) -> int:
        held, size = 0, 0
        batch: list[str] = []
        for line in lines:
            batch.append(line.data.decode())
            size += len(line.data)
            if size >= _HELD_AT_ONCE:
                held += self._keep(part, batch)
                batch, size = [], 0
        held += self._keep(part, batch)
        self.events += held
        return held

    def _keep(self, part: int, texts: list[str]) -> int:
        self.connection.execute(
            "INSERT INTO log.held SELECT ?, unnest(?::VARCHAR[])", [part, texts]
        )
        return len(texts)

    def source(
        self,
        columns: Iterable[str] | None = None,
        others: Mapping[str, str] | None = None,
        stored: Mapping[str, str] | None = None,
    ) -> str:
        """
        Return the query of flat columns of all events, in the order of the files.

        Args:
            columns: Which ones; all by default.
            others: More of them, by name, as expressions of DuckDB.
            stored: The same for events in Parquet, over the flat columns.
        """
        chosen = None if columns is None else set(columns)
        structure = structure_of(chosen, others)
        is_raw = chosen is None or "event" in chosen
        pieces = [
            select(f"({relation})", chosen, others=others)
            for relation in self._relations(structure, is_raw)
        ]
        if self._stored:
            pieces.append(self._from_parquet(chosen, stored or _in_parquet(others)))
        if not pieces:
            nothing = raw_fields("(SELECT NULL::JSON AS json)", STRUCTURE)
            pieces = [f"{select(f'({nothing})', chosen, others=others)} LIMIT 0"]
        return " UNION ALL ".join(f"({piece})" for piece in pieces)

    def _relations(self, structure: dict[str, Any], is_raw: bool) -> Iterator[str]:
        paths: list[str] = []
        for path, part in [*self._parts, ("", _END)]:
            if part is None:
                paths.append(path)
                continue
            if paths:
                yield (
                    raw_fields(objects(paths), structure)
                    if is_raw
                    else plain_fields(paths, structure)
                )
                paths = []
            if part != _END:
                yield raw_fields(f"(SELECT json FROM log.held WHERE part = {part})", structure)  # noqa: S608

    def _stored_columns(self) -> dict[str, str]:
        """The columns of the Parquet files, with their types."""
        if not self._stored:
            return {}
        try:
            described = f"DESCRIBE SELECT * FROM {self._parquet}"  # noqa: S608
            found = self.connection.execute(described).fetchall()
            (count,) = self._one(f"SELECT count(*) FROM {self._parquet}")  # noqa: S608
        except self._error as error:
            where = self._stored[0] if len(self._stored) == 1 else "Parquet"
            raise ReadError(
                f"It can't be read as Parquet ({type(error).__name__})", where
            ) from None
        self.events += count
        return {name: kind for name, kind, *_ in found}

    @property
    def _parquet(self) -> str:
        return (
            f"read_parquet({_list(self._stored)}, union_by_name = true, hive_partitioning = true, "
            "hive_types_autocast = false)"
        )

    def _from_parquet(self, chosen: set[str] | None, others: Mapping[str, str]) -> str:
        wanted = [each for each in COLUMNS if chosen is None or each.name in chosen]
        values = [
            f"{each.name if each.name in self._has else 'NULL'}::{each.type} AS {each.name}"
            for each in wanted
        ]
        values += [f"{sql} AS {name}" for name, sql in others.items()]
        lacking = [each for each in ("event", "tokens") if each not in self._has]
        more = "".join(f", NULL::{_STORED[name]} AS {name}" for name in lacking)
        stored = f"(SELECT *{more} FROM {self._parquet})"  # noqa: S608
        return f"SELECT {', '.join(values)} FROM {stored}"  # noqa: S608

    def stored_lines(self) -> Iterator[Line]:
        """
        Yield the events in the Parquet files.

        Those of a folder are in the order of their times, and where these are equal in that of their ids,
        which grow as we make them; DuckDB keeps no order when it divides events.
        """
        if not self._stored:
            return
        path = self._stored[0] if len(self._stored) == 1 else "Parquet"
        if "event" not in self._has:
            raise ReadError("It has no column `event`, from which events could be had back", path)
        named = [name for name in ("timestamp", "event_id") if name in self._has]
        order = f" ORDER BY {', '.join(named)}" if self.is_divided and named else ""
        rows = self.connection.execute(f"SELECT event FROM {self._parquet}{order}")  # noqa: S608
        number = 0
        while batch := rows.fetchmany(_BATCH):
            for (text,) in batch:
                number += 1
                yield from stored_line(path, number, text, self._report)

    def make_views(self) -> None:
        """Make the views `events` and `conversations`, and lock everything else away."""
        self.connection.execute(f"CREATE VIEW {_ALL} AS {self._without_lines()}")
        columns = ", ".join(name for name in NAMES if name != "event")
        self.connection.execute(
            f"CREATE VIEW {EVENTS} AS SELECT {columns}, {_LINE} AS event FROM {_ALL}"  # noqa: S608
        )
        self.connection.execute(f"CREATE VIEW conversations AS {conversations(_ALL, 'is_notice')}")
        allowed = [path for path, part in self._parts if part is None]
        allowed += [*map(os.path.realpath, self._stored), self.result]
        self.connection.execute(f"SET allowed_paths = {_list(allowed)}")
        self.connection.execute("SET enable_external_access = false")
        self.connection.execute("SET lock_configuration = true")

    def _without_lines(self) -> str:
        """All columns of events but `event`, in whose place something stands that plans name."""
        columns = [name for name in NAMES if name != "event"]
        source = self.source(columns, {"is_notice": IS_NOTICE})
        return f"SELECT *, CAST(random() AS VARCHAR) AS {_LINE} FROM ({source})"  # noqa: S608

    def give_lines_for(self, sql: str) -> None:
        """Have the lines in `event`, if a question needs them: it is slower, as they are held."""
        try:
            plan = str(self.connection.execute(f"EXPLAIN (FORMAT json) {sql}").fetchall())
        except self._error:
            plan = _LINE
        if _LINE in plan:
            source = self.source(None, {"is_notice": IS_NOTICE})
            whole = f"SELECT * RENAME (event AS {_LINE}) FROM ({source})"  # noqa: S608
            self.connection.execute(f"CREATE OR REPLACE VIEW {_ALL} AS {whole}")


def is_readable(path: str) -> bool:
    """Return whether DuckDB can be asked to read a file: its name says how it is compressed."""
    path = os.path.realpath(path)
    if glob.has_magic(path) or "{" in path or not _is_unicode(path):
        return False
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            begin = file.read(4)
    except OSError:
        return False
    ending = next((end for magic, end in _MAGIC.items() if begin.startswith(magic)), "")
    return path.endswith(ending) if ending else not path.endswith(_ENDINGS)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read(paths: list[str], structure: dict[str, Any], options: str = "") -> str:
    columns = ", ".join(f"{name}: {quoted(_type(kind))}" for name, kind in structure.items())
    return (
        f"read_json({_list(paths)}, format = 'newline_delimited', columns = {{{columns}}}, "
        f"{_OPTIONS}{options})"
    )


def _type(kind: str | dict[str, Any]) -> str:
    if isinstance(kind, str):
        return kind
    return f"STRUCT({', '.join(f'{name} {_type(inner)}' for name, inner in kind.items())})"


def fields_of(paths: list[str], structure: dict[str, Any], *, is_raw: bool) -> str:
    """
    Return the query of the fields of all lines of files, of which none is left out.

    Args:
        paths: The files.
        structure: The fields.
        is_raw: Whether the whole line is wanted, too.
    """
    if not is_raw:
        return plain_fields(paths, structure)
    fields = _transformed(structure)
    made = f"SELECT json::VARCHAR AS event, {fields} AS fields FROM {objects(paths)}"  # noqa: S608
    return f"SELECT event, fields.* FROM ({made})"  # noqa: S608


def plain_fields(paths: list[str], structure: dict[str, Any], *, with_name: bool = False) -> str:
    """Return the query of the fields of events, without the whole: this is faster."""
    options = ", filename = true" if with_name else ""
    return f"SELECT * FROM {_read(paths, structure, options)}"  # noqa: S608


def objects(paths: list[str]) -> str:
    """Return the relation of the lines of files."""
    return f"read_ndjson_objects({_list(paths)}, {_OPTIONS})"


def raw_fields(source: str, structure: dict[str, Any]) -> str:
    """Return the query of the fields of events and the whole, of a relation that has it in `json`."""
    fields = _transformed(structure)
    # of a list, they are made once: a filter would make them a second time
    made = f"SELECT json::VARCHAR AS event, unnest([{fields}]) AS fields FROM {source}"  # noqa: S608
    return f"SELECT event, fields.* FROM ({made})"  # noqa: S608


def _transformed(structure: dict[str, Any]) -> str:
    return f"json_transform(json, {quoted(json.dumps(structure))})"
