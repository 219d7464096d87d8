"""
What a call took, as Langfuse and the attributes of a span tell it by kind.
"""

from __future__ import annotations

from typing import Any

from ...integrations import _openai
from .attributes import Attributes
from .values import number, whole


__all__ = ["cost_of", "sums_of", "tokens_of", "tokens_of_details"]

_TOKENS = {
    "prompt": (
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.prompt_tokens",
        "llm.token_count.prompt",
        "llm.usage.prompt_tokens",
        "ai.usage.inputTokens",
        "ai.usage.promptTokens",
        "ai.usage.tokens",
    ),
    "completion": (
        "gen_ai.usage.output_tokens",
        "gen_ai.usage.completion_tokens",
        "llm.token_count.completion",
        "llm.usage.completion_tokens",
        "ai.usage.outputTokens",
        "ai.usage.completionTokens",
    ),
    "cached": (
        "gen_ai.usage.cache_read.input_tokens",
        "gen_ai.usage.cache_read_input_tokens",
        "gen_ai.usage.details.cache_read_tokens",
        "llm.token_count.prompt_details.cache_read",
        "ai.usage.cachedInputTokens",
    ),
    "cache_write": (
        "gen_ai.usage.cache_creation.input_tokens",
        "gen_ai.usage.cache_creation_input_tokens",
        "gen_ai.usage.details.cache_write_tokens",
        "llm.token_count.prompt_details.cache_write",
    ),
    "reasoning": (
        "gen_ai.usage.reasoning.output_tokens",
        "gen_ai.usage.reasoning_tokens",
        "llm.usage.reasoning_tokens",
        "ai.usage.reasoningTokens",
        "gen_ai.usage.details.reasoning_tokens",
        "llm.token_count.completion_details.reasoning",
    ),
    "audio_prompt": ("llm.token_count.prompt_details.audio",),
    "audio_completion": ("llm.token_count.completion_details.audio",),
}
_SUMS = ("gen_ai.usage.total_tokens", "llm.usage.total_tokens", "llm.token_count.total")
_COSTS = ("gen_ai.usage.cost", "operation.cost", "llm.cost.total")
_PARTS_OF_COST = ("llm.cost.prompt", "llm.cost.completion")
_USAGE = "langfuse.observation.usage_details"


def tokens_of_details(details: dict[str, Any]) -> dict[str, int] | None:
    """
    Return what was used, by kind: what is cached is not in `input` again, unless `total` says so.

    Raw counts of OpenAI's are as OpenAI has them.
    """
    if "prompt_tokens" in details:
        return _openai.tokens_of(details)
    counts = {name: found for name, each in details.items() if (found := whole(each)) is not None}
    written = sum(n for name, n in counts.items() if "ephemeral" in name)
    into = {name: n for name, n in counts.items() if _is_into(name) and "ephemeral" not in name}
    out = {name: n for name, n in counts.items() if name.startswith(("output", "completion"))}
    wrote = sum(n for name, n in into.items() if "cache_creation" in name or "write" in name)
    parts = {
        "cached": sum(n for name, n in into.items() if "cache" in name) - wrote,
        "cache_write": max(wrote, written),
        "cache_write_1h": sum(n for name, n in counts.items() if "1h" in name),
        "reasoning": sum(n for name, n in out.items() if "reason" in name or "think" in name),
        "audio_prompt": sum(n for name, n in into.items() if "audio" in name),
        "audio_completion": sum(n for name, n in out.items() if "audio" in name),
    }
    prompt, completion = counts.get("input"), counts.get("output")
    total = counts.get("total")
    if total is None or (prompt or 0) + (completion or 0) != total:
        prompt = sum(into.values()) + max(written - wrote, 0) if into or written else None
        completion = sum(out.values()) if out else None
    if prompt is None and completion is None and not total:
        return None
    return sums_of(prompt, completion, parts, total)


def _is_into(name: str) -> bool:
    return name.startswith(("input", "prompt", "cache"))


def sums_of(
    prompt: int | None, completion: int | None, parts: dict[str, int], total: int | None
) -> dict[str, int]:
    """Return the tokens that went in and out, with their sum; kinds of which there are none are left out."""
    if not prompt and not completion and total:
        return {"total": total}  # which of them went in is not known
    given, said = prompt or 0, completion or 0
    tokens = {"prompt": given, "completion": said, "total": given + said}
    return tokens | {name: count for name, count in parts.items() if count > 0}


def tokens_of(given: Attributes) -> dict[str, int] | None:
    """Return the tokens that the attributes of a span tell."""
    told = (*_TOKENS["prompt"], *_TOKENS["completion"], *_SUMS, _USAGE)
    if all(given.value(name) is None for name in told):
        return None
    counts = {name: whole(given.take(*names)) for name, names in _TOKENS.items()}
    total = next((n for n in map(whole, map(given.value, _SUMS)) if n is not None), None)
    prompt, completion = counts.pop("prompt"), counts.pop("completion")
    if prompt is None and completion is None:
        used = tokens_of_details(given.object(_USAGE))
        if used is not None:
            return used
        if total is None:
            return None
        prompt = total
    prompt, completion = prompt or 0, completion or 0
    apart = (counts["cached"] or 0) + (counts["cache_write"] or 0)
    if apart > prompt or total == prompt + completion + apart:  # Anthropic counts them apart
        prompt += apart
    sums = {"prompt": prompt, "completion": completion, "total": prompt + completion}
    if total == sums["total"]:
        given.take(*_SUMS)
    return sums | {name: count for name, count in counts.items() if count}


def cost_of(given: Attributes) -> float | None:
    """Return the cost that the attributes of a span tell."""
    found = number(given.take(*_COSTS))
    details = given.object("langfuse.observation.cost_details") if found is None else {}
    if found is None:
        found = number(details.get("total"))
    if found is None:
        told = details or {name: given.take(name) for name in _PARTS_OF_COST}
        parts = [cost for each in told.values() if (cost := number(each)) is not None]
        found = sum(parts) if parts else None
    return found if found is not None and found >= 0 else None
