"""
Reading logs while they are written: through rotation and truncation, from where one ended.

A file is told from others by a digest of its first bytes, which begin with an id, and by its inode
where it has none yet: so it is found again under another name, copied or compressed. A file that was
renamed is still looked at for some seconds, because writers may have it open.
"""

from __future__ import annotations

import datetime
import hashlib
import os
import threading
import time

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Generic, Literal, TypeVar, overload

from ..errors import ConfigurationError, MissingDependencyError, ReadError
from ..events import Event
from ._decoding import BLOCK, Codec, Report, codec_of, decoded_line, reporter
from ._selection import selection_of
from .files import LONGEST, LogFile, files_of, open_blocks


__all__ = ["Follower", "follow"]

_HEAD_BYTES = 256
_LATE_S = 10.0
_TRIES = 5
_COMPRESSED = (".gz", ".zst")
_Found = list[tuple[LogFile, tuple[int, int] | None]]

Path = str | os.PathLike[str]
T = TypeVar("T")


@overload
def follow(
    *paths: Path,
    position: Mapping[str, Any] | None = ...,
    from_end: bool = ...,
    errors: Literal["raise", "skip"] = ...,
    report: Callable[[ReadError], object] | None = ...,
    typed: Literal[True] = ...,
    since: str | datetime.datetime | None = ...,
    where: Mapping[str, Any] | None = ...,
    rotated: bool = ...,
    interval_s: float = ...,
) -> Follower[Event]: ...


@overload
def follow(
    *paths: Path,
    position: Mapping[str, Any] | None = ...,
    from_end: bool = ...,
    errors: Literal["raise", "skip"] = ...,
    report: Callable[[ReadError], object] | None = ...,
    typed: Literal[False],
    since: str | datetime.datetime | None = ...,
    where: Mapping[str, Any] | None = ...,
    rotated: bool = ...,
    interval_s: float = ...,
) -> Follower[dict[str, Any]]: ...


def follow(
    *paths: Path,
    position: Mapping[str, Any] | None = None,
    from_end: bool = False,
    errors: Literal["raise", "skip"] = "skip",
    report: Callable[[ReadError], object] | None = None,
    typed: bool = True,
    since: str | datetime.datetime | None = None,
    where: Mapping[str, Any] | None = None,
    rotated: bool = True,
    interval_s: float = 0.2,
) -> Follower[Any]:
    """
    Return what yields the events of logs as they are written.

    Files may be missing at first, rotated, compressed and truncated; directories and patterns mean
    also what comes into them later. A line that is written by half waits for its rest.

    Args:
        paths: Files, directories and patterns with `*`.
        position: Where to go on: the `position` of an earlier follower, also of another process.
        from_end: Without a position, whether to begin with what is written from now on.
        errors: What happens at a line that is no event: `raise`, or `skip` and report it.
        report: As in `read`.
        typed: As in `read`.
        since: As in `read`.
        where: As in `read`.
        rotated: Whether rotated files that are there in the beginning are read.
        interval_s: How often to look.

    Raises:
        ConfigurationError: for a wrong value of an option.
    """
    if not paths:
        raise ConfigurationError("paths", list(paths), "Give at least one")
    codec = codec_of(Event if typed else dict, selection_of(since, None, where))
    begin = _Begin(from_end, rotated, _checked(position))
    return Follower(
        [os.path.abspath(path) for path in paths],
        codec,
        reporter(errors, report),
        begin,
        interval_s,
    )


def _checked(position: Mapping[str, Any] | None) -> dict[str, list[dict[str, Any]]]:
    logs = None if position is None else position.get("logs")
    try:
        return {
            str(log): [{name: each[name] for name in _Open.KEPT} for each in files]
            for log, files in (logs if position is not None else {}).items()  # type: ignore[union-attr]
        }
    except (AttributeError, KeyError, TypeError):
        raise ConfigurationError(
            "position", dict(position or {}), "Must be the position of a follower"
        ) from None


class _Begin:
    """Where to begin with each log."""

    def __init__(
        self, from_end: bool, rotated: bool, position: dict[str, list[dict[str, Any]]]
    ) -> None:
        self.from_end = from_end
        self.rotated = rotated
        self.position = position


class Follower(Generic[T]):
    """
    Yields events as they are written, without end; `new` yields those that are there.

    It is to be closed, as by a `with` block, and used by one thread; `stop` may be called by any.
    """

    def __init__(
        self, paths: list[str], codec: Codec[T], report: Report, begin: _Begin, interval_s: float
    ) -> None:
        self._paths = paths
        self._codec = codec
        self._report = report
        self._begin = begin
        self._interval_s = interval_s
        self._logs: dict[str, _Log] = {}
        self._stopped = threading.Event()

    def __enter__(self) -> Follower[T]:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[T]:
        while not self._stopped.is_set():
            yield from self.new()
            self._stopped.wait(self._interval_s)

    def new(self) -> Iterator[T]:
        """Yield the events that were written since; ends when there are no more for now."""
        there = {file.log for file in files_of(self._paths, report=lambda error: None)}
        for log in sorted(there - self._logs.keys()):
            self._logs[log] = _Log(log, self._begin, self._report)
            if self._begin.from_end:
                self._logs[log].begin_at_end()
        self._begin.from_end = False
        for own in self._logs.values():
            for path, number, line in own.lines():
                yield from decoded_line(line, path, number, self._codec, self._report)
                if self._stopped.is_set():
                    return

    def stop(self) -> None:
        """End the iteration, which may be waiting."""
        self._stopped.set()

    def close(self) -> None:
        """Stop, and close all files."""
        self.stop()
        for log in self._logs.values():
            log.close()

    @property
    def position(self) -> dict[str, Any]:
        """How far was read, the last event that was yielded included, as values of JSON."""
        logs = {log: files for log, files in self._begin.position.items() if log not in self._logs}
        return {"logs": {**logs, **{name: log.position for name, log in self._logs.items()}}}


class _Open:
    """
    A file of a log and how far it was read.

    Attributes:
        offset: Where the first line begins that was not read; of a compressed file, in what it holds.
        number: The number of this line.
        quiet_since: When something was read of it for the last time, as `time.monotonic` counts.
    """

    KEPT = ("inode", "offset", "number", "head", "head_bytes", "modified_ns")

    def __init__(self, path: str, offset: int = 0, number: int = 1) -> None:
        self.path = path
        self.quiet_since = time.monotonic()
        self._source = open(path, "rb", buffering=0)  # noqa: SIM115 -- `close` closes it
        found = os.fstat(self._source.fileno())
        self.identity = found.st_dev, found.st_ino
        self.begin_at(offset, number)
        self._pieces = self._unpacked() if path.endswith(_COMPRESSED) else None
        self.is_told = False

    def begin_at(self, offset: int, number: int) -> None:
        """Go on with the line that begins there."""
        self.offset, self.number = offset, number
        self._begin = _first_bytes(self.path, self._source, min(offset, _HEAD_BYTES))
        self._lines: deque[tuple[bytes | None, int]] = deque()  # None is one that is too long
        self._rest: list[bytes] = []
        self._rest_size = 0
        self._ahead = 0  # of the offset, where the next piece is

    @property
    def is_compressed(self) -> bool:
        return self._pieces is not None

    @property
    def modified_ns(self) -> int:
        return os.fstat(self._source.fileno()).st_mtime_ns

    @property
    def position(self) -> dict[str, Any]:
        begin = self._begin[: self.offset]
        head = hashlib.sha256(begin).hexdigest() if begin else ""
        values = self.identity[1], self.offset, self.number, head, len(begin), self.modified_ns
        return dict(zip(self.KEPT, values, strict=True))

    @property
    def is_truncated(self) -> bool:
        """Whether it is shorter than what was read of it, or begins with something else."""
        if self.is_compressed:
            return False
        if os.fstat(self._source.fileno()).st_size < self.offset + self._ahead:
            return True
        return _first_bytes(self.path, self._source, len(self._begin)) != self._begin

    def skip_to_end(self) -> None:
        """Pass over the lines that are there."""
        for _ in self.lines(lambda error: None):
            pass

    def lines(self, report: Report) -> Iterator[tuple[str, int, bytes]]:
        """Yield its new whole lines, each with its path and number."""
        while self._lines or self._is_more(report):
            while self._lines:
                line, size = self._lines.popleft()
                number = self.number
                self.number += 1
                self.offset += size
                self._ahead -= size
                if line is not None:
                    yield self.path, number, line

    def _is_more(self, report: Report) -> bool:
        """Read on; return False at the end for now."""
        piece = self._next()
        if not piece:
            return False
        self.quiet_since = time.monotonic()
        if len(self._begin) < _HEAD_BYTES:
            self._begin += piece[: _HEAD_BYTES - len(self._begin)]
        self._ahead += len(piece)
        *whole, rest = piece.split(b"\n")
        for line in whole:
            self._hold(line + b"\n", report)
            size, known = self._rest_size, self._rest_size <= LONGEST
            self._lines.append((b"".join(self._rest) if known else None, size))
            self._rest, self._rest_size = [], 0
        self._hold(rest, report)
        return True

    def _hold(self, part: bytes, report: Report) -> None:
        """Keep a part of a line until the rest of it is there; of one that is too long, nothing."""
        before = self._rest_size
        self._rest_size += len(part)
        if self._rest_size <= LONGEST:
            self._rest.append(part)
            return
        self._rest = []
        if before <= LONGEST:
            reason = f"it has more than {LONGEST} bytes and is passed over"
            report(ReadError(reason, self.path, self.number + len(self._lines)))

    def last(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield what stands without an end at the end of a file that nobody writes to any more."""
        if self._rest_size:
            line = b"".join(self._rest)
            self.begin_at(self.offset + self._rest_size, self.number)
            yield self.path, self.number, line

    def _next(self) -> bytes:
        if self._pieces is not None:
            return next(self._pieces, b"")
        self._source.seek(self.offset + self._ahead)
        return self._source.read(BLOCK)

    def _unpacked(self) -> Iterator[bytes]:
        before = self.offset
        for block in open_blocks(self.path, self._source, size=BLOCK):
            if before < len(block):
                yield block[before:]
            before = max(0, before - len(block))

    def close(self) -> None:
        self._source.close()


class _Log:
    """
    The files of one log that are read, in their order.

    Args:
        log: The path of the log.
        begin: Where to begin.
        report: Is told what can't be read.
    """

    def __init__(self, log: str, begin: _Begin, report: Report) -> None:
        self._log = log
        self._report = report
        self._begin = begin
        self._resume: list[dict[str, Any]] | None = begin.position.get(log)
        self._current: _Open | None = None
        self._older: list[_Open] = []
        self._told: set[str] = set()

    @property
    def position(self) -> list[dict[str, Any]]:
        if self._current is None:
            return self._resume or []
        return [each.position for each in (*self._older, self._current)]

    def begin_at_end(self) -> None:
        """Begin with what is written from now on, unless there is a place to go on from."""
        if self._resume is None:
            for file, identity in self._settled(lambda files: files[-1:]) or ():
                if self._open(file, identity) and self._current is not None:
                    self._current.skip_to_end()

    def lines(self) -> Iterator[tuple[str, int, bytes]]:
        """Yield the new lines, each with its path and number."""
        if self._current is None:
            yield from self._begun()
            return
        yield from self._read_late()
        if self._current.is_truncated:
            if not self._opens_copies(self._current):
                return
            yield from self._read_late()
        yield from self._of(self._current)
        if _identity(self._log) not in (None, self._current.identity):
            yield from self._of(self._current)  # what was written until it was renamed
            yield from self._advance(self._settled(self._after(self._current)))

    def _begun(self) -> Iterator[tuple[str, int, bytes]]:
        if self._resume is None:
            wanted = (lambda files: files) if self._begin.rotated else _live
            yield from self._advance(self._settled(wanted))
            return
        kept = self._resume
        found = self._settled(lambda files: _resumed(files, kept))
        if found is None:
            return
        at = {
            place: each
            for each in kept
            if (place := _place([f for f, _ in found], each)) is not None
        }
        for place in sorted(at):
            file, identity = found[place]
            self._open(file, identity, at[place]["offset"], at[place]["number"])
        self._resume = None if self._current else []
        if self._current is not None:
            yield from self._read_late()
            yield from self._of(self._current)
        elif kept and kept[-1]["head_bytes"]:
            reason = "The file at which reading had ended is gone: events may be missing"
            self._report(ReadError(reason, self._log))
        yield from self._advance(found[max(at, default=-1) + 1 :])

    def _settled(self, choose: Callable[[list[LogFile]], list[LogFile]]) -> _Found | None:
        """Some of the files of the log, or None where they are renamed all the time."""
        for _ in range(_TRIES):
            before = self._listed()
            chosen = choose([file for file, _ in before])
            if self._listed() == before:
                return [each for each in before if each[0] in chosen]
        return None

    def _listed(self) -> _Found:
        files = files_of(self._log, report=lambda error: None)
        return [(file, _identity(file.path)) for file in files]

    def _open(
        self, file: LogFile, identity: tuple[int, int] | None, offset: int = 0, number: int = 1
    ) -> bool:
        """Read a file next, after those that are open; return False if it is another one by now."""
        try:
            opened = _Open(file.path, offset, number)
        except FileNotFoundError:
            return False
        except OSError as error:
            if file.path not in self._told:
                self._told.add(file.path)
                self._report(ReadError(error.strerror or type(error).__name__, file.path))
            return True
        if opened.identity != identity:
            opened.close()
            return False
        if self._current is not None:
            self._older.append(self._current)
        self._current = opened
        return True

    def _advance(self, found: _Found | None) -> Iterator[tuple[str, int, bytes]]:
        """Read the files that come next, as far as they are still what they were."""
        for file, identity in found or ():
            before = self._current
            if not self._open(file, identity):
                return
            if self._current is not None and self._current is not before:
                if file.is_live and before is not None and not self._is_next(file, before):
                    self._take_back(before)
                    return
                yield from self._of(self._current)

    def _is_next(self, file: LogFile, before: _Open) -> bool:
        """
        Whether a file that is open now is the one after another, and no later one in its place.

        The inode of a file that was compressed may be that of the next but one by now.
        """
        settled = self._settled(self._after(before))
        return settled is not None and [each.stem for each, _ in settled[:1]] == [file.stem]

    def _take_back(self, before: _Open) -> None:
        """Go on with a file that was thought to be done."""
        if self._current is not None:
            self._current.close()
        self._current = before
        self._older.remove(before)

    def _of(self, file: _Open) -> Iterator[tuple[str, int, bytes]]:
        try:
            yield from file.lines(self._report)
        except (ReadError, MissingDependencyError, OSError) as error:
            if file.is_told:
                return
            file.is_told = True
            reason = getattr(error, "strerror", None) or str(error)
            told = error if isinstance(error, ReadError) else ReadError(reason, file.path)
            self._report(told)

    def _read_late(self) -> Iterator[tuple[str, int, bytes]]:
        """Read what is still written to files that were renamed."""
        for file in self._older[:]:
            yield from self._of(file)
            if file.is_compressed or time.monotonic() - file.quiet_since > _LATE_S:
                yield from file.last()
                self._older.remove(file)
                file.close()

    def _opens_copies(self, current: _Open) -> bool:
        """Begin anew with a file that was truncated, after what was copied of it before."""
        position = current.position

        def copies(files: list[LogFile]) -> list[LogFile]:
            own = [file for file in files if file.path != current.path]
            at = _place(own, {**position, "inode": 0}) if position["head_bytes"] else None
            return [] if at is None else own[at:]

        found = self._settled(copies)
        if found is None:
            return False
        offset, number = position["offset"], position["number"]
        for file, identity in found:
            self._open(file, identity, offset, number)
            offset, number = 0, 1
        opened = [*self._older, self._current]
        self._older = [each for each in opened if each is not None and each is not current]
        self._current = current
        current.begin_at(0, 1)
        return True

    def _after(self, current: _Open) -> Callable[[list[LogFile]], list[LogFile]]:
        """What chooses the files that follow one that was renamed."""
        known = {each.identity for each in (*self._older, current)}
        position = current.position

        def after(files: list[LogFile]) -> list[LogFile]:
            at = _place(files, position)
            if at is not None:
                return files[at + 1 :]
            newer = [file for file in files if _modified(file) >= position["modified_ns"]]
            return [file for file in newer if _identity(file.path) not in known]

        return after

    def close(self) -> None:
        if self._current is not None:
            self._resume = self.position
            for each in (*self._older, self._current):
                each.close()
            self._current, self._older = None, []


def _live(files: list[LogFile]) -> list[LogFile]:
    return [file for file in files if file.is_live]


def _resumed(files: list[LogFile], kept: list[dict[str, Any]]) -> list[LogFile]:
    """The files that were read by then, and those after them; where they are gone, newer ones."""
    places = [at for each in kept if (at := _place(files, each)) is not None]
    if places:
        return [file for at, file in enumerate(files) if at in places or at > max(places)]
    newest = max((each["modified_ns"] for each in kept), default=0)
    return [file for file in files if _modified(file) > newest]


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _modified(file: LogFile) -> int:
    try:
        return os.stat(file.path).st_mtime_ns
    except OSError:
        return 0


def _place(files: list[LogFile], position: Mapping[str, Any]) -> int | None:
    """Where the file is that was read up to a position, under whatever name."""
    same = [at for at, file in enumerate(files) if _is_same(file, position)]
    for at in same:
        identity = _identity(files[at].path)
        if identity is not None and identity[1] == position["inode"]:
            return at
    return same[0] if same else None


def _is_same(file: LogFile, position: Mapping[str, Any]) -> bool:
    try:
        found = os.stat(file.path)
        if not position["head_bytes"]:
            return bool(found.st_ino == position["inode"])
        if not file.path.endswith(_COMPRESSED) and found.st_size < position["offset"]:
            return False
        with open(file.path, "rb", buffering=0) as source:
            begin = _first_bytes(file.path, source, position["head_bytes"])
            return bool(hashlib.sha256(begin).hexdigest() == position["head"])
    except OSError:
        return False


def _first_bytes(path: str, source: IO[bytes], size: int) -> bytes:
    """The first bytes that a file holds."""
    if not path.endswith(_COMPRESSED):
        source.seek(0)
        return source.read(size)
    begin = b""
    try:
        with open(path, "rb", buffering=0) as own:
            for block in open_blocks(path, own, size=_HEAD_BYTES):
                begin += block
                if len(begin) >= size:
                    break
    except (ReadError, MissingDependencyError):
        pass
    return begin[:size]
