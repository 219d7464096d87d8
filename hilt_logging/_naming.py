"""
What inputs are called in messages and answers.
"""

from __future__ import annotations

import os


__all__ = ["name_of"]

_STDIN = ("-", "/dev/stdin", "<stdin>")


def name_of(path: str | os.PathLike[str]) -> str:
    """Return what a file is called: its path, and `standard input` whichever way that is read."""
    given = os.fspath(path)
    return "standard input" if given in _STDIN else given
