"""Google's clients under instrument(): what is recorded, and that nothing else changes."""

from __future__ import annotations

import asyncio
import copy
import gc
import inspect
import json
import logging
import pickle
import random
import ssl
import sys
import weakref

from typing import Any, get_type_hints

import pytest

import hilt_logging

from hilt_logging import validate_event
from hilt_logging.integrations import _gemini_calls, set_prices
from hilt_logging.io.transcripts import Transcripts

from ._manifest import check, of, usage_tokens
from .conftest import FIXTURES, MANIFEST


genai = pytest.importorskip("google.genai")
errors = pytest.importorskip("google.genai.errors")
types = pytest.importorskip("google.genai.types")
httpx = pytest.importorskip("httpx")
httpx2 = pytest.importorskip("httpx2")

OURS = _gemini_calls.__file__
MODEL = "gemini-3.8-flash"
BROKEN = (httpx2.HTTPError, httpx.HTTPError)  # the latter in google-genai 2
TEXT = "gemini/generate_text"
STREAM = "gemini/stream_text"
TLS = ssl.create_default_context()


@pytest.fixture(autouse=True)
def _on(instrumented, monkeypatch):
    """Every client would read all certificates anew."""
    monkeypatch.setattr(ssl, "create_default_context", lambda *_, **__: TLS)
    instrumented("gemini")


def client_of(provider: Any, fixture: str, more: Any = None, **options: Any) -> Any:
    url = provider.url(fixture, **options)
    return genai.Client(api_key="k", http_options={"base_url": url, **(more or {})})


def request_of(item: dict[str, Any]) -> dict[str, Any]:
    body = item["request"]["body"]
    model = item["request"]["path"].rpartition("/")[2].partition(":")[0]
    return {"model": model, "contents": body["contents"]}


def actions(collected: Any) -> list[str]:
    return [event["action"] for event in collected.events]


def outcome(collected: Any) -> str:
    (completion,) = collected.of("completion")
    return completion["extensions"]["outcome"]


def ask(client: Any, **options: Any) -> Any:
    return client.models.generate_content(model=MODEL, contents="Hello", **options)


def stream_of(client: Any, **options: Any) -> Any:
    return client.models.generate_content_stream(model=MODEL, contents="Hello", **options)


async def async_stream_of(client: Any, **options: Any) -> Any:
    return await client.aio.models.generate_content_stream(model=MODEL, contents="Hello", **options)


def sync_call(client: Any, item: dict[str, Any]) -> Any:
    """What a call gives: an answer, or the pieces of a stream and what broke it."""
    if not item["stream"]:
        return client.models.generate_content(**request_of(item))
    pieces, error = [], None
    try:
        for piece in client.models.generate_content_stream(**request_of(item)):
            pieces.append(piece)
    except errors.APIError as caught:
        error = caught
    return pieces, error


async def async_call(client: Any, item: dict[str, Any]) -> Any:
    if not item["stream"]:
        return await client.aio.models.generate_content(**request_of(item))
    pieces, error = [], None
    try:
        async for piece in await client.aio.models.generate_content_stream(**request_of(item)):
            pieces.append(piece)
    except errors.APIError as caught:
        error = caught
    return pieces, error


SSE = [each for each in of("gemini") if "array" not in each.id]
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


def made_by(kind: str, client: Any, item: dict[str, Any]) -> Any:
    return sync_call(client, item) if kind == "sync" else asyncio.run(async_call(client, item))


class TestFixtures:
    """Every fixture through the instrumented clients, against the manifest."""

    @BOTH
    @pytest.mark.parametrize("item", SSE)
    def test_answer(self, item, kind, provider, collected):
        """What the client got is on record as the manifest has it."""
        made_by(kind, client_of(provider, item["id"]), item)
        check(item, collected)
        (completion,) = collected.of("completion")
        assert MODEL == completion["provenance"]["request_model"]
        expected = item["expected"]
        assert expected.get("chunks") == completion["metrics"].get("chunks")
        if "error" in expected:
            assert "failed" == completion["extensions"]["outcome"]
            (error,) = collected.of("system")
            told = error["extensions"]
            assert expected["error"]["class"] == told["error"]["type"]
            assert expected["error"]["type"] == told["error"]["code"]
            assert expected["error"]["status"] == told["status_code"]
        if "choices" in expected:
            told = completion["content"]["messages"]
            assert [each["text"] for each in expected["choices"]] == [
                each["parts"][0]["content"] for each in told
            ]

    @BOTH
    @pytest.mark.parametrize("item", of("gemini", errors=True))
    def test_error(self, item, kind, provider, collected):
        """An error is recorded with its class and status, and raised unchanged."""
        expected = item["expected"]["error"]
        with pytest.raises(errors.APIError) as caught:
            made_by(kind, client_of(provider, item["id"]), item)
        assert expected["class"] == type(caught.value).__name__
        (prompt,), (error,) = collected.of("prompt"), collected.of("system")
        told = error["extensions"]
        assert (expected["class"], expected["type"]) == (
            told["error"]["type"],
            told["error"]["code"],
        )
        assert expected["status"] == told["status_code"]
        assert expected["message_contains"] in told["error"]["message"]
        assert float(expected.get("retry-after", 0)) == told["error"].get("retry_after_s", 0)
        assert prompt["event_id"] == told["reply_to"]
        assert [] == validate_event(error)

    @pytest.mark.parametrize("item", [p for p in SSE if p.values[0]["stream"]])
    def test_cut_at_every_byte(self, item, provider, collected):
        """A stream whose pieces are cut anywhere, also within a character, is the same."""
        sync_call(client_of(provider, item["id"], piece=1), item)
        check(item, collected)

    @BOTH
    def test_embeddings(self, kind, provider, collected):
        """Embedding is one event with what was embedded; no number of a vector is kept."""
        (item,) = [each for each in MANIFEST if each["id"] == "gemini/embed_two"]
        client = client_of(provider, item["id"])
        asked = {"model": "gemini-embedding-001", "contents": ["One.", "Two."]}
        if kind == "sync":
            made = client.models.embed_content(**asked)
        else:
            made = asyncio.run(client.aio.models.embed_content(**asked))
        (event,) = collected.events
        assert "embedding" == event["action"]
        assert "One." == event["content"]["text"]
        parts = event["content"]["messages"][0]["parts"]
        assert ["One.", "Two."] == [each["content"] for each in parts]
        expected = item["expected"]
        assert {"count": expected["vectors"], "dimensions": expected["dimensions"]} == event[
            "extensions"
        ]["embedding"]
        assert expected["first_vector"] == made.embeddings[0].values
        assert expected["model"] == event["provenance"]["request_model"]
        assert "not_reported" == event["extensions"]["usage"]
        assert str(expected["first_vector"][0]) not in json.dumps(event)
        assert [] == validate_event(event)

    def test_no_interaction(self, provider, collected):
        """Counting tokens records nothing."""
        client = client_of(provider, "gemini/count_tokens")
        assert 31 == client.models.count_tokens(model=MODEL, contents="How long am I?").total_tokens
        assert [] == collected.events


def twice(run: Any) -> tuple[Any, Any]:
    """What *run* gives uninstrumented and instrumented."""
    hilt_logging.uninstrument()
    plain = run()
    hilt_logging.instrument("gemini")
    return plain, run()


def same(answer: Any) -> Any:
    """An answer without the time of the server's in its headers."""
    if answer.sdk_http_response is not None:
        answer.sdk_http_response.headers.pop("date", None)
    return answer


class TestFidelity:
    """With and without instrument() the SDK gives, raises and does the same."""

    @BOTH
    @pytest.mark.parametrize("item", [p for p in SSE if not p.values[0]["stream"]])
    def test_answers(self, item, kind, provider, collected):
        """Types and values of answers are the same, and they can be pickled and copied."""
        plain, ours = twice(lambda: same(made_by(kind, client_of(provider, item["id"]), item)))
        assert type(plain) is type(ours)
        assert plain == ours
        assert vars(plain).keys() == vars(ours).keys()
        assert ours == copy.deepcopy(ours) == pickle.loads(pickle.dumps(ours))

    @BOTH
    @pytest.mark.parametrize("item", [p for p in SSE if p.values[0]["stream"]])
    def test_streams(self, item, kind, provider, collected):
        """Order and values of a stream's pieces are the same, and what ends it."""
        plain, ours = twice(lambda: made_by(kind, client_of(provider, item["id"]), item))
        assert [same(each) for each in plain[0]] == [same(each) for each in ours[0]]
        assert (type(plain[1]), str(plain[1])) == (type(ours[1]), str(ours[1]))

    def test_streams_are_generators(self, provider):
        """What is given for a stream is what the SDK gives."""
        client = client_of(provider, STREAM)

        async def run():
            stream = await async_stream_of(client)
            await stream.aclose()
            return type(stream)

        plain, ours = twice(lambda: (type(stream_of(client)), asyncio.run(run())))
        assert plain == ours

    @BOTH
    def test_errors(self, kind, provider, collected):
        """Exceptions are the same."""
        (item,) = [each for each in MANIFEST if each["id"] == "gemini/error_429"]

        def run():
            client = client_of(provider, item["id"])
            with pytest.raises(errors.APIError) as caught:
                made_by(kind, client, {**item, "request": MANIFEST_TEXT["request"]})
            error = caught.value
            context = type(error.__cause__), type(error.__context__)
            return type(error), str(error), error.code, error.details, context

        plain, ours = twice(run)
        assert plain == ours

    def test_functions_look_the_same(self):
        """What is put around a function has its name and its signature, and is a coroutine's."""
        from google.genai.models import AsyncModels, Models

        for owner in (Models, AsyncModels):
            found = [each for each in vars(owner).values() if inspect.isfunction(each)]
            ours = [each for each in found if each.__code__.co_filename == OURS]
            assert 3 == len(ours)
            for each in ours:
                original = each.__wrapped__
                assert inspect.signature(original) == inspect.signature(each)
                assert (original.__name__, original.__doc__) == (each.__name__, each.__doc__)
                are = inspect.iscoroutinefunction
                assert are(original) == are(each)

    def test_public_functions_are_the_sdks(self):
        """The functions that an application calls are the SDK's own."""
        from google.genai import chats, models

        for function in (
            models.Models.generate_content,
            models.Models.generate_content_stream,
            models.AsyncModels.generate_content_stream,
            chats.Chat.send_message,
        ):
            assert OURS != function.__code__.co_filename

    def test_nothing_is_asked_before_the_caller_reads(self, provider, collected):
        """A stream that nobody reads asks nothing, and records nothing."""
        provider.journal.clear()
        client = client_of(provider, STREAM)
        stream = stream_of(client)

        async def run():
            return await async_stream_of(client)

        other = asyncio.run(run())
        del stream, other
        gc.collect()
        assert ([], []) == (provider.journal, collected.events)

    def test_first_piece_does_not_wait_for_the_second(self, provider, collected):
        """Nothing is read ahead: the first piece is there before the server sent the second."""
        provider.journal.clear()
        client = client_of(provider, STREAM, delay=0.2)
        stream = stream_of(client)
        next(stream)
        sent = provider.journal[-1]["sent"]
        assert sent < len((FIXTURES / "gemini/stream_text.sse").read_bytes()) / 2
        stream.close()

    def test_memory_of_a_long_stream_is_bounded(self, collected):
        """Of 3,000 pieces only the text is kept."""
        text = {"content": {"role": "model", "parts": [{"text": "x "}]}, "index": 0}
        chunk = b"data: " + json.dumps({"candidates": [text], "responseId": "r"}).encode() + b"\n\n"
        refs: list[Any] = []
        alive = []

        def body():
            for _ in range(30):
                yield chunk * 100
                alive.append(sum(ref() is not None for ref in refs))

        def respond(request):
            headers = {"content-type": "text/event-stream"}
            return httpx2.Response(200, content=body(), headers=headers)

        client = mocked(respond)
        for index, piece in enumerate(stream_of(client)):
            if index % 10 == 0 and index:
                refs.append(weakref.ref(piece))
        (completion,) = collected.of("completion")
        assert 3_000 == completion["metrics"]["chunks"]
        assert "x " * 3_000 == completion["content"]["text"]
        assert max(alive) < 60

    @pytest.mark.parametrize("read", ["all", "some", "none"])
    def test_objects_go_as_soon_as_without_us(self, read, provider, collected):
        """Nothing of ours keeps a stream or its pieces alive for longer than the SDK does."""
        client = client_of(provider, STREAM)

        def run():
            stream = stream_of(client)
            pieces = []
            if read != "none":
                pieces.append(weakref.ref(next(stream)))
            if read == "all":
                pieces += [weakref.ref(piece) for piece in stream]
            gone = weakref.ref(stream)
            gc.disable()
            try:
                del stream
                at_once = gone() is None, [ref() is None for ref in pieces]
            finally:
                gc.enable()
            gc.collect()
            return at_once, gone() is None, [ref() is None for ref in pieces]

        plain, ours = twice(run)
        assert plain == ours
        assert ours[1]

    def test_no_cycle_is_kept_of_a_call(self, provider, collected):
        """A call leaves nothing for the collector that the SDK alone does not leave."""
        client, other = client_of(provider, TEXT), client_of(provider, STREAM)

        def run():
            ask(client)
            list(stream_of(other))
            gc.collect()
            gc.disable()
            try:
                for _ in range(5):
                    ask(client)
                    list(stream_of(other))
                return gc.collect()
            finally:
                gc.enable()

        plain, ours = twice(run)
        assert ours <= plain


(MANIFEST_TEXT,) = [each for each in MANIFEST if each["id"] == TEXT]


class TestEnds:
    """However a call ends, it is on record once."""

    def test_closed_early(self, provider, collected):
        """A stream that is closed before its end."""
        client = client_of(provider, STREAM)
        stream = stream_of(client)
        next(stream)
        next(stream)
        stream.close()
        assert ["prompt", "completion"] == actions(collected)
        assert "closed_early" == outcome(collected)
        assert "Once upon a time, a small server " == text_of(collected)

    def test_break(self, provider, collected):
        """A loop that is left; the stream goes when nobody has it."""
        client = client_of(provider, STREAM)
        for _ in stream_of(client):
            break
        gc.collect()
        assert "closed_early" == outcome(collected)

    def test_chat_that_is_left(self, provider, collected):
        """A stream of a chat that is closed before its end."""
        client = client_of(provider, STREAM)
        stream = client.chats.create(model=MODEL).send_message_stream("Hello")
        next(stream)
        stream.close()
        assert "closed_early" == outcome(collected)

    def test_callers_exception(self, provider, collected):
        """An exception of the caller's in the middle."""
        client = client_of(provider, STREAM)

        def run():
            for _ in stream_of(client):
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            run()
        gc.collect()
        assert "closed_early" == outcome(collected)

    def test_closed_twice_and_read_on(self, provider, collected):
        """Whatever is done with a stream after its end records nothing more."""
        client = client_of(provider, STREAM)
        stream = stream_of(client)
        list(stream)
        stream.close()
        with pytest.raises(StopIteration):
            next(stream)
        del stream
        gc.collect()
        assert ["prompt", "completion"] == actions(collected)
        assert "completed" == outcome(collected)

    @BOTH
    def test_connection_that_breaks(self, kind, provider, collected):
        """A stream that breaks: what had come, and the error."""
        (item,) = [each for each in MANIFEST if each["id"] == STREAM]
        client = client_of(provider, STREAM, reset_after=2)
        with pytest.raises(BROKEN) as caught:
            made_by(kind, client, item)
        assert ["prompt", "completion", "system"] == actions(collected)
        assert "failed" == outcome(collected)
        assert "Once upon a time, a small server " == text_of(collected)
        (error,) = collected.of("system")
        assert type(caught.value).__name__ == error["extensions"]["error"]["type"]

    def test_stream_that_is_refused(self, provider, collected):
        """A stream that never began is a failure without an answer."""
        client = client_of(provider, STREAM, refuse=1)
        with pytest.raises(BROKEN):
            list(stream_of(client))
        assert ["prompt", "system"] == actions(collected)

    def test_answer_that_is_none(self, collected):
        """A body that the SDK can't read is a failure."""
        client = mocked(lambda _: httpx2.Response(200, content=b"{no json"))
        with pytest.raises(ValueError, match="property name"):
            ask(client)
        assert ["prompt", "system"] == actions(collected)

    def test_cancelled_call(self, provider, collected):
        """A task that is cancelled while it waits for the answer."""
        client = client_of(provider, TEXT, ttfb=5)

        async def run():
            task = asyncio.create_task(
                client.aio.models.generate_content(model=MODEL, contents="Hello")
            )
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
        client = client_of(provider, STREAM, stall_after=2)

        async def run():
            async def read():
                async for _ in await async_stream_of(client):
                    pass

            task = asyncio.create_task(read())
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(run())
        assert ["prompt", "completion"] == actions(collected)
        assert "cancelled" == outcome(collected)
        assert "Once upon a time, a small server " == text_of(collected)

    @pytest.mark.parametrize("how", ["aclose", "break"])
    def test_async_stream_closed_early(self, how, provider, collected):
        """An asynchronous stream that is left."""
        client = client_of(provider, STREAM)

        async def run():
            stream = await async_stream_of(client)
            async for _ in stream:
                break
            if how == "aclose":
                await stream.aclose()

        asyncio.run(run())
        gc.collect()
        assert ["prompt", "completion"] == actions(collected)
        assert "closed_early" == outcome(collected)

    def test_fork_in_mid_stream(self, provider, collected, forked, tmp_path, lines):
        """The child does not record the parent's end as its own; its own calls it records."""
        file = tmp_path / "log.jsonl"
        hilt_logging.basic_config(file)
        client = client_of(provider, STREAM)
        stream = stream_of(client)
        next(stream)

        def child():
            stream.close()
            other = client_of(provider, TEXT)
            ask(other)

        assert 0 == forked.run(child)
        list(stream)
        told = [(e["action"], e["extensions"].get("outcome")) for e in lines(file)]
        assert ("completion", "closed_early") not in told
        assert [("completion", "completed")] * 2 == [t for t in told if t[0] == "completion"]


def text_of(collected: Any) -> str:
    (completion,) = collected.of("completion")
    return completion["content"]["text"]


RETRIES = {"retry_options": {"attempts": 3, "initial_delay": 0.001, "jitter": 0.001}}


class TestRetries:
    """Attempts that are made again, where `retry_options` ask for it."""

    @BOTH
    @pytest.mark.parametrize("fixture", [TEXT, STREAM])
    def test_attempts(self, fixture, kind, provider, collected):
        """Each attempt that failed is a warning; the answer tells how many there were."""
        (item,) = [each for each in MANIFEST if each["id"] == fixture]
        made_by(
            kind, client_of(provider, fixture, RETRIES, fail429=2, delay=len(kind) / 1000), item
        )
        assert ["prompt", "system", "system", "completion"] == actions(collected)
        for event, record in zip(collected.events[1:3], collected.records[1:3], strict=True):
            assert logging.WARNING == record.levelno
            told = event["extensions"]
            assert ("retried", 429) == (told["outcome"], told["status_code"])
            assert "ClientError" == told["error"]["type"]
        assert 3 == collected.of("completion")[0]["metrics"]["attempts"]
        assert 1 == len({event["provenance"]["call_id"] for event in collected.events})

    def test_of_one_request(self, provider, collected):
        """So are those of a single request's own options; the last one is the call's failure."""
        client = client_of(provider, TEXT, fail=7)
        with pytest.raises(errors.ServerError):
            ask(client, config={"http_options": RETRIES})
        told = [event["extensions"]["outcome"] for event in collected.of("system")]
        assert ["retried", "retried", "failed"] == told
        assert 3 == collected.of("system")[2]["metrics"]["attempts"]

    @pytest.mark.parametrize("delay", ["17s", "0.5s", "soon", None])
    def test_when_to_try_again(self, delay, collected):
        """When to try again is told in the body of the error."""
        info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}
        told = {"code": 429, "message": "no", "status": "RESOURCE_EXHAUSTED", "details": [info]}
        with pytest.raises(errors.ClientError):
            ask(mocked(lambda _: httpx2.Response(429, json={"error": told})))
        (error,) = collected.of("system")
        expected = {"17s": 17, "0.5s": 0.5}.get(delay)
        assert expected == error["extensions"]["error"].get("retry_after_s")

    def test_one_attempt(self, provider, collected):
        """Where there is one attempt, none is told of."""
        client = client_of(provider, TEXT)
        ask(client)
        assert "attempts" not in collected.of("completion")[0]["metrics"]


def mocked(respond: Any, **options: Any) -> Any:
    """A client whose requests a function answers."""
    transport = httpx2.MockTransport(respond)
    http = {
        "httpx_client": httpx2.Client(transport=transport),
        "httpx_async_client": httpx2.AsyncClient(transport=transport),
    }
    options.setdefault("api_key", "k")
    return genai.Client(http_options=types.HttpOptions(**http), **options)


class Model:
    """A model that asks for tools where somebody says so, and otherwise answers what it was told."""

    def __init__(self, *, ids: bool = True) -> None:
        self.ids = ids
        self.requests: list[Any] = []

    def __call__(self, request: Any) -> Any:
        body = json.loads(request.content)
        self.requests.append(body)
        parts = self.parts(body["contents"])
        pieces = [[each] for each in parts] if ":stream" in str(request.url) else [parts]
        answers = [self.answer(each, each is pieces[-1]) for each in pieces]
        if ":stream" not in str(request.url):
            return httpx2.Response(200, json=answers[0])
        sse = "".join(f"data: {json.dumps(each)}\n\n" for each in answers)
        return httpx2.Response(200, text=sse, headers={"content-type": "text/event-stream"})

    def answer(self, parts: Any, is_last: bool) -> Any:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0}
        if is_last:
            candidate["finishReason"] = "STOP"
        usage = {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15}
        identity = {"modelVersion": MODEL, "responseId": f"r{random.random()}"}
        return {"candidates": [candidate], "usageMetadata": usage, **identity}

    def parts(self, contents: Any) -> Any:
        last = contents[-1]["parts"]
        if "functionResponse" in last[0]:
            told = [each["functionResponse"]["response"] for each in last]
            if "again" in json.dumps(told):
                return [self.call("add", {"a": 1, "b": 3})]
            return [{"text": f"The tools said {json.dumps(told)}"}]
        said = last[0]["text"]
        if said.startswith("add"):
            return [self.call("add", {"a": 1, "b": 2}), self.call("add", {"a": 3, "b": 4})]
        if said.startswith("use"):
            return [{"text": "Let me see. "}, self.call(said.split()[1], {})]
        if said == "Hi":
            return [{"text": "Hello! "}, {"text": "How can I help you?"}]
        return [{"text": "thinking ", "thought": True}, {"text": f"{said}? "}, {"text": "Yes."}]

    def call(self, name: str, args: Any) -> Any:
        call = {"name": name, "args": args}
        if self.ids:
            call["id"] = f"fc_{random.random()}"
        return {"functionCall": call, "thoughtSignature": "c2ln"}


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


def fail() -> int:
    """Fail."""
    raise ZeroDivisionError("no")


def again() -> str:
    """Ask for more."""
    return "again"


for _each in (add, fail, again):  # the SDK reads the types themselves
    _each.__annotations__ = get_type_hints(_each)
TOOLS = {"tools": [add, fail, again]}


def send(kind: str, client: Any, said: str, config: Any = None) -> Any:
    """Say something in one of the ways in which the SDK runs functions by itself."""

    async def run():
        if kind == "async models":
            return await client.aio.models.generate_content(
                model=MODEL, contents=said, config=config
            )
        if kind == "async chat":
            chat = client.aio.chats.create(model=MODEL, config=config)
            return await chat.send_message(said)
        if kind == "async chat stream":
            chat = client.aio.chats.create(model=MODEL, config=config)
            return [each async for each in await chat.send_message_stream(said)]
        return [
            each
            async for each in await client.aio.models.generate_content_stream(
                model=MODEL, contents=said, config=config
            )
        ]

    if kind.startswith("async"):
        return asyncio.run(run())
    if kind == "models":
        return client.models.generate_content(model=MODEL, contents=said, config=config)
    if kind == "chat":
        return client.chats.create(model=MODEL, config=config).send_message(said)
    if kind == "chat stream":
        return list(client.chats.create(model=MODEL, config=config).send_message_stream(said))
    return list(client.models.generate_content_stream(model=MODEL, contents=said, config=config))


WAYS = ["models", "models stream", "chat", "chat stream"]
WAYS += [f"async {each}" for each in WAYS]


class TestFunctions:
    """Functions that the SDK runs by itself: each turn and each run of a function, once."""

    @pytest.mark.parametrize("ids", [True, False], ids=["ids", "no_ids"])
    @pytest.mark.parametrize("kind", WAYS)
    def test_parallel_calls(self, kind, ids, collected):
        """Each inner turn of the model is on record with its tokens, and each result once."""
        send(kind, mocked(Model(ids=ids)), "add", TOOLS)
        asked = ["prompt", "completion", "tool_call", "tool_call"]
        assert [*asked, "tool_result", "tool_result", "prompt", "completion"] == actions(collected)
        assert 1 == len({event["session_id"] for event in collected.events})
        assert 2 == len({event["provenance"]["call_id"] for event in collected.events})
        calls, results = collected.of("tool_call"), collected.of("tool_result")
        assert [{"a": 1, "b": 2}, {"a": 3, "b": 4}] == [
            each["extensions"]["tool"]["arguments"] for each in calls
        ]
        told = [each["extensions"]["tool"] for each in results]
        assert [("add", {"result": 3}), ("add", {"result": 7})] == [
            (each["name"], each["result"]) for each in told
        ]
        assert [each["event_id"] for each in calls] == [
            each["extensions"]["reply_to"] for each in results
        ]
        assert [15, 15] == [e["metrics"]["tokens"]["total"] for e in collected.of("completion")]
        first, last = collected.of("completion")
        assert first["event_id"] == collected.of("prompt")[1]["extensions"]["follows"]
        assert last["content"]["text"].startswith("The tools said")
        transcript = Transcripts(collected.events).of(last["event_id"])
        assert (True, 0, 4) == (transcript.is_exact, transcript.missing, len(transcript.turns))
        assert [] == [fault for event in collected.events for fault in validate_event(event)]

    @pytest.mark.parametrize("kind", WAYS)
    def test_function_that_raises(self, kind, collected):
        """What a function raised is the result that the model gets, and failed."""
        send(kind, mocked(Model()), "use fail", TOOLS)
        (result,) = collected.of("tool_result")
        assert "no" in result["extensions"]["tool"]["result"]["error"]
        assert "failed" == result["extensions"]["outcome"]
        assert logging.WARNING <= collected.records[3].levelno
        assert "Let me see. " == collected.of("completion")[0]["content"]["text"]

    @pytest.mark.parametrize("kind", WAYS)
    def test_several_rounds(self, kind, collected):
        """Rounds follow one another in one conversation, and nothing is repeated."""
        send(kind, mocked(Model(ids=False)), "use again", TOOLS)
        assert 3 == len(collected.of("prompt")) == len(collected.of("completion"))
        assert ["again", "add"] == [
            e["extensions"]["tool"]["name"] for e in collected.of("tool_call")
        ]
        assert [{"result": "again"}, {"result": 4}] == [
            each["extensions"]["tool"]["result"] for each in collected.of("tool_result")
        ]
        assert 1 == len({event["session_id"] for event in collected.events})

    def test_rounds_that_are_too_many(self, collected):
        """Where the SDK stops, the functions were not run, and no result is invented."""
        config = {**TOOLS, "automatic_function_calling": {"maximum_remote_calls": 1}}
        send("models", mocked(Model()), "add", config)
        assert ["prompt", "completion", "tool_call", "tool_call"] == actions(collected)

    def test_by_hand(self, collected):
        """The same where the application runs the functions."""
        client = mocked(Model())
        config = {"tools": [add], "automatic_function_calling": {"disable": True}}
        chat = client.chats.create(model=MODEL, config=config)
        calls = chat.send_message("add").function_calls
        answers = [
            types.Part(
                function_response=types.FunctionResponse(
                    id=each.id, name=each.name, response={"output": add(**each.args)}
                )
            )
            for each in calls
        ]
        chat.send_message(answers)
        assert [{"output": 3}, {"output": 7}] == [
            each["extensions"]["tool"]["result"] for each in collected.of("tool_result")
        ]
        assert 1 == json.dumps(collected.events).count('{"output": 7}')
        assert 1 == len({event["session_id"] for event in collected.events})

    def test_identical_runs_at_the_same_time(self, collected):
        """Runs that begin with the same words, interleaved, stay apart."""
        client = mocked(Model(ids=False))

        async def run():
            await asyncio.gather(
                *(
                    client.aio.models.generate_content(model=MODEL, contents="add", config=TOOLS)
                    for _ in range(5)
                )
            )

        asyncio.run(run())
        by_session: dict[str, list[str]] = {}
        for event in collected.events:
            by_session.setdefault(event["session_id"], []).append(event["action"])
        assert [8] * 5 == [len(each) for each in by_session.values()]

    def test_server_tools(self, collected):
        """What ran at Google's is on record as the provider's."""
        code = {"executableCode": {"language": "PYTHON", "code": "1+1", "id": "c1"}}
        gave = {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2", "id": "c1"}}
        web = {"web": {"uri": "https://example.org/", "title": "Example"}}
        grounding = {"webSearchQueries": ["one and one"], "groundingChunks": [web]}
        content = {"role": "model", "parts": [code, gave, {"text": "It is 2."}]}
        answer = {"candidates": [{"content": content, "groundingMetadata": grounding}]}
        ask(mocked(lambda _: httpx2.Response(200, json=answer)))
        calls = [each["extensions"]["tool"] for each in collected.of("tool_call")]
        assert [("code_execution", True), ("google_search", True)] == [
            (each["name"], each["server"]) for each in calls
        ]
        assert {"queries": ["one and one"]} == calls[1]["arguments"]
        results = [each["extensions"]["tool"] for each in collected.of("tool_result")]
        assert [{"title": "Example", "uri": "https://example.org/"}] == results[1]["result"]
        assert "It is 2." == text_of(collected)

    def test_arguments_in_pieces(self, collected):
        """A call whose arguments are streamed in pieces is one call."""

        def piece(**call):
            return {"functionCall": call}

        def arg(path, value, **more):
            kind = "stringValue" if isinstance(value, str) else "numberValue"
            return {"jsonPath": path, kind: value, **more}

        parts = [
            {"text": "Now: "},
            piece(name="book", id="b1", willContinue=True),
            piece(partialArgs=[arg("$.city", "Os", willContinue=True)], willContinue=True),
            piece(partialArgs=[arg("$.city", "lo"), arg("$.days[0].n", 3)], willContinue=True),
            piece(partialArgs=[arg("$.days[1].n", 4)]),
            piece(name="stop", args={}),
        ]
        contents = [{"role": "model", "parts": [each]} for each in parts]
        sse = "".join(
            f"data: {json.dumps({'candidates': [{'content': each}]})}\n\n" for each in contents
        )
        list(stream_of(mocked(lambda _: httpx2.Response(200, text=sse))))
        book, stop = [each["extensions"]["tool"] for each in collected.of("tool_call")]
        assert ("b1", {"city": "Oslo", "days": [{"n": 3}, {"n": 4}]}) == (
            book["call_id"],
            book["arguments"],
        )
        assert ("stop", {}) == (stop["name"], stop["arguments"])


def plain(turns: Any) -> list[Any]:
    """A chat's history, as a transcript tells it: pieces of one turn together, without thoughts."""
    told: list[Any] = []
    for each in turns:
        role = "assistant" if each.role == "model" else each.role
        said = "".join(p.text for p in each.parts if p.text and not p.thought)
        if told and told[-1][0] == role == "assistant":
            told[-1] = (role, told[-1][1] + said)
        else:
            told.append((role, said))
    return told


def told(transcript: Any) -> list[Any]:
    return [
        (each["role"], "".join(p["content"] for p in each["parts"] if p["type"] == "text"))
        for each in transcript.turns
    ]


class TestConversations:
    """Chats repeat their history; only what is new is written."""

    @pytest.mark.parametrize("kind", ["chat", "chat stream", "async chat", "async chat stream"])
    def test_chat(self, kind, collected):
        """A chat is one conversation, and is rebuilt word for word."""
        client = mocked(Model())
        config = {"system_instruction": "Be brief.", "temperature": 0.5}

        async def talk():
            chat = client.aio.chats.create(model=MODEL, config=config)
            for turn in range(5):
                if kind == "async chat":
                    await chat.send_message(f"question {turn}")
                else:
                    async for _ in await chat.send_message_stream(f"question {turn}"):
                        pass
            return chat

        if kind.startswith("async"):
            chat = asyncio.run(talk())
        else:
            chat = client.chats.create(model=MODEL, config=config)
            for turn in range(5):
                if kind == "chat":
                    chat.send_message(f"question {turn}")
                else:
                    list(chat.send_message_stream(f"question {turn}"))
        assert 1 == len({event["session_id"] for event in collected.events})
        prompts = collected.of("prompt")
        assert [f"question {turn}" for turn in range(5)] == [e["content"]["text"] for e in prompts]
        assert 1 == json.dumps(prompts).count("Be brief.")
        new = [each["content"].get("messages", [])[-1:] for each in prompts]
        assert [1, 0, 0, 0, 0] == [len(each) for each in new]
        transcript = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
        assert (True, 0) == (transcript.is_exact, transcript.missing)
        assert plain(chat.get_history()) == told(transcript)

    def test_identical_openings(self, collected):
        """Chats that begin with the same words go on apart, each in its conversation."""
        client = mocked(Model())
        chats = [client.chats.create(model=MODEL) for _ in range(3)]
        for said in ("Hi", "and now?", "and then?"):
            for chat in chats:
                chat.send_message(said)
        sessions = [event["session_id"] for event in collected.of("prompt")]
        assert 3 == len(set(sessions))
        assert sessions[:3] * 3 == sessions
        assert 1 == json.dumps(collected.of("prompt")[6:]).count("and then?") / 3

    def test_threads(self, collected):
        """Histories that the application repeats, in its own words, are recognised."""
        client = mocked(Model())
        turns: list[Any] = []
        for turn in range(3):
            turns.append({"role": "user", "parts": [{"text": f"question {turn}"}]})
            made = client.models.generate_content(model=MODEL, contents=turns)
            turns.append({"role": "model", "parts": [{"text": made.text}]})
        assert 1 == len({event["session_id"] for event in collected.events})
        assert [1, 1, 1] == [len(e["content"].get("messages", [1])) for e in collected.of("prompt")]

    def test_bound(self, collected):
        """A bound session is the conversation."""
        with hilt_logging.bind(session_id="conv-1", user_id="alice"):
            ask(mocked(Model()))
        assert {"conv-1"} == {event["session_id"] for event in collected.events}
        assert "alice" == collected.of("prompt")[0]["actor"]["id"]


class TestStyles:
    """Other clients, other options."""

    def test_params(self, collected):
        """Parameters are on record, however the config is given."""
        client = mocked(Model())
        told = {"temperature": 0.5, "max_output_tokens": 9, "stop_sequences": ["x"]}
        ask(client, config={**told, "thinking_config": {"thinking_budget": 7}})
        ask(client, config=types.GenerateContentConfig(**told))
        first, second = [event["provenance"]["params"] for event in collected.of("prompt")]
        assert ({**told, "thinking_budget": 7}, told) == (first, second)

    @pytest.mark.parametrize("kind", ["sync", "async", "stream"])
    @pytest.mark.parametrize(
        "make", [lambda: (each for each in ["Hello"]), lambda: b"Hello"], ids=["generator", "bytes"]
    )
    def test_contents_that_the_sdk_takes_as_well(self, kind, make, provider, collected):
        """Contents from a generator, and as bytes, reach the server, and the record."""
        client = client_of(provider, STREAM if kind == "stream" else TEXT)
        provider.journal.clear()
        if kind == "sync":
            client.models.generate_content(model=MODEL, contents=make())
        elif kind == "async":
            asyncio.run(client.aio.models.generate_content(model=MODEL, contents=make()))
        else:
            list(client.models.generate_content_stream(model=MODEL, contents=make()))
        (sent,) = provider.journal
        assert [{"role": "user", "parts": [{"text": "Hello"}]}] == sent["json"]["contents"]
        assert "Hello" == collected.of("prompt")[0]["content"]["text"]

    def test_contents_to_embed_from_a_generator(self, provider, collected):
        """What is embedded may come from a generator, too."""
        client = client_of(provider, "gemini/embed_two")
        contents = (each for each in ["One.", "Two."])
        client.models.embed_content(model="gemini-embedding-001", contents=contents)
        (event,) = collected.events
        assert ["One.", "Two."] == [
            each["content"] for each in event["content"]["messages"][0]["parts"]
        ]

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"api_key": "k"}, "gemini"),
            ({"api_key": "k", "vertexai": True}, "vertex"),
        ],
        ids=["gemini", "vertex"],
    )
    def test_provider(self, options, expected, collected):
        """The Gemini API and Vertex AI are told apart, and both have a price."""
        set_prices({expected: {MODEL: {"input": 1, "output": 2}}})
        try:
            client = mocked(Model(), **options)
            client.models.generate_content(
                model=f"publishers/google/models/{MODEL}" if expected == "vertex" else MODEL,
                contents="Hello",
            )
        finally:
            set_prices(None)
        (completion,) = collected.of("completion")
        assert (expected, MODEL) == (
            completion["provenance"]["provider"],
            completion["provenance"]["request_model"],
        )
        assert (10 + 2 * 5) / 1e6 == completion["metrics"]["cost_usd"]

    def test_server_of_ones_own(self, provider, collected):
        """A server of one's own has its own name, and no price of Google's."""
        ask(client_of(provider, TEXT))
        (completion,) = collected.of("completion")
        assert "127.0.0.1" == completion["provenance"]["provider"]
        assert "cost_usd" not in completion["metrics"]

    def test_vertex_embeddings(self, collected):
        """Vertex AI tells the tokens of what was embedded."""
        made = {"embeddings": {"values": [0.5, 0.25], "statistics": {"token_count": 3}}}
        client = mocked(
            lambda _: httpx2.Response(200, json={"predictions": [made]}),
            vertexai=True,
        )
        client.models.embed_content(model="text-embedding-005", contents="One.")
        (event,) = collected.events
        assert ("vertex", "One.") == (event["provenance"]["provider"], event["content"]["text"])
        assert {"prompt": 3, "completion": 0, "total": 3} == event["metrics"]["tokens"]
        assert {"count": 1, "dimensions": 2} == event["extensions"]["embedding"]

    def test_answer_that_is_given_unread(self, provider, collected):
        """An answer that the caller wants as it came is on record all the same."""
        client = client_of(provider, TEXT)
        made = ask(client, config=types.GenerateContentConfig(should_return_http_response=True))
        assert (None, True) == (made.candidates, "Priya" in made.sdk_http_response.body)
        assert "Welcome aboard, Priya!" == text_of(collected)

    def test_answer_that_goes_on(self, collected):
        """An answer that the SDK has continued is one answer, with all its tokens."""

        def respond(request):
            goes_on = "continuationToken" not in request.content.decode()
            candidate = {"content": {"role": "model", "parts": [{"text": "a" if goes_on else "b"}]}}
            candidate["finishReason"] = "CONTINUATION" if goes_on else "STOP"
            if goes_on:
                candidate["continuationToken"] = "dG9rZW4="
            usage = {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2}
            answer = {"candidates": [candidate], "usageMetadata": usage}
            if ":stream" in str(request.url):
                return httpx2.Response(200, text=f"data: {json.dumps(answer)}\n\n")
            return httpx2.Response(200, json=answer)

        client = mocked(respond)
        ask(client)
        list(stream_of(client))
        assert ["prompt", "completion"] * 2 == actions(collected)
        assert ["ab", "ab"] == [each["content"]["text"] for each in collected.of("completion")]
        assert [4, 4] == [e["metrics"]["tokens"]["total"] for e in collected.of("completion")]

    def test_media(self, collected):
        """Images are references."""
        image = types.Part.from_bytes(data=b"hello", mime_type="image/png")
        file = types.Part.from_uri(file_uri="gs://a/b.mp3", mime_type="audio/mpeg")
        mocked(Model()).models.generate_content(
            model=MODEL, contents=["What is this?", image, file]
        )
        (prompt,) = collected.of("prompt")
        assert "What is this?" == prompt["content"]["text"]
        assert [("image", 5, None), ("audio", None, "gs://a/b.mp3")] == [
            (each["type"], each.get("bytes"), each.get("uri"))
            for each in prompt["content"]["media"]
        ]
        assert "aGVsbG8" not in json.dumps(prompt)

    def test_one_client(self, provider, collected, instrumented):
        """With a client, or what is made of it, only its calls are recorded."""
        hilt_logging.uninstrument()
        one, other = client_of(provider, TEXT), client_of(provider, TEXT)
        instrumented(one)
        ask(one)
        ask(other)
        one.chats.create(model=MODEL).send_message("Hello")
        asyncio.run(one.aio.models.generate_content(model=MODEL, contents="Hello"))
        assert 3 == len(collected.of("completion"))
        hilt_logging.uninstrument(one.aio)
        ask(one)
        assert 3 == len(collected.of("completion"))

    def test_suppress(self, provider, collected):
        """Within suppress() nothing is recorded, and the SDK does the same."""
        client, other = client_of(provider, TEXT), client_of(provider, STREAM)
        with hilt_logging.suppress():
            ask(client)
            list(stream_of(other))
        assert [] == collected.events

    def test_metadata_has_no_content(self, collected, instrumented):
        """With capture="metadata" no event has a word of what was said."""
        instrumented("gemini", capture="metadata")
        send("chat", mocked(Model()), "add", TOOLS)
        assert 8 == len(collected.events)
        for event in collected.events:
            assert "content" not in event
            assert not {"arguments", "result"} & set(event["extensions"].get("tool", ()))

    def test_chunks(self, provider, collected):
        """At DEBUG each piece is an event."""
        logging.getLogger("hilt").setLevel(logging.DEBUG)
        client = client_of(provider, STREAM)
        pieces = [each.text for each in stream_of(client)]
        assert pieces == [each["content"]["text"] for each in collected.of("completion_chunk")]

    @pytest.fixture
    def owner(self):
        from google.genai.models import Models

        hilt_logging.uninstrument()
        before = {name: each for name, each in vars(Models).items() if inspect.isfunction(each)}
        hilt_logging.instrument("gemini")
        yield Models
        hilt_logging.uninstrument()
        for name, each in before.items():
            setattr(Models, name, each)

    def test_recording_that_fails(self, provider, monkeypatch):
        """Whatever fails in recording, the call goes on."""
        from hilt_logging.integrations import _gemini_calls

        for name in ("_begun", "prompt_of", "answer_of", "_Chunks"):
            with monkeypatch.context() as patch:
                patch.setattr(_gemini_calls, name, lambda *_: 1 / 0)
                client = client_of(provider, TEXT)
                assert ask(client).text
                client = client_of(provider, STREAM)
                assert len(list(stream_of(client))) > 1
                client = client_of(provider, "gemini/embed_two")
                contents = ["One.", "Two."]
                assert client.models.embed_content(
                    model="gemini-embedding-001", contents=contents
                ).embeddings

    @pytest.mark.parametrize("kind", ["answer", "stream", "embedding"])
    def test_recording_that_is_set_up_to_raise(self, kind, provider, collected, monkeypatch):
        """With on_error="raise" it stops a request that has not left, and no answer."""
        wanted = []

        def emit(record):
            if record.hilt["action"] in wanted:
                raise hilt_logging.RecordingError("not written")

        def call():
            if kind == "embedding":
                client = client_of(provider, "gemini/embed_two")
                client.models.embed_content(model="gemini-embedding-001", contents=["One.", "Two."])
            elif kind == "stream":
                client = client_of(provider, STREAM)
                list(stream_of(client))
            else:
                client = client_of(provider, TEXT)
                ask(client)

        monkeypatch.setattr(collected, "emit", emit)
        wanted[:] = ["completion", "embedding"]
        call()
        wanted[:] = ["prompt"]
        provider.journal.clear()
        if kind != "embedding":  # has no prompt
            with pytest.raises(hilt_logging.RecordingError):
                call()
            assert [] == provider.journal

    @pytest.mark.parametrize("fixture", [TEXT, STREAM])
    def test_wrapped_by_somebody_else(self, fixture, provider, collected, owner, instrumented):
        """A call that passes our layer twice is on record once."""
        for name in ("_generate_content", "_generate_content_stream"):
            name = f"{name}_with_continuation"
            ours = vars(owner)[name]
            setattr(owner, name, lambda self, ours=ours, **kwargs: ours(self, **kwargs))
        instrumented("gemini")
        (item,) = [each for each in MANIFEST if each["id"] == fixture]
        sync_call(client_of(provider, fixture), item)
        assert ["prompt", "completion"] == actions(collected)

    def test_uninstrument(self, provider, collected):
        """Afterwards the SDK is as it was."""
        from google.genai.models import AsyncModels, Models

        hilt_logging.uninstrument()
        for owner in (Models, AsyncModels):
            found = [each for each in vars(owner).values() if inspect.isfunction(each)]
            assert OURS not in [each.__code__.co_filename for each in found]
        client = client_of(provider, TEXT)
        ask(client)
        assert [] == collected.events


class Served:
    """What google-generativeai talks to, in place of its clients for REST and gRPC."""

    def __init__(self, protos: Any, respond: Any) -> None:
        self.protos = protos
        self.respond = respond

    def pieces(self, request: Any) -> Any:
        for each in self.respond(request):
            if "error" in each:
                exceptions = pytest.importorskip("google.api_core.exceptions")
                raise exceptions.from_http_status(each["error"]["code"], each["error"]["message"])
            yield self.protos.GenerateContentResponse.from_json(
                json.dumps(each), ignore_unknown_fields=True
            )

    def generate_content(self, request: Any, **options: Any) -> Any:
        return next(self.pieces(request))

    def stream_generate_content(self, request: Any, **options: Any) -> Any:
        return self.pieces(request)


class ServedAsync(Served):
    async def generate_content(self, request: Any, **options: Any) -> Any:
        return next(self.pieces(request))

    async def stream_generate_content(self, request: Any, **options: Any) -> Any:
        async def pieces():
            for each in self.pieces(request):
                await asyncio.sleep(0)
                yield each

        return pieces()


def bodies_of(item: dict[str, Any]) -> list[Any]:
    raw = (FIXTURES / item["file"]).read_text("utf-8")
    if item["file"].endswith(".sse"):
        return [json.loads(each[6:]) for each in raw.split("\n") if each.startswith("data: ")]
    body = json.loads(raw)
    return body if isinstance(body, list) else [body]


@pytest.mark.filterwarnings("ignore::FutureWarning")  # google-generativeai announces its end
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # protobuf's compiled types
class TestOlder:
    """The same with google-generativeai."""

    @pytest.fixture
    def older(self):
        return pytest.importorskip("google.generativeai")

    @pytest.fixture
    def model(self, older):
        def made(respond: Any, **options: Any) -> Any:
            one = older.GenerativeModel(MODEL, **options)
            one._client = Served(older.protos, respond)
            one._async_client = ServedAsync(older.protos, respond)
            return one

        return made

    def check(self, item: dict[str, Any], collected: Any) -> None:
        (completion,) = collected.of("completion")
        expected, extensions = item["expected"], completion["extensions"]
        assert 1 == len(collected.of("prompt"))
        assert expected["text"] == completion.get("content", {}).get("text", "")
        wanted = expected["finish_reason"] or expected.get("block_reason")
        assert wanted == extensions.get("finish_reason")
        calls = [event["extensions"]["tool"] for event in collected.of("tool_call")]
        assert [(c["name"], c["arguments"]) for c in expected["tool_calls"]] == [
            (c["name"], c["arguments"]) for c in calls
        ]
        assert MODEL == completion["provenance"]["request_model"]
        usage = expected["usage"].items()
        known = {k: v for k, v in usage if not k.startswith(("thoughts", "tool"))}
        assert usage_tokens("gemini", known) == completion["metrics"]["tokens"]
        assert [] == [fault for event in collected.events for fault in validate_event(event)]

    @BOTH
    @pytest.mark.parametrize("item", of("gemini"))
    def test_answer(self, item, kind, model, collected):
        """What came is on record as the manifest has it, as far as this protocol can tell it."""
        if item["expected"].get("reasoning") and item["expected"]["text"]:
            pytest.skip("the protocol of google-generativeai has no `thought`: it drops the mark")
        one = model(lambda _: bodies_of(item))

        async def run():
            response = await one.generate_content_async("Hello", stream=item["stream"])
            await response.resolve()

        def read():
            if kind == "async":
                asyncio.run(run())
            else:
                one.generate_content("Hello", stream=item["stream"]).resolve()

        if "error" in item["expected"]:
            exceptions = pytest.importorskip("google.api_core.exceptions")
            with pytest.raises(exceptions.ServiceUnavailable):
                read()
            told = collected.of("system")[0]["extensions"]
            assert ("ServiceUnavailable", 503) == (told["error"]["type"], told["status_code"])
        else:
            read()
        gc.collect()
        self.check(item, collected)
        if item["stream"]:
            assert item["expected"]["chunks"] == collected.of("completion")[0]["metrics"]["chunks"]

    @pytest.mark.parametrize(
        "item", [p for p in of("gemini") if "array" in p.id or "text" == p.id[-4:]]
    )
    def test_rest(self, item, older, provider, collected):
        """Over HTTP, too, with the SDK's own client."""
        if item["file"].endswith(".sse"):
            pytest.skip("over HTTP streams come as an array")
        endpoint = provider.url(item["id"])
        older.configure(api_key="x", transport="rest", client_options={"api_endpoint": endpoint})
        model = older.GenerativeModel(MODEL)
        response = model.generate_content(
            "Hello", stream=item["stream"], request_options={"retry": None}
        )
        assert item["expected"]["text"] == "".join(each.text for each in response)
        self.check(item, collected)

    @pytest.mark.parametrize("item", of("gemini", errors=True))
    def test_error(self, item, older, provider, collected):
        """An error is recorded with its class and status, and raised unchanged."""
        exceptions = pytest.importorskip("google.api_core.exceptions")
        endpoint = provider.url(item["id"])
        older.configure(api_key="x", transport="rest", client_options={"api_endpoint": endpoint})
        with pytest.raises(exceptions.GoogleAPICallError) as caught:
            older.GenerativeModel(MODEL).generate_content("Hello", request_options={"retry": None})
        expected = item["expected"]["error"]
        (error,) = collected.of("system")
        assert expected["generativeai_class"] == error["extensions"]["error"]["type"]
        assert type(caught.value).__name__ == error["extensions"]["error"]["type"]
        assert expected["status"] == error["extensions"]["status_code"]

    @BOTH
    def test_fidelity(self, kind, model, collected):
        """Pieces, their values and what is put together of them are the same."""
        (item,) = [each for each in MANIFEST if each["id"] == STREAM]

        def run():
            one = model(lambda _: bodies_of(item))
            if kind == "sync":
                response = one.generate_content("Hello", stream=True)
                with pytest.raises(Exception, match="complete iteration"):
                    _ = response.text
                pieces = list(response)
                return type(response), [e.text for e in pieces], response.text, len(list(response))

            async def read():
                response = await one.generate_content_async("Hello", stream=True)
                pieces = [each.text async for each in response]
                return type(response), pieces, response.text

            return asyncio.run(read())

        plain, ours = twice(run)
        assert plain == ours

    def test_a_response_that_is_shown_and_copied(self, model, collected):
        """A stream's response shows the same as without us, and a copy that fails leaves no trace."""
        (item,) = [each for each in MANIFEST if each["id"] == STREAM]

        def run():
            response = model(lambda _: bodies_of(item)).generate_content("Hello", stream=True)
            with pytest.raises(TypeError):
                copy.deepcopy(response)
            return repr(response)

        plain, ours = twice(run)
        gc.collect()
        assert plain == ours

    @BOTH
    def test_left_early(self, kind, model, collected):
        """A stream that is left goes with its response."""
        (item,) = [each for each in MANIFEST if each["id"] == STREAM]
        one = model(lambda _: bodies_of(item))

        async def read():
            async for _ in await one.generate_content_async("Hello", stream=True):
                break

        if kind == "async":
            asyncio.run(read())
        else:
            for _ in one.generate_content("Hello", stream=True):
                break
        gc.collect()
        assert "closed_early" == outcome(collected)
        assert "Once upon a time, a small server " == text_of(collected)

    def test_chat(self, model, collected):
        """A chat is one conversation, of which only what is new is written."""

        def respond(request):
            said = request.contents[-1].parts[0].text
            parts = [{"text": f"{said}? Yes."}]
            return [{"candidates": [{"content": {"role": "model", "parts": parts}}]}]

        one = model(respond, system_instruction="Be brief.", generation_config={"temperature": 0.5})
        chat = one.start_chat()
        for turn in range(4):
            response = chat.send_message(f"question {turn}", stream=turn % 2 == 0)
            response.resolve()
        assert 8 == len(chat.history)
        prompts = collected.of("prompt")
        assert 1 == len({event["session_id"] for event in collected.events})
        assert [f"question {turn}" for turn in range(4)] == [e["content"]["text"] for e in prompts]
        assert ["messages" in each["content"] for each in prompts] == [True, False, False, False]
        assert 1 == json.dumps(prompts).count("Be brief.")
        assert {"temperature": 0.5} == prompts[0]["provenance"]["params"]
        transcript = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
        assert (True, 0, 8) == (transcript.is_exact, transcript.missing, len(transcript.turns))

    def test_blocked_chat(self, model, collected):
        """A prompt that a chat raises for is a completion that was filtered."""
        feedback = {"promptFeedback": {"blockReason": "SAFETY"}}
        chat = model(lambda _: [feedback]).start_chat()
        with pytest.raises(Exception, match="block_reason"):
            chat.send_message("Hello", stream=True)
        assert ["prompt", "completion"] == actions(collected)
        assert "filtered" == outcome(collected)
        assert "SAFETY" == collected.events[1]["extensions"]["finish_reason"]

    def test_functions(self, model, collected):
        """Functions that the SDK runs: each turn and each run, once."""

        def respond(request):
            last = request.contents[-1].parts[0]
            if "function_response" in last:
                parts = [{"text": "It is 3."}]
            else:
                parts = [{"functionCall": {"name": "add", "args": {"a": 1, "b": 2}}}]
            candidate = {"content": {"role": "model", "parts": parts}, "finishReason": "STOP"}
            return [{"candidates": [candidate]}]

        chat = model(respond, tools=[add]).start_chat(enable_automatic_function_calling=True)
        assert "It is 3." == chat.send_message("add").text
        assert (
            ["prompt", "completion", "tool_call", "tool_result", "prompt", "completion"]
        ) == actions(collected)
        (call,), (result,) = collected.of("tool_call"), collected.of("tool_result")
        assert {"a": 1, "b": 2} == call["extensions"]["tool"]["arguments"]
        assert {"result": 3} == result["extensions"]["tool"]["result"]
        assert call["event_id"] == result["extensions"]["reply_to"]
        assert 1 == len({event["session_id"] for event in collected.events})

    @pytest.mark.parametrize("place", ["package", "module"])
    def test_embeddings(self, place, older, provider, collected):
        """Embedding is one event, wherever the function is taken from."""
        endpoint = provider.url("gemini/embed_two")
        older.configure(api_key="x", transport="rest", client_options={"api_endpoint": endpoint})
        owner = older if place == "package" else sys.modules["google.generativeai.embedding"]
        name = "models/gemini-embedding-001"
        made = owner.embed_content(name, ["One.", "Two."])
        (event,) = collected.events
        assert "embedding" == event["action"]
        assert {"count": 2, "dimensions": len(made["embedding"][0])} == event["extensions"][
            "embedding"
        ]
        assert "gemini-embedding-001" == event["provenance"]["request_model"]
        assert str(made["embedding"][0][0]) not in json.dumps(event)

    def test_one_model(self, model, collected, instrumented):
        """With a model, or a chat with it, only its calls are recorded."""
        hilt_logging.uninstrument()
        (item,) = [each for each in MANIFEST if each["id"] == TEXT]
        one, other = model(lambda _: bodies_of(item)), model(lambda _: bodies_of(item))
        instrumented(one.start_chat())
        one.generate_content("Hello")
        other.generate_content("Hello")
        assert ["prompt", "completion"] == actions(collected)

    def test_uninstrument(self, older, collected):
        """Afterwards the SDK is as it was."""
        hilt_logging.uninstrument()
        functions = [
            *(vars(older.GenerativeModel)[name] for name in ("generate_content",)),
            older.embed_content,
            sys.modules["google.generativeai.embedding"].embed_content,
        ]
        assert OURS not in [each.__code__.co_filename for each in functions]
        assert older.embed_content is sys.modules["google.generativeai.embedding"].embed_content
