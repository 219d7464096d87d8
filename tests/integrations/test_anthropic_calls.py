"""Anthropic's clients under instrument(): what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import copy
import gc
import json
import logging
import pickle
import sys
import threading
import weakref

from typing import Any

import pytest

import hilt_logging

from hilt_logging import validate_event
from hilt_logging.integrations import _anthropic_calls, set_prices
from hilt_logging.integrations._latest import Latest
from hilt_logging.io.transcripts import Transcripts

from ._manifest import check, of
from .conftest import FIXTURES, MANIFEST


anthropic = pytest.importorskip("anthropic")
pydantic = pytest.importorskip("pydantic")
httpx2 = pytest.importorskip("httpx2")

HELLO = [{"role": "user", "content": "Hello"}]
TEXT = "anthropic/message_text"
STREAM = "anthropic/stream_text"
STREAMED = "Once upon a time, a small server learned to stream."
MODEL = "claude-sonnet-5-5"
STREAMS = of("anthropic", stream=True)


@pytest.fixture(autouse=True)
def _on(instrumented, monkeypatch):
    for memory in ("_told", "_waiting"):
        monkeypatch.setattr(_anthropic_calls, memory, Latest())
    instrumented("anthropic")


@pytest.fixture(scope="module", autouse=True)
def _http():
    """One HTTP client for all: to make one reads certificates, which takes longer than the tests."""
    with httpx2.Client(verify=False) as client:
        Shared.http = client
        yield


class Shared:
    http: Any = None


def client_of(provider: Any, fixture: str, retries: int = 0, **options: Any) -> Any:
    url = provider.url(fixture, **options)
    http = Shared.http
    return anthropic.Anthropic(api_key="k", base_url=url, max_retries=retries, http_client=http)


def async_client_of(provider: Any, fixture: str, retries: int = 0, **options: Any) -> Any:
    url = provider.url(fixture, **options)
    http = httpx2.AsyncClient(verify=False)
    made = anthropic.AsyncAnthropic
    return made(api_key="k", base_url=url, max_retries=retries, http_client=http)


def ask(client: Any, **options: Any) -> Any:
    return client.messages.create(**{**ASKED, **options})


ASKED = {"model": MODEL, "max_tokens": 9, "messages": HELLO}


def served(respond: Any, made: Any = None, **options: Any) -> Any:
    """A client whose server answers what *respond* makes of a request."""
    http = httpx2.Client(transport=httpx2.MockTransport(respond))
    if made is None:
        made, options = anthropic.Anthropic, {"api_key": "k", **options}
    return made(http_client=http, max_retries=0, **options)


def message(*blocks: Any, **fields: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": each} if isinstance(each, str) else each for each in blocks]
    usage = {"input_tokens": 3, "output_tokens": 2}
    made = {"id": "msg_1", "type": "message", "role": "assistant", "model": MODEL}
    return {**made, "content": content, "stop_reason": "end_turn", "usage": usage, **fields}


def replying(*answers: Any, **options: Any) -> Any:
    """A client that gets these answers, one after the other."""
    left = iter(answers)
    return served(lambda request: httpx2.Response(200, json=next(left)), **options)


def actions(collected: Any) -> list[str]:
    return [event["action"] for event in collected.events]


def outcome(collected: Any) -> str:
    (completion,) = collected.of("completion")
    return completion["extensions"]["outcome"]


def held_against(item: dict[str, Any], collected: Any) -> None:
    """What was recorded, against the manifest; of a stream that broke as far as it told."""
    if item["stream"] and "usage" not in item["expected"]:
        expected = {**item["expected"], "usage": item["expected"]["usage_start"]}
        item = {**item, "expected": expected}
    check(item, collected)
    if item["expected"].get("stop_sequence"):
        told = collected.of("completion")[0]["extensions"]
        assert item["expected"]["stop_sequence"] == told["stop_sequence"]
    if item["stream"]:
        (completion,) = collected.of("completion")
        assert item["expected"]["chunks"] == completion["metrics"]["chunks"]
        assert item["expected"]["header_request_id"] == completion["provenance"]["request_id"]


class TestFixtures:
    """Every fixture through the instrumented clients, against the manifest."""

    @pytest.mark.parametrize("item", of("anthropic"))
    @pytest.mark.parametrize("resource", ["messages", "beta"])
    def test_sync(self, item, resource, provider, collected):
        """What the synchronous client got is on record as the manifest has it."""
        client = client_of(provider, item["id"])
        messages = client.messages if resource == "messages" else client.beta.messages
        result = messages.create(**item["request"]["body"])
        if item["stream"]:
            try:
                for _ in result:
                    pass
            except anthropic.APIError:
                assert "error" in item["expected"]
        held_against(item, collected)

    @pytest.mark.parametrize("item", of("anthropic"))
    def test_async(self, item, provider, collected):
        """What the asynchronous client got is on record in the same way."""

        async def run():
            async with async_client_of(provider, item["id"]) as client:
                result = await client.messages.create(**item["request"]["body"])
                if item["stream"]:
                    try:
                        async for _ in result:
                            pass
                    except anthropic.APIError:
                        assert "error" in item["expected"]

        asyncio.run(run())
        held_against(item, collected)

    @pytest.mark.parametrize("item", STREAMS)
    @pytest.mark.parametrize("resource", ["messages", "beta"])
    def test_stream_helper(self, item, resource, provider, collected):
        """So is what came through stream()."""
        client = client_of(provider, item["id"])
        messages = client.messages if resource == "messages" else client.beta.messages
        body = {k: v for k, v in item["request"]["body"].items() if k != "stream"}
        try:
            with messages.stream(**body) as stream:
                stream.until_done()
        except anthropic.APIError:
            assert "error" in item["expected"]
        held_against(item, collected)

    @pytest.mark.parametrize("item", STREAMS)
    def test_async_stream_helper(self, item, provider, collected):
        """And through the asynchronous one."""
        body = {k: v for k, v in item["request"]["body"].items() if k != "stream"}

        async def run():
            async with async_client_of(provider, item["id"]) as client:
                try:
                    async with client.messages.stream(**body) as stream:
                        async for _ in stream.text_stream:
                            pass
                except anthropic.APIError:
                    assert "error" in item["expected"]

        asyncio.run(run())
        held_against(item, collected)

    @pytest.mark.parametrize("item", of("anthropic", errors=True))
    @pytest.mark.parametrize("kind", ["sync", "async", "stream"])
    def test_error(self, item, kind, provider, collected):
        """An error is recorded with its class, status, word and wait, and raised unchanged."""
        expected = item["expected"]["error"]

        async def run():
            async with async_client_of(provider, item["id"]) as client:
                await client.messages.create(**item["request"]["body"])

        with pytest.raises(anthropic.APIStatusError) as caught:
            if kind == "async":
                asyncio.run(run())
            else:
                client = client_of(provider, item["id"])
                client.messages.create(**item["request"]["body"], stream=kind == "stream")
        (prompt,), (error,) = collected.of("prompt"), collected.of("system")
        told = error["extensions"]
        assert expected["class"] == type(caught.value).__name__ == told["error"]["type"]
        assert (expected["status"], expected["type"]) == (
            told["status_code"],
            told["error"]["code"],
        )
        assert expected["message_contains"] in told["error"]["message"]
        assert expected["request_id"] == error["provenance"]["request_id"]
        wait = expected.get("retry-after")
        assert (None if wait is None else float(wait)) == told["error"].get("retry_after_s")
        assert prompt["event_id"] == told["reply_to"]
        assert [] == validate_event(error)

    @pytest.mark.parametrize("item", [each for each in STREAMS if "unicode" not in each.id])
    def test_cut_at_every_byte(self, item, provider, collected):
        """A stream whose pieces are cut anywhere is the same."""
        client = client_of(provider, item["id"], piece=1)
        try:
            for _ in client.messages.create(**item["request"]["body"]):
                pass
        except anthropic.APIError:
            assert "error" in item["expected"]
        held_against(item, collected)

    def test_cut_within_characters(self, provider, collected):
        """And one that is cut within characters."""
        (item,) = [each for each in MANIFEST if each["id"] == "anthropic/stream_unicode"]
        for _ in client_of(provider, item["id"], piece=7).messages.create(
            **item["request"]["body"]
        ):
            pass
        held_against(item, collected)

    def test_where_a_stream_ends(self, collected):
        """Wherever a stream ends, between any two bytes, it is on record once, with what had come."""
        data = (FIXTURES / "anthropic/stream_parallel_tools.sse").read_bytes()
        headers = {"content-type": "text/event-stream"}
        texts = []
        for end in range(0, len(data), 7):
            collected.records.clear()

            def respond(request, body=data[:end]):
                return httpx2.Response(200, content=body, headers=headers)

            raised = None
            with served(respond) as client:
                try:
                    for _ in ask(client, stream=True):
                        pass
                except Exception as error:
                    raised = type(error).__name__
            (completion,) = collected.of("completion")
            assert ("failed" if raised else "completed") == outcome(collected)
            assert [raised] * bool(raised) == [
                event["extensions"]["error"]["type"] for event in collected.of("system")
            ]
            texts.append(completion.get("content", {}).get("text", ""))
        assert texts == sorted(texts, key=len)
        assert texts[-1].startswith(texts[len(texts) // 2])


def twice(run):
    """What *run* gives uninstrumented and instrumented."""
    hilt_logging.uninstrument()
    plain = run()
    hilt_logging.instrument("anthropic")
    return plain, run()


class TestFidelity:
    """With and without instrument() the SDK gives, raises and does the same."""

    @pytest.mark.parametrize("item", of("anthropic", stream=False))
    def test_answers(self, item, provider, collected):
        """Types and values of answers are the same, and they can be pickled and copied."""

        def run():
            return client_of(provider, item["id"]).messages.create(**item["request"]["body"])

        plain, ours = twice(run)
        assert type(plain) is type(ours) is anthropic.types.Message
        assert plain == ours
        assert plain._request_id == ours._request_id
        assert vars(plain).keys() == vars(ours).keys()
        assert ours == copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours))

    @pytest.mark.parametrize("item", STREAMS)
    @pytest.mark.parametrize("style", ["create", "stream"])
    def test_streams(self, item, style, provider, collected):
        """Types, order and values of a stream's pieces are the same, and what ends it."""

        def run():
            messages = client_of(provider, item["id"]).messages
            body = {k: v for k, v in item["request"]["body"].items() if k != "stream"}
            pieces, error = [], None
            make = messages.stream(**body) if style == "stream" else ask_for(messages, body)
            with make as stream:
                try:
                    pieces.extend(stream)
                except anthropic.APIError as caught:
                    error = caught
            kinds = [type(each) for each in pieces]
            told = type(error), str(error), getattr(error, "body", None)
            return type(stream), pieces, kinds, told, stream.response.is_closed

        def ask_for(messages, body):
            return messages.create(**body, stream=True)

        plain, ours = twice(run)
        assert plain == ours
        expected = anthropic.Stream if style == "create" else anthropic.MessageStream
        assert ours[0] is expected

    @pytest.mark.parametrize("item", STREAMS)
    def test_async_streams(self, item, provider, collected):
        """And with the asynchronous client."""

        async def read():
            async with async_client_of(provider, item["id"]) as client:
                stream = await client.messages.create(**item["request"]["body"])
                pieces, error = [], None
                try:
                    pieces.extend([piece async for piece in stream])
                except anthropic.APIError as caught:
                    error = caught
                return type(stream), pieces, type(error), str(error), stream.response.is_closed

        plain, ours = twice(lambda: asyncio.run(read()))
        assert plain == ours
        assert anthropic.AsyncStream is ours[0]

    @pytest.mark.parametrize("item", of("anthropic", errors=True))
    def test_errors(self, item, provider, collected):
        """Exceptions are the same."""

        def run():
            with pytest.raises(anthropic.APIError) as caught:
                ask(client_of(provider, item["id"]))
            error = caught.value
            context = type(error.__cause__), type(error.__context__)
            return type(error), error.args, str(error), error.body, error.request_id, context

        plain, ours = twice(run)
        assert plain == ours

    def test_final_message(self, provider, collected):
        """The helpers of a stream give what they give."""

        def run():
            with client_of(provider, STREAM).messages.stream(**ASKED) as stream:
                texts = list(stream.text_stream)
                return texts, stream.get_final_text(), stream.get_final_message()

        plain, ours = twice(run)
        assert plain == ours
        assert STREAMED == ours[1]

    def test_functions_look_the_same(self):
        """What is put around a function has its name, its signature, and is a coroutine's."""
        import inspect

        from anthropic._base_client import AsyncAPIClient, SyncAPIClient

        for owner in (SyncAPIClient, AsyncAPIClient):
            ours = owner.request
            original = ours.__wrapped__
            assert inspect.signature(original) == inspect.signature(ours)
            assert (original.__name__, original.__doc__) == (ours.__name__, ours.__doc__)
            are = inspect.iscoroutinefunction
            assert are(original) == are(ours)

    def test_all_is_put_back(self):
        """After uninstrument() nothing of ours is in the SDK."""

        def left():
            found = [
                getattr(getattr(sys.modules.get(module), owner, None), name, None)
                for module, hooks in _anthropic_calls._HOOKS.items()
                for owner, name, _ in hooks
            ]
            return [each for each in found if each and "hilt" in each.__code__.co_filename]

        assert len(left()) >= 10
        hilt_logging.uninstrument()
        assert [] == left()

    def test_first_piece_does_not_wait_for_the_second(self, provider, collected):
        """Nothing is read ahead: the first piece is there before the server sent the second."""
        provider.journal.clear()
        stream = ask(client_of(provider, STREAM, delay=0.2), stream=True)
        next(stream)
        sent = provider.journal[-1]["sent"]
        assert sent < len((FIXTURES / "anthropic/stream_text.sse").read_bytes()) / 2
        stream.close()

    @pytest.mark.parametrize("style", ["create", "stream"])
    def test_nothing_is_read_before_the_caller_reads(self, style, provider, collected):
        """A stream that nobody reads reads nothing."""
        client = client_of(provider, STREAM)
        made = ask(client, stream=True) if style == "create" else client.messages.stream(**ASKED)
        with made as stream:
            assert not stream.response.is_stream_consumed
            assert 0 == stream.response.num_bytes_downloaded

    def test_memory_of_a_long_stream_is_bounded(self, collected):
        """However many pieces come, only the text of them is kept."""
        start = message(stop_reason=None)
        block = {"type": "text", "text": ""}
        head = event("message_start", message=start)
        head += event("content_block_start", index=0, content_block=block)
        delta = {"type": "text_delta", "text": "x "}
        chunk = event("content_block_delta", index=0, delta=delta)
        alive = []

        def body():
            yield head
            for _ in range(40):
                yield chunk * 100
                alive.append(sum(ref() is not None for ref in refs))

        def respond(request):
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, content=body(), headers=headers)

        refs: list[Any] = []
        with served(respond) as client:
            for index, piece in enumerate(ask(client, stream=True)):
                if index % 100 == 0:
                    refs.append(weakref.ref(piece))
        (completion,) = collected.of("completion")
        assert 4002 == completion["metrics"]["chunks"]
        assert "x " * 4000 == completion["content"]["text"]
        assert max(alive) < 10

    @pytest.mark.parametrize("read", ["all", "some", "none"])
    @pytest.mark.parametrize("style", ["create", "stream"])
    def test_objects_go_as_soon_as_without_us(self, style, read, provider, collected):
        """Nothing of ours keeps a stream alive for longer than the SDK does."""

        def run():
            client = client_of(provider, STREAM)
            if style == "create":
                stream = ask(client, stream=True)
            else:
                stream = client.messages.stream(**ASKED).__enter__()
            if read != "none":
                next(stream)
            if read == "all":
                for _ in stream:
                    pass
            gone, response = weakref.ref(stream), stream.response
            gc.disable()
            try:
                del stream
                at_once = gone() is None, response.is_closed
            finally:
                gc.enable()
            gc.collect()
            return at_once, gone() is None, response.is_closed

        plain, ours = twice(run)
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

        plain, ours = twice(run)
        assert ours <= plain

    def test_messages_that_can_be_read_once(self, collected):
        """Messages that come from a generator reach the server, and the record."""
        bodies = []

        def respond(request):
            bodies.append(json.loads(request.content))
            return httpx2.Response(200, json=message("yes"))

        with served(respond) as client:
            ask(client, messages=(each for each in HELLO))
        assert HELLO == bodies[0]["messages"]
        assert "Hello" == collected.of("prompt")[0]["content"]["text"]

    def test_messages_that_fail(self, collected):
        """A generator of messages that fails does so for the caller, and nothing was asked."""

        def failing():
            yield HELLO[0]
            raise ZeroDivisionError

        with served(None) as client, pytest.raises(ZeroDivisionError):
            ask(client, messages=failing())
        assert [] == collected.events


def event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()


class TestEnds:
    """However a call ends, it is on record once."""

    def test_closed_early(self, provider, collected):
        """A stream that is closed before its end."""
        stream = ask(client_of(provider, STREAM), stream=True)
        for _ in range(3):
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

    @pytest.mark.parametrize("style", ["create", "stream", "text", "beta", "raw"])
    def test_callers_exception(self, style, provider, collected):
        """An exception of the caller's within the `with` block, in each style."""
        client = client_of(provider, STREAM)
        with pytest.raises(ZeroDivisionError):
            if style in ("create", "raw"):
                made = client.messages
                if style == "raw":
                    manager = made.with_raw_response.create(**ASKED, stream=True).parse()
                else:
                    manager = made.create(**ASKED, stream=True)
            else:
                made = client.beta.messages if style == "beta" else client.messages
                manager = made.stream(**ASKED)
            with manager as stream:
                next(stream.text_stream if style == "text" else stream)
                raise ZeroDivisionError
        assert ["prompt", "completion"] == actions(collected)
        assert "closed_early" == outcome(collected)

    @pytest.mark.parametrize("of", [lambda stream: stream, copy.copy])
    def test_close_of_a_stream_that_is_gone(self, of, provider, collected):
        """Whoever has only its `close`, or that of a copy, closes the response all the same."""
        stream = ask(client_of(provider, STREAM), stream=True)
        response, close = stream.response, of(stream).close
        del stream
        gc.collect()
        close()
        assert response.is_closed
        assert "abandoned" == outcome(collected)

    def test_generator_of_the_callers(self, provider, collected):
        """A generator around the stream that is closed."""

        def words():
            with client_of(provider, STREAM).messages.stream(**ASKED) as stream:
                yield from stream.text_stream

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
        """A stream that breaks: what had come, and the error as the SDK lets it out."""
        with pytest.raises(httpx2.TransportError) as caught:
            list(ask(client_of(provider, STREAM, **{cut: 5}), stream=True))
        assert ["prompt", "completion", "system"] == actions(collected)
        assert "failed" == outcome(collected)
        assert STREAMED.startswith(collected.of("completion")[0]["content"]["text"])
        (error,) = collected.of("system")
        assert type(caught.value).__name__ == error["extensions"]["error"]["type"]

    def test_error_in_a_stream(self, provider, collected):
        """An error that comes as an event is the exception that the SDK makes of it."""
        with pytest.raises(anthropic.APIStatusError):
            list(ask(client_of(provider, "anthropic/stream_overloaded_midway"), stream=True))
        (error,) = collected.of("system")
        told = error["extensions"]
        assert (200, "APIStatusError", "overloaded_error") == (
            told["status_code"],
            told["error"]["type"],
            told["error"]["code"],
        )

    @pytest.mark.parametrize("style", ["create", "stream", "raw"])
    def test_async_stream_closed_early(self, style, provider, collected):
        """An asynchronous stream that is left within its block."""

        async def run():
            async with async_client_of(provider, STREAM) as client:
                if style == "stream":
                    made = client.messages.stream(**ASKED)
                elif style == "raw":
                    raw = await client.messages.with_raw_response.create(**ASKED, stream=True)
                    made = await raw.parse()
                else:
                    made = await ask(client, stream=True)
                async with made as stream:
                    async for _ in stream:
                        break
                assert "closed_early" == outcome(collected)

        asyncio.run(run())
        assert ["prompt", "completion"] == actions(collected)

    def test_async_stream_abandoned(self, provider, collected):
        """An asynchronous stream that nobody ever reads."""

        async def run():
            async with async_client_of(provider, STREAM) as client:
                await ask(client, stream=True)
                gc.collect()

        asyncio.run(run())
        assert "abandoned" == outcome(collected)

    def test_cancelled_call(self, provider, collected):
        """A task that is cancelled while it waits for the answer."""

        async def run():
            async with async_client_of(provider, TEXT, ttfb=1) as client:
                task = asyncio.create_task(ask(client))
                await asyncio.sleep(0.1)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(run())
        assert ["prompt", "system"] == actions(collected)
        assert "cancelled" == collected.events[1]["extensions"]["outcome"]
        assert logging.WARNING == collected.records[1].levelno

    @pytest.mark.parametrize("style", ["create", "stream"])
    def test_cancelled_stream(self, style, provider, collected):
        """A task that is cancelled within a stream."""

        async def run():
            came = asyncio.Event()
            async with async_client_of(provider, STREAM, stall_after=4) as client:

                async def read():
                    if style == "create":
                        made = await ask(client, stream=True)
                    else:
                        made = client.messages.stream(**ASKED)
                    async with made as stream:
                        async for each in stream:
                            if each.type == "content_block_delta":
                                came.set()

                task = asyncio.create_task(read())
                await came.wait()
                await asyncio.sleep(0.05)
                task.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await task

        asyncio.run(run())
        assert ["prompt", "completion"] == actions(collected)
        assert "cancelled" == outcome(collected)
        assert collected.of("completion")[0]["content"]["text"].startswith("Once ")

    def test_timeout(self, provider, collected):
        """A server that takes too long."""
        with pytest.raises(anthropic.APITimeoutError):
            ask(client_of(provider, TEXT, ttfb=1), timeout=0.1)
        (error,) = collected.of("system")
        assert "APITimeoutError" == error["extensions"]["error"]["type"]

    def test_many_threads_end_one_stream(self, provider, collected):
        """Threads that close a stream at the same time record its end once."""
        for _ in range(10):
            stream = ask(client_of(provider, STREAM), stream=True)
            next(stream)
            threads = [threading.Thread(target=stream.close) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert (10, 10) == (len(collected.of("prompt")), len(collected.of("completion")))

    def test_fork_in_mid_stream(self, provider, collected, forked, tmp_path, lines):
        """The child does not record the parent's end as its own; its own calls it records."""
        file = tmp_path / "log.jsonl"
        hilt_logging.basic_config(file)
        stream = ask(client_of(provider, STREAM), stream=True)
        next(stream)

        def child():
            stream.close()
            ask(client_of(provider, TEXT).with_options(http_client=httpx2.Client(verify=False)))

        assert 0 == forked.run(child)
        for _ in stream:
            pass
        told = [(e["action"], e["extensions"].get("outcome")) for e in lines(file)]
        assert [("completion", "completed")] * 2 == [t for t in told if t[0] == "completion"]


class TestRetries:
    """Attempts that are made again."""

    @pytest.mark.parametrize("kind", ["sync", "async", "stream"])
    def test_attempts(self, kind, provider, collected):
        """Each attempt that failed is a warning; the answer tells how many there were."""

        async def run():
            # the server counts failures by URL
            fixture = "anthropic/message_max_tokens"
            async with async_client_of(provider, fixture, 3, fail429=2) as client:
                await ask(client)

        if kind == "sync":
            ask(client_of(provider, TEXT, retries=3, fail429=2))
        elif kind == "stream":
            client = client_of(provider, STREAM, retries=3, fail429=2)
            with client.messages.stream(**ASKED) as stream:
                stream.until_done()
        else:
            asyncio.run(run())
        assert ["prompt", "system", "system", "completion"] == actions(collected)
        for told, record in zip(collected.events[1:3], collected.records[1:3], strict=True):
            assert logging.WARNING == record.levelno
            extensions = told["extensions"]
            assert ("retried", 429) == (extensions["outcome"], extensions["status_code"])
            assert ("RateLimitError", 0.02) == (
                extensions["error"]["type"],
                extensions["error"]["retry_after_s"],
            )
        assert 3 == collected.of("completion")[0]["metrics"]["attempts"]
        assert 1 == len({each["provenance"]["call_id"] for each in collected.events})

    def test_all_attempts_fail(self, provider, collected, monkeypatch):
        """The last attempt is the call's failure; each one says what the server said."""
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        with pytest.raises(anthropic.APIStatusError):
            ask(client_of(provider, "anthropic/error_529_overloaded", retries=1))
        retried, failed = collected.of("system")
        assert ("retried", "failed") == (
            retried["extensions"]["outcome"],
            failed["extensions"]["outcome"],
        )
        for each in (retried, failed):
            told = each["extensions"]
            assert ("OverloadedError", "overloaded_error", 529) == (
                told["error"]["type"],
                told["error"]["code"],
                told["status_code"],
            )
            assert each["provenance"]["request_id"].startswith("req_")
        assert 2 == failed["metrics"]["attempts"]

    def test_connections_that_fail(self, provider, collected):
        """An attempt without an answer has the name that the SDK gives it."""
        with pytest.raises(anthropic.APIConnectionError):
            ask(client_of(provider, TEXT, retries=1, refuse=1))
        names = [each["extensions"]["error"]["type"] for each in collected.of("system")]
        assert ["APIConnectionError"] * 2 == names

    def test_middleware(self, provider, collected):
        """A client with middleware is recorded in the same way, and what that raises."""
        seen = []

        def passing(request, call_next):
            seen.append(request.retries_taken)
            return call_next(request)

        client = client_of(provider, "anthropic/message_unicode", retries=2, fail429=1)
        ask(client.with_middleware(passing))
        assert [0, 1] == seen
        assert ["prompt", "system", "completion"] == actions(collected)
        assert 2 == collected.of("completion")[0]["metrics"]["attempts"]


class Greeting(pydantic.BaseModel):
    """What parse() is to make of an answer."""

    text: str


class TestStyles:
    """The other ways to make a call."""

    def test_stream_helper_asks_within_its_block(self, provider, collected):
        """stream() is one call; nothing is asked before its block begins."""
        manager = client_of(provider, STREAM).messages.stream(**ASKED)
        assert [] == collected.events
        with manager as stream:
            assert ["prompt"] == actions(collected)
            assert STREAMED == stream.get_final_text()
        assert ["prompt", "completion"] == actions(collected)
        (completion,) = collected.of("completion")
        assert stream.request_id == completion["provenance"]["request_id"]
        assert completion["metrics"]["time_to_first_token_ms"] >= 0

    def test_parse(self, collected):
        """parse() is one call, and gives what it gives."""
        with replying(message('{"text": "Hi"}')) as client:
            made = client.messages.parse(**ASKED, output_format=Greeting)
        assert Greeting(text="Hi") == made.parsed_output
        assert ["prompt", "completion"] == actions(collected)
        assert '{"text": "Hi"}' == collected.of("completion")[0]["content"]["text"]

    @pytest.mark.parametrize("resource", ["messages", "beta"])
    def test_answer_that_parse_refuses(self, resource, collected):
        """An answer that is not of the form is billed: it is on record, and then the exception."""
        with replying(message("Hello"), message("Hello")) as client:
            messages = client.messages if resource == "messages" else client.beta.messages
            with pytest.raises(pydantic.ValidationError):
                messages.parse(**ASKED, output_format=Greeting)
        assert ["prompt", "completion", "system"] == actions(collected)
        (completion,), (error,) = collected.of("completion"), collected.of("system")
        assert ("Hello", 5) == (
            completion["content"]["text"],
            completion["metrics"]["tokens"]["total"],
        )
        assert "ValidationError" == error["extensions"]["error"]["type"]

    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_raw_response(self, kind, provider, collected):
        """with_raw_response gives the caller's own object, which parses when it is asked."""

        async def run():
            async with async_client_of(provider, TEXT) as client:
                raw = await client.messages.with_raw_response.create(**ASKED)
                parsed = raw._parsed_by_type == {}
                return raw, parsed, await raw.parse(), await raw.parse()

        if kind == "sync":
            raw = client_of(provider, TEXT).messages.with_raw_response.create(**ASKED)
            unparsed = raw._parsed_by_type == {}
            first, second = raw.parse(), raw.parse()
        else:
            raw, unparsed, first, second = asyncio.run(run())
        assert unparsed
        assert first is second
        (completion,) = collected.of("completion")
        assert raw.request_id == completion["provenance"]["request_id"]
        assert first.content[0].text == completion["content"]["text"]

    def test_raw_stream(self, provider, collected):
        """So does a stream under with_raw_response."""
        raw = client_of(provider, STREAM).messages.with_raw_response.create(**ASKED, stream=True)
        assert ({}, False) == (raw._parsed_by_type, raw.http_response.is_stream_consumed)
        stream = raw.parse()
        assert stream is raw.parse()
        for _ in stream:
            pass
        (completion,) = collected.of("completion")
        assert STREAMED == completion["content"]["text"]
        assert raw.request_id == completion["provenance"]["request_id"]

    def test_raw_stream_that_nobody_reads(self, provider, collected):
        """One that is dropped unread is closed early."""
        raw = client_of(provider, STREAM).messages.with_raw_response.create(**ASKED, stream=True)
        raw.http_response.close()
        del raw
        gc.collect()
        assert "closed_early" == outcome(collected)

    @pytest.mark.parametrize("how", ["parse", "json", "text", "read"])
    def test_streaming_response(self, how, provider, collected):
        """Under with_streaming_response the body is read when the caller reads it."""
        create = client_of(provider, TEXT).messages.with_streaming_response.create
        with create(**ASKED) as response:
            assert not response.http_response.is_stream_consumed
            assert ["prompt"] == actions(collected)
            getattr(response, how)()
        (completion,) = collected.of("completion")
        assert "Welcome aboard" in completion["content"]["text"]
        assert response.request_id == completion["provenance"]["request_id"]

    def test_streaming_response_read_as_lines(self, provider, collected):
        """What the caller reads line by line goes to nobody else: that is said."""
        create = client_of(provider, TEXT).messages.with_streaming_response.create
        with create(**ASKED) as response:
            assert "".join(response.iter_lines())
        (completion,) = collected.of("completion")
        assert "content" not in completion
        assert ("completed", "not_seen") == (
            completion["extensions"]["outcome"],
            completion["extensions"]["body"],
        )

    @pytest.mark.parametrize("how", ["parse", "text"])
    def test_streaming_response_of_a_stream(self, how, provider, collected):
        """A stream that is taken from it is watched; one that is read whole is put together."""
        create = client_of(provider, STREAM).messages.with_streaming_response.create
        with create(**ASKED, stream=True) as response:
            for _ in getattr(response, how)():
                pass
        (completion,) = collected.of("completion")
        assert STREAMED == completion["content"]["text"]
        assert 14 == completion["metrics"]["tokens"]["completion"]

    def test_async_streaming_response(self, provider, collected):
        """And in the same way with the asynchronous client."""

        async def run():
            async with async_client_of(provider, TEXT) as client:
                create = client.messages.with_streaming_response.create
                async with create(**ASKED) as response:
                    assert ["prompt"] == actions(collected)
                    await response.parse()

        asyncio.run(run())
        assert "Welcome aboard" in collected.of("completion")[0]["content"]["text"]

    def test_post(self, provider, collected):
        """A call that goes past the resources is a call."""
        cast_to = anthropic.types.Message
        client_of(provider, TEXT).post("/v1/messages", body=dict(ASKED), cast_to=cast_to)
        assert ["prompt", "completion"] == actions(collected)

    def test_params(self, provider, collected):
        """The parameters of a request are on record, those of extra_body too."""
        ask(
            client_of(provider, TEXT),
            extra_body={"temperature": 0.5},
            stop_sequences=["x"],
            output_config={"effort": "low"},
            tool_choice={"type": "auto"},
        )
        assert {
            "effort": "low",
            "max_tokens": 9,
            "stop_sequences": ["x"],
            "temperature": 0.5,
            "tool_choice": {"type": "auto"},
        } == collected.of("prompt")[0]["provenance"]["params"]

    def test_what_is_no_interaction(self, collected):
        """Token counts, lists of models, and batches that are looked at record nothing."""
        paths = []

        def respond(request):
            paths.append(request.url.path)
            if "count_tokens" in request.url.path:
                return httpx2.Response(200, json={"input_tokens": 3})
            return httpx2.Response(200, json={"data": [], "has_more": False})

        with served(respond) as client:
            counted = client.messages.count_tokens(model=MODEL, messages=HELLO)
            client.beta.messages.count_tokens(model=MODEL, messages=HELLO)
            client.models.list()
            client.messages.batches.list()
            client.messages.batches.cancel("msgbatch_1")
        assert 3 == counted.input_tokens
        assert 5 == len(paths)
        assert [] == collected.events

    @pytest.mark.parametrize(
        "make",
        [
            lambda client: client.with_options(timeout=9),
            lambda client: client.copy(),
            lambda client: client.with_middleware(lambda request, then: then(request)),
        ],
    )
    def test_copies_of_one_client(self, make, provider, collected):
        """What is made of the one client that is recorded is recorded, too."""
        hilt_logging.uninstrument()
        client = client_of(provider, TEXT)
        hilt_logging.instrument(client)
        ask(make(client))
        ask(client_of(provider, TEXT))
        assert 1 == len(collected.of("prompt"))

    def test_conversation_id_of_the_client(self, provider, collected):
        """The conversation that a client names for its traces is the session."""
        told = {"conversation_id": "conv_1"}
        ask(client_of(provider, TEXT).with_options(open_telemetry=told))
        assert {"conv_1"} == {each["session_id"] for each in collected.events}
        assert "request" == collected.events[0]["extensions"]["session_source"]

    def test_helper_says_it_again(self, provider, collected):
        """log_claude_interaction makes no call: what it is given is recorded as it says."""
        from hilt_logging.integrations.anthropic import log_claude_interaction

        answer = ask(client_of(provider, TEXT))
        hilt_logging.uninstrument()
        log_claude_interaction(user_message="Hello", response=answer)
        first, second = collected.of("completion")
        assert first["content"] == second["content"]


class TestConversations:
    """Whose conversation a request is, and what of it is new."""

    def test_tools(self, collected):
        """A loop with tools: each result is an event, and nothing is written twice."""
        use = [
            {"type": "tool_use", "id": f"tu_{n}", "name": "look", "input": {"at": n}}
            for n in (1, 2)
        ]
        thought = {"type": "thinking", "thinking": "Let me look.", "signature": "s"}
        answers = (
            message(thought, "Looking.", *use, id="msg_1", stop_reason="tool_use"),
            message("A sea, and a ship.", id="msg_2"),
            message("Bye.", id="msg_3"),
        )
        turns: list[Any] = [{"role": "user", "content": "What is there?"}]
        with replying(*answers) as client:
            first = ask(client, messages=turns, system="Be brief.")
            results = [
                {"type": "tool_result", "tool_use_id": "tu_1", "content": "a sea"},
                {
                    "type": "tool_result",
                    "tool_use_id": "tu_2",
                    "content": [{"type": "text", "text": "a ship"}],
                    "is_error": True,
                },
            ]
            turns += [
                {"role": "assistant", "content": first.content},
                {"role": "user", "content": [*results, {"type": "text", "text": "Well?"}]},
            ]
            second = ask(client, messages=turns, system="Be brief.")
            turns += [
                {"role": "assistant", "content": [each.to_dict() for each in second.content]},
                {"role": "user", "content": "Thanks"},
            ]
            ask(client, messages=turns, system=[{"type": "text", "text": "Be brief."}])
        assert [
            "prompt",
            "completion",
            "tool_call",
            "tool_call",
            "tool_result",
            "tool_result",
            "prompt",
            "completion",
            "prompt",
            "completion",
        ] == actions(collected)
        assert 1 == len({each["session_id"] for each in collected.events})
        calls, results_told = collected.of("tool_call"), collected.of("tool_result")
        assert [each["event_id"] for each in calls] == [
            each["extensions"]["reply_to"] for each in results_told
        ]
        assert ["a sea", "a ship"] == [each["content"]["text"] for each in results_told]
        assert [None, "failed"] == [each["extensions"].get("outcome") for each in results_told]
        prompts, completions = collected.of("prompt"), collected.of("completion")
        assert [None, completions[0]["event_id"], completions[1]["event_id"]] == [
            each["extensions"].get("follows") for each in prompts
        ]
        assert {"text": "Thanks"} == prompts[2]["content"]
        assert "sea" not in json.dumps(prompts[1])
        assert "Be brief." not in json.dumps(prompts[1:])

    def test_transcript(self, collected):
        """The whole conversation is rebuilt from the events."""
        server = [
            {
                "type": "server_tool_use",
                "id": "st_1",
                "name": "web_search",
                "input": {"query": "q"},
            },
            {"type": "web_search_tool_result", "tool_use_id": "st_1", "content": []},
        ]
        use = {"type": "tool_use", "id": "tu_1", "name": "look", "input": {"at": 1}}
        answers = (
            message(*server, "I see. ", "Now:", use, id="msg_1"),
            message("Done.", id="msg_2"),
        )
        turns: list[Any] = [{"role": "user", "content": "Look"}]
        with replying(*answers) as client:
            for reply in ({"type": "tool_result", "tool_use_id": "tu_1", "content": "a sea"}, None):
                answer = ask(client, messages=turns, system="Be brief.")
                turns.append({"role": "assistant", "content": answer.content})
                turns.append({"role": "user", "content": [reply]})
        told = Transcripts(collected.events).of(collected.of("prompt")[1]["event_id"])
        assert told.is_exact
        assert "Be brief." == told.system[0]["parts"][0]["content"]
        assert ["user", "assistant", "tool"] == [turn["role"] for turn in told.turns]
        text, call = told.turns[1]["parts"]
        assert ("I see. Now:", "tu_1") == (text["content"], call["id"])
        (result,) = told.turns[2]["parts"]
        assert ("tool_call_response", "a sea") == (result["type"], result["response"])

    def test_two_at_once(self, collected):
        """Two conversations on one client, turn by turn, stay apart."""

        def respond(request):
            body = json.loads(request.content)
            words = json.dumps(body["messages"])
            return httpx2.Response(200, json=message(f"to {hash(words)}", id=f"msg_{hash(words)}"))

        with served(respond) as client:
            chats: dict[str, list[Any]] = {"ann": [], "bob": []}
            for turn in range(4):
                for name, turns in chats.items():
                    turns.append({"role": "user", "content": f"{name} {turn}"})
                    answer = ask(client, messages=turns)
                    turns.append({"role": "assistant", "content": answer.content})
        by_session: dict[str, list[str]] = {}
        for each in collected.of("prompt"):
            by_session.setdefault(each["session_id"], []).append(each["content"]["text"])
        assert [[f"{name} {turn}" for turn in range(4)] for name in chats] == list(
            by_session.values()
        )

    def test_stream_is_an_answer(self, provider, collected):
        """A conversation goes on from a streamed answer, too."""
        with client_of(provider, "anthropic/stream_parallel_tools").messages.stream(**ASKED) as it:
            answer = it.get_final_message()
        result = [
            {"type": "tool_result", "tool_use_id": each.id, "content": "18 C"}
            for each in answer.content
            if each.type == "tool_use"
        ]
        turns = [
            *HELLO,
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": result},
        ]
        ask(client_of(provider, TEXT), messages=turns)
        assert 1 == len({each["session_id"] for each in collected.events})
        assert 2 == len(collected.of("tool_result"))

    @pytest.mark.parametrize("threaded", [True, False])
    def test_tool_runner(self, threaded, collected):
        """The tool runner's turns are calls of one conversation, whoever keeps the history."""
        bodies = []
        use = {"type": "tool_use", "id": "tu_1", "name": "double", "input": {"number": 4}}
        answers = iter(
            (
                message(use, id="msg_1", stop_reason="tool_use"),
                message("It is 8.", id="msg_2"),
            )
        )

        def respond(request):
            bodies.append(json.loads(request.content))
            return httpx2.Response(200, json=next(answers))

        @anthropic.beta_tool
        def double(number: int) -> str:
            """Double a number.

            Args:
                number: A number.
            """
            return str(2 * number)

        more = {} if threaded else {"thread": False}
        with served(respond) as client:
            runner = client.beta.messages.tool_runner(**ASKED, tools=[double], **more)
            last = runner.until_done()
        assert "It is 8." == last.content[0].text
        assert [1, 1 if threaded else 3] == [len(each["messages"]) for each in bodies]
        assert [
            "prompt",
            "completion",
            "tool_call",
            "tool_result",
            "prompt",
            "completion",
        ] == actions(collected)
        assert 1 == len({each["session_id"] for each in collected.events})
        assert {"8"} == {each["content"]["text"] for each in collected.of("tool_result")}
        first, second = collected.of("completion")[0], collected.of("prompt")[1]
        assert first["event_id"] == second["extensions"]["follows"]

    def test_tool_runner_that_streams(self, provider, collected):
        """A runner that streams is recorded in the same way."""

        @anthropic.beta_tool
        def get_weather(city: str, unit: str = "C") -> str:
            """Tell the weather.

            Args:
                city: Where.
                unit: C or F.
            """
            return f"18 {unit} in {city}"

        fixtures = ["anthropic/stream_parallel_tools", STREAM]
        url = provider.queue_url("runner", fixtures)
        client = anthropic.Anthropic(api_key="k", base_url=url, max_retries=0)
        runner = client.beta.messages.tool_runner(
            **ASKED, tools=[get_weather], stream=True, thread=False
        )
        for stream in runner:
            for _ in stream:
                pass
        assert (2, 2, 2) == tuple(
            len(collected.of(action)) for action in ("prompt", "completion", "tool_result")
        )
        assert 1 == len({each["session_id"] for each in collected.events})


class TestContent:
    """What is read of requests and answers."""

    def test_images_and_documents(self, collected):
        """Images and files are references; documents that are text are text."""
        image = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
        content = [
            {"type": "image", "source": image},
            {"type": "document", "source": {"type": "text", "data": "A text."}},
            {"type": "document", "source": {"type": "content", "content": "Some content."}},
            {
                "type": "search_result",
                "source": "https://example.org",
                "title": "T",
                "content": [{"type": "text", "text": "Found."}],
            },
            {"type": "text", "text": "?"},
        ]
        with replying(message("yes")) as client:
            ask(client, messages=[{"role": "user", "content": content}])
        (prompt,) = collected.of("prompt")
        assert 5 == prompt["content"]["media"][0]["bytes"]
        assert "aGVsbG8=" not in json.dumps(prompt)
        told = json.dumps(prompt["content"]["messages"])
        assert all(each in told for each in ("A text.", "Some content.", "Found."))

    def test_inline_media(self, collected):
        """With media="inline" the bytes are there, too."""
        hilt_logging.instrument("anthropic", media="inline")
        image = {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}
        with replying(message("yes")) as client:
            ask(
                client, messages=[{"role": "user", "content": [{"type": "image", "source": image}]}]
            )
        assert "aGVsbG8=" == collected.of("prompt")[0]["content"]["media"][0]["data"]

    def test_compaction_is_paid_for(self, collected):
        """The tokens of a compaction, which the sums leave out, are in the tokens."""
        part = {"input_tokens": 100, "output_tokens": 10, "cache_creation_input_tokens": 0}
        part["cache_read_input_tokens"] = 1000
        usage = {"input_tokens": 3, "output_tokens": 2}
        usage |= {"iterations": [{"type": "compaction", **part}, {"type": "message", **usage}]}
        block = {"type": "compaction", "content": "They met."}
        with replying(message(block, "yes", usage=usage)) as client:
            client.beta.messages.create(**ASKED)
        (completion,) = collected.of("completion")
        assert {"prompt": 1103, "completion": 12, "total": 1115, "cached": 1000} == completion[
            "metrics"
        ]["tokens"]
        assert {"type": "compaction", "content": "They met."} == completion["content"]["messages"][
            0
        ]["parts"][0]

    @pytest.mark.parametrize(
        "more",
        [
            {},
            {"service_tier": "priority"},
            {"speed": "fast"},
            {"inference_geo": "us"},
            {"iterations": [{"type": "message", "model": f"claude-{n}"} for n in (4, 5)]},
        ],
        ids=str,
    )
    def test_cost(self, more, collected):
        """An answer at the usual price has a cost; one at a price that no table has, none."""
        set_prices({"anthropic": {"*": {"input": 2, "output": 10}}})
        try:
            usage = {"input_tokens": 3, "output_tokens": 2, **more}
            with replying(message("yes", usage=usage)) as client:
                ask(client)
        finally:
            set_prices(None)
        (completion,) = collected.of("completion")
        assert (None if more else 26e-6) == completion["metrics"].get("cost_usd")
        assert 5 == completion["metrics"]["tokens"]["total"]

    def test_metadata_has_no_content(self, provider, collected):
        """With capture="metadata" no event has a word of what was said."""
        hilt_logging.instrument("anthropic", capture="metadata")
        ask(client_of(provider, "anthropic/message_parallel_tools"), system="Be brief.")
        assert ["prompt", "completion", "tool_call", "tool_call"] == actions(collected)
        for each in collected.events:
            assert "content" not in each
            assert not {"arguments", "result"} & set(each["extensions"].get("tool", ()))


def results_of(*results: tuple[str, dict[str, Any]]) -> str:
    return "".join(f"{json.dumps({'custom_id': n, 'result': r})}\n" for n, r in results)


RESULTS = results_of(
    ("one", {"type": "succeeded", "message": message("First.", id="msg_b1")}),
    (
        "two",
        {
            "type": "errored",
            "error": {
                "type": "error",
                "error": {"type": "invalid_request_error", "message": "Too long."},
                "request_id": "req_b2",
            },
        },
    ),
    ("three", {"type": "canceled"}),
    ("four", {"type": "expired"}),
)


class TestBatches:
    """Many requests at once, whose answers come later."""

    BATCH = {
        "id": "msgbatch_1",
        "type": "message_batch",
        "processing_status": "ended",
        "request_counts": dict.fromkeys(
            ("processing", "succeeded", "errored", "canceled", "expired"), 1
        ),
        "created_at": "2026-01-01T00:00:00Z",
        "expires_at": "2026-01-02T00:00:00Z",
        "results_url": "https://api.anthropic.com/v1/messages/batches/msgbatch_1/results",
    }
    NAMES = ("one", "two", "three", "four")

    def respond(self, request):
        if request.url.path.endswith("/results"):
            return httpx2.Response(
                200, text=RESULTS, headers={"content-type": "application/x-jsonl"}
            )
        return httpx2.Response(200, json=self.BATCH)

    def requests(self):
        asked = [{**ASKED, "messages": [{"role": "user", "content": n}]} for n in self.NAMES]
        return [
            {"custom_id": name, "params": params}
            for name, params in zip(self.NAMES, asked, strict=True)
        ]

    @pytest.mark.parametrize("resource", ["messages", "beta"])
    def test_made_and_read(self, resource, collected):
        """What a batch asks is recorded when it is made; each answer as it is read."""
        set_prices({"anthropic": {"*": {"input": 2, "output": 10}}})
        try:
            with served(self.respond) as client:
                messages = client.messages if resource == "messages" else client.beta.messages
                messages.batches.create(requests=self.requests())
                assert ["prompt"] * 4 == actions(collected)
                results = iter(messages.batches.results("msgbatch_1"))
                assert 4 == len(collected.events)
                next(results)
                assert 5 == len(collected.events)
                assert 3 == len(list(results))
        finally:
            set_prices(None)
        assert list(self.NAMES) == [each["content"]["text"] for each in collected.of("prompt")]
        ends = collected.events[4:]
        assert ["completion", "system", "completion", "system"] == [e["action"] for e in ends]
        assert ["completed", "failed", "cancelled", "failed"] == [
            each["extensions"]["outcome"] for each in ends
        ]
        assert [each["event_id"] for each in collected.of("prompt")] == [
            each["extensions"]["reply_to"] for each in ends
        ]
        assert [{"id": "msgbatch_1", "custom_id": name} for name in self.NAMES] == [
            each["extensions"]["batch"] for each in ends
        ]
        first, second = ends[:2]
        assert ("First.", 5) == (first["content"]["text"], first["metrics"]["tokens"]["total"])
        assert "cost_usd" not in first["metrics"]
        assert "latency_ms" not in first["metrics"]
        error = second["extensions"]["error"]
        assert ("invalid_request_error", "Too long.") == (error["type"], error["message"])
        assert "req_b2" == second["provenance"]["request_id"]
        assert [] == [fault for each in collected.events for fault in validate_event(each)]

    def test_read_by_another_process(self, collected):
        """Results of a batch that another process made are on record without their prompts."""
        with served(self.respond) as client:
            plain, ours = twice(lambda: list(client.messages.batches.results("msgbatch_1")))
            assert plain == ours
            list(client.messages.batches.results("msgbatch_1"))
        assert ["completion", "system", "completion", "system"] == actions(collected)
        (first, _) = collected.of("completion")
        assert MODEL == first["provenance"]["model"]
        assert "reply_to" not in first["extensions"]

    def test_async(self, collected):
        """And in the same way with the asynchronous client."""

        async def run():
            http = httpx2.AsyncClient(transport=httpx2.MockTransport(self.respond))
            async with anthropic.AsyncAnthropic(api_key="k", http_client=http) as client:
                results = await client.messages.batches.results("msgbatch_1")
                return [each.custom_id async for each in results]

        assert list(self.NAMES) == asyncio.run(run())
        assert ["completion", "system", "completion", "system"] == actions(collected)

    def test_raw(self, collected):
        """So are results that are taken from a raw response."""
        with served(self.respond) as client:
            raw = client.messages.batches.with_raw_response.results("msgbatch_1")
            assert 4 == len(list(raw.parse()))
        assert 4 == len(collected.events)

    def test_batch_that_fails(self, collected):
        """A batch that can't be made is the end of each of its calls."""
        with (
            served(lambda request: httpx2.Response(400, json={})) as client,
            pytest.raises(anthropic.BadRequestError),
        ):
            client.messages.batches.create(requests=self.requests())
        assert ["prompt"] * 4 + ["system"] * 4 == actions(collected)
        assert {"BadRequestError"} == {
            each["extensions"]["error"]["type"] for each in collected.of("system")
        }


class TestPlatforms:
    """Clients that talk to another provider."""

    def vertex(self, **options: Any) -> Any:
        return {"region": "us-east5", "project_id": "p", "access_token": "t", **options}

    def cases(self):
        return {
            "bedrock": ("AnthropicBedrock", {"aws_region": "us-east-1", "api_key": "k"}),
            "vertex": ("AnthropicVertex", self.vertex()),
            "azure": ("AnthropicFoundry", {"resource": "mine", "api_key": "k"}),
        }

    @pytest.mark.parametrize("name", ["bedrock", "vertex", "azure"])
    @pytest.mark.parametrize("kind", ["sync", "async"])
    def test_answer(self, name, kind, collected):
        """A call is recorded under the platform's name, with the model that was asked for."""
        made, options = self.cases()[name]
        paths = []

        def respond(request):
            paths.append(request.url.path)
            return httpx2.Response(200, json=message("yes"))

        async def run():
            http = httpx2.AsyncClient(transport=httpx2.MockTransport(respond))
            async with getattr(anthropic, f"Async{made}")(**options, http_client=http) as client:
                return await ask(client)

        if kind == "async":
            answer = asyncio.run(run())
        else:
            http = httpx2.Client(transport=httpx2.MockTransport(respond))
            with getattr(anthropic, made)(**options, http_client=http) as client:
                answer = ask(client)
        assert "yes" == answer.content[0].text
        assert ("/v1/messages" == paths[0]) is False
        (prompt,), (completion,) = collected.of("prompt"), collected.of("completion")
        assert (name, MODEL) == (
            prompt["provenance"]["provider"],
            prompt["provenance"]["request_model"],
        )
        assert ("Hello", "yes") == (prompt["content"]["text"], completion["content"]["text"])

    @pytest.mark.parametrize("name", ["vertex", "azure"])
    def test_stream(self, name, collected):
        """So is a stream."""
        data = (FIXTURES / "anthropic/stream_text.sse").read_bytes()

        def respond(request):
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, content=data, headers=headers)

        made, options = self.cases()[name]
        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with (
            getattr(anthropic, made)(**options, http_client=http) as client,
            client.messages.stream(**ASKED) as stream,
        ):
            assert STREAMED == stream.get_final_text()
        assert STREAMED == collected.of("completion")[0]["content"]["text"]

    def test_bedrock_stream(self, collected):
        """And the binary stream of Bedrock."""
        pytest.importorskip("botocore")
        data = (FIXTURES / "anthropic/stream_text.sse").read_text("utf-8")
        events = [line[6:] for line in data.splitlines() if line.startswith("data: ")]

        def respond(request):
            assert request.url.path.endswith("/invoke-with-response-stream")
            return httpx2.Response(200, content=b"".join(map(frame, events)))

        made, options = self.cases()["bedrock"]
        http = httpx2.Client(transport=httpx2.MockTransport(respond))
        with getattr(anthropic, made)(**options, http_client=http) as client:
            pieces = list(ask(client, stream=True))
        (completion,) = collected.of("completion")
        assert STREAMED == completion["content"]["text"]
        assert len(pieces) == completion["metrics"]["chunks"]
        assert "bedrock" == completion["provenance"]["provider"]

    @pytest.mark.parametrize("name", ["bedrock", "vertex", "azure"])
    def test_one_client(self, name, collected):
        """One client of a platform can be recorded alone, and what is made of it."""
        hilt_logging.uninstrument()
        made, options = self.cases()[name]

        def client():
            return served(
                lambda request: httpx2.Response(200, json=message("yes")),
                getattr(anthropic, made),
                **options,
            )

        one, other = client(), client()
        hilt_logging.instrument(one)
        ask(one.with_options(timeout=9))
        ask(other)
        assert 1 == len(collected.of("prompt"))

    @pytest.mark.parametrize(
        ("url", "name"),
        [
            ("https://api.anthropic.com", "anthropic"),
            ("https://api.deepseek.com/anthropic", "deepseek"),
            ("http://localhost:4000", "localhost"),
        ],
    )
    def test_base_url(self, url, name, collected):
        """A server that speaks Anthropic's language has its own name, and not its prices."""
        with replying(message("yes"), base_url=url) as client:
            ask(client)
        assert {name} == {each["provenance"]["provider"] for each in collected.events}


def frame(event: str) -> bytes:
    """An event in the binary framing of AWS."""
    import base64
    import binascii
    import struct

    payload = json.dumps({"bytes": base64.b64encode(event.encode()).decode()}).encode()
    headers = b""
    for name, value in (
        (":event-type", "chunk"),
        (":content-type", "application/json"),
        (":message-type", "event"),
    ):
        headers += struct.pack("B", len(name)) + name.encode()
        headers += struct.pack(">BH", 7, len(value)) + value.encode()
    prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", binascii.crc32(prelude))
    whole = prelude + headers + payload
    return whole + struct.pack(">I", binascii.crc32(whole))


class TestHostile:
    """What nobody should hand over."""

    def test_answer_of_another_kind(self, collected):
        """An answer that is no JSON is what the SDK makes of it."""

        def respond(request):
            return httpx2.Response(200, text="<html>", headers={"content-type": "text/html"})

        with served(respond) as client:
            assert "<html>" == ask(client)
        assert "<html>" == collected.of("completion")[0]["content"]["text"]

    @pytest.mark.parametrize("name", ["_begun", "prompt_of", "answer_of", "MessageEvents"])
    def test_recording_that_fails(self, name, provider, collected, monkeypatch):
        """Whatever fails in recording, the call goes on."""
        monkeypatch.setattr(_anthropic_calls, name, lambda *_, **__: 1 / 0)
        assert ask(client_of(provider, TEXT)).content
        assert ask(client_of(provider, TEXT), messages=iter(HELLO)).content
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
            assert ask(client_of(provider, TEXT)).content
        finally:
            logging.getLogger("hilt").removeHandler(handler)

    def test_another_layer_between(self, provider, collected):
        """Instrumented again over somebody else's patch, a call is recorded once."""
        from anthropic._base_client import SyncAPIClient

        standing = SyncAPIClient.request

        def foreign(self, *args, **kwargs):
            return standing(self, *args, **kwargs)

        SyncAPIClient.request = foreign
        try:
            hilt_logging.instrument("anthropic")
            ask(client_of(provider, TEXT))
            assert ["prompt", "completion"] == actions(collected)
            hilt_logging.uninstrument()
            assert foreign is SyncAPIClient.request
        finally:
            SyncAPIClient.request = standing.__wrapped__


def test_a_client_that_cannot_be_hashed(collected):
    """What an application makes of a client, or of how it compares, is not asked."""

    class Client(anthropic.Anthropic):
        __hash__ = None

        def __eq__(self, other):
            raise ZeroDivisionError

    with replying(message("yes"), made=Client, api_key="k") as client:
        ask(client)
    assert ["prompt", "completion"] == actions(collected)
