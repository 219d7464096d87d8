"""The fixtures of the providers, and what their manifest says must be on record."""

from __future__ import annotations

from typing import Any

import pytest

from hilt_logging import validate_event

from .conftest import MANIFEST


# No helper records these: nobody talks in them, or (embeddings) they are no conversation.
NO_INTERACTION = ("count_tokens", "embed")


def of(provider: str, *, stream: bool | None = None, errors: bool = False) -> list[Any]:
    found = []
    for item in MANIFEST:
        name = item["id"].partition("/")[2]
        if item["provider"] != provider or name.startswith(NO_INTERACTION):
            continue
        is_error = name.startswith("error")
        if is_error == errors and stream in (None, item["stream"]):
            found.append(pytest.param(item, id=name))
    return found


def usage_tokens(provider: str, usage: dict[str, int]) -> dict[str, int] | None:
    """What `metrics.tokens` must be for a wire's usage: the rules of the format, written again."""

    def get(*names: str) -> int:
        return next((usage[name] for name in names if name in usage), 0)

    if not usage:
        return None
    if provider == "anthropic":
        written = get("cache_creation_input_tokens")
        cached = get("cache_read_input_tokens")
        tokens = {
            "prompt": get("input_tokens") + written + cached,
            "completion": get("output_tokens"),
            "cached": cached,
            "cache_write": written,
            "cache_write_1h": get("cache_creation.ephemeral_1h_input_tokens"),
            "reasoning": get("output_tokens_details.thinking_tokens"),
        }
    elif provider == "gemini":
        thoughts = get("thoughtsTokenCount")
        tokens = {
            "prompt": get("promptTokenCount") + get("toolUsePromptTokenCount"),
            "completion": get("candidatesTokenCount") + thoughts,
            "cached": get("cachedContentTokenCount"),
            "reasoning": thoughts,
        }
    else:
        tokens = {
            "prompt": get("prompt_tokens", "input_tokens"),
            "completion": get("completion_tokens", "output_tokens"),
            "cached": get(
                "prompt_tokens_details.cached_tokens", "input_tokens_details.cached_tokens"
            ),
            "cache_write": get(
                "prompt_tokens_details.cache_write_tokens",
                "input_tokens_details.cache_write_tokens",
            ),
            "reasoning": get(
                "completion_tokens_details.reasoning_tokens",
                "output_tokens_details.reasoning_tokens",
            ),
        }
    tokens["total"] = tokens["prompt"] + tokens["completion"]
    kept = ("prompt", "completion", "total")
    return {name: n for name, n in tokens.items() if n or name in kept}


def reasoning_of(completion: dict[str, Any]) -> str | None:
    messages = completion.get("content", {}).get("messages") or [{"parts": []}]
    said = [p.get("content", "") for p in messages[0]["parts"] if p["type"] == "reasoning"]
    return "".join(said) or None


def check(item: dict[str, Any], collected: Any, *, request_id: bool = True) -> None:
    """Hold what was recorded against what the manifest expects."""
    expected = item["expected"]
    assert [] == [fault for event in collected.events for fault in validate_event(event)]
    assert 1 == len(collected.of("prompt"))
    (completion,) = collected.of("completion")
    provenance = completion["provenance"]
    extensions = completion["extensions"]
    assert expected["text"] == completion.get("content", {}).get("text", "")
    assert expected.get("refusal") == extensions.get("refusal")
    if "reasoning" in expected:
        assert expected["reasoning"] == reasoning_of(completion)
    calls = [e["extensions"]["tool"] for e in collected.of("tool_call")]
    asked = [
        {"id": c.get("call_id"), "name": c["name"], "arguments": c.get("arguments")}
        for c in calls
        if not c.get("server")
    ]
    if expected["tool_calls"] is not None:
        assert expected["tool_calls"] == asked
    assert expected["model"] == provenance.get("model")
    assert expected["response_id"] == provenance.get("response_id")
    if request_id and "request_id" in expected:
        assert expected["request_id"] == provenance["request_id"]
    tokens = usage_tokens(item["provider"], expected.get("usage") or {})
    assert tokens == completion.get("metrics", {}).get("tokens")
    assert (None if tokens else "not_reported") == extensions.get("usage")
    wanted = expected.get("finish_reason", expected.get("status"))
    if expected.get("incomplete_reason"):
        wanted = expected["incomplete_reason"]
    assert (wanted or expected.get("block_reason")) == extensions.get("finish_reason")
