"""
Moving a log aside, and what the files are called then.

A rotated file is called as the log plus the time in UTC, to the nanosecond. Names only grow, also
where the clock was set back, and none is used again: what follows files by name or inode never
takes one for another.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time

from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from typing import NamedTuple

from .options import FileOptions


__all__ = ["ENDINGS", "Files", "Rotated", "move_aside", "stamp_of"]

_STAMP = re.compile(r"\d{8}T\d{6}\.\d{9}Z")
_PENDING = ".rotating"
_PART = ".part"
ENDINGS = {"gzip": ".gz", "zstd": ".zst"}


class Rotated(NamedTuple):
    """
    A rotated file, or one on the way to it.

    Attributes:
        stamp: When it was rotated, as in its name.
        path: The file.
        ending: What follows its name: empty, or e.g. `.gz`, `.gz.part`, `.rotating`.
    """

    stamp: str
    path: str
    ending: str

    @property
    def is_whole(self) -> bool:
        """Whether it is a rotated file, and not one on the way to it."""
        return self.ending in ("", *ENDINGS.values())

    @property
    def is_pending(self) -> bool:
        """Whether it waits for the rotator."""
        return self.ending == _PENDING

    @property
    def is_part(self) -> bool:
        """Whether it is the temporary file of a compression."""
        return self.ending.endswith(_PART)


class Files:
    """
    The files of one log, by their names.

    Args:
        path: The log.
        namer: Gives a rotated file another name; where the time does not occur in it, the file is
            not found again.
    """

    def __init__(self, path: str, namer: Callable[[str], str] | None = None) -> None:
        self.path = path
        self._namer = namer

    def name(self, stamp: str) -> str:
        """Return the name of a file that is rotated at a time."""
        usual = f"{self.path}.{stamp}"
        if self._namer is None:
            return usual
        given = os.path.join(os.path.dirname(self.path), os.fspath(self._namer(usual)))
        if given == self.path:
            raise FileExistsError(errno.EEXIST, "The namer returned the log itself", given)
        return given

    def pending(self, stamp: str) -> str:
        """Return the name of a file until the rotator has made a rotated one of it."""
        return f"{self.path}.{stamp}{_PENDING}"

    def next_stamp(self) -> str:
        """Return the present time, or one that is later than all that are in use."""
        now, newest = stamp_of(time.time_ns()), self.newest()
        return now if now > newest else stamp_of(_nanoseconds(newest) + 1)

    def newest(self, until: str | None = None) -> str:
        """Return the time of the file that was rotated last, or last until a time, or ""."""
        stamps = (each.stamp for each in self.all())
        return max((each for each in stamps if until is None or each <= until), default="")

    def all(self) -> Iterator[Rotated]:
        """Yield the rotated files and those on the way to it, in no order."""
        for folder in {os.path.dirname(self.path), self._folder()}:
            try:
                names = os.listdir(folder)
            except OSError:
                continue
            for name in names:
                if match := _STAMP.search(name):
                    found = self._found(match[0], os.path.join(folder, name))
                    if found is not None:
                        yield found

    def _folder(self) -> str:
        return os.path.dirname(self.name(stamp_of(time.time_ns())))

    def _found(self, stamp: str, path: str) -> Rotated | None:
        if path == self.pending(stamp):
            return Rotated(stamp, path, _PENDING)
        name = self.name(stamp)
        wanted = ("", *ENDINGS.values(), *(f"{each}{_PART}" for each in ENDINGS.values()))
        for ending in wanted:
            if path == name + ending:
                return Rotated(stamp, path, ending)
        return None


def move_aside(path: str, options: FileOptions | None = None) -> str | None:
    """
    Rename a log to its name plus the time in UTC, or what the namer makes of that.

    Returns None where there is no file, or an empty one, or one that is no regular file.

    Raises:
        OSError: if it can't be renamed, or there is a file of that name.
        Exception: what the namer raises.
    """
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if found.st_size == 0 or not stat.S_ISREG(found.st_mode):
        return None
    options = options or FileOptions()
    files = Files(path, options.namer)
    stamp = files.next_stamp()
    aside = files.pending(stamp) if options.rotator else files.name(stamp)
    if os.path.lexists(aside):
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), aside)
    try:
        os.rename(path, aside)
    except FileNotFoundError:
        if os.path.lexists(path):  # it is the folder of the new name that is missing
            raise
        return None  # another process was first
    return aside


def stamp_of(nanoseconds: int) -> str:
    """Return a time as it stands in names; later times sort after earlier ones."""
    seconds, rest = divmod(nanoseconds, 1_000_000_000)
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(seconds))}.{rest:09d}Z"


def _nanoseconds(stamp: str) -> int:
    try:
        at = datetime.strptime(stamp[:15], "%Y%m%dT%H%M%S").replace(tzinfo=timezone.utc)
    except ValueError:
        raise OSError(errno.EEXIST, "A file has a later name than there can be") from None
    return int(at.timestamp()) * 1_000_000_000 + int(stamp[16:25])
