"""
The last events of logs, and those that are written next.
"""

from __future__ import annotations

import contextlib
import datetime
import heapq
import itertools
import os
import threading

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from ..errors import ConfigurationError, MissingDependencyError, ReadError
from ..io._decoding import codec_of, decoded, reporter
from ..io.files import LONGEST, LogFile, files_of, open_blocks
from ..io.reader import follow
from ._finding import EVERY_LINE, STDIN, Found, Report, event_in, files_meant, lines_with, sources
from ._index import bytes_at, is_packed
from ._opening import Open, opening
from .search import Wanted


__all__ = ["followed", "recent"]

_BLOCK = 64 * 1024
_LATE_S = 1.0
"""How much later than its time an event may be written."""

Path = str | os.PathLike[str]


def recent(
    paths: Path | Iterable[Path],
    wanted: Wanted | None = None,
    number: int = 10,
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> list[dict[str, Any]]:
    """
    Return the last events of logs, in the order of their time; plain files are read from their end.

    Args:
        paths: As in `io.reader.read`.
        wanted: Which events count; all by default.
        number: How many.
        keys: Private keys that open what is encrypted.
        key_store: The keys of people.
        shared_key_file: Take keys that others can read, too.
        rotated: Whether a file that is named means its rotated files, too.
        report: Is called with the error of what can't be read; by default it becomes a warning.

    Raises:
        ConfigurationError: for a key that can't be had.
        ReadError: for a path that is not there, if it is the only one.
    """
    opened = opening(keys, key_store, shared=shared_key_file)
    told = reporter("skip", report)
    files = files_meant(paths, told, rotated=rotated)
    return _recent(files, wanted or Wanted(), number, opened, told)


def _recent(
    files: list[LogFile], wanted: Wanted, number: int, opened: Open, report: Report
) -> list[dict[str, Any]]:
    if number == 0:
        return []
    logs = itertools.groupby(files, lambda file: file.log)
    ends = [_end_of(list(own), wanted, number, opened, report) for _, own in logs]
    merged = heapq.merge(*ends, key=lambda event: str(event["timestamp"]))
    return list(merged)[-number:]


def _end_of(
    files: list[LogFile], wanted: Wanted, number: int, opened: Open, report: Report
) -> list[dict[str, Any]]:
    """The last events of a log, the oldest first."""
    found: list[dict[str, Any]] = []
    for file in reversed(files):
        for path, source in sources([file], report):
            rest = number - len(found)
            if source.seekable() and not is_packed(source):
                events = _events_in(_from_end(path, source, report), report)
                found += itertools.islice(_taken(events, wanted, opened), rest)
            else:
                events = _from_begin(path, source, report)
                found += reversed(deque(_taken(events, wanted, opened), rest))
        if len(found) == number:
            break
    return found[::-1]


def _taken(
    events: Iterable[dict[str, Any]], wanted: Wanted, opened: Open
) -> Iterator[dict[str, Any]]:
    for each in events:
        event, _ = opened(each)
        if wanted.takes(event):
            yield event


def _events_in(lines: Iterable[Found], report: Report) -> Iterator[dict[str, Any]]:
    return (event for line in lines if (event := event_in(line, report)) is not None)


def _from_begin(path: str, source: IO[bytes], report: Report) -> Iterator[dict[str, Any]]:
    """The events of a file or pipe, whose lines are counted as they come: a pipe is read only once."""
    if source.seekable():
        yield from _events_in(lines_with(path, source, EVERY_LINE, report), report)
        return
    try:
        blocks = open_blocks(path, source, size=_BLOCK)
        yield from decoded(blocks, path, codec_of(dict, None), report)
    except (ReadError, MissingDependencyError) as error:
        report(error if isinstance(error, ReadError) else ReadError(str(error), path))


def _from_end(path: str, source: IO[bytes], report: Report) -> Iterator[Found]:
    """The lines of a file, the last one first."""
    rest = b""
    at = os.fstat(source.fileno()).st_size
    while at > 0:
        size = min(at, max(_BLOCK, len(rest)))
        at -= size
        rest = bytes_at(source, at, size) + rest
        if len(rest) > LONGEST + _BLOCK and b"\n" not in rest[:-1]:
            report(ReadError(f"Before a line of more than {LONGEST} bytes nothing is read", path))
            return
        begin = rest.find(b"\n") + 1 if at else 0
        if at and not begin:
            continue
        end = len(rest)
        while end > begin:
            first = rest.rfind(b"\n", begin, end - 1) + 1 or begin
            yield Found(path, at + first, rest[first:end])
            end = first
        rest = rest[:begin]


def followed(
    paths: Path | Iterable[Path],
    wanted: Wanted | None = None,
    number: int = 10,
    *,
    keys: Iterable[Any] = (),
    key_store: Any = None,
    shared_key_file: bool = False,
    report: Callable[[ReadError], object] | None = None,
) -> Iterator[dict[str, Any]]:
    """
    Yield the last events of logs, and then those that are written.

    That has no end, but for the time until which events are wanted. Standard input ends when whoever
    writes to it does, and is shown from its beginning.

    Args:
        paths: As in `io.reader.follow`; `-` alone is standard input.
        wanted: Which events count; all by default.
        number: How many of those that are there.
        keys: As in `recent`.
        key_store: As in `recent`.
        shared_key_file: As in `recent`.
        report: As in `recent`.

    Raises:
        ConfigurationError: as in `recent`, and for standard input with other paths.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    query = wanted or Wanted()
    opened = opening(keys, key_store, shared=shared_key_file)
    told = reporter("skip", report)
    if not {"-", STDIN}.isdisjoint(map(os.fspath, several)):
        if len(several) > 1:
            raise ConfigurationError("paths", "-", "Standard input is followed alone")
        return _streamed(several, query, opened, told)
    return _followed(several, query, number, opened, told)


def _streamed(
    paths: list[Path], query: Wanted, opened: Open, report: Report
) -> Iterator[dict[str, Any]]:
    for path, source in sources(files_meant(paths, report), report):
        yield from _taken(_from_begin(path, source, report), query, opened)


def _followed(
    several: list[Path], query: Wanted, number: int, opened: Open, told: Report
) -> Iterator[dict[str, Any]]:
    with (
        follow(*several, from_end=True, typed=False, report=told) as coming,
        _stopped_at(query.until, coming.stop),
    ):
        new = list(coming.new())  # from here on nothing is missed
        files = files_of(several, report=lambda error: None)  # they may come later
        shown = _recent(files, query, number, opened, told)
        yield from shown
        known = {event["event_id"] for event in shown}
        for event in itertools.chain(new, coming):
            event, _ = opened(event)
            if event["event_id"] not in known and query.takes(event):
                yield event


@contextlib.contextmanager
def _stopped_at(until: str | None, stop: Callable[[], None]) -> Iterator[None]:
    """Have something stopped some moments after a time, if there is one."""
    if until is None:
        yield
        return
    when = datetime.datetime.fromisoformat(until)
    rest = (when - datetime.datetime.now(datetime.timezone.utc)).total_seconds() + _LATE_S
    timer = threading.Timer(min(max(rest, 0), threading.TIMEOUT_MAX), stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
