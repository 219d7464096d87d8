"""
What the AI SDK of Vercel notes on spans under names of its own, in forms that others have for it.
"""

from __future__ import annotations

from typing import Any

from ...integrations._fields import field, text
from .attributes import Attributes, loaded, rows_of


__all__ = ["KINDS", "answered", "asked"]

KINDS = {
    "ai.embed": "step",
    "ai.embed.doEmbed": "embedding",
    "ai.embedMany": "step",
    "ai.embedMany.doEmbed": "embedding",
    "ai.generateObject": "step",
    "ai.generateObject.doGenerate": "model",
    "ai.generateText": "step",
    "ai.generateText.doGenerate": "model",
    "ai.streamObject": "step",
    "ai.streamObject.doStream": "model",
    "ai.streamText": "step",
    "ai.streamText.doStream": "model",
    "ai.toolCall": "tool",
}
"""What spans are, by `ai.operationId`."""


def asked(given: Attributes) -> list[Any]:
    """Return the messages that a model was given."""
    return [_message(each) for each in rows_of(loaded(given.take("ai.prompt.messages")))]


def answered(given: Attributes) -> list[Any]:
    """Return the message that a model gave; none if it is not told."""
    said = given.text("ai.response.text", "ai.response.object")
    calls = rows_of(loaded(given.take("ai.response.toolCalls")))
    if said is None and not calls:
        return []
    return [{"role": "assistant", "content": said, "tool_calls": [_call(each) for each in calls]}]


def _message(message: Any) -> Any:
    content = field(message, "content")
    if not isinstance(message, dict) or not isinstance(content, list):
        return message
    if text(message, "role") == "tool":
        return {"role": "tool", "parts": [_result(each) for each in content]}
    return {
        "role": text(message, "role") or "user",
        "content": [each for each in content if text(each, "type") != "tool-call"],
        "tool_calls": [_call(each) for each in content if text(each, "type") == "tool-call"],
    }


def _call(call: Any) -> dict[str, Any]:
    arguments = field(call, "input", "args")
    function = {"name": text(call, "tool_name"), "arguments": arguments}
    return {"id": text(call, "tool_call_id"), "function": function}


def _result(block: Any) -> dict[str, Any]:
    output = field(block, "output", "result")
    is_told = isinstance(output, dict) and set(output) == {"type", "value"}
    return {
        "type": "tool_call_response",
        "id": text(block, "tool_call_id"),
        "response": output["value"] if is_told else output,
    }
