"""
How a log ends, read from its files: what the next line has to be linked to.

A file is read backwards, in growing pieces, until a line is found that is linked to the one before
it. What stands behind that line, the next one has to cover.
"""

from __future__ import annotations

import os
import stat

from collections.abc import Iterator
from typing import IO, Any, NamedTuple

import msgspec

from ..safeguards.chain import (
    ZEROS,
    Link,
    Seal,
    Span,
    link_of,
    sha256,
    spanning,
    without_seal,
)
from .compression import DamagedError, decompressed
from .rotation import ENDINGS


__all__ = [
    "START",
    "SealRanges",
    "Tail",
    "covered",
    "is_chained",
    "last_line",
    "line_by_line",
    "misfit",
    "read",
    "summary_of",
    "tail_of",
    "within",
]

_FIRST_READ = 64 * 1024
_MOST_READ = 256 * 1024 * 1024
_WINDOW = 4 * 1024 * 1024
_SIGN = b'"integrity":{"chain":"'
_RANGE = ("chain", "first_seq", "last_seq", "head", "seals")
_KINDS = {ending: kind for kind, ending in ENDINGS.items()}


class Tail(NamedTuple):
    """
    How a log ends.

    Attributes:
        chain: The id of its chain; empty where nothing is linked.
        seq: The highest number in the chain; -1 where nothing is linked.
        last: The digest of the last line; empty where there is none.
        lines: How many lines stand behind the last one that is linked.
        digest: What `spanning` begins, with these lines; None where there are none.
    """

    chain: str = ""
    seq: int = -1
    last: str = ""
    lines: int = 0
    digest: Any = None

    @property
    def span(self) -> Span | None:
        """What the next linked line says of what stands between."""
        return None if self.digest is None else Span(self.lines, self.digest.hexdigest())


START = Tail()
"""Nothing is known of what stands before."""


def read(fd: int, begin: int, end: int) -> bytes:
    """Return what stands in a file from one place to another."""
    parts = []
    while begin < end and (part := os.pread(fd, end - begin, begin)):
        parts.append(part)
        begin += len(part)
    return b"".join(parts) if len(parts) != 1 else parts[0]


def within(fd: int, begin: int, end: int, before: Tail) -> Tail | None:
    """
    Return how a log ends behind what stands between two places of a file.

    None where so much of it has no linked line that the rest is not read.
    """
    size = _FIRST_READ
    while True:
        low = max(begin, end - size)
        found = _after(read(fd, low, end), before if low == begin else None)
        if found is not None:
            return found
        if size > _MOST_READ:
            return None
        size *= 8


def _after(data: bytes, before: Tail | None) -> Tail | None:
    """
    How a log ends behind some lines; None where a linked line would have to be looked for further up.

    Args:
        data: The lines.
        before: How it ended before them; None where they begin amid the file. Without a chain, the
            first of them is what it says.
    """
    stop, last = len(data) - data.endswith(b"\n"), ""
    end, highest = stop, dict[str, int]()
    while stop > 0 or (stop == 0 and data[:1] == b"\n"):
        begin = data.rfind(b"\n", 0, stop) + 1
        line = data[begin:stop]
        last = last or sha256(line)
        found = link_of(line)
        if found is not None and not found.is_unlinked:
            seq = highest[found.chain] = max(highest.get(found.chain, -1), found.seq)
            if _fits(found, data, begin, before):
                return _behind(data, stop, end, found, seq, last)
        stop = begin - 1
    if before is None:
        return None
    if not before.chain:
        return before._replace(last=last or before.last)
    return covered(before, data)


def _fits(found: Link, data: bytes, begin: int, before: Tail | None) -> bool:
    """Whether a link names the line that stands before it."""
    if begin == 0:
        return before is not None and (not before.chain or (before.last or ZEROS) == found.prev)
    above = data.rfind(b"\n", 0, begin - 1) + 1
    if above == 0 and before is None:
        return False  # the line before is not read whole
    return sha256(data[above : begin - 1]) == found.prev


def _behind(data: bytes, stop: int, end: int, found: Link, seq: int, last: str) -> Tail:
    if stop >= end:
        return Tail(found.chain, seq, last)
    rest = data[stop + 1 : end]
    digest = spanning(sha256(data[data.rfind(b"\n", 0, stop) + 1 : stop]))
    digest.update(rest + b"\n")
    return Tail(found.chain, seq, last, rest.count(b"\n") + 1, digest)


def covered(before: Tail, data: bytes) -> Tail:
    """Return how a log ends with lines of which none counts as linked."""
    bare = data[:-1] if data.endswith(b"\n") else data
    if not data:
        return before
    digest = spanning(before.last or ZEROS) if before.digest is None else before.digest.copy()
    digest.update(bare)
    digest.update(b"\n")
    lines = bare.split(b"\n")
    seqs = [
        found.seq
        for found in map(link_of, lines)
        if found is not None and found.chain == before.chain
    ]
    return Tail(
        before.chain,
        max([before.seq, *seqs]),
        sha256(lines[-1]),
        before.lines + len(lines),
        digest,
    )


def line_by_line(before: Tail, data: bytes) -> Tail:
    """
    Return how a log ends behind lines of which some may not be where they belong.

    A line that is linked to one that is not where it belongs does not cover what stands before.
    """
    tail = before
    for line in data.removesuffix(b"\n").split(b"\n"):
        found = link_of(line)
        if (
            found is not None
            and not found.is_unlinked
            and (found.prev, found.span) == (tail.last or ZEROS, tail.span)
        ):
            tail = Tail(found.chain, max(tail.seq, found.seq), sha256(line))
        else:
            tail = covered(tail, line + b"\n")
    return tail


def last_line(fd: int, end: int) -> bytes:
    """Return the last line of a file that ends there, or the end of it if it is very long."""
    data = read(fd, max(0, end - _WINDOW), end)
    return data.removesuffix(b"\n").rpartition(b"\n")[2]


def tail_of(path: str) -> Tail:
    """Return how the log ends in one of its files; nothing is known of one that can't be read."""
    try:
        with open(path, "rb") as file:
            kind = _KINDS.get(os.path.splitext(path)[1])
            if kind is None:
                end = os.fstat(file.fileno()).st_size
                first = file.readline(_WINDOW)
                return _replaced(first) or within(file.fileno(), 0, end, START) or START
            first, data, is_whole = _window(file, kind)
    except (OSError, DamagedError):
        return START
    return _replaced(first) or _after(data, START if is_whole else None) or START


def _window(file: IO[bytes], kind: str) -> tuple[bytes, bytes, bool]:
    """The first line of a compressed file, its end, and whether that is all of it."""
    first, data, total = b"", b"", 0
    for chunk in decompressed(file, kind):
        if b"\n" not in first:
            first = (first + chunk)[:_WINDOW]
        data, total = (data + chunk)[-_WINDOW:], total + len(chunk)
    return first.partition(b"\n")[0], data, total == len(data)


def _replaced(first: bytes) -> Tail | None:
    """How the file ended in whose place another one was put, which has a chain of its own."""
    told = _replaces(first)
    if told is None:
        return None
    try:
        return Tail(str(told["chain"]), int(told["last_seq"]), str(told["head"]))
    except (ValueError, LookupError, TypeError):
        return None


def _replaces(first: bytes) -> dict[str, Any] | None:
    """What the first line of a file that was rewritten tells of the one before."""
    if b'"kind":"rewritten"' not in first:
        return None
    try:
        told = msgspec.json.decode(first)["extensions"]["notice"]["replaces"]
    except (ValueError, LookupError, TypeError):
        return None
    if type(told) is dict and type(told.get("replaces")) is dict:
        told = told["replaces"]  # rewritten twice
    return told if type(told) is dict else None


def is_chained(path: str) -> bool:
    """Return whether a file has linked lines where it ends."""
    try:
        with open(path, "rb") as file:
            end = os.fstat(file.fileno()).st_size
            data = read(file.fileno(), max(0, end - _FIRST_READ), end)
    except OSError:
        return False
    return any(link_of(line) for line in data.split(b"\n") if _SIGN in line)


def misfit(path: str) -> str | None:
    """Return why no chain can be begun or continued in a file; None where one can."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return "It is no regular file, and lines can be linked in no other"
        with open(path, "rb") as file:
            data = read(file.fileno(), max(0, found.st_size - _FIRST_READ), found.st_size)
    except FileNotFoundError:
        return None
    except OSError:
        return "It can't be read, and lines are linked to those that are there"
    return _misfit_of(data.removesuffix(b"\n").rpartition(b"\n")[2])


def _misfit_of(last: bytes) -> str | None:
    if b'"integrity"' not in last or link_of(last) is not None:
        return None
    try:
        event = msgspec.json.decode(last)
    except (ValueError, RecursionError):
        return None  # torn: the next link covers it
    integrity = event.get("integrity") if type(event) is dict else None
    if type(integrity) is not dict or "chain" not in integrity:
        return None
    return "It ends in a chain whose bytes were changed: move the file away to begin a new one"


class SealRanges:
    """The seals of a file, by the names of their keys, as a statement tells them."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, Seal, bytes]] = {}

    def add(self, found: Link, line: bytes) -> None:
        """Take a line, with its link."""
        if found.seal is not None:
            first, *_ = self._found.get(found.seal.name, (found.seal.number,))
            self._found[found.seal.name] = first, found.seal, line

    def told(self) -> dict[str, Any]:
        """Return what a statement says of them; nothing where there are none."""
        found = [
            {
                "key": name,
                "first": first,
                "last": last.number,
                "minute": last.minute,
                "code": last.code,
                "line": sha256(without_seal(line)),
            }
            for name, (first, last, line) in self._found.items()
        ]
        return {"seals": found} if found else {}


def summary_of(path: str) -> dict[str, Any]:
    """
    Return what a notice says of a file that is to be deleted: its links, from the first to the last.

    Raises:
        OSError: if it can't be read.
    """
    first: Link | None = None
    last: Link | None = None
    line, seals = b"", SealRanges()
    told: dict[str, Any] = {"name": os.path.basename(path)}
    try:
        for number, line in enumerate(_lines(path)):
            if number == 0 and (replaces := _replaces(line)) is not None:
                told["replaces"] = {name: replaces[name] for name in _RANGE if name in replaces}
            found = link_of(line) if _SIGN in line else None
            if found is not None and not found.is_unlinked:
                first, last = first or found, found
                seals.add(found, line)
    except DamagedError:
        line = b""
    if first is not None and last is not None:
        told |= {"chain": last.chain, "first_seq": first.seq, "last_seq": last.seq}
    return told | seals.told() | {"head": sha256(line)}


def _lines(path: str) -> Iterator[bytes]:
    kind = _KINDS.get(os.path.splitext(path)[1])
    with open(path, "rb") as file:
        chunks = iter(lambda: file.read(_WINDOW), b"") if kind is None else decompressed(file, kind)
        left = b""
        for chunk in chunks:
            *lines, left = (left + chunk).split(b"\n")
            yield from lines
        if left:
            yield left
