"""
A text in small letters, and where words stand in it.
"""

from __future__ import annotations

from collections.abc import Iterator


__all__ = ["places", "small_of"]


def small_of(text: str) -> str:
    """Return the text in small letters, each where it was."""
    small = text.lower()
    if len(small) != len(text):  # as for "İ"
        small = "".join(c.lower() if len(c.lower()) == 1 else c for c in text)
    return small


def places(text: str, part: str) -> Iterator[int]:
    """Return where a part of a text begins, each time."""
    at = text.find(part)
    while at >= 0:
        yield at
        at = text.find(part, at + len(part))
