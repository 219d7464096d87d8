"""
Opening a log to append to it, so that other processes see that it is written to.

Whoever moves a file aside, or acts on one that was, may come between opening and registering: then
the path names another file by now, which is opened instead.
"""

from __future__ import annotations

import errno
import os
import stat

from .descriptors import above_stdio, inode_of
from .exclusion import register


__all__ = ["opened"]

_OPENINGS = 20
_FLAGS = os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def opened(path: str, permissions: int, create_dirs: bool) -> int:
    """
    Return a descriptor of what a path names, a file, a pipe or a terminal.

    Args:
        path: The file; it is created where there is none.
        permissions: Mode bits for a file that is created.
        create_dirs: Create missing directories.

    Raises:
        OSError: if it can't be opened, or is a directory.
    """
    try:
        return _registered(path, permissions)
    except FileNotFoundError:
        if not create_dirs:
            raise
        os.makedirs(os.path.dirname(path), exist_ok=True)
        return _registered(path, permissions)


def _registered(path: str, permissions: int) -> int:
    """Open and register; anew if it was renamed and claimed in between."""
    for _ in range(_OPENINGS):
        fd = _open(path, permissions)
        if not stat.S_ISREG(os.fstat(fd).st_mode) or (register(fd) and _is_named(path, fd)):
            return fd
        os.close(fd)
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)


def _is_named(path: str, fd: int) -> bool:
    try:
        return inode_of(os.stat(path)) == inode_of(os.fstat(fd))
    except FileNotFoundError:
        return False


def _open(path: str, permissions: int) -> int:
    try:
        fd = os.open(path, os.O_RDWR | _FLAGS, permissions)
    except PermissionError:  # write permission alone is enough to append
        waits_not = getattr(os, "O_NONBLOCK", 0)  # for a reader, where it is a pipe
        fd = os.open(path, os.O_WRONLY | waits_not | _FLAGS, permissions)
    fd = above_stdio(fd)
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode):
        os.set_blocking(fd, False)
    if stat.S_ISDIR(mode):
        os.close(fd)
        raise IsADirectoryError(errno.EISDIR, "Is a directory", path)
    return fd
