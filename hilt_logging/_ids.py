"""
Ids and times of events.
"""

from __future__ import annotations

import os
import random
import threading
import time


__all__ = ["is_own_timestamp", "new_id", "timestamp"]


class _Ids:
    """
    UUIDs of version 7 that only grow within a process (RFC 9562, method 1 of section 6.2).

    The 12 bits after the time are a counter that carries into the time.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Forget what a parent process had: its lock may be held and its numbers are taken."""
        # an RLock, because a signal handler may make an event while one is being made
        self._lock = threading.RLock()
        self._random = random.Random(os.urandom(16)).getrandbits  # noqa: S311 -- unique, not secret
        self._last = 0
        self._prefix = (-1, "")

    def next(self, now_ns: int) -> str:
        now = (now_ns // 1_000_000 % 2**48) << 12
        with self._lock:
            last = self._last
            self._last = tick = now if now > last else last + 1
        ms = tick >> 12
        known, prefix = self._prefix
        if ms != known:
            prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
            self._prefix = (ms, prefix)
        tail = f"{self._random(62) | 1 << 63:x}"
        return f"{prefix}{tick & 0xFFF:03x}-{tail[:4]}-{tail[4:]}"


_ids = _Ids()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_ids.renew)


def new_id(now_ns: int | None = None) -> str:
    """Return a new UUIDv7 for a reading of the clock in nanoseconds; now by default."""
    return _ids.next(time.time_ns() if now_ns is None else now_ns)


_second: tuple[int, str] = (-1, "")
_own = ""


def timestamp(now_ns: int | None = None) -> str:
    """Return RFC 3339 in UTC with six digits of a second and a `Z`, of now by default."""
    global _second, _own
    seconds, nanos = divmod(time.time_ns() if now_ns is None else now_ns, 1_000_000_000)
    known, text = _second
    if seconds != known:
        text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))
        _second = (seconds, text)
    _own = made = f"{text}.{nanos // 1000:06d}Z"
    return made


def is_own_timestamp(value: object) -> bool:
    """Return whether a value is the very text that was made last: then nobody need check it."""
    return value is _own
