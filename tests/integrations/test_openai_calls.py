"""OpenAI's clients under instrument(): what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import base64
import contextvars
import copy
import gc
import hashlib
import importlib.util
import inspect
import json
import logging
import pickle
import threading
import time
import weakref

from typing import Any

import pytest

import hilt_logging

from hilt_logging import validate_event
from hilt_logging.integrations import set_prices

from ._manifest import check, of, usage_tokens
from .conftest import FIXTURES, MANIFEST


openai = pytest.importorskip("openai")
pydantic = pytest.importorskip("pydantic")
httpx2 = pytest.importorskip("httpx2" if "httpx2" in vars(openai._base_client) else "httpx")

# what the oldest version that is supported, 1.40, has not
HAS_RESPONSES = importlib.util.find_spec("openai.resources.responses") is not None
HAS_REQUEST_ID = hasattr(openai._models, "add_request_id")
HAS_PARSE = hasattr(openai.resources.chat.Completions, "parse")
needs_responses = pytest.mark.skipif(not HAS_RESPONSES, reason="has no responses")
needs_parse = pytest.mark.skipif(not HAS_PARSE, reason="has parse() and stream() elsewhere")

HELLO = [{"role": "user", "content": "Hello"}]
TEXT = "openai/chat_text"
STREAM = "openai/chat_stream_text_usage"
STREAMED = "Once upon a time, a small server learned to stream."


@pytest.fixture(autouse=True)
def _on(instrumented):
    instrumented("openai")


def client_of(provider: Any, fixture: str, retries: int = 0, **options: Any) -> Any:
    url = f"{provider.url(fixture, **options)}/v1"
    return openai.OpenAI(api_key="k", base_url=url, max_retries=retries)


def async_client_of(provider: Any, fixture: str, retries: int = 0, **options: Any) -> Any:
    url = f"{provider.url(fixture, **options)}/v1"
    return openai.AsyncOpenAI(api_key="k", base_url=url, max_retries=retries)


def ask(client: Any, **options: Any) -> Any:
    return client.chat.completions.create(model="m", messages=HELLO, **options)


def create(client: Any, item: dict[str, Any]) -> Any:
    """The call of a fixture; what this version of the SDK does not know goes to `extra_body`."""
    if item["api"] == "responses" and not HAS_RESPONSES:
        pytest.skip("has no responses")
    method = {
        "chat.completions": lambda: client.chat.completions.create,
        "completions": lambda: client.completions.create,
        "responses": lambda: client.responses.create,
        "embeddings": lambda: client.embeddings.create,
    }[item["api"]]()
    known = inspect.signature(method).parameters
    body = item["request"]["body"]
    extra = {name: value for name, value in body.items() if name not in known}
    given = {name: value for name, value in body.items() if name in known}
    return method(**given, **({"extra_body": extra} if extra else {}))


def actions(collected: Any) -> list[str]:
    return [event["action"] for event in collected.events]


def outcome(collected: Any) -> str:
    (completion,) = collected.of("completion")
    return completion["extensions"]["outcome"]


class TestFixtures:
    """Every fixture through the instrumented clients, against the manifest."""

    @pytest.mark.parametrize("item", of("openai"))
    def test_sync(self, item, provider, collected):
        """What the synchronous client got is on record as the manifest has it."""
        client = client_of(provider, item["id"])
        result = create(client, item)
        if item["stream"]:
            try:
                for _ in result:
                    pass
            except openai.APIError:
                assert "error" in item["expected"]
        check(item, collected, request_id=HAS_REQUEST_ID)

    @pytest.mark.parametrize("item", of("openai"))
    def test_async(self, item, provider, collected):
        """What the asynchronous client got is on record in the same way."""

        async def run():
            async with async_client_of(provider, item["id"]) as client:
                result = await create(client, item)
                if item["stream"]:
                    try:
                        async for _ in result:
                            pass
                    except openai.APIError:
                        assert "error" in item["expected"]

        asyncio.run(run())
        check(item, collected, request_id=HAS_REQUEST_ID)

    @pytest.mark.parametrize("item", of("openai", errors=True))
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_error(self, item, kind, provider, collected):
        """An error is recorded with its class and status, and raised unchanged."""
        expected = item["expected"]["error"]

        async def run():
            async with async_client_of(provider, item["id"]) as client:
                await client.chat.completions.create(**item["request"]["body"])

        with pytest.raises(openai.APIStatusError) as caught:
            if kind == "sync":
                client = client_of(provider, item["id"])
                client.chat.completions.create(**item["request"]["body"])
            else:
                asyncio.run(run())
        assert expected["class"] == type(caught.value).__name__
        (prompt,), (error,) = collected.of("prompt"), collected.of("system")
        assert expected["class"] == error["extensions"]["error"]["type"]
        assert expected["status"] == error["extensions"]["status_code"]
        assert prompt["event_id"] == error["extensions"]["reply_to"]
        assert [] == validate_event(error)

    @pytest.mark.parametrize("item", [each for each in of("openai") if each.values[0]["stream"]])
    def test_cut_at_every_byte(self, item, provider, collected):
        """A stream whose pieces are cut anywhere, also within a character, is the same."""
        for size in (1, 7):
            collected.records.clear()
            client = client_of(provider, item["id"], piece=size)
            try:
                for _ in create(client, item):
                    pass
            except openai.APIError:
                assert "error" in item["expected"]
            check(item, collected, request_id=HAS_REQUEST_ID)

    @pytest.mark.parametrize("item", [i for i in MANIFEST if i["id"].startswith("openai/embed")])
    @pytest.mark.parametrize("raw", [False, True])
    def test_embeddings(self, item, raw, provider, collected):
        """Embedding is one event with what was embedded; no number of a vector is kept."""
        client = client_of(provider, item["id"])
        pytest.importorskip("numpy")  # versions before 2 want it
        make = client.embeddings.with_raw_response.create if raw else client.embeddings.create
        result = make(**item["request"]["body"])
        result = result.parse() if raw else result
        (event,) = collected.events
        given = item["request"]["body"]["input"]
        texts = [given] if isinstance(given, str) else given
        assert "embedding" == event["action"]
        assert texts[0] == event["content"]["text"]
        if len(texts) > 1:
            parts = event["content"]["messages"][0]["parts"]
            assert texts == [each["content"] for each in parts]
        assert len(result.data) == event["extensions"]["embedding"]["count"]
        assert len(result.data[0].embedding) == event["extensions"]["embedding"]["dimensions"]
        tokens = usage_tokens("openai", item["expected"]["usage"])
        assert tokens == event["metrics"]["tokens"]
        assert str(result.data[0].embedding[0])[:6] not in json.dumps(event)
        assert [] == validate_event(event)


class TestFidelity:
    """With and without instrument() the SDK gives, raises and does the same."""

    def twice(self, run):
        """What *run* gives uninstrumented and instrumented."""
        hilt_logging.uninstrument()
        plain = run()
        hilt_logging.instrument("openai")
        return plain, run()

    @pytest.mark.parametrize("item", of("openai", stream=False))
    def test_answers(self, item, provider, collected):
        """Types and values of answers are the same, and they can be pickled and copied."""

        def run():
            return create(client_of(provider, item["id"]), item)

        plain, ours = self.twice(run)
        assert type(plain) is type(ours)
        assert plain == ours
        assert getattr(plain, "_request_id", None) == getattr(ours, "_request_id", None)
        assert vars(plain).keys() == vars(ours).keys()
        assert ours == copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours))

    @pytest.mark.parametrize("item", of("openai", stream=True))
    def test_streams(self, item, provider, collected):
        """Types, order and values of a stream's pieces are the same, and what ends it."""

        def run():
            client = client_of(provider, item["id"])
            stream = create(client, item)
            pieces, error = [], None
            try:
                pieces.extend(stream)
            except openai.APIError as caught:
                error = caught
            return type(stream), pieces, (type(error), str(error)), stream.response.is_closed

        plain, ours = self.twice(run)
        assert plain == ours

    @pytest.mark.parametrize("item", of("openai", errors=True))
    def test_errors(self, item, provider, collected):
        """Exceptions are the same, with the same traceback from the SDK."""

        def run():
            with pytest.raises(openai.APIError) as caught:
                ask(client_of(provider, item["id"]))
            error = caught.value
            frames = [e.name for e in caught.traceback if "openai" in str(e.path)]
            ours = [name for name in frames if "hilt" not in name]
            context = type(error.__cause__), type(error.__context__)
            told = type(error), str(error), error.body, error.code, error.request_id
            return told, context, len(ours) > 0

        plain, ours = self.twice(run)
        assert plain == ours

    def test_functions_look_the_same(self):
        """What is put around a function has its name, its signature, and is a coroutine's."""
        from openai._base_client import AsyncAPIClient, SyncAPIClient

        for owner in (SyncAPIClient, AsyncAPIClient):
            ours = owner.request
            original = ours.__wrapped__
            assert inspect.signature(original) == inspect.signature(ours)
            assert (original.__name__, original.__doc__) == (ours.__name__, ours.__doc__)
            are = inspect.iscoroutinefunction
            assert are(original) == are(ours)

    def test_first_piece_does_not_wait_for_the_second(self, provider, collected):
        """Nothing is read ahead: the first piece is there before the server sent the second."""
        provider.journal.clear()
        stream = ask(client_of(provider, STREAM, delay=0.2), stream=True)
        next(stream)
        sent = provider.journal[-1]["sent"]
        assert sent < len((provider_file(STREAM)).read_bytes()) / 2
        stream.close()

    def test_nothing_is_read_before_the_caller_reads(self, provider, collected):
        """A stream that nobody reads reads nothing."""
        stream = ask(client_of(provider, STREAM), stream=True)
        assert not stream.response.is_stream_consumed
        assert 0 == stream.response.num_bytes_downloaded
        stream.close()

    def test_memory_of_a_long_stream_is_bounded(self, collected):
        """However many pieces come, only the text of them is kept."""
        chunk = b'data: {"id":"c","model":"m","object":"chat.completion.chunk","created":1,'
        chunk += b'"choices":[{"index":0,"delta":{"content":"x "}}]}\n\n'
        alive = []

        def body():
            for _ in range(40):
                yield chunk * 100
                alive.append(sum(ref() is not None for ref in refs))

        def respond(request):
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, content=body(), headers=headers)

        refs: list[Any] = []
        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.OpenAI(api_key="k", http_client=http) as client:
            for index, piece in enumerate(ask(client, stream=True)):
                if index % 100 == 0:
                    refs.append(weakref.ref(piece))
        (completion,) = collected.of("completion")
        assert 4000 == completion["metrics"]["chunks"]
        assert "x " * 4000 == completion["content"]["text"]
        assert max(alive) < 10

    @pytest.mark.parametrize("read", ["all", "some", "none"])
    def test_objects_go_as_soon_as_without_us(self, read, provider, collected):
        """Nothing of ours keeps a stream alive for longer than the SDK does."""

        def run():
            client = client_of(provider, STREAM)
            stream = ask(client, stream=True)
            if read != "none":
                next(stream)
            if read == "all":
                for _ in stream:
                    pass
            gone = weakref.ref(stream)
            gc.disable()
            try:
                del stream
                at_once = gone() is None
            finally:
                gc.enable()
            gc.collect()
            return at_once, gone() is None

        plain, ours = self.twice(run)
        assert plain == ours
        assert ours[1]

    def test_no_cycle_is_kept_of_a_call(self, provider, collected):
        """A call leaves nothing for the collector that the SDK alone does not leave."""
        client = client_of(provider, TEXT)

        def run():
            ask(client)
            gc.collect()
            gc.disable()
            try:
                for _ in range(5):
                    ask(client)
                return gc.collect()
            finally:
                gc.enable()

        plain, ours = self.twice(run)
        assert ours <= plain


def provider_file(fixture):
    (item,) = [each for each in MANIFEST if each["id"] == fixture]
    return FIXTURES / item["file"]


class TestEnds:
    """However a call ends, it is on record once."""

    def test_closed_early(self, provider, collected):
        """A stream that is closed before its end."""
        stream = ask(client_of(provider, STREAM), stream=True)
        next(stream)
        next(stream)
        stream.close()
        assert ["prompt", "completion"] == actions(collected)
        assert "closed_early" == outcome(collected)
        assert "Once " == collected.of("completion")[0]["content"]["text"]

    def test_break(self, provider, collected):
        """A loop that is left; the stream goes when nobody has it."""
        stream = ask(client_of(provider, STREAM), stream=True)
        for _ in stream:
            break
        del stream, _
        gc.collect()
        assert "closed_early" == outcome(collected)

    def test_abandoned(self, provider, collected):
        """A stream that nobody ever reads."""
        ask(client_of(provider, STREAM), stream=True)
        gc.collect()
        assert "abandoned" == outcome(collected)

    def test_callers_exception(self, provider, collected):
        """An exception of the caller's within the `with` block."""
        with pytest.raises(ZeroDivisionError), ask(client_of(provider, STREAM), stream=True) as it:
            next(it)
            raise ZeroDivisionError
        assert "closed_early" == outcome(collected)

    def test_generator_of_the_callers(self, provider, collected):
        """A generator around the stream that is closed."""

        def words():
            with ask(client_of(provider, STREAM), stream=True) as stream:
                yield from stream

        generator = words()
        next(generator)
        generator.close()
        assert "closed_early" == outcome(collected)

    def test_closed_twice_and_read_on(self, provider, collected):
        """Whatever is done with a stream after its end records nothing more."""
        stream = ask(client_of(provider, STREAM), stream=True)
        for _ in stream:
            pass
        stream.close()
        stream.close()
        with pytest.raises(StopIteration):
            next(stream)
        del stream
        gc.collect()
        assert ["prompt", "completion"] == actions(collected)
        assert "completed" == outcome(collected)

    @pytest.mark.parametrize("cut", ["reset_after", "close_after"])
    def test_connection_that_breaks(self, cut, provider, collected):
        """A stream that breaks: what had come, and the error."""
        with pytest.raises(Exception) as caught:
            list(ask(client_of(provider, STREAM, **{cut: 4}), stream=True))
        assert ["prompt", "completion", "system"] == actions(collected)
        assert "failed" == outcome(collected)
        assert "Once upon a " == collected.of("completion")[0]["content"]["text"]
        (error,) = collected.of("system")
        assert type(caught.value).__name__ == error["extensions"]["error"]["type"]

    def test_cancelled_call(self, provider, collected):
        """A task that is cancelled while it waits for the answer."""

        async def run():
            async with async_client_of(provider, TEXT, ttfb=5) as client:
                task = asyncio.create_task(ask(client))
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(run())
        assert ["prompt", "system"] == actions(collected)
        assert "cancelled" == collected.events[1]["extensions"]["outcome"]
        assert logging.WARNING == collected.records[1].levelno

    def test_cancelled_stream(self, provider, collected):
        """A task that is cancelled within a stream."""

        async def run():
            async with async_client_of(provider, STREAM, stall_after=3) as client:

                async def read():
                    async for _ in await ask(client, stream=True):
                        pass

                task = asyncio.create_task(read())
                await asyncio.sleep(0.2)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(run())
        assert ["prompt", "completion"] == actions(collected)
        assert "cancelled" == outcome(collected)
        assert "Once upon " == collected.of("completion")[0]["content"]["text"]

    def test_async_stream_closed_early(self, provider, collected):
        """An asynchronous stream that is left within its block."""

        async def run():
            async with async_client_of(provider, STREAM) as client:
                async with await ask(client, stream=True) as stream:
                    async for _ in stream:
                        break
                await asyncio.sleep(0)

        asyncio.run(run())
        assert "closed_early" == outcome(collected)

    def test_timeout(self, provider, collected):
        """A server that takes too long."""
        with pytest.raises(openai.APITimeoutError):
            ask(client_of(provider, TEXT, ttfb=2), timeout=0.1)
        (error,) = collected.of("system")
        assert "APITimeoutError" == error["extensions"]["error"]["type"]

    def test_many_threads_end_one_stream(self, provider, collected):
        """Threads that close a stream at the same time record its end once."""
        for _ in range(20):
            stream = ask(client_of(provider, STREAM), stream=True)
            next(stream)
            threads = [threading.Thread(target=stream.close) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (20, 20) == (len(collected.of("prompt")), len(collected.of("completion")))

    def test_fork_in_mid_stream(self, provider, collected, forked, tmp_path, lines):
        """The child does not record the parent's end as its own; its own calls it records."""
        file = tmp_path / "log.jsonl"
        hilt_logging.basic_config(file)
        stream = ask(client_of(provider, STREAM), stream=True)
        next(stream)

        def child():
            stream.close()
            other = openai.OpenAI(api_key="k", base_url=f"{provider.url(TEXT)}/v1", max_retries=0)
            ask(other)

        assert 0 == forked.run(child)
        for _ in stream:
            pass
        events = lines(file)
        told = [(e["action"], e["extensions"].get("outcome")) for e in events]
        assert ("completion", "closed_early") not in told
        assert [("completion", "completed")] * 2 == [t for t in told if t[0] == "completion"]


class TestRetries:
    """Attempts that are made again."""

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_attempts(self, kind, provider, collected):
        """Each attempt that failed is a warning; the answer tells how many there were."""

        async def run():
            # the server counts failures by URL
            async with async_client_of(provider, "openai/chat_length", 3, fail429=2) as client:
                await ask(client)

        if kind == "sync":
            ask(client_of(provider, TEXT, retries=3, fail429=2))
        else:
            asyncio.run(run())
        assert ["prompt", "system", "system", "completion"] == actions(collected)
        for event, record in zip(collected.events[1:3], collected.records[1:3], strict=True):
            assert logging.WARNING == record.levelno
            told = event["extensions"]
            assert ("retried", 429) == (told["outcome"], told["status_code"])
            assert ("RateLimitError", 0.02) == (
                told["error"]["type"],
                told["error"]["retry_after_s"],
            )
        assert 3 == collected.of("completion")[0]["metrics"]["attempts"]
        assert 1 == len({event["provenance"]["call_id"] for event in collected.events})

    def test_all_attempts_fail(self, provider, collected):
        """The last attempt is the call's failure."""
        with pytest.raises(openai.InternalServerError):
            ask(client_of(provider, TEXT, retries=1, fail=5))
        retried, failed = collected.of("system")
        assert ("retried", "failed") == (
            retried["extensions"]["outcome"],
            failed["extensions"]["outcome"],
        )
        assert 2 == failed["metrics"]["attempts"]

    def test_connections_that_fail(self, provider, collected):
        """An attempt without an answer has the name that the SDK gives it."""
        with pytest.raises(openai.APIConnectionError):
            ask(client_of(provider, TEXT, retries=1, refuse=1))
        names = [event["extensions"]["error"]["type"] for event in collected.of("system")]
        assert ["APIConnectionError"] * 2 == names


class TestStyles:
    """The other ways to make a call."""

    @needs_parse
    def test_parse(self, provider, collected):
        """parse() is one call, and gives what it gives."""

        class Greeting(pydantic.BaseModel):
            text: str

        client = client_of(provider, "openai/chat_parallel_tools")
        made = client.chat.completions.parse(model="m", messages=HELLO, response_format=Greeting)
        assert made.choices[0].message.tool_calls
        assert 1 == len(collected.of("completion"))

    @needs_parse
    def test_answer_that_parse_refuses(self, provider, collected):
        """An answer that was cut is billed: it is on record, and then the SDK's exception."""

        class Greeting(pydantic.BaseModel):
            text: str

        client = client_of(provider, "openai/chat_length")
        with pytest.raises(openai.LengthFinishReasonError):
            client.chat.completions.parse(model="m", messages=HELLO, response_format=Greeting)
        assert ["prompt", "completion", "system"] == actions(collected)
        assert "truncated" == outcome(collected)
        assert collected.of("completion")[0]["metrics"]["tokens"]["total"] > 0
        (error,) = collected.of("system")
        assert "LengthFinishReasonError" == error["extensions"]["error"]["type"]

    @needs_parse
    def test_answer_that_is_not_of_the_model(self, provider, collected):
        """So is one that is no JSON of the wanted form."""

        class Greeting(pydantic.BaseModel):
            text: str

        client = client_of(provider, TEXT)
        with pytest.raises(pydantic.ValidationError):
            client.chat.completions.parse(model="m", messages=HELLO, response_format=Greeting)
        assert ["prompt", "completion", "system"] == actions(collected)
        assert "completed" == outcome(collected)

    @needs_parse
    def test_stream_helper(self, provider, collected):
        """stream() is one call; nothing is asked before its block begins."""
        client = client_of(provider, STREAM)
        manager = client.chat.completions.stream(model="m", messages=HELLO)
        assert [] == collected.events
        with manager as stream:
            kinds = [event.type for event in stream]
        assert "content.delta" in kinds
        assert STREAMED == stream.get_final_completion().choices[0].message.content
        assert STREAMED == collected.of("completion")[0]["content"]["text"]
        assert ["prompt", "completion"] == actions(collected)

    @needs_parse
    def test_stream_helper_left_early(self, provider, collected):
        """Leaving its block early is the end."""
        client = client_of(provider, STREAM)
        with client.chat.completions.stream(model="m", messages=HELLO) as stream:
            next(stream)
        assert "closed_early" == outcome(collected)

    @needs_parse
    def test_async_stream_helper_left_early(self, provider, collected):
        """And in the same way with the asynchronous one."""

        async def run():
            async with async_client_of(provider, STREAM) as client:
                async with client.chat.completions.stream(model="m", messages=HELLO) as stream:
                    await anext(stream)
                assert "closed_early" == outcome(collected)

        asyncio.run(run())

    @needs_responses
    def test_responses_stream_helper(self, provider, collected):
        """responses.stream() is one call."""
        client = client_of(provider, "openai/responses_stream_text")
        with client.responses.stream(model="m", input="Hello") as stream:
            final = stream.get_final_response()
        assert final.output_text == collected.of("completion")[0]["content"]["text"]
        assert ["prompt", "completion"] == actions(collected)

    def test_raw_response(self, provider, collected):
        """with_raw_response gives the caller's own object, which parses when it is asked."""
        raw = client_of(provider, TEXT).chat.completions.with_raw_response.create(
            model="m", messages=HELLO
        )
        assert "LegacyAPIResponse" == type(raw).__name__
        assert {} == raw._parsed_by_type
        (completion,) = collected.of("completion")
        assert raw.request_id == completion["provenance"]["request_id"]
        assert raw.parse().choices[0].message.content == completion["content"]["text"]
        assert raw.parse() is raw.parse()
        assert 1 == len(collected.of("completion"))

    def test_raw_stream(self, provider, collected):
        """So does a stream under with_raw_response."""
        raw = client_of(provider, STREAM).chat.completions.with_raw_response.create(
            model="m", messages=HELLO, stream=True
        )
        assert {} == raw._parsed_by_type
        stream = raw.parse()
        assert stream is raw.parse()
        for _ in stream:
            pass
        (completion,) = collected.of("completion")
        assert STREAMED == completion["content"]["text"]
        assert raw.request_id == completion["provenance"]["request_id"]

    def test_raw_stream_that_nobody_reads(self, provider, collected):
        """One that is dropped unread is closed early."""
        raw = client_of(provider, STREAM).chat.completions.with_raw_response.create(
            model="m", messages=HELLO, stream=True
        )
        raw.http_response.close()
        del raw
        gc.collect()
        assert "closed_early" == outcome(collected)

    @pytest.mark.parametrize("how", ["parse", "json", "text", "read"])
    def test_streaming_response(self, how, provider, collected):
        """Under with_streaming_response the body is read when the caller reads it."""
        create = client_of(provider, TEXT).chat.completions.with_streaming_response.create
        with create(model="m", messages=HELLO) as response:
            assert not response.http_response.is_stream_consumed
            assert ["prompt"] == actions(collected)
            getattr(response, how)()
        (completion,) = collected.of("completion")
        assert "Welcome aboard" in completion["content"]["text"]
        assert response.request_id == completion["provenance"]["request_id"]

    def test_streaming_response_read_as_lines(self, provider, collected):
        """What the caller reads line by line goes to nobody else: that is said."""
        create = client_of(provider, TEXT).chat.completions.with_streaming_response.create
        with create(model="m", messages=HELLO) as response:
            assert "".join(response.iter_lines())
        (completion,) = collected.of("completion")
        assert "content" not in completion
        assert ("completed", "not_seen") == (
            completion["extensions"]["outcome"],
            completion["extensions"]["body"],
        )

    def test_streaming_response_of_a_stream(self, provider, collected):
        """A stream that is taken from it is watched."""
        create = client_of(provider, STREAM).chat.completions.with_streaming_response.create
        with create(model="m", messages=HELLO, stream=True) as response:
            for _ in response.parse():
                pass
        assert STREAMED == collected.of("completion")[0]["content"]["text"]

    def test_async_streaming_response(self, provider, collected):
        """And in the same way with the asynchronous client."""

        async def run():
            async with async_client_of(provider, TEXT) as client:
                create = client.chat.completions.with_streaming_response.create
                async with create(model="m", messages=HELLO) as response:
                    await response.parse()

        asyncio.run(run())
        assert "Welcome aboard" in collected.of("completion")[0]["content"]["text"]

    def test_post(self, provider, collected):
        """A call that goes past the resources is a call."""
        client_of(provider, TEXT).post(
            "/chat/completions",
            body={"model": "m", "messages": HELLO},
            cast_to=openai.types.chat.ChatCompletion,
        )
        assert ["prompt", "completion"] == actions(collected)

    def test_extra_body(self, provider, collected):
        """What extra_body adds to the request is a part of it."""
        ask(client_of(provider, TEXT), extra_body={"temperature": 0.5})
        assert 0.5 == collected.of("prompt")[0]["provenance"]["params"]["temperature"]

    def test_what_is_no_interaction(self, collected):
        """A list of models records nothing."""

        def respond(request):
            return httpx2.Response(200, json={"object": "list", "data": []})

        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.OpenAI(api_key="k", http_client=http) as client:
            client.models.list()
            client.files.list()
        assert [] == collected.events

    @pytest.mark.parametrize("make", [lambda c: c.with_options(timeout=9), lambda c: c.copy()])
    def test_copies_of_one_client(self, make, provider, collected):
        """What is made of the one client that is recorded is recorded, too."""
        hilt_logging.uninstrument()
        client = client_of(provider, TEXT)
        hilt_logging.instrument(client)
        ask(make(client))
        ask(client_of(provider, TEXT))
        assert 1 == len(collected.of("prompt"))

    def test_helper_is_recorded_once(self, provider, collected):
        """log_openai_call on an instrumented client records its call once."""
        from hilt_logging.integrations.openai import log_openai_call

        log_openai_call(client=client_of(provider, TEXT), model="m", user_message="Hello")
        for _ in log_openai_call(
            client=client_of(provider, STREAM), model="m", user_message="Hello", stream=True
        ):
            pass
        assert ["prompt", "completion"] * 2 == actions(collected)


def served(reply: Any, **options: Any) -> Any:
    """A client whose server answers what *reply* makes of path and body."""

    def respond(request: Any) -> Any:
        body = json.loads(request.content) if request.content else None
        return httpx2.Response(200, json=reply(request.url.path, body))

    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    return openai.OpenAI(api_key="k", http_client=http, **options)


COMPLETION = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes"}}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def response_of(response_id: str, text: str, status: str = "completed") -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    message = {"type": "message", "id": "msg", "role": "assistant", "status": "completed"}
    usage = {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}
    return {
        "id": response_id,
        "object": "response",
        "created_at": 1,
        "model": "m",
        "status": status,
        "output": [{**message, "content": content}] if text else [],
        "usage": usage if status == "completed" else None,
    }


def streamed(*chunks: dict[str, Any]) -> Any:
    """A client whose server answers with a stream of these chunks."""
    shape = {"id": "c", "model": "m", "object": "chat.completion.chunk", "created": 1}
    data = "".join(f"data: {json.dumps(shape | chunk)}\n\n" for chunk in chunks)

    def respond(request: Any) -> Any:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, text=f"{data}data: [DONE]\n\n", headers=headers)

    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    return openai.OpenAI(api_key="k", http_client=http)


def delta(index: int = 0, reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": fields, "finish_reason": reason}]}


class TestPieces:
    """Streams whose pieces are not just text."""

    def events_of(self, collected, *chunks):
        with streamed(*chunks) as client:
            for _ in ask(client, stream=True):
                pass
        (completion,) = collected.of("completion")
        return completion, [event["extensions"]["tool"] for event in collected.of("tool_call")]

    def test_choices_that_take_turns(self, collected):
        """Each choice is put together by itself; the first one is the text."""
        pieces = [delta(index, content=f"{index}{word} ") for word in "abc" for index in (1, 0)]
        ends = [delta(0, "stop"), delta(1, "length")]
        completion, _ = self.events_of(collected, *pieces, *ends)
        assert "0a 0b 0c " == completion["content"]["text"]
        said = [each["parts"][0]["content"] for each in completion["content"]["messages"]]
        assert ["0a 0b 0c ", "1a 1b 1c "] == said
        assert "stop" == completion["extensions"]["finish_reason"]

    def test_content_in_parts(self, collected):
        """Text that comes in parts, as Mistral's, is text, and thinking is a part of its own."""
        thought = {"type": "thinking", "thinking": [{"type": "text", "text": "let me "}]}
        said = {"type": "text", "text": "see"}
        pieces = [delta(content="I "), delta(content=[thought]), delta(content=[said])]
        completion, _ = self.events_of(collected, *pieces, delta(content="."), delta(0, "stop"))
        assert "I see." == completion["content"]["text"]
        parts = completion["content"]["messages"][0]["parts"]
        assert {"type": "reasoning", "content": "let me "} in parts

    def test_a_piece_of_no_form(self, collected):
        """A piece that nobody can read does not take the others with it."""
        odd = [{"choices": None}, delta(content=5), {"choices": [{"index": 0, "delta": None}]}]
        pieces = [delta(content="a"), *odd, delta(content="b"), *odd, delta(content="c")]
        completion, _ = self.events_of(collected, *pieces, delta(0, "stop"))
        assert "abc" == completion["content"]["text"]

    @pytest.mark.parametrize("index", [{}, {"index": 0}])
    def test_calls_without_an_index_of_their_own(self, index, collected):
        """Tools that a server asks for one after the other are not taken for one."""

        def piece(name, call_id, arguments):
            told = {"name": name, "arguments": arguments} if name else {"arguments": arguments}
            return delta(tool_calls=[{**index, "id": call_id, "function": told}])

        pieces = [piece("f", "1", '{"x": '), piece(None, None, "1}"), piece("g", "2", "{}")]
        _, tools = self.events_of(collected, *pieces, delta(0, "tool_calls"))
        assert [("f", "1", {"x": 1}), ("g", "2", {})] == [
            (tool["name"], tool["call_id"], tool["arguments"]) for tool in tools
        ]

    def test_reasoning(self, collected):
        """What other servers call reasoning is a part of its own, wherever it comes."""
        pieces = [delta(role="assistant", reasoning_content="Let me "), delta(content="Yes")]
        pieces += [delta(content=", "), delta(reasoning_content="think"), delta(content="sir.")]
        completion, _ = self.events_of(collected, *pieces, delta(reason="stop"))
        assert "Yes, sir." == completion["content"]["text"]
        reasoning, said = completion["content"]["messages"][0]["parts"]
        assert {"type": "reasoning", "content": "Let me think"} == reasoning
        assert "Yes, sir." == said["content"]

    def test_tools_after_text(self, collected):
        """Calls of tools whose pieces take turns, after a text."""
        calls = [
            {"index": i, "id": f"c{i}", "type": "function", "function": {"name": f"f{i}"}}
            for i in (0, 1)
        ]
        more = [
            delta(tool_calls=[{"index": i, "function": {"arguments": piece}}])
            for piece in ('{"x":', " 1}")
            for i in (1, 0)
        ]
        start = [delta(content="Let me"), delta(content=" see.")]
        completion, tools = self.events_of(
            collected, *start, delta(tool_calls=calls), *more, delta(reason="tool_calls")
        )
        assert "Let me see." == completion["content"]["text"]
        assert [("f0", "c0", {"x": 1}), ("f1", "c1", {"x": 1})] == [
            (each["name"], each["call_id"], each["arguments"]) for each in tools
        ]

    def test_sound(self, collected):
        """Of sound the transcript is the text, and the sound itself a reference."""
        one, two = (base64.b64encode(piece).decode() for piece in (b"one", b"two"))
        pieces = [
            delta(audio={"id": "a", "transcript": "Hel"}),
            delta(audio={"data": one, "transcript": "lo"}),
            delta(audio={"data": two}),
        ]
        completion, _ = self.events_of(collected, *pieces, delta(reason="stop"))
        assert "Hello" == completion["content"]["text"]
        (sound,) = [
            part
            for part in completion["content"]["messages"][0]["parts"]
            if part["type"] == "audio"
        ]
        assert (6, hashlib.sha256(b"onetwo").hexdigest()) == (sound["bytes"], sound["sha256"])


@needs_responses
class TestResponses:
    """What only the Responses API has."""

    def test_previous_response(self, collected):
        """A request that names the answer it goes on from belongs to its conversation."""
        numbers = iter(range(9))
        with served(lambda path, body: response_of(f"resp_{next(numbers)}", "yes")) as client:
            first = client.responses.create(model="m", input="one")
            second = client.responses.create(model="m", input="two", previous_response_id=first.id)
            client.responses.create(model="m", input="three", previous_response_id=second.id)
        prompts = collected.of("prompt")
        assert 1 == len({event["session_id"] for event in collected.events})
        assert ["new", "request", "request"] == [
            event["extensions"]["session_source"] for event in prompts
        ]
        from hilt_logging.io.transcripts import Transcripts

        told = Transcripts(collected.events).of(prompts[2]["event_id"])
        assert ["one", "yes", "two", "yes", "three"] == [
            turn["parts"][0]["content"] for turn in told.turns
        ]
        assert told.is_exact

    def test_previous_response_that_nobody_knows(self, collected):
        """One that another process has seen is named."""
        with served(lambda path, body: response_of("resp_1", "yes")) as client:
            client.responses.create(model="m", input="two", previous_response_id="resp_0")
        assert {"response_id": "resp_0"} == collected.of("prompt")[0]["extensions"]["history"]

    def test_conversation(self, collected):
        """A request that names its conversation belongs to it."""
        with served(lambda path, body: response_of("resp_1", "yes")) as client:
            client.responses.create(model="m", input="two", conversation="conv_1")
        assert {"conv_1"} == {event["session_id"] for event in collected.events}

    def test_input_items(self, collected):
        """A history of items is the same as the answers that they repeat."""
        numbers = iter(range(9))
        with served(lambda path, body: response_of(f"resp_{next(numbers)}", "yes")) as client:
            items: list[Any] = [{"role": "user", "content": "one"}]
            made = client.responses.create(model="m", input=items)
            items += [each.model_dump() for each in made.output]
            client.responses.create(model="m", input=[*items, {"role": "user", "content": "two"}])
        first, second = collected.of("prompt")
        assert first["session_id"] == second["session_id"]
        assert "two" == second["content"]["text"]
        assert "messages" not in second["content"]

    def test_background(self, collected):
        """An answer that is asked for later is the call's, with the time that it took."""
        states = iter(["queued", "in_progress", "completed", "completed"])

        def reply(path, body):
            state = next(states)
            return response_of("resp_b", "done" if state == "completed" else "", state)

        with served(reply) as client:
            made = client.responses.create(model="m", input="one", background=True)
            while made.status != "completed":
                time.sleep(0.01)
                made = client.responses.retrieve(made.id)
            client.responses.retrieve(made.id)
        assert ["prompt", "completion", "completion"] == actions(collected)
        early, late = collected.of("completion")
        assert "outcome" not in early["extensions"]
        assert "queued" == early["extensions"]["finish_reason"]
        assert ("done", "completed") == (late["content"]["text"], late["extensions"]["outcome"])
        assert 5 == late["metrics"]["tokens"]["total"]
        assert 1 == len({event["provenance"]["call_id"] for event in collected.events})

    @pytest.mark.parametrize("known", [True, False])
    def test_stream_that_is_retrieved(self, known, collected):
        """A stream that is asked for by its id is recorded unless the answer is on record."""
        response = response_of("resp_s", "Hello")
        events = [
            {"type": "response.output_text.delta", "delta": "Hello", "sequence_number": 1},
            {"type": "response.completed", "response": response, "sequence_number": 2},
        ]
        data = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events)

        def respond(request):
            if request.method == "POST":
                return httpx2.Response(200, json=response)
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, text=data, headers=headers)

        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.OpenAI(api_key="k", http_client=http) as client:
            if known:
                client.responses.create(model="m", input="one")
            pieces = list(client.responses.retrieve("resp_s", stream=True))
        assert 2 == len(pieces)
        (completion,) = collected.of("completion")
        assert "Hello" == completion["content"]["text"]


class TestProviders:
    """Who answers is known from the host."""

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("https://api.openai.com/v1", "openai"),
            ("https://eu.api.openai.com/v1", "openai"),
            ("http://localhost:11434/v1", "localhost"),
            ("https://openrouter.ai/api/v1", "openrouter"),
            ("https://api.groq.com/openai/v1", "groq"),
            ("https://api.deepseek.com", "deepseek"),
            ("https://bedrock-runtime.eu-west-1.amazonaws.com/openai/v1", "bedrock"),
        ],
    )
    def test_base_url(self, url, name, collected):
        """A server that speaks OpenAI's language has its own name, and not OpenAI's prices."""
        set_prices({"openai": {"m": {"input": 1, "output": 1}}})
        try:
            with served(lambda path, body: COMPLETION, base_url=url) as client:
                ask(client)
        finally:
            set_prices(None)
        (completion,) = collected.of("completion")
        assert name == completion["provenance"]["provider"]
        assert (name == "openai") == ("cost_usd" in completion["metrics"])

    def test_azure(self, collected):
        """Azure's client is recorded as Azure's, with the deployment as the requested model."""

        def respond(request):
            assert "/deployments/mine/chat/completions" in str(request.url)
            return httpx2.Response(200, json={**COMPLETION, "model": "gpt-4o"})

        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.AzureOpenAI(
            api_key="k",
            api_version="2024-10-21",
            azure_endpoint="https://mine.openai.azure.com",
            http_client=http,
        ) as client:
            client.chat.completions.create(model="mine", messages=HELLO)
        (completion,) = collected.of("completion")
        told = completion["provenance"]
        assert ("azure", "mine", "gpt-4o") == (
            told["provider"],
            told["request_model"],
            told["model"],
        )


class TestHostile:
    """What nobody should hand over."""

    def test_answer_of_another_kind(self, collected):
        """An answer that is no JSON is what the SDK makes of it."""

        def respond(request):
            return httpx2.Response(200, text="<html>", headers={"content-type": "text/html"})

        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.OpenAI(api_key="k", http_client=http) as client:
            assert "<html>" == ask(client)
        assert "<html>" == collected.of("completion")[0]["content"]["text"]

    def test_recording_that_fails(self, provider, collected, monkeypatch):
        """Whatever fails in recording, the call goes on."""
        from hilt_logging.integrations import _openai_calls

        for name in ("_begun", "prompt_of", "answer_of", "ChatChunks"):
            with monkeypatch.context() as patch:
                patch.setattr(_openai_calls, name, lambda *_: 1 / 0)
                assert ask(client_of(provider, TEXT)).choices
                assert len(list(ask(client_of(provider, STREAM), stream=True))) > 3

    def test_recording_that_is_set_up_to_raise(self, provider, collected):
        """With on_error="raise" it stops a request that has not left, and no answer."""

        class Raises(logging.Handler):
            def emit(self, record):
                if record.hilt["action"] in self.actions:
                    raise hilt_logging.RecordingError("not written")

        handler = Raises()
        logging.getLogger("hilt").addHandler(handler)
        try:
            handler.actions = ["prompt"]
            provider.journal.clear()
            with pytest.raises(hilt_logging.RecordingError):
                ask(client_of(provider, TEXT))
            assert [] == provider.journal
            handler.actions = ["completion"]
            assert ask(client_of(provider, TEXT)).choices
        finally:
            logging.getLogger("hilt").removeHandler(handler)


class TestNothingIsTouched:
    """What the application does with a call beside reading it."""

    def test_the_encoding_of_a_raw_response(self):
        """An answer that is no JSON may still be told another encoding."""

        def respond(request: Any) -> Any:
            return httpx2.Response(200, content="h\xe9".encode("latin-1"))

        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with openai.OpenAI(api_key="k", http_client=http) as client:
            raw = ask(client.with_raw_response)
        raw.http_response.encoding = "latin-1"
        assert "h\xe9" == raw.http_response.text

    def test_a_coroutine_that_is_closed_elsewhere(self, collected):
        """A call that is closed in another context than it ran in ends as without us, on record."""

        class Paused:
            def __await__(self):
                yield

        async def respond(request: Any) -> Any:
            await Paused()

        http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
        client = openai.AsyncOpenAI(api_key="k", http_client=http, max_retries=0)

        async def call():
            return await ask(client)

        async def left():
            pending = call()
            contextvars.copy_context().run(pending.send, None)
            pending.close()
            await http.aclose()

        asyncio.run(left())
        assert ["prompt", "system"] == actions(collected)
        assert "cancelled" == collected.of("system")[0]["extensions"]["outcome"]

    def test_a_client_that_makes_its_own_exceptions(self, collected):
        """What an application puts into a client is called as often as without us."""
        made, answers = [], [httpx2.Response(429, json={}), httpx2.Response(200, json=COMPLETION)]

        class Client(openai.OpenAI):
            def _make_status_error(self, *args, **kwargs):
                made.append(args)
                return super()._make_status_error(*args, **kwargs)

            def _calculate_retry_timeout(self, *args):
                return 0.0

        transport = httpx2.MockTransport(lambda request: answers.pop(0))
        with Client(api_key="k", http_client=httpx2.Client(transport=transport)) as client:
            ask(client)
        assert [] == made
        retried = collected.of("system")[0]["extensions"]
        assert ("retried", "RateLimitError") == (retried["outcome"], retried["error"]["type"])

    def test_a_tool_that_was_there_before(self, collected, instrumented, monkeypatch):
        """Another tool's `request` of the client leads past ours in its base, and hides streams."""
        wrapt = pytest.importorskip("wrapt")
        hilt_logging.uninstrument()
        before = openai.OpenAI.request

        def request(self, *args, **kwargs):
            result = before(self, *args, **kwargs)
            return wrapt.ObjectProxy(result) if isinstance(result, openai.Stream) else result

        monkeypatch.setattr(openai.OpenAI, "request", request)
        instrumented("openai")
        with streamed(delta(content="yes"), delta(0, "stop")) as client:
            stream = ask(client, stream=True)
            assert wrapt.ObjectProxy is type(stream)
            assert 2 == len(list(stream))
        assert ["prompt", "completion"] == actions(collected)
        assert "yes" == collected.of("completion")[0]["content"]["text"]
        hilt_logging.uninstrument()
        assert request is openai.OpenAI.request
