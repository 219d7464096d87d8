"""
Writing lines that are linked to those before them.

Always under the lock between processes: is the path still our file, how does it end, rotation, one
write. Who can't have the lock writes lines that say that they are not linked, and the next linked
line covers them. Somebody who was stopped between look and write may find that others wrote without
the lock meanwhile: then the next line, which is written at once, covers his own, too.
"""

from __future__ import annotations

import errno
import os
import stat
import time

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from .descriptors import end_of, inode_of, is_glued, position
from .room import reserve


if TYPE_CHECKING:
    from .appender import Appender
    from .chaining import Block, Links


__all__ = ["conclude", "ends_linked", "write_linked", "write_quickly"]

_FOLLOW_EVERY_S = 0.1
_AGAIN = 3
_LOOKS = 20
_LAST = 64 * 1024


class _Put(NamedTuple):
    """
    What became of a write.

    Attributes:
        begin: Where it begins in the file.
        written: How much of it stands there in one piece.
        is_glued: Whether it begins behind a fragment of something else.
        error: What kept the rest from being written.
    """

    begin: int
    written: int
    is_glued: bool = False
    error: OSError | None = None


def write_quickly(file: Appender, links: Links, line: bytes) -> bool:
    """
    Write a line with its link, if it is one of many; return False where nothing was written.

    Nobody wrote since, no notice is due, and there is room: what `write_linked` finds out step by
    step is asked here at once.

    Args:
        file: The file.
        links: What links its lines.
        line: The line, with its newline.

    Raises:
        OSError: if it can't be written whole.
    """
    now, fd, inode, exclusion = time.monotonic(), file._fd, file._inode, file._exclusion
    if (
        fd is None
        or now >= file._look_at
        or now >= links.quick_until
        or links.inode is not inode
        or not exclusion.take_at_once()
    ):
        return False
    try:
        end = links.end
        try:
            found = os.stat(file.path)
            if (
                found.st_size != end
                or found.st_ino != inode[1]
                or found.st_dev != inode[0]
                or os.lseek(fd, 0, os.SEEK_END) != end
            ):
                return False
        except OSError:  # it was taken away, or somebody closed all descriptors, as a daemon does
            return False
        data = links.quick(line)
        after = end + len(data)
        if after > file._room:
            return False
        written = os.write(fd, data)
        if position(fd) == after:
            links.quickly_done(data)
            return True
        begun = links.block_of(data), _put(fd, end, data, written)
        failed = _write(file, links, [line[:-1]], end, {}, begun)
    except OSError:
        links.quick_until = float("-inf")
        raise
    finally:
        exclusion.give()
    for error in failed.values():
        raise error
    return True


def write_linked(
    file: Appender, links: Links, lines: Sequence[bytes], **notices: Any
) -> dict[int, OSError]:
    """
    Write lines with their links.

    Args:
        file: The file.
        links: What links its lines.
        lines: The lines, without newlines.
        notices: What `Links.block` is asked for beside them.

    Returns:
        The errors of those that are not in the file whole, by their numbers.

    Raises:
        OSError: if nothing can be written.
    """
    if lines and file.users <= 0:  # a late line of who has said that he is done
        notices["closes"] = True
    now = time.monotonic()
    if now >= file._look_at or file._fd is None:
        file._look_at = now + _FOLLOW_EVERY_S
        file._exclusion.check()
        if file._fd is None:
            file._look_at = float("-inf")
            file._followed()  # which makes folders, too
    try:
        if file._exclusion.take():
            end = _end(file, links)
            if end >= 0:
                return _write(file, links, lines, end, notices)
    finally:
        file._exclusion.give()
        file._end = -1  # nobody goes the short way here
        if links.facts:
            file.tell_listeners()
        if links.seals is not None and links.is_opened:
            links.clock.start(file, links)
    if not lines:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK), file.path)
    return _write_unlinked(file, links, lines)


def ends_linked(path: str) -> bool:
    """Return whether a file has linked lines where it ends."""
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode):
            return False
        with open(path, "rb") as opened:
            opened.seek(max(0, found.st_size - _LAST))
            data = opened.read()
    except OSError:
        return False
    if b'"integrity":{"chain":"' not in data:
        return False
    from .chaining import is_chained  # only who links loads what it needs

    return is_chained(path)


def conclude(file: Appender, links: Links) -> None:
    """Put a checkpoint at the end of a file that is about to be moved aside, under the lock."""
    try:
        fd, end = file._fd, _end(file, links)
        if fd is not None and end >= 0:
            for _ in range(1 + _AGAIN):
                end = _look(file, links, fd, end)
                block = links.block((), reason="rotation")
                put = _put(fd, end, block.data)
                is_whole = _take_over(file, links, block, put, end) is None
                end = _look(file, links, fd, end_of(fd))
                if is_whole or put.error is not None:
                    break
    except OSError as error:  # it is moved aside without
        file._count_trouble(error)
    links.go_on()


def _write(
    file: Appender,
    links: Links,
    lines: Sequence[bytes],
    end: int,
    notices: dict[str, Any],
    begun: tuple[Block, _Put] | None = None,
) -> dict[int, OSError]:
    waiting = dict(enumerate(lines))
    error: OSError | None = None
    for _ in range(1 + _AGAIN):
        if begun is None:
            fd, end, block = _prepared(file, links, end, list(waiting.values()), notices)
            put = _put(fd, end, block.data)
        else:
            (block, put), begun = begun, None
        again = _take_over(file, links, block, put, end)
        if again is None:
            return {}
        numbers = list(waiting)
        waiting = {numbers[each]: lines[numbers[each]] for each in again if each >= 0}
        error, notices = put.error, notices if -1 in again else {}
        if not waiting and not notices:
            notices = {"reason": "cover"}
        end = -1 if error is not None else _end(file, links)
        if end < 0:
            break
    return dict.fromkeys(waiting, error or OSError(errno.EIO, "others write in between"))


def _prepared(
    file: Appender, links: Links, end: int, lines: list[bytes], notices: dict[str, Any]
) -> tuple[int, int, Block]:
    """The lines as they have to stand in the file, after rotation; its descriptor, and its end."""
    while True:
        fd = file._fd
        assert fd is not None
        end = _look(file, links, fd, end)
        block = links.block(lines, **notices)
        length = len(block.data) + links.ROOM
        if not _is_due(file, fd, end, length):
            break
        file._rotated(fd, False, length)
        end = _end(file, links)
        if end < 0:
            raise OSError(errno.EIO, "the file can't be read", file.path)
    if end + len(block.data) > file._room:
        file._room = reserve(fd, end, len(block.data))
        if file._options.max_bytes:  # there the quick way ends, too
            file._room = min(file._room, file._options.max_bytes - links.ROOM)
    return fd, end, block


def _is_due(file: Appender, fd: int, end: int, length: int) -> bool:
    """Whether the file has to be rotated before so much is written."""
    if not file._options.rotates or time.monotonic() < file._rotate_at:
        return False
    file._end = end
    return file._is_due(fd, length)


def _look(file: Appender, links: Links, fd: int, end: int) -> int:
    """Find out how the file ends; return where. Another process may be amid a long write."""
    if end < links.end:
        file._room = -1  # somebody emptied the file, and the room behind it went too
    links.look(fd, file._inode, end)
    for _ in range(_LOOKS):
        if not links.is_torn:
            break
        time.sleep(0.001)
        end = end_of(fd)
        links.look(fd, file._inode, end)
    if links.is_torn:
        os.write(fd, b"\n")  # what its writer may still add is a line of its own
        end = end_of(fd)
        links.look(fd, file._inode, end)
    return end


def _put(fd: int, end: int, data: bytes, begun: int = -1) -> _Put:
    """Write what is to stand where the file ends; a first part may have been written already."""
    begin, written, glued = end, 0, False
    try:
        while True:
            more = os.write(fd, data[written:] if written else data) if begun < 0 else begun
            begun = -1
            if more == 0:
                raise OSError(errno.EIO, "nothing written")
            here = position(fd)
            if here - more != begin + written:  # others wrote without the lock
                if written:
                    return _Put(begin, written, glued)
                begin = here - more
                glued = is_glued(fd, begin, data[:more])
            written += more
            if written == len(data) or end_of(fd) != here:
                return _Put(begin, written, glued)
    except OSError as error:
        if written == 0:
            raise
        return _Put(begin, written, glued, error)


def _take_over(file: Appender, links: Links, block: Block, put: _Put, end: int) -> list[int] | None:
    """Have it known what was written; return what is to be written again, None if all is well."""
    again: list[int] | None = None
    if put.written == len(block.data) and put.begin == end:
        links.done(block, file._inode, end + put.written)
    else:
        again = links.partly(
            block, put.written, is_misplaced=put.begin != end, is_glued=put.is_glued
        )
    links.settle(file._fd)
    return again


def _end(file: Appender, links: Links) -> int:
    """Where the file ends that the path names now; -1 where no line can be linked in it."""
    for _ in range(_LOOKS):
        fd = file._fd
        if fd is not None and not file._inherited:
            end = _end_if_current(file, fd)
            if end >= 0:
                return end
            if file._found(fd, links=0) is not None:
                if file._is_current(fd):
                    continue  # somebody writes without the lock
                links.catch_up(fd, file._inode)
        file._look_at = float("-inf")
        file._followed()
        if not _is_readable(file) or not file._is_current(file._fd or -1):
            return -1
    return -1


def _end_if_current(file: Appender, fd: int) -> int:
    try:
        found = os.stat(file.path)
        if inode_of(found) == file._inode and os.lseek(fd, 0, os.SEEK_END) == found.st_size:
            return found.st_size
    except OSError:  # it was taken away, or somebody closed all descriptors, as a daemon does
        pass
    return -1


def _is_readable(file: Appender) -> bool:
    try:
        if file._fd is None or not stat.S_ISREG(os.fstat(file._fd).st_mode):
            return False
        os.pread(file._fd, 1, 0)
    except OSError:
        return False
    return True


def _write_unlinked(file: Appender, links: Links, lines: Sequence[bytes]) -> dict[int, OSError]:
    failed: dict[int, OSError] = {}
    for number, line in enumerate(lines):
        try:
            file.write_so(links.without(line) + b"\n")
            links.count_unlinked()
        except OSError as error:
            failed[number] = error
        finally:
            file._end = -1
    return failed
