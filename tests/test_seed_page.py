"""
The integrations page that this package was begun from: each block of code on it runs.

The blocks stand here as on the page. What is changed to run one is the list of pairs beside it, and
nothing else: `hilt` is now `hilt_logging`, and where the page leaves something out (`...`) or the
SDK has removed what it uses, the smallest change that works today.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys

from pathlib import Path

import pytest

import hilt_logging

from hilt_logging import Actor, Content, Event, Metrics, Session, validate_event


EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
RENAMED = ("from hilt", "from hilt_logging")


def needs(module):
    try:
        missing = importlib.util.find_spec(module) is None
    except ModuleNotFoundError:
        missing = True
    return pytest.mark.skipif(missing, reason=f"not installed: {module}")


@pytest.fixture(scope="module")
def provider():
    spec = importlib.util.spec_from_file_location("_provider", EXAMPLES / "_provider.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Provider() as running:
        yield running


@pytest.fixture
def page(provider, tmp_path):
    """Run a block of the page with the given changes, and return the events of its file."""

    def run(block, changes, file):
        for old, new in changes:
            assert old in block
            block = block.replace(old, new)
        environ = {
            "PATH": os.environ["PATH"],
            "OPENAI_API_KEY": "not-needed",
            "OPENAI_BASE_URL": provider.openai_url,
            "ANTHROPIC_API_KEY": "not-needed",
            "ANTHROPIC_BASE_URL": provider.anthropic_url,
            "GEMINI_URL": provider.gemini_url,
        }
        done = subprocess.run(
            [sys.executable, "-c", block],
            cwd=tmp_path,
            env=environ,
            capture_output=True,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        with Session(tmp_path / file) as session:
            events = list(session.read())
        assert [validate_event(event.to_dict()) for event in events] == [[]] * len(events)
        return events

    return run


LANGCHAIN = """\
from langchain.llms import OpenAI
from hilt.io.session import Session
from hilt.integrations.langchain import HILTCallbackHandler

with Session("logs/langchain.hilt.jsonl") as session:
    callback = HILTCallbackHandler(session, session_id="demo-chain")
    llm = OpenAI(callbacks=[callback])
    result = llm("Explain the HILT format in one sentence.")
"""


@needs("langchain_openai")
def test_langchain(page):
    """
    The LangChain block records a prompt and a completion with tokens.

    Changes: `langchain.llms` has moved to `langchain_openai`; a model is no longer called but
    invoked.
    """
    changes = [
        RENAMED,
        ("langchain.llms", "langchain_openai"),
        ("llm(", "llm.invoke("),
    ]
    prompt, completion = page(LANGCHAIN, changes, "logs/langchain.hilt.jsonl")
    assert (prompt.action, completion.action) == ("prompt", "completion")
    assert prompt.content.text == "Explain the HILT format in one sentence."
    assert completion.content.text.startswith("HILT is an open format")
    assert completion.metrics.tokens["total"] > 0
    assert {event.session_id for event in (prompt, completion)} == {"demo-chain"}


@needs("langchain_openai")
def test_langchain_chains_and_tools(page):
    """
    The handler emits what the page lists: tool calls, tool results and boundaries of chains.

    Changes: as above; the page names these events but shows no code that gives them, so a chain
    and a tool are added.
    """
    more = """
    from langchain_core.runnables import RunnableLambda
    from langchain_core.tools import tool

    @tool
    def weather(city: str) -> str:
        "Return the weather."
        return "sunny"

    (llm | RunnableLambda(str.strip)).invoke("Hello", config={"callbacks": [callback]})
    weather.invoke({"city": "Paris"}, config={"callbacks": [callback]})
"""
    changes = [RENAMED, ("langchain.llms", "langchain_openai"), ("llm(", "llm.invoke(")]
    events = page(LANGCHAIN + more, changes, "logs/langchain.hilt.jsonl")
    actions = {event.action for event in events}
    assert actions == {"prompt", "completion", "tool_call", "tool_result", "system"}


OPENAI = """\
from openai import OpenAI
from hilt import Session, Event, Actor, Content, Metrics

client = OpenAI()
response = client.chat.completions.create(...)

with Session("logs/openai.hilt.jsonl") as session:
    session.append(Event(...))  # prompt
    session.append(Event(...))  # completion with Metrics(tokens=..., cost_usd=...)
"""


@needs("openai")
def test_openai(page):
    """
    The OpenAI block records a prompt and a completion that are built by hand.

    Changes: arguments in the places of `...`.
    """
    asked = 'model="gpt-4o-mini", messages=[{"role": "user", "content": "What is HILT?"}]'
    prompt = (
        'session_id="s", actor=Actor(type="human", id="alice"), action="prompt", '
        'content=Content(text="What is HILT?")'
    )
    completion = (
        'session_id="s", actor=Actor(type="agent", id=response.model), action="completion", '
        "content=Content(text=response.choices[0].message.content), "
        'metrics=Metrics(tokens={"prompt": response.usage.prompt_tokens, '
        '"completion": response.usage.completion_tokens, "total": response.usage.total_tokens}, '
        "cost_usd=0.0002)"
    )
    changes = [
        RENAMED,
        ("create(...)", f"create({asked})"),
        ("Event(...))  # prompt", f"Event({prompt}))  # prompt"),
        ("Event(...))  # completion", f"Event({completion}))  # completion"),
    ]
    first, second = page(OPENAI, changes, "logs/openai.hilt.jsonl")
    assert (first.action, first.content.text) == ("prompt", "What is HILT?")
    assert (second.action, second.actor.id) == ("completion", "gpt-4o-mini")
    assert second.metrics.cost_usd == 0.0002
    assert second.metrics.tokens["total"] > 0


ANTHROPIC = """\
from anthropic import Anthropic
from hilt.io.session import Session
from hilt.integrations.anthropic import log_claude_interaction

client = Anthropic()
response = client.messages.create(...)

with Session("logs/claude.hilt.jsonl") as session:
    log_claude_interaction(session, user_message="Hello", response=response)
"""


@needs("anthropic")
def test_anthropic(page):
    """
    The Anthropic block records text of the content blocks and tokens of the usage.

    Changes: arguments in the place of `...`.
    """
    asked = (
        'model="claude-sonnet-5-5", max_tokens=100, messages=[{"role": "user", "content": "Hello"}]'
    )
    changes = [RENAMED, ("create(...)", f"create({asked})")]
    prompt, completion = page(ANTHROPIC, changes, "logs/claude.hilt.jsonl")
    assert (prompt.action, prompt.content.text) == ("prompt", "Hello")
    assert completion.content.text.startswith("You asked: Hello")
    assert completion.provenance["provider"] == "anthropic"
    assert completion.metrics.tokens["total"] > 0
    assert completion.extensions["reply_to"] == prompt.event_id


GEMINI = """\
from google import generativeai as genai
from hilt.io.session import Session
from hilt.integrations.gemini import log_gemini_interaction

genai.configure(api_key="...")
model = genai.GenerativeModel("gemini-1.5-pro")
result = model.generate_content("Summarise the Solar System")

with Session("logs/gemini.hilt.jsonl") as session:
    log_gemini_interaction(session, user_message="Summarise the Solar System", response=result)
"""


@needs("google.generativeai")
def test_gemini(page):
    """
    The Gemini block records text of the candidate's parts and tokens of the usage metadata.

    Changes: `configure` names the server that answers here, and REST in place of gRPC to reach it.
    """
    here = (
        'api_key="...", transport="rest", '
        'client_options={"api_endpoint": __import__("os").environ["GEMINI_URL"]}'
    )
    changes = [RENAMED, ('api_key="..."', here)]
    prompt, completion = page(GEMINI, changes, "logs/gemini.hilt.jsonl")
    assert prompt.content.text == "Summarise the Solar System"
    assert completion.content.text.startswith("The Solar System is one star")
    assert completion.provenance["provider"] == "gemini"
    assert completion.provenance["model"] == "gemini-1.5-pro"
    assert completion.metrics.tokens["total"] > 0


def test_custom(tmp_path):
    """
    The four steps for an adapter of one's own work: capture, construct, append, provenance.

    The page has no code for them.
    """
    response = {"id": "r-1", "text": "Hello!", "tokens": {"prompt": 3, "completion": 2, "total": 5}}
    event = Event(
        session_id="s",
        actor=Actor(type="agent", id="my-model", metadata={"region": "eu"}),
        action="completion",
        content=Content(text=response["text"]),
        metrics=Metrics(tokens=response["tokens"], cost_usd=0.001),
    )
    event.provenance = {"model": "my-model", "request_id": response["id"]}
    with Session(tmp_path / "logs" / "custom.hilt.jsonl") as session:
        session.append(event)
        (read,) = session.read()
    assert read.provenance.items() >= event.provenance.items()
    assert read.metrics == event.metrics
    assert read.actor.metadata == {"region": "eu"}


def test_modules_for_inspiration():
    """The modules that the page sends a reader to are where it says."""
    package = Path(hilt_logging.__file__).parent
    assert (package / "integrations" / "langchain.py").is_file()
    assert (package / "integrations" / "anthropic.py").is_file()


def test_extra():
    """The extra that the page installs exists."""
    told = importlib.metadata.metadata("hilt-logging")
    assert "langchain" in told.get_all("Provides-Extra")


@pytest.mark.parametrize("name", ["Session", "Event", "Actor", "Content", "Metrics"])
def test_top_level_names(name):
    """What the page imports from the package itself is public there."""
    assert name in hilt_logging.__all__
