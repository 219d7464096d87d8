"""
Sealing the checkpoints of a log, each with the next key, and having the key move on.

The line comes first: it is on the disk before the key moves on, and only what stands in the file
whole moves it on. Who is killed in between leaves a key that has sealed a line already, and the next
seal has the same number: nothing is lost or missing, and verification tells it.
"""

from __future__ import annotations

import _thread
import contextlib
import hashlib
import os
import time

from collections.abc import Callable
from typing import TYPE_CHECKING

from .._diagnostics import Troubles, to_stderr
from ..safeguards.sealing import Bond, SealFile, SealKey, UnfitError
from .descriptors import inode_of, sync_folder


if TYPE_CHECKING:
    from .appender import Appender
    from .chaining import Links


__all__ = ["Clock", "Seals"]

_fdatasync = getattr(os, "fdatasync", os.fsync)


class Seals:
    """
    The seals that one process makes in one log, under its lock.

    Args:
        path: The log.
        file: The file of the key.

    Attributes:
        made: How many seals this process made.
        last: The name and the number of the last one; None where it made none yet.
        troubles: Why lines were not sealed, and keys did not move on.
    """

    def __init__(self, path: str, file: SealFile) -> None:
        self.path = path
        self.file = file
        self.troubles = Troubles(to_stderr)
        self._log = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget what this process did, as a forked child must."""
        self.made = 0
        self.last: tuple[str, int] | None = None
        self._next: SealKey | None = None
        self._is_known = False
        self._done: tuple[SealKey, Bond] | None = None
        self._synced = (-1, -1)

    def misfit(self, chain: str, seal: object) -> str | None:
        """
        Return why the key is not that of the log; None where it is.

        Args:
            chain: The chain at the end of the log; empty where there is none.
            seal: The name and the number of the last seal, as far as that is known.

        Raises:
            OSError: if its file can't be read.
            UnfitError: if that is not what it has to be.
        """
        key, bond = self.file.read()
        if not self._is_of(bond, chain):
            return "It seals another log. Make one with: hilt-log keygen NAME --seal"
        match seal:
            case [key.name, int(number)] if number > key.number:
                return (
                    f"It is older than the log: it is the key of the seal {key.number}, and there "
                    f"is a seal {number} already. Make a new one: hilt-log keygen NAME --seal"
                )
        return None

    def _is_of(self, bond: Bond, chain: str) -> bool:
        """Whether it was this log that was sealed last: one that was moved has its chain still."""
        return bond.log in ("", self._log) or bond.chain == chain

    def covers(self, chain: str, seq: int) -> bool:
        """Return whether a line is sealed already, perhaps by another process."""
        try:
            bond = self.file.read()[1]
        except (OSError, UnfitError):
            return False
        return (bond.log, bond.chain) == (self._log, chain) and bond.seq >= seq

    def begin(self) -> None:
        """Begin with lines for one write: only now the key is known that is next."""
        self._is_known, self._next = False, None

    def sealed(self, line: bytes, chain: str) -> tuple[bytes, SealKey | None]:
        """
        Return a linked line with its seal, and the key of that; as it is where none is to be had.

        Args:
            line: The line.
            chain: Its chain.
        """
        if not self._is_known:
            self._is_known = True
            try:
                key, bond = self.file.read()
                if not self._is_of(bond, chain):
                    raise UnfitError("It seals another log")
                if self.last is not None and key.number < self.last[1]:
                    raise UnfitError("It was put back")
                self._next = _in_time(key)
            except (OSError, UnfitError) as error:
                self._count(error)
        key_now = self._next
        if key_now is None:
            return line, None
        self._next = key_now.next()
        return key_now.seal(line), key_now

    def stands(self, key: SealKey, chain: str, seq: int) -> None:
        """Take over that a seal stands in the file."""
        self.made += 1
        self.last = key.name, key.number
        self._done = key, Bond(self._log, chain, seq)

    def settle(self, fd: int) -> None:
        """
        Have the key move on behind the last seal that stands in the file; never raises.

        Args:
            fd: The file.
        """
        if self._done is None:
            return
        (key, bond), self._done = self._done, None
        self.begin()
        try:
            _fdatasync(fd)
            found = os.fstat(fd)
            if inode_of(found) != self._synced:
                sync_folder(os.path.dirname(self.path))
                self._synced = inode_of(found)
            self.file.move_on(key.next(), bond)
        except (OSError, UnfitError) as error:
            self._count(error)

    def keep_time(self) -> None:
        """Have the key of a minute that is over be gone, although nothing is sealed; never raises."""
        try:
            key, bond = self.file.read()
            now = _in_time(key)
            if now.minute > key.minute:
                self.file.move_on(now, bond)
        except (OSError, UnfitError) as error:
            self._count(error)

    def _count(self, error: Exception) -> None:
        self.troubles.count(f"{type(error).__name__} of the key that seals", self.file.path)


def _in_time(key: SealKey) -> SealKey:
    """A key as it is in the present minute; where the clock was put back, in that which it was."""
    found = key.at(key.number, max(key.minute, key.minute_of(time.time())))
    if found is None:
        raise UnfitError("The clock is off by years")
    return found


class Clock:
    """
    Has lines sealed in time although no event comes after them, and the key kept up with the time.

    A thread is begun by `_thread`, because `threading.Thread.start` takes locks that the code which
    a signal handler interrupted may hold.

    Attributes:
        told: Is called when a checkpoint was written.
    """

    def __init__(self) -> None:
        self.told: Callable[[], object] = lambda: None
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget a thread, as a forked child must."""
        self._running = _thread.allocate_lock()
        self._asleep = _thread.allocate_lock()
        self._asleep.acquire()

    def start(self, file: Appender, links: Links) -> None:
        """See to it, unless that is done already."""
        if self._running.acquire(blocking=False):
            self._asleep.acquire(blocking=False)
            try:
                _thread.start_new_thread(self._run, (file, links, self._running))
            except RuntimeError:  # at the end of a process, which seals when it closes
                self._running.release()

    def stop(self) -> None:
        """Let the thread end."""
        with contextlib.suppress(RuntimeError):
            self._asleep.release()

    def _run(self, file: Appender, links: Links, running: _thread.LockType) -> None:
        seconds = links.evidence.checkpoint_seconds
        try:
            while links.is_opened:
                wait = links.checkpoint_at - time.monotonic()
                if wait <= 0:
                    if _checkpoint(file, links):
                        self.told()
                    wait = seconds  # no line comes before that which is not sealed at once
                if self._asleep.acquire(timeout=min(wait, seconds)):
                    break
                _keep_time(file, links)
        except Exception as error:
            file._count_trouble(error)
        finally:
            running.release()


def _checkpoint(file: Appender, links: Links) -> bool:
    """Put a checkpoint behind lines that are not sealed; return whether that was done."""
    with file._lock:
        if not links.is_opened or not links.is_waiting():
            return False
        try:
            return file._put_notice(reason="seconds")
        finally:
            while file._joined:
                file._write_joined(*file._joined.popleft())


def _keep_time(file: Appender, links: Links) -> None:
    with file._lock:
        try:
            if links.seals is not None and file._exclusion.take():
                links.seals.keep_time()
        finally:
            file._exclusion.give()
