"""
Reading what LangChain hands to its callbacks: messages, results, metadata. By duck type.
"""

from __future__ import annotations

import os
import re
import sys

from typing import Any
from uuid import UUID

from ..snapshot import snapshot
from ._answers import Answer, Choice, Prompt, ToolCall, ToolResult, choices_answer, outcome_of, part
from ._calls import safely
from ._fields import count, decoded, field, items, text
from ._media import reference
from ._prompts import prompt_from
from ._providers import provider_of_url


__all__ = [
    "MEDIA",
    "answer_of",
    "bounded",
    "call_fields",
    "document",
    "is_a",
    "is_message",
    "medium",
    "message_of",
    "name_of",
    "named_session",
    "own_metadata",
    "partial_of",
    "prompt_of",
    "result_in",
    "said_in",
    "said_of",
    "sdk_of",
    "turns_of",
]

_ROLES = {
    "ai": "assistant",
    "function": "tool",
    "human": "user",
    "system": "system",
    "tool": "tool",
}
MEDIA = ("image", "audio", "video", "file")
_CALLS = ("tool_call", "tool_call_chunk", "invalid_tool_call", "tool_use", "function_call")
_MOST_CLASSES = 1000


def prompt_of(messages: list[Any]) -> Prompt:
    """Return what a list of messages asks."""
    return prompt_from(turns_of(messages), _new_results(messages))


def turns_of(messages: list[Any]) -> list[dict[str, Any]]:
    """Return messages in the shape of the OpenTelemetry GenAI conventions."""
    return [safely(message_of, message, _unreadable()) for message in messages]


def _unreadable() -> dict[str, Any]:
    return {"role": "user", "parts": [part("unreadable")]}


def _joined(parts: list[dict[str, Any]]) -> str:
    return "".join(each["content"] for each in parts if each["type"] == "text")


def _new_results(messages: list[Any]) -> list[ToolResult]:
    """The results since the model spoke last: earlier ones were new in an earlier request."""
    found: list[ToolResult] = []
    for message in reversed(messages):
        role = _role(message)
        if role == "tool":
            found.insert(0, result_in(message))
        elif role == "assistant":
            break
    return found


def _role(message: Any) -> str:
    kind = (text(message, "type") or "").removesuffix("MessageChunk").lower()
    return _ROLES.get(kind) or text(message, "role") or kind or "user"


def message_of(message: Any) -> dict[str, Any]:
    """Return a message in the shape of the OpenTelemetry GenAI conventions."""
    role = _role(message)
    parts = parts_of(message)
    if role == "tool":
        response: Any = _joined(parts) if all(each["type"] == "text" for each in parts) else parts
        parts = [part("tool_call_response", id=text(message, "tool_call_id"), response=response)]
    name = text(message, "name")
    return {"role": role, "parts": parts, **({"name": name} if name else {})}


def parts_of(message: Any) -> list[dict[str, Any]]:
    """Return the parts of a message; what ran at the provider's is told by `_server_tools`."""
    parts = [each for block in _blocks(message) for each in _parts(block)]
    calls = items(message, "tool_calls") + items(message, "invalid_tool_calls")
    return parts + [_call(call) for call in calls]


def _blocks(message: Any) -> list[Any]:
    """The content in LangChain's standard blocks, or as it is where they can't be had."""
    content = field(message, "content")
    more = field(message, "additional_kwargs")
    if isinstance(content, str) and not (more and set(more) - {"refusal"}):
        return [content] if content else []  # as most are, and their blocks would say the same
    mixed = isinstance(content, list) and any(isinstance(block, str) for block in content)
    if mixed:  # its translators drop pieces that are plain strings
        blocks = [_as_block(block) for block in content if block != ""]
        message = message.model_copy(update={"content": blocks})
    found = items(message, "content_blocks")
    if found:
        return found
    return [content] if isinstance(content, str) and content else items(message, "content")


def _as_block(block: Any) -> Any:
    return {"type": "text", "text": block} if isinstance(block, str) else block


def _parts(block: Any) -> list[dict[str, Any]]:
    if isinstance(block, str):
        return [part("text", content=str.__str__(block))]
    kind = text(block, "type") or "unknown"
    if kind == "non_standard":
        return _parts(field(block, "value"))
    if kind in ("text", "text-plain"):
        return [part("text", content=text(block, "text") or "")]
    if kind in ("reasoning", "thinking"):
        return [part("reasoning", content=text(block, "reasoning", "thinking") or "")]
    if kind == "refusal":
        return [part("refusal", content=text(block, "refusal") or "")]
    if kind in MEDIA:
        return [medium(kind, block)]
    if kind in _CALLS or kind.startswith("server_tool") or kind == "input_json_delta":
        return []
    return [part(kind)]


def medium(kind: str, block: Any) -> dict[str, Any]:
    """Return the reference to an image, sound, film or file."""
    return reference(
        kind,
        mime_type=text(block, "mime_type"),
        uri=text(block, "url"),
        data=field(block, "base64", "data"),
        file_id=text(block, "file_id"),
    )


def _call(call: Any) -> dict[str, Any]:
    arguments = field(call, "args")
    name = text(call, "name") or ""
    return part("tool_call", id=text(call, "id"), name=name, arguments=decoded(arguments))


def result_in(message: Any) -> ToolResult:
    """Return what a tool message tells."""
    response = message_of(message)["parts"]
    return ToolResult(
        name=text(message, "name"),
        call_id=text(message, "tool_call_id"),
        result=field(response[0], "response") if response else None,
        failed=text(message, "status") == "error",
    )


def is_message(value: Any) -> bool:
    """Return whether a value is a message of LangChain's."""
    return is_a(value, "BaseMessage")


def is_a(value: Any, name: str, package: str = "langchain") -> bool:
    """Return whether a value is of a class of LangChain's, without a word to the value itself."""
    return any(
        base.__name__ == name and base.__module__.startswith(package)
        for base in type.mro(type(value))
    )


def answer_of(result: Any) -> Answer:
    """Return the answer that an `LLMResult` holds: the choices for one prompt."""
    answer = _choices(result)
    calls, answer.tool_results = _server_tools(field(_first(result), "message"))
    answer.tool_calls = calls + answer.tool_calls
    return answer


def said_of(result: Any) -> list[dict[str, Any]]:
    """Return what a model said as a message that a state would repeat; [] where it is only text."""
    message = field(_first(result), "message")
    return [] if message is None else turns_of([message])


def partial_of(result: Any) -> Answer:
    """Return what had come of an answer: the tools in it are not asked for until it is whole."""
    answer = _choices(result)
    if answer.tool_calls:
        parts = parts_of(field(_first(result), "message"))
        answer.messages, answer.tool_calls = [{"role": "assistant", "parts": parts}], []
    return answer


def _choices(result: Any) -> Answer:
    generations = _generations(result)
    message = field(_first(result), "message")
    output = field(result, "llm_output")
    told = field(message, "response_metadata")
    generation = field(_first(result), "generation_info")
    usage = [field(field(each, "message"), "usage_metadata") for each in generations]
    tokens = next(filter(None, map(tokens_of, usage)), None)
    cost = field(usage[0] if usage else None, "total_cost")
    cached = type(cost) is int and cost == 0  # LangChain's mark of an answer out of its cache
    return choices_answer(
        [_choice(each) for each in generations],
        tokens=None if cached else tokens or tokens_of(field(output, "token_usage")),
        cost_usd=float(cost) if type(cost) in (int, float) else None,
        model=text(told, "model_name", "model")
        or text(generation, "model_name")
        or text(output, "model_name"),
        response_id=text(told, "id") or _own_id(message),
        request_id=text(field(told, "headers"), "x-request-id", "request-id"),
        extensions={"cache": "hit"} if cached else {},
    )


def _generations(result: Any) -> list[Any]:
    rows = items(result, "generations")
    return _row(rows[0]) if rows else []


def _first(result: Any) -> Any:
    return next(iter(_generations(result)), None)


def _row(row: Any) -> list[Any]:
    return items({"row": row}, "row")


def _own_id(message: Any) -> str | None:
    """The provider's id; LangChain makes one of the run's id where it has none."""
    known = text(message, "id")
    return None if known is None or known.startswith(("lc_", "run-")) else known


def _choice(generation: Any) -> Choice:
    message = field(generation, "message")
    if message is None:
        said = text(generation, "text") or ""
        reason = text(field(generation, "generation_info"), "finish_reason")
        return Choice([part("text", content=said)], reason)
    told = field(message, "response_metadata")
    reason = (
        text(told, "finish_reason", "stop_reason", "done_reason")
        or text(field(generation, "generation_info"), "finish_reason")
        or text(field(told, "incomplete_details"), "reason")
        or text(told, "status")
    )
    parts = parts_of(message)
    refusal = text(field(message, "additional_kwargs"), "refusal")
    refusal = refusal or "".join(each["content"] for each in parts if each["type"] == "refusal")
    if not refusal and outcome_of(reason) == "refused":
        refusal = text(field(told, "stop_details"), "explanation") or ""
    kept = [each for each in parts if each["type"] != "refusal"]
    return Choice(kept, reason, refusal or None)


def _server_tools(message: Any) -> tuple[list[ToolCall], list[ToolResult]]:
    calls, results = [], []
    for block in _blocks(message):
        kind = None if isinstance(block, str) else text(block, "type")
        if kind == "server_tool_call":
            name, call_id = text(block, "name") or "", text(block, "id")
            calls.append(ToolCall(name, call_id, bounded(field(block, "args")), True))
        elif kind == "server_tool_result":
            call_id, output = text(block, "tool_call_id"), bounded(field(block, "output"))
            failed = text(block, "status") == "error"
            results.append(ToolResult(None, call_id, output, True, failed))
    return calls, results


def tokens_of(usage: Any) -> dict[str, int] | None:
    """Return the tokens of a `usage_metadata`, or of a provider's `token_usage`; else None."""
    prompt = count(usage, "input_tokens", "prompt_tokens")
    completion = count(usage, "output_tokens", "completion_tokens")
    if prompt is None and completion is None:
        return None
    into = field(usage, "input_token_details", "prompt_tokens_details")
    out = field(usage, "output_token_details", "completion_tokens_details")
    long_written = count(into, "ephemeral_1h_input_tokens") or 0
    # the sum has two names, and langchain-anthropic sets the one to 0 where the other is known
    written = (count(into, "ephemeral_5m_input_tokens") or 0) + long_written
    parts = {
        "cached": count(into, "cache_read", "cached_tokens"),
        "cache_write": max(count(into, "cache_creation", "cache_write_tokens") or 0, written),
        "cache_write_1h": long_written,
        "reasoning": count(out, "reasoning", "reasoning_tokens"),
        "audio_prompt": count(into, "audio", "audio_tokens"),
        "audio_completion": count(out, "audio", "audio_tokens"),
    }
    prompt, completion = prompt or 0, completion or 0
    whole = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    return whole | {name: number for name, number in parts.items() if number}


def said_in(token: Any, chunk: Any) -> str:
    """Return the text that one piece of a stream adds."""
    if isinstance(token, str):
        return str.__str__(token)
    return text(chunk, "text") or "".join(text(block, "text") or "" for block in _row(token))


_PROVIDERS = {
    "amazon_bedrock": "bedrock",
    "azure_openai": "azure",
    "google_genai": "gemini",
    "google_vertexai": "vertex",
    "mistralai": "mistral",
    "openai-codex": "openai",
    "xai": "x-ai",
}
_PARAMS = (
    "frequency_penalty",
    "max_completion_tokens",
    "max_output_tokens",
    "max_tokens",
    "n",
    "parallel_tool_calls",
    "presence_penalty",
    "reasoning_effort",
    "seed",
    "service_tier",
    "stop",
    "stop_sequences",
    "temperature",
    "thinking",
    "tool_choice",
    "top_k",
    "top_p",
)


def call_fields(serialized: Any, metadata: Any, invocation: Any) -> dict[str, Any]:
    """Return provider, model and parameters of a request, for `Call`."""
    provider = text(metadata, "ls_provider")
    if provider == "openai":  # as every server that speaks its language is called
        url = text(field(serialized, "kwargs"), "openai_api_base", "base_url")
        provider = provider_of_url(url or os.environ.get("OPENAI_BASE_URL")) or provider
    told = {
        "temperature": field(metadata, "ls_temperature"),
        "max_tokens": field(metadata, "ls_max_tokens"),
        "stop": field(metadata, "ls_stop"),
    }
    known = invocation if type(invocation) is dict else {}
    asked = {name: known[name] for name in _PARAMS if known.get(name) is not None}
    if "max_completion_tokens" in asked or "max_output_tokens" in asked:
        told["max_tokens"] = None
    params = told | asked
    return {
        "provider": _PROVIDERS.get(provider, provider) if provider else None,
        "request_model": text(metadata, "ls_model_name") or text(invocation, "model", "model_name"),
        "params": bounded({k: v for k, v in params.items() if v is not None}),
    }


_SDKS = (("anthropic", "anthropic"), ("openai", "openai"), ("google", "gemini"))
_sdks: dict[tuple[str, ...], str | None] = {}


def sdk_of(serialized: Any) -> str | None:
    """
    Return which SDK a model of LangChain calls, as `instrument` names it; None for any other.

    That is told by the names of its class and of those that it extends.
    """
    path = tuple(each for each in items(serialized, "id") if isinstance(each, str))
    if path not in _sdks and len(_sdks) < _MOST_CLASSES:
        _sdks[path] = _sdk_of(path)
    return _sdks.get(path)


def _sdk_of(path: tuple[str, ...]) -> str | None:
    if not path:
        return None
    made = getattr(sys.modules.get(".".join(path[:-1])), path[-1], None)
    bases = type.mro(made) if isinstance(made, type) else []
    names = [".".join(path), *(f"{base.__module__}.{base.__name__}" for base in bases)]
    told = " ".join(names).lower()
    return next((sdk for word, sdk in _SDKS if word in told), None)


def named_session(metadata: Any) -> str | None:
    """Return the conversation that a run's metadata name."""
    for name in ("session_id", "thread_id", "conversation_id"):
        value = field(metadata, name)
        if value is None:
            value = field(field(metadata, "configurable"), name)
        if type(value) in (str, int, UUID) and str(value):
            return str(value)
    return None


def name_of(serialized: Any, kwargs: dict[str, Any]) -> str | None:
    """Return what a run is called; LangChain says it here or there, and often not at all."""
    metadata = kwargs.get("metadata")
    path = [each for each in items(serialized, "id") if isinstance(each, str)]
    return (
        text(kwargs, "name")
        or text(serialized, "name")
        or (path[-1] if path else text(metadata, "ls_retriever_name", "langgraph_node"))
    )


_SECRET = re.compile(r"api.?key|secret|passw|authori[sz]ation|credential|bearer|(^|_)token$", re.I)
_THEIRS = ("ls_", "lc_", "langgraph_", "checkpoint_", "__")


def own_metadata(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return LangGraph's place of a run, its tags, and the user's metadata without secrets."""
    given = kwargs.get("metadata")
    metadata = given if type(given) is dict else {}
    place = {
        "node": text(metadata, "langgraph_node"),
        "step": count(metadata, "langgraph_step"),
        "checkpoint_ns": text(metadata, "langgraph_checkpoint_ns"),
    }
    own = {
        name: value
        for name, value in metadata.copy().items()
        if isinstance(name, str) and not name.startswith(_THEIRS) and not _SECRET.search(name)
    }
    found = {
        "langgraph": {k: v for k, v in place.items() if v is not None},
        "tags": [tag for tag in items(kwargs, "tags") if isinstance(tag, str)],
        "metadata": own,
    }
    return {name: bounded(value) for name, value in found.items() if value}


def document(found: Any) -> dict[str, Any]:
    """Return a document that a retriever found."""
    known = {
        "id": text(found, "id"),
        "text": text(found, "page_content"),
        "metadata": bounded(field(found, "metadata")),
    }
    return {name: value for name, value in known.items() if value}


def bounded(value: Any) -> Any:
    """Return a value of an application as a JSON value of a size that fits a line."""
    return snapshot(value, max_depth=24, max_nodes=2_000, max_text=100_000)
