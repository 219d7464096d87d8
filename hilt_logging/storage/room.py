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


__all__ = ["reserve"]

_KEEP_SIZE = 1
_MOST_AHEAD = 256 * 1024
_LEAST_AHEAD = 4096

_Fallocate = Callable[[int, int, int, int], int]
_fallocate: _Fallocate | None = None
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
    ahead = max(needed, min(_MOST_AHEAD, max(_LEAST_AHEAD, end // 4)))
    for length in dict.fromkeys((ahead, needed)):
        number = _allocate(fd, end, length)
        if number == 0:
            return end + length
        if number not in (errno.ENOSPC, errno.EDQUOT):
            return sys.maxsize  # not to be had here: the write itself will tell
    raise OSError(number, os.strerror(number))


def _allocate(fd: int, offset: int, length: int) -> int:
    """Reserve; return 0 or the errno."""
    global _fallocate, _loaded
    if not _loaded:
        _fallocate, _loaded = _load(), True
    if _fallocate is None:
        return errno.EOPNOTSUPP
    import ctypes

    while True:
        if _fallocate(fd, _KEEP_SIZE, offset, length) == 0:
            return 0
        if ctypes.get_errno() != errno.EINTR:
            return ctypes.get_errno()


def _load() -> _Fallocate | None:
    if sys.platform != "linux" or sys.maxsize < 2**32:
        return None
    try:
        import ctypes  # at first use: importing it takes milliseconds

        found = ctypes.CDLL(None, use_errno=True).fallocate
    except (ImportError, OSError, AttributeError):
        return None
    found.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    found.restype = ctypes.c_int
    loaded: _Fallocate = found
    return loaded
