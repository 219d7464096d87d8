"""
Who is named in an event.
"""

from __future__ import annotations


__all__ = ["NOBODY", "name_of"]

NOBODY = "user"
"""Stands as the id of an actor where no person is known, and for no one in particular."""


def name_of(value: object) -> str | None:
    """Return a name as text, also one that is a number; None where there is none."""
    if type(value) is str:
        return value or None
    return None if type(value) not in (int, float) else str(value)
