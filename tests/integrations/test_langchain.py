from __future__ import annotations

import asyncio
import contextvars
import copy
import json
import logging
import subprocess
import sys
import threading
import uuid

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hilt_logging import ConfigurationError, Session, bind, validate_event
from hilt_logging.integrations import set_prices


pytest.importorskip("langchain_core")

from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import adispatch_custom_event, dispatch_custom_event
from langchain_core.documents import Document
from langchain_core.language_models import (
    FakeListLLM,
    GenericFakeChatModel,
)
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.outputs import (
    ChatGeneration,
    ChatGenerationChunk,
    Generation,
    GenerationChunk,
    LLMResult,
)
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool

from hilt_logging.integrations import _latest
from hilt_logging.integrations.langchain import AsyncHILTCallbackHandler, HILTCallbackHandler


PNG = "iVBORw0KGgo="


@pytest.fixture(autouse=True)
def own_prices():
    """No test leaves prices behind."""
    yield
    set_prices(None)


@pytest.fixture(autouse=True)
def all_valid(collected):
    """Whatever a test does, every event that it makes is one."""
    yield
    for event in collected.events:
        assert [] == validate_event(event)


class Way:
    """How an application runs things: with which handler, and whether it awaits."""

    def __init__(self, handler: type, awaits: bool) -> None:
        self.handler, self.awaits = handler, awaits

    def _config(self, options: dict[str, Any]) -> dict[str, Any]:
        return {"callbacks": [options.pop("handler", None) or self.handler()], **options}

    def invoke(self, runnable: Any, given: Any, **options: Any) -> Any:
        config = self._config(options)
        if self.awaits:
            return asyncio.run(runnable.ainvoke(given, config))
        return runnable.invoke(given, config)

    def stream(self, runnable: Any, given: Any, most: int | None = None, **options: Any) -> list:
        config = self._config(options)
        if not self.awaits:
            stream, got = runnable.stream(given, config), []
            for piece in stream:
                got.append(piece)
                if len(got) == most:
                    stream.close()
                    break
            return got
        return asyncio.run(self._astream(runnable, given, most, config))

    async def _astream(self, runnable: Any, given: Any, most: int | None, config: Any) -> list:
        stream, got = runnable.astream(given, config), []
        async for piece in stream:
            got.append(piece)
            if len(got) == most:
                await stream.aclose()
                break
        return got


@pytest.fixture(
    params=[
        (HILTCallbackHandler, False),
        (HILTCallbackHandler, True),
        (AsyncHILTCallbackHandler, True),
        (AsyncHILTCallbackHandler, False),
    ],
    ids=["sync", "sync handler awaited", "async", "async handler in sync code"],
)
def way(request):
    """Each handler in each kind of code."""
    return Way(*request.param)


def model(*answers: Any, **options: Any) -> GenericFakeChatModel:
    return GenericFakeChatModel(messages=iter(answers), **options)


def asks(*calls: tuple[str, dict[str, Any], str]) -> AIMessage:
    made = [{"name": name, "args": args, "id": call_id} for name, args, call_id in calls]
    return AIMessage(content="", tool_calls=made)


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail(why: str) -> str:
    """Fail."""
    raise ValueError(why)


class Broken(GenericFakeChatModel):
    """Breaks in the middle of its stream, or at once."""

    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        raise ValueError("no answer")

    def _stream(self, *args: Any, **kwargs: Any) -> Any:
        yield ChatGenerationChunk(message=AIMessageChunk(content="Half of "))
        raise ValueError("broken")


class Slow(GenericFakeChatModel):
    """Streams in its own time."""

    async def _astream(self, messages: Any, stop: Any = None, run_manager: Any = None, **kw: Any):
        for word in ("one ", "two ", "three"):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
            await asyncio.sleep(0.02)

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(30)


class Shelf(BaseRetriever):
    """Finds the same two documents every time."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        if query == "broken":
            raise LookupError("no shelf")
        found = Document(page_content="Lamps.", metadata={"page": 7}, id="d1")
        return [found, Document(page_content="Oil.")]


def phases(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    chains = [event["extensions"].get("chain") for event in events]
    return [(chain["name"], chain["phase"]) for chain in chains if chain]


def kinds(collected: Any) -> list[str]:
    return [event["action"] for event in collected.events]


# set-up


@pytest.mark.parametrize("handler", [HILTCallbackHandler, AsyncHILTCallbackHandler])
@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"session": object()}, "session"),
        ({"session": "file.jsonl"}, "session"),
        ({"session_id": ""}, "session_id"),
        ({"session_id": 7}, "session_id"),
        ({"include_metrics": "yes"}, "include_metrics"),
    ],
)
def test_wrong_options(handler, options, named):
    """A wrong option is an error at construction that names it."""
    with pytest.raises(ConfigurationError, match=f"Invalid {named}"):
        handler(**options)


def test_missing_package():
    """Without langchain-core the import names the extra that brings it."""
    code = (
        "import sys; sys.modules['langchain_core'] = None\n"
        "try: import hilt_logging.integrations.langchain\n"
        "except ImportError as error: print(type(error).__name__, error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "MissingDependencyError" in done.stdout
    assert "hilt-logging[langchain]" in done.stdout


def test_seed_page(tmp_path):
    """The lines of the seed page work, with a chat model in place of the one LangChain removed."""
    with Session(tmp_path / "langchain.hilt.jsonl") as session:
        callback = HILTCallbackHandler(session, session_id="demo-chain")
        llm = FakeListLLM(responses=["One line per event."], callbacks=[callback])
        llm.invoke("Explain the HILT format in one sentence.")
    with Session(tmp_path / "langchain.hilt.jsonl") as session:
        events = [event.to_dict() for event in session.read()]
    assert ["prompt", "completion"] == [event["action"] for event in events]
    assert {"demo-chain"} == {event["session_id"] for event in events}
    assert "One line per event." == events[1]["content"]["text"]


def test_event_once(tmp_path, collected):
    """With a session, each event is in its file and at the named logger, once."""
    with Session(tmp_path / "a.jsonl") as session:
        model("Hi.").invoke("Hello", {"callbacks": [HILTCallbackHandler(session)]})
    lines = (tmp_path / "a.jsonl").read_text().splitlines()
    assert [json.loads(line)["event_id"] for line in lines] == [
        event["event_id"] for event in collected.events
    ]
    assert {"hilt.langchain"} == {record.name for record in collected.records}


def test_copied_model(collected):
    """A copy of a model goes on recording to the same place."""
    handler = HILTCallbackHandler()
    assert copy.deepcopy(handler) is handler
    assert copy.deepcopy(twin := AsyncHILTCallbackHandler()) is twin


# models


def test_blocks_of_both_kinds(collected):
    """Text among blocks is kept, whether it is a block or a plain string."""
    mixed = ["One ", {"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "two"}]
    told = {"model_provider": "anthropic"}
    _model_run(HILTCallbackHandler(), _result(mixed, response_metadata=told))
    assert "One two" == collected.of("completion")[0]["content"]["text"]


def test_chat(way, collected):
    """A chat is a prompt and a completion that replies to it."""
    way.invoke(model("Hi there."), "Hello")
    prompt, completion = collected.events
    assert ("prompt", "Hello") == (prompt["action"], prompt["content"]["text"])
    assert "messages" not in prompt["content"]
    assert ("completion", "Hi there.") == (completion["action"], completion["content"]["text"])
    assert prompt["event_id"] == completion["extensions"]["reply_to"]
    assert prompt["provenance"]["run_id"] == completion["provenance"]["run_id"]
    assert prompt["provenance"]["library"].startswith("langchain-core/")
    assert "not_reported" == completion["extensions"]["usage"]
    assert "new" == completion["extensions"]["session_source"]
    assert completion["metrics"]["latency_ms"] >= 0


def test_roles(way, collected):
    """With several roles, all messages are there in order, and the text is the person's last."""
    turns = [SystemMessage("Be brief."), HumanMessage("Hi", name="ann"), AIMessage("Yes?")]
    way.invoke(model("Bye."), [*turns, HumanMessage("Go")])
    content = collected.of("prompt")[0]["content"]
    assert "Go" == content["text"]
    assert ["system", "user", "assistant", "user"] == [m["role"] for m in content["messages"]]
    assert "ann" == content["messages"][1]["name"]
    assert [{"type": "text", "content": "Be brief."}] == content["messages"][0]["parts"]


def test_media(way, collected):
    """Images, sound and files are references with type, size and digest, never the bytes."""
    blocks = [
        {"type": "text", "text": "Look"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "image_url", "image_url": {"url": "https://example.org/y.png"}},
        {"type": "audio", "base64": "UklGRg==", "mime_type": "audio/wav"},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,JVBERg=="}},
    ]
    chain = RunnableLambda(lambda asked: asked) | model("Nice.")
    way.invoke(chain, [HumanMessage(content=blocks)])
    content = collected.of("prompt")[0]["content"]
    assert "Look" == content["text"]
    assert [
        ("image", "image/png", 8),
        ("image", None, None),
        ("audio", "audio/wav", 4),
        ("file", "application/pdf", 4),
    ] == [(m["type"], m.get("mime_type"), m.get("bytes")) for m in content["media"]]
    assert "https://example.org/y.png" == content["media"][1]["uri"]
    assert content["media"] == content["messages"][0]["parts"][1:]
    assert PNG not in json.dumps(collected.events)


def test_plain_model(way, collected):
    """A model that completes text gives a prompt and a completion."""
    way.invoke(FakeListLLM(responses=["four"]), "Two and two is")
    assert ["Two and two is", "four"] == [e["content"]["text"] for e in collected.events]


def test_plain_model_many_prompts(collected):
    """Several prompts in one request are as many calls, kept apart."""
    FakeListLLM(responses=["1", "2"]).generate(["one", "two"], callbacks=[HILTCallbackHandler()])
    answers = {
        e["extensions"]["reply_to"]: e["content"]["text"] for e in collected.of("completion")
    }
    assert {"one": "1", "two": "2"} == {
        e["content"]["text"]: answers[e["event_id"]] for e in collected.of("prompt")
    }


def test_stream(way, collected):
    """A stream gives one completion with its whole text, the pieces counted."""
    way.stream(model("Three small words"), "Go")
    (completion,) = collected.of("completion")
    assert "Three small words" == completion["content"]["text"]
    assert completion["metrics"]["chunks"] >= 5
    assert 0 <= completion["metrics"]["time_to_first_token_ms"]
    assert completion["metrics"]["time_to_first_token_ms"] <= completion["metrics"]["latency_ms"]
    assert "completion_chunk" not in kinds(collected)


def test_pieces_at_debug(way, collected, tmp_path):
    """Pieces are events of their own where DEBUG is on, also in a session; else nowhere."""
    for level, count in ((logging.INFO, 0), (logging.DEBUG, 5)):
        logging.getLogger("hilt").setLevel(level)
        with Session(tmp_path / f"{level}.jsonl") as session:
            way.stream(model("Three small words"), "Go", handler=way.handler(session))
        written = (tmp_path / f"{level}.jsonl").read_text()
        assert (
            count
            == written.count('"completion_chunk"')
            == kinds(collected).count("completion_chunk")
        )
    pieces = [event["content"]["text"] for event in collected.of("completion_chunk")]
    assert "Three small words" == "".join(pieces)


def test_streaming_plain_model(way, collected):
    """A plain model's stream is told like a chat model's."""

    class Tokens(FakeListLLM):
        def _stream(self, prompt: str, stop: Any = None, run_manager: Any = None, **kw: Any):
            for letter in self.responses[0]:
                chunk = GenerationChunk(text=letter)
                run_manager.on_llm_new_token(letter, chunk=chunk)  # as real ones do
                yield chunk

    way.stream(Tokens(responses=["abc"]), "Spell")
    (completion,) = collected.of("completion")
    assert ("abc", 3) == (completion["content"]["text"], completion["metrics"]["chunks"])


def test_protocol_events(collected):
    """Events of the newest stream protocol count once, where pieces are told too."""
    handler = HILTCallbackHandler()
    stream = model("Three small words").stream_events("Go", {"callbacks": [handler]}, version="v3")
    list(stream)
    (completion,) = collected.of("completion")
    assert "Three small words" == completion["content"]["text"]
    assert 5 <= completion["metrics"]["chunks"] <= 6


def test_protocol_events_alone(collected):
    """A model that tells only events of the protocol has its pieces counted by them."""
    handler, run_id = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("Go")]], run_id=run_id)
    for said in ("a", "b"):
        delta = {"type": "text-delta", "text": said}
        handler.on_stream_event({"event": "content-block-delta", "delta": delta}, run_id=run_id)
    handler.on_stream_event({"event": "message-finish"}, run_id=run_id)
    handler.on_llm_end(_result("ab"), run_id=run_id)
    assert 2 == collected.of("completion")[0]["metrics"]["chunks"]


def _result(said: Any, **fields: Any) -> LLMResult:
    return LLMResult(generations=[[ChatGeneration(message=AIMessage(said, **fields))]])


USAGE = {
    "input_tokens": 17420,
    "output_tokens": 11,
    "total_tokens": 17431,
    "input_token_details": {
        "cache_read": 15360,
        "cache_creation": 0,
        "ephemeral_5m_input_tokens": 1536,
        "ephemeral_1h_input_tokens": 512,
        "audio": 3,
    },
    "output_token_details": {"reasoning": 4, "audio": 2},
}


def test_tokens(way, collected):
    """Tokens are those of the message, normalised; the two ways to tell what was cached agree."""
    answer = AIMessage("Yes.", usage_metadata=USAGE, response_metadata={"model_name": "m-1"})
    set_prices({"genericfakechatmodel": {"m-1": {"input": 1.0, "output": 2.0}}})
    way.invoke(model(answer), "Cached?")
    (completion,) = collected.of("completion")
    assert {
        "prompt": 17420,
        "completion": 11,
        "total": 17431,
        "cached": 15360,
        "cache_write": 2048,
        "cache_write_1h": 512,
        "reasoning": 4,
        "audio_prompt": 3,
        "audio_completion": 2,
    } == completion["metrics"]["tokens"]
    assert pytest.approx(0.017442) == completion["metrics"]["cost_usd"]
    assert "user" == completion["provenance"]["price"]["source"]
    assert "m-1" == completion["provenance"]["model"]
    assert "usage" not in completion["extensions"]


def test_tokens_of_the_result(collected):
    """Where no message tells them, the tokens are those of the whole result."""
    usage = {"token_usage": {"prompt_tokens": 5, "completion_tokens": 2}, "model_name": "old"}
    result = LLMResult(generations=[[Generation(text="x")]], llm_output=usage)
    _model_run(HILTCallbackHandler(), result)
    (completion,) = collected.of("completion")
    assert {"prompt": 5, "completion": 2, "total": 7} == completion["metrics"]["tokens"]
    assert "old" == completion["provenance"]["model"]


def test_several_choices(collected):
    """Of several choices the first one is the text, all are there, and tokens count once."""
    told = {"finish_reason": "stop"}
    usage = {"input_tokens": 3, "output_tokens": 4, "total_tokens": 7}
    choices = [
        ChatGeneration(message=AIMessage(said, usage_metadata=usage, response_metadata=told))
        for said in ("first", "second")
    ]
    _model_run(HILTCallbackHandler(), LLMResult(generations=[choices]))
    (completion,) = collected.of("completion")
    assert "first" == completion["content"]["text"]
    assert 2 == len(completion["content"]["messages"])
    assert 7 == completion["metrics"]["tokens"]["total"]


def _model_run(handler: Any, result: Any, **start: Any) -> None:
    run_id = uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("Go")]], run_id=run_id, **start)
    handler.on_llm_end(result, run_id=run_id)


def test_metrics_left_out(way, collected):
    """Without metrics no event says what it took."""
    chain = RunnableLambda(lambda x: x) | model(AIMessage("Yes.", usage_metadata=USAGE))
    way.invoke(chain, "Go", handler=way.handler(include_metrics=False))
    way.invoke(add, {"a": 1, "b": 2}, handler=way.handler(include_metrics=False))
    way.invoke(Shelf(), "lamps", handler=way.handler(include_metrics=False))
    assert not any("metrics" in event for event in collected.events)
    assert not any("price" in event["provenance"] for event in collected.events)


@pytest.mark.parametrize(
    ("told", "outcome", "level"),
    [
        ({"finish_reason": "stop"}, "completed", logging.INFO),
        ({"finish_reason": "length"}, "truncated", logging.WARNING),
        ({"stop_reason": "max_tokens"}, "truncated", logging.WARNING),
        ({"finish_reason": "content_filter"}, "filtered", logging.WARNING),
        ({"finish_reason": "SAFETY"}, "filtered", logging.WARNING),
        ({"done_reason": "stop"}, "completed", logging.INFO),
        (
            {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}},
            "truncated",
            logging.WARNING,
        ),
    ],
)
def test_outcomes(told, outcome, level, collected):
    """The finish reason is the provider's own word; the outcome and the level follow from it."""
    _model_run(HILTCallbackHandler(), _result("x", response_metadata=told))
    (completion,) = collected.of("completion")
    assert outcome == completion["extensions"]["outcome"]
    assert completion["extensions"]["finish_reason"] in (
        *map(str, told.values()),
        "max_output_tokens",
    )
    assert level == collected.records[-1].levelno


def test_refusal(collected):
    """The words of a refusal stand apart from the text."""
    for message in (
        AIMessage("", additional_kwargs={"refusal": "No."}),
        AIMessage([{"type": "refusal", "refusal": "No."}]),
        AIMessage(
            [],
            response_metadata={"stop_reason": "refusal", "stop_details": {"explanation": "No."}},
        ),
    ):
        result = LLMResult(generations=[[ChatGeneration(message=message)]])
        _model_run(HILTCallbackHandler(), result)
    for completion in collected.of("completion"):
        assert ("refused", "No.") == (
            completion["extensions"]["outcome"],
            completion["extensions"]["refusal"],
        )
        assert "" == completion["content"]["text"]


def test_cache_hit(way, collected):
    """An answer out of LangChain's cache is told as one, and cost neither tokens nor money."""
    cache, answer = InMemoryCache(), AIMessage("Yes.", usage_metadata=USAGE)
    cached = model(answer, cache=cache)
    way.invoke(cached, "Again?")
    way.invoke(cached, "Again?")
    first, second = collected.of("completion")
    assert "cache" not in first["extensions"]
    assert "hit" == second["extensions"]["cache"]
    assert "tokens" not in second["metrics"]
    assert 0 == second["metrics"]["cost_usd"]
    assert 2 == len(collected.of("prompt"))


def test_parameters(way, collected):
    """What a request asks for is there, and nothing that is secret."""
    handler = HILTCallbackHandler()
    metadata = {
        "ls_provider": "google_genai",
        "ls_model_name": "gemini-3",
        "ls_temperature": 0.2,
        "team": "blue",
        "api_key": "sk-secret",
        "db_password": "sk-secret",
    }
    params = {"top_p": 0.5, "stop": ["x"], "api_key": "sk-secret", "tools": [{"name": "f"}]}
    serialized = {"kwargs": {"openai_api_key": "sk-secret"}, "name": "Chat"}
    run_id = str(uuid.uuid4())
    handler.on_chat_model_start(
        serialized,
        [[HumanMessage("Go")]],
        run_id=run_id,
        metadata=metadata,
        invocation_params=params,
        tags=["a", "b"],
    )
    (prompt,) = collected.events
    assert {"temperature": 0.2, "stop": ["x"], "top_p": 0.5} == prompt["provenance"]["params"]
    assert "gemini" == prompt["provenance"]["provider"]
    assert "gemini-3" == prompt["provenance"]["request_model"]
    assert run_id == prompt["provenance"]["run_id"]
    assert {"team": "blue"} == prompt["extensions"]["metadata"]
    assert ["a", "b"] == prompt["extensions"]["tags"]
    assert "sk-secret" not in json.dumps(collected.events)


# how models end


def test_error(way, collected):
    """A model that fails is an error that replies to its prompt; there was no answer."""
    with pytest.raises(ValueError, match="no answer"):
        way.invoke(Broken(messages=iter([])), "Go")
    prompt, error = collected.events
    assert ("system", logging.ERROR) == (error["action"], collected.records[-1].levelno)
    assert {"type": "ValueError", "message": "no answer"} == error["extensions"]["error"]
    assert prompt["event_id"] == error["extensions"]["reply_to"]


def test_stream_breaks(way, collected):
    """What had come of a stream that breaks is on record before the error."""
    with pytest.raises(ValueError, match="broken"):
        way.stream(Broken(messages=iter([])), "Go")
    assert ["prompt", "completion", "system"] == kinds(collected)
    _, completion, error = collected.events
    assert "Half of " == completion["content"]["text"]
    assert "failed" == completion["extensions"]["outcome"] == error["extensions"]["outcome"]


def test_stream_left(way, collected):
    """A stream that is left early is a warning with what had come, and no error."""
    way.stream(model("Three small words"), "Go", most=2)
    _prompt, completion = collected.events
    assert "Three " == completion["content"]["text"]
    assert "closed_early" == completion["extensions"]["outcome"]
    assert logging.WARNING == collected.records[-1].levelno


def test_chain_stream_left(way, collected):
    """A chain whose stream is left early ends so, as does the model in it; neither is an error."""
    handler = way.handler()
    chain = (RunnableLambda(lambda x: x) | model("Three small words")).with_config(run_name="c")
    way.stream(chain, "Go", most=2, handler=handler)
    (completion,) = collected.of("completion")
    assert "closed_early" == completion["extensions"]["outcome"]
    assert {logging.INFO, logging.WARNING} == {record.levelno for record in collected.records}
    assert 0 == len(_core(handler)._runs)


@pytest.mark.parametrize("handler", [HILTCallbackHandler, AsyncHILTCallbackHandler])
def test_stream_cancelled(handler, collected):
    """A task that is cancelled is a warning with what had come, and no error."""

    async def main() -> None:
        begun = asyncio.Event()

        async def read() -> None:
            async for _ in Slow(messages=iter([])).astream("Go", {"callbacks": [handler()]}):
                begun.set()

        task = asyncio.create_task(read())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    _prompt, completion = collected.events
    assert completion["content"]["text"].startswith("one ")
    assert "cancelled" == completion["extensions"]["outcome"]
    assert {logging.INFO, logging.WARNING} == {record.levelno for record in collected.records}


@pytest.mark.parametrize("handler", [HILTCallbackHandler, AsyncHILTCallbackHandler])
def test_chain_cancelled(handler, collected):
    """What a cancelled chain awaits is cancelled with it, though LangChain does not tell."""
    made = handler()

    async def main() -> None:
        chain = RunnableLambda(lambda x: x) | Slow(messages=iter([]))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(chain.ainvoke("Go", {"callbacks": [made]}), 0.5)

    asyncio.run(main())
    (completion,) = collected.of("completion")
    assert "cancelled" == completion["extensions"]["outcome"]
    ended = [e["extensions"].get("outcome") for e in collected.of("system")]
    assert "cancelled" in ended
    assert all(record.levelno < logging.ERROR for record in collected.records)
    assert 0 == len(_core(made)._runs)


def _core(handler: Any) -> HILTCallbackHandler:
    return getattr(handler, "_handler", handler)


def test_broken_tool_call(collected):
    """A tool that a broken stream was about to ask for was not asked for."""
    chunk = AIMessageChunk(
        "",
        tool_call_chunks=[{"name": "add", "args": '{"a": 1', "id": "c9", "index": 0}],
    )
    handler, run_id = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("Go")]], run_id=run_id)
    partial = LLMResult(generations=[[ChatGenerationChunk(message=chunk)], []])
    handler.on_llm_error(ValueError("broken"), run_id=run_id, response=partial)
    assert ["prompt", "completion", "system"] == kinds(collected)
    (parts,) = [m["parts"] for m in collected.of("completion")[0]["content"]["messages"]]
    assert ("tool_call", "c9") == (parts[0]["type"], parts[0]["id"])


def test_retry(collected):
    """An attempt that is made again is a warning, and the answer says how many there were."""
    tenacity = pytest.importorskip("tenacity")
    handler, run_id = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("Go")]], run_id=run_id)
    state = tenacity.RetryCallState(tenacity.Retrying(), None, (), {})
    state.set_exception((ValueError, ValueError("busy"), None))
    handler.on_retry(state, run_id=run_id)
    handler.on_llm_end(_result("x"), run_id=run_id)
    prompt, retry, completion = collected.events
    assert ("retried", logging.WARNING) == (
        retry["extensions"]["outcome"],
        collected.records[1].levelno,
    )
    assert "busy" == retry["extensions"]["error"]["message"]
    assert 1 == retry["extensions"]["retry"]["attempt"]
    assert prompt["event_id"] == retry["extensions"]["reply_to"]
    assert 2 == completion["metrics"]["attempts"]


# tools


def test_tool_nobody_asked_for(way, collected):
    """A tool that the application runs itself is a call and a result."""
    way.invoke(add, {"a": 1, "b": 2})
    call, result = collected.events
    assert {"name": "add", "arguments": {"a": 1, "b": 2}} == call["extensions"]["tool"]
    assert {"name": "add", "result": 3} == result["extensions"]["tool"]
    assert call["event_id"] == result["extensions"]["reply_to"]
    assert ("tool", "add") == (result["actor"]["type"], result["actor"]["id"])


def test_tool_asked_for(way, collected):
    """A tool that a model asks for is called once, and gives once."""
    call_id = str(uuid.uuid4())
    asked = way.invoke(model(asks(("add", {"a": 1, "b": 2}, call_id))), "Sum")
    message = way.invoke(add, asked.tool_calls[0])
    assert "3" == message.content
    (call,), (result,) = collected.of("tool_call"), collected.of("tool_result")
    assert call_id == call["extensions"]["tool"]["call_id"]
    assert call["event_id"] == result["extensions"]["reply_to"]
    assert "3" == result["content"]["text"]


def test_result_once(way, collected):
    """A result is on record once: when the tool gave it, and not again when the model reads it."""
    call_id, handler = str(uuid.uuid4()), way.handler(session_id="s")
    asked = way.invoke(model(asks(("add", {"a": 1, "b": 2}, call_id))), "Sum", handler=handler)
    message = way.invoke(add, asked.tool_calls[0], handler=handler)
    history = [HumanMessage("Sum"), asked, message]
    way.invoke(model("3"), history, handler=handler)
    way.invoke(model("3"), history, handler=handler)
    assert 1 == len(collected.of("tool_result"))
    told = collected.of("prompt")[-1]["content"]["messages"][-1]
    assert {
        "role": "tool",
        "parts": [{"type": "tool_call_response", "id": call_id, "response": "3"}],
        "name": "add",
    } == told


def test_result_of_the_application(way, collected):
    """A result that the application brings itself is on record when the model first reads it."""
    call_id, handler = str(uuid.uuid4()), way.handler(session_id="s")
    history = [
        HumanMessage("Weather?"),
        asks(("weather", {"city": "Paris"}, call_id)),
        ToolMessage("rain", tool_call_id=call_id),
        AIMessage("Rain."),
        HumanMessage("And?"),
        asks(("weather", {"city": "Lyon"}, f"{call_id}2")),
        ToolMessage("no answer", tool_call_id=f"{call_id}2", status="error"),
    ]
    way.invoke(model("Sorry."), history, handler=handler)
    (result,) = collected.of("tool_result")
    assert f"{call_id}2" == result["extensions"]["tool"]["call_id"]
    assert "failed" == result["extensions"]["outcome"]
    assert "And?" == collected.of("prompt")[0]["content"]["text"]


def test_tool_fails(way, collected):
    """A tool that fails is an error that replies to its call."""
    with pytest.raises(ValueError, match="boom"):
        way.invoke(fail, {"why": "boom"})
    call, error = collected.events
    assert ("system", "boom") == (error["action"], error["extensions"]["error"]["message"])
    assert call["event_id"] == error["extensions"]["reply_to"]
    assert "fail" == error["extensions"]["tool"]["name"]
    assert logging.ERROR == collected.records[-1].levelno


def test_tool_gives_blocks(way, collected):
    """What a tool gives is kept in its form; media in it are references."""

    @tool
    def photo() -> list:
        """Take a photo."""
        return [{"type": "text", "text": "Here"}, {"type": "image", "base64": PNG}]

    call = {"type": "tool_call", "name": "photo", "args": {}, "id": str(uuid.uuid4())}
    way.invoke(photo, call)
    result = collected.of("tool_result")[0]["extensions"]["tool"]["result"]
    assert ["text", "image"] == [part["type"] for part in result]
    assert 8 == result[1]["bytes"]
    assert PNG not in json.dumps(collected.events)


# retrievers


def test_retriever(way, collected):
    """A search is one event: the query, what was found, how long it took."""
    way.invoke(Shelf(), "lamps")
    (event,) = collected.events
    assert ("retrieval", "lamps") == (event["action"], event["content"]["text"])
    assert [
        {"id": "d1", "text": "Lamps.", "metadata": {"page": 7}},
        {"text": "Oil."},
    ] == event["extensions"]["documents"]
    assert "Shelf" == event["actor"]["id"]
    assert event["metrics"]["latency_ms"] >= 0


def test_retriever_fails(way, collected):
    """A search that fails keeps its query, and is an error."""
    with pytest.raises(LookupError):
        way.invoke(Shelf(), "broken")
    search, error = collected.events
    assert ("broken", "failed") == (search["content"]["text"], search["extensions"]["outcome"])
    assert search["event_id"] == error["extensions"]["reply_to"]
    assert "LookupError" == error["extensions"]["error"]["type"]


# chains


def test_chain(way, collected):
    """A chain has a start and an end, with what went in and came out, around what it runs."""
    template = ChatPromptTemplate.from_messages([("system", "Be {how}."), ("human", "{asked}")])
    chain = (template | model("Hi.")).with_config(run_name="greeter")
    way.invoke(chain, {"how": "brief", "asked": "Hello"})
    assert [
        ("greeter", "start"),
        ("ChatPromptTemplate", "start"),
        ("ChatPromptTemplate", "end"),
        ("greeter", "end"),
    ] == phases(collected.events)
    start, end = collected.events[0], collected.events[-1]
    assert {"how": "brief", "asked": "Hello"} == start["extensions"]["chain"]["inputs"]
    assert "Hi." == end["extensions"]["chain"]["outputs"]["parts"][0]["content"]
    assert start["event_id"] == end["extensions"]["reply_to"]
    assert "completed" == end["extensions"]["outcome"]
    assert end["metrics"]["latency_ms"] >= 0
    prompt = collected.of("prompt")[0]
    assert start["provenance"]["run_id"] == prompt["provenance"]["parent_run_id"]
    assert "parent_run_id" not in start["provenance"]


def test_chain_fails(way, collected):
    """A chain that fails is an error that replies to its start, on every level that it passes."""
    chain = RunnableLambda(lambda x: 1 / x).with_config(run_name="divide")
    outer = (RunnableLambda(lambda x: x) | chain).with_config(run_name="outer")
    with pytest.raises(ZeroDivisionError):
        way.invoke(outer, 0)
    errors = [event for event in collected.events if "error" in event["extensions"]]
    assert ["divide", "outer"] == [event["extensions"]["chain"]["name"] for event in errors]
    starts = {e["event_id"]: e["extensions"]["chain"]["name"] for e in collected.of("system")}
    assert ["divide", "outer"] == [starts[e["extensions"]["reply_to"]] for e in errors]


def test_chain_of_large_things(way, collected):
    """What goes in and out is bounded, whatever it is; the newest messages are kept."""
    history = [HumanMessage(f"message {number}") for number in range(500)]
    way.invoke(RunnableLambda(lambda x: "x" * 10_000_000), {"history": history, "raw": object()})
    start, end = collected.events
    told = start["extensions"]["chain"]["inputs"]
    assert {"$cut": "size", "$omitted": 400} == told["history"][0]
    assert "message 499" == told["history"][-1]["parts"][0]["content"]
    assert {"$type": "builtins.object"} == told["raw"]
    assert len(json.dumps(end)) < 110_000


def test_custom_event(way, collected):
    """An application's own event is a system event of the run that it came from."""

    async def work(given: str) -> str:
        await adispatch_custom_event("progress", {"percent": 50})
        return given

    def work_sync(given: str) -> str:
        dispatch_custom_event("progress", {"percent": 50})
        return given

    way.invoke(RunnableLambda(work_sync, work if way.awaits else None), "x", metadata={"k": "v"})
    start, custom, _ = collected.events
    assert {"name": "progress", "data": {"percent": 50}} == custom["extensions"]["custom"]
    assert start["provenance"]["run_id"] == custom["provenance"]["run_id"]
    assert start["session_id"] == custom["session_id"]


def test_agents_and_text(collected):
    """What older agents decide, what they end with, and what chains print are system events."""
    from langchain_core.agents import AgentAction, AgentFinish

    handler, run_id = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=run_id, name="agent")
    handler.on_agent_action(AgentAction("add", {"a": 1}, "I must add."), run_id=run_id)
    handler.on_agent_finish(AgentFinish({"output": "2"}, "It is 2."), run_id=run_id)
    handler.on_text("Entering", run_id=run_id)
    _, action, finish, said = collected.events
    assert {"phase": "action", "tool": "add", "tool_input": {"a": 1}} == (
        action["extensions"]["agent"]
    )
    assert "I must add." == action["content"]["text"]
    assert {"output": "2"} == finish["extensions"]["agent"]["outputs"]
    assert "Entering" == said["content"]["text"]


@pytest.mark.parametrize(
    ("serialized", "more", "name"),
    [
        (None, {"name": "given"}, "given"),
        ({"name": "own"}, {}, "own"),
        ({"id": ["langchain", "chains", "LLMChain"]}, {}, "LLMChain"),
        (None, {"metadata": {"langgraph_node": "node"}}, "node"),
        (None, {}, "chain"),
    ],
)
def test_names(serialized, more, name, collected):
    """A name is taken from wherever LangChain tells it; `serialized` may be None."""
    HILTCallbackHandler().on_chain_start(serialized, {}, run_id=uuid.uuid4(), **more)
    assert name == collected.events[0]["extensions"]["chain"]["name"]


# sessions


def sessions(collected: Any) -> set[tuple[str, str]]:
    return {(e["session_id"], e["extensions"]["session_source"]) for e in collected.events}


def chain_of(answer: str = "Hi.") -> Any:
    return RunnableLambda(lambda x: x) | RunnableParallel(a=model(answer), b=Shelf())


def test_new_session(way, collected):
    """Without a name, all runs of one outermost run share one new session, and no other has it."""
    way.invoke(chain_of(), "Go")
    (first,) = sessions(collected)
    assert "new" == first[1]
    way.invoke(chain_of(), "Go")
    assert 2 == len(sessions(collected))


@pytest.mark.parametrize("key", ["session_id", "thread_id", "conversation_id"])
def test_session_of_the_metadata(way, key, collected):
    """A session that the metadata name is that of the run and of all runs in it."""
    way.invoke(chain_of(), "Go", metadata={key: "conv-7"})
    assert {("conv-7", "request")} == sessions(collected)


def test_session_precedence(way, collected):
    """The bound session wins over the metadata's, which wins over the constructor's."""
    handler = way.handler(session_id="given")
    with bind(session_id="bound"):
        way.invoke(chain_of(), "Go", metadata={"session_id": "named"}, handler=handler)
    assert {("bound", "bound")} == sessions(collected)
    collected.records.clear()
    way.invoke(chain_of(), "Go", metadata={"session_id": "named"}, handler=handler)
    assert {("named", "request")} == sessions(collected)
    collected.records.clear()
    way.invoke(chain_of(), "Go", handler=handler)
    assert {("given", "bound")} == sessions(collected)


def test_session_where_nothing_is_bound(collected):
    """A run in a thread that knows of no binding goes on with the conversation around it."""
    handler, outer, inner = HILTCallbackHandler(), uuid.uuid4(), uuid.uuid4()
    with bind(session_id="bound", user_id="alice"):
        handler.on_chain_start(None, {}, run_id=outer)
    start = {"parent_run_id": outer, "metadata": {"session_id": "other"}}
    contextvars.Context().run(
        handler.on_chat_model_start, None, [[HumanMessage("Go")]], run_id=inner, **start
    )
    assert {("bound", "bound")} == sessions(collected)
    assert {"alice"} == {event["extensions"]["user_id"] for event in collected.events}
    assert "alice" == collected.of("prompt")[0]["actor"]["id"]


def test_session_of_the_nearest(collected):
    """A run's own name for its session wins over that of the run around it."""
    handler, outer, inner = HILTCallbackHandler(), uuid.uuid4(), uuid.uuid4()
    handler.on_chain_start(None, {}, run_id=outer, metadata={"thread_id": 7})
    handler.on_chain_start(
        None, {}, run_id=inner, parent_run_id=outer, metadata={"thread_id": "inner"}
    )
    handler.on_tool_start(None, "x", run_id=uuid.uuid4(), parent_run_id=inner)
    assert ["7", "inner", "inner"] == [event["session_id"] for event in collected.events]


# many at once


def test_threads(collected):
    """A batch on a pool of threads keeps its runs apart, and leaves nothing behind."""
    handler = HILTCallbackHandler()
    echo = RunnableLambda(lambda asked: model(f"re: {asked}").invoke(asked))
    echo.batch([str(n) for n in range(40)], {"callbacks": [handler], "max_concurrency": 8})
    prompts = {e["event_id"]: e for e in collected.of("prompt")}
    assert 40 == len(prompts)
    for completion in collected.of("completion"):
        prompt = prompts[completion["extensions"]["reply_to"]]
        assert f"re: {prompt['content']['text']}" == completion["content"]["text"]
        assert prompt["session_id"] == completion["session_id"]
        assert prompt["provenance"]["call_id"] == completion["provenance"]["call_id"]
    assert 40 == len({event["session_id"] for event in collected.events})
    assert 0 == len(handler._runs)


@pytest.mark.parametrize("handler", [HILTCallbackHandler, AsyncHILTCallbackHandler])
def test_tasks(handler, collected):
    """Tasks that stream at the same time are kept apart, each with what is bound in it."""
    made = handler()

    async def talk(name: str) -> None:
        with bind(session_id=name):
            async for _ in Slow(messages=iter([])).astream(name, {"callbacks": [made]}):
                await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(*(talk(f"s{number}") for number in range(10)))

    asyncio.run(main())
    assert 10 == len(collected.of("completion"))
    for prompt in collected.of("prompt"):
        assert prompt["content"]["text"] == prompt["session_id"]
        (answer,) = [
            e
            for e in collected.of("completion")
            if e["extensions"]["reply_to"] == prompt["event_id"]
        ]
        assert prompt["session_id"] == answer["session_id"]
        assert ("one two three", 4) == (answer["content"]["text"], answer["metrics"]["chunks"])
    assert 0 == len(_core(made)._runs)


def test_runs_that_never_end(collected, monkeypatch):
    """Runs that never end are forgotten when there are too many; a late answer is still kept."""
    monkeypatch.setattr(_latest, "_MOST", 5)
    handler, first = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("first")]], run_id=first)
    for _ in range(20):
        handler.on_chain_start(None, {}, run_id=uuid.uuid4())
    assert 5 == len(handler._runs)
    handler.on_llm_end(_result("late"), run_id=first)
    assert "late" == collected.of("completion")[0]["content"]["text"]
    assert str(first) == collected.of("completion")[0]["provenance"]["run_id"]


def test_ids_as_text(collected):
    """A run's id may be a UUID here and its text there."""
    handler, run_id = HILTCallbackHandler(), uuid.uuid4()
    handler.on_chat_model_start(None, [[HumanMessage("Go")]], run_id=run_id)
    handler.on_llm_end(_result("x"), run_id=str(run_id))
    assert "reply_to" in collected.of("completion")[0]["extensions"]


# what must never happen


class Hostile:
    """Raises whatever is asked of it."""

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)

    def __repr__(self) -> str:
        raise RuntimeError("repr")

    __str__ = __iter__ = __len__ = __getitem__ = __bool__ = __repr__


class HostileMessage(HumanMessage):
    """A message whose parts can't be read."""

    @property
    def content_blocks(self) -> Any:
        raise RuntimeError("blocks")

    @property
    def type_(self) -> Any:
        raise RuntimeError("type")


CALLBACKS: list[tuple[str, tuple[Any, ...]]] = [
    ("on_chat_model_start", (Hostile(), [[Hostile(), HostileMessage("x")]])),
    ("on_chat_model_start", (Hostile(), Hostile())),
    ("on_llm_start", (Hostile(), [Hostile()])),
    ("on_llm_start", (Hostile(), Hostile())),
    ("on_llm_new_token", (Hostile(),)),
    ("on_stream_event", (Hostile(),)),
    ("on_llm_end", (Hostile(),)),
    ("on_llm_error", (Hostile(),)),
    ("on_retry", (Hostile(),)),
    ("on_tool_start", (Hostile(), Hostile())),
    ("on_tool_end", (Hostile(),)),
    ("on_tool_error", (Hostile(),)),
    ("on_retriever_start", (Hostile(), Hostile())),
    ("on_retriever_end", ([Hostile(), Hostile()],)),
    ("on_retriever_error", (Hostile(),)),
    ("on_chain_start", (Hostile(), {"x": Hostile(), "m": HostileMessage("x")})),
    ("on_chain_end", (Hostile(),)),
    ("on_chain_error", (Hostile(),)),
    ("on_text", (Hostile(),)),
    ("on_custom_event", (Hostile(), Hostile())),
    ("on_agent_action", (Hostile(),)),
    ("on_agent_finish", (Hostile(),)),
]


@pytest.mark.parametrize(("name", "arguments"), CALLBACKS)
def test_nothing_raises(name, arguments, collected):
    """Whatever a chain hands over, no callback raises, and what it makes is valid."""
    for kwargs in ({}, {"metadata": Hostile(), "tags": [Hostile()], "name": Hostile()}):
        handler, run_id = HILTCallbackHandler(), uuid.uuid4()
        for start in ({}, {"parent_run_id": run_id}):
            getattr(handler, name)(*arguments, run_id=uuid.uuid4(), **start, **kwargs)
    getattr(HILTCallbackHandler(), name)(*arguments, run_id=Hostile())
    asyncio.run(getattr(AsyncHILTCallbackHandler(), name)(*arguments, run_id=Hostile()))


def test_unreadable_message(collected):
    """A message that can't be read costs none of the others."""
    handler = HILTCallbackHandler()
    turns = [HumanMessage.model_construct(content="x", additional_kwargs=7), HumanMessage("Hi")]
    handler.on_chat_model_start(None, [turns], run_id=uuid.uuid4())
    content = collected.of("prompt")[0]["content"]
    assert "Hi" == content["text"]
    assert [{"type": "unreadable"}] == content["messages"][0]["parts"]


def test_hostile_things_are_on_record(collected):
    """A chain of things that can't be read is on record all the same."""
    chain = RunnableLambda(lambda x: x)
    chain.invoke({"m": HostileMessage("read me")}, {"callbacks": [HILTCallbackHandler()]})
    assert [("RunnableLambda", "start"), ("RunnableLambda", "end")] == phases(collected.events)
    assert "read me" in json.dumps(collected.events[0])


class Refusing:
    """A session that can't be written."""

    def append(self, event: Any) -> None:
        raise OSError("disk full")


def test_session_fails(way, collected):
    """A session that fails costs the chain nothing, and the logger has the events all the same."""
    assert "Hi." == way.invoke(model("Hi."), "Go", handler=way.handler(Refusing())).content
    assert ["prompt", "completion"] == kinds(collected)


def test_nobody_listens(collected):
    """Where nobody listens nothing is built or kept."""
    logging.getLogger("hilt").setLevel(logging.CRITICAL + 1)
    handler = HILTCallbackHandler()
    handler.on_chain_start(None, {}, run_id=uuid.uuid4())
    model("Hi.").invoke("Go", {"callbacks": [handler]})
    assert [] == collected.events
    assert 0 == len(handler._runs)


def test_seen_in_the_model(collected):
    """What is bound around an awaited chain is seen by the handler, whichever it is."""

    async def main(handler: Any) -> None:
        with bind(session_id="bound"):
            await model("Hi.").ainvoke("Go", {"callbacks": [handler]})

    for handler in (HILTCallbackHandler(), AsyncHILTCallbackHandler()):
        assert handler.run_inline
        assert not handler.raise_error
        asyncio.run(main(handler))
    assert {("bound", "bound")} == sessions(collected)


# LangGraph


@pytest.fixture
def graphs():
    return pytest.importorskip("langgraph.graph")


def agent_of(graphs: Any, calls: AIMessage, *, stops: bool = False, **options: Any) -> Any:
    from langgraph.prebuilt import ToolNode
    from langgraph.types import interrupt

    def think(state: Any) -> Any:
        done = isinstance(state["messages"][-1], ToolMessage)
        return {"messages": [model("Done." if done else calls).invoke(state["messages"])]}

    def confirm(state: Any) -> Any:
        return {"messages": [HumanMessage(interrupt({"question": "Sure?"}))]} if stops else {}

    def route(state: Any) -> str:
        return "tools" if state["messages"][-1].tool_calls else graphs.END

    graph = graphs.StateGraph(graphs.MessagesState)
    graph.add_node("confirm", confirm)
    graph.add_node("think", think)
    graph.add_node("tools", ToolNode([add, fail], handle_tool_errors=True))
    graph.add_edge(graphs.START, "confirm")
    graph.add_edge("confirm", "think")
    graph.add_conditional_edges("think", route)
    graph.add_edge("tools", "think")
    return graph.compile(**options)


def test_graph(way, graphs, collected):
    """A graph's agent: each tool called once and given once, each node at its place."""
    one, two = str(uuid.uuid4()), str(uuid.uuid4())
    agent = agent_of(graphs, asks(("add", {"a": 1, "b": 2}, one), ("add", {"a": 3, "b": 4}, two)))
    way.invoke(agent, {"messages": [("human", "Sum")]}, configurable={"thread_id": "t-1"})
    assert 2 == len(collected.of("tool_call")) == len(collected.of("tool_result"))
    asked = {e["extensions"]["tool"]["call_id"]: e["event_id"] for e in collected.of("tool_call")}
    given = {
        e["extensions"]["tool"]["call_id"]: e["extensions"]["reply_to"]
        for e in collected.of("tool_result")
    }
    assert asked == given
    assert {("t-1", "request")} == sessions(collected)
    (node,) = {
        e["extensions"]["langgraph"]["node"]
        for e in collected.of("prompt") + collected.of("completion")
    }
    assert "think" == node
    first = collected.of("prompt")[0]["extensions"]["langgraph"]
    assert 2 == first["step"]
    assert first["checkpoint_ns"].startswith("think:")
    names = [name for name, phase in phases(collected.events) if phase == "end"]
    assert ["confirm", "tools", "LangGraph"] == [n for n in names if n not in ("think", "route")]
    assert {logging.INFO} == {record.levelno for record in collected.records}


def test_graph_tool_fails(way, graphs, collected):
    """A tool's failure that a graph catches is an error, and what the model is told of it a result."""
    call_id = str(uuid.uuid4())
    agent = agent_of(graphs, asks(("fail", {"why": "boom"}, call_id)))
    way.invoke(agent, {"messages": [("human", "Go")]})
    (error,) = [event for event in collected.events if "error" in event["extensions"]]
    (result,) = collected.of("tool_result")
    (call,) = collected.of("tool_call")
    assert call["event_id"] == error["extensions"]["reply_to"] == result["extensions"]["reply_to"]
    assert "failed" == result["extensions"]["outcome"]
    assert "boom" in result["content"]["text"]


def test_graph_waits(way, graphs, collected):
    """A graph that waits for a person has not failed, and goes on in the same conversation."""
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import Command

    calls = asks(("add", {"a": 1, "b": 2}, str(uuid.uuid4())))
    agent = agent_of(graphs, calls, stops=True, checkpointer=InMemorySaver())
    thread = {"thread_id": "t-2"}
    way.invoke(agent, {"messages": [("human", "Sum")]}, configurable=dict(thread))
    (paused,) = [e for e in collected.events if "control" in e["extensions"].get("chain", {})]
    assert "GraphInterrupt" == paused["extensions"]["chain"]["control"]
    assert "Sure?" in json.dumps(paused["extensions"]["chain"]["outputs"])
    assert "outcome" not in paused["extensions"]
    way.invoke(agent, Command(resume="yes"), configurable=dict(thread))
    assert "yes" == collected.of("prompt")[0]["content"]["text"]
    assert {"t-2"} == {event["session_id"] for event in collected.events}
    assert {logging.INFO} == {record.levelno for record in collected.records}


def test_graph_in_a_graph(way, graphs, collected):
    """A graph in a node of another one is one conversation, and routing to the outer is no error."""
    from langgraph.types import Command

    def up(state: Any) -> Any:
        return Command(graph=Command.PARENT, goto="last")

    def last(state: Any) -> Any:
        return {"messages": [model("End.").invoke(state["messages"])]}

    inner = graphs.StateGraph(graphs.MessagesState).add_node("up", up)
    inner = inner.add_edge(graphs.START, "up").compile()
    outer = graphs.StateGraph(graphs.MessagesState)
    outer.add_node("inner", inner, destinations=("last",)).add_node("last", last)
    outer = outer.add_edge(graphs.START, "inner").compile()
    way.invoke(outer, {"messages": [("human", "Go")]})
    assert 1 == len(sessions(collected))
    controls = [e["extensions"].get("chain", {}).get("control") for e in collected.events]
    assert "ParentCommand" in controls
    assert "End." == collected.of("completion")[0]["content"]["text"]
    assert {logging.INFO} == {record.levelno for record in collected.records}


def test_graphs_on_threads(graphs, collected):
    """Graphs on threads of the application's own, one handler for all, are kept apart."""
    handler = HILTCallbackHandler()

    def go(number: int) -> None:
        calls = asks(("add", {"a": number, "b": 0}, f"{uuid.uuid4()}"))
        config = {"callbacks": [handler], "configurable": {"thread_id": f"t{number}"}}
        agent_of(graphs, calls).invoke({"messages": [("human", str(number))]}, config)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(go, range(12)))
    for number in range(12):
        events = [e for e in collected.events if e["session_id"] == f"t{number}"]
        (result,) = [e for e in events if e["action"] == "tool_result"]
        assert str(number) == result["content"]["text"]
    assert 12 == len({event["session_id"] for event in collected.events})
    assert 0 == len(handler._runs)


# real clients over HTTP

CLOSES = {"connection": "close"}  # the clients are never closed: a test leaves no socket behind


def chat_openai(provider: Any, fixture: str, **options: Any) -> Any:
    openai = pytest.importorskip("langchain_openai")
    # its HTTP clients are kept by base URL, and belong to one event loop
    url = provider.url(f"openai/{fixture}", once=uuid.uuid4().hex)
    options = {"model": "gpt-5.5", "max_retries": 0, **options}
    return openai.ChatOpenAI(api_key="k", base_url=f"{url}/v1", default_headers=CLOSES, **options)


def chat_anthropic(provider: Any, fixture: str) -> Any:
    anthropic = pytest.importorskip("langchain_anthropic")
    url = provider.url(f"anthropic/{fixture}", once=uuid.uuid4().hex)
    return anthropic.ChatAnthropic(
        model="claude-x", api_key="k", base_url=url, max_retries=0, default_headers=CLOSES
    )


def expected_of(fixture: str) -> dict[str, Any]:
    from pathlib import Path

    manifest = Path(__file__).parent.parent / "provider_fixtures" / "manifest.json"
    fixtures = json.loads(manifest.read_text("utf-8"))["fixtures"]
    return next(each["expected"] for each in fixtures if each["id"] == fixture)


def assert_as_expected(collected: Any, fixture: str, *, has_id: bool) -> None:
    expected = expected_of(fixture)
    (completion,) = collected.of("completion")
    assert expected["text"] == completion["content"]["text"]
    assert expected["model"] == completion["provenance"]["model"]
    reason = expected.get("finish_reason", expected.get("incomplete_reason"))
    assert (reason or expected.get("status")) == completion["extensions"]["finish_reason"]
    if has_id:
        assert expected["response_id"] == completion["provenance"]["response_id"]
    if expected.get("refusal"):
        assert expected["refusal"] == completion["extensions"]["refusal"]
        assert "refused" == completion["extensions"]["outcome"]
    tools = [e["extensions"]["tool"] for e in collected.of("tool_call")]
    wanted = expected["tool_calls"]
    assert [(c["id"], c["name"], c["arguments"]) for c in wanted] == [
        (t["call_id"], t["name"], t["arguments"]) for t in tools if not t.get("server")
    ]
    usage = expected["usage"]
    tokens = completion["metrics"].get("tokens")
    assert bool(usage) == bool(tokens)
    if usage:
        output = usage.get("completion_tokens", usage.get("output_tokens"))
        cached = usage.get("cache_read_input_tokens", 0)
        cached += usage.get("cache_creation_input_tokens", 0)
        prompt = usage.get("prompt_tokens", usage.get("input_tokens", 0) + cached)
        assert (prompt, output) == (tokens["prompt"], tokens["completion"])


@pytest.mark.parametrize(
    "fixture",
    [
        "chat_text",
        "chat_unicode",
        "chat_unicode_escaped",
        "chat_length",
        "chat_refusal",
        "chat_parallel_tools",
        "chat_cached_reasoning",
        "chat_empty_content",
        "chat_no_usage",
        "chat_stream_text",
        "chat_stream_text_usage",
        "chat_stream_unicode",
        "chat_stream_parallel_tools",
        "chat_stream_length",
        "chat_stream_empty",
    ],
)
def test_openai(way, fixture, provider, collected):
    """What OpenAI answers through langchain-openai is on record as it was."""
    streams = fixture.startswith("chat_stream")
    chat = chat_openai(provider, fixture, temperature=1)
    (way.stream if streams else way.invoke)(chat, "Go")
    assert_as_expected(collected, f"openai/{fixture}", has_id=not streams)
    prompt = collected.of("prompt")[0]["provenance"]
    # the server is one of our own: it has not OpenAI's prices
    assert ("127.0.0.1", "gpt-5.5") == (prompt["provider"], prompt["request_model"])


def test_server_of_the_environment(monkeypatch, provider, collected):
    """A server that only the environment names has not OpenAI's prices either."""
    openai = pytest.importorskip("langchain_openai")
    url = provider.url("openai/chat_text", once=uuid.uuid4().hex)
    monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
    chat = openai.ChatOpenAI(
        model="gpt-5.5",
        api_key="k",
        max_retries=0,
        default_headers=CLOSES,
        callbacks=[HILTCallbackHandler()],
    )
    chat.invoke("Go")
    assert ["127.0.0.1"] == [each["provenance"]["provider"] for each in collected.of("prompt")]


@pytest.mark.parametrize(
    "fixture",
    [
        "responses_text",
        "responses_tools_reasoning",
        "responses_refusal",
        "responses_incomplete",
        "responses_stream_text",
        "responses_stream_tools",
        "responses_stream_refusal",
        "responses_stream_incomplete",
    ],
)
def test_openai_responses(way, fixture, provider, collected):
    """The Responses API through langchain-openai: text, reasoning apart, tools, refusals."""
    chat = chat_openai(provider, fixture, use_responses_api=True)
    (way.stream if "stream" in fixture else way.invoke)(chat, "Go")
    assert_as_expected(collected, f"openai/{fixture}", has_id=True)
    if "reasoning" in fixture:
        (message,) = collected.of("completion")[0]["content"]["messages"]
        assert "**Checking** two cities." == message["parts"][0]["content"]


@pytest.mark.parametrize(
    "fixture",
    [
        "message_text",
        "message_unicode",
        "message_multiblock",
        "message_max_tokens",
        "message_stop_sequence",
        "message_refusal",
        "message_parallel_tools",
        "message_cache_usage",
        "message_thinking",
        "message_server_tools",
        "message_empty_content",
        "stream_text",
        "stream_unicode",
        "stream_max_tokens",
        "stream_parallel_tools",
        "stream_thinking_cache",
    ],
)
@pytest.mark.filterwarnings(
    "ignore:Received unexpected tool content block"  # of langchain-anthropic, for tools not bound
)
def test_anthropic(way, fixture, provider, collected):
    """What Anthropic answers through langchain-anthropic is on record as it was."""
    streams = fixture.startswith("stream")
    (way.stream if streams else way.invoke)(chat_anthropic(provider, fixture), "Go")
    assert_as_expected(collected, f"anthropic/{fixture}", has_id=not streams)


def test_anthropic_thinking(provider, collected):
    """Thoughts are parts of the message, and not of the text."""
    config = {"callbacks": [HILTCallbackHandler()]}
    chat_anthropic(provider, "message_thinking").invoke("6*7?", config)
    content = collected.of("completion")[0]["content"]
    assert "42." == content["text"]
    kinds_of_parts = [part["type"] for part in content["messages"][0]["parts"]]
    assert "reasoning" == kinds_of_parts[0]
    assert "text" == kinds_of_parts[-1]


def test_anthropic_server_tools(provider, collected):
    """A tool that ran at the provider's is a call and a result with its mark."""
    config = {"callbacks": [HILTCallbackHandler()]}
    chat_anthropic(provider, "message_server_tools").invoke("Tallest?", config)
    (call,), (result,) = collected.of("tool_call"), collected.of("tool_result")
    assert call["extensions"]["tool"]["server"] is True
    assert {"query": "tallest lighthouse"} == call["extensions"]["tool"]["arguments"]
    assert call["event_id"] == result["extensions"]["reply_to"]
    assert result["extensions"]["tool"]["server"] is True


@pytest.mark.parametrize(
    ("fixture", "status"), [("error_401", 401), ("error_429", 429), ("error_500", 500)]
)
def test_http_errors(way, fixture, status, provider, collected):
    """An error of the provider has its status, its word, and the id of the request."""
    chat, expected = chat_openai(provider, fixture), expected_of(f"openai/{fixture}")["error"]
    with pytest.raises(pytest.importorskip("openai").APIStatusError) as raised:
        way.invoke(chat, "Go")
    _prompt, error = collected.events
    assert status == error["extensions"]["status_code"]
    assert type(raised.value).__name__ == error["extensions"]["error"]["type"]
    assert expected["request_id"] == error["provenance"]["request_id"]
    assert (expected["code"] or expected["type"]) == error["extensions"]["error"].get("code")
    assert logging.ERROR == collected.records[-1].levelno


def test_stream_breaks_at_the_provider(way, provider, collected):
    """A stream that the provider breaks keeps what had come."""
    with pytest.raises(Exception, match="server had an error"):
        way.stream(chat_openai(provider, "chat_stream_error_midway"), "Go")
    assert ["prompt", "completion", "system"] == kinds(collected)
    assert "This will break in the" == collected.events[1]["content"]["text"]


def test_headers(provider, collected):
    """The provider's id of the request is there where langchain-openai hands the headers on."""
    chat = chat_openai(provider, "chat_text", include_response_headers=True)
    chat.invoke("Go", {"callbacks": [HILTCallbackHandler()]})
    wanted = expected_of("openai/chat_text")["request_id"]
    assert wanted == collected.of("completion")[0]["provenance"]["request_id"]


def test_no_secrets(provider, collected):
    """No key of a client gets into an event."""
    openai = pytest.importorskip("langchain_openai")
    url = provider.url("openai/chat_text", once=uuid.uuid4().hex)
    chat = openai.ChatOpenAI(
        api_key="sk-very-secret",
        base_url=f"{url}/v1",
        model="gpt-5.5",
        default_headers=CLOSES,
    )
    (RunnableLambda(lambda x: x) | chat).invoke("Go", {"callbacks": [HILTCallbackHandler()]})
    assert "sk-very-secret" not in json.dumps(collected.events)


def test_many_threads_one_handler(collected):
    """Hammered from many threads, every prompt has its answer."""
    handler, barrier = HILTCallbackHandler(), threading.Barrier(8)

    def work() -> None:
        barrier.wait()
        for number in range(50):
            model(str(number)).invoke("Go", {"callbacks": [handler]})

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 400 == len(collected.of("prompt")) == len(collected.of("completion"))
    assert 400 == len({e["extensions"]["reply_to"] for e in collected.of("completion")})
