from __future__ import annotations

import datetime
import decimal
import json
import logging
import math

import msgspec
import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

import hilt_logging

from hilt_logging import Actor, Content, Event, Metrics, Privacy
from hilt_logging._lines import line_of
from hilt_logging.events import encode
from hilt_logging.records import complete, completed, event_of


def event(**fields):
    fields.setdefault("actor", Actor(type="human", id="alice"))
    return Event(**{"session_id": "s", "action": "prompt", **fields})


def long_way(an_event):
    return encode(completed(an_event, "hilt"))


PLAIN = {
    "bare": {},
    "text": {"content": Content(text="Hello")},
    "not ascii": {"content": Content(text="Zażółć gęślą jaźń 你好 👩‍👩‍👧")},
    "provenance": {
        "provenance": {"model": "m", "params": {"temperature": 0.2, "stop": ["a", "b"]}}
    },
    "span without a trace": {"provenance": {"span_id": "mine"}},
    "own logger": {"provenance": {"logger": "mine", "trace_id": "t"}},
    "metrics": {"metrics": Metrics(tokens={"prompt": 1}, cost_usd=0.5, latency_ms=3, chunks=2)},
    "extensions": {"extensions": {"a": [1, {"b": None}], "c": True, "d": -1.5}},
    "messages": {"content": Content(messages=[{"role": "user", "parts": [{"type": "text"}]}])},
}
UNUSUAL = {
    "line break": {"content": Content(text="a\u2028b")},
    "next line": {"extensions": {"a": "\x85"}},
    "lone surrogate": {"content": Content(text="\ud800")},
    "surrogate in a key": {"extensions": {"\ud800": 1}},
    "NaN": {"extensions": {"a": math.nan}},
    "infinite cost": {"metrics": Metrics(cost_usd=math.inf)},
    "large int": {"extensions": {"a": 2**70}},
    "int keys": {"extensions": {1: "a", "1": "b"}},
    "bytes": {"extensions": {"a": b"x"}},
    "date": {"extensions": {"a": datetime.date(2026, 1, 1)}},
    "decimal": {"extensions": {"a": decimal.Decimal(1)}},
    "tuple": {"extensions": {"a": (1, 2)}},
    "set": {"extensions": {"a": {2, 1}}},
    "object": {"extensions": {"a": object()}},
    "str subclass": {"session_id": type("S", (str,), {})("s")},
    "dict subclass": {"extensions": type("D", (dict,), {})(a=1)},
    "text of another type": {"content": Content(text=5)},
    "negative count": {"metrics": Metrics(latency_ms=-1)},
    "count of another type": {"metrics": Metrics(tokens={"prompt": "1"})},
    "bool for a count": {"metrics": Metrics(latency_ms=True)},
    "cost of another type": {"metrics": Metrics(cost_usd="0.1")},
    "score": {"metrics": Metrics(score=3)},
    "privacy": {"privacy": Privacy(redaction_applied=True)},
    "integrity": {"integrity": {"seq": 1}},
    "unknown field": {"unknown_fields": {"x": 1}},
    "actor's did": {"actor": Actor(type="human", id="a", did="did:x")},
    "actor's id": {"actor": Actor(type="human", id="é")},
    "media": {"content": Content(media=[{"type": "image"}])},
    "hash": {"content": Content(text_hash="sha256:x")},
    "deep": {"extensions": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": {"a": 1}}}}}}}}}}},
    "many": {"extensions": {"a": list(range(10_000))}},
    "many in all": {"extensions": {"a": [[0.5] * 400] * 400}},
    "long in all": {"extensions": {str(number): "x" * 1_000_000 for number in range(20)}},
    "long name": {"extensions": {"x" * 1_000_000: 1}},
    "messages that are none": {"content": Content(messages=["Hi"])},
    "long": {"content": Content(text="x" * 2_000_000)},
    "version": {"hilt_version": "2"},
}


@pytest.mark.parametrize("fields", PLAIN.values(), ids=PLAIN)
def test_plain_event(fields):
    """A plain event has its line at once, and it is the line of the long way."""
    an_event = event(**fields)
    assert long_way(an_event) == line_of(an_event, "hilt")


@pytest.mark.parametrize("fields", UNUSUAL.values(), ids=UNUSUAL)
def test_unusual_event(fields):
    """What is not plain is left to the long way."""
    assert line_of(event(**fields), "hilt") is None


class Watched:
    """A value that notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __bool__(self):
        self.asked.append("bool")
        return False

    def __eq__(self, other):
        self.asked.append("eq")
        return False

    __hash__ = None


class Name(str):
    """A key of an application's own class, which has an opinion on what it is."""

    __hash__ = str.__hash__
    asked = 0

    def __eq__(self, other):
        Name.asked += 1
        raise AssertionError("a foreign class was asked")


A_PERSON = {"type": "human", "id": "alice"}


@pytest.mark.parametrize(
    "fields",
    [
        {Name("action"): "prompt", "actor": A_PERSON},
        {"action": "prompt", Name("actor"): A_PERSON},
        {"action": "prompt", "actor": {Name("type"): "human", "id": "alice"}},
        {"action": "prompt", "actor": A_PERSON, "content": {Name("text"): "Hello"}},
        {"action": "prompt", "actor": A_PERSON, Name("extensions"): {"outcome": "failed"}},
        {"action": "prompt", "actor": A_PERSON, "extensions": {Name("outcome"): "failed"}},
        {"action": "prompt", "actor": A_PERSON, Name("session_id"): "s"},
    ],
    ids=str,
)
@pytest.mark.parametrize("way", ["emit", "extra", "message"])
def test_foreign_names(hilt, kept, fields, way):
    """No key is asked whether it is the name that is looked for, and the event is recorded."""
    before = Name.asked
    if way == "emit":
        assert hilt_logging.emit(fields) is not None
    elif way == "extra":
        hilt.info("x", extra={"hilt": fields})
    else:
        hilt.info({"hilt": fields, 1: 2})
    (record,) = kept.records
    found = complete(record)
    assert ("prompt", A_PERSON, before) == (found["action"], found["actor"], Name.asked)
    if way == "emit":
        assert (record.levelno == logging.ERROR) is ("outcome" in str(fields))


def test_name_in_a_message(kept, hilt):
    """Nor is one of a message that is a dict."""
    hilt.info({Name("hilt"): {"action": "prompt", "actor": A_PERSON}})
    assert "prompt" == event_of(kept.records[0])["action"]


@pytest.mark.parametrize("part", [Event, Actor, Content, Metrics])
def test_unknown_fields_that_are_none(kept, part):
    """Nothing is asked of a value that stands where unknown fields belong, and it is left out."""
    for value in (Watched(), None, [], 0):
        an_event = event(content=Content(text="a"), metrics=Metrics(chunks=1))
        owner = {
            Event: an_event,
            Actor: an_event.actor,
            Content: an_event.content,
            Metrics: an_event.metrics,
        }[part]
        owner.unknown_fields = value
        assert hilt_logging.emit(an_event) is not None
        assert "unknown_fields" not in str(kept.records[-1].hilt)
        assert [] == getattr(value, "asked", [])


def test_timestamp_of_another_class(kept):
    """Nothing is asked of what stands in the place of a time."""
    watched = Watched()
    hilt_logging.emit({"action": "prompt", "actor": A_PERSON, "timestamp": watched})
    assert [] == watched.asked
    assert "failed" == kept.records[0].hilt["extensions"]["outcome"]


def broken(**parts):
    an_event = event(content=Content(text="a"), metrics=Metrics(chunks=1))
    for name, value in parts.items():
        setattr(an_event, name, value)
    return an_event


@pytest.mark.parametrize(
    "parts",
    [
        {"action": "nope"},
        {"action": []},
        {"actor": None},
        {"actor": {"type": "human", "id": "a"}},
        {"session_id": ""},
        {"session_id": 5},
        {"event_id": None},
        {"timestamp": "yesterday"},
        {"timestamp": None},
        {"content": "text"},
        {"metrics": {}},
        {"provenance": None},
        {"extensions": []},
    ],
    ids=str,
)
def test_replaced_part(parts):
    """A part that was replaced by something else is left to the long way."""
    assert line_of(broken(**parts), "hilt") is None


def test_what_is_bound():
    """What is bound is added as the long way adds it; the event's own fields win."""
    an_event = event(extensions={"tenant": "own", "x": 1})
    with hilt_logging.bind(session_id="b", user_id="u", trace_id="t" * 32, tenant="t", extra=2):
        line = line_of(an_event, "hilt")
        assert long_way(an_event) == line
    found = json.loads(line)
    assert {"tenant": "own", "x": 1, "extra": 2, "user_id": "u"} == found["extensions"]
    assert ("s", "t" * 32) == (found["session_id"], found["provenance"]["trace_id"])


@pytest.mark.parametrize("name", ["session_id", "user_id", "trace_id", "tenant", "x\u2028"])
def test_unusual_context(name):
    """A line break in what is bound is escaped as in the event itself."""
    with hilt_logging.bind(**{"trace_id": "t", name: "a\u2028b"}):
        assert line_of(event(session_id=""), "hilt") is None


def test_unusual_logger():
    """So is one in the logger's name."""
    assert line_of(event(), "hilt.app.\u2028") is None


def test_bound_trace_and_own_span():
    """What is bound replaces nothing of the event."""
    an_event = event(provenance={"span_id": "mine"})
    with hilt_logging.bind(trace_id="t", span_id="bound"):
        line = line_of(an_event, "hilt")
        assert long_way(an_event) == line
    assert "mine" == json.loads(line)["provenance"]["span_id"]


def test_one_list_in_many_places():
    """What would grow a thousandfold costs no time: the long way cuts it."""
    inner = [0] * 400
    for _ in range(6):
        inner = [inner] * 400
    assert line_of(event(extensions={"a": inner}), "hilt") is None


def test_consent_takes_the_long_way():
    """What is known of personal data is left to the long way."""
    with hilt_logging.bind(consent={"a": True}):
        assert line_of(event(), "hilt") is None


def test_nothing_of_the_event_changes():
    """The caller's event is as it was."""
    an_event = event(provenance={"model": "m"}, extensions={"a": 1})
    before = msgspec.json.encode(an_event)
    with hilt_logging.bind(user_id="u"):
        line_of(an_event, "hilt")
    assert before == msgspec.json.encode(an_event)


texts = st.text(st.characters(), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=400, deadline=None)
@given(
    text=st.none() | texts,
    provenance=st.dictionaries(texts, values, max_size=3),
    extensions=st.dictionaries(texts, values, max_size=3),
    cost=st.none() | st.floats(),
    latency=st.none() | st.integers(),
)
def test_any_event(text, provenance, extensions, cost, latency):
    """Where there is a short way, it leads to what the long way gives."""
    an_event = event(
        content=Content(text=text),
        provenance=provenance,
        extensions=extensions,
        metrics=Metrics(cost_usd=cost, latency_ms=latency),
    )
    line = line_of(an_event, "hilt")
    assert line in (None, long_way(an_event))
