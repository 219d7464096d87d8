"""
Why a line could not be written.
"""

from __future__ import annotations

import errno


__all__ = ["NotSyncedError", "PausedError", "cause_of"]


class NotSyncedError(OSError):
    """
    A line that is in the file, but perhaps not on the disk.

    The kernel may have thrown away what it could not write, and says so only once: what is asked
    again succeeds, and means nothing.
    """


class PausedError(OSError):
    """A line that was not tried: some before it failed, a moment ago, for the reason that it says."""


def cause_of(error: OSError) -> str:
    """Return the name of an errno, e.g. `ENOSPC`, else of the error's class."""
    return errno.errorcode.get(error.errno or 0, type(error).__name__)
