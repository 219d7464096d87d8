"""The application's own functions on record: tools, searches, judgements, and calls by hand."""

from __future__ import annotations

import asyncio
import gc
import inspect
import json
import logging

import pytest

import hilt_logging

from hilt_logging import (
    ConfigurationError,
    RecordingError,
    bind,
    record_feedback,
    record_retrieval,
    tool,
    turn,
    validate_event,
)
from hilt_logging.io.transcripts import Transcripts


@pytest.fixture(autouse=True)
def all_valid(collected):
    """Whatever a test does, every event that it makes is one."""
    yield
    for event in collected.events:
        assert [] == validate_event(event)


def actions(collected):
    return [event["action"] for event in collected.events]


def told(event):
    return event["extensions"]["tool"]


# tools


@tool
def add(a: int, b: int = 2, *more: int, **named: int) -> int:
    """Add."""
    return a + b + sum(more) + sum(named.values())


@tool
async def add_later(a: int, b: int) -> int:
    """Add, later."""
    await asyncio.sleep(0)
    return a + b


@tool
def words(said: str):
    """Yield the words; what is sent in comes back."""
    for word in said.split():
        heard = yield f"{word} "
        if heard:
            yield f"({heard}) "
    return len(said)


@tool
async def words_later(said: str):
    """Yield the words, later."""
    for word in said.split():
        await asyncio.sleep(0)
        yield f"{word} "


def test_tool(collected):
    """A run is a call with its arguments by name, and a result that replies to it, with its time."""
    assert 6 == add(1, b=5)
    call, result = collected.events
    assert {"name": "add", "arguments": {"a": 1, "b": 5}} == told(call)
    assert {"name": "add", "result": 6} == told(result)
    assert ["tool_call", "tool_result"] == actions(collected)
    assert call["event_id"] == result["extensions"]["reply_to"]
    assert call["session_id"] == result["session_id"]
    assert result["metrics"]["latency_ms"] >= 0
    assert {"hilt.app"} == {record.name for record in collected.records}


def test_function_stays_what_it_is(collected):
    """A decorated function has its name, its words, its signature and its kind."""
    assert ("add", "Add.") == (add.__name__, add.__doc__)
    assert ["a", "b", "more", "named"] == list(inspect.signature(add).parameters)
    assert inspect.iscoroutinefunction(add_later)
    assert inspect.isgeneratorfunction(words)
    assert inspect.isasyncgenfunction(words_later)


def test_arguments_of_the_decorator(collected):
    """With arguments it has another name and another logger."""

    @tool(name="sum", logger="hilt.app.maths")
    def plus(a, b):
        return f"{a + b}"

    assert "3" == plus(1, 2)
    assert {"hilt.app.maths"} == {record.name for record in collected.records}
    assert ("sum", "3") == (
        told(collected.events[1])["name"],
        collected.events[1]["content"]["text"],
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": ""}, "name"),
        ({"name": 7}, "name"),
        ({"logger": "app"}, "logger"),
        ({"logger": 7}, "logger"),
    ],
)
def test_wrong_options(options, named):
    """A wrong option is an error when it is decorated."""
    with pytest.raises(ConfigurationError, match=f"Invalid {named}"):
        tool(**options)(add)


def test_tool_fails(collected):
    """What a tool raises is raised unchanged, and is an error that replies to its call."""

    @tool
    def fail(why):
        raise LookupError(why)

    with pytest.raises(LookupError, match="boom") as raised:
        fail("boom")
    assert "fail" in [entry.name for entry in raised.traceback]
    call, error = collected.events
    assert ("system", "LookupError") == (error["action"], error["extensions"]["error"]["type"])
    assert call["event_id"] == error["extensions"]["reply_to"]
    assert "fail" == told(error)["name"]
    assert logging.ERROR == collected.records[1].levelno


def test_wrong_arguments(collected):
    """Arguments that do not fit raise what Python raises."""
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'a'"):
        add(b=1)
    assert "TypeError" == collected.events[1]["extensions"]["error"]["type"]


def test_awaited_tool(collected):
    """A coroutine function is on record when it is done; one that is cancelled, too."""
    assert 3 == asyncio.run(add_later(1, 2))
    assert {"name": "add_later", "result": 3} == told(collected.events[1])

    @tool
    async def wait():
        await asyncio.sleep(30)

    async def main():
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(wait(), 0.01)

    asyncio.run(main())
    assert "cancelled" == collected.events[3]["extensions"]["outcome"]


def test_generator(collected):
    """A generator's items, whatever it is sent, are its result; what it returns is returned."""

    def around():
        return (yield from words("one two"))

    running = around()
    assert [] == collected.events
    got = [next(running), running.send("hm"), next(running)]
    with pytest.raises(StopIteration) as stop:
        next(running)
    assert (["one ", "(hm) ", "two "], 7) == (got, stop.value.value)
    assert ["tool_call", "tool_result"] == actions(collected)
    assert "one (hm) two " == collected.events[1]["content"]["text"]


def test_awaited_generator(collected):
    """An asynchronous generator's items are its result."""

    async def main():
        return [word async for word in words_later("one two")]

    assert ["one ", "two "] == asyncio.run(main())
    assert "one two " == collected.events[1]["content"]["text"]


def test_generator_that_is_left(collected):
    """What had come of a generator that is closed, or dropped, is its result."""
    running = words("one two three")
    next(running)
    running.close()
    running = words("four five")
    next(running)
    del running
    gc.collect()

    async def main():
        running = words_later("six seven")
        await anext(running)
        await running.aclose()

    asyncio.run(main())
    results = collected.of("tool_result")
    assert ["one ", "four ", "six "] == [event["content"]["text"] for event in results]
    assert {"closed_early"} == {event["extensions"]["outcome"] for event in results}
    assert [event["event_id"] for event in collected.of("tool_call")] == [
        event["extensions"]["reply_to"] for event in results
    ]


def test_generator_that_fails(collected):
    """What is thrown into a generator reaches it, and what comes out is the error."""

    @tool
    def stubborn():
        try:
            yield 1
        except KeyError:
            yield 2
        raise ValueError("enough")

    running = stubborn()
    assert [1, 2] == [next(running), running.throw(KeyError("k"))]
    with pytest.raises(ValueError, match="enough"):
        next(running)
    assert ["tool_call", "system"] == actions(collected)


def test_endless_generator(collected):
    """Of a generator without end, a bounded part is kept."""

    @tool
    def count():
        number = 0
        while True:
            yield (number := number + 1)

    running = count()
    for _ in range(5000):
        next(running)
    running.close()
    result = told(collected.events[1])["result"]
    assert [1, 1000] == [result[0], result[999]]
    assert {"$cut": "size", "$omitted": 4000} == result[1000]


def test_method(collected):
    """Of a method, the object itself is no argument of the tool."""

    class Desk:
        @tool
        def file(self, paper):
            return f"filed {paper}"

        @tool
        @staticmethod
        def sort(papers):
            return sorted(papers)

        @classmethod
        @tool
        def empty(cls):
            return cls.__name__

    assert ("filed x", [1, 2], "Desk") == (Desk().file("x"), Desk.sort([2, 1]), Desk.empty())
    assert [{"paper": "x"}, {"papers": [2, 1]}, {}] == [
        told(event)["arguments"] for event in collected.of("tool_call")
    ]


def test_tools_in_tools(collected):
    """What runs within a tool is in its conversation."""

    @tool
    def outer():
        record_retrieval("x", [])
        return add(1)

    outer()
    assert ["tool_call", "retrieval", "tool_call", "tool_result", "tool_result"] == actions(
        collected
    )
    assert 1 == len({event["session_id"] for event in collected.events})
    add(1)
    assert 2 == len({event["session_id"] for event in collected.events})


def test_hostile_things(collected):
    """What a tool is given and gives is never asked anything."""

    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError(name)

        __repr__ = __str__ = __eq__ = __hash__ = __iter__ = __len__ = None

    @tool
    def same(given):
        return given

    given = Hostile()
    assert same(given) is given
    assert {"$type"} == set(told(collected.events[1])["result"])


def test_nobody_listens(collected):
    """Where nobody listens, or within suppress(), the function is all that runs."""
    with hilt_logging.suppress():
        assert 3 == add(1)
        assert 3 == asyncio.run(add_later(1, 2))
        assert ["a "] == list(words("a"))
        assert record_feedback(1) is None
        assert record_retrieval("x") is None
        with turn("Hi") as call:
            call.answer("Hello")
    assert [] == collected.events
    assert (None, None) == (call.prompt_id, call.completion_id)


@pytest.fixture
def openai_client(instrumented):
    """A client of OpenAI that asks for a tool first, and then repeats what the tool gave."""
    openai = pytest.importorskip("openai")
    httpx = pytest.importorskip("httpx2" if "httpx2" in vars(openai._base_client) else "httpx")

    def respond(request):
        last = json.loads(request.content)["messages"][-1]
        function = {"name": "add", "arguments": '{"a": 1, "b": 2}'}
        call = {"id": "call-7", "type": "function", "function": function}
        asks = {"role": "assistant", "content": None, "tool_calls": [call]}
        says = {"role": "assistant", "content": last["content"]}
        message = says if last["role"] == "tool" else asks
        choices = [{"index": 0, "finish_reason": "stop", "message": message}]
        whole = {"id": f"r-{last['role']}", "created": 1, "model": "m", "choices": choices}
        return httpx.Response(200, json={"object": "chat.completion", **whole})

    instrumented("openai")
    transport = httpx.MockTransport(respond)
    with openai.OpenAI(api_key="k", http_client=httpx.Client(transport=transport)) as client:
        yield client


def test_tool_that_a_model_asks_for(openai_client, collected):
    """With the id of the model's call it is called once and gives once, in one conversation."""
    messages = [{"role": "user", "content": "1 + 2?"}]
    asked = openai_client.chat.completions.create(model="m", messages=messages).choices[0].message
    (call,) = asked.tool_calls
    given = add.called(call.id)(**json.loads(call.function.arguments))
    messages += [asked, {"role": "tool", "tool_call_id": call.id, "content": json.dumps(given)}]
    openai_client.chat.completions.create(model="m", messages=messages)
    assert [
        *["prompt", "completion", "tool_call"],
        "tool_result",
        *["prompt", "completion"],
    ] == actions(collected)
    asked_for, result = collected.events[2:4]
    assert asked_for["event_id"] == result["extensions"]["reply_to"]
    assert {"name": "add", "call_id": "call-7", "result": 3} == told(result)
    assert 1 == len({event["session_id"] for event in collected.events})


def test_tool_of_langchain(collected, instrumented):
    """A tool that LangChain runs, and records, is not recorded twice."""
    tools = pytest.importorskip("langchain_core.tools")
    instrumented("langchain")

    @tools.tool
    @tool
    def double(a: int) -> int:
        """Double."""
        return 2 * a

    assert 4 == double.invoke({"a": 2})
    assert ["tool_call", "tool_result"] == actions(collected)
    assert {"hilt.langchain"} == {record.name for record in collected.records}


# searches and judgements


class Document:
    """As LangChain's."""

    def __init__(self):
        self.id, self.page_content, self.metadata = "d1", "Lamps.", {"page": 7}


def test_retrieval(collected):
    """A search is one event, with what was found in whatever form."""
    found = ["Oil.", {"id": "d0", "score": 0.5}, Document()]
    with bind(session_id="s"):
        event_id = record_retrieval("lamps", found, source="shelf", latency_ms=12, index="main")
    (event,) = collected.events
    assert (event_id, "retrieval", "s") == (event["event_id"], event["action"], event["session_id"])
    assert ("shelf", "lamps") == (event["actor"]["id"], event["content"]["text"])
    assert [
        {"text": "Oil."},
        {"id": "d0", "score": 0.5},
        {"id": "d1", "text": "Lamps.", "metadata": {"page": 7}},
    ] == event["extensions"]["documents"]
    assert ({"latency_ms": 12}, "main") == (event["metrics"], event["extensions"]["index"])


def test_feedback(collected):
    """A judgement is one event, of the person that is bound, on the answer that it names."""
    with turn("Hi", session_id="s") as call:
        call.answer("Hello", response_id="r-9")
    with bind(user_id="ann"):
        record_feedback(-1, "Too short.", reply_to=call.completion_id)
        record_feedback(1, reply_to="r-9", session_id="other")
        record_feedback(0.5, reply_to={"id": "r-9"}, ticket=7)
    by_id, by_response, by_answer = collected.of("feedback")
    for event in (by_id, by_response, by_answer):
        assert call.completion_id == event["extensions"]["reply_to"]
        assert ("human", "ann") == (event["actor"]["type"], event["actor"]["id"])
    assert ({"score": -1}, "Too short.") == (by_id["metrics"], by_id["content"]["text"])
    assert "other" == by_response["session_id"]
    assert ("s", "r-9", 7) == (
        by_answer["session_id"],
        by_answer["provenance"]["response_id"],
        by_answer["extensions"]["ticket"],
    )


def test_feedback_on_an_answer_of_an_sdk(openai_client, collected):
    """The answer itself, as the SDK gave it, says what is judged; of an unknown one its id does."""
    messages = [{"role": "user", "content": "1 + 2?"}]
    answer = openai_client.chat.completions.create(model="m", messages=messages)
    record_feedback(1, reply_to=answer)
    answer.id = "r-unknown"
    record_feedback(1, reply_to=answer)
    known, unknown = collected.of("feedback")
    completion = collected.of("completion")[0]
    assert completion["event_id"] == known["extensions"]["reply_to"]
    assert completion["session_id"] == known["session_id"]
    assert "reply_to" not in unknown.get("extensions", {})
    assert "r-unknown" == unknown["provenance"]["response_id"]


@pytest.mark.parametrize("record", [record_feedback, lambda **o: record_retrieval("x", **o)])
def test_wrong_logger(record):
    """A logger that no configuration of ours reaches is an error."""
    with pytest.raises(ConfigurationError, match="Invalid logger: 'app'"):
        record(logger="app")


# calls by hand


def test_turn(collected):
    """The prompt is on record before the request leaves, the answer when it is there."""
    with turn("Hi", provider="mine", model="m-1", params={"temperature": 0}, tenant="acme") as call:
        assert ["prompt"] == actions(collected)
        call.answer(
            "Hello",
            model="m-1-2026",
            tokens={"prompt": 3, "completion": 2, "cached": 1},
            cost_usd=0.25,
            finish_reason="length",
            response_id="r-1",
            request_id="q-1",
            tool_calls=[{"name": "add", "id": "c-1", "arguments": '{"a": 1}'}],
            region="eu",
        )
        assert ["prompt", "completion", "tool_call"] == actions(collected)
    prompt, completion, asked_for = collected.events
    assert (prompt["event_id"], completion["event_id"]) == (call.prompt_id, call.completion_id)
    assert "Hi" == prompt["content"]["text"]
    assert {"provider": "mine", "request_model": "m-1", "params": {"temperature": 0}}.items() <= (
        prompt["provenance"].items()
    )
    assert {"model": "m-1-2026", "response_id": "r-1", "request_id": "q-1"}.items() <= (
        completion["provenance"].items()
    )
    assert {"prompt": 3, "completion": 2, "cached": 1, "total": 5} == completion["metrics"][
        "tokens"
    ]
    assert 0.25 == completion["metrics"]["cost_usd"]
    assert ("length", "truncated", "eu", "acme") == tuple(
        completion["extensions"][name] for name in ("finish_reason", "outcome", "region", "tenant")
    )
    assert {"name": "add", "call_id": "c-1", "arguments": {"a": 1}} == told(asked_for)
    assert completion["event_id"] == asked_for["extensions"]["reply_to"]


def test_turn_fails(collected):
    """An exception before the answer is the call's failure; after it, it is the application's."""
    with pytest.raises(ConnectionError, match="gone"), turn("Hi") as call:
        call.retried(TimeoutError("slow"))
        raise ConnectionError("gone")
    assert ["prompt", "system", "system"] == actions(collected)
    retried, failed = collected.events[1:]
    assert ("retried", "TimeoutError") == (
        retried["extensions"]["outcome"],
        retried["extensions"]["error"]["type"],
    )
    assert ("failed", 2) == (failed["extensions"]["outcome"], failed["metrics"]["attempts"])
    collected.records.clear()
    with pytest.raises(KeyError), turn("Hi") as call:
        call.answer("Hello")
        call.answer("Again")
        raise KeyError("mine")
    assert ["prompt", "completion"] == actions(collected)


def test_turn_without_an_answer(collected):
    """A block that ends without an answer says so."""
    with turn("Hi"):
        pass
    assert "abandoned" == collected.events[1]["extensions"]["outcome"]


def test_awaited_turn(collected):
    """A turn can be awaited; a task that is cancelled in it is on record."""

    async def main():
        async with turn("Hi") as call:
            call.answer("Hello")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), turn("Wait"):
                await asyncio.sleep(30)

    asyncio.run(main())
    assert ["prompt", "completion", "prompt", "system"] == actions(collected)
    assert "cancelled" == collected.events[3]["extensions"]["outcome"]


def test_stream(collected):
    """The text of pieces as they come is the answer, with what their end tells."""
    taken = []

    def source():
        for word in ("One ", "two"):
            taken.append(word)
            yield {"said": word}

    with turn("Go") as call:
        for number, piece in enumerate(call.stream(source(), lambda piece: piece["said"])):
            assert number + 1 == len(taken)
            assert {"said": taken[-1]} == piece
        call.answer(tokens={"prompt": 1, "completion": 2}, finish_reason="stop")
    completion = collected.events[1]
    assert ("One two", 2) == (completion["content"]["text"], completion["metrics"]["chunks"])
    assert completion["metrics"]["time_to_first_token_ms"] >= 0
    assert ("completed", 3) == (
        completion["extensions"]["outcome"],
        completion["metrics"]["tokens"]["total"],
    )


def test_pieces_at_debug(collected):
    """Pieces are events of their own where DEBUG is on."""
    logging.getLogger("hilt").setLevel(logging.DEBUG)
    with turn("Go") as call:
        list(call.stream(["a", "b", ""]))
    assert ["prompt", "completion_chunk", "completion_chunk", "completion"] == actions(collected)
    assert "completed" == collected.events[3]["extensions"]["outcome"]


def asking(pieces):
    """An application's own generator around a stream."""
    with turn("Go") as call:
        yield from call.stream(pieces)


async def asking_later(pieces):
    """The same, awaited."""

    async def source():
        for piece in pieces:
            await asyncio.sleep(0)
            yield piece

    async with turn("Go") as call:
        async for piece in call.astream(source()):
            yield piece


def test_stream_that_is_left(collected):
    """What had come of a stream that is left is the answer."""
    running = asking(["a", "b", "c"])
    next(running)
    running.close()

    async def main():
        running = asking_later(["a", "b", "c"])
        await anext(running)
        await running.aclose()
        return [piece async for piece in asking_later(["a", "b"])]

    assert ["a", "b"] == asyncio.run(main())
    assert [("a", "closed_early"), ("a", "closed_early"), ("ab", "completed")] == [
        (event["content"]["text"], event["extensions"]["outcome"])
        for event in collected.of("completion")
    ]


def test_stream_that_breaks(collected):
    """What had come of a stream that breaks is an answer that failed, and then the error."""

    def source():
        yield "a"
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError, match="gone"):
        list(asking(source()))
    assert ["prompt", "completion", "system"] == actions(collected)
    assert ("a", "failed") == (
        collected.events[1]["content"]["text"],
        collected.events[1]["extensions"]["outcome"],
    )


def test_conversation(collected):
    """Of a request that repeats its history only what is new is written, and all is told again."""
    messages = [{"role": "system", "content": "Be brief."}]
    for number in range(5):
        messages.append({"role": "user", "content": f"question {number}"})
        with turn(list(messages), provider="mine") as call:
            call.answer(f"answer {number}")
        messages.append({"role": "assistant", "content": f"answer {number}"})
    assert 1 == len({event["session_id"] for event in collected.events})
    assert "question 4" == collected.of("prompt")[4]["content"]["text"]
    assert "messages" not in collected.of("prompt")[4]["content"]
    transcript = Transcripts(collected.events).of(collected.events[-1]["event_id"])
    assert (True, 10) == (transcript.is_exact, len(transcript.turns))


def test_turn_without_content(collected):
    """With capture="metadata" no word of it is kept."""
    with turn("secret", capture="metadata") as call:
        list(call.stream(["secret"]))
    assert "secret" not in json.dumps(collected.events)
    with pytest.raises(ConfigurationError, match="Invalid capture: 'some'"):
        turn("Hi", capture="some")


def test_prompt_that_must_not_be_lost(collected):
    """Where a handler is set up to raise, it raises before the request, and not after it."""

    class Refusing(logging.Handler):
        def emit(self, record):
            if record.hilt["action"] == refused:
                raise RecordingError("disk full")

    refusing = Refusing()
    logging.getLogger("hilt.app").addHandler(refusing)
    try:
        refused = "prompt"
        with pytest.raises(RecordingError), turn("Hi"):
            raise AssertionError("the request must not leave")
        refused = "completion"
        with turn("Hi") as call:
            call.answer("Hello")
    finally:
        logging.getLogger("hilt.app").removeHandler(refusing)


def test_turn_in_a_framework(collected, instrumented):
    """A model of LangChain that asks its provider within a turn is recorded once."""
    models = pytest.importorskip("langchain_core.language_models")

    class Mine(models.SimpleChatModel):
        _llm_type = "mine"

        def _call(self, messages, *args, **kwargs):
            with turn(messages[-1].text, provider="mine") as call:
                call.answer("Hello")
            return "Hello"

    instrumented("langchain")
    Mine().invoke("Hi")
    assert ["prompt", "completion"] == actions(collected)
