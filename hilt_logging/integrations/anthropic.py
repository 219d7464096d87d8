"""
Anthropic Claude: messages and their streams.
"""

from __future__ import annotations

import json

from collections.abc import Mapping
from typing import Any

from ._answers import Answer, Choice, Failure, Prompt, ToolCall, ToolResult, choices_answer, part
from ._calls import Call, Recorder, safely
from ._fields import as_messages, count, decoded, field, items, text, type_of
from ._media import media_of, reference


__all__ = ["answer_of", "log_claude_interaction", "prompt_of"]

LOGGER = "hilt.anthropic"


def log_claude_interaction(
    session: Any = None,
    *,
    user_message: Any,
    response: Any,
    session_id: str | None = None,
    user_id: str | None = None,
    assistant_id: str | None = None,
) -> str | None:
    """
    Record what a person asked Claude and what it answered.

    Args:
        session: Anything with `append(event)`; the logger `hilt.anthropic` has the events in any
            case.
        user_message: What the person asked: a text, content blocks, or messages.
        response: A message, a dict of one, or a list of the events of a stream.
        session_id: The conversation; by default what is bound, else a new one.
        user_id: The person.
        assistant_id: The agent; the model by default.

    Returns:
        The `event_id` of the completion, e.g. for a feedback on it.
    """
    call = Call(
        Recorder(LOGGER, session),
        provider="anthropic",
        session_id=session_id,
        user_id=user_id,
        assistant_id=assistant_id,
        timed=False,
    )
    asked = {"messages": as_messages(user_message)}
    call.asked(safely(prompt_of, asked, Prompt()))
    call.answered(safely(answer_of, response, Answer()))
    return call.completion_id


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """Return what the body of a request asks."""
    turns = items(request, "messages")
    messages: list[dict[str, Any]] = [
        {"role": text(turn, "role") or "user", "parts": _parts(field(turn, "content"))}
        for turn in turns
    ]
    system = _parts(field(request, "system"))
    if system:
        messages.insert(0, {"role": "system", "parts": system})
    said = [Choice(message["parts"]).text() for message in messages if message["role"] == "user"]
    plain = len(messages) == 1 and all(each["type"] == "text" for each in messages[0]["parts"])
    return Prompt(
        text=said[-1] if said else None,
        messages=None if plain or not messages else messages,
        media=media_of(messages) or None,
        tool_results=_results(field(turns[-1], "content")) if turns else [],
    )


def answer_of(response: Any) -> Answer:
    """Return what a message says, whatever version or form it is of."""
    if isinstance(response, (list, tuple)):
        fold = MessageEvents()
        for event in response:
            fold.add(event)
        return fold.answer()
    if isinstance(response, str):
        return choices_answer([Choice([part("text", content=response)])])
    usage = field(response, "usage")
    stop_reason = text(response, "stop_reason")
    content = field(response, "content", "completion")  # the latter of the old completions
    if usage is None and stop_reason is None and content is None:
        return choices_answer([], extensions={"unrecognised_response": type_of(response)})
    blocks = items(response, "content")
    refusal = None
    if stop_reason == "refusal":
        refusal = text(field(response, "stop_details"), "explanation")
    answer = choices_answer(
        [Choice(_parts(content), stop_reason, refusal)],
        tokens=tokens_of(usage),
        tool_results=[result for result in _results(blocks) if result.server],
        model=text(response, "model"),
        response_id=text(response, "id"),
        request_id=text(response, "_request_id"),
    )
    if stop_reason == "refusal":
        answer.outcome = "refused"
    answer.tool_calls = [_server_call(b) for b in blocks if _ran_there(b)] + answer.tool_calls
    stop_sequence = text(response, "stop_sequence")
    if stop_sequence is not None:
        answer.extensions["stop_sequence"] = stop_sequence
    return answer


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [part("text", content=content)]
    found = [_part(block) for block in items({"content": content}, "content")]
    return [each for each in found if each is not None]


def _part(block: Any) -> dict[str, Any] | None:
    if isinstance(block, str):
        return part("text", content=block)
    kind = text(block, "type") or ""
    if kind == "text":
        return part("text", content=text(block, "text") or "")
    if kind == "thinking":
        return part("reasoning", content=text(block, "thinking") or "")
    if kind == "redacted_thinking":
        return part("reasoning", redacted=True)
    if kind == "tool_use":
        name = text(block, "name") or ""
        return part("tool_call", id=text(block, "id"), name=name, arguments=_input(block))
    if kind == "tool_result":
        given = _result_value(field(block, "content"))
        return part("tool_call_response", id=text(block, "tool_use_id"), response=given)
    if kind in ("image", "document"):
        return _medium("image" if kind == "image" else "file", block)
    if _ran_there(block) or kind.endswith("_tool_result"):
        return None  # have events of their own
    return part(kind or "unknown")


def _medium(kind: str, block: Any) -> dict[str, Any]:
    source = field(block, "source")
    if text(source, "type") == "text":
        return part("text", content=text(source, "data") or "")
    return reference(
        kind,
        mime_type=text(source, "media_type"),
        uri=text(source, "url"),
        data=text(source, "data"),
        file_id=text(source, "file_id"),
    )


def _ran_there(block: Any) -> bool:
    return text(block, "type") in ("server_tool_use", "mcp_tool_use")


def _server_call(block: Any) -> ToolCall:
    return ToolCall(text(block, "name") or "", text(block, "id"), _input(block), True)


def _input(block: Any) -> Any:
    return decoded(field(block, "input"))


def _results(content: Any) -> list[ToolResult]:
    """The results among blocks: of the application's tools, and of those at Anthropic's."""
    found = []
    for block in items({"content": content}, "content"):
        kind = text(block, "type") or ""
        if not kind.endswith("tool_result"):
            continue
        given = field(block, "content")
        failed = field(block, "is_error") is True or (text(given, "type") or "").endswith("_error")
        found.append(
            ToolResult(
                None,
                text(block, "tool_use_id"),
                _result_value(given),
                kind != "tool_result",
                failed,
            )
        )
    return found


def _result_value(content: Any) -> Any:
    """The text of a result that is text; of any other its blocks, media as references."""
    if content is None or isinstance(content, str):
        return content or ""
    blocks = items({"content": content}, "content")
    if blocks and all(text(block, "type") in ("text", "image", "document") for block in blocks):
        parts = _parts(blocks)
        plain = all(each["type"] == "text" for each in parts)
        return Choice(parts).text() if plain else parts
    return content


def tokens_of(usage: Any) -> dict[str, int] | None:
    """
    Return the tokens of a usage object, normalised; None where it reports none.

    Anthropic counts cached tokens apart: `prompt` is input_tokens + cache_creation_input_tokens +
    cache_read_input_tokens.
    """
    fresh, completion = count(usage, "input_tokens"), count(usage, "output_tokens")
    if fresh is None and completion is None:
        return None
    cached = count(usage, "cache_read_input_tokens") or 0
    written = count(usage, "cache_creation_input_tokens") or 0
    prompt, completion = (fresh or 0) + cached + written, completion or 0
    parts = {
        "cached": cached,
        "cache_write": written,
        "cache_write_1h": count(field(usage, "cache_creation"), "ephemeral_1h_input_tokens"),
        "reasoning": count(field(usage, "output_tokens_details"), "thinking_tokens"),
    }
    whole = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return whole | {name: number for name, number in parts.items() if number}


_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens_details",
)


class MessageEvents:
    """The events of a streamed message, put together."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._failure: Failure | None = None

    def add(self, event: Any) -> str:
        """Take one event; return the text that it adds."""
        kind = text(event, "type")
        if kind == "message_start":
            message = field(event, "message")
            known = ("id", "model", "_request_id", "stop_reason")
            self._message.update({name: field(message, name) for name in known})
            self._add_usage(field(message, "usage"))
        elif kind == "content_block_start":
            self._start(count(event, "index") or 0, field(event, "content_block"))
        elif kind == "content_block_delta":
            return self._delta(count(event, "index") or 0, field(event, "delta"))
        elif kind == "message_delta":
            delta = field(event, "delta")
            names = ("stop_reason", "stop_sequence", "stop_details")
            found = {name: field(delta, name) for name in names}
            self._message.update({k: v for k, v in found.items() if v is not None})
            self._add_usage(field(event, "usage"))
        elif kind == "error":
            error = field(event, "error")
            word = text(error, "type")
            self._failure = Failure(word or "error", text(error, "message"), code=word)
        return ""

    def _add_usage(self, usage: Any) -> None:
        """Usage is cumulative: what comes later wins, what is absent stays."""
        known = self._message.setdefault("usage", {})
        found = {name: field(usage, name) for name in _USAGE}
        known.update({name: value for name, value in found.items() if value is not None})

    def _start(self, index: int, block: Any) -> None:
        names = ("type", "id", "name", "text", "thinking", "input", "tool_use_id", "content")
        found = {name: field(block, name) for name in names}
        self._blocks[index] = {k: v for k, v in found.items() if v is not None} | {"json": ""}

    def _delta(self, index: int, delta: Any) -> str:
        block = self._blocks.setdefault(index, {"type": "text", "json": ""})
        said = text(delta, "text") or ""
        for name in ("text", "thinking"):
            block[name] = block.get(name, "") + (text(delta, name) or "")
        block["json"] += text(delta, "partial_json") or ""
        return said

    def answer(self) -> Answer:
        """Return what has come so far."""
        blocks = [_ended_block(block) for _, block in sorted(self._blocks.items())]
        answer = answer_of({**self._message, "content": blocks})
        if self._failure is not None:
            answer.failure, answer.outcome = self._failure, "failed"
        return answer


def _ended_block(block: dict[str, Any]) -> dict[str, Any]:
    written = block["json"]
    if not written:
        return block
    try:
        return {**block, "input": json.loads(written)}
    except ValueError:  # broken off in the middle
        return {**block, "input": written}
