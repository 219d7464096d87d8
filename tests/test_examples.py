"""
What the examples do: each runs as a program of its own, on the installed package.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import os
import subprocess
import sys
import warnings

from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

from hilt_logging import validate_event


EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NEEDS = {
    "quickstart": ["yaml"],
    "openai_integration": ["openai"],
    "anthropic_integration": ["anthropic"],
    "gemini_integration": ["google.genai"],
    "langchain_integration": ["langchain_core"],
    "custom_integration": [],
    "http_provider": [],
    "structlog_app": ["structlog"],
    "json_logs_app": ["pythonjsonlogger"],
    "fan_out": [],
}
FILES = {
    "quickstart": ["hilt.jsonl", "hilt-openai.jsonl", "hilt-errors.jsonl"],
    "openai_integration": ["openai.hilt.jsonl"],
    "anthropic_integration": ["claude.hilt.jsonl"],
    "gemini_integration": ["gemini.hilt.jsonl"],
    "langchain_integration": ["langchain.hilt.jsonl"],
    "custom_integration": ["custom.hilt.jsonl"],
    "http_provider": ["http_provider.hilt.jsonl"],
    "structlog_app": ["structlog.hilt.jsonl"],
    "json_logs_app": ["json_logs.hilt.jsonl"],
    "fan_out": ["fan_out.hilt.jsonl", "fan_out.anthropic.hilt.jsonl", "fan_out.errors.hilt.jsonl"],
}
SHOWS_CONTENT = {"json_logs_app"}
FOREIGN = ("OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE", "LANGSMITH", "LANGCHAIN", "PYTHON", "HILT")


def installed(module):
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def needs(*modules):
    missing = [module for module in modules if not installed(module)]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}")


def example(name):
    return pytest.param(name, marks=needs(*NEEDS[name]))


ALL = pytest.mark.parametrize("name", [example(name) for name in NEEDS])


def run(folder, *arguments, **environ):
    """Run Python with warnings as errors, without what the developer's environment sets."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        cwd=folder,
        env={**kept, "PYTHONIOENCODING": "utf-8", **environ},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Run an example, once for all tests that look at what it did."""

    @functools.cache
    def run_once(name):
        folder = tmp_path_factory.mktemp(name)
        done = run(folder, str(EXAMPLES / f"{name}.py"))
        logs = sorted((folder / "logs").glob("[!.]*"))
        return SimpleNamespace(done=done, console=done.stdout + done.stderr, files=logs)

    return run_once


def events_of(path):
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def kinds(events):
    return Counter(
        (event["action"], event.get("provenance", {}).get("provider")) for event in events
    )


def texts(value):
    """Return all texts of content in an event, or in a part of it."""
    if isinstance(value, dict):
        return [text for each in value.values() for text in texts(each)]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


def test_every_example_is_tested():
    """Each program in the folder is named here, and nothing else is."""
    programs = {path.stem for path in EXAMPLES.glob("[!_]*.py")}
    assert programs == set(NEEDS) == set(FILES)


@ALL
def test_runs(ran, name):
    """An example needs no argument and no key, and ends without a traceback or a warning."""
    done = ran(name).done
    assert done.returncode == 0, done.stderr
    for unwanted in ("Traceback", "Warning", "Exception ignored"):
        assert unwanted not in ran(name).console


@ALL
def test_files(ran, name):
    """An example writes the files that it names at its end, readable by their owner alone."""
    seen = ran(name)
    assert [path.name for path in seen.files] == sorted(FILES[name])
    for path in seen.files:
        assert path.stat().st_mode & 0o777 == 0o600
        number = len(events_of(path))
        assert f"{path.name} (-rw-------), events: {number}, valid: {number}" in seen.done.stdout


@ALL
def test_valid(ran, name):
    """Every line is a valid event."""
    for path in ran(name).files:
        assert path.read_bytes().endswith(b"\n") or not path.read_bytes()
        assert [validate_event(event) for event in events_of(path)] == [[]] * len(events_of(path))


@pytest.mark.parametrize("name", [example(name) for name in NEEDS if name not in SHOWS_CONTENT])
def test_console_without_content(ran, name):
    """Nothing that was asked, answered, given to a tool or given by it is on the console."""
    seen = ran(name)
    said = {
        text
        for path in seen.files
        for event in events_of(path)
        for text in texts(
            [event.get("content"), event.get("extensions", {}).get("tool", {}).get("arguments")]
        )
        if " " in text.strip()
    }
    assert said
    assert [text for text in said if text in seen.console] == []


def only(seen):
    (path,) = seen.files
    return events_of(path)


@needs("yaml")
def test_quickstart(ran):
    """Each SDK that is installed has two questions and two answers, with tokens and a cost."""
    by_name = {path.name: events_of(path) for path in ran("quickstart").files}
    sdks = {
        "openai": "openai",
        "anthropic": "anthropic",
        "google.genai": "gemini",
        "google.generativeai": "gemini",
        "langchain_core": "langchain",
    }
    expected = {module for module in sdks if installed(module)}
    events = by_name["hilt.jsonl"]
    assert {event["session_id"] for event in events} == {f"quickstart-{m}" for m in expected}
    for module in expected:
        of_it = [event for event in events if event["session_id"] == f"quickstart-{module}"]
        actions = Counter(event["action"] for event in of_it)
        assert (actions["prompt"], actions["completion"]) == (2, 2)
        assert {event["provenance"]["logger"] for event in of_it} == {f"hilt.{sdks[module]}"}
        pretends = module == "langchain_core" and not installed("langchain_openai")
        for event in of_it:
            assert event["extensions"]["user_id"] == "alice"
            if event["action"] == "completion" and not pretends:
                assert event["metrics"]["tokens"]["total"] > 0
                assert module == "langchain_core" or event["metrics"]["cost_usd"] > 0
    assert by_name["hilt-openai.jsonl"] == [
        event for event in events if event["provenance"]["logger"] == "hilt.openai"
    ]
    assert by_name["hilt-errors.jsonl"] == []


@needs("yaml")
def test_quickstart_without_sdks(tmp_path):
    """An SDK that is not installed is skipped, and the example says so."""
    modules = ["openai", "anthropic", "google.genai", "google.generativeai", "langchain_core"]
    program = str(EXAMPLES / "quickstart.py")
    code = (
        "import runpy, sys;"
        f"sys.modules.update(dict.fromkeys({modules}));"
        f"sys.path.insert(0, {str(EXAMPLES)!r});"
        f"runpy.run_path({program!r}, run_name='__main__')"
    )
    done = run(tmp_path, "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    skipped = [line for line in done.stdout.splitlines() if line.startswith("skipped")]
    assert skipped == [f"skipped: {module} is not installed" for module in modules]


@needs("openai")
def test_openai(ran):
    """By hand, with a tool, as a stream and with a rate limit: each call is whole."""
    events = only(ran("openai_integration"))
    assert kinds(events) == {
        ("prompt", "openai"): 1,
        ("completion", "openai"): 1,
        ("prompt", "127.0.0.1"): 4,
        ("completion", "127.0.0.1"): 3,
        ("tool_call", "127.0.0.1"): 1,
        ("tool_result", "127.0.0.1"): 1,
        ("system", "127.0.0.1"): 1,
    }
    by_hand = [event for event in events if event["session_id"] == "by-hand"]
    assert by_hand[1]["extensions"]["reply_to"] == by_hand[0]["event_id"]
    assert by_hand[1]["metrics"]["cost_usd"] > 0
    (call,) = (event for event in events if event["action"] == "tool_call")
    assert call["extensions"]["tool"]["arguments"] == {"city": "Paris"}
    (error,) = (event for event in events if event["action"] == "system")
    assert error["extensions"]["outcome"] == "failed"
    assert error["extensions"]["status_code"] == 429
    assert error["extensions"]["error"]["type"] == "RateLimitError"
    assert error["extensions"]["error"]["retry_after_s"] == 2
    assert "RateLimitError 429" in ran("openai_integration").done.stdout


@needs("anthropic")
def test_anthropic(ran):
    """A tool, a stream and an overload: each is on record under Anthropic's name."""
    events = only(ran("anthropic_integration"))
    assert kinds(events) == {
        ("prompt", "anthropic"): 4,
        ("completion", "anthropic"): 3,
        ("tool_call", "anthropic"): 1,
        ("tool_result", "anthropic"): 1,
        ("system", "anthropic"): 1,
    }
    (error,) = (event for event in events if event["action"] == "system")
    assert error["extensions"]["status_code"] == 529
    assert {event["extensions"]["user_id"] for event in events} == {"alice"}


@needs("google.genai")
def test_gemini(ran):
    """A response, the pieces of a stream and a tool call are on record; the older SDK's too."""
    older = installed("google.generativeai")
    assert kinds(only(ran("gemini_integration"))) == {
        ("prompt", "gemini"): 3 + older,
        ("completion", "gemini"): 3 + older,
        ("tool_call", "gemini"): 1,
    }
    skipped = "skipped: google.generativeai" in ran("gemini_integration").done.stdout
    assert skipped is not older


@needs("langchain_core")
def test_langchain(ran):
    """Models, a tool, the boundaries of a chain and the nodes of a graph are on record."""
    events = only(ran("langchain_integration"))
    actions = Counter(event["action"] for event in events)
    graph = installed("langgraph")
    assert (actions["prompt"], actions["completion"]) == (2 + graph, 2 + graph)
    assert actions["tool_call"] == actions["tool_result"] == 1
    assert actions["system"] > 0
    assert {event["session_id"] for event in events} == {"demo-chain"} | (
        {"demo-graph"} if graph else set()
    )


def test_custom(ran):
    """What is written by hand has provenance, metrics, links and the fields that are bound."""
    events = only(ran("custom_integration"))
    assert [event["action"] for event in events] == [
        *["prompt", "completion", "feedback", "prompt", "system"],
    ]
    prompt, completion, feedback, second, error = events
    assert completion["extensions"]["reply_to"] == prompt["event_id"]
    assert completion["provenance"]["request_id"].startswith("req_")
    assert completion["metrics"]["cost_usd"] > 0
    assert feedback["metrics"] == {"score": 1}
    assert error["extensions"]["reply_to"] == second["event_id"]
    assert error["extensions"]["status_code"] == 429
    assert {event["extensions"]["tenant"] for event in events} == {"acme"}
    assert {event["session_id"] for event in events} == {"ticket-1042"}


def test_http_provider(ran):
    """A provider without an SDK is recorded as one with: tools once, streams, errors, links."""
    events = only(ran("http_provider"))
    assert [event["action"] for event in events] == [
        *["prompt", "completion", "tool_call", "tool_result", "prompt", "completion", "feedback"],
        *["retrieval", "prompt", "completion", "prompt", "system"],
    ]
    asked_for, result, again, answer, feedback = events[2:7]
    assert result["extensions"]["reply_to"] == asked_for["event_id"]
    assert again["extensions"]["follows"] == events[1]["event_id"]
    assert feedback["extensions"]["reply_to"] == answer["event_id"]
    assert answer["provenance"]["request_id"].startswith("req_")
    streamed, _, error = events[9:]
    assert streamed["metrics"]["chunks"] > 1
    assert streamed["extensions"]["outcome"] == "completed"
    assert error["extensions"]["status_code"] == 429
    sessions = [event["session_id"] for event in events]
    assert sessions == ["ticket-1042"] * 7 + ["ticket-1043"] * 5


@needs("structlog")
def test_structlog(ran):
    """Every line that carries an event is shown and kept; an ordinary one is only shown."""
    events = only(ran("structlog_app"))
    actions = ["prompt", "completion", "feedback", "tool_call"]
    assert [event["action"] for event in events] == actions
    shown = ran("structlog_app").done.stderr.splitlines()
    assert len(shown) == 5
    for action, line in zip(actions, shown[1:], strict=True):
        assert f" action={action} " in line


@needs("pythonjsonlogger")
def test_json_logs(ran):
    """Every line of the stream is JSON, and its events are those of the file, ids included."""
    lines, _, _ = ran("json_logs_app").done.stdout.partition("\n\n")
    stream = [json.loads(line) for line in lines.splitlines()]
    assert [line["message"] for line in stream if "hilt" not in line] == ["started", "stopped"]
    assert [line["hilt"] for line in stream if "hilt" in line] == only(ran("json_logs_app"))


def test_fan_out(ran):
    """All goes to the private file, one provider to a second, what failed to a third."""
    by_name = {path.name: events_of(path) for path in ran("fan_out").files}
    events = by_name["fan_out.hilt.jsonl"]
    assert [event["action"] for event in events] == [*["prompt", "completion"] * 2, "system"]
    assert by_name["fan_out.anthropic.hilt.jsonl"] == events[2:4]
    assert by_name["fan_out.errors.hilt.jsonl"] == events[4:]
    assert len(ran("fan_out").done.stderr.splitlines()) == 5


@pytest.fixture
def helpers(monkeypatch):
    """The modules that the examples share."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("_provider", "_clients"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import _clients
    import _provider

    yield SimpleNamespace(clients=_clients, Provider=_provider.Provider)
    for name in ("_provider", "_clients"):
        del sys.modules[name]


@pytest.fixture
def provider(helpers, monkeypatch):
    for name in os.environ:
        if name.lower() in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.delenv(name)
    with helpers.Provider() as running:
        yield running


def test_live(helpers, provider, monkeypatch):
    """Only with --live and a key in the environment does an example talk to the real API."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-real")
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setattr(sys, "argv", ["quickstart.py"])
    assert helpers.clients.endpoint("openai", provider) == (provider.openai_url, "not-needed")
    monkeypatch.setattr(sys, "argv", ["quickstart.py", "--live"])
    assert helpers.clients.endpoint("openai", provider) == ("https://api.openai.com/v1", "sk-real")
    assert helpers.clients.endpoint("anthropic", provider)[0] == provider.anthropic_url


MESSAGES = [{"role": "user", "content": "How warm is it in Paris, of the Solar System?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}
SAID = "The Solar System is one star, eight planets and many smaller bodies."


@needs("openai")
def test_provider_openai(helpers, provider):
    """The OpenAI client reads chats, tool calls, streams, responses and rate limits."""
    import openai

    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    asked = {"model": "some-model", "messages": MESSAGES}
    with helpers.clients.openai_client(provider) as client:
        answer = client.chat.completions.create(**asked)
        assert (answer.model, answer.choices[0].message.content) == ("some-model", SAID)
        assert answer.usage.total_tokens == answer.usage.prompt_tokens + len(SAID) // 4 + 1
        assert answer._request_id.startswith("req_")

        message = client.chat.completions.create(**asked, tools=tools).choices[0].message
        (call,) = message.tool_calls
        assert json.loads(call.function.arguments) == {"city": "System", "days": 1}
        told = {"role": "tool", "tool_call_id": call.id, "content": "21 °C"}
        asked_again = {"model": "some-model", "messages": [*MESSAGES, message, told]}
        answer = client.chat.completions.create(**asked_again, tools=tools)
        assert answer.choices[0].message.content == "The tool says: 21 °C"

        counted = {"stream": True, "stream_options": {"include_usage": True}}
        *pieces, end, last = client.chat.completions.create(**asked, **counted)
        assert "".join(piece.choices[0].delta.content or "" for piece in pieces) == SAID
        assert (end.choices[0].finish_reason, last.usage.completion_tokens) == ("stop", 18)

        response = client.responses.create(model="some-model", input="What is HILT?")
        assert response.output_text.startswith("HILT is an open format")
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model="overloaded", messages=MESSAGES)
        assert caught.value.response.headers["retry-after"] == "2"
        with pytest.raises(openai.NotFoundError):
            client.embeddings.create(model="some-model", input="Hello")


@needs("anthropic")
def test_provider_anthropic(helpers, provider):
    """The Anthropic client reads messages, tool use, streams and overloads."""
    with warnings.catch_warnings(category=DeprecationWarning, action="ignore"):
        import anthropic

    asked = {"model": "some-model", "max_tokens": 100, "messages": MESSAGES}
    with helpers.clients.anthropic_client(provider) as client:
        answer = client.messages.create(**asked)
        assert (answer.model, answer.content[0].text) == ("some-model", SAID)
        assert answer.stop_reason == "end_turn"
        tools = [{"name": "weather", "input_schema": SCHEMA}]
        answer = client.messages.create(**asked, tools=tools)
        assert answer.stop_reason == "tool_use"
        assert answer.content[0].input == {"city": "System", "days": 1}
        with client.messages.stream(**asked) as stream:
            assert "".join(stream.text_stream) == SAID
            assert stream.get_final_message().usage.output_tokens == 18
        with pytest.raises(anthropic.APIStatusError) as caught:
            client.messages.create(**{**asked, "model": "overloaded"})
    assert (caught.value.status_code, caught.value.type) == (529, "overloaded_error")


@needs("google.genai")
@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_provider_genai(helpers, provider, version):
    """The google-genai client reads answers, function calls, streams and exhausted quotas."""
    from google import genai
    from google.genai import errors

    options = {"base_url": provider.gemini_url, "api_version": version}
    with genai.Client(api_key="not-needed", http_options=options) as client:
        asked = {"model": "some-model", "contents": MESSAGES[0]["content"]}
        answer = client.models.generate_content(**asked)
        assert (answer.text, answer.model_version) == (SAID, "some-model")
        function = {"name": "weather", "parameters": SCHEMA}
        config = {"tools": [{"function_declarations": [function]}]}
        (call,) = client.models.generate_content(**asked, config=config).function_calls
        assert (call.name, call.args) == ("weather", {"city": "System", "days": 1})
        pieces = list(client.models.generate_content_stream(**asked))
        assert "".join(piece.text for piece in pieces) == SAID
        assert pieces[-1].usage_metadata.candidates_token_count == 18
        with pytest.raises(errors.ClientError) as caught:
            client.models.generate_content(**{**asked, "model": "overloaded"})
    assert (caught.value.code, caught.value.status) == (429, "RESOURCE_EXHAUSTED")


@needs("google.generativeai")
@pytest.mark.filterwarnings("ignore::ResourceWarning")  # its session has no close()
@pytest.mark.filterwarnings("ignore::FutureWarning")  # it warns that it has ended
def test_provider_generativeai(helpers, provider):
    """The google-generativeai client reads answers, streams and exhausted quotas over REST."""
    from google.api_core import exceptions

    model = helpers.clients.generativeai_model(provider)
    assert model.generate_content(MESSAGES[0]["content"]).text == SAID
    pieces = list(model.generate_content(MESSAGES[0]["content"], stream=True))
    assert "".join(piece.text for piece in pieces) == SAID
    model = type(model)("overloaded")
    with pytest.raises(exceptions.TooManyRequests):
        model.generate_content("Hello", request_options={"retry": None})
