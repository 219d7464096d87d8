"""
Where in large files the lines of a session are, kept in the user's cache directory.

An index has no content: keyed digests of session ids, and offsets. It is never trusted over its file:
what it names is looked at, and a file that is not the one it was made of is searched.
"""

from __future__ import annotations

import bisect
import codecs
import contextlib
import functools
import hashlib
import io
import itertools
import os
import re
import sys
import time

from array import array
from collections.abc import Iterator, Sequence
from typing import IO, NamedTuple

import msgspec

from .._unfinished import remove, undone
from ..errors import MissingDependencyError, ReadError
from ..io.files import LONGEST, open_blocks
from ._finding import EVERY_LINE, Found, Needles, Report, lines_with, needles_of


__all__ = [
    "LEAST_BYTES",
    "Places",
    "bytes_at",
    "is_packed",
    "lines_after",
    "lines_of_session",
    "places_in",
    "session_in",
    "unindexed_bytes",
    "update",
]

LEAST_BYTES = 64 * 1024 * 1024
"""How much of a log may be without an index: it is searched in a moment."""

_VERSION = 2
_KEPT_S = 90 * 24 * 3600
_BLOCK = 64 * 1024
_DIGEST_BYTES = 8
_LAST_BYTES = 4096
_MOST_PASSED_OVER = 1000
_MOST_HEADER_BYTES = 4096 + 24 * _MOST_PASSED_OVER
_PACKED_FACTOR = 6
_MAGIC = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd")

# How a line of ours begins; of any other its fields are decoded.
_BEGIN = re.compile(
    rb'\{"hilt_version":"[^"\\]*","event_id":"[^"\\]*","timestamp":"[^"\\]*",'
    rb'"session_id":"([^"\\]*)"'
)


class _Session(msgspec.Struct, gc=False):
    session_id: str


_fields = msgspec.json.Decoder(_Session)


def session_in(line: bytes) -> str | None:
    """Return the session of a line, without a look at the rest of it; None if there is none."""
    found = _BEGIN.match(line)
    try:
        if found is not None:
            return found[1].decode()
        line = line.removeprefix(codecs.BOM_UTF8).lstrip(b"\0")
        return _fields.decode(line).session_id
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


class _Header(msgspec.Struct):
    """
    What an index was made of.

    Attributes:
        size: How many bytes of the file it covers.
        last: Where the bytes begin that `digest` is of: its last line, or of a compressed file its end.
        modified_ns: When a compressed file was changed.
        passed_over: The numbers of its lines that are too long, the first ones.
        sessions: How many sessions there are.
    """

    version: int
    byteorder: str
    inode: int
    device: int
    size: int
    last: int
    digest: str
    is_packed: bool
    modified_ns: int
    salt: str
    passed_over: list[int]
    sessions: int


class _Index(msgspec.Struct):
    header: _Header
    keys: array[int]
    begins: array[int]
    offsets: array[int]

    def tell(self, path: str, report: Report) -> None:
        """Tell of the lines that are in no index, as they are too long."""
        for number in self.header.passed_over:
            report(ReadError(f"it has more than {LONGEST} bytes and is passed over", path, number))

    def of(self, session_id: str) -> array[int] | None:
        """Where the lines of a session are; of a compressed file no places; None if there are none."""
        key = _key(session_id.encode("utf-8", "surrogatepass"), self.header.salt)
        at = bisect.bisect_left(self.keys, key)
        if at == len(self.keys) or self.keys[at] != key:
            return None
        return self.offsets[self.begins[at] : self.begins[at + 1]]

    def each(self) -> Iterator[array[int]]:
        """Yield where the lines of each session are."""
        for begin, end in itertools.pairwise(self.begins):
            yield self.offsets[begin:end]


def _key(session: bytes, salt: str) -> int:
    digest = hashlib.blake2b(session, digest_size=_DIGEST_BYTES, key=bytes.fromhex(salt))
    return int.from_bytes(digest.digest(), "little")


def _folder() -> str:
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        base = os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "hilt-logging", "sessions")


def _place(found: os.stat_result) -> str:
    return os.path.join(_folder(), f"{found.st_dev:x}-{found.st_ino:x}.index")


def is_packed(source: IO[bytes]) -> bool:
    """Return whether a file is compressed."""
    return bytes_at(source, 0, 4).startswith(_MAGIC)


def bytes_at(source: IO[bytes], begin: int, size: int) -> bytes:
    """Return bytes of a file from anywhere; what reads it next does so from its beginning."""
    source.seek(begin)
    found = source.read(size)
    source.seek(0)
    return found


def _load(source: IO[bytes]) -> _Index | None:
    """The index of a file, if there is one and it is of this file."""
    try:
        found = os.fstat(source.fileno())
        with open(_place(found), "rb") as file:
            header = msgspec.json.decode(file.readline(_MOST_HEADER_BYTES), type=_Header)
            if not _is_of(header, found, source):
                return None
            return _read(header, file.read())
    except (OSError, ValueError, msgspec.DecodeError):
        return None


def _read(header: _Header, data: bytes) -> _Index | None:
    keys, begins, offsets = array("Q"), array("Q"), array("Q")
    middle = header.sessions * 8
    end = middle + (header.sessions + 1) * 8
    keys.frombytes(data[:middle])
    begins.frombytes(data[middle:end])
    offsets.frombytes(data[end:])
    if len(begins) != header.sessions + 1 or begins[-1] != len(offsets):
        return None
    return _Index(header, keys, begins, offsets)


def _is_of(header: _Header, found: os.stat_result, source: IO[bytes]) -> bool:
    if (header.version, header.byteorder) != (_VERSION, sys.byteorder):
        return False
    if (header.device, header.inode) != (found.st_dev, found.st_ino) or found.st_size < header.size:
        return False
    if header.is_packed and (header.size, header.modified_ns) != (found.st_size, found.st_mtime_ns):
        return False
    return _digest(source, header.last, header.size) == header.digest


def _digest(source: IO[bytes], begin: int, end: int) -> str:
    if end - begin > LONGEST:
        return ""
    return hashlib.sha256(bytes_at(source, begin, end - begin)).hexdigest()


def unindexed_bytes(source: IO[bytes]) -> int:
    """Return how many bytes of a file have no index, about; compressed ones count as many."""
    if not source.seekable():
        return 0
    size = os.fstat(source.fileno()).st_size
    if size == 0:
        return 0
    index = _load(source)
    rest = size - (index.header.size if index is not None else 0)
    return rest * _PACKED_FACTOR if is_packed(source) else rest


def lines_of_session(
    path: str, source: IO[bytes], session_id: str, report: Report, *, indexed: bool = True
) -> Iterator[Found]:
    """
    Yield the lines of a file that may belong to a session; all that do are among them.

    Args:
        path: The file.
        source: The same, open.
        session_id: The session.
        report: As in `lines_with`.
        indexed: Whether an index is used, where there is one.
    """
    needles = needles_of(session_id, quote="^$")
    index = _load(source) if indexed and source.seekable() else None
    if index is not None:
        found = _found(path, source, session_id, index)
        if found is not None:
            index.tell(path, report)
            yield from found
            if not index.header.is_packed:
                yield from lines_after(path, index.header.size, report, needles)
            return
    yield from lines_with(path, source, needles, report)


def _found(path: str, source: IO[bytes], session_id: str, index: _Index) -> list[Found] | None:
    """The lines that an index names; None where they are not what it says."""
    offsets = index.of(session_id)
    if offsets is None:
        return []
    if index.header.is_packed:
        return None
    lines = []
    with open(source.fileno(), "rb", closefd=False) as file:
        for offset in offsets:
            file.seek(offset)
            line = file.readline(LONGEST)
            if session_in(line) != session_id:
                return None
            lines.append(Found(path, offset, line))
    return lines


class _From(io.FileIO):
    """A file that begins later than it does."""

    def __init__(self, path: str, begin: int) -> None:
        super().__init__(path)
        self._begin = begin
        self.seek(0)

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return super().seek(offset + (self._begin if whence == 0 else 0), whence)


def lines_after(
    path: str, begin: int, report: Report, needles: Needles = EVERY_LINE
) -> Iterator[Found]:
    """
    Yield the lines of a file from a place on.

    Args:
        path: The file.
        begin: Where the first one begins.
        report: As in `lines_with`.
        needles: What they have.
    """
    try:
        if os.stat(path).st_size <= begin:
            return
        source = _From(path, begin)
    except OSError:  # gone since: what came later is in the next file
        return
    with source:
        yield from lines_with(path, source, needles, report, base=begin)


class Places(NamedTuple):
    """
    Where the lines of all sessions of a file are.

    Attributes:
        sessions: Of each session where its lines begin.
        end: Where those end that the index knows.
    """

    sessions: Iterator[Sequence[int]]
    end: int


def places_in(path: str, source: IO[bytes], report: Report) -> Places | None:
    """
    Return where the lines of all sessions are, as an index tells; None without one.

    Of a small file it is no loss to have none; there the lines are all behind what is known.

    Args:
        path: The file.
        source: The same, open.
        report: Is called with the error of each line that the index knows to be too long.
    """
    if not source.seekable() or is_packed(source):
        return None
    index = _load(source)
    if index is not None:
        index.tell(path, report)
        return Places(index.each(), index.header.size)
    is_small = os.fstat(source.fileno()).st_size < LEAST_BYTES // 16
    return Places(iter(()), 0) if is_small else None


def update(path: str, source: IO[bytes]) -> bool:
    """
    Make or renew the index of a file; return whether that could be done.

    Args:
        path: The file.
        source: The same, open; it is read from its beginning.
    """
    try:
        found = os.fstat(source.fileno())
        folder = _folder()
        os.makedirs(folder, mode=0o700, exist_ok=True)
        header, sessions = _made(path, source, found)
        _write(_place(found), header, sessions)
        _forget_old(folder)
    except (OSError, ValueError, ReadError, MissingDependencyError):
        return False
    return True


def _made(
    path: str, source: IO[bytes], found: os.stat_result
) -> tuple[_Header, dict[bytes, list[int]]]:
    packed = is_packed(source)
    sessions, last, end, passed_over = _sessions(path, source)
    if packed:
        last, end = max(0, found.st_size - _LAST_BYTES), found.st_size
        sessions = {session: [] for session in sessions}
    header = _Header(
        version=_VERSION,
        byteorder=sys.byteorder,
        inode=found.st_ino,
        device=found.st_dev,
        size=end,
        last=last,
        digest=_digest(source, last, end),
        is_packed=packed,
        modified_ns=found.st_mtime_ns,
        salt=os.urandom(16).hex(),
        passed_over=passed_over[:_MOST_PASSED_OVER],
        sessions=len(sessions),
    )
    return header, sessions


class _Lines(NamedTuple):
    """Where the lines of each session begin, the last whole line does, and where that ends."""

    sessions: dict[bytes, list[int]]
    last: int
    end: int
    passed_over: list[int]


def _sessions(path: str, source: IO[bytes]) -> _Lines:
    sessions: dict[bytes, list[int]] = {}
    passed_over: list[int] = []
    at = last = end = 0
    number = 1
    is_amid_line = False
    match = _BEGIN.match
    source.seek(0)
    for block in open_blocks(path, source, size=_BLOCK):
        begin = block.find(b"\n") + 1 if is_amid_line else 0
        if begin:
            passed_over.append(number)
        number += block.count(b"\n")
        is_amid_line = not block.endswith(b"\n")
        if is_amid_line:  # a line that is too long, or the last one, which may go on
            at += len(block)
            continue
        find, size = block.find, len(block)
        while begin < size:
            ours = match(block, begin)
            after = find(b"\n", begin) + 1
            session = ours[1] if ours else _foreign(block[begin:after])
            last = at + begin
            if session is not None:
                known = sessions.get(session)
                if known is None:
                    sessions[session] = [last]
                else:
                    known.append(last)
            begin = after
        at += size
        end = at
    return _Lines(sessions, last, end, passed_over)


def _foreign(line: bytes) -> bytes | None:
    session = session_in(line)
    return None if session is None else session.encode("utf-8", "surrogatepass")


def _write(path: str, header: _Header, sessions: dict[bytes, list[int]]) -> None:
    by_key: dict[int, list[int]] = {}
    for session, places in sessions.items():
        key = _key(session, header.salt)
        by_key[key] = sorted(by_key[key] + places) if key in by_key else places
    header.sessions = len(by_key)
    begins, offsets = array("Q", [0]), array("Q")
    keys = array("Q", sorted(by_key))
    for key in keys:
        offsets.extend(by_key[key])
        begins.append(len(offsets))
    part = f"{path}.{os.urandom(4).hex()}.part"
    with undone(functools.partial(remove, part)):
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(msgspec.json.encode(header) + b"\n")
            for each in (keys, begins, offsets):
                each.tofile(file)
        os.replace(part, path)


def _forget_old(folder: str) -> None:
    """Delete indexes that nobody has renewed for long: their files are gone, or change no more."""
    before = time.time() - _KEPT_S
    with os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)
