"""
What proves, opens, erases and prunes the files of a log. What it makes are new files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _late


if TYPE_CHECKING:
    from .decrypt import decrypt
    from .erase import erase
    from .prune import prune
    from .rewrite import rewrite
    from .verify import verify


__all__ = ["decrypt", "erase", "prune", "rewrite", "verify"]

_late.late_names(__name__, {name: name for name in __all__})
