"""
What proves, opens, erases and prunes the files of a log. What it makes are new files.
"""

from __future__ import annotations

import importlib
import sys

from types import ModuleType
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .decrypt import decrypt
    from .erase import erase
    from .prune import prune
    from .rewrite import rewrite
    from .verify import verify


__all__ = ["decrypt", "erase", "prune", "rewrite", "verify"]


class _Package(ModuleType):
    """Keeps the public names functions when the modules that they are named after are loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in __all__ and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    importlib.import_module(f".{name}", __name__)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
