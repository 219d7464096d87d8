"""
The files of a log in their order, and what is in them, byte for byte.

Names are those that our own rotation gives, logrotate (`NAME.1`, `NAME-20261122`, also with an
`extension` that stays last) and compression. A file is read in blocks: how long it is, or one of its
lines, costs no memory.
"""

from __future__ import annotations

import fnmatch
import glob
import io
import itertools
import os
import re
import stat

from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any, NamedTuple

import msgspec

from ..errors import ReadError
from ..storage.compression import DamagedError, decompressed


__all__ = [
    "LONGEST",
    "DamagedFileError",
    "LogFile",
    "files_of",
    "lines_in",
    "open_blocks",
    "open_lines",
    "several",
]

LONGEST = 16 * 1024 * 1024
_CHUNK = 1024 * 1024

_LOGS = (".jsonl", ".ndjson", ".hilt", ".log")
_ENDINGS = (".gz", ".zst")
_NO_LOGS = (".part", ".lock", ".chain")
_PENDING = ".rotating"
_STAMP = re.compile(r"[._-]?(\d{8}T\d{6}\.\d{9}Z)")
_NUMBER = r"\.(?P<number>\d{1,3})"
_DATE = r"[.-](?P<date>\d{4}-?\d\d-?\d\d(?:[-_T.]?\d[\d:.-]*)?)"
_ROTATED = re.compile(rf"(?P<log>.+?)(?:{_NUMBER}|{_DATE})")
_BEFORE_EXTENSION = re.compile(rf"(?P<log>.+?)(?:{_NUMBER}|{_DATE})(?P<extension>\.[A-Za-z]\w*)")
_NEAR_NS = 1000
_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}
_PIPES = ("/dev/fd/", "/dev/stdin", "/proc/self/fd/")
_UNREAD_MAGIC = {b"BZh": "bzip2", b"\xfd7zXZ": "xz"}


class DamagedFileError(ReadError):
    """A compressed file that ends early or is damaged; what stands before that was read."""


class LogFile(NamedTuple):
    """
    One file of a log.

    Attributes:
        path: The file.
        log: The path of the log, which is that of the file where it is not a rotated one.
        order: Sorts the files of a log, the oldest first.
    """

    path: str
    log: str
    order: tuple[int, int, str]

    @property
    def is_live(self) -> bool:
        """Whether it is the file that is written to, and no rotated one."""
        return self.path == self.log

    @property
    def stem(self) -> str:
        """Its path without what compression and a waiting rotator add to it."""
        return _stem(self.path)


def files_of(
    paths: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
    *,
    rotated: bool = True,
    report: Callable[[ReadError], object] | None = None,
) -> list[LogFile]:
    """
    Return the files that paths mean: log by log, the oldest first.

    What is on the way to being compressed or rewritten counts once: of a file and the same
    compressed, the former; of a file and the one that says it replaces it, the latter.

    Args:
        paths: A path or several: files, directories, of which the logs are taken (`.jsonl`,
            `.ndjson`, `.hilt`, `.log` and what they were rotated to), and patterns with `*`.
        rotated: Whether a log that is named means its rotated files in the same folder, too.
        report: Is called with the error of each path that is not there.

    Raises:
        ReadError: for a path that is not there, without *report*.
    """
    found: dict[str, LogFile] = {}
    for path in several(paths):
        try:
            some = list(_meant(os.fspath(path), rotated))
        except ReadError as error:
            (report or _raise)(error)
            continue
        for file in some:
            found.setdefault(os.path.realpath(file.path), file)
    return _without_replaced(_once(sorted(found.values(), key=lambda file: file[1:])))


def several(values: Any) -> list[Any]:
    """Return values as a list; a text and a path is one, not its letters."""
    return [values] if isinstance(values, str | os.PathLike) else list(values)


def _raise(error: ReadError) -> None:
    raise error


def _meant(path: str, rotated: bool) -> Iterator[LogFile]:
    if os.path.isdir(path):
        names = _listed(path)
        files = (_placed(path, name, names) for name in names)
        return (file for file in files if file.log.endswith(_LOGS) and os.path.isfile(file.path))
    folder, name = os.path.split(path)
    if not os.path.lexists(path) and glob.has_magic(path):
        return _matching(path, rotated)
    return _named(folder, name, rotated)


def _matching(pattern: str, rotated: bool) -> Iterator[LogFile]:
    matching = [each for each in glob.glob(pattern, recursive=True) if os.path.isfile(each)]
    wanted = [each for each in matching if not each.endswith(_NO_LOGS)]
    if rotated:
        wanted += sorted(_without_live(pattern))
    if not wanted:
        raise ReadError("No file matches", pattern)
    for path in wanted:
        yield from _named(*os.path.split(path), rotated)


def _without_live(pattern: str) -> set[str]:
    """The logs that a pattern means of which only rotated files are there."""
    paths = [each for each in glob.glob(f"{pattern}[.-]*", recursive=True) if os.path.isfile(each)]
    logs = {
        _placed(*os.path.split(each), set()).log
        for each in paths
        if not each.endswith(_NO_LOGS) and not os.path.basename(each).startswith(".")
    }
    name = os.path.basename(pattern)
    return {
        log
        for log in logs
        if fnmatch.fnmatch(os.path.basename(log), name) and not os.path.lexists(log)
    }


def _named(folder: str, name: str, rotated: bool) -> Iterator[LogFile]:
    path = os.path.join(folder, name)
    try:
        names = _listed(folder)
    except ReadError:
        if not os.path.lexists(path):
            raise ReadError("File not found", path) from None
        names = {name}  # a folder that may be passed through, but not listed
    own = _placed(folder, name, names)
    family = []
    if rotated and own.is_live:
        files = (_placed(folder, each, names) for each in names if each != name)
        family = [file for file in files if file.log == path and os.path.isfile(file.path)]
    if not os.path.lexists(path) and not family:
        raise ReadError("File not found", path)
    yield from family
    if os.path.lexists(path):
        yield own


def _listed(folder: str) -> set[str]:
    try:
        names = os.listdir(folder or ".")
    except OSError as error:
        raise ReadError(error.strerror or type(error).__name__, folder or ".") from None
    return {name for name in names if not name.startswith(".") and not name.endswith(_NO_LOGS)}


def _placed(folder: str, name: str, names: set[str]) -> LogFile:
    """A file with the log that its name means and its place in it."""
    stem = _stem(name)
    path = os.path.join(folder, name)
    if match := _STAMP.search(stem):
        log = stem[: match.start()] + stem[match.end() :]
        return LogFile(path, os.path.join(folder, log), (0, 0, match[1]))
    if match := _ROTATED.fullmatch(stem):
        return LogFile(path, os.path.join(folder, match["log"]), _order(match))
    if match := _BEFORE_EXTENSION.fullmatch(stem):
        log = match["log"] + match["extension"]
        if log in names:
            return LogFile(path, os.path.join(folder, log), _order(match))
    return LogFile(path, os.path.join(folder, stem), (2, 0, ""))


def _order(match: re.Match[str]) -> tuple[int, int, str]:
    if match["number"]:
        return 1, -int(match["number"]), ""
    return 0, 0, re.sub(r"\D", "", match["date"])


def _stem(name: str) -> str:
    for ending in _ENDINGS:
        name = name.removesuffix(ending)
    return name.removesuffix(_PENDING)


def _once(files: list[LogFile]) -> list[LogFile]:
    """Of a file that is there plain and compressed, the plain one."""
    chosen: dict[str, LogFile] = {}
    for file in files:
        other = chosen.get(file.stem)
        if other is None or len(file.path) < len(other.path):
            chosen[file.stem] = file
    return [file for file in files if chosen[file.stem] is file]


def _without_replaced(files: list[LogFile]) -> list[LogFile]:
    """Of a file and the rewritten one that stands beside it, the latter."""
    replaced = {
        before.path
        for before, after in itertools.pairwise(files)
        if _are_near(before, after) and _replaces(after, before)
    }
    return [file for file in files if file.path not in replaced]


def _are_near(before: LogFile, after: LogFile) -> bool:
    one, other = (re.sub(r"\D", "", file.order[2]) for file in (before, after))
    if before.log != after.log or len(one) != 23 or len(other) != 23:
        return False
    return 0 < int(other) - int(one) < _NEAR_NS


def _replaces(after: LogFile, before: LogFile) -> bool:
    try:
        line = next(open_lines(after), b"")
        notice = msgspec.json.decode(line)["extensions"]["notice"]
        name = notice["replaces"]["name"] if notice["kind"] == "rewritten" else ""
        return _stem(name) == os.path.basename(before.stem)
    except (ReadError, msgspec.DecodeError, KeyError, TypeError, AttributeError):
        return False


def open_lines(
    file: LogFile | str | os.PathLike[str],
    *,
    report: Callable[[ReadError], object] | None = None,
) -> Iterator[bytes]:
    """
    Yield the lines of a plain or compressed file as they are, each with its newline.

    Args:
        file: The file.
        report: Is called with the error of each line of more than 16 MiB, which is passed over.

    Raises:
        ReadError: if it can't be read, or not to its end; without *report*, also for a line that
            is too long. It names the file.
    """
    return lines_in(_path_of(file), open_blocks(file), report=report)


def lines_in(
    path: str, blocks: Iterable[bytes], *, report: Callable[[ReadError], object] | None = None
) -> Iterator[bytes]:
    """
    Yield the lines that stand in the blocks of a file, as `open_blocks` gives them.

    Args:
        path: The file, for messages.
        blocks: What it holds.
        report: As that of `open_lines`.

    Raises:
        ReadError: as those of `open_lines`.
    """
    number, is_amid_line = 0, False
    for block in blocks:
        ends = block.endswith(b"\n")
        if is_amid_line or (not ends and len(block) >= LONGEST):
            if not is_amid_line:
                number += 1
                reason = f"a line of more than {LONGEST} bytes is passed over"
                (report or _raise)(ReadError(reason, path, number))
            is_amid_line = not ends
            if ends:
                rest = block[block.index(b"\n") + 1 :]
                number += rest.count(b"\n")
                yield from io.BytesIO(rest)
            continue
        number += block.count(b"\n")
        yield from io.BytesIO(block)


def open_blocks(
    file: LogFile | str | os.PathLike[str],
    source: IO[bytes] | None = None,
    *,
    size: int | None = None,
) -> Iterator[bytes]:
    """
    Yield what a plain or compressed file holds, in blocks that end with a line.

    Only the last block, and pieces of a line of more than 16 MiB, end without a newline.

    Args:
        file: The file.
        source: The same, where it is open already, also a pipe; it is not closed.
        size: How many bytes a block has, about; 1 MiB by default.

    Raises:
        ReadError: if it can't be read, or not to its end.
    """
    rest: list[bytes | memoryview] = []
    held = 0
    for data in _read(_path_of(file), source, size or _CHUNK):
        end = data.rfind(b"\n") + 1
        if end:
            yield b"".join([*rest, memoryview(data)[:end]])
            rest, held = [], 0
        rest.append(data[end:])
        held += len(data) - end
        if held >= LONGEST:
            yield b"".join(rest)
            rest, held = [], 0
    if held:
        yield b"".join(rest)


def _path_of(file: LogFile | str | os.PathLike[str]) -> str:
    return file.path if isinstance(file, LogFile) else os.fspath(file)


def _read(path: str, source: IO[bytes] | None, size: int) -> Iterator[bytes]:
    try:
        if source is not None:
            yield from _chunks(source, path, size)
            return
        with _opened(path) as source:
            yield from _chunks(source, path, size)
    except FileNotFoundError:
        raise ReadError("File not found", path) from None
    except OSError as error:
        raise ReadError(error.strerror or type(error).__name__, path) from error


def _opened(path: str) -> IO[bytes]:
    """A file, or the same compressed where that took its place a moment ago; a pipe of the shell."""
    for each in (path, *(path + ending for ending in _ENDINGS)):
        try:
            if not stat.S_ISREG(os.stat(each).st_mode) and not each.startswith(_PIPES):
                raise ReadError("It is no regular file", path)
            source = open(each, "rb", buffering=0)  # noqa: SIM115 -- whoever asked closes it
        except FileNotFoundError:
            continue
        return source if source.seekable() else io.BufferedReader(source)
    raise FileNotFoundError


def _chunks(source: IO[bytes], path: str, size: int) -> Iterator[bytes]:
    begin = _begin(source)
    for magic, name in _UNREAD_MAGIC.items():
        if begin.startswith(magic):
            raise ReadError(f"It is compressed with {name}, which is not read", path)
    for magic, kind in _MAGIC.items():
        if begin.startswith(magic):
            try:
                yield from decompressed(source, kind, size)
            except DamagedError as error:
                raise DamagedFileError(str(error), path) from None
            return
    read = getattr(source, "read1", source.read)  # what a pipe has by now
    length = os.fstat(source.fileno()).st_size if source.seekable() else 0
    while chunk := read(size):
        yield chunk
    if length and source.tell() < length:
        raise ReadError("It became shorter while it was read", path)


def _begin(source: IO[bytes]) -> bytes:
    """The first bytes of a file or pipe, which is still at its beginning then."""
    if isinstance(source, io.BufferedReader):
        return source.peek(8)[:8]
    begin = source.read(8)
    source.seek(0)
    return begin
