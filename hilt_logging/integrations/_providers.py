"""
The names of providers, as `provenance.provider` and the price table have them.
"""

from __future__ import annotations

from urllib.parse import urlsplit


__all__ = ["provider_of_url"]

_HOSTS = {
    "api.anthropic.com": "anthropic",
    "api.deepseek.com": "deepseek",
    "api.groq.com": "groq",
    "api.mistral.ai": "mistral",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.together.xyz": "together",
    "api.x.ai": "x-ai",
    "aiplatform.googleapis.com": "vertex",
    "amazonaws.com": "bedrock",
    "api.cerebras.ai": "cerebras",
    "api.fireworks.ai": "fireworks",
    "api.moonshot.ai": "moonshotai",
    "cognitiveservices.azure.com": "azure",
    "generativelanguage.googleapis.com": "gemini",
    "openai.azure.com": "azure",
    "openrouter.ai": "openrouter",
    "services.ai.azure.com": "azure",
}


def provider_of_url(url: object) -> str | None:
    """
    Return who answers at a URL: a known provider, else the host itself; None without a host.

    A server that speaks OpenAI's language on one's own machine has not OpenAI's prices.
    """
    try:
        host = urlsplit(str(url)).hostname if url is not None else None
    except ValueError:
        return None
    for known, name in _HOSTS.items():
        if host == known or (host or "").endswith(f".{known}"):
            return name
    return host
