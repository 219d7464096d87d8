"""
Logs as CSV, Parquet and SQLite, and Parquet and SQLite back as logs.
"""

from __future__ import annotations

import os

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from ..errors import ConfigurationError
from ..io.reader import Faults
from . import _csv, _parquet, _sqlite
from ._inputs import Inputs, Paths, inputs_of
from ._lines import Line, Report
from ._outputs import demand_other, whole
from ._stored import OpenedLines, opened_lines, stored_lines
from .tables import NAMES


__all__ = ["COMPRESSIONS", "FORMATS", "Converted", "convert"]

FORMATS = ("csv", "parquet", "sqlite", "jsonl")
COMPRESSIONS = ("zstd", "snappy", "gzip", "none")
_ENDINGS = {"csv": ".csv", "parquet": ".parquet", "sqlite": ".db", "jsonl": ".jsonl"}
_NAMED = {ending: name for name, ending in _ENDINGS.items()} | {".sqlite": "sqlite"}


class Converted(msgspec.Struct, kw_only=True, omit_defaults=True):
    """
    What was converted.

    Attributes:
        output: The file or folder that was made.
        format: What it is.
        events: How many events are in it.
        faults: How many lines and files could not be read.
        opened: How many events were opened with keys.
        hidden: How many stay encrypted where there are keys, by the reason.
    """

    output: str
    format: str
    events: int
    faults: int
    opened: int = 0
    hidden: dict[str, int] = {}


class _Order(msgspec.Struct, kw_only=True):
    """What is wanted."""

    inputs: Inputs
    opened: OpenedLines | None
    output: str
    columns: tuple[str, ...] | None
    compression: str
    partition: bool

    def lines(self, report: Report) -> Iterator[Line]:
        """Yield the lines that are converted."""
        if self.opened is not None:
            return self.opened.lines(report)
        return stored_lines(self.inputs, report)


def convert(
    paths: Paths,
    *,
    to: str | None = None,
    output: str | os.PathLike[str] | None = None,
    columns: Iterable[str] | None = None,
    compression: str = COMPRESSIONS[0],
    partition: bool = False,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    report: Report | None = None,
    rotated: bool = True,
    force: bool = False,
) -> Converted:
    """
    Make another file of logs.

    Nothing is lost in Parquet and SQLite: their column `event` has each line as it was, and
    `to="jsonl"` gives it back byte for byte. Memory is bounded at any size.

    Args:
        paths: Files, folders and patterns, of logs (plain, rotated, compressed), Parquet and SQLite
            that were made here.
        to: `csv`, `parquet`, `sqlite` or `jsonl`; by default what the name of *output* ends with.
        output: The new file; by default the name of the only file with another ending.
        columns: Only these: of CSV fields like `content.text`, else names of `tables.COLUMNS`. By
            default all of them; what has no `event` can't be made a log again.
        compression: Of Parquet: `zstd`, `snappy`, `gzip` or `none`.
        partition: Make a folder of Parquet files by day and provider: `day=2026-01-31/provider=...`.
        keys: Private keys that open what is encrypted, which is then in the new file as it was said.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        report: Is called with the error of each line that is no event, and of each file that can't
            be read.
        rotated: Whether a log that is named means its rotated files, too.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for a wrong option, or an output that is there.
        MissingDependencyError: if duckdb is not installed, for Parquet.
        ReadError: if the only path is not there.
    """
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    target = None if output is None else os.fspath(output)
    kind = _format(to, target)
    if compression not in COMPRESSIONS:
        allowed = f"Must be one of: {', '.join(COMPRESSIONS)}"
        raise ConfigurationError("compression", compression, allowed)
    if partition and kind != "parquet":
        raise ConfigurationError("partition", partition, "Only Parquet is divided")
    chosen = _columns(kind, columns)
    target = target or _beside(given, kind, partition)
    faults = Faults(report)
    inputs = inputs_of(given, faults, rotated=rotated)
    demand_other(target, inputs.files)
    opened = opened_lines(inputs, keys, key_store, shared=shared_key_file)
    if opened is not None and kind == "jsonl":
        raise ConfigurationError("to", kind, "A log is opened by `decrypt`")
    order = _Order(
        inputs=inputs,
        opened=opened,
        output=target,
        columns=chosen,
        compression=compression,
        partition=partition,
    )
    with whole(target, force=force, folder=partition) as part:
        events = _MAKERS[kind](order, part, faults)
    made = Converted(output=target, format=kind, events=events, faults=faults.count)
    if opened is not None:
        made.opened, made.hidden = opened.opened, dict(opened.hidden)
    return made


def _format(to: str | None, output: str | None) -> str:
    kind = to
    if kind is None and output is not None:
        kind = _NAMED.get(os.path.splitext(output)[1])
    if kind is None and output is not None:
        allowed = f"Must end with one of: {', '.join(_NAMED)}, or set to"
        raise ConfigurationError("output", os.fspath(output), allowed)
    if kind not in FORMATS:
        raise ConfigurationError("to", to, f"Must be one of: {', '.join(FORMATS)}")
    return kind


def _columns(format: str, columns: Iterable[str] | None) -> tuple[str, ...] | None:
    if columns is None:
        return None
    chosen = tuple(dict.fromkeys(columns))
    if format == "jsonl" or not chosen:
        raise ConfigurationError("columns", list(chosen), "A log has whole events")
    allowed = (*NAMES, *(_parquet.MORE if format == "parquet" else ()))
    for name in chosen if format != "csv" else ():
        if name not in allowed:
            raise ConfigurationError("columns", name, f"Must be some of: {', '.join(allowed)}")
    return chosen


def _beside(paths: list[Any], format: str, partition: bool) -> str:
    only = os.fspath(paths[0]) if len(paths) == 1 else ""
    if not os.path.isfile(only) or only.startswith("/dev/"):
        raise ConfigurationError(
            "output", None, "Name the new file: it is not one that is converted"
        )
    stem = only.removesuffix(".gz").removesuffix(".zst")
    made = os.path.splitext(stem)[0] + _ENDINGS[format]
    if os.path.realpath(made) == os.path.realpath(only):
        raise ConfigurationError("output", made, "Give another: it is what is converted")
    return made.removesuffix(_ENDINGS["parquet"]) if partition else made


def _to_csv(order: _Order, part: str, report: Report) -> int:
    if order.columns is None:
        for file in order.inputs.logs:
            if os.path.exists(file.path) and not os.path.isfile(file.path):
                allowed = "Say which: what comes from a pipe can't be read twice"
                raise ConfigurationError("columns", None, allowed)
    return _csv.write(lambda tell: order.lines(tell), part, order.columns, report)


def _to_sqlite(order: _Order, part: str, report: Report) -> int:
    return _sqlite.write(order.lines(report), part, order.columns)


def _to_jsonl(order: _Order, part: str, report: Report) -> int:
    events = 0
    with open(part, "wb") as file:
        for line in order.lines(report):
            file.write(line.data + b"\n")
            events += 1
    return events


def _to_parquet(order: _Order, part: str, report: Report) -> int:
    made = _parquet.Order(
        columns=order.columns, compression=order.compression, is_divided=order.partition
    )
    lines = None if order.opened is None else order.lines(report)
    return _parquet.write(order.inputs, made, part, report, lines)


_MAKERS: dict[str, Callable[[_Order, str, Report], int]] = {
    "csv": _to_csv,
    "parquet": _to_parquet,
    "sqlite": _to_sqlite,
    "jsonl": _to_jsonl,
}
