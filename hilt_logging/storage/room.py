"""
Room on the disk, reserved before a byte is visible, so that a full disk tears no line.

Linux only: `fallocate` with FALLOC_FL_KEEP_SIZE takes blocks behind the end of a file and leaves
its size alone. Elsewhere, and where the file system can't, nothing is reserved.
"""

from __future__ import annotations

import errno
import os
import sys

from collections.abc import Callable


__all__ = ["load", "reserve"]

_KEEP_SIZE = 1
_MOST_AHEAD = 256 * 1024
_LEAST_AHEAD = 4096

_allocate: Callable[[int, int, int], int] | None = None
_loaded = False


def reserve(fd: int, end: int, needed: int) -> int:
    """
    Reserve room behind the end of a file; return up to which offset there is room.

    A small file gets a little room and a large one more, 256 KiB at the most: what is not used
    stays reserved when the file is closed.

    Args:
        fd: The file.
        end: Where it ends.
        needed: How many bytes are to be written.

    Raises:
        OSError: ENOSPC or EDQUOT, if there is not room for what is needed.
    """
    load()
    if _allocate is None:
        return sys.maxsize
    ahead = max(needed, min(_MOST_AHEAD, max(_LEAST_AHEAD, end // 4)))
    for length in dict.fromkeys((ahead, needed)):
        number = _allocate(fd, end, length)
        if number == 0:
            return end + length
        if number not in (errno.ENOSPC, errno.EDQUOT):
            return sys.maxsize  # not to be had here: the write itself will tell
    raise OSError(number, os.strerror(number))


def load() -> None:
    """
    Load what `reserve` needs, which takes milliseconds.

    It is asked for where a file is set up: a child that is forked while another thread imports has
    half of a module for ever.
    """
    global _allocate, _loaded
    if not _loaded:
        _allocate, _loaded = _load(), True


def _load() -> Callable[[int, int, int], int] | None:
    """What reserves room and returns 0 or the errno; None where there is no such thing."""
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    try:
        import ctypes

        fallocate, get_errno = ctypes.CDLL(None, use_errno=True).fallocate, ctypes.get_errno
        fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
        fallocate.restype = ctypes.c_int
    except (ImportError, OSError, AttributeError):
        return None

    def allocate(fd: int, offset: int, length: int) -> int:
        while True:
            if fallocate(fd, _KEEP_SIZE, offset, length) == 0:
                return 0
            number = get_errno()
            if number != errno.EINTR:
                return number

    return allocate
