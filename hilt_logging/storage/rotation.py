"""
Moving a file aside under a name that was never used before and never will be again.
"""

from __future__ import annotations

import os
import time

from .appender import Appender


__all__ = ["move_aside"]


def move_aside(appender: Appender) -> str | None:
    """
    Rename the file of an appender to its name plus the time in UTC; return the new name.

    The appender follows to a new file at its next `open`. Returns None where there is no file, or
    an empty one.

    Raises:
        OSError: if it can't be renamed.
    """
    path = appender.path
    try:
        if os.path.getsize(path) == 0:
            return None
    except FileNotFoundError:
        return None
    while True:
        now = time.time_ns()
        moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now // 1_000_000_000))
        aside = f"{path}.{moment}.{now % 1_000_000_000:09d}Z"
        if not os.path.lexists(aside):
            os.rename(path, aside)
            return aside
