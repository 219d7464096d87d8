"""
Writing many lines in one, where nobody wrote in between and there is room for all of them.

What is left over is written line by line, so that each one that fails has an error of its own.
"""

from __future__ import annotations

import os
import time

from collections import deque
from typing import TYPE_CHECKING

from .descriptors import is_glued, position
from .errors import NotSyncedError
from .linking import write_linked


if TYPE_CHECKING:
    from .appender import Appender
    from .chaining import Links


__all__ = ["write_some"]

_MOST_AT_ONCE = 128 * 1024


def write_some(file: Appender, waiting: deque[tuple[int, bytes]]) -> dict[int, OSError]:
    """Write the first line that waits, and what else goes with it; return which failed."""
    batch, size = [waiting.popleft()], 0
    while waiting and size + len(waiting[0][1]) <= _MOST_AT_ONCE:
        batch.append(waiting.popleft())
        size += len(batch[-1][1])
    failed: dict[int, OSError] = {}
    again = batch if len(batch) == 1 else _write_at_once(file, batch, failed)
    for number, line in again:
        try:
            file._write(line)
        except OSError as error:
            failed[number] = error
    return failed


def _write_at_once(
    file: Appender, batch: list[tuple[int, bytes]], failed: dict[int, OSError]
) -> list[tuple[int, bytes]]:
    """Write lines in one, the short way; return those that are still to be written."""
    if file.links is not None:
        return _link_at_once(file, file.links, batch, failed)
    data = b"".join(line for _, line in batch)
    file._writing = True
    try:
        end, fd = file._end, file._fd
        if end < 0 or fd is None or time.monotonic() >= file._look_at:
            return batch
        end = file._whole_end(fd, end)
        if not 0 <= end <= file._room - len(data):
            return batch
        file._end = -1
        written = os.write(fd, data)
        here = position(fd)
        again = batch[:1] if _is_first_glued(fd, here - written, end, batch, written) else []
        if written == len(data) and here > 0:
            file._end = here
            done = len(batch)
        else:
            done = _finish_last(file, fd, batch, here, written, failed)
        if file._sync_every:
            file._sync(done)
    except NotSyncedError as error:
        failed.update((number, error) for number, _ in batch[:done])
    except OSError:
        return batch  # one by one each gets its own error
    finally:
        file._writing = False
    return again + batch[done:]


def _is_first_glued(
    fd: int, begin: int, end: int, batch: list[tuple[int, bytes]], written: int
) -> bool:
    return begin != end and is_glued(fd, begin, batch[0][1][:written])


def _finish_last(
    file: Appender,
    fd: int,
    batch: list[tuple[int, bytes]],
    here: int,
    written: int,
    failed: dict[int, OSError],
) -> int:
    """Complete the line at which a write ended early; return how many are done with."""
    done = 0
    while done < len(batch) and written >= len(batch[done][1]):
        written -= len(batch[done][1])
        done += 1
    if written == 0 or done == len(batch):
        return done
    number, line = batch[done]
    try:
        file._finish(fd, line, here - written, written)
    except OSError as error:
        file._count_failure(error)
        failed[number] = error
    return done + 1


def _link_at_once(
    file: Appender, links: Links, batch: list[tuple[int, bytes]], failed: dict[int, OSError]
) -> list[tuple[int, bytes]]:
    """Write lines with their links in one; return those that are still to be written."""
    if time.monotonic() < file._retry_at:
        return batch
    file._writing = True
    try:
        errors = write_linked(file, links, [line[:-1] for _, line in batch])
        for index, error in errors.items():
            file._count_failure(error)
            failed[batch[index][0]] = error
        if file._sync_every:
            file._sync(len(batch) - len(errors))
    except NotSyncedError as error:
        failed.update((number, error) for number, _ in batch if number not in failed)
    except OSError:
        return batch  # one by one each gets its own error
    finally:
        file._writing = False
    return []
