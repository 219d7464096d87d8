"""
What there is to say of an entry of a conversation, wherever it is shown.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any


if TYPE_CHECKING:
    from .conversation import Entry


__all__ = ["details_of", "words_for"]

_HIDDEN = {
    "erased": "erased",
    "not recorded": "content not recorded",
    "no key": "encrypted (no key)",
}


def words_for(reason: str) -> str:
    """Return in words why an entry can't be read."""
    return _HIDDEN.get(reason, f"encrypted ({reason})")


def details_of(entry: Entry) -> Iterator[tuple[str, Any]]:
    """Yield what an entry has beside what was said, each with its name."""
    tool = entry.tool or {}
    for name in ("arguments", "result"):
        if tool.get(name) is not None:
            yield name, tool[name]
    for document in entry.documents:
        yield "document", document
    if entry.feedback is not None:
        yield "feedback", entry.feedback
    if entry.metrics.get("score") is not None:
        yield "score", entry.metrics["score"]
    if entry.error is not None:
        yield "error", entry.error
