"""
What other programs left behind, as a log: files of hilt-python, the database of simonw/llm, what Langfuse
and LangSmith export, and spans of OpenTelemetry.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import os
import sqlite3

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol

import msgspec

from ..errors import ConfigurationError, ReadError
from ..events import encode
from ..integrations._conversations import Conversations
from ..io.files import LogFile, lines_in, open_blocks
from ..io.reader import Faults
from ..snapshot import snapshot
from ._inputs import Inputs, Paths, inputs_of, opened
from ._lines import Report
from ._outputs import demand_other, whole
from .sources import hilt_python, langfuse, langsmith, llm, otlp
from .sources.checking import checked
from .sources.documents import Value, values_of
from .sources.encodings import in_utf8
from .sources.shelf import Piece, Shelf
from .sources.tables import csv_rows, is_table, parquet_rows


__all__ = ["SOURCES", "Imported", "import_log"]


class _Source(Protocol):
    """A module for what is exported as objects of JSON, many to a trace, in any order."""

    NAME: str

    def is_one(self, value: dict[str, Any]) -> bool:
        """Return whether it is an object of this source."""

    def pieces_of(self, value: dict[str, Any], lost: Counter[str]) -> Iterable[Piece]:
        """Yield the parts of traces that are in an object."""

    def events_of(
        self, parts: list[dict[str, Any]], lost: Counter[str], known: Conversations
    ) -> Iterable[Any]:
        """Yield the events of one trace, of which all parts are given, after those that began before."""


_SOURCES: tuple[_Source, ...] = (langfuse, langsmith, otlp)
_Refused = Callable[[str, int], None]
_MOST_PEEKED = 64
_TABLES = (".csv", ".tsv")
_EXPORTS = (".json", *_TABLES)
_NO_TABLE = (
    "It is no CSV that can be imported: its first row must have the names of the columns, `id` among "
    "them, between commas, semicolons or tabs"
)
_HEAD = 65_536
_LINES = (".jsonl", ".ndjson")
SOURCES = ("hilt-python", "llm", *(source.NAME for source in _SOURCES))


class Imported(msgspec.Struct, kw_only=True):
    """
    What was imported.

    Attributes:
        output: The log that was made.
        events: How many events are in it.
        changed: In how many of them a field could not stay as it was; it is in
            `extensions.original`.
        lost: What could not be carried over, and how many of it.
        faults: How many lines and files could not be read.
    """

    output: str
    events: int
    changed: int
    lost: dict[str, int]
    faults: int


def import_log(
    paths: Paths,
    output: str | os.PathLike[str],
    *,
    source: str | None = None,
    report: Report | None = None,
    force: bool = False,
) -> Imported:
    """
    Make a log of what other programs left behind. Every line of it is a valid event.

    Args:
        paths: Files, folders and patterns: logs of hilt-python (0.1.0 and 0.2.8), databases of llm, or
            exports of the others; of a folder also the `.json`, `.csv` and `.parquet` within it.
        output: The new log.
        source: One of `SOURCES`; by default what the files look like.
        report: Is called with the error of each line and file that can't be carried over.
        force: Take the place of a file that is there.

    Raises:
        ConfigurationError: for another source, an output that is there, or one that is read.
        ReadError: if the only path is not there.
        MissingDependencyError: if duckdb is not installed, for Parquet.
    """
    if source not in (None, *SOURCES):
        raise ConfigurationError("source", source, f"Must be one of: {', '.join(SOURCES)}")
    faults = Faults(report)
    given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    guessed = [path for each in given for path in _exports_in(each)]
    inputs = inputs_of([*given, *guessed], faults) if guessed else inputs_of(paths, faults)
    target = os.fspath(output)
    demand_other(target, inputs.files)
    with whole(target, force=force) as part, open(part, "wb") as file, Shelf() as shelf:
        work = _Import(source, faults, shelf, guessed)
        for event in work.events(inputs):
            file.write(encode(event) + b"\n")
            work.count += 1
        for data in shelf.events():
            file.write(data + b"\n")
            work.count += 1
    return Imported(
        output=target,
        events=work.count,
        changed=work.changed,
        lost=dict(work.lost),
        faults=faults.count,
    )


def _exports_in(path: str | os.PathLike[str]) -> Iterator[str]:
    """The files in a folder, and in those within it, that may be exports and are not named as logs."""
    top = os.fspath(path)
    for folder, _, names in sorted(os.walk(top)):
        wanted = _EXPORTS if folder == top else (*_EXPORTS, *_LINES)
        for name in sorted(names):
            if name.removesuffix(".gz").removesuffix(".zst").endswith(wanted):
                yield os.path.join(folder, name)


class _Import:
    """
    One import.

    Attributes:
        count: How many events there are.
        changed: In how many of them a field had to be moved.
        lost: What could not be carried over.
    """

    def __init__(
        self, source: str | None, report: Report, shelf: Shelf, guessed: Iterable[str]
    ) -> None:
        self.count = self.changed = 0
        self.lost: Counter[str] = Counter()
        self._source = source
        self._report = report
        self._shelf = shelf
        self._known = Conversations()
        self._guessed = frozenset(guessed)
        self._paths: list[tuple[_Source, str]] = []

    def events(self, inputs: Inputs) -> Iterator[dict[str, Any]]:
        """Yield the events that are in order as they come; the others are put on the shelf."""
        for path in inputs.parquet:
            try:
                self._of_parquet(path)
            except ReadError as error:
                self._report(error)
        for file in inputs.logs:
            try:
                yield from self._of_file(file)
            except ReadError as error:
                self._report(error)
        for path in inputs.sqlite:
            yield from self._of_database(path)
        for parts in self._shelf.traces():
            self._put(parts)

    def _checked(
        self, event: dict[str, Any], refused: Callable[[str], None]
    ) -> Iterator[dict[str, Any]]:
        for whole_event, is_changed in checked(event, refused):
            self.changed += is_changed
            yield whole_event

    def _of_parquet(self, path: str) -> None:
        rows = parquet_rows(path)
        first = next(rows, None)
        source = None if first is None else self._source_of(first.value)
        if source is not None and first is not None:
            self._shelve(source, path, lambda _: itertools.chain((first,), rows))
        elif first is not None:
            self._report(ReadError("It is Parquet of nothing that can be imported", path))

    def _source_of(self, first: dict[str, Any] | None) -> _Source | None:
        """The module for what begins with this object, if it is one of those on the shelf."""
        if self._source is not None:
            return next((each for each in _SOURCES if self._source == each.NAME), None)
        found = (each for each in _SOURCES if first is not None and each.is_one(first))
        return next(found, None)

    def _of_file(self, file: LogFile) -> Iterator[dict[str, Any]]:
        blocks = in_utf8(open_blocks(file), file.path)
        values_in: Callable[..., Iterator[Value]] = values_of
        if file.stem.endswith(_TABLES):
            values_in = csv_rows
        else:
            values_in, blocks = _form_of(blocks)
        first, blocks = _peeked(blocks, values_in)
        source = self._source_of(first)
        if source is not None:
            self._shelve(source, file.path, functools.partial(values_in, blocks))
        elif values_in is csv_rows:
            self._report(ReadError(_NO_TABLE, file.path))
        elif self._source is None and file.path in self._guessed:
            self._report(ReadError("It is nothing that can be imported", file.path))
        elif self._source == "llm":
            self._report(ReadError("It is no database of llm", file.path))
        else:
            yield from self._of_hilt_python(file.path, blocks)

    def _of_hilt_python(self, path: str, blocks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        number = 0

        def told(error: ReadError) -> None:
            nonlocal number
            number += 1
            self._report(error)

        def refused(reason: str) -> None:
            self.lost["lines"] += 1
            self._report(ReadError(reason, path, number))

        for line in lines_in(path, blocks, report=told):
            number += 1
            event = hilt_python.event_in(line, refused)
            if event is not None:
                yield from self._checked(event, refused)

    def _of_database(self, path: str) -> Iterator[dict[str, Any]]:
        def refused(reason: str) -> None:
            self.lost["events"] += 1
            self._report(ReadError(reason, path))

        try:
            with contextlib.closing(opened(path)) as database:
                if self._source not in (None, "llm") or not llm.is_llm(database):
                    self._report(ReadError("It is no database of llm", path))
                    return
                for event in llm.events_of(database, self.lost):
                    yield from self._checked(event, refused)
        except sqlite3.Error as error:
            self._report(ReadError(f"It can't be read as a database: {error}", path))

    # Exports, of which no part can be read alone.

    def _shelve(
        self, source: _Source, path: str, values: Callable[[_Refused], Iterator[Value]]
    ) -> None:
        def refused(reason: str, line: int) -> None:
            self.lost["lines"] += 1
            self._report(ReadError(reason, path, line))

        self._paths.append((source, path))
        number = len(self._paths) - 1
        for line, value in values(refused):
            if value and not source.is_one(value):
                refused(f"not what is exported by {source.NAME}", line)
                continue
            for piece in source.pieces_of(value, self.lost):
                self._shelf.add(piece._replace(source=number))

    def _put(self, parts: list[Piece]) -> None:
        source, path = self._paths[parts[0].source]

        def refused(reason: str) -> None:
            self.lost["events"] += 1
            self._report(ReadError(reason, path))

        for event in source.events_of([part.value for part in parts], self.lost, self._known):
            for whole_event in self._checked(dict(snapshot(event)), refused):
                data = encode(whole_event)
                if not self._shelf.put(whole_event["timestamp"], whole_event["event_id"], data):
                    self.lost["events with an id that another event has"] += 1


def _form_of(
    blocks: Iterator[bytes],
) -> tuple[Callable[..., Iterator[Value]], Iterator[bytes]]:
    """What reads a file whose name does not say that it is CSV, and the file as it was."""
    first = b""
    try:
        while (
            b"\n" not in first and len(first) < _HEAD and (block := next(blocks, None)) is not None
        ):
            first += block
    except ReadError as error:
        return values_of, _then([first], error)
    return csv_rows if is_table(first) else values_of, itertools.chain((first,), blocks)


def _peeked(
    blocks: Iterator[bytes], values_in: Callable[..., Iterator[Value]]
) -> tuple[dict[str, Any] | None, Iterator[bytes]]:
    """The first object of a file, and the file as it was before that was read."""
    read: list[bytes] = []

    def noted() -> Iterator[bytes]:
        for block in blocks:
            read.append(block)
            yield block

    def refused(reason: str, line: int) -> None:
        if line > _MOST_PEEKED:
            raise _NotFoundError

    try:
        first = next((each.value for each in values_in(noted(), refused) if each.value), None)
    except _NotFoundError:
        first = None
    except ReadError as error:
        return None, _then(read, error)
    return first, itertools.chain(read, blocks)


def _then(read: list[bytes], error: ReadError) -> Iterator[bytes]:
    yield from read
    raise error


class _NotFoundError(Exception):
    """There is no object at the begin of a file."""
