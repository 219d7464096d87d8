"""
From files back to events: streaming, and tolerant of what a crash or another program left there.
"""

from __future__ import annotations

import datetime
import os
import stat
import sys

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO, Any, Literal, NamedTuple, TypeVar, overload

import msgspec

from ..errors import ConfigurationError, MissingDependencyError, ReadError
from ..events import Event
from ._decoding import BLOCK, VALIDATION, Codec, batches, codec_of, reporter
from ._following import Follower, follow
from ._selection import selection_of
from .files import LogFile, files_of, open_blocks


__all__ = ["Faults", "Follower", "check", "follow", "read", "scan"]

Path = str | os.PathLike[str]
Time = str | datetime.datetime
T = TypeVar("T")
Struct = TypeVar("Struct", bound=msgspec.Struct)


class Faults:
    """
    Counts what can't be read; to be given to readers as `report`.

    Args:
        then: Is called with each error, too.
        keep: How many errors are kept.

    Attributes:
        count: How many errors there were.
        files: How many there were in each file.
        first: The first ones.
    """

    def __init__(
        self, then: Callable[[ReadError], object] | None = None, *, keep: int = 20
    ) -> None:
        self.count = 0
        self.files: dict[str, int] = {}
        self.first: list[ReadError] = []
        self._then = then
        self._keep = keep

    def __call__(self, error: ReadError) -> None:
        """Count an error."""
        self.count += 1
        self.files[error.path] = self.files.get(error.path, 0) + 1
        if len(self.first) < self._keep:
            self.first.append(error)
        if self._then is not None:
            self._then(error)


@overload
def read(
    *paths: Path,
    errors: Literal["raise", "skip"] = ...,
    report: Callable[[ReadError], object] | None = ...,
    typed: Literal[True] = ...,
    since: Time | None = ...,
    until: Time | None = ...,
    where: Mapping[str, Any] | None = ...,
    rotated: bool = ...,
) -> Iterator[Event]: ...


@overload
def read(
    *paths: Path,
    errors: Literal["raise", "skip"] = ...,
    report: Callable[[ReadError], object] | None = ...,
    typed: Literal[False],
    since: Time | None = ...,
    until: Time | None = ...,
    where: Mapping[str, Any] | None = ...,
    rotated: bool = ...,
) -> Iterator[dict[str, Any]]: ...


def read(
    *paths: Path,
    errors: Literal["raise", "skip"] = "raise",
    report: Callable[[ReadError], object] | None = None,
    typed: bool = True,
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    rotated: bool = True,
) -> Iterator[Event] | Iterator[dict[str, Any]]:
    r"""
    Yield the events of logs, file by file in the order of their rotation.

    Lines end at `\n` only; empty ones are passed over. Files may be compressed. Lines of
    hilt-python are read too. Memory is bounded, however large a file or a line is.

    Args:
        paths: Files, directories and patterns with `*`; `-` is standard input.
        errors: What happens at a line that is no event, or a file that can't be read: `raise`, or
            `skip` and report it.
        report: Is called with the error of what is skipped; by default it becomes a warning on the
            logger `hilt_logging.io.reader`. `Faults` counts.
        typed: Whether events are `Event`, or plain dicts.
        since: Only events of this time or later; a time without an offset is UTC.
        until: Only events before this time.
        where: Only events that have these values: `{"session_id": "conv-42", "action": ["prompt",
            "completion"], "extensions.user_id": None}`; None means that there is none. Lines that
            are left out need only be JSON.
        rotated: Whether a file that is named means its rotated files, too.

    Raises:
        ConfigurationError: for another value of an option.
        ReadError: for a file that is missing or can't be read, or for a line that is no event; it
            names file and line. With `skip` only if *paths* is one file that can't be opened.
    """
    codec = codec_of(Event if typed else dict, selection_of(since, until, where))
    return _all(_given(paths), codec, reporter(errors, report), rotated)


def scan(
    paths: Path | Iterable[Path],
    struct: type[Struct],
    *,
    errors: Literal["raise", "skip"] = "raise",
    report: Callable[[ReadError], object] | None = None,
    since: Time | None = None,
    until: Time | None = None,
    where: Mapping[str, Any] | None = None,
    rotated: bool = True,
) -> Iterator[Struct]:
    """
    Yield of each event only the fields that a struct names: the fast way, for statistics.

    What makes a line an event is checked, and the fields that are decoded; others only for being
    JSON. Where the struct has a `timestamp` that is a text, it is as we write it.

    Args:
        paths: As in `read`, one or several.
        struct: A subclass of `msgspec.Struct`; with `gc=False` it is decoded faster. What is yielded
            are instances of a subclass of it.
        errors: As in `read`.
        report: As in `read`.
        since: As in `read`.
        until: As in `read`.
        where: As in `read`.
        rotated: As in `read`.

    Raises:
        ConfigurationError: as in `read`.
        ReadError: as in `read`.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    codec = codec_of(struct, selection_of(since, until, where))
    return _all(_given(several), codec, reporter(errors, report), rotated)


def check(
    paths: Path | Iterable[Path],
    *,
    report: Callable[[ReadError], object],
    rotated: bool = True,
) -> Iterator[int]:
    """
    Yield of each file how many events it has, every field of each of which is checked.

    Args:
        paths: As in `read`, one or several.
        report: Is called with the error of each line that is no event, and of each file that can't
            be read.
        rotated: As in `read`.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else paths
    try:
        for events in _files(_given(several), VALIDATION, report, rotated):
            yield sum(map(len, events))
    except ReadError as error:
        report(error)


def _given(paths: Iterable[Path]) -> list[str]:
    given = [os.fspath(path) for path in paths]
    if not given:
        raise ConfigurationError("paths", given, "Give at least one")
    return given


def _all(
    paths: list[str], codec: Codec[T], report: Callable[[ReadError], object], rotated: bool
) -> Iterator[T]:
    for events in _files(paths, codec, report, rotated):
        for some in events:
            yield from some


def _files(
    paths: list[str], codec: Codec[T], report: Callable[[ReadError], object], rotated: bool
) -> Iterator[Iterator[list[T]]]:
    """The events of each file, some at a time."""
    named = [path for path in paths if path != "-"]
    found = files_of(named, rotated=rotated, report=None if len(paths) == 1 else report)
    if named and not found and len(paths) == 1:
        raise ReadError("There is no log in this directory", paths[0])
    is_alone = len(found) == 1 == len(paths)
    if len(named) < len(paths):
        yield _read(LogFile("-", "-", (0, 0, "")), sys.stdin.buffer, codec, report, is_alone=True)
    before = {file: _found(file) for file in found}
    for file in found:
        with _Same(file, before[file]) as source:
            yield _read(file, source, codec, report, is_alone)


def _read(
    file: LogFile,
    source: IO[bytes] | None,
    codec: Codec[T],
    report: Callable[[ReadError], object],
    is_alone: bool,
) -> Iterator[list[T]]:
    path = "<stdin>" if file.path == "-" else file.path
    try:
        yield from batches(_blocks(file, source, report), path, codec, report)
    except _UnopenedError as unopened:
        if is_alone:
            raise unopened.error from None
        report(unopened.error)


class _UnopenedError(Exception):
    """A file that can't be read at all."""

    def __init__(self, error: ReadError) -> None:
        self.error = error


def _blocks(
    file: LogFile, source: IO[bytes] | None, report: Callable[[ReadError], object]
) -> Iterator[bytes]:
    """The blocks of a file as far as it can be read."""
    is_begun = False
    blocks = open_blocks(file, source, size=BLOCK)
    while True:
        try:
            block = next(blocks, None)
        except MissingDependencyError as error:
            raise _UnopenedError(ReadError(str(error), file.path)) from None
        except ReadError as error:
            if not is_begun:
                raise _UnopenedError(error) from None
            report(error)
            return
        if block is None:
            return
        is_begun = True
        yield block


class _Found(NamedTuple):
    """What a file was when reading began."""

    identity: tuple[int, int]
    size: int


def _found(file: LogFile) -> _Found | None:
    try:
        found = os.stat(file.path)
    except OSError:
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return _Found((found.st_dev, found.st_ino), found.st_size)


class _Same:
    """
    A file as it was found when reading began, also where it was renamed since.

    Where it is not there any more, as a file is that was compressed, whoever reads looks for it.
    """

    def __init__(self, file: LogFile, found: _Found | None) -> None:
        self._file = file
        self._found = found
        self._source: IO[bytes] | None = None

    def __enter__(self) -> IO[bytes] | None:
        if not self._take(self._file) and not any(map(os.path.exists, self._compressed())):
            others = files_of(self._file.log, report=lambda error: None)
            next(filter(self._take, others), None)
        return self._source

    def _compressed(self) -> list[str]:
        return [self._file.path + ending for ending in (".gz", ".zst")]

    def _take(self, file: LogFile) -> bool:
        if self._found is None:
            return False
        try:
            source = open(file.path, "rb", buffering=0)  # noqa: SIM115 -- closed at the end
        except OSError:
            return False
        found = os.fstat(source.fileno())
        # another one may have its inode by now, but hardly its size, too
        if (found.st_dev, found.st_ino) == self._found.identity and (
            file == self._file or found.st_size >= self._found.size
        ):
            self._source = source
            return True
        source.close()
        return False

    def __exit__(self, *error: object) -> None:
        if self._source is not None:
            self._source.close()
