"""Runs of a trace become events, each call of a model once."""

from __future__ import annotations

import datetime
import json

from collections import Counter

import pytest

from hilt_logging.analysis.sources.run_events import events_in
from hilt_logging.analysis.sources.runs import Run, Trace
from hilt_logging.integrations._conversations import Conversations
from hilt_logging.schema import validate_event


pytestmark = pytest.mark.once

START = datetime.datetime(2026, 11, 23, 7, tzinfo=datetime.timezone.utc)


def a_run(name, kind="model", /, **fields):
    said = {"given": "Hi", "gave": "Hello"} | fields
    return Run(id=name, kind=kind, name=name, began=START, ended=START, **said)


def told(*runs):
    """The events of a trace, and what was lost."""
    lost = Counter()
    trace = Trace(source="test", id="t", session="s", runs=list(runs))
    events = list(events_in(trace, lost, Conversations()))
    assert [] == [fault for event in events for fault in validate_event(event)]
    return events, dict(lost)


def calls(*runs):
    """The answers of models, with how many tokens they took and what they cost."""
    events, _ = told(*runs)
    return {
        each["provenance"]["run_id"]: (
            each.get("metrics", {}).get("tokens", {}).get("total"),
            each.get("metrics", {}).get("cost_usd"),
        )
        for each in events
        if each["action"] == "completion"
    }


TOKENS = {"prompt": 1, "completion": 2, "total": 3}
MORE = {"prompt": 3, "completion": 4, "total": 7}


def test_inner_call():
    """Of a call within a call the inner one counts, and has what only the outer one knows."""
    outer = a_run("a", tokens=TOKENS, cost_usd=0.5)
    assert {"b": (3, 0.5)} == calls(outer, a_run("b", parent="a"))
    outer = a_run("a", tokens=TOKENS)
    assert {"b": (7, None)} == calls(outer, a_run("b", parent="a", tokens=MORE))


def test_inner_call_without_words():
    """An inner call of which nobody knows what was said leaves that to the outer one."""
    silent = a_run("b", parent="a", given=None, gave=None, tokens=TOKENS)
    assert {"a": (3, None)} == calls(a_run("a"), silent)
    assert {"a": (7, None)} == calls(a_run("a", tokens=MORE), silent)


def test_several_inner_calls():
    """What an outer call sums up is not counted beside its parts."""
    parts = a_run("b", parent="a", tokens=TOKENS), a_run("c", parent="a", tokens=TOKENS)
    assert {"b": (3, None), "c": (3, None)} == calls(a_run("a", tokens=MORE), *parts)
    failed = a_run("b", parent="a", gave=None, error="TimeoutError('late')")
    assert {"c": (7, None)} == calls(a_run("a", tokens=MORE), failed, a_run("c", parent="a"))


def test_deeper():
    """Of three in one another the innermost is the call, whatever the order."""
    runs = a_run("a", tokens=TOKENS), a_run("b", parent="a", tokens=TOKENS), a_run("c", parent="b")
    for order in (runs, runs[::-1]):
        for run in order:
            run.kind = "model"
        runs[0].tokens = runs[1].tokens = TOKENS
        runs[2].tokens = None
        assert {"c": (3, None)} == calls(*order)


def test_many_open_calls(monkeypatch):
    """A run of a tool is compared with so many calls at most, and not with those that have a result."""
    compared = []
    monkeypatch.setattr("hilt_logging.analysis.sources.tool_calls._MOST_OPEN", 2)
    monkeypatch.setattr(
        "hilt_logging.analysis.sources.tool_calls._are_of",
        lambda given, asked: compared.append(asked) or given == asked,
    )

    def asking(number):
        function = {"name": "f", "arguments": json.dumps({"number": number})}
        calls = [{"id": f"c{number}", "type": "function", "function": function}]
        return a_run(f"m{number}", gave={"role": "assistant", "content": None, "tool_calls": calls})

    def running(number):
        return a_run(f"t{number}", "tool", given={"number": number}, call_id=None)

    runs = [asking(0), asking(1), asking(2), running(7), running(0), running(2)]
    for run in runs[3:]:
        run.name = "f"
    events, _ = told(*runs)
    replies = {
        each["provenance"]["run_id"]: each["extensions"]["reply_to"]
        for each in events
        if each["action"] == "tool_result"
    }
    assert {"t7": "t7.tool_call", "t0": "m0.tool_call.1", "t2": "m2.tool_call.1"} == replies
    assert [{"number": 0}, {"number": 1}] == compared


def test_circles():
    """Runs that are around each other, or around themselves, have an end."""
    events, lost = told(a_run("a", parent="b"), a_run("b", parent="a"), a_run("c", parent="c"))
    assert {} == lost
    assert {"a", "b", "c"} == {each["provenance"]["run_id"] for each in events}


def test_times():
    """An end before the begin gives no duration; without any time it is told."""
    before = START - datetime.timedelta(hours=1)
    run = a_run("a")
    run.ended = before
    (_, answer), _ = told(run)
    assert "metrics" not in answer
    assert "2026-11-23T07:00:00.000000Z" == answer["timestamp"]
    run.began = run.ended = None
    events, lost = told(run)
    assert ["1970", "1970"] == [each["timestamp"][:4] for each in events]
    assert {"times: the event is dated 1970": 2} == lost


def test_error_words():
    """An exception's name and words are told apart from its traceback."""
    error = "pkg.OddError('it broke')\n\nTraceback (most recent call last):\n  secret"
    (_, event), lost = told(a_run("a", gave=None, error=error))
    assert {"type": "OddError", "message": "pkg.OddError('it broke')"} == event["extensions"][
        "error"
    ]
    assert {"tracebacks": 1} == lost
    (_, event), _ = told(a_run("a", gave=None, error="CancelledError()"))
    assert "cancelled" == event["extensions"]["outcome"]


def test_not_understood(monkeypatch):
    """A run that can't be understood costs no other."""

    def refuse(value):
        raise TypeError

    monkeypatch.setattr("hilt_logging.analysis.sources.run_events.documents_in", refuse)
    events, lost = told(a_run("a", "retriever"), a_run("b"))
    assert {"b"} == {each["provenance"]["run_id"] for each in events}
    assert {"runs that can't be understood": 1} == lost


@pytest.mark.parametrize(
    ("gave", "documents"),
    [
        ([{"pageContent": "x", "metadata": {"s": 1}}], [{"text": "x", "metadata": {"s": 1}}]),
        ({"documents": [{"page_content": "x", "score": 0.5}]}, [{"text": "x", "score": 0.5}]),
        ({"output": "x"}, [{"text": "x"}]),
        ({"output": ["x", {"title": "y"}]}, [{"text": "x"}, {"title": "y"}]),
        ({"answer": "x"}, [{"answer": "x"}]),
    ],
)
def test_documents(gave, documents):
    """Documents are those of LangChain in Python and in JavaScript, texts, or whatever was found."""
    ((event,), _) = told(a_run("a", "retriever", gave=gave))
    assert documents == event["extensions"]["documents"]


@pytest.mark.parametrize("given", [["x", "y"], {"texts": ["x", "y"]}, {"input": ["x", "y"]}])
def test_texts_of_an_embedding(given):
    """The texts that were embedded are told one by one."""
    ((event,), _) = told(a_run("a", "embedding", given=given, gave=None))
    (message,) = event["content"]["messages"]
    assert ["x", "y"] == [each["content"] for each in message["parts"]]


def test_tokens_in_an_answer():
    """What only an answer tells of an inner call is not counted again for the outer one."""
    answer = {"role": "assistant", "content": "x", "usage": {"prompt_tokens": 1}}
    both = a_run("b", parent="a", gave=answer), a_run("c", parent="a", gave=answer)
    assert {"b": (1, None), "c": (1, None)} == calls(a_run("a", tokens=TOKENS), *both)


def test_calls_in_two_conversations():
    """A call within a call is one, also where both name a conversation of their own."""
    outer = a_run("a", tokens=TOKENS, session="one")
    assert {"b": (3, None)} == calls(outer, a_run("b", parent="a", tokens=TOKENS, session="two"))
