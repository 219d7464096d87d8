"""
What is asked of files and folders through their descriptors, and done with these.
"""

from __future__ import annotations

import os


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


__all__ = [
    "above_stdio",
    "end_of",
    "inode_of",
    "is_glued",
    "last_byte",
    "position",
    "sync_folder",
]


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


def inode_of(found: os.stat_result) -> tuple[int, int]:
    """Return what stays the same of a file while it is renamed: its device and its number there."""
    return found.st_dev, found.st_ino


def above_stdio(fd: int) -> int:
    """Move a descriptor away from 0, 1 and 2, to which others print whatever these are."""
    if fd > 2 or fcntl is None:
        return fd
    try:
        return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(fd)


def sync_folder(path: str) -> None:
    """
    Bring the names in a folder to the disk: after a file was made, renamed or replaced.

    Raises:
        OSError: if that can't be done, as on Windows.
    """
    fd = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
