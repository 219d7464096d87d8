"""
What people type: `hilt-log`. Each command is a thin wrapper of a public function.
"""

from __future__ import annotations

import sys

from collections.abc import Sequence

from ..errors import MissingDependencyError


__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run `hilt-log`, and return its exit code.

    Args:
        arguments: What follows the program's name; those of this process by default.
    """
    try:
        import click  # noqa: F401
    except ImportError:
        print(f"hilt-log: {MissingDependencyError('click', 'cli')}", file=sys.stderr)
        return 2
    from ._frame import run

    return run(arguments)
