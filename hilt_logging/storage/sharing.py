"""
One appender for each file of a process, whoever writes to it.
"""

from __future__ import annotations

import os
import threading

from .appender import Appender
from .options import FileOptions
from .room import load


__all__ = ["acquire", "release"]

_shared: dict[str, Appender] = {}
_sharing = threading.Lock()


def acquire(
    path: str, permissions: int, create_dirs: bool, options: FileOptions | None = None
) -> Appender:
    """
    Return the one appender of a file in this process; `release` it as often as it is acquired.

    Args:
        path: The file; made absolute and free of links.
        permissions: Mode bits for a file that is created.
        create_dirs: Create missing directories.
        options: How it is rotated and followed; None by somebody who leaves that to others.

    Raises:
        ValueError: if the file is in use here with other options.
    """
    load()
    real = os.path.realpath(path)
    with _sharing:
        found = _shared.get(real)
        if found is None:
            found = _shared[real] = Appender(real, permissions, create_dirs, options)
        elif (found.permissions, found.create_dirs) != (permissions, create_dirs) or (
            options is not None and found.options not in (None, options)
        ):
            raise ValueError("is in use in this process with other options")
        elif found.options is None:
            found.adopt(options)
        found.users += 1
    return found


def release(appender: Appender) -> None:
    """Give up one use of an appender; the last one closes the file."""
    with _sharing:
        appender.users -= 1
        if appender.users > 0:
            return
        if _shared.get(appender.path) is appender:
            del _shared[appender.path]
    appender.close()


def _after_fork_in_child() -> None:
    """A thread of the parent may hold the lock."""
    global _sharing
    _sharing = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
