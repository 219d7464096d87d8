"""
Where a file ends and what stands there, asked through its descriptor.
"""

from __future__ import annotations

import os


__all__ = ["end_of", "is_glued", "last_byte", "position"]


def position(fd: int) -> int:
    """Return where our last write ended; -1 if that can't be told."""
    try:
        return os.lseek(fd, 0, os.SEEK_CUR)
    except OSError:
        return -1


def end_of(fd: int) -> int:
    """Return where a file ends."""
    return os.lseek(fd, 0, os.SEEK_END)


def is_glued(fd: int, begin: int, data: bytes) -> bool:
    """Return whether what was written begins there, and behind something that is no whole line."""
    if begin <= 0 or data.startswith(b"\n") or not hasattr(os, "pread"):
        return False
    try:
        seen = os.pread(fd, 1 + len(data), begin - 1)
    except OSError:  # opened for writing only
        return False
    return not seen.startswith(b"\n") and seen[1:] == data


def last_byte(fd: int, end: int) -> bytes:
    """Return the last byte of a file that ends there."""
    if hasattr(os, "pread"):
        return os.pread(fd, 1, end - 1)
    os.lseek(fd, end - 1, os.SEEK_SET)
    return os.read(fd, 1)
