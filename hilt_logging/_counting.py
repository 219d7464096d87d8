"""
Numbers with their nouns, as people read them.
"""

from __future__ import annotations


__all__ = ["counted"]


def counted(number: int, one: str, more: str = "") -> str:
    """Return a number with its noun; where *more* is not given, the plural ends in `s`."""
    return f"{number:,} {one if number == 1 else more or f'{one}s'}"
