"""What `instrument("langchain")` records, with and without the SDKs below, and what it leaves alone."""

from __future__ import annotations

import asyncio
import gc
import itertools
import json
import logging
import pickle
import re
import uuid
import warnings
import weakref

from concurrent.futures import ThreadPoolExecutor

import pytest

import hilt_logging

from hilt_logging import RecordingError, Session, bind, validate_event
from hilt_logging.analysis.stats import stats
from hilt_logging.events import encode
from hilt_logging.io.transcripts import Transcripts


pytest.importorskip("langchain_openai")
pytest.importorskip("langchain_anthropic")

import langchain_anthropic
import langchain_openai
import openai

from langchain_core.language_models import FakeListLLM, GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda, RunnableParallel
from langchain_core.tools import tool
from pydantic import BaseModel

from hilt_logging.integrations import langchain as ours
from hilt_logging.integrations.langchain import AsyncHILTCallbackHandler, HILTCallbackHandler


httpx = pytest.importorskip("httpx2" if "httpx2" in vars(openai._base_client) else "httpx")
CLOSES = {"connection": "close"}  # the clients are never closed: a test leaves no socket behind
LOGGERS = {"openai": "hilt.openai", "anthropic": "hilt.anthropic"}


@pytest.fixture(autouse=True)
def all_valid(collected):
    """Whatever a test does, every event that it makes is one."""
    yield
    for event in collected.events:
        assert [] == validate_event(event)


@pytest.fixture
def levels():
    """Set the levels of loggers, until the end of the test."""
    changed = []

    def set_level(name, level):
        changed.append((name, logging.getLogger(name).level))
        logging.getLogger(name).setLevel(level)

    yield set_level
    for name, level in changed:
        logging.getLogger(name).setLevel(level)


class Reply(BaseModel):
    """A structured answer."""

    answer: str
    sure: bool


def answer_to(body):
    """What the model on this machine says: it looks things up, gives structure, or echoes."""
    last = body["messages"][-1]
    said = last["content"] if isinstance(last["content"], str) else json.dumps(last["content"])
    if "response_format" in body:
        structure = {"answer": said, "sure": True}
        return {"content": "no JSON" if said == "broken" else json.dumps(structure)}
    if last["role"] == "user" and said.startswith("look") and body.get("tools"):
        return {
            "content": None,
            "tool_calls": [
                {
                    "id": f"call_{uuid.uuid4().hex}",
                    "type": "function",
                    "function": {"name": "search", "arguments": json.dumps({"q": f"{said} {n}"})},
                }
                for n in range(1 if "once" in said else 2)
            ],
        }
    return {"content": f"You said: {said}"}


def stream_of(message, whole):
    deltas = [
        {"role": "assistant"},
        *({"content": word} for word in re.findall(r"\S+\s*", message["content"])),
    ]
    for delta in deltas:
        choices = [{"index": 0, "delta": delta, "finish_reason": None}]
        piece = {**whole, "object": "chat.completion.chunk", "choices": choices}
        yield f"data: {json.dumps(piece)}\n\n".encode()
    yield b"data: [DONE]\n\n"


def respond(request):
    body = json.loads(request.content)
    message = {"role": "assistant", **answer_to(body)}
    whole = {"id": f"r-{uuid.uuid4().hex}", "created": 1, "model": "m"}
    if body.get("stream"):
        kind = {"content-type": "text/event-stream"}
        return httpx.Response(200, headers=kind, content=b"".join(stream_of(message, whole)))
    if body["messages"][-1]["content"] == "fail":
        return httpx.Response(400, json={"error": {"message": "refused", "code": "bad"}})
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    choices = [{"index": 0, "finish_reason": "stop", "message": message}]
    whole |= {"object": "chat.completion", "choices": choices, "usage": usage}
    return httpx.Response(200, json=whole)


async def respond_slowly(request):
    if json.loads(request.content)["messages"][-1]["content"] == "slow":
        await asyncio.sleep(30)
    return respond(request)


def local_model(cls=langchain_openai.ChatOpenAI, **options):
    """A model of langchain-openai whose answers are made on this machine, without a socket."""
    return cls(
        api_key="k",
        model="m",
        base_url="http://local.test/v1",
        max_retries=0,
        http_client=httpx.Client(transport=httpx.MockTransport(respond)),
        http_async_client=httpx.AsyncClient(transport=httpx.MockTransport(respond_slowly)),
        **options,
    )


def local_client():
    return openai.OpenAI(
        api_key="k", http_client=httpx.Client(transport=httpx.MockTransport(respond))
    )


def ask(client, said):
    messages = [{"role": "user", "content": said}]
    return client.chat.completions.create(model="m", messages=messages)


def served(provider, sdk, kind, **options):
    """A model of an SDK over HTTP; `kind` is text or stream."""
    once = uuid.uuid4().hex  # HTTP clients are kept by base URL, and belong to one event loop
    if sdk == "openai":
        fixture = {"text": "chat_text", "stream": "chat_stream_text_usage"}.get(kind, kind)
        return langchain_openai.ChatOpenAI(
            api_key="k",
            model="gpt-5.5",
            base_url=f"{provider.url(f'openai/{fixture}', once=once)}/v1",
            max_retries=0,
            default_headers=CLOSES,
            **options,
        )
    fixture = {"text": "message_text", "stream": "stream_text"}.get(kind, kind)
    return langchain_anthropic.ChatAnthropic(
        model="claude-x",
        api_key="k",
        base_url=provider.url(f"anthropic/{fixture}", once=once),
        max_retries=0,
        default_headers=CLOSES,
        **options,
    )


async def pieces_of(stream):
    return [piece async for piece in stream]


WAYS = {
    "invoke": lambda model, config: [model("text").invoke("Go", config)],
    "stream": lambda model, config: list(model("stream").stream("Go", config)),
    "batch": lambda model, config: model("text").batch(["Go", "on", "now"], config),
    "ainvoke": lambda model, config: [asyncio.run(model("text").ainvoke("Go", config))],
    "astream": lambda model, config: asyncio.run(pieces_of(model("stream").astream("Go", config))),
    "abatch": lambda model, config: asyncio.run(model("text").abatch(["Go", "on"], config)),
}


def actions(collected):
    return [event["action"] for event in collected.events]


def loggers(collected, *chosen):
    return {r.name for r in collected.records if r.hilt["action"] in chosen}


def plain(message):
    """A message without what differs at each call."""
    told = message.model_dump()
    told.pop("id")
    return told


# once, whoever records it


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sdk", LOGGERS)
@pytest.mark.parametrize("langchain_on", [True, False], ids=["langchain on", "langchain off"])
@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_once(way, sdk, sdk_on, langchain_on, provider, collected, instrumented, levels):
    """A model call is on record once, by the innermost whose logger is enabled, tokens included."""
    levels(LOGGERS[sdk], logging.INFO if sdk_on else logging.CRITICAL)
    levels("hilt.langchain", logging.INFO if langchain_on else logging.CRITICAL)
    instrumented()
    given = WAYS[way](lambda kind: served(provider, sdk, kind), {})
    calls = {"batch": 3, "abatch": 2}.get(way, 1) if sdk_on or langchain_on else 0
    assert calls == len(collected.of("prompt")) == len(collected.of("completion"))
    assert 2 * calls == len(collected.events)
    if not calls:
        return
    wanted = LOGGERS[sdk] if sdk_on else "hilt.langchain"
    assert {wanted} == loggers(collected, "prompt", "completion")
    assert all("tokens" in event["metrics"] for event in collected.of("completion"))
    runs = {event["provenance"].get("run_id") for event in collected.events}
    assert (calls if langchain_on else 1) == len(runs)
    assert (None in runs) == (not langchain_on)
    text = "".join(piece.text for piece in given[: None if "stream" in way else 1])
    assert text == collected.of("completion")[0]["content"]["text"]


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_gemini(sdk_on, provider, collected, instrumented, levels):
    """The same over google-genai."""
    google = pytest.importorskip("langchain_google_genai")
    levels("hilt.gemini", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()

    def model(kind):
        url = provider.url(f"gemini/{'generate_text' if kind == 'text' else 'stream_text'}")
        return google.ChatGoogleGenerativeAI(
            model="gemini-3.8-flash", google_api_key="k", base_url=url, max_retries=1
        )

    for way, run in WAYS.items():
        collected.records.clear()
        run(model, {})
        calls = {"batch": 3, "abatch": 2}.get(way, 1)
        assert calls == len(collected.of("prompt")) == len(collected.of("completion"))
        wanted = "hilt.gemini" if sdk_on else "hilt.langchain"
        assert {wanted} == loggers(collected, "prompt", "completion")
        assert all("tokens" in event["metrics"] for event in collected.of("completion"))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("handler", [HILTCallbackHandler, AsyncHILTCallbackHandler])
def test_own_handler(way, handler, provider, collected, instrumented):
    """With a handler of the application's own, too, it is recorded once."""
    instrumented()
    WAYS[way](lambda kind: served(provider, "openai", kind), {"callbacks": [handler()]})
    calls = {"batch": 3, "abatch": 2}.get(way, 1)
    assert ["completion"] * calls + ["prompt"] * calls == sorted(actions(collected))
    assert all("run_id" in event["provenance"] for event in collected.events)


def test_own_handler_within(collected, instrumented):
    """A handler that only one run of a chain is given has that run, and we have the others."""
    handed = []

    class Session:
        def append(self, event):
            handed.append(event)

    instrumented("langchain")
    model = GenericFakeChatModel(
        messages=iter(["Hi."]), callbacks=[HILTCallbackHandler(Session())], name="mine"
    )
    (RunnableLambda(lambda asked: asked) | model).invoke("Go")
    assert ["prompt", "completion"] == [event.action for event in handed]
    assert 6 == len(collected.events) == len({e["event_id"] for e in collected.events})
    assert 1 == len({event["session_id"] for event in collected.events})


def test_own_session(tmp_path, collected, instrumented):
    """The session of a handler has the events of the SDK's calls within its runs, too."""
    instrumented("openai")
    with Session(tmp_path / "a.jsonl") as session:
        handler = HILTCallbackHandler(session, "mine")
        local_model().invoke("Hi", {"callbacks": [handler]})
    events = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert collected.events == events
    assert {"hilt.openai"} == {event["provenance"]["logger"] for event in events}
    assert {("mine", "bound")} == {
        (event["session_id"], event["extensions"]["session_source"]) for event in events
    }


def test_only_one_client(collected, instrumented):
    """Where only calls of other clients are recorded, LangChain's run is, as LangChain tells it."""
    instrumented(local_client())
    instrumented("langchain")
    local_model().invoke("Hi")
    assert ["prompt", "completion"] == actions(collected)
    assert {"hilt.langchain"} == loggers(collected, "prompt", "completion")


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_model_of_ones_own(awaited, collected, instrumented):
    """A class that nobody knows to call an SDK is recorded once, too."""

    class Mine(langchain_openai.ChatOpenAI):
        @classmethod
        def get_lc_namespace(cls):
            return ["somewhere", "else"]

    instrumented()
    model = local_model(Mine)
    asyncio.run(model.ainvoke("Hi")) if awaited else model.invoke("Hi")
    assert ["prompt", "completion"] == actions(collected)
    assert {"hilt.langchain"} == loggers(collected, "prompt", "completion")
    ask(local_client(), "Hello")
    assert "Hello" == collected.of("prompt")[1]["content"]["text"]


def test_several_in_one_go(collected, instrumented):
    """Several prompts in one request of LangChain's are as many calls, each once."""
    instrumented()
    local_model().generate([[HumanMessage("one")], [HumanMessage("two")]])
    assert ["You said: one", "You said: two"] == [
        event["content"]["text"] for event in collected.of("completion")
    ]
    assert 4 == len(collected.events)


def complete(request):
    given = json.loads(request.content)["prompt"]
    choices = [
        {"index": index, "text": f"{said}, too", "finish_reason": "stop"}
        for index, said in enumerate(given)
    ]
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    whole = {"id": "c", "object": "text_completion", "created": 1, "model": "m"}
    return httpx.Response(200, json={**whole, "choices": choices, "usage": usage})


def test_model_that_completes_text(collected, instrumented):
    """It is recorded by the SDK when it is asked one thing, by LangChain when it is asked several."""
    instrumented()
    transport = httpx.MockTransport(complete)
    model = langchain_openai.OpenAI(api_key="k", http_client=httpx.Client(transport=transport))
    model.invoke("one")
    assert {"hilt.openai"} == loggers(collected, "prompt", "completion")
    assert ["one", "one, too"] == [event["content"]["text"] for event in collected.events]
    collected.records.clear()
    model.batch(["one", "two"])
    assert {"hilt.langchain"} == loggers(collected, "prompt", "completion")
    assert ["one", "two", "one, too", "two, too"] == [
        event["content"]["text"] for event in collected.events
    ]
    tokens = [event["metrics"].get("tokens") for event in collected.of("completion")]
    assert [15, None] == [each and each["total"] for each in tokens]


def test_one_of_several_fails(collected, instrumented):
    """Where one of several fails, the others take no call that comes later."""
    instrumented()
    kept = []
    for _ in range(2):
        try:
            local_model().generate([[HumanMessage("fail")], [HumanMessage("two")]])
        except openai.BadRequestError as error:
            kept.append(error)
    ask(local_client(), "Hello")
    assert "Hello" == collected.events[-2]["content"]["text"]
    assert "hilt.openai" == collected.records[-1].name
    kept.clear()
    gc.collect()  # what LangChain never ends is ended here, and not amid another test


def test_cache(collected, instrumented):
    """An answer out of LangChain's cache, for which no SDK is called, has prompt and no tokens."""
    from langchain_core.caches import InMemoryCache

    instrumented()
    model = local_model(cache=InMemoryCache())
    for _ in range(2):
        model.invoke("Hi")
    assert ["prompt", "completion"] * 2 == actions(collected)
    first, second = collected.of("completion")
    assert ("tokens" in first["metrics"], "tokens" in second["metrics"]) == (True, False)
    assert "hit" == second["extensions"]["cache"]
    assert collected.events[2]["event_id"] == second["extensions"]["reply_to"]


# switching


def test_uninstrument():
    """What was put into LangChain is taken away again, and nothing else."""
    from langchain_core.callbacks.base import BaseCallbackManager
    from langchain_core.tracers import context

    hooks, add_handler = list(context._configure_hooks), BaseCallbackManager.add_handler
    for _ in range(2):
        hilt_logging.instrument("langchain")
    assert len(hooks) + 1 == len(context._configure_hooks)
    hilt_logging.uninstrument("langchain")
    assert hooks == context._configure_hooks
    assert add_handler is BaseCallbackManager.add_handler


def test_on_and_off(collected, instrumented):
    """Runs are recorded while it is instrumented and not suppressed."""
    model = FakeListLLM(responses=["Hi."])
    model.invoke("before")
    instrumented("langchain")
    model.invoke("now")
    with hilt_logging.suppress():
        model.invoke("suppressed")
    hilt_logging.uninstrument("langchain")
    model.invoke("after")
    assert ["now", "Hi."] == [event["content"]["text"] for event in collected.events]


def test_nobody_listens(instrumented, levels):
    """Where nobody listens LangChain is given no handler."""
    from langchain_core.callbacks import CallbackManager

    levels("hilt", logging.CRITICAL)
    instrumented("langchain")
    assert [] == CallbackManager.configure().handlers


BEFORE = """
import logging, sys, hilt_logging
hilt_logging.instrument("langchain", filename=sys.argv[1])
assert "langchain_core" not in sys.modules
from langchain_core.runnables import RunnableLambda
RunnableLambda(str).invoke(7)
"""


def test_imported_later(in_child, tmp_path, lines):
    """instrument() imports no LangChain; one that is imported later is recorded."""
    file = tmp_path / "a.jsonl"
    done = in_child(BEFORE.replace("sys.argv[1]", repr(str(file))))
    assert ["start", "end"] == [e["extensions"]["chain"]["phase"] for e in lines(file)], done.stderr


@pytest.mark.parametrize("capture", ["new", "all", "metadata"])
def test_capture(capture, collected, instrumented):
    """`metadata` keeps no content, `all` everything each time, `new` what is new."""
    instrumented("langchain", capture=capture)
    chain = RunnableLambda(lambda state: {"messages": [*state["messages"], HumanMessage("b")]})
    chain.invoke({"messages": [HumanMessage("secret")]})
    start, end = (event["extensions"]["chain"] for event in collected.events)
    if capture == "metadata":
        assert "secret" not in json.dumps(collected.events)
        assert not {"inputs", "outputs"} & {*start, *end}
        return
    first, second = end["outputs"]["messages"]
    assert "secret" == start["inputs"]["messages"][0]["parts"][0]["content"]
    assert "b" == second["parts"][0]["content"]
    if capture == "all":
        assert "secret" == first["parts"][0]["content"]
    else:
        assert (1, collected.events[0]["event_id"]) == (first["$repeated"], first["$last"])


def test_no_content_anywhere(collected, instrumented):
    """With capture="metadata" no word of chains, models, tools and their failures is kept."""

    @tool
    def shout(said: str) -> str:
        """Shout."""
        raise ValueError(f"secret {said}")

    instrumented("langchain", capture="metadata")
    model = GenericFakeChatModel(messages=iter([AIMessage("secret")]))
    (ChatPromptTemplate.from_template("secret {x}") | model).invoke({"x": "secret"})
    with pytest.raises(ValueError, match="secret"):
        shout.invoke({"said": "secret"})
    assert {"prompt", "completion", "tool_call", "system"} == set(actions(collected))
    assert "secret" not in json.dumps(collected.events)


class Refusing(logging.Handler):
    """A handler that was set up to raise."""

    def emit(self, record):
        raise RecordingError("disk full")


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_recording_that_must_not_fail(awaited, collected, instrumented):
    """A prompt that a handler refuses to lose stops the run before it asks; nothing else does."""
    asked, refusing = [], Refusing()

    class Asked(FakeListLLM):
        def _call(self, prompt, *args, **kwargs):
            asked.append(prompt)
            return super()._call(prompt, *args, **kwargs)

    instrumented("langchain")
    model, logger = Asked(responses=["Hi."]), logging.getLogger("hilt.langchain")
    logger.addHandler(refusing)
    try:
        with pytest.raises(RecordingError, match="disk full"):
            asyncio.run(model.ainvoke("Go")) if awaited else model.invoke("Go")
        assert [] == asked
        assert 7 == RunnableLambda(lambda number: number).invoke(7)
    finally:
        logger.removeHandler(refusing)


# what the application gets


@pytest.mark.parametrize("sdk", LOGGERS)
@pytest.mark.parametrize("way", WAYS)
def test_same_values(way, sdk, provider, instrumented):
    """What a model gives is the same with and without, piece by piece."""
    made = []
    for with_us in (False, True):
        if with_us:
            instrumented()
        made.append(WAYS[way](lambda kind: served(provider, sdk, kind), {}))
    without, recorded = made
    assert [type(each) for each in without] == [type(each) for each in recorded]
    assert [plain(each) for each in without] == [plain(each) for each in recorded]


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_same_errors(awaited, provider, collected, instrumented):
    """An error of the provider is the same with and without, and on record once."""
    raised = []
    for with_us in (False, True):
        if with_us:
            instrumented()
        model = served(provider, "openai", "error_429")
        with pytest.raises(openai.RateLimitError) as caught:
            asyncio.run(model.ainvoke("Go")) if awaited else model.invoke("Go")
        raised.append(caught.value)
    assert type(raised[0]) is type(raised[1])
    assert str(raised[0]) == str(raised[1])
    assert ["prompt", "system"] == actions(collected)
    assert 429 == collected.events[1]["extensions"]["status_code"]


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_stream_left(awaited, sdk_on, provider, collected, instrumented, levels):
    """A stream that is left early is one completion with what had come."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = served(provider, "openai", "stream")

    async def leave():
        stream = model.astream("Go")
        pieces = [await anext(stream) for _ in range(4)]
        await stream.aclose()
        return pieces

    if awaited:
        pieces = asyncio.run(leave())
    else:
        stream = model.stream("Go")
        pieces = list(itertools.islice(stream, 4))
        stream.close()
    (completion,) = collected.of("completion")
    assert "closed_early" == completion["extensions"]["outcome"]
    assert "".join(piece.text for piece in pieces) == completion["content"]["text"]
    assert 2 == len(collected.events)


@pytest.mark.filterwarnings("ignore:The method .* is in beta")
@pytest.mark.skipif(not hasattr(ours.BaseCallbackHandler, "on_stream_event"), reason="is not there")
@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_stream_of_a_protocol(awaited, sdk_on, collected, instrumented, levels):
    """A stream of events in place of pieces is recorded once, though it ends more than once."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()

    async def main():
        stream = await local_model().astream_events("Hi there", version="v3")
        return [event async for event in stream]

    events = (
        asyncio.run(main()) if awaited else local_model().stream_events("Hi there", version="v3")
    )
    assert 4 < len(list(events))
    assert ["prompt", "completion"] == actions(collected)
    assert "You said: Hi there" == collected.events[1]["content"]["text"]


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
@pytest.mark.parametrize("within", [False, True], ids=["model", "chain"])
def test_timeout(within, sdk_on, collected, instrumented, levels):
    """A call that is cancelled has an end, and what the task does next is recorded as ever."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = local_model()
    runnable = RunnableLambda(lambda asked: asked) | model if within else model

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await runnable.ainvoke("slow")
        gc.collect()
        await model.ainvoke("Hi")

    asyncio.run(main())
    outcomes = [
        event["extensions"]["outcome"]
        for event in collected.events
        if event["action"] == "completion" or "error" in event["extensions"]
    ]
    assert 2 == len(outcomes)
    assert outcomes[0] in ("cancelled", "abandoned")
    assert "completed" == outcomes[1]
    assert ["slow", "Hi"] == [event["content"]["text"] for event in collected.of("prompt")]


def test_between_pieces(provider, collected, instrumented, levels):
    """What the caller asks between the pieces of a stream is recorded on its own."""
    for sdk_level in (logging.INFO, logging.CRITICAL):
        levels("hilt.anthropic", sdk_level)
        instrumented()
        for number, _ in enumerate(served(provider, "anthropic", "stream").stream("Go")):
            if number == 1:
                ask(local_client(), "Between")
        (between,) = [e for e in collected.of("prompt") if e["content"]["text"] == "Between"]
        assert "run_id" not in between["provenance"]
        assert 2 == len(collected.of("completion"))
        collected.records.clear()


def test_retries(collected, instrumented):
    """Each attempt of `with_retry` is a run of its own, and the failed ones are errors."""
    instrumented()
    attempts = []

    def flaky(asked):
        attempts.append(asked)
        return model.invoke("fail" if len(attempts) == 1 else "Hi")

    model = local_model()
    RunnableLambda(flaky).with_retry(wait_exponential_jitter=False).invoke("Go")
    assert ["fail", "Hi"] == [event["content"]["text"] for event in collected.of("prompt")]
    assert 1 == len(collected.of("completion"))
    errors = [
        e
        for e in collected.events
        if e["extensions"].get("error") and "chain" not in e["extensions"]
    ]
    assert ["BadRequestError"] == [e["extensions"]["error"]["type"] for e in errors]


def test_fallbacks(provider, collected, instrumented):
    """Of a model that fails and the one that stands in for it, each is recorded by its SDK."""
    instrumented()
    model = served(provider, "openai", "error_500")
    given = model.with_fallbacks([served(provider, "anthropic", "text")]).invoke("Go")
    assert {"hilt.openai", "hilt.anthropic"} == loggers(collected, "prompt")
    (completion,) = collected.of("completion")
    assert given.text == completion["content"]["text"]
    assert 1 == len({event["session_id"] for event in collected.events})


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of older langchain-openai
@pytest.mark.parametrize("method", ["json_schema", "json_mode"])
@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_structured_output(method, sdk_on, collected, instrumented, levels):
    """A structured answer is an object for the application, and the words on record, once."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = local_model().with_structured_output(Reply, method=method)
    assert Reply(answer="Hi", sure=True) == model.invoke("Hi")
    (completion,) = collected.of("completion")
    assert {"answer": "Hi", "sure": True} == json.loads(completion["content"]["text"])
    assert 15 == completion["metrics"]["tokens"]["total"]


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_answer_that_is_no_structure(sdk_on, collected, instrumented, levels):
    """An answer that the SDK refuses after it was billed is on record, with the error, once."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = local_model().with_structured_output(Reply, method="json_schema")
    with pytest.raises(Exception, match="JSON"):
        model.invoke("broken")
    models = [event for event in collected.events if "chain" not in event["extensions"]]
    if sdk_on:
        assert ["prompt", "completion", "system"] == [event["action"] for event in models]
        assert "no JSON" == models[1]["content"]["text"]
    else:
        assert ["prompt", "system"] == [event["action"] for event in models]


@pytest.mark.parametrize("awaited", [False, True], ids=["sync", "async"])
def test_failure_after_the_answer(awaited, collected, instrumented, tmp_path):
    """What LangChain makes of an answer may fail: that is a failure, and no second call."""
    instrumented()

    class Strict(langchain_openai.ChatOpenAI):
        def _create_chat_result(self, *given, **more):
            raise ValueError("not to my liking")

    model = local_model(Strict)
    with pytest.raises(ValueError, match="liking"):
        asyncio.run(model.ainvoke("Go")) if awaited else model.invoke("Go")
    prompt, completion, failure = collected.events
    assert ["prompt", "completion", "system"] == actions(collected)
    assert "completed" == completion["extensions"]["outcome"]
    assert {prompt["event_id"]} == {
        each["extensions"]["reply_to"] for each in (completion, failure)
    }
    assert ("Strict", "failed", "ValueError") == (
        failure["actor"]["id"],
        failure["extensions"]["outcome"],
        failure["extensions"]["error"]["type"],
    )
    log = tmp_path / "app.jsonl"
    log.write_bytes(b"".join(encode(each) + b"\n" for each in collected.events))
    total = stats(log).total
    assert (1, 1, 0) == (total.calls, total.completed, total.failed)


def test_parallel(collected, instrumented):
    """Branches that run at the same time keep their runs apart."""
    instrumented()
    parts = {
        f"p{n}": RunnableLambda(lambda _, n=n: f"branch {n}") | local_model() for n in range(6)
    }
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(RunnableParallel(parts).invoke, ["Go"] * 6))
    assert 36 == len(collected.of("prompt")) == len(collected.of("completion"))
    asked = {event["event_id"]: event for event in collected.of("prompt")}
    for event in collected.of("completion"):
        prompt = asked[event["extensions"]["reply_to"]]
        assert f"You said: {prompt['content']['text']}" == event["content"]["text"]
        assert prompt["provenance"]["run_id"] == event["provenance"]["run_id"]
    assert 6 == len({event["session_id"] for event in collected.events})


def test_nothing_is_kept(collected, instrumented):
    """No run is kept when it is over or given up, nor what it was given."""
    instrumented()

    class Given(dict):
        pass

    model, handler = local_model(), ours._offered.get()
    chain = RunnableLambda(lambda given: given["asked"]) | model | StrOutputParser()
    before = len(handler._runs)
    given = Given(asked="Hi")
    gone = weakref.ref(given)
    chain.invoke(given)
    del given
    for _ in range(20):
        stream = chain.stream({"asked": "Hi there"})
        next(stream)
        del stream
    gc.collect()
    assert gone() is None
    assert before == len(handler._runs)


# LangGraph


@tool
def search(q: str) -> str:
    """Look something up."""
    return f"found {q}"


def agent_of(model, *tools, **options):
    prebuilt = pytest.importorskip("langgraph.prebuilt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it moved to the package langchain
        return prebuilt.create_react_agent(model, list(tools or (search,)), **options)


def with_memory(model, *tools, **options):
    memory = pytest.importorskip("langgraph.checkpoint.memory")
    return agent_of(model, *tools, checkpointer=memory.InMemorySaver(), **options)


def thread(name):
    return {"configurable": {"thread_id": name}}


RUNS = {
    "invoke": lambda agent, given, config: agent.invoke(given, config),
    "stream": lambda agent, given, config: list(agent.stream(given, config)),
    "ainvoke": lambda agent, given, config: asyncio.run(agent.ainvoke(given, config)),
    "astream": lambda agent, given, config: asyncio.run(pieces_of(agent.astream(given, config))),
}


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("langchain_on", [True, False], ids=["langchain on", "langchain off"])
@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_agent(run, sdk_on, langchain_on, collected, instrumented, levels):
    """An agent's tools are called once and give once, its models are asked once, in one session."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    levels("hilt.langchain", logging.INFO if langchain_on else logging.CRITICAL)
    instrumented()
    agent = with_memory(local_model(), prompt="Be brief.")
    RUNS[run](agent, {"messages": [("human", "look")]}, thread("t"))
    if not sdk_on and not langchain_on:
        assert [] == collected.events
        return
    counts = {name: len(collected.of(name)) for name in ("prompt", "completion")}
    assert {"prompt": 2, "completion": 2} == counts
    asked = {e["extensions"]["tool"]["call_id"]: e["event_id"] for e in collected.of("tool_call")}
    given = {
        e["extensions"]["tool"]["call_id"]: e["extensions"]["reply_to"]
        for e in collected.of("tool_result")
    }
    assert 2 == len(asked) == len(collected.of("tool_call")) == len(collected.of("tool_result"))
    assert asked == given
    assert 30 == sum(e["metrics"]["tokens"]["total"] for e in collected.of("completion"))
    if langchain_on:
        assert {"t"} == {event["session_id"] for event in collected.events}
        assert {"agent"} == {e["extensions"]["langgraph"]["node"] for e in collected.of("prompt")}
    else:
        assert 1 == len({event["session_id"] for event in collected.events})


def claude_says(request):
    last = json.loads(request.content)["messages"][-1]["content"]
    is_result = isinstance(last, list) and last[-1]["type"] == "tool_result"
    calls = [
        {"type": "tool_use", "id": f"toolu_{uuid.uuid4().hex}", "name": "search", "input": {"q": q}}
        for q in ("a", "b")
    ]
    content = [{"type": "text", "text": "Done."}] if is_result else calls
    reason = "end_turn" if is_result else "tool_use"
    whole = {"id": f"msg_{uuid.uuid4().hex}", "type": "message", "role": "assistant", "model": "c"}
    usage = {"input_tokens": 10, "output_tokens": 5}
    told = {**whole, "content": content, "stop_reason": reason, "usage": usage}
    return httpx.Response(200, json=told)


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_agent_of_claude(sdk_on, collected, instrumented, levels):
    """The same with Claude: tools once, tokens once, and the conversation word for word."""
    levels("hilt.anthropic", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = langchain_anthropic.ChatAnthropic(model="c", api_key="k", max_retries=0)
    transport = httpx.Client(transport=httpx.MockTransport(claude_says))
    model._client._client = transport
    agent = with_memory(model)
    for said in ("one", "two", "three"):
        agent.invoke({"messages": [("human", said)]}, thread("t"))
    assert (6, 6) == (len(collected.of("prompt")), len(collected.of("completion")))
    assert (6, 6) == (len(collected.of("tool_call")), len(collected.of("tool_result")))
    assert {"anthropic" if sdk_on else "langchain"} == {
        event["provenance"]["logger"].removeprefix("hilt.") for event in collected.of("completion")
    }
    assert 90 == sum(e["metrics"]["tokens"]["total"] for e in collected.of("completion"))
    told = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
    assert (True, 0) == (told.is_exact, told.missing)
    assert {"t"} == {event["session_id"] for event in collected.events}


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
def test_long_conversation(sdk_on, collected, instrumented, levels):
    """Each turn of a graph with memory takes the same room, and all of it is told word for word."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    agent, sizes = with_memory(local_model(), prompt="Be brief."), []
    for turn in range(13):
        before = len(collected.records)
        said = f"look {turn:03}" if turn % 3 else f"turn {turn:03}"
        state = agent.invoke({"messages": [("human", said)]}, thread("t"))
        sizes.append(sum(len(json.dumps(event)) for event in collected.events[before:]))
    assert max(sizes[4::3]) < 1.05 * min(sizes[4::3])
    assert max(sizes[3::3]) < 1.05 * min(sizes[3::3])
    told = Transcripts(collected.events).of(collected.of("completion")[-1]["event_id"])
    assert (True, 0) == (told.is_exact, told.missing)
    spoken = [m.text for m in state["messages"] if m.type in ("human", "ai")]
    parts = [turn["parts"] for turn in told.turns if turn["role"] in ("user", "assistant")]
    assert spoken == [
        "".join(part["content"] for part in each if part["type"] == "text") for each in parts
    ]


@pytest.mark.parametrize("sdk_on", [True, False], ids=["sdk on", "sdk off"])
@pytest.mark.parametrize("kind", ["agent", "model"])
def test_history(kind, sdk_on, collected, instrumented, levels):
    """Without a thread, a conversation is known again by its repeated history, and by that alone."""
    levels("hilt.openai", logging.INFO if sdk_on else logging.CRITICAL)
    instrumented()
    model = local_model()
    agent = agent_of(model)

    def say(history, said):
        if kind == "agent":
            return agent.invoke({"messages": [*history, HumanMessage(said)]})["messages"]
        asked = [*history, HumanMessage(said)]
        return [*asked, model.invoke(asked)]

    one = say([], "look at one")
    two = say([], "look at two")
    for turn in range(3):
        one = say(one, f"look {turn} of one")
        two = say(two, f"look {turn} of two")
    of_one, of_two = (
        {
            event["session_id"]
            for event in collected.of("prompt")
            if event["content"].get("text", "").endswith(name)
        }
        for name in ("one", "two")
    )
    assert (1, 1, 2) == (len(of_one), len(of_two), len(of_one | of_two))
    assert 2 == len({event["session_id"] for event in collected.events})


def test_sdk_in_a_node(collected, instrumented):
    """A node or a tool that calls an SDK itself does so in the conversation of its graph."""
    graph = pytest.importorskip("langgraph.graph")

    @tool
    def translate(said: str) -> str:
        """Translate."""
        return ask(local_client(), f"translate {said}").choices[0].message.content

    async def think(state):
        async with openai.AsyncOpenAI(
            api_key="k",
            http_client=httpx.AsyncClient(transport=httpx.MockTransport(respond_slowly)),
        ) as client:
            await client.chat.completions.create(
                model="m", messages=[{"role": "user", "content": "think"}]
            )
        return {"messages": [await translate.ainvoke({"said": "x"})]}

    instrumented()
    built = graph.StateGraph(graph.MessagesState).add_node("think", think)
    built = built.add_edge(graph.START, "think").compile()
    asyncio.run(built.ainvoke({"messages": [("human", "Go")]}, thread("t")))
    prompts = collected.of("prompt")
    assert {"hilt.openai"} == loggers(collected, "prompt")
    assert ["think", "translate x"] == [event["content"]["text"] for event in prompts]
    assert {("t", "request")} == {
        (event["session_id"], event["extensions"]["session_source"]) for event in prompts
    }
    assert ["think"] * 2 == [event["extensions"]["langgraph"]["node"] for event in prompts]
    runs = {event["provenance"].get("run_id") for event in collected.events}
    assert all(event["provenance"]["parent_run_id"] in runs for event in prompts)
    ask(local_client(), "outside")
    assert "parent_run_id" not in collected.of("prompt")[-1]["provenance"]


def test_bound_wins(collected, instrumented):
    """What is bound comes before the thread of a graph."""
    instrumented()
    with bind(session_id="bound", user_id="ann"):
        with_memory(local_model()).invoke({"messages": [("human", "look")]}, thread("t"))
    assert {"bound"} == {event["session_id"] for event in collected.events}
    assert {"ann"} == {event["extensions"]["user_id"] for event in collected.events}


def test_interrupt(collected, instrumented):
    """A tool that waits for a person has not failed, and goes on in its conversation."""
    types = pytest.importorskip("langgraph.types")

    @tool("search")
    def confirm(q: str) -> str:
        """Look something up, if a person agrees."""
        return f"{types.interrupt('Sure?')}: {q}"

    instrumented()
    agent = with_memory(local_model(), confirm, version="v1")
    agent.invoke({"messages": [("human", "look once")]}, thread("t"))
    assert (1, 0) == (len(collected.of("tool_call")), len(collected.of("tool_result")))
    state = agent.invoke(types.Command(resume="yes"), thread("t"))
    assert "You said: yes: look once 0" == state["messages"][-1].text
    assert (1, 1) == (len(collected.of("tool_call")), len(collected.of("tool_result")))
    assert {"t"} == {event["session_id"] for event in collected.events}
    assert logging.ERROR not in {record.levelno for record in collected.records}


def test_graphs_at_once(collected, instrumented):
    """Graphs of several users at once, on threads and tasks, are kept apart."""
    instrumented()
    agent = with_memory(local_model())

    async def main():
        given = [{"messages": [("human", f"look a{n}")]} for n in range(6)]
        await asyncio.gather(*(agent.ainvoke(g, thread(f"a{n}")) for n, g in enumerate(given)))

    def go(number):
        agent.invoke({"messages": [("human", f"look s{number}")]}, thread(f"s{number}"))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(go, range(6)))
    asyncio.run(main())
    for name in (f"{kind}{n}" for kind in "as" for n in range(6)):
        events = [event for event in collected.events if event["session_id"] == name]
        results = [event for event in events if event["action"] == "tool_result"]
        assert {f"found look {name} 0", f"found look {name} 1"} == {
            event["content"]["text"] for event in results
        }
        assert 2 == sum(event["action"] == "completion" for event in events)
    assert 12 == len({event["session_id"] for event in collected.events})


def test_a_config_in_another_process(collected, instrumented):
    """What a run hands on can be pickled as without us; in the other process it is no second one."""
    instrumented("langchain")
    handed = []
    step = RunnableLambda(lambda said, config: handed.append(pickle.dumps(config)))
    step.invoke("Hi")
    collected.records.clear()
    RunnableLambda(lambda said: said).invoke("Hi", pickle.loads(handed[0]))
    assert ["start", "end"] == [event["extensions"]["chain"]["phase"] for event in collected.events]
