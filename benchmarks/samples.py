"""
What all contenders record: the same texts, ids and times from one cheap clock, the event as a dict.
"""

from __future__ import annotations

import os
import random
import time

from collections.abc import Iterator
from typing import Any


ASCII = "The quick brown fox asks how far the Moon is from here, in kilometres. "
OTHER = "Der Mond ist im Mittel 384 400 km entfernt; 月までの距離は約38万キロです。 "


def texts(first: int, count: int, sizes: tuple[int, int]) -> Iterator[tuple[str, bool]]:
    """
    Yield texts, and whether each is an answer: prompts and answers in turn, half of each ASCII.

    Args:
        first: The number of the first one; no two numbers have the same text.
        count: How many.
        sizes: Bytes of a prompt and of an answer in UTF-8, about.
    """
    bases = [[_repeated(piece, size) for piece in (ASCII, OTHER)] for size in sizes]
    for number in range(first, first + count):
        answer = bool(number % 2)
        # a fresh string, as a real text is
        yield f"{bases[answer][number // 2 % 2]}{number}", answer


def _repeated(piece: str, size: int) -> str:
    return piece * max(1, round(size / len(piece.encode())))


def body(text: str, answer: bool) -> dict[str, Any]:
    """Return an event as a dict, without what tells it from others: id and time."""
    if answer:
        return {
            "session_id": "conv-42",
            "actor": {"type": "agent", "id": "assistant"},
            "action": "completion",
            "content": {"text": text},
            "provenance": {"provider": "openai", "model": "gpt-4o-mini"},
            "metrics": {
                "latency_ms": 812,
                "tokens": {"prompt": 12, "completion": 34, "total": 46},
                "cost_usd": 0.000042,
            },
        }
    return {
        "session_id": "conv-42",
        "actor": {"type": "human", "id": "alice"},
        "action": "prompt",
        "content": {"text": text},
    }


class Clock:
    """A UUIDv7 and a timestamp of one reading of the clock; what repeats is kept."""

    def __init__(self) -> None:
        self._bits = random.Random(os.urandom(16)).getrandbits
        self._second = -1
        self._text = ""
        self._ms = -1
        self._prefix = ""

    def read(self) -> tuple[str, str]:
        """Return an id and the time."""
        now = time.time_ns()
        second, nanos = divmod(now, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second))
        ms = now // 1_000_000
        if ms != self._ms:
            self._ms = ms
            self._prefix = f"{ms >> 16:08x}-{ms & 0xFFFF:04x}-7"
        bits = self._bits(74)
        low = bits & 0xFFFFFFFFFFFF
        high = 0x8000 | (bits >> 48) & 0x3FFF
        return (
            f"{self._prefix}{bits >> 62:03x}-{high:04x}-{low:012x}",
            f"{self._text}{nanos // 1000:06d}Z",
        )


def whole(text: str, answer: bool, clock: Clock) -> dict[str, Any]:
    """Return an event as a dict with an id and a time, for those who do not add them."""
    event = body(text, answer)
    event["event_id"], event["timestamp"] = clock.read()
    event["hilt_version"] = "1.0.0"
    return event
