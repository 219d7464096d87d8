"""
Moving a file aside under a name that was never used before and never will be again.
"""

from __future__ import annotations

import os
import stat
import time

from .appender import Appender


__all__ = ["move_aside"]


def move_aside(appender: Appender) -> str | None:
    """
    Rename the file of an appender to its name plus the time in UTC; return the new name.

    The appender follows to a new file at its next `open`. Returns None where there is no file, or
    an empty one, or one that is no regular file.

    Raises:
        OSError: if it can't be renamed.
    """
    path = appender.path
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    if found.st_size == 0 or not stat.S_ISREG(found.st_mode):
        return None
    while True:
        now = time.time_ns()
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
        aside = f"{path}.{moment}.{now % 1_000_000_000:09d}Z"
        if not os.path.lexists(aside):
            try:
                os.rename(path, aside)
            except FileNotFoundError:  # another process was first
                return None
            return aside
