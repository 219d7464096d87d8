"""
What paths mean: the files of logs, and what `convert` made of logs.
"""

from __future__ import annotations

import contextlib
import glob
import os
import sqlite3

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from ..errors import ConfigurationError, InvalidEventError, ReadError
from ..io.files import LogFile, files_of
from ._lines import Line, Report, object_in


__all__ = ["Inputs", "Paths", "inputs_of", "opened", "sqlite_lines", "stored_line"]

Paths = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]

_PARQUET = ".parquet"
_SQLITE = b"SQLite format 3\0"


class Inputs(NamedTuple):
    """
    What paths mean, by kind.

    Attributes:
        logs: Files of logs, the oldest first.
        parquet: Files of Parquet.
        sqlite: Files of SQLite.
        is_divided: Whether a folder of Parquet is among them.
    """

    logs: list[LogFile]
    parquet: list[str]
    sqlite: list[str]
    is_divided: bool

    @property
    def files(self) -> list[str]:
        """The paths of all of them."""
        return [*(file.path for file in self.logs), *self.parquet, *self.sqlite]


def inputs_of(paths: Paths, report: Report, *, rotated: bool = True) -> Inputs:
    """
    Return what paths mean.

    Args:
        paths: Files, folders and patterns; `-` is standard input.
        report: Is called with the error of each path that is not there.
        rotated: Whether a log that is named means its rotated files, too.

    Raises:
        ConfigurationError: if there is no path.
        ReadError: if the only path is not there.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not given:
        raise ConfigurationError("paths", given, "Give at least one")
    logs: list[str] = []
    parquet: list[str] = []
    sqlite: list[str] = []
    is_divided = False
    for path in (os.fspath(each) for each in given):
        found = _parquet(path)
        parquet += found
        if os.path.isdir(path):
            is_divided |= bool(found)
            logs.append(path)
        elif not found:
            (sqlite if _is_sqlite(path) else logs).append("/dev/stdin" if path == "-" else path)
    files = files_of(logs, rotated=rotated, report=None if len(given) == 1 else report)
    return Inputs(files, parquet, sqlite, is_divided)


def _parquet(path: str) -> list[str]:
    if os.path.isdir(path):
        return sorted(glob.glob(f"{glob.escape(path)}/**/*{_PARQUET}", recursive=True))
    if not path.endswith(_PARQUET):
        return []
    found = sorted(glob.glob(path)) if glob.has_magic(path) and not os.path.exists(path) else [path]
    for each in found:
        if not os.path.exists(each):
            raise ReadError("File not found", each)
    return found


def _is_sqlite(path: str) -> bool:
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def sqlite_lines(paths: Iterable[str], report: Report) -> Iterator[Line]:
    """Yield the events in databases that `convert` made."""
    for path in paths:
        try:
            with contextlib.closing(opened(path)) as database:
                rows = database.execute("SELECT event FROM events ORDER BY id")
                for number, (text,) in enumerate(rows, 1):
                    yield from stored_line(path, number, text, report)
        except sqlite3.Error as error:
            report(ReadError(f"It has no events as `convert` writes them: {error}", path))


def opened(path: str) -> sqlite3.Connection:
    """Open a database, which is not changed."""
    where = os.path.realpath(path).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
    return sqlite3.connect(f"file:{where}?mode=ro", uri=True)


def stored_line(path: str, number: int, text: object, report: Report) -> Iterator[Line]:
    """Yield the event of a row, if there is one."""
    data = text.encode() if isinstance(text, str) else b""
    try:
        yield Line(path, number, data, object_in(data), True)
    except InvalidEventError as error:
        report(ReadError(f"not an event: {error}", path, number))
