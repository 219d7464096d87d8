"""
Reading the states that LangChain's chains and graphs hand around: anything, often with messages in it.
"""

from __future__ import annotations

import sys

from collections.abc import Callable
from typing import Any

import msgspec

from ._answers import ToolResult
from ._calls import safely
from ._fields import field, items, text
from ._langchain import (
    MEDIA,
    bounded,
    document,
    is_a,
    is_message,
    medium,
    message_of,
    result_in,
    turns_of,
)
from ._media import reference


__all__ = ["histories_in", "is_cut", "messages_in", "plain", "tool_result"]

_MOST_ITEMS = 100
_MOST_NESTED = 8

Fold = Callable[[list[dict[str, Any]]], list[dict[str, Any]]]


def plain(value: Any, fold: Fold | None = None) -> Any:
    """
    Return what an application hands around as a JSON value of a size that fits a line.

    Args:
        value: Anything.
        fold: What becomes of the messages that stand together in it.
    """
    try:
        return bounded(_readable(value, fold or _unfolded))
    except Exception:  # an object of LangChain's that somebody else built: its fields then
        return bounded(value)


def _unfolded(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return turns


def _readable(value: Any, fold: Fold, depth: int = 0) -> Any:
    """A state of a chain with messages, documents and media in their short forms."""
    kind = type(value)
    if kind is str and value.startswith("data:") and ";base64," in value[:200]:
        return reference("file", uri=value)
    if kind in _LEAVES or depth >= _MOST_NESTED:
        return value
    if kind is dict:
        if text(value, "type") in MEDIA and field(value, "base64") is not None:
            return medium(value["type"], value)
        return {name: _readable(item, fold, depth + 1) for name, item in value.copy().items()}
    if kind is list or kind is tuple:
        return _listed(value, fold, depth)
    if is_message(value):
        return message_of(value)
    if is_a(value, "Document"):
        return document(value)
    if is_a(value, "ChatPromptValue"):
        return {"messages": _listed(items(value, "messages"), fold, depth)}
    for name, fields in _ORDERS.items():
        if is_a(value, name, "langgraph"):
            told = {each: field(value, each) for each in fields}
            return {k: _readable(v, fold, depth + 1) for k, v in told.items() if v is not None}
    held = _held(value)
    if any(map(_has_messages, held.values())):
        return {name: _readable(item, fold, depth + 1) for name, item in held.items()}
    return value


_ORDERS = {"Command": ("graph", "update", "resume", "goto"), "Send": ("node", "arg")}
"""What nodes of a graph give that is no state."""
_LEAVES = frozenset((str, int, float, bool, bytes, type(None)))


def _listed(value: Any, fold: Fold, depth: int) -> list[Any]:
    found = messages_in(value)
    if found:
        out: list[Any] = list(fold(turns_of(found)))
        return _cut(out) + out[-_MOST_ITEMS:]
    return _cut(value) + [_readable(item, fold, depth + 1) for item in value[-_MOST_ITEMS:]]


def _cut(value: Any) -> list[Any]:
    left_out = len(value) - _MOST_ITEMS
    return [{"$cut": "size", "$omitted": left_out}] if left_out > 0 else []


def _held(value: Any) -> dict[str, Any]:
    """The fields of a state that is an object, as those of pydantic and dataclasses are."""
    try:
        held = object.__getattribute__(value, "__dict__")
    except AttributeError:
        return {}
    return dict(held) if type(held) is dict else {}


def _has_messages(value: Any) -> bool:
    return type(value) is list and bool(messages_in(value))


def messages_in(value: Any) -> list[Any]:
    """Return a list of messages, in any of the forms that LangChain takes, as messages; else []."""
    if not value or not all(map(_is_like_message, value)):
        return []
    if all(map(is_message, value)):
        return list(value)
    made: list[Any] = safely(_converted, list(value), [])
    return made


def _converted(messages: list[Any]) -> list[Any]:
    made: list[Any] = sys.modules["langchain_core.messages"].convert_to_messages(messages)
    return made


def _is_like_message(value: Any) -> bool:
    kind = type(value)
    if kind is dict:
        return type(value.get("role")) is str and "content" in value and value.keys() <= _KEYS
    if kind is tuple:
        return len(value) == 2 and type(value[0]) is str is type(value[1]) and value[0] in _SPOKEN
    return is_message(value)


_KEYS = {"role", "content", "name", "id", "tool_calls", "tool_call_id"}
_SPOKEN = ("human", "user", "ai", "assistant", "system")


def histories_in(inputs: Any) -> tuple[list[dict[str, Any]], ...]:
    """
    Return the history that a chain is given, if it is given one, in the forms that a model is.

    Of most models the SDK is not told which tool a result is of.
    """
    given = field(inputs, "messages", "chat_history", "history") if type(inputs) is dict else inputs
    if is_a(given, "ChatPromptValue"):
        given = items(given, "messages")
    turns = turns_of(messages_in(given)) if type(given) is list else []
    if all(turn["role"] != "assistant" for turn in turns):
        return ()
    if all(turn["role"] != "tool" for turn in turns):
        return (turns,)
    return turns, [
        {"role": "tool", "parts": turn["parts"]} if turn["role"] == "tool" else turn
        for turn in turns
    ]


def is_cut(shown: Any) -> bool:
    """Return whether something was left out of what `plain` gave."""
    return b'"$cut"' in msgspec.json.encode(shown)


def tool_result(output: Any) -> ToolResult:
    """Return what a tool message, or anything else that a tool gave, tells."""
    if is_message(output):
        return result_in(output)
    return ToolResult(result=str.__str__(output) if isinstance(output, str) else plain(output))
