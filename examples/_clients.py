"""
The SDKs' own clients for the examples: of the provider on this machine, or of the real one.

With `--live` on the command line and a key in the environment they talk to the real API.
"""

from __future__ import annotations

import os
import sys
import warnings

from importlib.util import find_spec
from typing import Any
from urllib.request import getproxies

from _provider import Provider


OPENAI_MODEL = "gpt-4o-mini"
ANTHROPIC_MODEL = "claude-sonnet-5-5"
GEMINI_MODEL = "gemini-3.8-flash"
_REAL = {
    "openai": ("OPENAI_API_KEY", "https://api.openai.com/v1"),
    "anthropic": ("ANTHROPIC_API_KEY", "https://api.anthropic.com"),
    "gemini": ("GEMINI_API_KEY", "https://generativelanguage.googleapis.com"),
}


def installed(module: str) -> bool:
    """Return whether a module is there, without importing it."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package that it would be in
        return False


def endpoint(name: str, provider: Provider) -> tuple[str, str]:
    """Return the base URL and the key to use."""
    variable, url = _REAL[name]
    key = os.environ.get(variable)
    if "--live" in sys.argv and key:
        return url, key
    if {"http", "all"} & getproxies().keys():  # no proxy is asked for what is on this machine
        os.environ["no_proxy"] = f"{os.environ.get('no_proxy', '')},127.0.0.1"
    return getattr(provider, f"{name}_url"), "not-needed"


def openai_client(provider: Provider) -> Any:
    from openai import OpenAI

    url, key = endpoint("openai", provider)
    return OpenAI(base_url=url, api_key=key, max_retries=0)


def anthropic_client(provider: Provider) -> Any:
    from anthropic import Anthropic

    url, key = endpoint("anthropic", provider)
    return Anthropic(base_url=url, api_key=key, max_retries=0)


def gemini_client(provider: Provider) -> Any:
    from google import genai

    url, key = endpoint("gemini", provider)
    return genai.Client(api_key=key, http_options={"base_url": url})


def generativeai_model(provider: Provider) -> Any:
    """Return a model of google-generativeai, the older SDK."""
    with warnings.catch_warnings(category=FutureWarning, action="ignore"):  # "support has ended"
        import google.generativeai as genai

    url, key = endpoint("gemini", provider)
    genai.configure(api_key=key, transport="rest", client_options={"api_endpoint": url})
    return genai.GenerativeModel(GEMINI_MODEL)


def langchain_model(provider: Provider) -> Any:
    """Return LangChain's model of OpenAI; without langchain-openai, one that only pretends."""
    if not installed("langchain_openai"):
        from langchain_core.language_models import FakeListChatModel

        return FakeListChatModel(responses=["This answer was made up in the same process."])
    from langchain_openai import ChatOpenAI

    url, key = endpoint("openai", provider)
    return ChatOpenAI(model=OPENAI_MODEL, base_url=url, api_key=key, max_retries=0)
