"""
A new file in the place of a rotated one, so that a crash at any moment leaves one of them whole.

The new file is written under a name that nobody looks at, brought to the disk, and gets its name
before the old file goes. Where both are there, the first line of the new one says that it replaces
the old one.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import time

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta, timezone

from .._unfinished import remove, undone
from ..errors import HILTError
from ..storage.compression import compress
from ..storage.descriptors import sync_folder
from ..storage.exclusion import claim, unclaim


__all__ = [
    "BusyError",
    "alone_with",
    "check_own",
    "clear",
    "kept_in",
    "name_of_next",
    "publish",
    "put_away",
]

_STAMP = re.compile(r"(\d{8}T\d{6})\.(\d{9})Z")
_KINDS = {".gz": "gzip", ".zst": "zstd"}
_UNFINISHED = ".erasing"
_NAP_S = 0.05


class BusyError(HILTError):
    """A file that must not be replaced or deleted: it is in use, or stands elsewhere."""


def check_own(path: str) -> None:
    """
    Make sure that a file stands where its name does.

    Raises:
        BusyError: for a symbolic link: without it, what it leads to would still be there.
    """
    if os.path.islink(path):
        raise BusyError(f"it is a link to {os.path.realpath(path)}: move that file here")


@contextlib.contextmanager
def alone_with(path: str, wait_s: float) -> Iterator[None]:
    """
    Keep everybody from a rotated file who may write to it, compress or delete it.

    Args:
        path: The file.
        wait_s: How long to wait for those who have it open.

    Raises:
        BusyError: if somebody still had it open then, or it is a link.
        FileNotFoundError: if it is not there any more.
    """
    until = time.monotonic() + wait_s
    check_own(path)
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        while not claim(fd):
            if time.monotonic() >= until:
                raise BusyError("a process has it open for writing; it is let go at its next event")
            time.sleep(_NAP_S)
        try:
            if not os.path.samestat(os.stat(path), os.fstat(fd)):
                raise FileNotFoundError(path)
            yield
        finally:
            unclaim(fd)
    finally:
        os.close(fd)


def name_of_next(path: str) -> str:
    """
    Return the name for what replaces a file: a nanosecond later.

    It is that of the file itself where this has no time, or where there is no room before the next.
    """
    ending = _ending(path)
    folder, name = os.path.split(path.removesuffix(ending))
    match = _STAMP.search(name)
    if match is None:
        return path
    later = f"{name[: match.start()]}{_later(*match.groups())}{name[match.end() :]}"
    taken = (os.path.join(folder, later + each) for each in ("", *_KINDS))
    return path if any(map(os.path.lexists, taken)) else os.path.join(folder, later + ending)


def _later(seconds: str, nanoseconds: str) -> str:
    nanos = int(nanoseconds) + 1
    if nanos == 1_000_000_000:
        at = datetime.strptime(seconds, "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
        seconds, nanos = (at + timedelta(seconds=1)).strftime("%Y%m%dT%H%M%S"), 0
    return f"{seconds}.{nanos:09d}Z"


def publish(old: str, new: str, lines: Iterable[bytes], kept: str | None = None) -> None:
    """
    Put a new file in the place of another one, with its owner, mode and times.

    Args:
        old: The other file.
        new: The name of the new one, compressed if its ending says so; it may be the same.
        lines: What it holds.
        kept: The folder that the old one is moved to; None: it is deleted.

    Raises:
        OSError: if it can't be written; the old file is there then, or the new one too.
    """
    folder, name = os.path.split(old)
    part = os.path.join(folder, f".{name}{_UNFINISHED}")
    packed = os.path.join(folder, f".{name}.packed{_UNFINISHED}")
    begun = (part, packed, f"{packed}.1{_UNFINISHED}")
    with contextlib.ExitStack() as stack:
        for each in begun:
            stack.enter_context(undone(functools.partial(remove, each)))
        _write(part, lines)
        whole = part
        if kind := _KINDS.get(_ending(new)):
            _pack(part, begun[-1], packed, kind)
            whole = packed
        _dress(whole, os.stat(old))
        if new == old and kept is not None:
            os.link(old, _place_in(kept, old))
            sync_folder(kept)
        os.rename(whole, new)
        sync_folder(folder)
    if new != old:
        put_away(old, kept)


def put_away(path: str, kept: str | None) -> None:
    """Delete a file that was replaced, or move it to a folder outside of its set."""
    if kept is None:
        os.unlink(path)
    else:
        os.rename(path, _place_in(kept, path))
        sync_folder(kept)
    sync_folder(os.path.dirname(path))


def _place_in(folder: str, path: str) -> str:
    os.makedirs(folder, mode=0o700, exist_ok=True)
    place, number = os.path.join(folder, os.path.basename(path)), 0
    while os.path.lexists(place):
        number += 1
        place = os.path.join(folder, f"{os.path.basename(path)}.{number}")
    return place


def _pack(path: str, part: str, packed: str, kind: str) -> None:
    fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    try:
        compress(fd, part, packed, kind, float("inf"))
    finally:
        os.close(fd)


def _write(path: str, lines: Iterable[bytes]) -> None:
    with contextlib.suppress(FileNotFoundError):  # what a crash left
        os.unlink(path)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o600)
    with open(fd, "wb") as file:
        file.writelines(lines)
        file.flush()
        os.fsync(fd)


def _dress(path: str, like: os.stat_result) -> None:
    """Give a file the owner, the mode and the times of another one."""
    own = os.stat(path)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        os.chown(path, like.st_uid, like.st_gid)
    os.chmod(path, like.st_mode & 0o7777)
    os.utime(path, ns=(like.st_atime_ns, like.st_mtime_ns))


def clear(folder: str) -> None:
    """Delete what a crash left of files that have been replaced since."""
    for name in os.listdir(folder or "."):
        if name.startswith(".") and name.endswith(_UNFINISHED):
            old = name[1:].partition(_UNFINISHED)[0].removesuffix(".packed")
            if not os.path.lexists(os.path.join(folder, old)):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(folder, name))


def kept_in(log: str) -> str:
    """Return the folder for the files that were replaced in a log."""
    return f"{log}.erased"


def _ending(path: str) -> str:
    ending = os.path.splitext(path)[1]
    return ending if ending in _KINDS else ""
