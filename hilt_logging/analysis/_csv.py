"""
Events as CSV: a column for each field, named by its path, `metrics.tokens.prompt`.

The file is read twice: for the names of the columns, and for the rows. Neither is held.
"""

from __future__ import annotations

import csv

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..events import encode
from ..schema import FIELDS, PART_FIELDS
from ._lines import Line, Report


__all__ = ["write"]

Reading = Callable[[Report], Iterator[Line]]

_FIRST = ("event_id", "timestamp", "session_id", "actor.type", "actor.id", "action")
_MOST_COLUMNS = 2_000
_TOKENS = ("prompt", "completion", "total", "cached", "cache_write", "reasoning")


def write(reading: Reading, path: str, columns: tuple[str, ...] | None, report: Report) -> int:
    """
    Write events as CSV, and return how many there were.

    Args:
        reading: Reads the lines, once for each call.
        path: The file.
        columns: The paths of the fields that are wanted; all by default.
        report: Is called with what can't be read, once.

    Raises:
        ConfigurationError: if there are too many fields for a table.
    """
    until: Counter[str] | None = None
    if columns is None:
        columns, until = _columns(reading(report))
        report = _told_already
    rows = _rows(reading(report), until)
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        events = 0
        for events, event in enumerate(rows, 1):  # noqa: B007 -- the count is what is returned
            fields = _fields(event, columns)
            writer.writerow([_cell(value) for value in fields])
    return events


def _told_already(error: object) -> None:
    pass


def _columns(lines: Iterator[Line]) -> tuple[tuple[str, ...], Counter[str]]:
    """The names of all fields, and where each file ended: it may grow."""
    names: set[str] = set()
    until: Counter[str] = Counter()
    for line in lines:
        until[line.path] = line.number
        names.update(name for name, _ in _leaves(line.event))
        if len(names) > _MOST_COLUMNS:
            allowed = f"There are more than {_MOST_COLUMNS}: say which"
            raise ConfigurationError("columns", None, allowed)
    others = sorted(names.difference(_FIRST), key=_place)
    return (*_FIRST, *others), until


def _rows(lines: Iterator[Line], until: Counter[str] | None) -> Iterator[dict[str, Any]]:
    for line in lines:
        if until is None or line.number <= until[line.path]:
            yield line.event


def _place(name: str) -> tuple[int, int, str]:
    """Where a column stands: fields in the order of the format, others by name."""
    field, _, rest = name.partition(".")
    inner, _, rest = rest.partition(".")
    known = _TOKENS if inner == "tokens" else ()
    return (
        FIELDS.index(field) if field in FIELDS else len(FIELDS),
        _index(PART_FIELDS.get(field, ()), inner) * 100 + _index(known, rest),
        name,
    )


def _index(names: tuple[str, ...], name: str) -> int:
    return names.index(name) if name in names else len(names)


def _leaves(value: dict[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if type(item) is dict:
            yield from _leaves(item, f"{before}{name}.")
        else:
            yield f"{before}{name}", item


def _fields(event: dict[str, Any], columns: tuple[str, ...]) -> list[Any]:
    leaves = dict(_leaves(event))
    return [leaves[name] if name in leaves else _inner(event, name) for name in columns]


def _inner(event: dict[str, Any], path: str) -> Any:
    """What stands at a path that is no leaf: an object, or nothing; `event` is the whole."""
    value: Any = event
    for name in path.split("."):
        value = value.get(name) if isinstance(value, dict) else None
    return encode(event).decode() if value is None and path == "event" else value


def _cell(value: Any) -> Any:
    if type(value) is str or value is None:
        return value
    if isinstance(value, list) and all(not isinstance(each, list | dict) for each in value):
        texts = ["" if each is None else _cell(each) for each in value]
        if not any(isinstance(each, str) and ";" in each for each in texts):
            return ";".join(map(str, texts))
    if isinstance(value, list | dict | bool):
        return msgspec.json.encode(value).decode()
    return value
