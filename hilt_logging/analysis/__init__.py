"""
What answers questions about logs: each is a function that takes paths, and prints nothing.
"""

from __future__ import annotations

import importlib
import sys

from types import ModuleType
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .conversation import Conversation, conversation, sessions
    from .convert import Converted, convert
    from .gaps import Gaps, gaps
    from .importing import Imported, import_log
    from .recent import followed, recent
    from .report import Reported, report
    from .reprice import Costs, Repriced, reprice
    from .search import Hit, Wanted, search
    from .sql import Answer, query
    from .stats import Stats, stats
    from .validate import Validation, validate


__all__ = [
    "Answer",
    "Conversation",
    "Converted",
    "Costs",
    "Gaps",
    "Hit",
    "Imported",
    "Reported",
    "Repriced",
    "Stats",
    "Validation",
    "Wanted",
    "conversation",
    "convert",
    "followed",
    "gaps",
    "import_log",
    "query",
    "recent",
    "report",
    "reprice",
    "search",
    "sessions",
    "stats",
    "validate",
]

_LATE = {
    "Answer": "sql",
    "Conversation": "conversation",
    "Converted": "convert",
    "Costs": "reprice",
    "Gaps": "gaps",
    "Hit": "search",
    "Imported": "importing",
    "Reported": "report",
    "Repriced": "reprice",
    "Stats": "stats",
    "Validation": "validate",
    "Wanted": "search",
    "conversation": "conversation",
    "convert": "convert",
    "followed": "recent",
    "gaps": "gaps",
    "import_log": "importing",
    "query": "sql",
    "recent": "recent",
    "report": "report",
    "reprice": "reprice",
    "search": "search",
    "sessions": "conversation",
    "stats": "stats",
    "validate": "validate",
}


class _Package(ModuleType):
    """Keeps a public name what it is when the module of that name is loaded."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _LATE and isinstance(value, ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(importlib.import_module(f".{_LATE[name]}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LATE})
