"""
Appending lines to a file that other threads, processes and log rotation share.

A line is one `os.write` of bytes on an `O_APPEND` descriptor: no buffer whose lock could hang a
forked child, no half line that a later write would finish in the middle of another process's line.
The file is never truncated. A tail that somebody left without its newline is closed off before the
next line, so that a fragment is at most one line of its own.
"""

from __future__ import annotations

import errno
import os
import stat
import threading
import time

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any
from weakref import WeakSet


__all__ = ["Appender", "acquire", "cause_of", "release"]

_FOLLOW_EVERY_S = 0.1
_REMEMBERED = 32
_LOOKS = 20
_LOOK_EVERY_S = 0.001
_FLAGS = os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class Appender:
    """
    One file that is appended to; safe for threads and processes, before and after a fork.

    Args:
        path: An absolute path.
        permissions: Mode bits for a file that is created.
        create_dirs: Create missing directories.
    """

    def __init__(self, path: str, permissions: int, create_dirs: bool) -> None:
        self.path = path
        self.permissions = permissions
        self.create_dirs = create_dirs
        self.users = 0
        self._fd: int | None = None
        self._inode = (-1, -1)
        self._forget_threads()
        _appenders.add(self)

    def _forget_threads(self) -> None:
        """Begin anew, as a forked child must: another thread of the parent may hold the lock."""
        self._lock = threading.RLock()
        self._writing = False
        self._joined: deque[tuple[bytes, Callable[[OSError], None]]] = deque()
        self._recent: OrderedDict[int, Any] = OrderedDict()
        self._end = -1
        self._looked_at = float("-inf")

    def open(self) -> None:
        """
        Open what the path names now, rather than at the next line.

        Raises:
            OSError: if it can't be opened, or is a directory.
        """
        with self._lock:
            self._looked_at = float("-inf")
            self._followed()

    def close(self) -> None:
        """Close the file; a later line opens it again."""
        with self._lock:
            self._drop()

    def append(self, line: bytes, lost: Callable[[OSError], None], key: object = None) -> bool:
        """
        Write one line, given without its newline.

        A record passes by twice where two handlers of one chain of loggers share the file: then
        nothing is written, and False returned.

        Args:
            line: The line. One that comes from within a write (a signal handler, a `__del__`) is
                written after the outer one.
            lost: Is told if such a line can't be written.
            key: The object that stands for what is written; None if it can't come twice.

        Raises:
            OSError: if it can't be written whole.
        """
        with self._lock:
            if key is not None and self._recent.get(id(key)) is key:
                return False
            if self._writing:
                self._joined.append((line, lost))
            else:
                try:
                    self._write(line + b"\n")
                finally:
                    while self._joined:
                        self._write_joined(*self._joined.popleft())
            if key is not None:
                self._recent[id(key)] = key
            if len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)  # in one step: a signal handler may come here too
            return True

    def _write_joined(self, line: bytes, lost: Callable[[OSError], None]) -> None:
        try:
            self._write(line + b"\n")
        except OSError as error:
            lost(error)

    def _write(self, data: bytes) -> None:
        self._writing = True
        try:
            self._write_whole(data)
        finally:
            self._writing = False

    def _write_whole(self, data: bytes) -> None:
        fd = self._followed()
        if self._ends_torn(fd):
            data = b"\n" + data
        end, self._end = self._end, -1
        written = os.write(fd, data)
        while written < len(data):
            more = os.write(fd, data[written:])
            if more == 0:
                raise OSError(errno.EIO, "nothing written")
            written += more
        if end >= 0:
            self._end = end + len(data)

    def _ends_torn(self, fd: int) -> bool:
        """Whether the file ends without a newline; read only where it is not as we left it."""
        try:
            end = os.lseek(fd, 0, os.SEEK_END)
        except OSError:  # a pipe or a terminal has no end
            self._end = -1
            return False
        known, self._end = self._end, end
        if end == known or end == 0:
            return False
        try:
            return self._is_torn(fd)
        except OSError:  # opened for writing only
            return False

    def _is_torn(self, fd: int) -> bool:
        """Whether the end stays without a newline: another process may be amid a long write."""
        for _ in range(_LOOKS):
            if _last_byte(fd, self._end) == b"\n":
                return False
            time.sleep(_LOOK_EVERY_S)
            self._end = os.lseek(fd, 0, os.SEEK_END)
        return True

    def _followed(self) -> int:
        """The descriptor of what the path names now: after a rename the new file is created."""
        now = time.monotonic()
        if self._fd is not None and 0 <= now - self._looked_at < _FOLLOW_EVERY_S:
            return self._fd
        self._looked_at = now
        if self._fd is not None and self._is_current(self._fd):
            return self._fd
        try:
            fresh = self._opened()
        except OSError:
            if self._fd is not None and self._is_ours(self._fd):
                return self._fd  # better the renamed file than none
            self._drop()
            raise
        self._drop()
        self._fd, self._inode, self._end = fresh, _inode(os.fstat(fresh)), -1
        return fresh

    def _drop(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None and self._is_ours(fd, links=0):
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        try:
            return _inode(os.stat(self.path)) == _inode(os.fstat(fd)) == self._inode
        except OSError:
            return False

    def _is_ours(self, fd: int, *, links: int = 1) -> bool:
        """Whether the descriptor is still what we opened, in a file with so many names or more."""
        try:
            found = os.fstat(fd)
        except OSError:  # somebody closed all descriptors, as a daemon does
            return False
        return _inode(found) == self._inode and found.st_nlink >= links

    def _opened(self) -> int:
        try:
            return self._open_once()
        except FileNotFoundError:
            if not self.create_dirs:
                raise
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            return self._open_once()

    def _open_once(self) -> int:
        try:
            fd = os.open(self.path, os.O_RDWR | _FLAGS, self.permissions)
        except PermissionError:  # write permission alone is enough to append
            fd = os.open(self.path, os.O_WRONLY | _FLAGS, self.permissions)
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            os.close(fd)
            raise IsADirectoryError(errno.EISDIR, "Is a directory", self.path)
        return fd


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _last_byte(fd: int, end: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(fd, 1, end - 1)
    os.lseek(fd, end - 1, os.SEEK_SET)
    return os.read(fd, 1)


def cause_of(error: OSError) -> str:
    """Return the name of an errno, e.g. `ENOSPC`, else of the error's class."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)


_appenders: WeakSet[Appender] = WeakSet()
_shared: dict[str, Appender] = {}
_sharing = threading.Lock()


def acquire(path: str, permissions: int, create_dirs: bool) -> Appender:
    """
    Return the one appender of a file in this process; `release` it as often as it is acquired.

    Args:
        path: The file; made absolute and free of links.
        permissions: Mode bits for a file that is created.
        create_dirs: Create missing directories.

    Raises:
        ValueError: if the file is in use here with other options.
    """
    real = os.path.realpath(path)
    with _sharing:
        found = _shared.get(real)
        if found is None:
            found = _shared[real] = Appender(real, permissions, create_dirs)
        elif (found.permissions, found.create_dirs) != (permissions, create_dirs):
            raise ValueError("is in use in this process with other options")
        found.users += 1
    return found


def release(appender: Appender) -> None:
    """Give up one use of an appender; the last one closes the file."""
    with _sharing:
        appender.users -= 1
        if appender.users > 0:
            return
        if _shared.get(appender.path) is appender:
            del _shared[appender.path]
    appender.close()


def _after_fork_in_child() -> None:
    global _sharing
    _sharing = threading.Lock()
    for appender in list(_appenders):
        appender._forget_threads()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
