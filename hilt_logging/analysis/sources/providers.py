"""
Who answered a call, by the name that the conventions of spans have for it.
"""

from __future__ import annotations

from ...integrations._providers import provider_of_url
from .attributes import Attributes


__all__ = ["provider_of"]

_PROVIDERS = {
    "amazon_bedrock": "bedrock",
    "aws": "bedrock",
    "aws.bedrock": "bedrock",
    "az.ai.inference": "azure",
    "az.ai.openai": "azure",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "gemini",
    "gcp.gen_ai": "gemini",
    "gcp.vertex_ai": "vertex",
    "google": "gemini",
    "google-gla": "gemini",
    "google-vertex": "vertex",
    "mistral_ai": "mistral",
    "mistralai": "mistral",
    "moonshot_ai": "moonshotai",
    "vertex_ai": "vertex",
    "vertexai": "vertex",
    "x_ai": "x-ai",
    "xai": "x-ai",
}


def provider_of(given: Attributes) -> str | None:
    """Return the provider, as `provenance.provider` has it."""
    told = given.text(
        "gen_ai.provider.name", "gen_ai.system", "llm.provider", "llm.system", "ai.model.provider"
    )
    address = given.peek("server.address", "gen_ai.openai.api_base")
    if told is None:
        return None
    found = _PROVIDERS.get(told.lower(), told.lower())
    if found == "openai" and address is not None:  # so is called whatever speaks its language
        url = address if "://" in address else f"https://{address}"
        return provider_of_url(url) or found
    return found
