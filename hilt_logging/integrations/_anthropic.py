"""
What Anthropic's requests, answers and streams say, in the words of the format.
"""

from __future__ import annotations

import math

from collections.abc import Iterator, Mapping
from typing import Any

from ._answers import (
    Answer,
    Choice,
    Failure,
    Prompt,
    ToolCall,
    ToolResult,
    choices_answer,
    outcome_of,
    part,
)
from ._calls import safely
from ._fields import count, decoded, field, items, text, type_of
from ._media import reference
from ._prompts import prompt_from


__all__ = ["NO_PRICE", "MessageEvents", "answer_of", "params_of", "prompt_of", "tokens_of"]


NO_PRICE = math.nan
"""The cost of an answer whose price no table has."""

_PLAIN = frozenset((bool, int, float, str, list, dict))
_PARAMS = frozenset(
    (
        "inference_geo",
        "max_tokens",
        "service_tier",
        "speed",
        "stop_sequences",
        "stream",
        "temperature",
        "thinking",
        "tool_choice",
        "top_k",
        "top_p",
    )
)


def params_of(request: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a request that are on record."""
    # what was not given is an object of the SDK's
    found = {
        name: request[name] for name in request if name in _PARAMS and type(request[name]) in _PLAIN
    }
    effort = field(request.get("output_config"), "effort")
    return found if effort is None else {**found, "effort": effort}


def prompt_of(request: Mapping[str, Any]) -> Prompt:
    """Return what the body of a request asks: `messages`, or the `prompt` of old completions."""
    given = request.get("prompt")
    asked = [{"content": given}] if isinstance(given, str) else items(request, "messages")
    turns = [turn for each in asked for turn in _turns(each)]
    system = _parts(field(request, "system"))
    if system:
        turns.insert(0, {"role": "system", "parts": system})
    return prompt_from(turns, _new_results(asked))


def _turns(message: Any) -> Iterator[dict[str, Any]]:
    """A message; what tools gave are turns of their own, as with other providers."""
    said = _said(message)
    if said is not None:
        yield {"role": message["role"], "parts": [{"type": "text", "content": said}]}
        return
    role = text(message, "role") or "user"
    turn: dict[str, Any] = {"role": role, "parts": []}
    for each in _parts(field(message, "content")):
        said_by = "tool" if each["type"] == "tool_call_response" else role
        if said_by != turn["role"]:
            if turn["parts"]:
                yield turn
            turn = {"role": said_by, "parts": []}
        turn["parts"].append(each)
    yield turn


def _said(message: Any) -> str | None:
    """The text of a message that is nothing but one; None of any other."""
    if type(message) is dict and len(message) == 2 and type(message.get("role")) is str:
        content = message.get("content")
        return content if type(content) is str else None
    return None


def _new_results(messages: list[Any]) -> list[ToolResult]:
    """The results since the model spoke last: earlier ones were new in an earlier request."""
    found: list[ToolResult] = []
    for message in reversed(messages):
        if type(message) is dict and type(message.get("content")) is str:
            if message.get("role") == "assistant":
                break
            continue
        if text(message, "role") == "assistant":
            break
        found = _results(field(message, "content")) + found
    return found


def answer_of(response: Any) -> Answer:
    """Return what a message says, whatever version or form it is of."""
    if isinstance(response, (list, tuple)):
        fold = MessageEvents()
        for event in response:
            fold.add(event)
        return fold.answer()
    if isinstance(response, str):
        return choices_answer([Choice([part("text", content=response)])])
    plain = _plain_answer(response)
    if plain is not None:
        return plain
    usage = field(response, "usage")
    stop_reason = text(response, "stop_reason")
    content = field(response, "content", "completion")  # the latter of the old completions
    if usage is None and stop_reason is None and content is None:
        return choices_answer([], extensions={"unrecognised_response": type_of(response)})
    blocks = items(response, "content")
    refusal = None
    if stop_reason == "refusal":
        refusal = text(field(response, "stop_details"), "explanation")
    parts = [each for each in _parts(content) if each["type"] not in _SERVERS]
    answer = choices_answer(
        [Choice(parts, stop_reason, refusal)],
        tokens=tokens_of(usage),
        cost_usd=None if _has_usual_price(usage) else NO_PRICE,
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


def _plain_answer(response: Any) -> Answer | None:
    """The answer of a message of the SDK's that is one text, as most are; else None."""
    try:
        (block,) = response.content
        usage, reason = response.usage, response.stop_reason
        if (
            block.type != "text"
            or type(block.text) is not str
            or type(reason) is not str
            or reason == "refusal"
            or response.stop_sequence is not None
            or usage.__pydantic_extra__
            or usage.cache_creation is not None
            or usage.output_tokens_details is not None
            or usage.__dict__.get("iterations") is not None
            or not {usage.service_tier, usage.speed, usage.inference_geo} <= _USUAL
        ):
            return None
        cached = usage.cache_read_input_tokens or 0
        written = usage.cache_creation_input_tokens or 0
        prompt, completion = usage.input_tokens + cached + written, usage.output_tokens
        tokens = {"prompt": prompt, "completion": completion, "total": prompt + completion}
        if cached:
            tokens["cached"] = cached
        if written:
            tokens["cache_write"] = written
        return Answer(
            text=block.text,
            finish_reason=reason,
            outcome=outcome_of(reason),
            model=response.model,
            response_id=response.id,
            request_id=getattr(response, "_request_id", None),
            tokens=tokens,
        )
    except (AttributeError, TypeError, ValueError):
        return None


def _parts(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "content": content}]
    return [_part(block) for block in items({"content": content}, "content")]


_SERVERS = ("server_tool_call", "server_tool_call_response")
"""Parts that have events of their own in an answer."""


def _part(block: Any) -> dict[str, Any]:
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
    if _ran_there(block):
        name = text(block, "name") or ""
        return part("server_tool_call", id=text(block, "id"), name=name, arguments=_input(block))
    if kind.endswith("_tool_result"):
        call_id = text(block, "tool_use_id")
        return part("server_tool_call_response", id=call_id, response=field(block, "content"))
    if kind in ("compaction", "search_result"):
        said = _result_value(field(block, "content")) or None
        source, title = text(block, "source"), text(block, "title")
        return part(kind, title=title, source=source, content=said)
    return part(kind or "unknown")


def _medium(kind: str, block: Any) -> dict[str, Any]:
    source = field(block, "source")
    if text(source, "type") == "text":
        return part("text", content=text(source, "data") or "")
    if text(source, "type") == "content":
        return part(kind, content=_result_value(field(source, "content")))
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
    tokens = {
        "prompt": (fresh or 0) + cached + written,
        "completion": completion or 0,
        "cached": cached,
        "cache_write": written,
        "cache_write_1h": count(field(usage, "cache_creation"), "ephemeral_1h_input_tokens") or 0,
        "reasoning": count(field(usage, "output_tokens_details"), "thinking_tokens") or 0,
    }
    for each in items(usage, "iterations"):
        if text(each, "type") == "compaction":  # is billed, but not in the sums
            more = tokens_of(each) or {}
            tokens = {name: number + more.get(name, 0) for name, number in tokens.items()}
    tokens["total"] = tokens["prompt"] + tokens["completion"]
    return {name: tokens[name] for name in _TOKENS if tokens[name] or name in _TOKENS[:3]}


_TOKENS = (
    "prompt",
    "completion",
    "total",
    "cached",
    "cache_write",
    "cache_write_1h",
    "reasoning",
)
_USUAL = frozenset((None, "standard", "global", "not_available", ""))


def _has_usual_price(usage: Any) -> bool:
    """Whether a table may have the price: not of a batch, another model's part, a special speed."""
    told = [text(usage, name) for name in ("service_tier", "speed", "inference_geo")]
    models = {text(each, "model") for each in items(usage, "iterations")} - {None}
    return all(each in _USUAL for each in told) and len(models) < 2


_USAGE = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "output_tokens_details",
    "service_tier",
    "speed",
    "inference_geo",
    "iterations",
)


class _BlockSoFar:
    """A block of a streamed message, as far as it has come."""

    def __init__(self, block: Any) -> None:
        self.block = block
        self.text: list[str] = []
        self.thinking: list[str] = []
        self.json: list[str] = []
        self.summary: list[str] = []

    def add(self, delta: Any) -> str:
        """Take a piece; return the text that it adds."""
        said = text(delta, "text") or ""
        self.text.append(said)
        self.thinking.append(text(delta, "thinking") or "")
        self.json.append(text(delta, "partial_json") or "")
        self.summary.append(text(delta, "content") or "")
        return said

    def whole(self) -> dict[str, Any]:
        """Return it as the block that a call without a stream would have given."""
        found = {name: field(self.block, name) for name in _OF_BLOCKS}
        found["type"] = found["type"] or "text"
        for name, pieces in (
            ("text", self.text),
            ("thinking", self.thinking),
            ("content", self.summary),
        ):
            if came := "".join(pieces):
                found[name] = (text(found, name) or "") + came
        if written := "".join(self.json):
            found["input"] = decoded(written)  # as it is where it broke off in the middle
        return {name: value for name, value in found.items() if value is not None}


_OF_BLOCKS = (
    "type",
    "id",
    "name",
    "text",
    "thinking",
    "input",
    "tool_use_id",
    "content",
    "is_error",
)


class MessageEvents:
    """The events of a streamed message, put together."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: dict[int, _BlockSoFar] = {}
        self._failure: Failure | None = None

    def add_all(self, events: list[Any]) -> None:
        """Take events of which most are the SDK's and add a piece of text."""
        for event in events:
            try:
                delta = event.delta
                if delta.type == "text_delta":
                    self._blocks[event.index].text.append(delta.text or "")
                    continue
            except (AttributeError, KeyError):
                pass  # of another kind, or a dict
            safely(self.add, event, "")

    def add(self, event: Any) -> str:
        """Take one event; return the text that it adds."""
        kind = text(event, "type")
        if kind == "content_block_delta":
            index = count(event, "index") or 0
            block = self._blocks.get(index) or self._blocks.setdefault(index, _BlockSoFar(None))
            return block.add(field(event, "delta"))
        if kind == "message_start":
            message = field(event, "message")
            known = ("id", "model", "_request_id", "stop_reason")
            self._message.update({name: field(message, name) for name in known})
            self._add_usage(field(message, "usage"))
        elif kind == "content_block_start":
            index = count(event, "index") or 0
            self._blocks[index] = _BlockSoFar(field(event, "content_block"))
        elif kind == "message_delta":
            delta = field(event, "delta")
            names = ("stop_reason", "stop_sequence", "stop_details")
            found = {name: field(delta, name) for name in names}
            self._message.update({k: v for k, v in found.items() if v is not None})
            self._add_usage(field(event, "usage"))
        elif kind == "completion":
            return self._old(event)
        elif kind == "error":
            error = field(event, "error")
            word = text(error, "type")
            self._failure = Failure(word or "error", text(error, "message"), code=word)
        return ""

    def _old(self, event: Any) -> str:
        """A piece of a completion, as they were before there were messages."""
        known = {name: field(event, name) for name in ("id", "model", "stop_reason")}
        self._message.update(known)
        block = self._blocks.setdefault(0, _BlockSoFar(None))
        return block.add({"text": text(event, "completion")})

    def _add_usage(self, usage: Any) -> None:
        """Usage is cumulative: what comes later wins, what is absent stays."""
        known = self._message.setdefault("usage", {})
        found = {name: field(usage, name) for name in _USAGE}
        known.update({name: value for name, value in found.items() if value is not None})

    def answer(self) -> Answer:
        """Return what has come so far."""
        blocks = [block.whole() for _, block in sorted(self._blocks.items())]
        answer = answer_of({**self._message, "content": blocks})
        if self._failure is not None:
            answer.failure, answer.outcome = self._failure, "failed"
        return answer
