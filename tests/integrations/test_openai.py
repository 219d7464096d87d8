from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import logging

from types import SimpleNamespace
from typing import Any

import pytest

import hilt_logging

from hilt_logging import Session, validate_event
from hilt_logging.integrations import set_prices
from hilt_logging.integrations.openai import answer_of, log_openai_call, prompt_of, tokens_of


openai = pytest.importorskip("openai")


@pytest.fixture(autouse=True)
def own_prices():
    """No test leaves prices behind."""
    yield
    set_prices(None)


def client_of(provider: Any, fixture: str, **options: Any) -> Any:
    return openai.OpenAI(
        api_key="k", base_url=f"{provider.url(fixture, **options)}/v1", max_retries=0
    )


def test_prompt_leaves_before_the_request(provider, collected):
    """The prompt is on record when the server has not answered yet."""
    seen = []

    class Slow(logging.Handler):
        def emit(self, record):
            seen.append((record.hilt["action"], len(provider.journal)))

    provider.journal.clear()
    logging.getLogger("hilt.openai").addHandler(handler := Slow())
    try:
        client = client_of(provider, "openai/chat_text")
        log_openai_call(client=client, model="gpt-5.5", user_message="Hi")
    finally:
        logging.getLogger("hilt.openai").removeHandler(handler)
    assert [("prompt", 0), ("completion", 1)] == seen


def test_events_of_a_call_are_linked(provider, collected):
    """All events share the call's id; each names what it answers."""
    client = client_of(provider, "openai/chat_parallel_tools")
    log_openai_call(client=client, model="gpt-5.5", user_message="Weather?", user_id="alice")
    (prompt,), (completion,) = collected.of("prompt"), collected.of("completion")
    assert 1 == len({event["provenance"]["call_id"] for event in collected.events})
    assert 1 == len({event["session_id"] for event in collected.events})
    assert prompt["event_id"] == completion["extensions"]["reply_to"]
    assert {completion["event_id"]} == {
        event["extensions"]["reply_to"] for event in collected.of("tool_call")
    }
    assert ["alice"] * 5 == [event["extensions"]["user_id"] for event in collected.events]
    assert {"type": "human", "id": "alice"} == prompt["actor"]
    assert completion["metrics"]["latency_ms"] >= 0


def test_tool_result_answers_its_call(provider, collected):
    """The tool messages since the model spoke last are results, linked to what asked for them."""
    client = client_of(provider, "openai/chat_parallel_tools")
    first = log_openai_call(client=client, model="gpt-5.5", user_message="Weather?")
    call = first.choices[0].message.tool_calls[0]
    messages = [
        {"role": "user", "content": "Weather?"},
        first.choices[0].message,
        {"role": "tool", "tool_call_id": call.id, "content": "12 degrees"},
    ]
    log_openai_call(client=client_of(provider, "openai/chat_text"), model="m", messages=messages)
    (result,) = collected.of("tool_result")
    asked = [e for e in collected.of("tool_call") if e["extensions"]["tool"]["call_id"] == call.id]
    assert asked[0]["event_id"] == result["extensions"]["reply_to"]
    assert "12 degrees" == result["content"]["text"]
    assert {"type": "tool", "id": "get_weather"} == result["actor"]


def test_rate_limit_is_told_apart(provider, collected):
    """A rate limit says how long to wait; a spent quota has its own code."""
    for fixture in ("openai/error_429", "openai/error_429_quota"):
        with pytest.raises(openai.RateLimitError):
            log_openai_call(client=client_of(provider, fixture), model="m", user_message="Hi")
    limit, quota = (event["extensions"] for event in collected.of("system"))
    assert "RateLimitError" == limit["error"]["type"] == quota["error"]["type"]
    assert (429, 429) == (limit["status_code"], quota["status_code"])
    assert limit["error"]["retry_after_s"] > 0
    assert "insufficient_quota" == quota["error"]["code"] != limit["error"]["code"]
    assert "retry_after_s" not in quota["error"]


def test_refused_connection_is_recorded(provider, collected):
    """A call that never got an answer is a failure without a status."""
    client = client_of(provider, "openai/chat_text", refuse=1)
    with pytest.raises(openai.APIConnectionError):
        log_openai_call(client=client, model="m", user_message="Hi")
    (error,) = collected.of("system")
    assert "APIConnectionError" == error["extensions"]["error"]["type"]
    assert "status_code" not in error["extensions"]
    assert logging.ERROR == collected.records[-1].levelno


def test_missing_arguments_are_the_sdks_error(provider, collected):
    """Arguments that the SDK refuses are recorded and raised as the SDK raises them."""
    with pytest.raises(TypeError):
        log_openai_call(client=client_of(provider, "openai/chat_text"), user_message="Hi")
    assert "TypeError" == collected.of("system")[0]["extensions"]["error"]["type"]


def test_async_client_is_awaited(provider, collected):
    """With AsyncOpenAI the result is awaited, and recorded then."""

    async def run() -> Any:
        url = f"{provider.url('openai/chat_text')}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
            return await log_openai_call(client=client, model="m", user_message="Hi")

    response = asyncio.run(run())
    assert response.choices[0].message.content == collected.of("completion")[0]["content"]["text"]


def test_async_error_is_recorded(provider, collected):
    """What the awaited call raises is recorded and raised."""

    async def run() -> Any:
        url = f"{provider.url('openai/error_401')}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=0) as client:
            await log_openai_call(client=client, model="m", user_message="Hi")

    with pytest.raises(openai.AuthenticationError):
        asyncio.run(run())
    assert 401 == collected.of("system")[0]["extensions"]["status_code"]


def test_stream_that_is_left_early(provider, collected):
    """A stream that the caller leaves is closed early, with what had come."""
    client = client_of(provider, "openai/chat_stream_text")
    stream = log_openai_call(client=client, model="m", user_message="Hi", stream=True)
    for index, _ in enumerate(stream):
        if index == 3:
            break
    stream.close()
    del stream
    gc.collect()
    (completion,) = collected.of("completion")
    assert "closed_early" == completion["extensions"]["outcome"]
    assert 4 == completion["metrics"]["chunks"]
    assert "No usage was asked for, so none is here.".startswith(completion["content"]["text"])
    assert logging.WARNING == collected.records[-1].levelno


def test_async_stream_that_is_left_early(provider, collected):
    """An asynchronous one is on record once the loop has let its generator go."""

    async def run() -> None:
        url = f"{provider.url('openai/chat_stream_text')}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
            stream = await log_openai_call(client=client, model="m", user_message="Hi", stream=True)
            async for _ in stream:
                break
            await stream.close()
            del stream
            await asyncio.sleep(0.05)
            gc.collect()
            (completion,) = collected.of("completion")
            assert "closed_early" == completion["extensions"]["outcome"]

    asyncio.run(run())


def test_raw_stream(provider, collected):
    """A stream behind a raw response is recorded while the caller reads it."""
    client = client_of(provider, "openai/chat_stream_text").with_raw_response
    raw = log_openai_call(client=client, model="m", user_message="Hi", stream=True)
    assert 200 == raw.http_response.status_code
    said = "".join(chunk.choices[0].delta.content or "" for chunk in raw.parse())
    assert said == collected.of("completion")[0]["content"]["text"]


def test_cancelled_call_is_no_error(provider, collected):
    """A task that is cancelled while it waits is a warning."""

    async def run() -> None:
        url = f"{provider.url('openai/chat_text', ttfb=5)}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
            async with asyncio.timeout(0.2):
                await log_openai_call(client=client, model="m", user_message="Hi")

    with pytest.raises(TimeoutError):
        asyncio.run(run())
    assert "cancelled" == collected.of("system")[0]["extensions"]["outcome"]
    assert logging.WARNING == collected.records[-1].levelno


def test_stream_pieces_at_debug(provider, collected):
    """Where DEBUG is on, each piece of text is an event of its own."""
    logging.getLogger("hilt").setLevel(logging.DEBUG)
    client = client_of(provider, "openai/chat_stream_text_usage")
    list(log_openai_call(client=client, model="m", user_message="Hi", stream=True))
    pieces = [event["content"]["text"] for event in collected.of("completion_chunk")]
    assert collected.of("completion")[0]["content"]["text"] == "".join(pieces)
    assert len(pieces) > 3


def test_cut_stream_is_a_failure(provider, collected):
    """A stream whose connection breaks is recorded with what had come, then the error."""
    client = client_of(provider, "openai/chat_stream_text", reset_after=4)
    with pytest.raises(openai.APIConnectionError):
        list(log_openai_call(client=client, model="m", user_message="Hi", stream=True))
    assert ["prompt", "completion", "system"] == [event["action"] for event in collected.events]
    assert "failed" == collected.of("completion")[0]["extensions"]["outcome"]


def test_host_names_the_provider(provider, collected):
    """A server of one's own is not OpenAI, and has not its prices."""
    log_openai_call(client=client_of(provider, "openai/chat_text"), model="m", user_message="Hi")
    (completion,) = collected.of("completion")
    assert "127.0.0.1" == completion["provenance"]["provider"]
    assert "cost_usd" not in completion["metrics"]


def test_known_model_has_a_cost(provider, collected):
    """The cost is what the price table says for the tokens of the served model."""
    genai_prices = pytest.importorskip("genai_prices")
    client = client_of(provider, "openai/chat_cached_reasoning")
    response = client.chat.completions.create(model="gpt-5.5", messages=[])
    log_openai_call(user_message="?", response=response)
    usage = genai_prices.Usage(input_tokens=2310, output_tokens=540, cache_read_tokens=2048)
    price = genai_prices.calc_price(usage, "gpt-5.5-2026-04-23", provider_id="openai")
    (completion,) = collected.of("completion")
    assert pytest.approx(float(price.total_price)) == completion["metrics"]["cost_usd"]
    assert "genai-prices" == completion["provenance"]["price"]["source"]


def test_own_price_wins(provider, collected, tmp_path):
    """The user's own table is asked first; its digest is on record."""
    table = tmp_path / "prices.toml"
    table.write_text('["127.0.0.1"."gpt-5*"]\ninput = 1.0\noutput = 2.0\n')
    set_prices(table)
    log_openai_call(client=client_of(provider, "openai/chat_text"), model="m", user_message="Hi")
    (completion,) = collected.of("completion")
    assert pytest.approx((24 * 1 + 13 * 2) / 1e6) == completion["metrics"]["cost_usd"]
    assert "user" == completion["provenance"]["price"]["source"]


def test_reported_cost_wins(collected):
    """A cost that the provider reports is taken as it is."""
    usage = {"prompt_tokens": 1, "completion_tokens": 1, "cost": 0.5}
    log_openai_call(
        user_message="?",
        response={"model": "gpt-4o", "choices": [{"message": {"content": "!"}}], "usage": usage},
    )
    (completion,) = collected.of("completion")
    assert 0.5 == completion["metrics"]["cost_usd"]
    assert "price" not in completion["provenance"]


def test_session_of_ones_own(tmp_path, provider):
    """A session has the events, whatever the levels of logging are."""
    with Session(tmp_path / "a.jsonl") as session:
        client = client_of(provider, "openai/chat_text")
        log_openai_call(session, client=client, model="m", user_message="Hi", session_id="conv-1")
        events = list(session.read())
    assert ["prompt", "completion"] == [event.action for event in events]
    assert ["conv-1"] * 2 == [event.session_id for event in events]
    assert ["hilt.openai"] * 2 == [event.provenance["logger"] for event in events]


def test_any_session_with_append(provider, collected):
    """Anything with append(event) is a session; the logger has the events too."""
    events: list[Any] = []
    log_openai_call(events, user_message="Hi", response={"choices": []})
    assert [event.event_id for event in events] == [e["event_id"] for e in collected.events]


def test_closed_session_does_not_disturb(tmp_path, provider, collected):
    """A session that can't take the events changes nothing for the caller, and the logger has them."""
    session = Session(tmp_path / "a.jsonl")
    client = client_of(provider, "openai/chat_text")
    response = log_openai_call(session, client=client, model="m", user_message="Hi")
    assert "chat.completion" == response.object
    assert ["prompt", "completion"] == [event["action"] for event in collected.events]


def test_bound_session_and_user(provider, collected):
    """What is bound goes to every event of the call."""
    with hilt_logging.bind(session_id="conv-7", user_id="bob", tenant="acme"):
        log_openai_call(user_message="Hi", response={"choices": []})
    assert {"conv-7"} == {event["session_id"] for event in collected.events}
    assert {"bob"} == {event["extensions"]["user_id"] for event in collected.events}
    assert {"acme"} == {event["extensions"]["tenant"] for event in collected.events}
    assert {"bound"} == {event["extensions"]["session_source"] for event in collected.events}


def test_session_named_by_the_request(collected):
    """A conversation that the request names is the session."""
    log_openai_call(
        input="Hi", conversation="conv_1", response={"object": "response", "output": []}
    )
    assert {"conv_1"} == {event["session_id"] for event in collected.events}
    assert {"request"} == {event["extensions"]["session_source"] for event in collected.events}


def test_parameters_are_provenance(collected):
    """The parameters of the request are on record; keys and headers are not."""
    log_openai_call(
        user_message="Hi",
        response={"choices": []},
        temperature=0.2,
        max_tokens=5,
        extra_headers={"Authorization": "Bearer SECRET"},
    )
    assert {"temperature": 0.2, "max_tokens": 5} == collected.events[0]["provenance"]["params"]
    assert "SECRET" not in repr(collected.events)


def test_prompt_with_an_image():
    """Media are references: type, size and digest."""
    raw = b"\x89PNG..."
    url = f"data:image/png;base64,{base64.b64encode(raw).decode()}"
    content = [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": url}},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]
    prompt = prompt_of({"messages": [{"role": "user", "content": content}]})
    assert "What is it?" == prompt.text
    assert prompt.media == [
        {
            "type": "image",
            "mime_type": "image/png",
            "sha256": hashlib.sha256(raw).hexdigest(),
            "bytes": len(raw),
        },
        {"type": "image", "uri": "https://example.org/a.png"},
    ]


def test_prompt_of_several_roles():
    """Several messages are kept in the shape of the GenAI conventions; the text is the user's last."""
    prompt = prompt_of(
        {
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "One"},
                {"role": "assistant", "content": "1"},
                {"role": "user", "content": "Two"},
            ]
        }
    )
    assert "Two" == prompt.text
    assert ["system", "user", "assistant", "user"] == [m["role"] for m in prompt.messages or []]
    assert [{"type": "text", "content": "Be brief."}] == (prompt.messages or [])[0]["parts"]


def test_several_choices_are_kept():
    """Of several choices the first is the text, and all are messages."""
    choices = [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length"},
        {"index": 0, "message": {"content": "a"}, "finish_reason": "stop"},
    ]
    answer = answer_of({"choices": choices})
    assert ("a", "stop", "completed") == (answer.text, answer.finish_reason, answer.outcome)
    assert ["a", "b"] == [m["parts"][0]["content"] for m in answer.messages or []]


def test_older_function_call():
    """The function_call of older versions is a tool call."""
    message = {"content": None, "function_call": {"name": "f", "arguments": '{"x": 1}'}}
    (call,) = answer_of({"choices": [{"message": message}]}).tool_calls
    assert ("f", {"x": 1}) == (call.name, call.arguments)


def test_server_tools_are_on_record():
    """A tool that runs at OpenAI's is a call and a result, marked as such."""
    output = [
        {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"query": "q"}},
        {"type": "code_interpreter_call", "id": "ci_1", "code": "1+1", "outputs": [{"logs": "2"}]},
    ]
    answer = answer_of({"object": "response", "status": "completed", "output": output})
    assert [("web_search", True), ("code_interpreter", True)] == [
        (call.name, call.server) for call in answer.tool_calls
    ]
    assert [[{"logs": "2"}]] == [result.result for result in answer.tool_results]


def test_raw_response_is_parsed(provider, collected):
    """What with_raw_response gives is read, and handed back as it is."""
    client = client_of(provider, "openai/chat_text")
    raw = client.chat.completions.with_raw_response.create(model="m", messages=[])
    assert raw is log_openai_call(user_message="Hi", response=raw)
    assert raw.parse().id == collected.of("completion")[0]["provenance"]["response_id"]


@pytest.mark.parametrize("response", [object(), "text", 5, {}, [], {"choices": 3}, [None], b""])
def test_unknown_response_is_recorded(response, collected):
    """A response that nobody knows is a completion without text; nothing is raised."""
    assert response is log_openai_call(user_message="Hi", response=response)
    assert 1 == len(collected.of("completion"))
    assert [] == [fault for event in collected.events for fault in validate_event(event)]


def test_response_that_refuses_to_be_read(collected):
    """A response whose properties raise does not disturb the application."""

    class Hostile:
        @property
        def choices(self):
            raise RuntimeError("SECRET")

        def __getattr__(self, name):
            raise ValueError("SECRET")

    log_openai_call(user_message="Hi", response=Hostile())
    assert ["prompt", "completion"] == [event["action"] for event in collected.events]
    assert "SECRET" not in repr(collected.events)


def test_no_usage_is_said():
    """No usage from the provider means no tokens."""
    assert tokens_of(None) is None
    assert tokens_of({}) is None
    assert {"prompt": 3, "completion": 0, "total": 3} == tokens_of({"prompt_tokens": 3})


def test_nobody_listens(provider):
    """With no session and no logger enabled, the call is made all the same."""
    client = client_of(provider, "openai/chat_text")
    response = log_openai_call(client=client, model="m", user_message="Hi")
    assert response.created > 0


@pytest.mark.parametrize(
    "said",
    [
        "Hello",
        [{"type": "text", "text": "Hello"}],
        {"role": "user", "content": "Hello"},
        [{"role": "user", "content": "Hello"}],
    ],
    ids=["text", "parts", "message", "messages"],
)
def test_users_message_in_any_form(said, collected):
    """A text, the parts of a message, a message and messages are all understood."""
    log_openai_call(user_message=said, response={"choices": []})
    assert {"text": "Hello"} == collected.of("prompt")[0]["content"]


@pytest.mark.parametrize("how", ["close", "with"])
def test_closing_a_stream_is_its_end(how, provider, collected):
    """A stream that is closed is recorded at once, although somebody still holds it."""
    client = client_of(provider, "openai/chat_stream_text")
    stream = log_openai_call(client=client, model="m", user_message="Hi", stream=True)
    if how == "with":
        with stream:
            next(stream)
    else:
        next(stream)
        stream.close()
    assert "closed_early" == collected.of("completion")[0]["extensions"]["outcome"]


def test_closing_an_async_stream_is_its_end(provider, collected):
    """The same for an asynchronous stream."""

    async def run() -> None:
        url = f"{provider.url('openai/chat_stream_text')}/v1"
        async with openai.AsyncOpenAI(api_key="k", base_url=url) as client:
            stream = await log_openai_call(client=client, model="m", user_message="?", stream=True)
            async with stream:
                await anext(stream)
            assert "closed_early" == collected.of("completion")[0]["extensions"]["outcome"]

    asyncio.run(run())


def test_text_as_the_response(collected):
    """A plain text is a response too."""
    log_openai_call(user_message="Hi", response="Hello")
    assert "Hello" == collected.of("completion")[0]["content"]["text"]


def test_media_that_a_tool_gave():
    """An image among what a tool gave is a reference, as any other; JSON of its own stays."""
    image = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    output = [{"type": "input_text", "text": "seen"}, image]
    given = {"type": "function_call_output", "call_id": "1", "output": output}
    (result,) = prompt_of({"input": [given]}).tool_results
    said, seen = result.result
    assert {"type": "text", "content": "seen"} == said
    assert ("image", "image/png", 3) == (seen["type"], seen["mime_type"], seen["bytes"])
    (result,) = prompt_of({"input": [{**given, "output": [{"a": 1}]}]}).tool_results
    assert [{"a": 1}] == result.result


@pytest.mark.parametrize("kind", ["image", "video", "audio"])
def test_media_by_url(kind):
    """What the message refers to is on record, of whatever kind it is."""
    name = f"{kind}_url"
    block = {"type": name, name: {"url": f"https://x/{kind}"}}
    prompt = prompt_of({"messages": [{"role": "user", "content": [block]}]})
    assert [{"type": kind, "uri": f"https://x/{kind}"}] == prompt.media


@pytest.mark.parametrize("has_pieces", [True, False])
def test_stream_of_another_client(has_pieces, collected):
    """A stream of a form that nobody has seen goes to the caller as it is."""

    class Stream:
        def __init__(self):
            if has_pieces:
                self._iterator = iter([{"choices": [{"index": 0, "delta": {"content": "a"}}]}])

        def __iter__(self):
            return self._iterator if has_pieces else iter([1])

    made = Stream()
    create = SimpleNamespace(create=lambda **sent: made)
    client = SimpleNamespace(base_url="http://x", chat=SimpleNamespace(completions=create))
    assert made is log_openai_call(client=client, model="m", user_message="Hi", stream=True)
    assert 1 == len(list(made))
    (completion,) = collected.of("completion")
    if has_pieces:
        assert "a" == completion["content"]["text"]
    else:
        assert "not_seen" == completion["extensions"]["body"]
