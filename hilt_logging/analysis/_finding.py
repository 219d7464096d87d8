"""
The lines of a log that may say something, found in its bytes before anything is decoded.

A text stands in JSON as it is, or with escapes. What is looked for are bytes that every line has which
says the text: the longest part of it that nobody escapes, and escapes of what nobody need escape.
"""

from __future__ import annotations

import codecs
import errno
import functools
import importlib
import io
import itertools
import os
import re
import stat

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec

from ..errors import ConfigurationError, InvalidEventError, MissingDependencyError, ReadError
from ..events import decode
from ..io.files import LONGEST, LogFile, files_of, open_blocks
from ..schema import is_valid
from ..storage.strings import Find, finding


__all__ = [
    "EVERY_LINE",
    "STDIN",
    "Found",
    "Needles",
    "Report",
    "as_it_stands",
    "event_in",
    "files_meant",
    "lines_of_log",
    "lines_with",
    "needles_of",
    "needles_of_pattern",
    "sources",
]

Report = Callable[[ReadError], object]
_decode = msgspec.json.Decoder().decode

_BLOCK = 64 * 1024
STDIN = "/dev/stdin"
_PIPES = ("/dev/fd/", STDIN, "/proc/self/fd/")  # of the shell
_GOOD_RUN = 3
_UNESCAPED = re.compile(r"[ !#-.0-\[\]-~]+")  # neither quotes, backslashes nor slashes
_LETTERS = re.compile(rb"[a-z]+")
_ESCAPED_ASCII = re.compile(rb"\\u00[2-7]")
_ESCAPED = b"\\u00"
# Letters that re.IGNORECASE takes for letters of ASCII, in UTF-8 and in small escapes.
_TWINS = {
    "i": (b"\xc4\xb0", b"\xc4\xb1", b"\\u0130", b"\\u0131"),
    "s": (b"\xc5\xbf", b"\\u017f"),
    "k": (b"\xe2\x84\xaa", b"\\u212a"),
}


class Needles(NamedTuple):
    """
    Bytes of which a line has some if it says what is wanted.

    Attributes:
        any_of: The bytes, without NUL; a line has at least one of them.
        folds: Whether letters of ASCII count as small ones; then those of the bytes are.
        is_ascii: Whether lines that escape characters of ASCII may say it, too.
        sign: Bytes that stand in all of these lines, but those that escape characters of ASCII: they
            have no letters, and are found sooner than what must be folded.
    """

    any_of: tuple[bytes, ...] = ()
    folds: bool = False
    is_ascii: bool = True
    sign: bytes = b""


EVERY_LINE = Needles()


def as_it_stands(text: str) -> bytes | None:
    """Return a text as it stands in JSON that escapes no character needlessly, if it does as it is."""
    return text.encode() if text and _UNESCAPED.fullmatch(text) else None


def needles_of(text: str, *, folds: bool = False, quote: str = "") -> Needles:
    """
    Return what lines have that say a text.

    Args:
        text: The text.
        folds: Whether its letters may be small or large, as with `re.IGNORECASE`.
        quote: Where the text must begin a value (`^`), end it (`$`) or be one (`^$`).
    """
    runs = [(found[0], found.start(), found.end()) for found in _UNESCAPED.finditer(text)]
    run, begin, end = max(runs, key=lambda each: len(each[0]), default=("", 0, 0))
    foreign = next((char for char in text if char > "\x7f"), None)
    if foreign is not None and not folds and len(run) < _GOOD_RUN:
        return _needles_of_foreign(foreign)
    if not run:
        return EVERY_LINE
    needle = run.encode()
    if "^" in quote and begin == 0:
        needle = b'"' + needle
    if "$" in quote and end == len(text):
        needle += b'"'
    if not folds:
        return Needles((needle,))
    small = needle.lower()
    twins = [twin for letter in "isk" if letter.encode() in small for twin in _TWINS[letter]]
    sign = max(_LETTERS.split(small), key=len)
    return Needles((small, *twins), folds=True, sign=sign)


def _needles_of_foreign(char: str) -> Needles:
    """A character as it is in UTF-8, and as far as its escape is the same in all spellings."""
    unit = int.from_bytes(char.encode("utf-16-be", "surrogatepass")[:2])
    begin = "".join(itertools.takewhile(str.isdigit, f"{unit:04x}"))
    escapes = [begin] if begin else [f"{unit:04x}"[0], f"{unit:04x}"[0].upper()]
    plain = char.encode("utf-8", "surrogatepass")
    return Needles((plain, *(f"\\u{each}".encode() for each in escapes)), is_ascii=False)


def needles_of_pattern(pattern: re.Pattern[str]) -> Needles:
    """Return what lines have in which a pattern matches, by the texts without which it can't."""
    try:
        parsed = importlib.import_module("re._parser").parse(pattern.pattern, pattern.flags)
        texts = list(_needed(parsed))
    except Exception:  # another Python, which parses otherwise
        return EVERY_LINE
    folds = bool(pattern.flags & re.IGNORECASE)
    best = max(texts, key=len, default="")
    return needles_of(best, folds=folds) if best else EVERY_LINE


def _needed(parsed: Any) -> Iterator[str]:
    """The texts that are in everything that a parsed pattern matches."""
    run = ""
    for operator, argument in parsed:
        name = str(operator)
        if name == "LITERAL":
            run += chr(argument)
            continue
        yield run
        run = ""
        if name == "SUBPATTERN" and not argument[1] and not argument[2]:
            yield from _needed(argument[3])
        elif name in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT") and argument[0]:
            yield from _needed(argument[2])
    yield run


class Found(msgspec.Struct, gc=False):
    """
    A line of a log.

    Attributes:
        path: Its file.
        offset: Where it begins in what the file holds.
        data: Its bytes.
    """

    path: str
    offset: int
    data: bytes


def files_meant(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    report: Report,
    *,
    rotated: bool = True,
) -> list[LogFile]:
    """
    Return the files that paths mean; `-` is standard input.

    Raises:
        ConfigurationError: if there is no path.
        ReadError: if the only path is not there.
    """
    several = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
    if not several:
        raise ConfigurationError("paths", several, "Give at least one")
    named = [STDIN if path == "-" else path for path in several]
    files = files_of(named, rotated=rotated, report=None if len(named) == 1 else report)
    if not files and len(named) == 1:
        raise ReadError("There is no log in this directory", os.fspath(named[0]))
    return files


def sources(files: list[LogFile], report: Report) -> Iterator[tuple[str, IO[bytes]]]:
    """
    Yield files with what they are read from, also those that are renamed meanwhile.

    Args:
        files: The files.
        report: Is called with the error of each that can't be opened.
    """
    identities = {file: _identity(file.path) for file in files}
    for file in files:
        try:
            with _opened(file, identities[file]) as source:
                yield file.path, source
        except OSError as error:
            report(ReadError(error.strerror or type(error).__name__, file.path))


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _opened(file: LogFile, identity: tuple[int, int] | None) -> IO[bytes]:
    if identity is None or _identity(file.path) == identity:
        return _plain(file.path)
    others = files_of(file.log, report=lambda error: None)
    renamed = [each.path for each in others if _identity(each.path) == identity]
    stem = [each.path for each in others if each.stem == file.stem]
    return _plain((*renamed, *stem, file.path)[0])


def _plain(path: str) -> IO[bytes]:
    if not stat.S_ISREG(os.stat(path).st_mode) and not path.startswith(_PIPES):
        raise OSError(errno.EINVAL, "It is no regular file", path)
    source = open(path, "rb", buffering=0)  # noqa: SIM115 -- whoever asked closes it
    return source if source.seekable() else io.BufferedReader(source)


def lines_of_log(files: list[LogFile], needles: Needles, report: Report) -> Iterator[Found]:
    """Yield the lines of files that may say what is wanted."""
    for path, source in sources(files, report):
        yield from lines_with(path, source, needles, report)


def lines_with(
    path: str, source: IO[bytes], needles: Needles, report: Report, *, base: int = 0
) -> Iterator[Found]:
    """
    Yield the lines of a file that may say what is wanted.

    Args:
        path: The file.
        source: What it is read from.
        needles: What they have.
        report: Is called with the error of a file that can't be read to its end, of one that is
            UTF-16, and of lines that are too long and passed over.
        base: Where in the file the source begins.
    """
    at, is_amid_line = base, False
    try:
        for block in open_blocks(path, source, size=_BLOCK):
            if at == 0 and block.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                report(ReadError("it is UTF-16, and must be UTF-8", path, 1))
                return
            ends = block.endswith(b"\n")
            begin = block.find(b"\n") + 1 if is_amid_line else 0
            if len(block) >= LONGEST and not ends:
                if not is_amid_line:
                    reason = f"A line of more than {LONGEST} bytes is passed over"
                    report(ReadError(reason, path))
                is_amid_line = True
            elif not is_amid_line or ends:
                for first, last in _spans(block, needles, begin):
                    yield Found(path, at + first, block[first:last])
                is_amid_line = False
            at += len(block)
    except (ReadError, MissingDependencyError) as error:
        report(error if isinstance(error, ReadError) else ReadError(str(error), path))


def _spans(block: bytes, needles: Needles, begin: int) -> Iterator[tuple[int, int]]:
    """Where in a block the lines are that have the needles."""
    if not needles.any_of:
        return _every_line(block, begin)
    find = finding(block)
    has_escapes = find(b"\\u", 0) >= 0
    ways = list(_ways(block, find, needles, has_escapes))
    if has_escapes and needles.is_ascii and find(_ESCAPED, 0) >= 0:
        ways.append((_ESCAPED, functools.partial(_escape, block)))
    if len(ways) == 1:
        return _lines_of(block, *ways[0], begin)
    return iter(sorted({span for way in ways for span in _lines_of(block, *way, begin)}))


def _ways(
    block: bytes, find: Find, needles: Needles, has_escapes: bool
) -> Iterator[tuple[bytes, Find]]:
    """The needles that are in a block, each with what finds it."""
    if needles.sign and find(needles.sign, 0) < 0:
        return
    if needles.folds:
        find = finding(block.lower())
    for needle in needles.any_of:
        if needle[:2] == b"\\u" and not has_escapes:
            continue
        if needle[0] > 0x7F and needle[:1] not in block:  # one byte is found sooner than several
            continue
        if find(needle, 0) >= 0:
            yield needle, find


def _every_line(block: bytes, begin: int) -> Iterator[tuple[int, int]]:
    while begin < len(block):
        end = block.find(b"\n", begin) + 1 or len(block)
        yield begin, end
        begin = end


def _escape(block: bytes, needle: bytes, begin: int) -> int:
    found = _ESCAPED_ASCII.search(block, begin)
    return -1 if found is None else found.start()


def _lines_of(block: bytes, needle: bytes, find: Find, begin: int) -> Iterator[tuple[int, int]]:
    while (place := find(needle, begin)) >= 0:
        first = block.rfind(b"\n", begin, place) + 1 or begin
        begin = block.find(b"\n", place) + 1 or len(block)
        yield first, begin


def event_in(found: Found, report: Report, *, numbered: bool = True) -> dict[str, Any] | None:
    """Return the event of a line; what is none is reported, by default with the number of its line."""
    data = found.data.removeprefix(codecs.BOM_UTF8) if found.offset == 0 else found.data
    data = data.lstrip(b"\0")
    if not data.strip():
        return None
    try:
        event = _decode(data)
        return event if is_valid(event) else decode(data)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = f"not JSON: {error}"
    except InvalidEventError as error:
        reason = str(error)
    torn = "" if data.endswith(b"\n") else " (the line has no end)"
    number = _number(found) if numbered else None
    report(ReadError(f"not an event: {reason}{torn}", found.path, number))
    return None


def _number(found: Found) -> int | None:
    """The number of a line, which is counted only where somebody asks."""
    number, at = 1, 0
    if not os.path.isfile(
        found.path
    ):  # what was read of a pipe is gone, and what comes is not ours
        return None
    try:
        for block in open_blocks(found.path, size=_BLOCK):
            if at + len(block) > found.offset:
                return number + block.count(b"\n", 0, found.offset - at)
            number += block.count(b"\n")
            at += len(block)
    except ReadError:
        pass
    return None
