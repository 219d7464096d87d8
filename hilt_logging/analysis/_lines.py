"""
The lines of logs as they are, each with the event in it.
"""

from __future__ import annotations

import codecs

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from ..errors import InvalidEventError, ReadError
from ..events import decode
from ..io.files import LogFile, open_lines
from .tables import is_event


__all__ = ["Line", "Report", "line_in", "lines_of", "object_in"]

Report = Callable[[ReadError], object]
_value = msgspec.json.Decoder().decode


class Line(NamedTuple):
    """
    A line that holds an event.

    Attributes:
        path: Its file.
        number: Its number in the file, from 1.
        data: The bytes of the event.
        event: The event; some of its fields may be of a wrong type.
        is_bare: Whether nothing but the event stands in the line.
    """

    path: str
    number: int
    data: bytes
    event: dict[str, Any]
    is_bare: bool


def lines_of(files: Iterable[LogFile | str], report: Report) -> Iterator[Line]:
    """
    Yield the lines of files that hold events.

    Args:
        files: The files.
        report: Is called with the error of each line that holds none, and of each file that can't be
            read, or not to its end.
    """
    for file in files:
        path = file.path if isinstance(file, LogFile) else file
        try:
            for number, line in _numbered(file, report):
                found = line_in(path, number, line, report)
                if found is not None:
                    yield found
        except ReadError as error:
            report(error)


def _numbered(file: LogFile | str, report: Report) -> Iterator[tuple[int, bytes]]:
    number = 0

    def told(error: ReadError) -> None:
        nonlocal number
        number += 1
        report(error)

    for line in open_lines(file, report=told):
        number += 1
        yield number, line


def line_in(path: str, number: int, line: bytes, report: Report) -> Line | None:
    """Return what a line of a file holds, or report that it is no event."""
    rest = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
    data = rest.lstrip(b"\0").strip()
    if not data:
        if line.strip():
            report(ReadError(f"not an event: {len(line)} NUL bytes", path, number))
        return None
    try:
        event = object_in(data)
    except InvalidEventError as error:
        torn = "" if line.endswith(b"\n") else " (the line has no end)"
        report(ReadError(f"not an event: {error}{torn}", path, number))
        return None
    return Line(path, number, data, event, line.lstrip().startswith(data))


def object_in(data: bytes) -> dict[str, Any]:
    """
    Return the event in the bytes of a line; wrong types in it count only where it can't be without.

    Raises:
        InvalidEventError: if there is none.
    """
    try:
        event = _value(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise InvalidEventError(f"not JSON: {error}") from None
    if not is_event(event):
        decode(data)  # tells what is wrong
        raise InvalidEventError("it has no time that can be read")
    return event  # type: ignore[no-any-return]
