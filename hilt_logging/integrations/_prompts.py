"""
What is asked, out of the turns of a request.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ._answers import Prompt, ToolResult
from ._media import media_of


__all__ = ["prompt_from"]


def prompt_from(turns: list[dict[str, Any]], results: Sequence[ToolResult] = ()) -> Prompt:
    """
    Return the prompt that turns make.

    Args:
        turns: All of them in order, the system prompt first: `{"role": ..., "parts": [...]}`.
        results: Results of tools that are new with this request.
    """
    said = None
    for turn in reversed(turns):
        if turn["role"] == "user":
            said = _joined(turn)
            break
    return Prompt(
        text=said,
        messages=None if not turns or _is_plain(turns) else turns,
        media=media_of(turns) or None,
        tool_results=list(results),
        turns=turns,
    )


def _is_plain(turns: list[dict[str, Any]]) -> bool:
    """Whether the text of what the user said last is all there is."""
    only = turns[0]
    return (
        len(turns) == 1
        and only["role"] == "user"
        and only.keys() == {"role", "parts"}
        and all(each["type"] == "text" for each in only["parts"])
    )


def _joined(turn: dict[str, Any]) -> str:
    parts = turn["parts"]
    if len(parts) == 1 and parts[0]["type"] == "text":
        only: str = parts[0]["content"]
        return only
    return "".join([each["content"] for each in parts if each["type"] == "text"])
