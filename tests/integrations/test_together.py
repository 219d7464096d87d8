"""All SDKs recorded at once, as an application has them, into one file."""

from __future__ import annotations

import asyncio
import logging
import ssl

import pytest

import hilt_logging

from .conftest import FIXTURES


openai = pytest.importorskip("openai")
anthropic = pytest.importorskip("anthropic")
genai = pytest.importorskip("google.genai")
langchain_openai = pytest.importorskip("langchain_openai")

SECRET = "jane.roe@example.com"
SAID = f"Hello, I am {SECRET}"
TURNS = [{"role": "user", "content": SAID}]
GEMINI = {"model": "gemini-3.8-flash", "contents": SAID}
TLS = ssl.create_default_context()

CLIENTS = """
import os, sys
sys.path.insert(0, sys.argv[1])
import fixture_server, pathlib, hilt_logging
server = fixture_server.FixtureServer(pathlib.Path(sys.argv[1])).__enter__()
hilt_logging.instrument(filename=sys.argv[2])
import anthropic, openai
from google import genai
TURNS = [{"role": "user", "content": "Hello"}]
def openai_of(fixture):
    return openai.OpenAI(api_key="k", base_url=server.url(fixture) + "/v1")
claude = anthropic.Anthropic(api_key="k", base_url=server.url("anthropic/stream_text"))
gemini = genai.Client(api_key="k", http_options={"base_url": server.url("gemini/stream_text")})
streams = [
    openai_of("openai/chat_stream_text").chat.completions.create(model="m", messages=TURNS, stream=True),
    openai_of("openai/responses_stream_text").responses.create(model="m", input="Hello", stream=True),
    claude.messages.create(model="m", max_tokens=9, messages=TURNS, stream=True),
    gemini.models.generate_content_stream(model="gemini-3.8-flash", contents="Hello"),
]
for stream in streams:
    next(iter(stream))

def ask(said):
    turns = [{"role": "user", "content": said}]
    openai_of("openai/chat_text").chat.completions.create(model="m", messages=turns)

ask("parent")
if (child := os.fork()) == 0:
    try:
        ask("child")
    finally:
        os._exit(0)
os.waitpid(child, 0)
"""

NO_CONNECTION = """
import socket, sys, logging
hosts = []
def watch(event, args):
    if event == "socket.connect" and args[0].family != socket.AF_UNIX:
        hosts.append(args[1])
    elif event == "socket.getaddrinfo":
        hosts.append(args[:2])
sys.addaudithook(watch)
import hilt_logging
hilt_logging.instrument(filename=sys.argv[1])
import openai
http = sys.modules["openai._base_client"].__dict__.get("httpx2") or openai._base_client.httpx
answer = {"id": "c", "object": "chat.completion", "created": 1, "model": "gpt-4o", "choices": [
    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}]}
transport = http.MockTransport(lambda request: http.Response(200, json=answer))
client = openai.OpenAI(api_key="k", http_client=http.Client(transport=transport))
logging.getLogger("httpx").setLevel(logging.INFO)
client.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "Hello"}])
hilt_logging.uninstrument()
logging.shutdown()
print(hosts)
"""


def ends_of(events):
    """The outcome of each call, by what was said in its prompt."""
    ends = {}
    for event in events:
        if event["action"] in ("completion", "system"):
            ends.setdefault(event["extensions"]["reply_to"], []).append(
                event["extensions"]["outcome"]
            )
    return {
        event["event_id"]: ends.get(event["event_id"])
        for event in events
        if event["action"] == "prompt"
    }


def test_forked_worker_and_open_streams(in_child, lines, tmp_path):
    """A forked worker records its calls and none of its parent's; what is open at exit gets an end."""
    path = tmp_path / "a.jsonl"
    done = in_child(CLIENTS, FIXTURES, path)
    assert 0 == done.returncode, done.stderr
    events = lines(path)
    assert [*4 * [["closed_early"]], ["completed"], ["completed"]] == list(ends_of(events).values())
    said = [event["content"]["text"] for event in events if event["action"] == "prompt"]
    assert ["parent", "child"] == said[4:]


def test_nothing_leaves_the_machine(in_child, lines, tmp_path):
    """Recording looks no name up and connects to nobody, and no log of HTTP gets into the file."""
    done = in_child(NO_CONNECTION, tmp_path / "a.jsonl")
    assert "[]\n" == done.stdout, done.stderr
    assert ["prompt", "completion"] == [e["action"] for e in lines(tmp_path / "a.jsonl")]


def clients_of(provider):
    """Calls of every SDK: answers, streams and failures."""

    def openai_of(fixture):
        return openai.OpenAI(
            api_key="k", base_url=f"{provider.url(fixture)}/v1", max_retries=0
        ).chat.completions

    def claude_of(fixture):
        return anthropic.Anthropic(
            api_key="k", base_url=provider.url(fixture), max_retries=0
        ).messages

    def ask_gemini(fixture):
        client = genai.Client(api_key="k", http_options={"base_url": provider.url(fixture)})
        return client.models.generate_content(**GEMINI)

    told = {"model": "m", "max_tokens": 9, "messages": TURNS}
    model = langchain_openai.ChatOpenAI(
        model="m", api_key="k", base_url=f"{provider.url('openai/chat_text')}/v1"
    )
    return [
        lambda: openai_of("openai/chat_text").create(**told),
        lambda: openai_of("openai/error_401").create(**told),
        lambda: list(openai_of("openai/chat_stream_error_midway").create(**told, stream=True)),
        lambda: claude_of("anthropic/message_text").create(**told),
        lambda: claude_of("anthropic/error_401").create(**told),
        lambda: ask_gemini("gemini/generate_text"),
        lambda: ask_gemini("gemini/error_401"),
        lambda: model.invoke(SAID),
    ]


def test_one_redaction_covers_all(provider, lines, tmp_path, instrumented, monkeypatch):
    """What one handler withholds is withheld of every SDK, answered or failed; another has it."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: TLS)
    instrumented(filename=tmp_path / "safe.jsonl", redact="email")
    hilt_logging.basic_config(tmp_path / "whole.jsonl")
    for call in clients_of(provider):
        try:
            call()
        except (openai.APIError, anthropic.APIError, genai.errors.APIError):
            continue
    safe, whole = lines(tmp_path / "safe.jsonl"), lines(tmp_path / "whole.jsonl")
    assert SECRET not in str(safe)
    assert 8 == sum(SECRET in str(event) for event in whole if event["action"] == "prompt")
    assert [event["event_id"] for event in whole] == [event["event_id"] for event in safe]
    ends = [each[-1] for each in ends_of(whole).values()]
    assert (4, 4) == (ends.count("completed"), ends.count("failed"))


def test_async_generators_that_end_elsewhere(
    provider, collected, instrumented, monkeypatch, caplog
):
    """A generator over a stream may be read in one task and closed in another: no context is left."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: TLS)
    instrumented()

    async def of_openai(client):
        stream = await client.chat.completions.create(model="m", messages=TURNS, stream=True)
        async with stream:
            async for piece in stream:
                yield piece

    async def of_claude(client):
        async with client.messages.stream(model="m", max_tokens=9, messages=TURNS) as stream:
            async for piece in stream:
                yield piece

    async def run():
        generators = [
            of_openai(
                openai.AsyncOpenAI(
                    api_key="k", base_url=f"{provider.url('openai/chat_stream_text')}/v1"
                )
            ),
            of_claude(
                anthropic.AsyncAnthropic(
                    api_key="k", base_url=provider.url("anthropic/stream_text")
                )
            ),
        ]
        for generator in generators:
            with hilt_logging.bind(session_id="s"):
                await asyncio.create_task(anext(generator))
            await asyncio.create_task(anext(generator))
            await asyncio.create_task(generator.aclose())

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert 2 * [["closed_early"]] == list(ends_of(collected.events).values())
    assert [] == [each for each in caplog.records if not each.name.startswith("hilt.")]
