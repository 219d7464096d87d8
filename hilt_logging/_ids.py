"""
Ids and times of events.
"""

from __future__ import annotations

import os
import random
import time


__all__ = ["Key", "latest", "new_id", "timestamp"]


class Key:
    """
    Stands for one event wherever its record or a copy of it passes by.

    Attributes:
        seen_by: The files that have it.
    """

    __slots__ = ("seen_by",)

    def __init__(self) -> None:
        self.seen_by: tuple[object, ...] = ()


_random = random.Random(os.urandom(16)).getrandbits  # noqa: S311 -- unique, not secret
_last = 0
_prefix: tuple[int, str] = (-1, "")


def new_id(now_ns: int | None = None) -> str:
    """
    Return a new UUIDv7 for a reading of the clock in nanoseconds; now by default.

    They only grow within a thread (RFC 9562, method 1 of section 6.2): the 12 bits after the time
    are a counter that carries into the time. No lock is needed, as the counter is read and set
    without a call in between; 62 random bits follow.
    """
    global _last, _prefix
    tick = (time.time_ns() if now_ns is None else now_ns) // 1_000_000 % 2**48 << 12
    if tick <= _last:
        tick = _last + 1
    _last = tick
    ms = tick >> 12
    known, prefix = _prefix
    if ms != known:
        prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-"
        _prefix = (ms, prefix)
    # 0x7ccc8rrrrrrrrrrrrrrr: version and counter, variant and random bits
    rest = hex((tick & 0xFFF | 0x7000) << 64 | 1 << 63 | _random(62))
    return f"{prefix}{rest[2:6]}-{rest[6:10]}-{rest[10:]}"


def renew() -> None:
    """Begin anew with other numbers than the parent process, in a forked child."""
    global _random, _last
    _random = random.Random(os.urandom(16)).getrandbits  # noqa: S311
    _last = 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=renew)


_second: tuple[int, str] = (-1, "")
latest = ""
"""The timestamp that was made last: whoever sees this very object need not check it."""


def timestamp(now_ns: int | None = None) -> str:
    """Return RFC 3339 in UTC with six digits of a second and a `Z`, of now by default."""
    global _second, latest
    seconds, nanos = divmod(time.time_ns() if now_ns is None else now_ns, 1_000_000_000)
    known, text = _second
    if seconds != known:
        text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(seconds))
        _second = (seconds, text)
    latest = made = f"{text}{str(1_000_000 + nanos // 1000)[1:]}Z"
    return made
