"""
What proves, opens, erases and prunes the files of a log. What it makes are new files.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._late import late_names


if TYPE_CHECKING:
    from .decrypt import decrypt
    from .erase import erase
    from .prune import prune
    from .rewrite import rewrite
    from .verify import verify


__all__ = ["decrypt", "erase", "prune", "rewrite", "verify"]

late_names(__name__, {name: name for name in __all__})
