"""
One process at a time: an advisory lock on a file beside the log.

`flock`, because it frees itself when its holder dies and is not dropped when another part of the
process closes the file. Each process needs a descriptor of its own: one that was inherited over a
fork excludes nobody.
"""

from __future__ import annotations

import os
import time

from collections import Counter

from .descriptors import above_stdio, inode_of
from .errors import cause_of


try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


__all__ = ["HELD", "Exclusion", "claim", "register", "unclaim"]

HELD = "held by another process"
"""Why the lock is not to be had now, where it could be at other times."""

_WAIT_S = 2.0
_WITHOUT_S = 10.0
_FIRST_NAP_S = 0.000_2
_LONGEST_NAP_S = 0.01


class Exclusion:
    """
    The lock of one log.

    Args:
        path: The log; the lock file is `.NAME.lock` beside it.
        permissions: Mode bits for the lock file.

    Attributes:
        failures: How often the lock was asked for and not had, by the name of the cause.
    """

    def __init__(self, path: str, permissions: int) -> None:
        folder, name = os.path.split(path)
        self.path = os.path.join(folder, f".{name}.lock")
        self._permissions = permissions
        self._fd: int | None = None
        self._inode = (-1, -1)
        self._without_until = float("-inf")
        self.failures: Counter[str] = Counter()

    def take(self) -> bool:
        """
        Take the lock; return False if it can't be had, and then go on without it.

        A peer that is stopped holds up the others for two seconds once; after that they do without
        for ten. So does a file system that has no locks, and a folder that is not ours to write to.
        """
        now = time.monotonic()
        if now < self._without_until:
            return False
        if fcntl is None:
            self._do_without("no flock")
            return False
        try:
            if self._fd is None:
                self._fd = self._opened()
            return self._waited(self._fd, now + _WAIT_S)
        except OSError as error:
            self.forget()
            self._do_without(cause_of(error))
            return False

    def take_at_once(self) -> bool:
        """Take the lock if nobody has it and its file is open."""
        if self._fd is None:
            return False
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def _do_without(self, cause: str) -> None:
        self.failures[cause] += 1
        self._without_until = time.monotonic() + _WITHOUT_S

    def _waited(self, fd: int, until: float) -> bool:
        nap = _FIRST_NAP_S
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return True
            except BlockingIOError:
                if time.monotonic() >= until:
                    self._do_without(HELD)
                    return False
            time.sleep(nap)
            nap = min(nap * 2, _LONGEST_NAP_S)

    def give(self) -> None:
        """Give the lock back, if it was had; never raises."""
        if self._fd is None:
            return
        try:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
        except OSError:
            self.forget()

    def check(self) -> None:
        """Forget a lock file that somebody took away: others would lock another one."""
        if self._fd is None:
            return
        try:
            there = inode_of(os.stat(self.path))
        except OSError:
            there = None
        if there != self._inode or not self._is_ours(self._fd):
            self.forget()

    def forget(self) -> None:
        """Close the lock file; it is opened again when it is needed."""
        fd, self._fd = self._fd, None
        if fd is not None and self._is_ours(fd):
            os.close(fd)

    def _is_ours(self, fd: int) -> bool:
        try:
            return inode_of(os.fstat(fd)) == self._inode
        except OSError:  # somebody closed all descriptors, as a daemon does
            return False

    def _opened(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._permissions)
        fd = above_stdio(fd)
        self._inode = inode_of(os.fstat(fd))
        return fd


def register(fd: int) -> bool:
    """
    Let other processes see that a descriptor is open for writing, until its last copy is closed.

    Returns False if somebody has claimed the file, which then is no log any more.
    """
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: there nobody can claim either
        return True
    return True


def claim(fd: int) -> bool:
    """Claim a file, unless it is open for writing or claimed in any process."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def unclaim(fd: int) -> None:
    """Give a claim up, also where a forked child has inherited the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)
