"""
What people type: `hilt-log`. Each command is a thin wrapper of a public function.
"""

from __future__ import annotations

import importlib.util
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
    if arguments is not None:
        return _main(arguments)
    from . import _signals

    return _signals.run(_main)  # the process is ours


def _main(arguments: Sequence[str] | None = None) -> int:
    for module in ("click", "rich"):
        if not _is_installed(module):
            print(f"hilt-log: {MissingDependencyError(module, 'cli')}", file=sys.stderr)
            return 2
    from ._frame import run

    return run(arguments)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # its place is taken by None
        return False
