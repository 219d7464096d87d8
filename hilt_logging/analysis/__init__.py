"""
What answers questions about logs: each is a function that takes paths, and prints nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .. import _late


if TYPE_CHECKING:
    from .compare import Comparison, compare
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
    "Comparison",
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
    "compare",
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

_late.late_names(
    __name__,
    {
        "Answer": "sql",
        "Comparison": "compare",
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
        "compare": "compare",
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
    },
)
