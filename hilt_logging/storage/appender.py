"""
Appending lines to a file that other threads, processes and log rotation share.

A line is one `os.write` of bytes on an `O_APPEND` descriptor: no buffer whose lock could hang a
forked child, no half line that a later write would finish in the middle of another process's line.
The file is never truncated. A tail that somebody left without its newline is closed off before the
next line, so that a fragment is at most one line of its own.

The careful way takes the lock between processes, looks at the end of the file, reserves room and
writes. It is not needed as long as the file ends in a newline (one `lseek`, which suffices where it
ends in our own last line; one `pread` of a byte where others have written since) and there is room
for the line where it ends. Then one `os.write` is all there is to do. A second `lseek` tells where
the line came to stand: between look and write others may have written (the process may be stopped
there for ten seconds), and one of them may have died amid its line. If ours stands behind such a
fragment it is written once more. The path, own rotation and room are looked after by the careful
way: every 100 ms, at the beginning of a period, and where the room that is known of ends.

Two ways to know that one is alone were measured: a counter that newcomers raise, read through a
shared mapping of the lock file (20 ns a line), and this one (200 to 300 ns). The mapping asks only
whether somebody *came*, so that a torn tail of an earlier peer has to be excluded by further
bookkeeping; a peer in another container or one that did not register is not seen; and a process
that maps a file dies of SIGBUS when somebody truncates it or, on file systems that copy on write,
when the disk is full. The `lseek` asks the file itself, and serves several writers as well: the
lock for each line cost four processes on one file two system calls and their naps.
"""

from __future__ import annotations

import errno
import os
import select
import stat
import threading
import time

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from .._diagnostics import Troubles, to_stderr
from .._ids import Key
from .batches import write_some
from .descriptors import end_of, inode_of, is_glued, last_byte, position, sync_folder
from .errors import NotSyncedError, PausedError, cause_of
from .exclusion import HELD, Exclusion
from .linking import conclude, write_linked, write_quickly
from .notices import line_of_notice
from .opening import opened
from .options import Evidence, FileOptions
from .room import reserve
from .rotation import Files, move_aside, stamp_of
from .upkeep import Upkeep


if TYPE_CHECKING:
    from .chaining import Links


__all__ = ["Appender"]

_FOLLOW_EVERY_S = 0.1
_REMEMBERED = 32
_LOOKS = 20
_LOOK_EVERY_S = 0.001
_AGAIN = 3
_READER_S = 1.0
_WITHOUT_READER_S = 10.0
_FAILURES_IN_A_ROW = 3
_PAUSE_S = 0.5
_ROTATE_AGAIN_S = 1.0

_fdatasync = getattr(os, "fdatasync", os.fsync)


class Appender:
    """
    One file that is appended to; safe for threads and processes, before and after a fork.

    Args:
        path: An absolute path.
        permissions: Mode bits for a file that is created.
        create_dirs: Create missing directories.
        options: How the file is rotated and followed.

    Attributes:
        options: As given; None where nobody minds.
        rotation_troubles: Failed rotations and failures in the upkeep of rotated files.
        links: What links the lines; None where they are not linked.
        listeners: What is opened when there is a checkpoint to tell of.
    """

    def __init__(
        self,
        path: str,
        permissions: int,
        create_dirs: bool,
        options: FileOptions | None = None,
    ) -> None:
        self.path = path
        self.permissions = permissions
        self.create_dirs = create_dirs
        self.users = 0
        self._fd: int | None = None
        self._inode = (-1, -1)
        self._exclusion = Exclusion(path, permissions)
        self._lock = threading.RLock()
        self.rotation_troubles = Troubles(to_stderr)
        self.links: Links | None = None
        self.listeners: WeakSet[Any] = WeakSet()
        self.adopt(options)
        self._begin_anew()
        self._inherited = False
        _appenders.add(self)

    def adopt(self, options: FileOptions | None) -> None:
        """Take options over; None are those of somebody who does not mind."""
        self.options = options
        self._options = options or FileOptions()  # those that hold
        self._sync_every = self._options.sync_every
        self._follow_every = 0.0 if self._options.strict else _FOLLOW_EVERY_S
        self._upkeep = Upkeep(self.path, self._options, self._count_trouble, self._state_deletion)
        if self._options.evidence is not None:
            self.chain(self._options.evidence)

    def chain(self, evidence: Evidence) -> None:
        """Link lines from now on."""
        from .chaining import Links  # only who links loads what it needs

        with self._lock:
            self.links = Links(self.path, self.permissions, evidence, self._options.namer)
            self._end, self._look_at = -1, float("-inf")

    def _count_trouble(self, error: Exception) -> None:
        cause = cause_of(error) if isinstance(error, OSError) else type(error).__name__
        self.rotation_troubles.count(cause, self.path)

    def _begin_anew(self) -> None:
        """Forget what threads do, as a forked child must: one of the parent may hold the lock."""
        self._lock = threading.RLock()
        self._writing = False
        self._joined: deque[tuple[bytes | None, Callable[[OSError], None]]] = deque()
        self._recent: dict[int, object] = {}
        self._older: dict[int, object] = {}
        self._end = -1  # where our last line ended; -1 when that is not known
        self._inherited = True  # a descriptor of another process, with which it shares its position
        self._room = -1  # up to where there is room on the disk
        self._look_at = float("-inf")  # when to look again what the path names
        self._unsynced = 0  # lines since they were brought to the disk
        self._is_amid = False  # of a line, in a pipe, of which no end can be read
        self._wait_at = float("-inf")  # when the reader of a pipe is waited for again
        self._failures = 0
        self._reason = 0
        self._retry_at = float("-inf")
        self._rotate_at = float("-inf")  # when a rotation that failed is tried again
        self._period = float("-inf")  # when the period began to which the file is known to belong
        self._overdue = False  # its period is over; also once the next one is written into it
        self._exclusion.forget()
        self._upkeep.begin_anew()
        if self.links is not None:
            self.links.begin_anew()

    def lock_failures(self) -> dict[str, int]:
        """Return how often the lock between processes could not be had, by cause."""
        return dict(self._exclusion.failures)

    def why_no_lock(self) -> str | None:
        """Return why processes can't exclude each other here; None where they can."""
        with self._lock:
            before = self._exclusion.failures.copy()
            try:
                self._exclusion.take()
            finally:
                self._exclusion.give()
            causes = self._exclusion.failures - before
        return next((cause for cause in causes if cause != HELD), None)

    def open(self) -> None:
        """
        Open what the path names now, rather than at the next line.

        Raises:
            OSError: if it can't be opened, or is a directory.
        """
        with self._lock:
            if not self._writing:
                self._look_at = float("-inf")
                self._followed()

    def begin_new(self) -> None:
        """
        Move what the file holds aside, its last line closed off, and open an empty one.

        Raises:
            OSError: if it can't be moved or opened.
        """
        with self._lock:
            if self._writing:  # a signal handler amid a line, which has to get into the old file
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), self.path)
            self._look_at = float("-inf")
            fd = self._followed()
            if os.fstat(fd).st_size == 0:
                return
            try:
                self._exclusion.take()
                torn = self._ends_torn(fd, os.fstat(fd))
                if self.links is not None:
                    conclude(self, self.links)
                elif torn:
                    os.write(fd, b"\n")
                move_aside(self.path, self._options)
            finally:
                self._exclusion.give()
            self._look_at = float("-inf")
            self._followed()

    def close(self) -> None:
        """Close the file; a later line opens it again. From within a write it is closed after it."""
        if self.links is not None:
            self._upkeep.close()  # what it deletes is put on record first
        with self._lock:
            if self._writing:
                self._joined.append((None, self._count_trouble))
            else:
                self._close()
        if self.links is None:
            self._upkeep.close()

    def _close(self) -> None:
        if self.links is not None and self.links.is_opened:
            self._put_notice(closes=True)
            self.links.clock.stop()
        self._drop()
        self._exclusion.forget()

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
            if key is not None and self._came_before(key):
                return False
            if self._writing:
                self._joined.append((line, lost))
                return True
            try:
                self._write(line + b"\n")
            except NotSyncedError:
                raise
            except BaseException:
                self._forget(key)  # nothing came of it
                raise
            finally:
                while self._joined:
                    self._write_joined(*self._joined.popleft())
            return True

    def append_many(
        self, lines: Sequence[tuple[bytes, object]], lost: Callable[[OSError], None]
    ) -> list[bool | OSError]:
        """
        Write lines, as many as can be in one write; never raises an `OSError`.

        Args:
            lines: Lines and their keys, as for `append`.
            lost: As there.

        Returns:
            For each what `append` would have returned or raised.
        """
        with self._lock:
            results: list[bool | OSError] = [
                key is None or not self._came_before(key) for _, key in lines
            ]
            fresh = deque((n, lines[n][0] + b"\n") for n, is_new in enumerate(results) if is_new)
            if self._writing:
                self._joined.extend((line[:-1], lost) for _, line in fresh)
                return results
            try:
                while fresh:
                    for number, error in write_some(self, fresh).items():
                        results[number] = error
                        if not isinstance(error, NotSyncedError):
                            self._forget(lines[number][1])
            finally:
                for number, _ in fresh:  # an exception of a signal handler: nothing came of them
                    self._forget(lines[number][1])
                while self._joined:
                    self._write_joined(*self._joined.popleft())
        return results

    def _came_before(self, key: object) -> bool:
        """Whether the key came lately; from now on it did. In steps that a signal may interrupt."""
        if type(key) is Key:
            if self in key.seen_by:
                return True
            key.seen_by = (*key.seen_by, self)
            return False
        mark, recent = id(key), self._recent
        if recent.get(mark) is key or self._older.get(mark) is key:
            return True
        if len(recent) >= _REMEMBERED:
            self._older, self._recent = recent, {}
            recent = self._recent
        recent[mark] = key
        return False

    def pass_over(self, key: object) -> None:
        """Do not write what a key stands for."""
        with self._lock:
            self._came_before(key)

    def _forget(self, key: object) -> None:
        if type(key) is Key:
            key.seen_by = tuple(each for each in key.seen_by if each is not self)
        else:
            self._recent.pop(id(key), None)

    def _write_joined(self, line: bytes | None, lost: Callable[[OSError], None]) -> None:
        """Write what came from within a write; None stands for a `close`."""
        try:
            if line is None:
                self._close()
            else:
                self._write(line + b"\n")
        except OSError as error:
            lost(error)

    def _write(self, data: bytes) -> None:
        self._writing = True
        try:
            end, size, fd = self._end, len(data), self._fd
            if end < 0 or fd is None or time.monotonic() >= self._look_at:
                if self.links is None or not write_quickly(self, self.links, data):
                    self._write_carefully(data)
            elif 0 <= (end := self._whole_end(fd, end)) <= self._room - size:
                self._end = -1
                written = os.write(fd, data)
                here = position(fd)
                if written == size and (
                    here == end + size or (here > 0 and not is_glued(fd, here - size, data))
                ):
                    self._end = here
                else:
                    self._finish(fd, data, end, written)
            else:
                self._write_carefully(data)
            self._failures = 0
            if self._sync_every:
                self._sync()
        except (NotSyncedError, PausedError):
            raise
        except OSError as error:
            self._count_failure(error)
            raise
        finally:
            self._writing = False

    def _whole_end(self, fd: int, known: int) -> int:
        """Where the file ends, if it ends where it did or in a newline; else -1."""
        try:
            end = os.lseek(fd, 0, os.SEEK_END)
            if end == known:
                return end
            # others wrote, or somebody has put another file in the descriptor's place
            is_whole = (
                end > known
                and last_byte(fd, end) == b"\n"
                and inode_of(os.fstat(fd)) == self._inode
            )
            return end if is_whole else -1
        except OSError:  # somebody closed all descriptors, as a daemon does
            return -1

    def _sync(self, lines: int = 1) -> None:
        """Bring what was written to the disk itself, if it is time; never tried twice."""
        self._unsynced += lines
        if self._unsynced < self._sync_every or self._fd is None:
            return
        self._unsynced = 0
        try:
            _fdatasync(self._fd)
        except OSError as error:
            raise NotSyncedError(error.errno, error.strerror) from error

    def _count_failure(self, error: OSError) -> None:
        """After some failures nothing is tried for a moment: a full disk costs next to nothing."""
        self._failures += 1
        if self._failures >= _FAILURES_IN_A_ROW and time.monotonic() >= self._retry_at:
            self._retry_at = time.monotonic() + _PAUSE_S
        self._reason = error.errno or errno.EIO

    def _write_carefully(self, data: bytes) -> None:
        if time.monotonic() < self._retry_at:
            raise PausedError(self._reason, os.strerror(self._reason))
        if self.links is not None:
            for error in write_linked(self, self.links, [data[:-1]]).values():
                raise error
        else:
            self.write_so(data)
        if time.monotonic() >= self._upkeep.due_at:
            self._upkeep.start()

    def write_so(self, data: bytes) -> None:
        """Write a line as it is."""
        fd = self._followed()
        found = self._found(fd)
        if found is None:  # somebody closed all descriptors, as a daemon does
            self._look_at = float("-inf")
            fd = self._followed()
            found = os.fstat(fd)
        try:
            locked = self._exclusion.take()
            fd, torn = self._with_room(fd, found, len(data), locked)
            if torn:
                data = b"\n" + data
            end, self._end = self._end, -1
            if end >= 0 and end + len(data) > self._room:
                self._room = reserve(fd, end, len(data))
                if locked and self._options.max_bytes:  # there the short way ends, too
                    self._room = min(self._room, self._options.max_bytes)
            self._end = self._completed(fd, data, end, self._put(fd, data))
        finally:
            self._exclusion.give()

    def _put_notice(self, **notices: Any) -> bool:
        """Write a notice alone; return whether that could be done. Not from within a write."""
        assert self.links is not None
        self._writing = True
        try:
            return not write_linked(self, self.links, (), **notices)
        except OSError:
            return False
        finally:
            self._writing = False

    def state(self, notice: dict[str, Any]) -> bool:
        """
        Put a notice on record, sealed where lines are linked, and bring it to the disk.

        Args:
            notice: What it says, with its `kind`.

        Returns:
            Whether that could be done; it can't from within a write.
        """
        with self._lock:
            if self._writing:
                return False
            try:
                if self.links is None:
                    self._write(line_of_notice(notice) + b"\n")
                elif not self._put_notice(notice=notice):
                    return False
                if self._fd is not None:
                    _fdatasync(self._fd)
            except OSError:
                return False
            finally:
                while self._joined:
                    self._write_joined(*self._joined.popleft())
            return True

    def tell_listeners(self) -> None:
        """Say that there is a checkpoint to tell of."""
        for each in list(self.listeners):
            each.is_open = True

    def _state_deletion(self, paths: Sequence[str]) -> bool:
        """Put on record which rotated files are about to be deleted, where lines are linked."""
        if self.links is None:
            return True
        files = []
        for path in paths:
            try:
                files.append(self.links.summary_of(path))
            except FileNotFoundError:  # another process was first
                continue
        return not files or self.state({"kind": "pruned", "files": files, "by": "retention"})

    def _with_room(
        self, fd: int, found: os.stat_result, length: int, locked: bool
    ) -> tuple[int, bool]:
        """The descriptor to write so many bytes to, and whether the file ends torn."""
        while True:
            torn = self._ends_torn(fd, found)
            if not self._options.rotates:
                return fd, torn
            due = self._is_due(fd, length + torn)
            if not (due and locked) or time.monotonic() < self._rotate_at:
                return fd, torn
            fd = self._rotated(fd, torn, length)
            found = os.fstat(fd)

    def _is_due(self, fd: int, length: int) -> bool:
        return self._end > 0 and (self._is_full(length) or self._is_overdue(fd))

    def _is_full(self, length: int) -> bool:
        return 0 < self._options.max_bytes < self._end + length

    def _is_overdue(self, fd: int) -> bool:
        """Whether the last line was written in an earlier period than the present one."""
        period = self._options.period
        if period is None:
            return False
        now = time.time()
        start = period.start(now)
        self._look_at = min(self._look_at, time.monotonic() + start + period.seconds - now)
        if start != self._period and not self._overdue:
            self._overdue = os.fstat(fd).st_mtime < start
            self._period = start
        return self._overdue

    def _rotated(self, fd: int, torn: bool, length: int) -> int:
        """The descriptor of the next file; after a failure the same one, and a pause."""
        try:
            if self._is_current(fd) and not self._move(fd, torn, length):
                self._end = -1
                return fd
            self._look_at = float("-inf")
            fresh = self._followed()
        except Exception as error:  # a hook may raise anything
            if self._fd is None:
                raise
            self._count_trouble(error)
            fresh = fd
        if fresh == fd:
            self._end = -1  # it may end torn, whatever was known
            self._rotate_at = time.monotonic() + _ROTATE_AGAIN_S
        return fresh

    def _move(self, fd: int, torn: bool, length: int) -> bool:
        """Rename the file, unless only its time seemed to be over: a clock of files lags behind."""
        if not self._is_full(length):
            files = Files(self.path, self._options.namer)
            if files.newest(until=stamp_of(time.time_ns())) >= stamp_of(int(self._period * 1e9)):
                self._overdue = False
                return False
        if self.links is not None:
            conclude(self, self.links)
        elif torn:
            os.write(fd, b"\n")
        move_aside(self.path, self._options)
        self._upkeep.ask()
        return True

    def _finish(self, fd: int, data: bytes, end: int, written: int) -> None:
        try:
            self._exclusion.take()
            self._end = self._completed(fd, data, end, written)
        finally:
            self._exclusion.give()

    def _completed(self, fd: int, data: bytes, end: int, written: int) -> int:
        """
        Complete a line that was written in part, or write it again where it does not stand alone.

        Returns where it ends; -1 where that is not known.

        Args:
            fd: The file.
            data: The line.
            end: Where the file ended before; -1 if that is not known.
            written: How much of the line was written.
        """
        left, again = data, 0
        while True:
            if written == 0:
                raise OSError(errno.EIO, "nothing written")
            here = position(fd) if end >= 0 else -1
            if here < 0 or here - written == end:
                alone = True
            else:  # others wrote between our look at the end, or our last part, and this part
                alone = left is data and not is_glued(fd, here - written, data[:written])
            if alone:
                self._is_amid = written < len(left)
                if not self._is_amid:
                    return here
                left, end = left[written:], here
                alone = here < 0 or end_of(fd) == here
            if not alone:  # what was written stays a fragment
                again += 1
                if again > _AGAIN:
                    raise OSError(errno.EIO, "others write in between")
                bare = data.lstrip(b"\n")
                left = data = b"\n" + bare if self._is_torn(fd) else bare
                end = self._end
            try:
                written = self._put(fd, left)
            except OSError:
                if left != b"\n":
                    raise
                written = 0
            if written == 0 and left == b"\n":
                return -1  # all of it is there: whoever writes next closes it off

    def _put(self, fd: int, data: bytes) -> int:
        """Write, to a pipe as soon as there is room; a reader that is stuck is waited for once."""
        try:
            return os.write(fd, data)
        except BlockingIOError:
            if time.monotonic() < self._wait_at:
                raise
            room = select.poll()
            room.register(fd, select.POLLOUT)
            if not room.poll(_READER_S * 1000):
                self._wait_at = time.monotonic() + _WITHOUT_READER_S
            return os.write(fd, data)

    def _ends_torn(self, fd: int, found: os.stat_result) -> bool:
        """Whether the file ends without a newline; read only where it is not as we left it."""
        if not stat.S_ISREG(found.st_mode):  # a pipe or a terminal has no end
            self._end = -1
            return self._is_amid
        known, self._end = self._end, -1
        try:
            self._end = end_of(fd)
        except OSError:
            return False
        if self._end < known:
            self._room = -1  # somebody emptied the file, and the room behind it went too
        if self._end in (known, 0):
            return False
        try:
            return self._is_torn(fd)
        except OSError:  # opened for writing only: rather an empty line than one that is glued
            return True

    def _is_torn(self, fd: int) -> bool:
        """Whether the end stays without a newline: another process may be amid a long write."""
        for _ in range(_LOOKS):
            self._end = end_of(fd)
            if self._end <= 0 or last_byte(fd, self._end) == b"\n":
                return False
            time.sleep(_LOOK_EVERY_S)
        return True

    def _followed(self) -> int:
        """The descriptor of what the path names now: after a rename the new file is created."""
        now = time.monotonic()
        if self._fd is not None and now < self._look_at:
            return self._fd
        self._look_at = now + self._follow_every
        self._exclusion.check()
        if self._fd is not None and not self._inherited and self._is_current(self._fd):
            return self._fd
        try:
            fresh = self._opened()
        except OSError:
            if self._fd is not None and self._found(self._fd) is not None:
                return self._fd  # better the renamed file than none
            self._drop()
            raise
        self._drop()
        self._fd, self._inode, self._inherited = fresh, inode_of(os.fstat(fresh)), False
        self._end, self._room = -1, -1
        self._period, self._overdue = float("-inf"), False
        return fresh

    def _drop(self) -> None:
        fd, self._fd, self._end = self._fd, None, -1
        unsynced, self._unsynced = self._unsynced, 0
        if fd is None or self._found(fd, links=0) is None:
            return
        try:
            if unsynced:
                _fdatasync(fd)
        except OSError as error:
            self._count_trouble(error)
        finally:
            os.close(fd)

    def _is_current(self, fd: int) -> bool:
        try:
            return inode_of(os.stat(self.path)) == inode_of(os.fstat(fd)) == self._inode
        except OSError:
            return False

    def _found(self, fd: int, *, links: int = 1) -> os.stat_result | None:
        """What the descriptor is, if it is still what we opened and has so many names or more."""
        try:
            found = os.fstat(fd)
        except OSError:
            return None
        return found if inode_of(found) == self._inode and found.st_nlink >= links else None

    def _opened(self) -> int:
        fd = opened(self.path, self.permissions, self.create_dirs)
        if self._sync_every:
            try:
                sync_folder(os.path.dirname(self.path))
            except OSError as error:
                self._count_trouble(error)
        return fd


_appenders: WeakSet[Appender] = WeakSet()


def _after_fork_in_child() -> None:
    for appender in list(_appenders):
        appender._begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
