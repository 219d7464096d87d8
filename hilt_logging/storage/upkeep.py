"""
What is done with rotated files outside all locks: the rotator, compression, deleting old ones.

A file is touched only while no process has it open for writing: writers hold a shared lock on their
descriptor, and whoever does the upkeep takes an exclusive one, which also keeps others from the
same file. What is interrupted, also by `kill -9`, is begun anew by whoever comes next; the original
is unlinked only after its successor is whole and on the disk.

The thread is started by `_thread`, because `threading.Thread.start` takes locks that the code which
a signal handler interrupted may hold.
"""

from __future__ import annotations

import _thread
import os
import time

from collections.abc import Callable, Sequence

from .compression import GivenUpError, compress
from .descriptors import inode_of
from .exclusion import claim, unclaim
from .options import FileOptions
from .rotation import ENDINGS, Files, Rotated, stamp_of


__all__ = ["Upkeep"]

_AGAIN_S = 3600.0
_AGAIN_AFTER_FAILURE_S = 60.0
_AGAIN_WHILE_BUSY_S = 1.0
_LAST_S = 5.0
_STATED_AT_ONCE = 100
_DAY_NS = 86_400_000_000_000


class Upkeep:
    """
    The upkeep of one log's rotated files, by one thread at most.

    Args:
        path: The log.
        options: What is to be done.
        failed: Is told of each failure.
        state: Puts on record which files are about to be deleted; returns whether that is done.

    Attributes:
        due_at: When there is something to do, as `time.monotonic` counts.
    """

    def __init__(
        self,
        path: str,
        options: FileOptions,
        failed: Callable[[Exception], None],
        state: Callable[[Sequence[str]], bool] = lambda paths: True,
    ) -> None:
        self.path = path
        self.options = options
        self._failed = failed
        self._state = state
        self._stated: set[str] = set()
        self.begin_anew()

    def begin_anew(self) -> None:
        """Forget a thread, as a forked child must."""
        self.due_at = float("-inf") if self.options.needs_upkeep else float("inf")
        self._until = float("inf")
        self._running = _thread.allocate_lock()

    def ask(self) -> None:
        """Have it done soon, because a file was rotated."""
        if self.options.needs_upkeep:
            self.due_at = float("-inf")

    def start(self) -> None:
        """Do it in a thread; where none can be started, as at the end of a process, do it now."""
        if not self._running.acquire(blocking=False):
            return
        self.due_at = time.monotonic() + _AGAIN_S
        try:
            _thread.start_new_thread(self._run, ())
        except RuntimeError:
            self._run_at_once()

    def close(self) -> None:
        """Do what is due and wait for it, for some seconds at most."""
        if not self.options.needs_upkeep:
            return
        self._until = time.monotonic() + _LAST_S
        if self._running.acquire(timeout=_LAST_S):
            self._run_at_once()

    def _run_at_once(self) -> None:
        self._until = time.monotonic() + _LAST_S
        self._run()
        self._until = float("inf")

    def _run(self) -> None:
        try:
            wait = self._once()
            self.due_at = min(self.due_at, time.monotonic() + wait)
        except Exception as error:
            self._failed(error)
        finally:
            self._running.release()

    def _once(self) -> float:
        """Do what can be done now; return after how many seconds to come again."""
        files = Files(self.path, self.options.namer)
        wait = _AGAIN_S
        for found in sorted(files.all()):
            wait = min(wait, self._guarded(self._advance, files, found))
        surplus = self._surplus(files)
        if not self._is_stated([each.path for each in surplus]):
            return min(wait, _AGAIN_WHILE_BUSY_S)
        for found in surplus:
            wait = min(wait, self._guarded(self._delete, files, found))
        return wait

    def _is_stated(self, paths: list[str]) -> bool:
        """Whether it is on record that files are deleted, each of them once."""
        fresh = [path for path in paths if path not in self._stated]
        for at in range(0, len(fresh), _STATED_AT_ONCE):
            some = fresh[at : at + _STATED_AT_ONCE]
            if not self._state(some):
                return False
            self._stated.update(some)
        self._stated.intersection_update(paths)
        return True

    def _guarded(
        self, step: Callable[[Files, Rotated], bool], files: Files, found: Rotated
    ) -> float:
        try:
            return _AGAIN_S if step(files, found) else _AGAIN_WHILE_BUSY_S
        except FileNotFoundError:  # another process was first
            return _AGAIN_S
        except GivenUpError:
            return _AGAIN_WHILE_BUSY_S
        except Exception as error:  # a hook may raise anything
            self._failed(error)
            return _AGAIN_AFTER_FAILURE_S

    def _advance(self, files: Files, found: Rotated) -> bool:
        """Bring one file a step further; return False if it is in use."""
        if found.is_part:
            self._clear(found)
        elif found.is_pending and self.options.rotator:
            return self._alone_with(found, lambda fd: self._rotate(files, found))
        elif found.ending == "" and self.options.compress:
            return self._alone_with(found, lambda fd: self._compress(fd, found))
        return True

    def _alone_with(self, found: Rotated, act: Callable[[int], None]) -> bool:
        """Act on a file that nobody writes to and that no other process acts on."""
        fd = os.open(found.path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            if not claim(fd):
                return False
            try:
                if inode_of(os.stat(found.path)) == inode_of(os.fstat(fd)):
                    act(fd)
            finally:
                unclaim(fd)
            return True
        finally:
            os.close(fd)

    def _rotate(self, files: Files, found: Rotated) -> None:
        assert self.options.rotator is not None
        target = files.name(found.stamp)
        if not os.path.lexists(target):
            self.options.rotator(found.path, target)
            return
        raise FileExistsError(target)

    def _compress(self, fd: int, found: Rotated) -> None:
        kind = self.options.compress
        assert kind is not None
        final = found.path + ENDINGS[kind]
        compress(fd, f"{final}.part", final, kind, self._until)
        os.unlink(found.path)

    def _clear(self, found: Rotated) -> None:
        """Unlink the temporary file of a process that died; one at work has the original locked."""
        original = found.path.removesuffix(found.ending)
        if not os.path.lexists(original):
            os.unlink(found.path)
            return
        self._alone_with(found._replace(path=original), lambda fd: os.unlink(found.path))

    def _surplus(self, files: Files) -> list[Rotated]:
        """The files to delete, oldest first."""
        if not self.options.deletes:
            return []
        whole = sorted(each for each in files.all() if each.is_whole)
        stamps = sorted({each.stamp for each in whole})
        surplus = set(stamps[: -self.options.backup_count]) if self.options.backup_count else set()
        if self.options.retain_days:
            oldest = stamp_of(time.time_ns() - int(self.options.retain_days * _DAY_NS))
            surplus.update(each for each in stamps if each < oldest)
        if self.options.max_total_bytes:
            surplus.update(self._too_much(whole))
        return [each for each in whole if each.stamp in surplus]

    def _too_much(self, whole: list[Rotated]) -> set[str]:
        """The times of the oldest files that do not fit any more."""
        total, surplus = _size(self.path), set()
        for each in reversed(whole):
            total += _size(each.path)
            if total > self.options.max_total_bytes:
                surplus.add(each.stamp)
        return surplus

    def _delete(self, files: Files, found: Rotated) -> bool:
        return self._alone_with(found, lambda fd: os.unlink(found.path))


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0
