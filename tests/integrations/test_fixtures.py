"""
Every fixture of the providers through the real SDK clients and the helpers, against the manifest.
"""

from __future__ import annotations

import asyncio
import json

from typing import Any

import pytest

from hilt_logging import validate_event
from hilt_logging.integrations.anthropic import log_claude_interaction
from hilt_logging.integrations.gemini import log_gemini_interaction
from hilt_logging.integrations.openai import log_openai_call

from ._manifest import check, of, usage_tokens
from .conftest import FIXTURES


def openai_call(item: dict[str, Any], url: str, **client_options: Any) -> dict[str, Any]:
    openai = pytest.importorskip("openai")
    client = openai.OpenAI(api_key="k", base_url=f"{url}/v1", max_retries=0, **client_options)
    body = dict(item["request"]["body"])
    if item["api"] == "completions":
        return {"response": client.completions.create(**body), "user_message": body["prompt"]}
    return {"client": client, **body}


@pytest.mark.parametrize("item", of("openai", stream=False))
def test_openai_answer(item, provider, collected):
    """What OpenAI answered is on record as the manifest has it."""
    response = log_openai_call(**openai_call(item, provider.url(item["id"])))
    check(item, collected)
    assert item["expected"]["response_id"] == response.id


@pytest.mark.parametrize("item", of("openai", stream=True))
def test_openai_stream(item, provider, collected):
    """A stream is handed on piece by piece, and recorded as the manifest has it."""
    openai = pytest.importorskip("openai")
    stream = log_openai_call(**openai_call(item, provider.url(item["id"])))
    assert isinstance(stream, openai.Stream)
    pieces = []
    try:
        pieces.extend(stream)
        failed = None
    except openai.APIError as error:
        failed = error
    expected = item["expected"]
    assert expected["chunks"] == len(pieces) or failed is not None
    assert (expected.get("error") is None) == (failed is None)
    check(item, collected)
    (completion,) = collected.of("completion")
    assert ("failed" if failed else None) in (completion["extensions"]["outcome"], None)
    if failed is not None:
        (error,) = collected.of("system")
        assert expected["error"]["class"] == error["extensions"]["error"]["type"]


@pytest.mark.parametrize("item", of("openai", stream=True))
def test_openai_async_stream(item, provider, collected):
    """The asynchronous client's stream is recorded in the same way."""
    openai = pytest.importorskip("openai")

    async def run() -> None:
        url = f"{provider.url(item['id'])}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            stream = await log_openai_call(client=client, **item["request"]["body"])
            assert isinstance(stream, openai.AsyncStream)
            try:
                async for _ in stream:
                    pass
            except openai.APIError:
                assert "error" in item["expected"]

    asyncio.run(run())
    check(item, collected)


@pytest.mark.parametrize("item", of("openai", errors=True))
def test_openai_error(item, provider, collected):
    """An error is recorded with its class and status, and raised unchanged."""
    openai = pytest.importorskip("openai")
    expected = item["expected"]["error"]
    with pytest.raises(openai.APIError) as caught:
        log_openai_call(**openai_call(item, provider.url(item["id"])))
    assert expected["class"] == type(caught.value).__name__
    (prompt,), (error,) = collected.of("prompt"), collected.of("system")
    assert prompt["event_id"] == error["extensions"]["reply_to"]
    assert expected["class"] == error["extensions"]["error"]["type"]
    assert expected["status"] == error["extensions"]["status_code"]
    assert [] == validate_event(error)


@pytest.mark.parametrize("item", of("openai"))
def test_openai_body(item, collected):
    """The body as a dict, or the events of a stream as dicts, gives the same."""
    log_openai_call(user_message="?", response=body_of(item))
    check(item, collected, request_id=False)


def body_of(item: dict[str, Any]) -> Any:
    raw = (FIXTURES / item["file"]).read_text("utf-8")
    if not item["file"].endswith(".sse"):
        return json.loads(raw)
    data = [line[6:] for line in raw.split("\n") if line.startswith("data: ")]
    return [json.loads(line) for line in data if line.strip() != "[DONE]"]


@pytest.mark.parametrize("item", of("anthropic", stream=False))
def test_anthropic_answer(item, provider, collected):
    """What Claude answered is on record as the manifest has it."""
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="k", base_url=provider.url(item["id"]), max_retries=0)
    response = client.messages.create(**item["request"]["body"])
    completion_id = log_claude_interaction(user_message="Hello", response=response)
    check(item, collected)
    assert completion_id == collected.of("completion")[0]["event_id"]


@pytest.mark.parametrize("item", of("anthropic", stream=True))
def test_anthropic_final_message(item, provider, collected):
    """The final message of a stream is on record as the manifest has it."""
    anthropic = pytest.importorskip("anthropic")
    if "error" in item["expected"]:
        pytest.skip(
            "a stream that breaks has no final message; test_anthropic_body reads its events"
        )
    client = anthropic.Anthropic(api_key="k", base_url=provider.url(item["id"]), max_retries=0)
    body = {name: value for name, value in item["request"]["body"].items() if name != "stream"}
    with client.messages.stream(**body) as stream:
        message = stream.get_final_message()
    log_claude_interaction(user_message="Hello", response=message)
    check(item, collected)


@pytest.mark.parametrize("item", of("anthropic", stream=True))
def test_anthropic_events(item, provider, collected):
    """The events of a stream, as the SDK gave them until it broke off, are put together."""
    anthropic = pytest.importorskip("anthropic")
    client = anthropic.Anthropic(api_key="k", base_url=provider.url(item["id"]), max_retries=0)
    events = []
    try:
        events.extend(client.messages.create(**item["request"]["body"]))
    except anthropic.APIError:
        assert "error" in item["expected"]
    log_claude_interaction(user_message="Hello", response=events)
    if "usage" in item["expected"]:
        check(item, collected)
    else:
        assert item["expected"]["text"] == collected.of("completion")[0]["content"]["text"]


@pytest.mark.parametrize("item", of("anthropic"))
def test_anthropic_body(item, collected):
    """The body as a dict, or the events of a stream as dicts, gives the same."""
    log_claude_interaction(user_message="Hello", response=body_of(item))
    if "error" in item["expected"]:
        (error,) = collected.of("system")
        assert "overloaded_error" == error["extensions"]["error"]["type"]
        assert item["expected"]["text"] == collected.of("completion")[0]["content"]["text"]
    else:
        check(item, collected, request_id=False)


def genai_client(provider: Any, item: dict[str, Any]) -> Any:
    genai = pytest.importorskip("google.genai")
    options = {"base_url": provider.url(item["id"]), "api_version": "v1"}
    return genai.Client(api_key="k", http_options=options)


def genai_call(item: dict[str, Any]) -> dict[str, Any]:
    body = item["request"]["body"]
    model = item["request"]["path"].rpartition("/")[2].partition(":")[0]
    return {"model": model, "contents": body["contents"]}


@pytest.mark.parametrize("item", of("gemini", stream=False))
def test_genai_answer(item, provider, collected):
    """What Gemini answered through google-genai is on record as the manifest has it."""
    client = genai_client(provider, item)
    response = client.models.generate_content(**genai_call(item))
    log_gemini_interaction(user_message="Hello", response=response)
    check(item, collected)


@pytest.mark.parametrize("item", [p for p in of("gemini", stream=True) if "array" not in p.id])
def test_genai_stream(item, provider, collected):
    """The pieces of a stream of google-genai are put together as the manifest has it."""
    client, pieces = genai_client(provider, item), []
    errors = pytest.importorskip("google.genai.errors")
    try:
        pieces.extend(client.models.generate_content_stream(**genai_call(item)))
    except errors.APIError:
        assert "error" in item["expected"]
    log_gemini_interaction(user_message="Hello", response=pieces)
    check(item, collected)


@pytest.mark.parametrize("item", of("gemini"))
def test_gemini_body(item, collected):
    """The body in camelCase, or the pieces of a stream as dicts, gives the same."""
    log_gemini_interaction(user_message="Hello", response=body_of(item))
    check(item, collected)


@pytest.mark.parametrize("item", of("gemini", stream=False))
def test_gemini_snake_case(item, collected):
    """The same body in snake_case gives the same."""
    log_gemini_interaction(user_message="Hello", response=snake(body_of(item)))
    check(item, collected)


def snake(value: Any) -> Any:
    if isinstance(value, list):
        return [snake(item) for item in value]
    if not isinstance(value, dict):
        return value
    out = {}
    for name, item in value.items():
        key = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
        out[key] = item if name == "args" else snake(item)
    return out


@pytest.mark.filterwarnings("ignore::FutureWarning")  # google-generativeai announces its end
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # protobuf's compiled types
@pytest.mark.parametrize(
    "item", [p for p in of("gemini") if not p.values[0]["stream"] or "array" in p.id]
)
def test_generativeai_answer(item, provider, collected):
    """What Gemini answered through google-generativeai is on record as the manifest has it."""
    genai = pytest.importorskip("google.generativeai")
    if item["expected"].get("reasoning") and item["expected"]["text"]:
        pytest.skip("the protocol of google-generativeai has no `thought`: it drops the mark")
    endpoint = provider.url(item["id"])
    genai.configure(api_key="x", transport="rest", client_options={"api_endpoint": endpoint})
    call = genai_call(item)
    model = genai.GenerativeModel(call["model"])
    response = model.generate_content(
        "Hello", stream=item["stream"], request_options={"retry": None}
    )
    if item["stream"]:
        response.resolve()
    log_gemini_interaction(user_message="Hello", response=response)
    (completion,) = collected.of("completion")
    expected = item["expected"]
    assert expected["text"] == completion.get("content", {}).get("text", "")
    wanted = expected["finish_reason"] or expected.get("block_reason")
    assert wanted == completion["extensions"].get("finish_reason")
    calls = [event["extensions"]["tool"] for event in collected.of("tool_call")]
    assert [(c["name"], c["arguments"]) for c in expected["tool_calls"]] == [
        (c["name"], c["arguments"]) for c in calls
    ]
    known = {k: v for k, v in expected["usage"].items() if not k.startswith(("thoughts", "tool"))}
    assert usage_tokens("gemini", known) == completion["metrics"]["tokens"]
    assert [] == [fault for event in collected.events for fault in validate_event(event)]
