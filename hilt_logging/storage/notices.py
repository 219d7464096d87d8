"""
Notices: the `system` events that the library itself puts into a log.

What is bound where the program stands is no part of them: they are about the log, not about a call.
"""

from __future__ import annotations

import os
import sys

from typing import Any

from .._ids import new_id, timestamp
from ..events import encode
from ..schema import HILT_VERSION


__all__ = ["line_of_notice", "process", "session_of_notices"]

_session = ""
_pid = 0


def line_of_notice(told: dict[str, Any]) -> bytes:
    """
    Return the line of a notice, without its newline.

    Args:
        told: What it says, with its `kind`.
    """
    return encode(
        {
            "hilt_version": HILT_VERSION,
            "event_id": new_id(),
            "timestamp": timestamp(),
            "session_id": session_of_notices(),
            "actor": {"type": "system", "id": "hilt_logging"},
            "action": "system",
            "provenance": {"logger": "hilt_logging"},
            "extensions": {"notice": told},
        }
    )


def process() -> dict[str, Any]:
    """Return which process this is, and what runs in it."""
    from .. import __version__

    return {
        "process": os.getpid(),
        "host": os.uname().nodename if hasattr(os, "uname") else "",
        "python": ".".join(map(str, sys.version_info[:3])),
        "hilt_logging": __version__,
    }


def session_of_notices() -> str:
    """Return the session of all notices of this process."""
    global _session, _pid
    if _pid != os.getpid():
        _session, _pid = new_id(), os.getpid()
    return _session
