"""What we write, in the hands of hilt-python 0.2.8."""

from __future__ import annotations

import json

from datetime import datetime

import pytest

from hilt_logging import Actor, Content, Event, Metrics, Privacy, Session


hypothesis = pytest.importorskip("hypothesis")
st = pytest.importorskip("hypothesis.strategies")

ITS_ACTIONS = (
    "prompt",
    "completion",
    "completion_chunk",
    "retrieval",
    "tool_call",
    "tool_result",
    "system",
    "feedback",
)
NOT_ITS_ACTIONS = ("rerank", "embedding")
ACTOR_TYPES = ("human", "agent", "tool", "system")

texts = st.text(max_size=40)
names = st.text(min_size=1, max_size=20)
counts = st.integers(0, 2**53)
atoms = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(atoms, lambda inner: st.lists(inner) | st.dictionaries(texts, inner))
objects = st.dictionaries(texts, values, max_size=4)
maybe = {
    "actor": {"name": texts, "metadata": objects},
    "content": {
        "text": texts,
        "text_hash": st.from_regex(r"sha256:[0-9a-f]{64}", fullmatch=True),
        "text_encrypted": texts,
        "media": st.lists(objects, max_size=2),
        "messages": st.lists(objects, max_size=2),
    },
    "metrics": {
        "latency_ms": counts,
        "time_to_first_token_ms": counts,
        "tokens": st.dictionaries(names, counts, max_size=3),
        "cost_usd": counts | st.floats(0, 1e6),
        "chunks": counts,
        "attempts": counts,
        "score": st.floats(-1, 1),
    },
    "privacy": {
        "pii_detected": st.lists(texts, max_size=2),
        "redaction_applied": st.booleans(),
        "consent": objects,
    },
}
events = st.fixed_dictionaries(
    {
        "session_id": names,
        "actor": st.fixed_dictionaries(
            {"type": st.sampled_from(ACTOR_TYPES), "id": names}, optional=maybe["actor"]
        ),
        "action": st.sampled_from(ITS_ACTIONS),
    },
    optional={
        "timestamp": st.datetimes().map(lambda when: when.isoformat() + "+00:00"),
        "content": st.fixed_dictionaries({}, optional=maybe["content"]),
        "provenance": objects,
        "metrics": st.fixed_dictionaries({}, optional=maybe["metrics"]),
        "privacy": st.fixed_dictionaries({}, optional=maybe["privacy"]),
        "extensions": objects,
        "integrity": objects,
    },
)


def _event(**fields) -> Event:
    made = {"event_id": "e1", "timestamp": "2026-11-22T10:00:00.000000Z"}
    spoken = {"session_id": "s", "actor": {"type": "human", "id": "a"}, "action": "prompt"}
    return Event.from_dict({**made, **spoken, **fields})


def _expected(ours: dict) -> dict:
    """What it should hold of an event of ours: all but `privacy` and `integrity`."""
    kept = {k: v for k, v in ours.items() if k not in ("privacy", "integrity")}
    return {**kept, "timestamp": datetime.fromisoformat(ours["timestamp"])}


def _loaded(theirs: dict) -> dict:
    return {**theirs, "timestamp": datetime.fromisoformat(theirs["timestamp"])}


@hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[
        hypothesis.HealthCheck.function_scoped_fixture,
        hypothesis.HealthCheck.too_slow,
    ],
)
@hypothesis.given(events)
def test_any_event(peer, fields):
    """Every event with its actions and without `actor.did` loads, with all that it knows."""
    ours = _event(**fields)
    assert _expected(json.loads(ours.to_json())) == _loaded(peer.load(line=ours.to_json()))


CASES = {
    "minimal": Event(session_id="s", actor=Actor(type="human", id="a"), action="prompt"),
    "text": Event(
        session_id="s",
        actor=Actor(type="human", id="alice", name="Alice", metadata={"team": ["a", 1]}),
        action="prompt",
        content=Content(text="Grüße, 你好 👩‍👩‍👧 \u2028\u2029\u0085 \x00\x1f\x7f \ufeff"),
    ),
    "full": Event(
        session_id="conv-42",
        actor=Actor(type="agent", id="assistant"),
        action="completion",
        content=Content(
            text="answer",
            text_hash="sha256:" + "0" * 64,
            text_encrypted="eyJhbGciOi.e30",
            media=[{"type": "image", "mime_type": "image/png", "uri": "s3://a/b.png"}],
            messages=[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}],
        ),
        provenance={"provider": "openai", "model": "gpt-4o-mini", "params": {"temperature": 0}},
        metrics=Metrics(
            latency_ms=812,
            time_to_first_token_ms=90,
            tokens={"prompt": 12, "completion": 34, "total": 46, "cached": 8},
            cost_usd=0.000042,
            chunks=3,
            attempts=2,
            score=-0.5,
        ),
        privacy=Privacy(pii_detected=["email"], redaction_applied=True, consent={"ok": True}),
        extensions={"reply_to": "x", "finish_reason": "stop", "documents": [{"id": 1}]},
        integrity={"chain": "c", "seq": 7, "prev": "sha256:" + "1" * 64},
    ),
    "free cost": Event(
        session_id="s",
        actor=Actor(type="agent", id="a"),
        action="completion",
        metrics=Metrics(cost_usd=0, latency_ms=0, tokens={}),
    ),
    "large": Event(
        session_id="s",
        actor=Actor(type="tool", id="a"),
        action="tool_result",
        content=Content(text="é" * 500_000),
    ),
    "further fields": _event(
        content={"text": "x", "images": ["a.png"], "metadata": {"k": 1}, "mood": "good"},
        metrics={"cost_usd_display": "0,5 USD"},
    ),
}


@pytest.fixture(params=CASES, ids=str)
def case(request):
    return CASES[request.param]


def test_session_reads_our_file(peer, tmp_path):
    """Its `Session.read` yields every event of a file that our `Session` wrote."""
    path = tmp_path / "ours.jsonl"
    wanted = list(CASES.values())
    wanted += [
        Event(session_id="s", actor=Actor(type=kind, id="a"), action=action)
        for action in ITS_ACTIONS
        for kind in ACTOR_TYPES
    ]
    with Session(path) as session:
        ids = [session.append(event) for event in wanted]
    assert [event["event_id"] for event in peer.read(path=str(path))] == ids


def test_cases(peer, case):
    """The usual kinds of events load with all that it knows of them."""
    ours = json.loads(case.to_json())
    assert _expected(ours) == _loaded(peer.load(line=case.to_json()))


def test_our_version_is_told(peer):
    """It keeps the version of the format that the line tells."""
    assert peer.load(line=CASES["minimal"].to_json())["hilt_version"] == "1.0.0"


# The exceptions, as docs/migrating-from-hilt-python.md lists them.


@pytest.mark.parametrize("action", NOT_ITS_ACTIONS)
def test_later_actions_are_refused(peer, action):
    """Exception: `rerank` and `embedding` are no actions of 0.2.8."""
    ours = Event(session_id="s", actor=Actor(type="tool", id="a"), action=action)
    with pytest.raises(ValueError, match="Invalid action"):
        peer.load(line=ours.to_json())


@pytest.mark.parametrize(
    "more", [{"did": "did:example:1"}, {"role": "admin"}], ids=["did", "a field of one's own"]
)
def test_further_fields_of_an_actor_are_refused(peer, more):
    """Exception: an actor may hold nothing but `type`, `id`, `name` and `metadata`."""
    ours = _event(actor={"type": "human", "id": "a", **more})
    with pytest.raises(ValueError, match="unexpected keyword argument"):
        peer.load(line=ours.to_json())


@pytest.mark.parametrize("field", ["images", "metadata"])
def test_its_own_fields_of_content_keep_their_type(peer, field):
    """Exception: `content.images` must be a list there and `content.metadata` an object."""
    ours = _event(content={"text": "x", field: "free text"})
    with pytest.raises(ValueError, match="ValidationError"):
        peer.load(line=ours.to_json())


def test_one_exception_ends_its_reading(peer, tmp_path):
    """Exception: its `Session.read` yields nothing more after a line that it refuses."""
    path = tmp_path / "ours.jsonl"
    with Session(path) as session:
        session.append(CASES["minimal"])
        session.append(Event(session_id="s", actor=Actor(type="tool", id="a"), action="rerank"))
    with pytest.raises(ValueError, match="Invalid event at line 2"):
        peer.read(path=str(path))


def test_what_it_writes_back_is_less(peer):
    """Exception: `privacy`, `integrity` and unknown top-level fields are not in its objects."""
    ours = {**json.loads(CASES["full"].to_json()), "tenant": "acme"}
    theirs = peer.load(line=json.dumps(ours))
    assert ours.keys() - theirs.keys() == {"privacy", "integrity", "tenant"}
